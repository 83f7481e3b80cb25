"""Means and covariances as a Gibbs sampler sees them: drawn anew given the moments of the rows that each component was given.

A ``ComponentPrior`` says how. The conjugate one draws means and covariances together; ``semi_conjugate.py`` has one that draws each given
the other. Components without rows are draws from the prior, so the same call serves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.posterior import Posterior
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.scorer import Scorer
from mixtura.model.weight_posterior import Dirichlet


@dataclass(frozen=True, eq=False)
class Components:
    """Means and covariances of ``K`` components.

    Attributes
    ----------
    structure : SharedBlocks
    means : (K, D) array
    roots : (G, ...) array
        Of the ``G`` covariance blocks, ``K`` or one.
    scale : (1, ...) array
        Scale of the prior of a block under which they were drawn, which a hierarchical prior draws too.
    """

    structure: SharedBlocks
    means: Array
    roots: Array
    scale: Array

    @cached_property
    def factors(self) -> Array:
        """Precision factors of the blocks, ``(G, ...)``."""
        return self.structure.factor_from_roots(self.roots)

    @property
    def covariances(self) -> Array:
        """Natural array."""
        return np.asarray(self.structure.as_natural(self.structure.block_from_roots(self.roots)))

    @cached_property
    def scorer(self) -> Scorer:
        """The log densities of the components, without weights, in the form that travels to the data."""
        natural = np.asarray(self.structure.as_natural(self.factors))
        return Scorer.of(np.ones(len(self.means)), self.means, self.structure.whitening(natural, *self.means.shape))

    def __getitem__(self, chosen: NDArray[np.intp]) -> Components:
        roots = self.roots if self.structure.shared else self.roots[chosen]
        return Components(self.structure, self.means[chosen], roots, self.scale)

    def joined(self, means: Array, roots: Array) -> Components:
        """With more components; where all share one block, ``roots`` is it again."""
        roots = self.roots if self.structure.shared else np.concatenate([self.roots, roots])
        return Components(self.structure, np.concatenate([self.means, means]), roots, self.scale)


class ComponentPrior(Protocol):
    """A prior of means and covariances, with the draws that a Gibbs sampler needs."""

    @property
    def structure(self) -> SharedBlocks:
        """Of the covariances."""

    def begin(self, mixture: Mixture) -> Components:
        """The components of a mixture, from which a chain starts."""

    def update(self, moments: Moments, components: Components, rng: np.random.Generator) -> Components:
        """Components drawn given the moments of their rows (a full step of Gibbs where no closed draw exists)."""

    def extend(self, components: Components, n_more: int, rng: np.random.Generator) -> Components:
        """The same and so many drawn from the prior."""

    def log_density(self, components: Components) -> float:
        """Log prior density, for covariances relative to the measure ``|Λ|^(−(D+1)/2) dΛ`` (``dλ/λ`` for a variance)."""


@dataclass(frozen=True, eq=False)
class ConjugateComponents:
    """Normal–inverse-Wishart components, and their natural analogues for the other structures.

    Attributes
    ----------
    structure : SharedBlocks
    prior : NormalInverseWishart
    """

    structure: SharedBlocks
    prior: NormalInverseWishart

    def begin(self, mixture: Mixture) -> Components:
        return components_of(mixture, self.structure, self._scale)

    def update(self, moments: Moments, components: Components, rng: np.random.Generator) -> Components:
        return self.draw(moments, rng)

    def draw(self, moments: Moments, rng: np.random.Generator) -> Components:
        """Components drawn given the moments of their rows, whatever they were before."""
        structure, posterior = self.structure, self._posterior(moments)
        scales = structure.as_blocks(posterior.scales)
        roots = structure.draw_roots(scales, posterior.degrees_of_freedom, posterior.n_features, rng)
        noise = rng.standard_normal(posterior.means.shape) / np.sqrt(posterior.mean_precisions)[:, None]
        return Components(structure, posterior.means + structure.apply_roots(roots, noise), roots, self._scale)

    def extend(self, components: Components, n_more: int, rng: np.random.Generator) -> Components:
        if not n_more:
            return components
        roots = components.roots
        if not self.structure.shared:
            roots = draw_prior_roots(
                self.structure, self._scale, self.prior.degrees_of_freedom, n_more, len(self.prior.mean), rng
            )
        noise = rng.standard_normal((n_more, len(self.prior.mean))) / np.sqrt(self.prior.mean_precision)
        return components.joined(self.prior.mean + self.structure.apply_roots(roots, noise), roots)

    def log_density(self, components: Components) -> float:
        n_components, n_features = components.means.shape
        kappa = self.prior.mean_precision
        scorer = components.scorer
        distances = np.square(scorer.whitened(scorer.residuals(self.prior.mean[None]))).sum()
        on_means = scorer.constants.sum() + 0.5 * (n_components * n_features * np.log(kappa) - kappa * distances)
        on_blocks = self.structure.log_wishart(
            self._scale, np.full(1, self.prior.degrees_of_freedom), components.factors, n_features
        )
        return float(on_means + on_blocks.sum())

    def log_evidence(self, moments: Moments) -> float:
        """Log density of rows that were given to components, means and covariances integrated out.

        Bayes' rule at any one point: likelihood times prior over posterior, here where the posterior is centred.
        """
        posterior = self._posterior(moments)
        blocks = self.structure.as_blocks(posterior.scales)
        degrees = posterior.degrees_of_freedom
        roots = self.structure.block_roots(blocks / degrees.reshape(-1, *[1] * (blocks.ndim - 1)))
        at = Components(self.structure, posterior.means, roots, self._scale)
        scorer = at.scorer
        n_features = posterior.n_features
        on_means = scorer.constants.sum() + 0.5 * n_features * np.log(posterior.mean_precisions).sum()
        on_blocks = np.trace(self.structure.log_wishart(blocks, degrees, at.factors, n_features))
        return float(scorer.expected(moments) + self.log_density(at) - on_means - on_blocks)

    def _posterior(self, moments: Moments) -> Posterior:
        flat = Dirichlet(1.0, np.ones(len(moments.count)))
        return Posterior.from_moments(moments, self.structure, self.prior, flat)

    @property
    def _scale(self) -> Array:
        return self.structure.prior_block(self.prior.scale)


def components_of(mixture: Mixture, structure: SharedBlocks, scale: Array) -> Components:
    """The components of a mixture under a prior of this scale."""
    roots = structure.block_roots(structure.as_blocks(mixture.covariances))
    return Components(structure, mixture.means, roots, scale)


def draw_prior_roots(
    structure: SharedBlocks, scale: Array, degrees: float, n_blocks: int, n_features: int, rng: np.random.Generator
) -> Array:
    """Roots of blocks drawn from the prior."""
    return structure.draw_roots(np.repeat(scale, n_blocks, axis=0), np.full(n_blocks, degrees), n_features, rng)


def select(moments: Moments, chosen: NDArray[np.intp]) -> Moments:
    """The moments of some components, in this order."""
    return Moments(moments.count[chosen], moments.first[chosen], moments.second[chosen], moments.origin[chosen])
