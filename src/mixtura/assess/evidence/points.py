"""Mixtures as points, at which any prior has a density: draws, conjugate laws of them, and what is integrated over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixtura.assess.evidence.allocations import allocated, annealed, given
from mixtura.assess.evidence.drawn import DrawnMixtures
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.log_posterior import LogPosterior, check_weights
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.draws import Draws
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.log_densities import ConjugatePrior, LogPrior, log_invariant_measure
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import Dirichlet
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sweep, moments_of_all


@dataclass(frozen=True, eq=False)
class Points:
    """Mixtures, and once somebody asks the same as parameters of conjugate laws.

    Attributes
    ----------
    draws : Draws
        As one chain. All components have weight.
    """

    draws: Draws

    @classmethod
    def of(cls, draws: Draws) -> Points:
        """All draws, chain after chain.

        Raises
        ------
        InvalidParameterError
            If a component has no weight.
        """
        flat = draws.subset(len(draws))
        weightless = np.flatnonzero(~flat.weights[0].all(axis=1))
        check_weights([flat.mixture(0, int(i)) for i in weightless[:1]])
        return cls(flat)

    @classmethod
    def joined(cls, parts: Sequence[Points]) -> Points:
        """Several together."""
        draws = [part.draws for part in parts]
        arrays = (
            np.concatenate([getattr(d, name) for d in draws], axis=1) for name in ("weights", "means", "covariances")
        )
        return cls(Draws(draws[0].structure, *arrays))

    def __len__(self) -> int:
        return len(self.draws)

    @cached_property
    def mixtures(self) -> list[Mixture]:
        """One by one."""
        return list(self.draws.thinned(len(self)))

    @cached_property
    def parameters(self) -> DrawnMixtures:
        """As conjugate laws have them."""
        structure, n_features = self._structure, self.draws.n_features
        factors = structure.factor_from_roots(self._roots)
        whitening = structure.block_whitening(factors, n_features)
        if structure.shared:
            whitening = np.repeat(whitening, self.draws.n_components, axis=0)
        scorer = Scorer.of(self.draws.weights.ravel(), self.draws.means.reshape(-1, n_features), whitening)
        return DrawnMixtures(np.log(self.draws.weights[0]), factors, scorer)

    @cached_property
    def log_measure(self) -> Array:
        """What makes log densities of the parameters under beliefs those of ``(π, μ, Σ)``, ``(S,)``."""
        log_weights = self.parameters.log_weights
        constants = self.parameters.scorer.constants.reshape(log_weights.shape) - log_weights
        on_blocks = log_invariant_measure(self._structure, self._roots, self.draws.n_features).reshape(len(self), -1)
        return constants.sum(axis=1) + on_blocks.sum(axis=1) - math.lgamma(self.draws.n_components + 1)

    @property
    def _structure(self) -> SharedBlocks:
        assert isinstance(self.draws.structure, SharedBlocks)
        return self.draws.structure

    @cached_property
    def _roots(self) -> Array:
        shape = self._structure.block_shape(self.draws.n_features)
        return self._structure.block_roots(self.draws.covariances.reshape(-1, *shape))


@dataclass(frozen=True, eq=False)
class Conditional:
    """The law of the parameters under a conjugate belief, all relabellings included.

    Attributes
    ----------
    belief : Posterior
    """

    belief: Posterior

    def draw(self, n_draws: int, rng: np.random.Generator) -> Points:
        """So many mixtures."""
        structure, shape = self.belief.structure, self.belief.means.shape
        log_weights, means, roots = self.belief.draw_parameters(n_draws, rng)
        blocks = structure.block_from_roots(roots.reshape(-1, *roots.shape[2:]))
        covariances = blocks.reshape(1, n_draws, *structure.shape(*shape))
        return Points.of(Draws(structure, np.exp(log_weights)[None], means[None], covariances))

    def log_densities(self, points: Points) -> Array:
        """Of ``(π, μ, Σ)`` for each mixture, ``(S,)``."""
        return points.parameters.log_density(self.belief) + points.log_measure


@dataclass(frozen=True, eq=False)
class PointJoint:
    """The density of rows and parameters under any prior.

    Attributes
    ----------
    sweep : Sweep
        Over the rows.
    log_posteriors : LogPosterior
    before : Posterior
        The prior if it is conjugate, else a weak one in its place, from which laws are learnt.
    is_conjugate : bool
        Whether it is: then densities of many mixtures cost little.
    """

    sweep: Sweep
    log_posteriors: LogPosterior
    before: Posterior
    is_conjugate: bool

    @classmethod
    def of(cls, sweep: Sweep, prior: LogPrior, like: Mixture) -> PointJoint:
        """That of mixtures like one of them."""
        structure, shape = like.structure, like.means.shape
        if not isinstance(structure, SharedBlocks):
            raise InvalidParameterError(f"covariance_type {structure.name!r} has no conjugate laws to propose from.")
        weights = Dirichlet(prior.concentration, np.full(shape[0], prior.concentration))
        second = np.zeros(shape if structure.diagonal else (*shape, shape[1]))
        nothing = Moments(np.zeros(shape[0]), np.zeros(shape), second, like.means)
        before = Posterior.from_moments(nothing, structure, conjugate_prior(prior, sweep.source, like), weights)
        return cls(sweep, LogPosterior(sweep, prior), before, isinstance(prior, ConjugatePrior))

    def joined(self, parts: Sequence[Points]) -> Points:
        """Mixtures of several laws together."""
        return Points.joined(parts)

    def log_joint(self, points: Points) -> Array:
        """``log p(x, θ)`` of each mixture."""
        if not self.is_conjugate:
            return self.log_posteriors(points.mixtures)
        return Conditional(self.before).log_densities(points) + points.parameters.log_likelihoods(self.sweep.source)

    def learnt(self, points: Points, chosen: NDArray[np.intp], rng: np.random.Generator) -> list[Conditional]:
        """Conjugate laws given allocations as under the chosen mixtures."""
        moments = allocated(self.sweep, [points.parameters[i : i + 1].scorer for i in chosen.tolist()], rng)
        return [Conditional(belief) for belief in given(moments, self.before)]

    def explored(self, n_chains: int, rng: np.random.Generator) -> list[Conditional]:
        """Conjugate laws given the last allocations of chains that know of no mode."""
        return [Conditional(belief) for belief in annealed(self.sweep, self.before, n_chains, rng)]


def conjugate_prior(prior: LogPrior, source: Source, mixture: Mixture) -> NormalInverseWishart:
    """The prior of means and covariances if it is conjugate, else a weak one from the data."""
    if isinstance(prior, ConjugatePrior):
        return prior.components.prior
    structure = mixture.structure
    moments = moments_of_all(source, diagonal=structure.diagonal)
    scatter = moments.scatter()[0] / moments.count[0]
    covariance = np.diag(scatter) if structure.diagonal else scatter
    return NormalInverseWishart.from_data_moments(moments.means()[0], covariance, mixture.n_components)
