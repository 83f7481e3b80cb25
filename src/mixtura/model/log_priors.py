"""Log prior densities of a mixture with all of their constants, which an evidence needs and a sampler does not; and draws from them.

All are densities of ``(π₁ … π_{K−1}, μ, Σ)``, for covariances of the free entries of the blocks, as that of ``IndependentPrior`` is. The
priors of Gibbs samplers are stated relative to the measure ``|Λ|^(−(D+1)/2) dΛ`` (``dλ/λ`` for a variance), which is the same in ``Σ``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.model.components import Components, ConjugateComponents, draw_prior_roots
from mixtura.model.covariance.structure import CovarianceStructure, SharedBlocks
from mixtura.model.mixture import Mixture
from mixtura.model.semi_conjugate import SemiConjugateComponents


class LogPrior(Protocol):
    """A prior of a mixture that does not change when components are renumbered."""

    @property
    def concentration(self) -> float:
        """``α`` of the symmetric Dirichlet law of the weights."""

    def value(self, mixture: Mixture) -> float:
        """Log density of ``(π, μ, Σ)``, normalised."""

    def draw(self, n_components: int, structure: CovarianceStructure, rng: np.random.Generator) -> Mixture:
        """A mixture from the prior."""


@dataclass(frozen=True, eq=False)
class ConjugatePrior:
    """Dirichlet weights and normal–inverse-Wishart components.

    Attributes
    ----------
    components : ConjugateComponents
    concentration : float

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.stats import dirichlet, invgamma, norm
    >>> import mixtura as mx
    >>> from mixtura.model.components import ConjugateComponents
    >>> from mixtura.model.log_priors import ConjugatePrior
    >>> m = mx.Mixture([0.3, 0.7], [[5.0], [8.0]], [1.5, 0.5], "spherical")
    >>> niw = mx.NormalInverseWishart(mean=[6.0], mean_precision=0.1, scale=[[4.0]], degrees_of_freedom=4)
    >>> value = ConjugatePrior(ConjugateComponents(m.structure, niw), 2.0).value(m)
    >>> by_scipy = dirichlet.logpdf(m.weights, [2, 2]) + invgamma.logpdf(m.covariances, 2, scale=2).sum()
    >>> by_scipy += norm.logpdf(m.means[:, 0], 6, np.sqrt(m.covariances / 0.1)).sum()
    >>> bool(np.isclose(value, by_scipy))
    True
    """

    components: ConjugateComponents
    concentration: float

    def value(self, mixture: Mixture) -> float:
        components = self.components.begin(mixture)
        return (
            self.components.log_density(components)
            + _log_measure(components)
            + log_dirichlet(mixture.weights, self.concentration)
        )

    def draw(self, n_components: int, structure: CovarianceStructure, rng: np.random.Generator) -> Mixture:
        components, prior = self.components, self.components.prior
        scale = components.structure.prior_block(prior.scale)
        return _drawn(components, scale, prior.degrees_of_freedom, n_components, self.concentration, rng)


@dataclass(frozen=True, eq=False)
class SemiConjugatePrior:
    """Dirichlet weights, and means independent of covariances that share a scale ``Ψ``, which is integrated out.

    Bayes' rule at any one scale: ``p(Σ) = p(Σ | Ψ) p(Ψ) / p(Ψ | Σ)``.

    Attributes
    ----------
    components : SemiConjugateComponents
    concentration : float
    """

    components: SemiConjugateComponents
    concentration: float

    def value(self, mixture: Mixture) -> float:
        components = self.components.begin(mixture)
        return (
            self.components.log_density(components)
            - self._log_density_of_scale(components)
            + _log_measure(components)
            + log_dirichlet(mixture.weights, self.concentration)
        )

    def draw(self, n_components: int, structure: CovarianceStructure, rng: np.random.Generator) -> Mixture:
        prior, own = self.components, self.components.structure
        # Ψ has the law of a precision.
        roots = own.draw_roots(
            own.prior_block(prior.scale), np.full(1, prior.scale_degrees_of_freedom), len(prior.mean), rng
        )
        scale = own.block_precisions(own.factor_from_roots(roots))
        return _drawn(prior, scale, prior.degrees_of_freedom, n_components, self.concentration, rng)

    def _log_density_of_scale(self, components: Components) -> float:
        """``log p(Ψ | Λ)``: ``Ψ ~ Wishart((S + Σ_g Λ_g)⁻¹, g + G ν₀)``, whose density has the form of that of a precision."""
        prior, structure = self.components, components.structure
        precisions = structure.block_precisions(components.factors)
        scale = structure.prior_block(prior.scale) + precisions.sum(axis=0, keepdims=True)
        degrees = np.full(1, prior.scale_degrees_of_freedom + len(precisions) * prior.degrees_of_freedom)
        root = structure.block_roots(components.scale)
        return float(structure.log_wishart(scale, degrees, root, len(prior.mean)).sum())


def _drawn(
    prior: ConjugateComponents | SemiConjugateComponents,
    scale: Array,
    degrees: float,
    n_components: int,
    concentration: float,
    rng: np.random.Generator,
) -> Mixture:
    """A mixture whose covariance blocks have this scale: as a sampler draws components without rows."""
    structure = prior.structure
    n_features = len(prior.prior.mean if isinstance(prior, ConjugateComponents) else prior.mean)
    shared = draw_prior_roots(structure, scale, degrees, 1, n_features, rng) if structure.shared else None
    roots = structure.block_roots(scale)[:0] if shared is None else shared
    none = Components(structure, np.empty((0, n_features)), roots, scale)
    drawn = prior.extend(none, n_components, rng)
    weights = rng.dirichlet(np.full(n_components, concentration))
    return Mixture(weights, drawn.means, drawn.covariances, structure.name)


def log_dirichlet(weights: Array, concentration: float) -> float:
    """Log density of a symmetric Dirichlet law."""
    n_components = len(weights)
    constant = math.lgamma(n_components * concentration) - n_components * math.lgamma(concentration)
    # Flat weights have a density at zero too, where zero times minus infinity would be no number.
    return constant + ((concentration - 1) * float(np.log(weights).sum()) if concentration != 1 else 0.0)


def log_invariant_measure(structure: SharedBlocks, roots: Array, n_features: int) -> Array:
    """Log density of the measure ``|Λ|^(−(D+1)/2) dΛ`` by the free entries of each covariance block, ``(G,)``.

    That by logarithms of the diagonal of a root is constant, so the Jacobian of those is all there is to it.
    """
    identity = structure.block_roots(structure.prior_block(np.eye(n_features)))
    return structure.block_log_jacobians(identity) - structure.block_log_jacobians(roots)


def _log_measure(components: Components) -> float:
    return float(log_invariant_measure(components.structure, components.roots, components.means.shape[1]).sum())
