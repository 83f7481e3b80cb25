"""Means and covariances as a Gibbs sampler sees them: drawn anew given the moments of the rows that each component was given.

A ``ComponentPrior`` says how. The conjugate one draws means and covariances together; ``semi_conjugate.py`` has one that draws each given
the other. Components without rows are draws from the prior, so the same call serves them.

Moves that make components from others need parameters for them: those are *proposed* by a closed law given moments, near the conditional
law and equal to it where there is one, of which the density is known too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.covariance import STRUCTURES
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import Dirichlet
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Components:
    """Means and covariances of ``K`` components.

    Attributes
    ----------
    structure : SharedBlocks
    means : (K, D) array
    roots : (G, ...) array
        Of the ``G`` covariance blocks before rounding, ``K`` or one.
    scale : (1, ...) array
        Scale of the prior of a block under which they were drawn, which a hierarchical prior draws too.
    rounding : (1, ...) array, optional
        What rounding adds to each block.
    """

    structure: SharedBlocks
    means: Array
    roots: Array
    scale: Array
    rounding: Array | None = None

    @cached_property
    def factors(self) -> Array:
        """Precision factors of the blocks before rounding, ``(G, ...)``."""
        return self.structure.factor_from_roots(self.roots)

    @cached_property
    def rounded_factors(self) -> Array:
        """Precision factors of the blocks as they are seen, ``(G, ...)``."""
        if self.rounding is None:
            return self.factors
        return self.structure.factor_from_roots(self.structure.block_roots(self._rounded_blocks))

    @property
    def covariances(self) -> Array:
        """Natural array, rounding included."""
        return np.asarray(self.structure.as_natural(self._rounded_blocks))

    @cached_property
    def variances(self) -> Array:
        """Of each feature, rounding included, ``(K, D)``."""
        return np.broadcast_to(
            self.structure.block_variances(self._rounded_blocks, self.means.shape[1]), self.means.shape
        )

    @property
    def _rounded_blocks(self) -> Array:
        blocks = self.structure.block_from_roots(self.roots)
        return blocks if self.rounding is None else blocks + self.rounding

    @cached_property
    def scorer(self) -> Scorer:
        """The log densities of the components, without weights, in the form that travels to the data."""
        natural = np.asarray(self.structure.as_natural(self.rounded_factors))
        return Scorer.of(np.ones(len(self.means)), self.means, self.structure.whitening(natural, *self.means.shape))

    def __getitem__(self, chosen: NDArray[np.intp]) -> Components:
        roots = self.roots if self.structure.shared else self.roots[chosen]
        return replace(self, means=self.means[chosen], roots=roots)

    def at(self, means: Array) -> Components:
        """The same covariances about other means."""
        moved = replace(self, means=means)
        for name in ("factors", "rounded_factors", "variances"):
            if name in self.__dict__:  # what has been worked out already
                moved.__dict__[name] = self.__dict__[name]
        return moved

    def joined(self, means: Array, roots: Array) -> Components:
        """With more components; where all share one block, ``roots`` is it again."""
        roots = self.roots if self.structure.shared else np.concatenate([self.roots, roots])
        return replace(self, means=np.concatenate([self.means, means]), roots=roots)


class ComponentPrior(Protocol):
    """A prior of means and covariances, with the draws that a Gibbs sampler needs."""

    @property
    def structure(self) -> SharedBlocks:
        """Of the covariances."""

    @property
    def apart(self) -> ComponentPrior:
        """The same where each component has a covariance block of its own."""

    def begin(self, mixture: Mixture) -> Components:
        """The components of a mixture, from which a chain starts."""

    def update(self, moments: Moments, components: Components, rng: np.random.Generator) -> Components:
        """Components drawn given the moments of their rows (a full step of Gibbs where no closed draw exists)."""

    def extend(self, components: Components, n_more: int, rng: np.random.Generator) -> Components:
        """The same and so many drawn from the prior."""

    def typical(self, moments: Moments, scale: Array) -> Components:
        """The components about which those proposed lie."""

    def propose(self, moments: Moments, scale: Array, rng: np.random.Generator) -> Components:
        """Components drawn given moments alone, whatever they were before, by a law near the conditional one."""

    def log_weights(self, moments: Moments, components: Components) -> Array:
        """Log prior density given the scale less that of a proposal given moments, of each component, or of all that share a block."""

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

    @cached_property
    def apart(self) -> ConjugateComponents:
        return replace(self, structure=own_blocks(self.structure))

    def begin(self, mixture: Mixture) -> Components:
        return components_of(mixture, self.structure, self._scale)

    def update(self, moments: Moments, components: Components, rng: np.random.Generator) -> Components:
        return self.propose(moments, components.scale, rng)

    def propose(self, moments: Moments, scale: Array, rng: np.random.Generator) -> Components:
        """Components drawn from their law given the moments of their rows."""
        structure, posterior = self.structure, self._posterior(moments)
        scales = structure.as_blocks(posterior.scales)
        roots = structure.draw_roots(scales, posterior.degrees_of_freedom, posterior.n_features, rng)
        noise = rng.standard_normal(posterior.means.shape) / np.sqrt(posterior.mean_precisions)[:, None]
        return Components(structure, posterior.means + structure.apply_roots(roots, noise), roots, scale)

    def typical(self, moments: Moments, scale: Array) -> Components:
        posterior = self._posterior(moments)
        blocks = self.structure.as_blocks(posterior.scales)
        expected = blocks / posterior.degrees_of_freedom.reshape(-1, *[1] * (blocks.ndim - 1))
        return Components(self.structure, posterior.means, self.structure.block_roots(expected), scale)

    def log_weights(self, moments: Moments, components: Components) -> Array:
        posterior, prior, structure = self._posterior(moments), self.prior, self.structure
        n_features = len(prior.mean)
        blocks, degrees = structure.as_blocks(posterior.scales), posterior.degrees_of_freedom
        laws = structure.log_wishart_of_each(blocks, degrees, components.factors, n_features)
        before = structure.log_wishart_of_each(
            self._scale, np.full(1, prior.degrees_of_freedom), components.factors, n_features
        )
        on_means = _log_density_of_means(components, prior.mean, prior.mean_precision)
        on_means -= _log_density_of_means(components, posterior.means, posterior.mean_precisions)
        return before - laws + (on_means.sum(keepdims=True) if structure.shared else on_means)

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
        on_blocks = self.structure.log_wishart_of_each(blocks, degrees, at.factors, n_features).sum()
        return float(scorer.expected(moments) + self.log_density(at) - on_means - on_blocks)

    def _posterior(self, moments: Moments) -> Posterior:
        flat = Dirichlet(1.0, np.ones(len(moments.count)))
        return Posterior.from_moments(moments, self.structure, self.prior, flat)

    @property
    def _scale(self) -> Array:
        return self.structure.prior_block(self.prior.scale)


def _log_density_of_means(components: Components, centres: Array, precisions: Array | float) -> Array:
    """Log densities of normal means, whose precisions are so many times those of the rows, ``(K,)``; without ``(2π)^(−D/2)``."""
    factors, structure, shape = components.factors, components.structure, components.means.shape
    whitening = structure.whitening(np.asarray(structure.as_natural(factors)), *shape)
    scorer = Scorer(np.zeros(shape[0]), np.broadcast_to(centres, shape), whitening)
    offsets = scorer.whitened((components.means - centres)[:, None])[:, 0]
    diagonals = whitening if whitening.ndim == 2 else np.diagonal(whitening, axis1=1, axis2=2)
    log_roots = np.log(diagonals).sum(axis=1) + 0.5 * shape[1] * np.log(precisions)
    return np.asarray(log_roots - 0.5 * precisions * np.square(offsets).sum(axis=1))


def own_blocks(structure: SharedBlocks) -> SharedBlocks:
    """The structure of the same blocks, one for each component."""
    alike = (s for s in STRUCTURES if isinstance(s, SharedBlocks) and type(s).__mro__[1] in type(structure).__mro__)
    return next(s for s in alike if not s.shared)


def components_of(mixture: Mixture, structure: SharedBlocks, scale: Array) -> Components:
    """The components of a mixture under a prior of this scale."""
    return Components(structure, mixture.means, structure.block_roots(structure.as_blocks(mixture.covariances)), scale)


def draw_prior_roots(
    structure: SharedBlocks, scale: Array, degrees: float, n_blocks: int, n_features: int, rng: np.random.Generator
) -> Array:
    """Roots of blocks drawn from the prior."""
    return structure.draw_roots(np.repeat(scale, n_blocks, axis=0), np.full(n_blocks, degrees), n_features, rng)
