"""Log prior densities of a mixture with all of their constants, and their derivatives; and draws from them.

All are densities of ``(π₁ … π_{K−1}, μ, Σ)``, for covariances of the free entries of the blocks, as that of ``IndependentPrior`` is. The
priors of Gibbs samplers are stated relative to the measure ``|Λ|^(−(D+1)/2) dΛ`` (``dλ/λ`` for a variance), which is the same in ``Σ``.

Rows are known no finer than the *resolution* of their columns: a row is ``y = x + e`` with ``e ~ N(0, diag(r²))``, so a component has the
covariance ``Σ = Σ⁰ + diag(r²)`` (a round one the mean of ``r²``), and the prior is one of ``Σ⁰``. However often values repeat, no component
is narrower than the resolution, and the likelihood has a bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, log_determinants
from mixtura.model.covariance.structure import CovarianceStructure, SharedBlocks
from mixtura.model.laws.components import Components, ConjugateComponents, draw_prior_roots
from mixtura.model.laws.scale_laws import numbers
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.model.mixture import Mixture
from mixtura.model.scorer import LOG_2_PI


class Terms(NamedTuple):
    """Log densities of a stack of mixtures, and their derivatives.

    Attributes
    ----------
    value : (...) array
    by_log_weights, by_means : (..., K) and (..., K, D) arrays
        By logs of weights, as if all were free, and by means.
    by_blocks : (..., G, D, D), (..., G, D) or (..., G) array
        By the entries of the covariance blocks, as if all were free.
    by_log_factor : (...) array or float
        By the log of the common factor of all spreads, where the prior has one.
    """

    value: Array
    by_log_weights: Array
    by_means: Array
    by_blocks: Array
    by_log_factor: Array | float = 0.0


class LogPrior(Protocol):
    """A prior of a mixture that does not change when components are renumbered."""

    @property
    def concentration(self) -> float:
        """``α`` of the symmetric Dirichlet law of the weights."""

    def value(self, mixture: Mixture) -> float:
        """Log density of ``(π, μ, Σ)``, normalised; minus infinity where a component is narrower than the resolution."""

    def draw(self, n_components: int, structure: CovarianceStructure, rng: np.random.Generator) -> Mixture:
        """A mixture from the prior."""


class SmoothPrior(LogPrior, Protocol):
    """One with derivatives."""

    @property
    def common_log_spread(self) -> float:
        """Spread of the log of a factor that all spreads share, which is a parameter too; zero if there is none."""

    @property
    def resolution(self) -> Array:
        """``r``, ``(D,)``: how finely each column is known, as a standard deviation; zero for exactly."""

    def terms(
        self, structure: SharedBlocks, weights: Array, means: Array, roots: Array, log_factor: ArrayLike = 0.0
    ) -> Terms:
        """The log density of mixtures and its derivatives, both for ``Σ⁰``.

        Parameters
        ----------
        structure : SharedBlocks
        weights, means : (..., K) and (..., K, D) arrays
        roots : array
            Of the blocks of ``Σ⁰``.
        log_factor : (...) array-like
            Log of the common factor of all spreads.
        """


def density_of(prior: SmoothPrior, mixture: Mixture, log_factor: float = 0.0) -> float:
    """What a prior says of one mixture."""
    structure = smooth(mixture.structure)
    roots = latent_roots(structure, mixture.covariances, prior.resolution)
    if roots is None:
        return -math.inf
    return float(prior.terms(structure, mixture.weights, mixture.means, roots, log_factor).value)


def latent_roots(structure: SharedBlocks, covariances: Array, resolution: Array) -> Array | None:
    """Roots of the blocks of ``Σ⁰ = Σ − diag(r²)``; nothing where one of them is not positive definite."""
    blocks = structure.as_blocks(covariances) - noise_block(structure, resolution)
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            roots = structure.block_roots(blocks)
            return roots if np.isfinite(structure.block_log_determinants(roots)).all() else None
    except np.linalg.LinAlgError:
        return None


def noise_block(structure: SharedBlocks, resolution: Array) -> Array:
    """``diag(r²)`` as a stack of one block."""
    return structure.prior_block(np.diag(resolution**2))


def smooth(structure: CovarianceStructure) -> SharedBlocks:
    """The structure, if its covariances have derivatives."""
    if isinstance(structure, SharedBlocks):
        return structure
    raise InvalidParameterError(f"covariance_type {structure.name!r} has no prior of its covariances.")


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
    >>> from mixtura.model.laws.components import ConjugateComponents
    >>> from mixtura.model.laws.log_densities import ConjugatePrior
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
        measure = log_invariant_measure(components.structure, components.roots, components.means.shape[1]).sum()
        return float(
            self.components.log_density(components) + measure + log_dirichlet(mixture.weights, self.concentration)
        )

    def draw(self, n_components: int, structure: CovarianceStructure, rng: np.random.Generator) -> Mixture:
        components, prior = self.components, self.components.prior
        scale = components.structure.prior_block(prior.scale)
        return _drawn(components, scale, prior.degrees_of_freedom, n_components, self.concentration, rng)


@dataclass(frozen=True, eq=False)
class SemiConjugatePrior:
    """Dirichlet weights, and means independent of covariances that share a scale ``Ψ``, which is integrated out.

        log p(Λ) = ν₀/2 Σ_g log|Λ_g| − (g + G ν₀)/2 log|S + Σ_g Λ_g| + constant

    for matrices, relative to the measure above, with the natural analogues for variances; its gradient is that of ``G`` blocks of
    ``ν₀`` rows with the scatter ``E[Ψ | Λ] = (g + G ν₀) (S + Σ_g Λ_g)⁻¹`` (Fisher's identity).

    Attributes
    ----------
    components : SemiConjugateComponents
    concentration : float

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.model.laws.log_densities import SemiConjugatePrior
    >>> from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
    >>> m = mx.Mixture([0.3, 0.7], [[5.0], [8.0]], [1.5, 0.5], "spherical")
    >>> components = SemiConjugateComponents.of_ranges(m.structure, np.array([0.0]), np.array([10.0]))
    >>> prior = SemiConjugatePrior(components, 1.0)
    >>> moved = mx.Mixture(m.weights, 2 * m.means, 4 * m.covariances, "spherical")  # other units
    >>> wider = SemiConjugatePrior(SemiConjugateComponents.of_ranges(m.structure, np.array([0.0]), np.array([20.0])), 1.0)
    >>> bool(np.isclose(prior.value(m), wider.value(moved) + 2 * np.log(2) + 2 * np.log(4)))
    True
    """

    components: SemiConjugateComponents
    concentration: float
    common_log_spread: ClassVar[float] = 0.0

    @property
    def resolution(self) -> Array:
        return self.components.resolution

    def value(self, mixture: Mixture) -> float:
        return density_of(self, mixture)

    def terms(
        self, structure: SharedBlocks, weights: Array, means: Array, roots: Array, log_factor: ArrayLike = 0.0
    ) -> Terms:
        on_blocks, by_blocks = self._of_blocks(structure, roots, means.shape[-1])
        offsets = means - self.components.mean
        by_means = -offsets @ self.mean_precision
        value = log_weight_powers(weights, self.concentration) + on_blocks
        value += 0.5 * (offsets * by_means).sum(axis=(-2, -1)) + self.log_constant(structure, means.shape[-2])
        return Terms(value, np.full(weights.shape, self.concentration - 1), by_means, by_blocks)

    def draw(self, n_components: int, structure: CovarianceStructure, rng: np.random.Generator) -> Mixture:
        prior, own = self.components, self.components.structure
        # Ψ has the law of a precision.
        roots = own.draw_roots(
            own.prior_block(prior.scale), np.full(1, prior.scale_degrees_of_freedom), len(prior.mean), rng
        )
        scale = own.block_precisions(own.factor_from_roots(roots))
        latent = _drawn(prior, scale, prior.degrees_of_freedom, n_components, self.concentration, rng)
        blocks = own.as_blocks(latent.covariances) + noise_block(own, self.resolution)
        return Mixture(latent.weights, latent.means, own.as_natural(blocks), own)

    def __str__(self) -> str:
        prior = self.components
        spreads = np.sqrt(np.diagonal(prior.mean_covariance))
        resolution = f"; resolution {numbers(prior.resolution)}" if prior.resolution.any() else ""
        return (
            f"weights Dirichlet({self.concentration:g}); means normal(location {numbers(prior.mean)}, scale {numbers(spreads)}); "
            f"covariances inverse Wishart({prior.degrees_of_freedom:g} degrees of freedom) with one scale, which is learnt{resolution}"
        )

    def _of_blocks(self, structure: SharedBlocks, roots: Array, n_features: int) -> tuple[Array, Array]:
        """Log density of covariance blocks, ``(...)``, and its derivatives by them."""
        prior, factors = self.components, structure.factor_from_roots(roots)
        precisions, axis = structure.block_precisions(factors), -1 - len(structure.block_shape(n_features))
        n_blocks, nu = roots.shape[axis], prior.degrees_of_freedom
        degrees = prior.scale_degrees_of_freedom + n_blocks * nu
        # The root of a precision for that of a covariance: the scale has the law of a precision.
        own = structure.block_roots(structure.prior_block(prior.scale) + precisions.sum(axis=axis, keepdims=True))
        expected = degrees * structure.block_precisions(structure.factor_from_roots(own))
        times, measure = _determinants(structure, n_features)
        log_determinants = structure.block_log_determinants(roots)
        value = -0.5 * (times * nu + measure) * log_determinants.sum(axis=-1)
        value -= 0.5 * degrees * times * structure.block_log_determinants(own)[..., 0]
        by_blocks = structure.likelihood_slopes(expected, np.full(log_determinants.shape, nu), factors, n_features)
        return value, by_blocks - 0.5 * measure * precisions

    def log_constant(self, structure: SharedBlocks, n_components: int) -> float:
        """What does not depend on the parameters of so many components."""
        prior, n_features = self.components, len(self.components.mean)
        scale_root = structure.block_roots(structure.prior_block(prior.scale))
        times, _ = _determinants(structure, n_features)
        on_scale = 0.5 * prior.scale_degrees_of_freedom * times * structure.block_log_determinants(scale_root)[0]
        degrees, n_blocks = (
            (prior.degrees_of_freedom, prior.scale_degrees_of_freedom),
            1 if structure.shared else n_components,
        )
        on_blocks = _log_ratio_of_gammas(structure, *degrees, n_blocks, n_features) + float(on_scale)
        return (
            log_dirichlet_constant(n_components, self.concentration)
            - n_components * self._log_mean_normaliser
            + on_blocks
        )

    @cached_property
    def mean_precision(self) -> Array:
        """``B₀⁻¹``, ``(D, D)``."""
        return np.linalg.inv(self.components.mean_covariance)

    @cached_property
    def _log_mean_normaliser(self) -> float:
        covariance = self.components.mean_covariance
        return 0.5 * (float(log_determinants(covariance[None])[0]) + len(covariance) * LOG_2_PI)


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


def _determinants(structure: SharedBlocks, n_features: int) -> tuple[int, int]:
    """How often the determinant of a block counts (a variance of all features once for each), and its power in the measure."""
    rank = len(structure.block_shape(n_features))
    return 1 if rank else n_features, n_features + 1 if rank == 2 else 2


@cache
def _log_ratio_of_gammas(structure: SharedBlocks, nu: float, g: float, n_blocks: int, n_features: int) -> float:
    """``log Γ((g + G ν)/2) − G log Γ(ν/2) − log Γ(g/2)``, by the structure's gamma functions: Bayes' rule where all scales are one."""
    one = structure.prior_block(np.eye(n_features))

    def log_wishart(scale: float, degrees: float) -> float:
        return float(structure.log_wishart(scale * one, np.full(1, degrees), one, n_features)[0, 0])

    degrees, times = g + n_blocks * nu, _determinants(structure, n_features)[0]
    log_determinant = times * (n_features if len(structure.block_shape(n_features)) else 1) * math.log(1 + n_blocks)
    at_one = n_blocks * log_wishart(1.0, nu) + log_wishart(1.0, g) - log_wishart(1.0 + n_blocks, degrees)
    return at_one + 0.5 * degrees * log_determinant


def log_dirichlet(weights: Array, concentration: float) -> Array:
    """Log density of a symmetric Dirichlet law at weights ``(..., K)``."""
    return log_dirichlet_constant(weights.shape[-1], concentration) + log_weight_powers(weights, concentration)


def log_dirichlet_constant(n_components: int, concentration: float) -> float:
    """What of it does not depend on the weights."""
    return math.lgamma(n_components * concentration) - n_components * math.lgamma(concentration)


def log_weight_powers(weights: Array, concentration: float) -> Array:
    """What does."""
    # Flat weights have a density at zero too, where zero times minus infinity would be no number.
    if concentration == 1:
        return np.zeros(weights.shape[:-1])
    return np.asarray((concentration - 1) * np.log(weights).sum(axis=-1))


def log_invariant_measure(structure: SharedBlocks, roots: Array, n_features: int) -> Array:
    """Log density of the measure ``|Λ|^(−(D+1)/2) dΛ`` by the free entries of each covariance block, ``(G,)``.

    That by logarithms of the diagonal of a root is constant, so the Jacobian of those is all there is to it.
    """
    identity = structure.block_roots(structure.prior_block(np.eye(n_features)))
    return structure.block_log_jacobians(identity) - structure.block_log_jacobians(roots)
