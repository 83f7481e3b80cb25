"""Unrestricted covariance matrices: one each (``full``, VVV) or one shared (``tied``, EEE)."""

from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import multigammaln

from mixtura.ground.linalg import (
    Array,
    cholesky,
    least_correlation,
    log_determinants,
    precision_factors,
    raise_eigenvalues,
    traces_of_ratios,
    triangular_inverses,
    well_conditioned,
)
from mixtura.ground.special import digamma, gamma_draws, log_gamma_excess, trigamma
from mixtura.model.covariance.structure import Factored, InverseWishartPenalty, SharedBlocks
from mixtura.model.covariance.student import log_multivariate_student

LOG_2 = float(np.log(2))


class _MatrixBlocks(SharedBlocks):
    diagonal: ClassVar[bool] = False

    def block_shape(self, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    def block_parameters(self, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def maximise_blocks(
        self, scatter: Array, counts: Array, floor: Array | float, penalty: InverseWishartPenalty | None
    ) -> Array:
        blocks = _unbounded(scatter, counts, penalty)
        if np.any(floor):
            blocks = raise_eigenvalues(blocks, floor)
        return well_conditioned(blocks) if np.any(floor) or penalty is not None else blocks

    def maximise_and_factor_blocks(
        self,
        scatter: Array,
        counts: Array,
        least: Array,
        floor: Array | float,
        penalty: InverseWishartPenalty | None,
    ) -> Factored:
        blocks = _unbounded(scatter, counts, penalty)
        factors, singular = self.factor_blocks(blocks, least)
        low = singular
        if np.any(floor):
            # tr F Σ⁻¹ is no less than one over the smallest eigenvalue in units of the floor: small traces need no second look.
            floors = np.broadcast_to(floor, blocks.shape[-1])
            low = singular | (np.einsum("gij,gij,i->g", factors, factors, floors) > 1)
        if low.any() and (np.any(floor) or penalty is not None):
            blocks[low] = well_conditioned(raise_eigenvalues(blocks[low], floor) if np.any(floor) else blocks[low])
            factors[low], singular[low] = self.factor_blocks(blocks[low], least[low])
        return Factored(blocks, factors, singular)

    def block_log_penalty(self, blocks: Array, penalty: InverseWishartPenalty) -> float:
        degrees = penalty.degrees_of_freedom + blocks.shape[-1] + 1
        traces = traces_of_ratios(penalty.scale, blocks)
        return float(-0.5 * np.sum(degrees * log_determinants(blocks) + traces))

    def factor_blocks(self, blocks: Array, least: Array) -> tuple[Array, NDArray[np.bool_]]:
        factors, singular = cholesky(blocks)
        singular |= (np.diagonal(blocks, axis1=-2, axis2=-1) <= least).any(axis=1)
        return precision_factors(factors), singular

    def block_precisions(self, factors: Array) -> Array:
        return factors @ factors.swapaxes(-1, -2)

    def block_variances(self, blocks: Array, n_features: int) -> Array:
        return np.diagonal(blocks, axis1=-2, axis2=-1)

    def block_matrices(self, blocks: Array, n_features: int) -> Array:
        return blocks

    def block_whitening(self, factors: Array, n_features: int) -> Array:
        return factors

    def block_information(self, n_features: int) -> Array:
        return np.where(_lower_triangle(n_features).on_diagonal, 2.0, 1.0)

    def block_roots(self, blocks: Array) -> Array:
        return np.linalg.cholesky(blocks)

    def block_from_roots(self, roots: Array) -> Array:
        return roots @ roots.swapaxes(-1, -2)

    def relative_roots(self, t: Array, n_features: int) -> Array:
        # T = W⁻¹ with W_ii = exp(−t_ii) and W_ij = −t_ij: the entries of a factor of the precision, which are independent of each other
        # where covariances are Wishart distributed (Bartlett 1933), however wide the law.
        rows, columns, _, on_diagonal = _lower_triangle(n_features)
        inverse = np.zeros((*t.shape[:-1], n_features, n_features), t.dtype)
        inverse[..., rows, columns] = np.where(on_diagonal, np.exp(-t), -t)
        return precision_factors(inverse).swapaxes(-1, -2)

    def composed_roots(self, reference: Array, relative: Array) -> Array:
        return reference @ relative

    def relative_coordinates(self, reference: Array, roots: Array) -> Array:
        rows, columns, _, on_diagonal = _lower_triangle(reference.shape[-1])
        entries = (precision_factors(roots).swapaxes(-1, -2) @ reference)[:, rows, columns]
        return -np.where(on_diagonal, np.log(np.where(on_diagonal, entries, 1.0)), entries)

    def apply_roots(self, roots: Array, vectors: Array) -> Array:
        return np.matmul(roots, vectors[..., None])[..., 0]

    def apply_roots_transposed(self, roots: Array, vectors: Array) -> Array:
        return np.matmul(roots.swapaxes(-1, -2), vectors[..., None])[..., 0]

    def whiten_by_roots(self, roots: Array, vectors: Array) -> Array:
        return np.matmul(precision_factors(roots).swapaxes(-1, -2), vectors[:, :, None])[:, :, 0]

    def factor_from_roots(self, roots: Array) -> Array:
        return precision_factors(roots)

    def pull_back(self, second: Array, counts: Array, factors: Array, relative: Array) -> Array:
        # d(−n log|L| − ½ tr(L⁻ᵀ L⁻¹ S)) = tr((M − n I) T⁻¹ dT) with M = Rᵀ S R, and T⁻¹ dT = −dW T: in the entries of −W, the lower
        # triangle of (M − n I) Tᵀ, where n only meets the diagonal of Tᵀ, which that of W cancels.
        whitened = factors.swapaxes(-1, -2) @ second @ factors
        on_diagonal = _lower_triangle(relative.shape[-1]).on_diagonal
        return _by_coordinates(whitened @ relative.swapaxes(-1, -2), relative) - counts[..., None] * on_diagonal

    def pull_back_blocks(self, by_blocks: Array, roots: Array, reference: Array, relative: Array) -> Array:
        by_roots = (by_blocks + by_blocks.swapaxes(-1, -2)) @ roots
        transposed = relative.swapaxes(-1, -2)
        return _by_coordinates(transposed @ (reference.swapaxes(-1, -2) @ by_roots) @ transposed, relative)

    def block_log_spreads(self, roots: Array) -> Array:
        return 0.5 * np.log(np.square(roots).sum(axis=-1))

    def by_spreads(self, by_log_spreads: Array, log_spreads: Array) -> Array:
        return (0.5 * by_log_spreads * np.exp(-2 * log_spreads))[..., None] * np.eye(log_spreads.shape[-1])

    def likelihood_slopes(self, scales: Array, counts: Array, factors: Array, n_features: int) -> Array:
        transposed = factors.swapaxes(-1, -2)
        excess = transposed @ scales @ factors - counts[..., None, None] * np.eye(n_features)
        return 0.5 * (factors @ excess @ transposed)

    def block_log_determinants(self, roots: Array) -> Array:
        return 2 * np.log(np.diagonal(roots, axis1=-2, axis2=-1)).sum(axis=-1)

    def block_log_jacobians(self, roots: Array) -> Array:
        # |∂(L Lᵀ)/∂L| = 2ᴰ Π L_ii^(D−i+1), |∂(L₀ T)/∂T| = Π L₀_ii^i and |∂T/∂t| = Π T_ii^D, for i = 1 … D (Muirhead 1982, chapter 2).
        n_features = roots.shape[-1]
        log_diagonals = np.log(np.diagonal(roots, axis1=-2, axis2=-1))
        return n_features * LOG_2 + (n_features + 1) * log_diagonals.sum(axis=1)

    def block_log_jacobian_slope(self, n_features: int) -> Array:
        rows, _, _, on_diagonal = _lower_triangle(n_features)
        return np.where(on_diagonal, 2.0 * n_features - rows, 0.0)

    def prior_block(self, scale: Array) -> Array:
        return scale[None]

    def block_sums(self, scatter: Array) -> Array:
        return scatter

    def factored_scales(self, scales: Array) -> tuple[Array, Array]:
        roots, low = cholesky(scales)
        factors = precision_factors(roots)
        # tr C⁻¹ is no less than one over the smallest eigenvalue of the correlations C: small traces need no second look.
        traces = (np.diagonal(scales, axis1=-2, axis2=-1) * np.square(factors).sum(axis=-1)).sum(axis=-1)
        low |= least_correlation(scales) * traces > 1
        if low.any():
            scales = scales.copy()
            scales[low] = well_conditioned(scales[low])
            factors[low] = precision_factors(np.linalg.cholesky(scales[low]))
        return scales, factors

    def expected_log_determinants(self, scales: Array, factors: Array, degrees: Array, n_features: int) -> Array:
        return digamma(_half_degrees(degrees, n_features)).sum(axis=1) + n_features * LOG_2 + _log_precisions(factors)

    def wishart_divergences(
        self, scales: Array, factors: Array, degrees: Array, prior_scale: Array, prior_degrees: float, n_features: int
    ) -> Array:
        shapes, prior_shapes = (_half_degrees(nu, n_features) for nu in (degrees, np.full(1, prior_degrees)))
        prior_root = np.linalg.cholesky(prior_scale)
        shrinkage = -_log_precisions(factors) - self.block_log_determinants(prior_root)
        traces = np.square(factors.swapaxes(-1, -2) @ prior_root).sum(axis=(-2, -1))
        on_scales = 0.5 * (prior_degrees * shrinkage + degrees * (traces - n_features))
        return log_gamma_excess(prior_shapes, shapes).sum(axis=1) + on_scales

    def log_student(self, squares: Array, whitening: Array, degrees: Array, widening: Array) -> Array:
        left = degrees + 1 - squares.shape[2]
        log_root = np.log(np.diagonal(whitening, axis1=1, axis2=2)).sum(axis=1)
        return log_multivariate_student(squares, log_root, left, widening * (degrees / left))

    def log_wishart(self, scales: Array, degrees: Array, factors: Array, n_features: int) -> Array:
        log_precisions = _log_precisions(factors)
        traces = np.tensordot(scales, self.block_precisions(factors), axes=([1, 2], [1, 2]))
        return _log_normalisers(scales, degrees, n_features)[:, None] + 0.5 * (
            np.multiply.outer(degrees, log_precisions) - traces
        )

    def log_wishart_of_each(self, scales: Array, degrees: Array, factors: Array, n_features: int) -> Array:
        log_precisions = _log_precisions(factors)
        traces = (scales * self.block_precisions(factors)).sum(axis=(1, 2))
        return _log_normalisers(scales, degrees, n_features) + 0.5 * (degrees * log_precisions - traces)

    def log_determinant_variances(self, degrees: Array, n_features: int) -> Array:
        return trigamma(_half_degrees(degrees, n_features)).sum(axis=1)

    def variance_laws(self, scales: Array, degrees: Array, n_features: int) -> tuple[Array, Array]:
        return degrees + 1 - n_features, np.diagonal(scales, axis1=-2, axis2=-1)

    def modal_blocks(self, scales: Array, degrees: Array, n_means: int, n_features: int) -> Array:
        return scales / (degrees + n_features + 1 + n_means)[:, None, None]

    def draw_roots(self, scales: Array, degrees: Array, n_features: int, rng: np.random.Generator) -> Array:
        # Bartlett's decomposition, last row first: U Uᵀ ~ Wishart(I, ν) for upper triangular U, so C U⁻ᵀ is a root if C Cᵀ = Ψ.
        upper = np.triu(rng.standard_normal(scales.shape), 1)
        chi_squares = 2 * gamma_draws(_half_degrees(degrees, n_features)[:, ::-1], rng)
        diagonal = np.arange(n_features)
        upper[:, diagonal, diagonal] = np.sqrt(chi_squares)
        return np.linalg.cholesky(scales) @ triangular_inverses(upper).swapaxes(-1, -2)


def _unbounded(scatter: Array, counts: Array, penalty: InverseWishartPenalty | None) -> Array:
    """The maximiser where no variance is too small."""
    if penalty is not None:
        scatter = scatter + penalty.scale
        counts = counts + penalty.degrees_of_freedom + scatter.shape[-1] + 1
    return scatter / counts[:, None, None]


def _log_precisions(factors: Array) -> Array:
    """Logs of the determinants of the precisions, ``(G,)``."""
    return np.asarray(2 * np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1))


def _half_degrees(degrees: Array, n_features: int) -> Array:
    """Shapes of the gamma laws that a Wishart's determinant is a product of, ``(G, D)``."""
    return 0.5 * (degrees[:, None] - np.arange(n_features))


def _log_normalisers(scales: Array, degrees: Array, n_features: int) -> Array:
    """Of Wishart densities."""
    return 0.5 * degrees * (log_determinants(scales) - n_features * LOG_2) - multigammaln(0.5 * degrees, n_features)


def _by_coordinates(by_inverse: Array, relative: Array) -> Array:
    """Derivatives by ``t`` from those by the entries of ``−W``, whose diagonal holds exponentials, the reciprocals of that of ``T``."""
    triangle = _lower_triangle(relative.shape[-1])
    entries, factors = (m.reshape(*m.shape[:-2], -1).take(triangle.flat, axis=-1) for m in (by_inverse, relative))
    return entries / np.where(triangle.on_diagonal, factors, 1.0)


class _LowerTriangle(NamedTuple):
    """Where the entries of a lower triangular matrix stand, in the order of the coordinates."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    flat: NDArray[np.intp]
    on_diagonal: NDArray[np.bool_]


@cache
def _lower_triangle(n_features: int) -> _LowerTriangle:
    rows, columns = np.tril_indices(n_features)
    return _LowerTriangle(rows, columns, rows * n_features + columns, rows == columns)


class Full(_MatrixBlocks):
    """A matrix of its own for each component."""

    name = "full"
    code = "VVV"
    sentence = "each component has its own matrix"
    shared = False


class Tied(_MatrixBlocks):
    """One matrix shared by all components."""

    name = "tied"
    code = "EEE"
    sentence = "all components share one matrix"
    shared = True
