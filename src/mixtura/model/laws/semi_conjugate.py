"""A prior under which means know nothing of covariances, with a scale of the covariances that is learnt.

    μ_k ~ N(b₀, B₀),   Λ_k | Ψ ~ Wishart(Ψ⁻¹, ν₀),   Ψ ~ Wishart(S⁻¹, g)

with the natural analogues for the other structures. Means given covariances, covariances given means and scale, and the scale given
covariances all have closed laws.

Rounding is part of the data: rows are ``y = x + e`` with ``e ~ N(0, diag(r²))``, ``r`` the resolution of the columns, and the prior is
that of ``x ~ N(μ_k, Σ_k)``, so the posterior is proper though values repeat. Covariances given means follow from the moments of ``x``,
which ``rounding.py`` draws; means given covariances are drawn with ``x`` integrated out. Sources: Richardson and Green (1997), "On
Bayesian analysis of mixtures with an unknown number of components"; Frühwirth-Schnatter, Malsiner-Walli and Grün (2021), "Generalized
mixtures of finite mixtures and telescoping sampling", for more than one dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, read_only
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.components import Components, draw_prior_roots, own_blocks
from mixtura.model.laws.rounding import before_rounding, draw_unrounded
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.scorer import LOG_2_PI


@dataclass(frozen=True, eq=False)
class SemiConjugateComponents:
    """Means and covariances independent a priori.

    Parameters
    ----------
    structure : SharedBlocks
    mean : (D,) array-like
        ``b₀``.
    mean_covariance : (D, D) array-like
        ``B₀``.
    degrees_of_freedom : float
        ``ν₀ > D − 1``.
    scale : (D, D) array-like
        ``S``.
    scale_degrees_of_freedom : float
        ``g > D − 1``.
    resolution : float or (D,) array-like, default=0.0
        ``r``, the standard deviation of what rounding adds to each feature.

    Examples
    --------
    Richardson and Green's setting, for which the midrange and the range of the data are enough:

    >>> import numpy as np
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
    >>> prior = SemiConjugateComponents.of_ranges(covariance_structure("spherical"), np.array([9.0]), np.array([35.0]))
    >>> float(prior.mean[0]), float(prior.mean_covariance[0, 0]), prior.degrees_of_freedom
    (22.0, 676.0, 4.0)
    """

    structure: SharedBlocks
    mean: Array
    mean_covariance: Array
    degrees_of_freedom: float
    scale: Array
    scale_degrees_of_freedom: float
    resolution: Array

    def __init__(
        self,
        structure: SharedBlocks,
        mean: ArrayLike,
        mean_covariance: ArrayLike,
        degrees_of_freedom: float,
        scale: ArrayLike,
        scale_degrees_of_freedom: float,
        resolution: ArrayLike = 0.0,
    ) -> None:
        b0 = np.array(mean, dtype=np.float64)
        n_features = b0.size
        matrices = {"mean_covariance": mean_covariance, "scale": scale}
        for name, given in matrices.items():
            matrix = np.array(given, dtype=np.float64)
            if matrix.shape != (n_features, n_features) or not np.linalg.eigvalsh(matrix)[0] > 0:
                raise InvalidParameterError(
                    f"the prior's {name} must be a positive definite ({n_features}, {n_features}) matrix; got {given!r}."
                )
            object.__setattr__(self, name, matrix)
        degrees = {"degrees_of_freedom": degrees_of_freedom, "scale_degrees_of_freedom": scale_degrees_of_freedom}
        for name, value in degrees.items():
            if not n_features - 1 < value < np.inf:
                raise InvalidParameterError(f"the prior's {name} must exceed D − 1 = {n_features - 1}; got {value!r}.")
            object.__setattr__(self, name, float(value))
        rounding = np.array(resolution, dtype=np.float64)
        if rounding.shape not in ((), (n_features,)) or not ((rounding >= 0) & (rounding < np.inf)).all():
            raise InvalidParameterError(
                f"the prior's resolution must be a standard deviation, zero or positive, or one for each of {n_features} features; "
                f"got {resolution!r}."
            )
        rounding = np.full(n_features, rounding)
        read_only(rounding)
        object.__setattr__(self, "resolution", rounding)
        object.__setattr__(self, "structure", structure)
        object.__setattr__(self, "mean", b0)

    @classmethod
    def of_ranges(
        cls, structure: SharedBlocks, lowest: Array, highest: Array, resolution: ArrayLike = 0.0
    ) -> SemiConjugateComponents:
        """Richardson and Green's weak prior, from the smallest and the largest value of each feature.

        With ``R`` the range, ``b₀`` the midrange and ``B₀ = R²``; in one dimension ``σ⁻² ~ Gamma(2, β)`` and ``β ~ Gamma(0.2, 10/R²)``,
        with ``(D − 1)/2`` more in both shapes in ``D`` dimensions. Rounding, uniform with standard deviation ``r``, widens the range by
        ``√12 r``, which a column of one value lives on.
        """
        n_features, rounded = len(lowest), np.sqrt(12) * np.asarray(resolution)
        squares = np.diag((highest - lowest + rounded) ** 2)
        more = n_features - 1
        return cls(
            structure,
            0.5 * (lowest + highest),
            squares,
            4.0 + more,
            10 * np.linalg.inv(squares),
            0.4 + more,
            resolution,
        )

    @cached_property
    def rounding(self) -> Array | None:
        """What rounding adds to a covariance block, ``(1, ...)``; ``None`` where that is nothing."""
        return self.structure.prior_block(np.diag(self.resolution**2)) if self.resolution.any() else None

    @cached_property
    def apart(self) -> SemiConjugateComponents:
        return replace(self, structure=own_blocks(self.structure))

    def begin(self, mixture: Mixture) -> Components:
        """The components of a mixture, from which a chain starts; the scale is that of its covariances."""
        blocks = before_rounding(self.structure.as_blocks(mixture.covariances), self.rounding)
        scale = self.degrees_of_freedom * blocks.mean(axis=0, keepdims=True)
        return Components(self.structure, mixture.means, self.structure.block_roots(blocks), scale, self.rounding)

    def update(self, moments: Moments, components: Components, rng: np.random.Generator) -> Components:
        """Covariances given means, means given covariances, and the scale given covariances."""
        structure, n_features = self.structure, len(self.mean)
        unrounded = draw_unrounded(moments, components, rng)
        scatter, counts = self._by_block(unrounded.second, moments.count)
        roots = structure.draw_roots(
            components.scale + structure.block_sums(scatter), self.degrees_of_freedom + counts, n_features, rng
        )
        drawn = Components(structure, components.means, roots, components.scale, self.rounding)
        scale = self._draw_scale(structure.block_precisions(drawn.factors), rng)
        return replace(drawn.at(self._means(moments, drawn).draw(rng)), scale=scale)

    def typical(self, moments: Moments, scale: Array) -> Components:
        """The components about which those proposed lie."""
        scales, degrees = self._proposal(moments, scale)
        roots = self.structure.block_roots(scales / degrees.reshape(-1, *[1] * (scales.ndim - 1)))
        return Components(self.structure, moments.means(), roots, scale)

    def propose(self, moments: Moments, scale: Array, rng: np.random.Generator) -> Components:
        """``Λ_k ~ Wishart((Ψ + S_k)⁻¹, ν₀ + n_k − 1)``, as if nothing were rounded and means were anywhere; then means given those."""
        scales, degrees = self._proposal(moments, scale)
        roots = self.structure.draw_roots(scales, degrees, len(self.mean), rng)
        components = Components(self.structure, moments.origin, roots, scale, self.rounding)
        return components.at(self._means(moments, components).draw(rng))

    def log_weights(self, moments: Moments, components: Components) -> Array:
        """Log prior density given the scale less that of a proposal, of each component, or of all that share a block."""
        structure, n_features = self.structure, len(self.mean)
        scales, degrees = self._proposal(moments, components.scale)
        on_blocks = self._log_densities_of_blocks(components)
        on_blocks = on_blocks - structure.log_wishart_of_each(scales, degrees, components.factors, n_features)
        on_means = self._log_densities_of_means(components)
        on_means -= self._means(moments, components).log_densities(components.means)
        return np.asarray(on_blocks + (on_means.sum(keepdims=True) if structure.shared else on_means))

    def _proposal(self, moments: Moments, scale: Array) -> tuple[Array, Array]:
        """Scales and degrees of freedom of the laws by which precisions are proposed."""
        scatter, counts = self._by_block(moments.scatter(), np.maximum(moments.count - 1, 0.0))
        return scale + self.structure.block_sums(scatter), self.degrees_of_freedom + counts

    def _by_block(self, scatter: Array, counts: Array) -> tuple[Array, Array]:
        if self.structure.shared:
            return scatter.sum(axis=0, keepdims=True), counts.sum(keepdims=True)
        return scatter, counts

    def _means(self, moments: Moments, components: Components) -> _Means:
        """``μ_k ~ N(P⁻¹ (B₀⁻¹ b₀ + Λ_k Σ y), P⁻¹)`` with ``P = B₀⁻¹ + n_k Λ_k`` and ``Λ_k`` the precision of rounded rows."""
        structure = self.structure
        precisions = structure.block_matrices(structure.block_precisions(components.rounded_factors), len(self.mean))
        count, sums = moments.count, moments.first + moments.count[:, None] * (moments.origin - self.mean)
        lower = np.linalg.cholesky(self._mean_precision + count[:, None, None] * precisions)
        return _Means(self.mean, lower, np.linalg.solve(lower, np.matmul(precisions, sums[:, :, None])))

    @cached_property
    def _mean_precision(self) -> Array:
        return np.linalg.inv(self.mean_covariance)

    def _draw_scale(self, precisions: Array, rng: np.random.Generator) -> Array:
        """``Ψ | Λ ~ Wishart((S + Σ_g Λ_g)⁻¹, g + G ν₀)``: the law of a precision."""
        structure = self.structure
        scale = structure.prior_block(self.scale) + precisions.sum(axis=0, keepdims=True)
        degrees = np.full(1, self.scale_degrees_of_freedom + len(precisions) * self.degrees_of_freedom)
        roots = structure.draw_roots(scale, degrees, len(self.mean), rng)
        return structure.block_precisions(structure.factor_from_roots(roots))

    def extend(self, components: Components, n_more: int, rng: np.random.Generator) -> Components:
        """The same and so many drawn from the prior."""
        if not n_more:
            return components
        roots, n_features = components.roots, len(self.mean)
        if not self.structure.shared:
            roots = draw_prior_roots(self.structure, components.scale, self.degrees_of_freedom, n_more, n_features, rng)
        noise = rng.standard_normal((n_more, n_features)) @ self._mean_root.T
        return components.joined(self.mean + noise, roots)

    @cached_property
    def _mean_root(self) -> Array:
        return np.linalg.cholesky(self.mean_covariance)

    def log_density(self, components: Components) -> float:
        """Log prior density of means, covariances and scale."""
        # The law of Ψ has the form of that of a precision: any root of Ψ stands for the factor.
        on_scale = self.structure.log_wishart(
            self.structure.prior_block(self.scale),
            np.full(1, self.scale_degrees_of_freedom),
            self.structure.block_roots(components.scale),
            len(self.mean),
        )
        on_means, on_blocks = self._log_densities_of_means(components), self._log_densities_of_blocks(components)
        return float(on_means.sum() + on_blocks.sum() + on_scale.sum())

    def _log_densities_of_means(self, components: Components) -> Array:
        lower = self._mean_root
        whitened = np.linalg.solve(lower, (components.means - self.mean).T)
        log_constant = np.log(np.diagonal(lower)).sum() + 0.5 * len(self.mean) * LOG_2_PI
        return np.asarray(-0.5 * np.square(whitened).sum(axis=0) - log_constant)

    def _log_densities_of_blocks(self, components: Components) -> Array:
        """Given the scale, or the scale of each."""
        degrees = np.full(len(components.scale), self.degrees_of_freedom)
        return self.structure.log_wishart_of_each(components.scale, degrees, components.factors, len(self.mean))


class _Means(NamedTuple):
    """Normal laws of means: a common centre, Cholesky factors of the precisions, ``(K, D, D)``, and whitened offsets, ``(K, D, 1)``."""

    centre: Array
    lower: Array
    whitened: Array

    def draw(self, rng: np.random.Generator) -> Array:
        noise = rng.standard_normal(self.whitened.shape)
        return self.centre + np.linalg.solve(self.lower.swapaxes(1, 2), self.whitened + noise)[:, :, 0]

    def log_densities(self, means: Array) -> Array:
        offsets = np.matmul(self.lower.swapaxes(1, 2), (means - self.centre)[:, :, None]) - self.whitened
        log_roots = np.log(np.diagonal(self.lower, axis1=1, axis2=2)).sum(axis=1)
        return log_roots - 0.5 * means.shape[1] * LOG_2_PI - 0.5 * np.square(offsets[:, :, 0]).sum(axis=1)
