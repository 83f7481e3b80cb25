"""The log posterior density of mixtures, and of free vectors with its gradient: one read of the data for many of them.

    log p(π, μ, Σ | x) = ℓ(π, μ, Σ) + log p(π, μ, Σ) − log p(x)

with labels summed out of the likelihood ``ℓ`` and the last term, the evidence, left out. As a density of reduced coordinates ``q`` about a
mode, in which the complete data would have the identity as information, the log of ``|∂(π, μ, Σ)/∂q|`` is added. Where the prior has a
common factor of all spreads, its log is the last coordinate.

Coordinates are those of ``Σ⁰``, the covariance without what is lost to the resolution of the columns (see ``log_priors.py``); rows are
scored with ``Σ = Σ⁰ + diag(r²)``, by which the likelihood has the same derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.coordinates import Coordinates, Place, precision_times
from mixtura.model.laws.log_densities import LogPrior, SmoothPrior, Terms, noise_block
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sweep
from mixtura.sweep.densities import Density, density_in_cache

TOGETHER = 256
"""Mixtures scored in one read of the data."""


class LogPosterior:
    """Of mixtures: ``log p(x | π, μ, Σ) + log p(π, μ, Σ)``.

    Parameters
    ----------
    sweep : Sweep
        Over the data; used by one thread at a time.
    prior : LogPrior

    Raises
    ------
    InvalidParameterError
        If the prior has a parameter that is no part of a mixture.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.sampling.log_posterior import LogPosterior
    >>> from mixtura.model.laws.independent import IndependentPrior
    >>> from mixtura.model.laws.scale_laws import HalfNormal
    >>> from mixtura.sweep import Sweep
    >>> x, prior = np.array([[0.0], [2.0]]), IndependentPrior([0.0], [2.0], HalfNormal(3.0))
    >>> m = mx.Mixture([0.3, 0.7], [[0.0], [2.0]], [1.0, 1.5], "spherical")
    >>> with Sweep(ArraySource(x)) as sweep:
    ...     (found,) = LogPosterior(sweep, prior)([m])
    >>> bool(np.isclose(found, m.log_likelihood(x) + prior.value(m)))
    True
    """

    def __init__(self, sweep: Sweep, prior: LogPrior) -> None:
        if common_log_spread := getattr(prior, "common_log_spread", 0.0):
            raise InvalidParameterError(
                "the prior lets all spreads share an unknown factor, which draws of mixtures do not hold; no evidence can be computed "
                f"from them. Use common_log_spread=0; got {common_log_spread!r}."
            )
        self._sweep, self._prior = sweep, prior

    def __call__(self, mixtures: Sequence[Mixture]) -> Array:
        """Of each mixture, ``(S,)``, all of whose components must have weight."""
        check_weights(mixtures)
        log_likelihoods = [
            swept.log_normaliser
            for first in range(0, len(mixtures), TOGETHER)
            for swept in self._sweep([mixture.scorer for mixture in mixtures[first : first + TOGETHER]])
        ]
        return np.array(log_likelihoods) + [self._prior.value(mixture) for mixture in mixtures]


def check_weights(mixtures: Sequence[Mixture]) -> None:
    """Raise if a component has no weight: the density of the weights may be infinite there, and their logarithms are."""
    if not all(mixture.weights.all() for mixture in mixtures):
        raise InvalidParameterError(
            "a mixture has a component without weight. Where the number of components is unknown, take the draws that use one number of "
            "them (draws.using); where it is known, weights below 1e-308 need a larger concentration of their prior."
        )


class FreeLogPosterior:
    """Of vectors, with its gradient.

    Parameters
    ----------
    sweep : Sweep
        Over the data; used by one thread at a time.
    about : Coordinates
        Of mixtures with the covariances ``Σ⁰``.
    prior : SmoothPrior

    Attributes
    ----------
    size : int
        Of the vectors.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.sampling.log_posterior import FreeLogPosterior
    >>> from mixtura.model.coordinates import Coordinates
    >>> from mixtura.model.laws.independent import IndependentPrior
    >>> from mixtura.sweep import Sweep
    >>> x = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> m = mx.Mixture([0.4, 0.6], [[0.5], [11.0]], [1.0, 1.0], "spherical")
    >>> prior = IndependentPrior.from_data_moments(x.mean(axis=0), x.var(axis=0), 2)
    >>> about = Coordinates(m, 5 * m.weights)
    >>> with Sweep(ArraySource(x)) as sweep:
    ...     value, gradient = FreeLogPosterior(sweep, about, prior)(np.zeros(about.size - 1))
    >>> bool(np.isclose(value, m.log_likelihood(x) + prior.value(m) + about.log_jacobian(np.zeros(about.size))))
    True
    """

    def __init__(self, sweep: Sweep, about: Coordinates, prior: SmoothPrior) -> None:
        self._sweep, self.about, self.prior = sweep, about, prior
        self.size = about.size - 1 + bool(prior.common_log_spread)

    @cached_property
    def _noise(self) -> Array | None:
        """What the resolution adds to each covariance block, if anything."""
        return noise_block(self.about.structure, self.prior.resolution) if self.prior.resolution.any() else None

    @cached_property
    def in_cache(self) -> Density | None:
        """The same over rows that fit a cache, by the compiled engine, where it knows the prior; any number of threads may ask."""
        return density_in_cache(self._sweep.source, self.about, self.prior)

    def __call__(self, q: Array) -> tuple[Array, Array]:
        """Values ``(...)`` and gradients at vectors ``(..., size)``: one read of the data for all of them.

        Minus infinity and zeros where no number can hold the mixture or its density.
        """
        return self.by_sweep(q) if self.in_cache is None else self.in_cache(q)

    def by_sweep(self, q: Array) -> tuple[Array, Array]:
        """The same by a sweep, whatever the rows and the prior."""
        with np.errstate(all="ignore"):
            try:
                values, gradients = self._evaluate(q)
            except np.linalg.LinAlgError:  # a root that overflows or vanishes
                if q.ndim > 1:
                    values, gradients = (np.array(parts) for parts in zip(*map(self.by_sweep, q), strict=True))
                else:
                    values, gradients = np.array(-np.inf), np.zeros(self.size)
        known = np.isfinite(values) & np.isfinite(gradients).all(axis=-1)
        return np.where(known, values, -np.inf), np.where(known[..., None], gradients, 0.0)

    def _evaluate(self, q: Array) -> tuple[Array, Array]:
        about, (vectors, log_factors) = self.about, self.split(q)
        place = about.place(vectors)
        prior = self.log_prior(place, log_factors)
        log_likelihoods, *by_likelihood = self._log_likelihood(place)
        by_parameters = (a + b for a, b in zip(by_likelihood, prior[1:4], strict=True))
        gradients = about.reduced(about.pull_back_blocks(place, *by_parameters) + about.log_jacobian_gradient(place))
        if self.prior.common_log_spread:
            gradients = np.concatenate([gradients, np.asarray(prior.by_log_factor)[..., None]], axis=-1)
        return log_likelihoods + prior.value + about.log_jacobian(place), gradients

    def _log_likelihood(self, place: Place) -> tuple[Array, Array, Array, Array]:
        """Log-likelihoods, and their derivatives by log weights, means and covariance blocks."""
        structure, shape = self.about.structure, place.means.shape
        factors = (
            place.factors
            if self._noise is None
            else structure.factor_from_roots(structure.block_roots(self.blocks(place)))
        )
        whitening, n_components = self.about.whitening(factors), shape[-2]
        scorer = Scorer.of(place.weights.reshape(-1), place.means.reshape(-1, shape[-1]), whitening)
        starts = range(0, len(scorer.constants), n_components)
        swept = self._sweep([scorer[start : start + n_components] for start in starts])
        values = np.array([one.log_normaliser for one in swept]).reshape(shape[:-2])
        about = Moments.stacked([one.moments for one in swept]).about(scorer.centres)
        counts = about.count.reshape(shape[:-1])
        second = about.second.reshape(*shape[:-1], *about.second.shape[1:])
        sums = (second.sum(axis=len(shape) - 2, keepdims=True), counts.sum(axis=-1, keepdims=True))
        scatter, n_rows = sums if structure.shared else (second, counts)
        by_blocks = structure.likelihood_slopes(structure.block_sums(scatter), n_rows, factors, shape[-1])
        return values, counts, precision_times(whitening, about.first).reshape(shape), by_blocks

    def blocks(self, place: Place) -> Array:
        """Covariance blocks ``Σ``, with what the resolution adds."""
        blocks = self.about.structure.block_from_roots(place.roots)
        return blocks if self._noise is None else blocks + self._noise

    def log_prior(self, place: Place, log_factors: Array) -> Terms:
        """The log prior at a place and logs of the common factor, with its derivatives."""
        return self.prior.terms(self.about.structure, place.weights, place.means, place.roots, log_factors)

    def split(self, q: Array) -> tuple[Array, Array]:
        """The vectors of mixtures, ``(..., size)``, and logs of the common factor of all spreads, ``(...)``."""
        if self.prior.common_log_spread:
            return self.about.expanded(q[..., :-1]), q[..., -1]
        return self.about.expanded(q), np.zeros(q.shape[:-1])

    def vector(self, mixture: Mixture) -> Array:
        """The vector of a mixture with the covariances ``Σ⁰``, and a common factor of one."""
        q = np.zeros(self.size)
        q[: self.about.size - 1] = self.about.reduced(self.about.vector(mixture))
        return q
