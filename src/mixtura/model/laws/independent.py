"""The prior that a modeller would write down: weights, means, spreads and correlations independent of each other.

    π ~ Dirichlet(α),   μ_kd ~ N(m_d, s_d²),   Σ_k = diag(τ_k) Ω_k diag(τ_k),   τ_kd ~ half-Cauchy (or another law),   Ω_k ~ LKJ(η)

No algorithm has a closed form for it; gradients serve instead. As densities of the covariances themselves, with all constants,

    log p(Σ)  = Σ_d [log p(τ_d) − D log τ_d − log 2] + (η − 1) log|Ω| + log c_D(η)   for a matrix,
    log p(τ²) = log p(τ) − log 2τ                                                    for a variance.

A block that components share has the prior once. Source of the law of correlations: Lewandowski, Kurowicka and Joe (2009), "Generating
random correlation matrices based on vines and extended onion method".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, outer
from mixtura.model.covariance.structure import CovarianceStructure, SharedBlocks
from mixtura.model.laws.log_densities import (
    Terms,
    density_of,
    log_dirichlet_constant,
    log_weight_powers,
    noise_block,
    smooth,
)
from mixtura.model.laws.scale_laws import (
    HalfCauchy,
    ScaleLaw,
    finite,
    numbers,
    positive,
    positive_number,
    resolution_of,
)
from mixtura.model.mixture import Mixture
from mixtura.model.scorer import LOG_2_PI

LOG_2 = math.log(2)


@dataclass(frozen=True, eq=False)
class IndependentPrior:
    """A prior of all parameters of a mixture that does not change when components are renumbered.

    Parameters
    ----------
    mean_location, mean_scale : (D,) array-likes
        ``m`` and ``s``.
    scales : ScaleLaw
        Of the spreads ``τ``: ``HalfCauchy``, ``HalfNormal`` or ``LogNormal``. The first two allow spreads near zero; on data with repeated
        values, where the likelihood has no bound there, say how finely they are known (``resolution``).
    concentration : float, default=1
        ``α``.
    correlation_concentration : float, default=2
        ``η``: at one all correlation matrices are equally probable, above it those near the identity more so.
    common_log_spread : float, default=0
        ``ω``. If positive, all spreads share a factor that is a parameter too: ``log factor ~ N(0, ω²)``.
    resolution : float or (D,) array-like, default=0
        ``r``: how finely each column is known, as a standard deviation; a column rounded to steps of ``g`` has ``g/√12``. Covariances are
        ``Σ_k = Σ⁰_k + diag(r²)`` (round ones add the mean of ``r²``), and the prior is one of ``Σ⁰``: spreads stand above the resolution.

    Examples
    --------
    >>> import mixtura as mx
    >>> from mixtura.model.laws.independent import IndependentPrior
    >>> from mixtura.model.laws.scale_laws import LogNormal
    >>> prior = IndependentPrior([0.0], [10.0], LogNormal(1.0, 2.0), concentration=0.5)
    >>> print(prior)
    weights Dirichlet(0.5); means normal(location 0, scale 10); spreads log-normal(median 1, log spread 2)
    >>> m = mx.Mixture([0.375, 0.625], [[0.49894], [10.98446]], 0.651434**2, "tied_spherical")
    >>> x = [[0.0], [1.0], [10.0], [11.0], [12.0]]
    >>> by_deviation = prior.value(m) + float(np.log(2 * 0.651434))  # a density of σ rather than of σ²
    >>> print(f"{m.log_likelihood(x) + by_deviation:.4f}")
    -17.4433
    """

    mean_location: Array
    mean_scale: Array
    scales: ScaleLaw
    concentration: float
    correlation_concentration: float
    common_log_spread: float
    resolution: Array

    def __init__(
        self,
        mean_location: ArrayLike,
        mean_scale: ArrayLike,
        scales: ScaleLaw,
        concentration: float = 1.0,
        correlation_concentration: float = 2.0,
        common_log_spread: float = 0.0,
        resolution: ArrayLike = 0.0,
    ) -> None:
        location, scale = finite(mean_location, "mean_location"), positive(mean_scale, "mean_scale")
        if location.ndim != 1 or location.shape != scale.shape:
            raise InvalidParameterError(
                f"mean_location and mean_scale must be D numbers each; got {mean_location!r} and {mean_scale!r}."
            )
        if not isinstance(scales, ScaleLaw) or scales.scale.shape not in ((), scale.shape):
            raise InvalidParameterError(
                f"scales must be a HalfCauchy, HalfNormal or LogNormal law of one scale or of {len(scale)}; got {scales!r}."
            )
        if not 0 <= common_log_spread < np.inf:
            raise InvalidParameterError(f"common_log_spread must be zero or positive; got {common_log_spread!r}.")
        self.__dict__.update(
            mean_location=location,
            mean_scale=scale,
            scales=scales,
            concentration=positive_number(concentration, "concentration"),
            correlation_concentration=positive_number(correlation_concentration, "correlation_concentration"),
            common_log_spread=float(common_log_spread),
            resolution=resolution_of(resolution, len(scale)),
        )

    @classmethod
    def from_data_moments(
        cls, mean: Array, variances: Array, n_components: int, resolution: ArrayLike = 0.0
    ) -> IndependentPrior:
        """Weakly informative in the units of the data: means within twice their spread, spreads half-Cauchy about the share of each of K.

        With ``v`` the variances of the features, ``s = 2 √v`` and the median of ``τ`` is ``√v / K^(1/D)``.
        """
        spread = np.sqrt(variances)
        scales = HalfCauchy(spread / n_components ** (1 / len(spread)))
        return cls(mean, 2 * spread, scales, resolution=resolution)

    def __str__(self) -> str:
        factor = f" with a common factor log-normal(median 1, log spread {self.common_log_spread:g})"
        return (
            f"weights Dirichlet({self.concentration:g}); "
            f"means normal(location {numbers(self.mean_location)}, scale {numbers(self.mean_scale)}); "
            f"spreads {self.scales}{factor if self.common_log_spread else ''}"
            f"{'' if len(self.mean_scale) == 1 else f'; correlations LKJ({self.correlation_concentration:g})'}"
            f"{f'; resolution {numbers(self.resolution)}' if self.resolution.any() else ''}"
        )

    def value(self, mixture: Mixture, log_factor: float = 0.0) -> float:
        """Log density of ``(π, μ, Σ)`` and, if it is a parameter, of the log of the common factor of all spreads."""
        return density_of(self, mixture, log_factor)

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
        (n_components, n_features), h = means.shape[-2:], np.asarray(log_factor, dtype=np.float64)
        matrices = len(structure.block_shape(n_features)) == 2
        log_tau = structure.block_log_spreads(roots)
        n_blocks, n_spreads = log_tau.shape[-2:]
        law = self.scales_of(structure)
        eta_excess = self.correlation_concentration - 1 if matrices else 0.0
        power = n_features + 2 * eta_excess if matrices else 1  # of 1/τ beside p(τ), the one in |Ω| = |Σ|/Π τ² included
        relative = log_tau - h[..., None, None]
        slope = law.slope(relative)
        value = (law.log_density(relative) - power * log_tau).sum(axis=(-2, -1)) - n_blocks * n_spreads * (h + LOG_2)
        by_blocks = structure.by_spreads(slope - power, log_tau)
        if eta_excess:
            value += eta_excess * structure.block_log_determinants(roots).sum(axis=-1)
            by_blocks = by_blocks + eta_excess * structure.block_precisions(structure.factor_from_roots(roots))
        offsets = (means - self.mean_location) / self.mean_scale
        value += log_weight_powers(weights, self.concentration) - 0.5 * np.square(offsets).sum(axis=(-2, -1))
        value += self.log_constant(structure, n_components)
        by_log_factor = -slope.sum(axis=(-2, -1)) - n_blocks * n_spreads
        if self.common_log_spread:
            value -= 0.5 * np.square(h / self.common_log_spread)
            by_log_factor = by_log_factor - h / self.common_log_spread**2
        by_log_weights = np.full(weights.shape, self.concentration - 1)
        return Terms(value, by_log_weights, -offsets / self.mean_scale, by_blocks, by_log_factor)

    def scales_of(self, structure: SharedBlocks) -> ScaleLaw:
        """The law of a block's spreads, ``D`` of them or one."""
        return self.scales if structure.block_shape(len(self.mean_scale)) else self.scales.pooled

    def log_constant(self, structure: SharedBlocks, n_components: int) -> float:
        """Of the laws of weights, means, correlations and the common factor."""
        constant = log_dirichlet_constant(n_components, self.concentration) - n_components * self._log_mean_normaliser
        if len(structure.block_shape(len(self.mean_scale))) == 2:
            n_matrices = 1 if structure.shared else n_components
            constant += n_matrices * log_correlation_constant(len(self.mean_scale), self.correlation_concentration)
        if self.common_log_spread:
            constant -= 0.5 * LOG_2_PI + math.log(self.common_log_spread)
        return constant

    @cached_property
    def _log_mean_normaliser(self) -> float:
        return float(np.log(self.mean_scale).sum()) + 0.5 * len(self.mean_scale) * LOG_2_PI

    def draw(self, n_components: int, structure: CovarianceStructure, rng: np.random.Generator) -> Mixture:
        """A mixture drawn from the prior (its common factor too)."""
        family, n_features = smooth(structure), len(self.mean_location)
        shape = family.block_shape(n_features)
        n_blocks = 1 if family.shared else n_components
        law, factor = self.scales_of(family), np.exp(self.common_log_spread * rng.normal())
        tau = factor * law.draw((n_blocks, n_features if shape else 1), rng)
        if len(shape) == 2:
            blocks = outer(tau) * [_draw_correlations(n_features, self.correlation_concentration, rng) for _ in tau]
        else:
            blocks = (tau**2).reshape(n_blocks, *shape)
        means = self.mean_location + self.mean_scale * rng.normal(size=(n_components, n_features))
        weights = rng.dirichlet(np.full(n_components, self.concentration))
        return Mixture(weights, means, family.as_natural(blocks + noise_block(family, self.resolution)), structure)


@cache
def log_correlation_constant(n_features: int, eta: float) -> float:
    """``log c_D(η)`` of the law ``p(Ω) = c_D(η) |Ω|^(η−1)`` of correlation matrices."""
    left = n_features - np.arange(1, n_features)
    half = eta + 0.5 * (left - 1)
    return -float(((2 * eta - 2 + left) * left * LOG_2 + left * betaln(half, half)).sum())


def _draw_correlations(n_features: int, eta: float, rng: np.random.Generator) -> Array:
    """A correlation matrix, by rows of its Cholesky factor: the squared length of what is left of each is beta distributed."""
    root = np.eye(n_features)
    for i in range(1, n_features):
        explained = rng.beta(0.5 * i, eta + 0.5 * (n_features - 1 - i))
        direction = rng.normal(size=i)
        root[i, :i] = math.sqrt(explained) * direction / np.linalg.norm(direction)
        root[i, i] = math.sqrt(1 - explained)
    return root @ root.T
