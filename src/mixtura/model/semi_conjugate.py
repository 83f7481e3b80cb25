"""A prior under which means know nothing of covariances, with a scale of the covariances that is learnt.

    μ_k ~ N(b₀, B₀),   Λ_k | Ψ ~ Wishart(Ψ⁻¹, ν₀),   Ψ ~ Wishart(S⁻¹, g)

with the natural analogues for the other structures. Means given covariances, covariances given means and scale, and the scale given
covariances all have closed laws. Sources: Richardson and Green (1997), "On Bayesian analysis of mixtures with an unknown number of
components"; Frühwirth-Schnatter, Malsiner-Walli and Grün (2021), "Generalized mixtures of finite mixtures and telescoping sampling", for
more than one dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, read_only
from mixtura.model.components import Components, components_of, draw_prior_roots
from mixtura.model.covariance.structure import SharedBlocks
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
    >>> from mixtura.model.semi_conjugate import SemiConjugateComponents
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

    def begin(self, mixture: Mixture) -> Components:
        """The components of a mixture, from which a chain starts; the scale is that of its covariances."""
        blocks = self.structure.as_blocks(mixture.covariances)
        return components_of(mixture, self.structure, self.degrees_of_freedom * blocks.mean(axis=0, keepdims=True))

    def update(self, moments: Moments, components: Components, rng: np.random.Generator) -> Components:
        """Covariances given means, means given covariances, and the scale given covariances."""
        structure, n_features = self.structure, len(self.mean)
        scatter, counts = moments.about(components.means).second, moments.count
        if structure.shared:
            scatter, counts = scatter.sum(axis=0, keepdims=True), counts.sum(keepdims=True)
        roots = structure.draw_roots(
            components.scale + structure.block_sums(scatter), self.degrees_of_freedom + counts, n_features, rng
        )
        precisions = structure.block_precisions(structure.factor_from_roots(roots))
        means = self._draw_means(moments, structure.block_matrices(precisions, n_features), rng)
        return Components(structure, means, roots, self._draw_scale(precisions, rng))

    def _draw_means(self, moments: Moments, precisions: Array, rng: np.random.Generator) -> Array:
        """``μ_k ~ N(P⁻¹ (B₀⁻¹ b₀ + Λ_k Σ x), P⁻¹)`` with ``P = B₀⁻¹ + n_k Λ_k``."""
        count, sums = moments.count, moments.first + moments.count[:, None] * moments.origin
        prior_precision = np.linalg.inv(self.mean_covariance)
        towards = prior_precision @ self.mean + np.matmul(precisions, sums[:, :, None])[:, :, 0]
        lower = np.linalg.cholesky(prior_precision + count[:, None, None] * precisions)
        noise = rng.standard_normal(sums.shape)
        half = np.linalg.solve(lower, towards[:, :, None]) + noise[:, :, None]
        return np.linalg.solve(lower.swapaxes(1, 2), half)[:, :, 0]

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
        noise = rng.standard_normal((n_more, n_features)) @ np.linalg.cholesky(self.mean_covariance).T
        return components.joined(self.mean + noise, roots)

    def log_density(self, components: Components) -> float:
        """Log prior density of means, covariances and scale."""
        n_features = len(self.mean)
        lower = np.linalg.cholesky(self.mean_covariance)
        whitened = np.linalg.solve(lower, (components.means - self.mean).T)
        log_root = np.log(np.diagonal(lower)).sum()
        on_means = -0.5 * np.square(whitened).sum() - len(components.means) * (log_root + 0.5 * n_features * LOG_2_PI)
        on_blocks = self.structure.log_wishart(
            components.scale, np.full(1, self.degrees_of_freedom), components.factors, n_features
        )
        # The law of Ψ has the form of that of a precision: any root of Ψ stands for the factor.
        on_scale = self.structure.log_wishart(
            self.structure.prior_block(self.scale),
            np.full(1, self.scale_degrees_of_freedom),
            self.structure.block_roots(components.scale),
            n_features,
        )
        return float(on_means + on_blocks.sum() + on_scale.sum())
