"""The log posterior density of a mixture as a function of a free vector, with its gradient: one read of the data for both.

    log p(q | x) = ℓ(π, μ, Σ) + log p(π, μ, Σ) + log |∂(π, μ, Σ)/∂q|

with labels summed out of the likelihood ``ℓ``. ``q`` are reduced coordinates about a mode, in which the complete data would have the
identity as information; where the prior has a common factor of all spreads, the log of that comes last.
"""

from __future__ import annotations

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.model.coordinates import Coordinates, Place
from mixtura.model.independent_prior import IndependentPrior, Terms
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.sweep import Sweep


class LogPosterior:
    """The log density and its gradient.

    Parameters
    ----------
    sweep : Sweep
        Over the data; used by one thread at a time.
    about : Coordinates
    prior : IndependentPrior

    Attributes
    ----------
    size : int
        Of the vectors.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.log_posterior import LogPosterior
    >>> from mixtura.model.coordinates import Coordinates
    >>> from mixtura.model.independent_prior import IndependentPrior
    >>> from mixtura.sweep import Sweep
    >>> x = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> m = mx.Mixture([0.4, 0.6], [[0.5], [11.0]], [1.0, 1.0], "spherical")
    >>> prior = IndependentPrior.from_data_moments(x.mean(axis=0), x.var(axis=0), 2)
    >>> about = Coordinates(m, 5 * m.weights)
    >>> with Sweep(ArraySource(x)) as sweep:
    ...     value, gradient = LogPosterior(sweep, about, prior)(np.zeros(about.size - 1))
    >>> bool(np.isclose(value, m.log_likelihood(x) + prior.value(m) + about.log_jacobian(np.zeros(about.size))))
    True
    """

    def __init__(self, sweep: Sweep, about: Coordinates, prior: IndependentPrior) -> None:
        self._sweep, self.about, self.prior = sweep, about, prior
        self.size = about.size - 1 + bool(prior.common_log_spread)

    def __call__(self, q: Array) -> tuple[Array, Array]:
        """Values ``(...)`` and gradients at vectors ``(..., size)``: one read of the data for all of them.

        Minus infinity and zeros where no number can hold the mixture or its density.
        """
        with np.errstate(all="ignore"):
            try:
                values, gradients = self._evaluate(q)
            except np.linalg.LinAlgError:  # a root that overflows or vanishes
                if q.ndim > 1:
                    values, gradients = (np.array(parts) for parts in zip(*map(self, q), strict=True))
                else:
                    values, gradients = np.array(-np.inf), np.zeros(self.size)
        known = np.isfinite(values) & np.isfinite(gradients).all(axis=-1)
        return np.where(known, values, -np.inf), np.where(known[..., None], gradients, 0.0)

    def _evaluate(self, q: Array) -> tuple[Array, Array]:
        about, (vectors, log_factors) = self.about, self.split(q)
        place = about.place(vectors)
        scorer, n_components = about.scorer(place), place.weights.shape[-1]
        starts = range(0, len(scorer.constants), n_components)
        swept = self._sweep([scorer[start : start + n_components] for start in starts])
        log_likelihoods = np.array([one.log_normaliser for one in swept]).reshape(vectors.shape[:-1])
        moments = Moments.stacked([one.moments for one in swept])
        prior = self.log_prior(place, log_factors)
        gradients = about.reduced(about.posterior_gradient(place, moments, *prior.by_parameters))
        if self.prior.common_log_spread:
            gradients = np.concatenate([gradients, prior.by_log_factor[..., None]], axis=-1)
        return log_likelihoods + prior.value + about.log_jacobian(place), gradients

    def log_prior(self, place: Place, log_factors: Array) -> Terms:
        """The log prior at a place and logs of the common factor, with its derivatives."""
        return self.prior.terms(self.about.structure, place.weights, place.means, place.roots, log_factors)

    def split(self, q: Array) -> tuple[Array, Array]:
        """The vectors of mixtures, ``(..., size)``, and logs of the common factor of all spreads, ``(...)``."""
        if self.prior.common_log_spread:
            return self.about.expanded(q[..., :-1]), q[..., -1]
        return self.about.expanded(q), np.zeros(q.shape[:-1])

    def vector(self, mixture: Mixture) -> Array:
        """The vector of a mixture, with a common factor of one."""
        q = np.zeros(self.size)
        q[: self.about.size - 1] = self.about.reduced(self.about.vector(mixture))
        return q
