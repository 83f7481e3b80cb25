"""Axis-aligned covariances: one diagonal each (``diag``, VVI) or one shared (``tied_diag``, EEI). No matrix is ever formed."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.ground.special import digamma, gamma_draws, trigamma
from mixtura.model.covariance.structure import InverseWishartPenalty, SharedBlocks
from mixtura.model.covariance.student import gamma_divergence, log_gamma, log_gamma_of_each, log_multivariate_student


class _DiagonalBlocks(SharedBlocks):
    diagonal: ClassVar[bool] = True

    def block_shape(self, n_features: int) -> tuple[int, ...]:
        return (n_features,)

    def block_parameters(self, n_features: int) -> int:
        return n_features

    def maximise_blocks(
        self, scatter: Array, counts: Array, floor: Array | float, penalty: InverseWishartPenalty | None
    ) -> Array:
        if penalty is not None:
            scatter = scatter + penalty.diagonal
            counts = counts + penalty.degrees_of_freedom + 2
        return np.maximum(scatter / counts[:, None], floor)

    def block_log_penalty(self, blocks: Array, penalty: InverseWishartPenalty) -> float:
        degrees = penalty.degrees_of_freedom + 2
        return float(-0.5 * np.sum(degrees * np.log(blocks) + penalty.diagonal / blocks))

    def factor_blocks(self, blocks: Array, least: Array) -> tuple[Array, NDArray[np.bool_]]:
        singular = np.logical_not((blocks > least).all(axis=1))
        return 1 / np.sqrt(np.where(blocks > 0, blocks, 1.0)), singular

    def block_precisions(self, factors: Array) -> Array:
        return factors**2

    def block_variances(self, blocks: Array, n_features: int) -> Array:
        return blocks

    def block_matrices(self, blocks: Array, n_features: int) -> Array:
        return blocks[:, :, None] * np.eye(n_features)

    def block_whitening(self, factors: Array, n_features: int) -> Array:
        return factors

    def block_information(self, n_features: int) -> Array:
        return np.full(n_features, 2.0)

    def block_roots(self, blocks: Array) -> Array:
        return np.sqrt(blocks)

    def block_from_roots(self, roots: Array) -> Array:
        return roots**2

    def relative_roots(self, t: Array, n_features: int) -> Array:
        return np.exp(t)

    def composed_roots(self, reference: Array, relative: Array) -> Array:
        return reference * relative

    def relative_coordinates(self, reference: Array, roots: Array) -> Array:
        return np.log(roots / reference)

    def apply_roots(self, roots: Array, vectors: Array) -> Array:
        return roots * vectors

    def apply_roots_transposed(self, roots: Array, vectors: Array) -> Array:
        return roots * vectors

    def whiten_by_roots(self, roots: Array, vectors: Array) -> Array:
        return vectors / roots

    def factor_from_roots(self, roots: Array) -> Array:
        return 1 / roots

    def pull_back(self, second: Array, counts: Array, factors: Array, relative: Array) -> Array:
        return factors**2 * second - counts[..., None]

    def pull_back_blocks(self, by_blocks: Array, roots: Array, reference: Array, relative: Array) -> Array:
        return 2 * roots**2 * by_blocks

    def block_log_spreads(self, roots: Array) -> Array:
        return np.log(roots)

    def by_spreads(self, by_log_spreads: Array, log_spreads: Array) -> Array:
        return 0.5 * by_log_spreads * np.exp(-2 * log_spreads)

    def likelihood_slopes(self, scales: Array, counts: Array, factors: Array, n_features: int) -> Array:
        precisions = factors**2
        return 0.5 * precisions * (precisions * scales - counts[..., None])

    def block_log_determinants(self, roots: Array) -> Array:
        return 2 * np.log(roots).sum(axis=-1)

    def block_log_jacobians(self, roots: Array) -> Array:
        return np.log(2 * roots**2).sum(axis=1)

    def block_log_jacobian_slope(self, n_features: int) -> Array:
        return np.full(n_features, 2.0)

    def prior_block(self, scale: Array) -> Array:
        return np.diagonal(scale)[None]

    def block_sums(self, scatter: Array) -> Array:
        return scatter

    def factored_scales(self, scales: Array) -> tuple[Array, Array]:
        return scales, 1 / np.sqrt(scales)

    def expected_log_determinants(self, scales: Array, factors: Array, degrees: Array, n_features: int) -> Array:
        return (digamma(0.5 * degrees)[:, None] - np.log(0.5 * scales)).sum(axis=1)

    def wishart_divergences(
        self, scales: Array, factors: Array, degrees: Array, prior_scale: Array, prior_degrees: float, n_features: int
    ) -> Array:
        return gamma_divergence(0.5 * degrees[:, None], 0.5 * scales, 0.5 * prior_degrees, 0.5 * prior_scale).sum(
            axis=1
        )

    def log_student(self, squares: Array, whitening: Array, degrees: Array, widening: Array) -> Array:
        each = [
            log_multivariate_student(squares[:, :, d, None], np.log(whitening[:, d]), degrees, widening)
            for d in range(squares.shape[2])
        ]
        return np.sum(each, axis=0)

    def log_wishart(self, scales: Array, degrees: Array, factors: Array, n_features: int) -> Array:
        shapes = np.broadcast_to(0.5 * degrees[:, None], scales.shape)
        return log_gamma(shapes, 0.5 * scales, factors**2)

    def log_wishart_of_each(self, scales: Array, degrees: Array, factors: Array, n_features: int) -> Array:
        shapes = np.broadcast_to(0.5 * degrees[:, None], scales.shape)
        return log_gamma_of_each(shapes, 0.5 * scales, factors**2)

    def log_determinant_variances(self, degrees: Array, n_features: int) -> Array:
        return n_features * trigamma(0.5 * degrees)

    def variance_laws(self, scales: Array, degrees: Array, n_features: int) -> tuple[Array, Array]:
        return degrees, scales

    def modal_blocks(self, scales: Array, degrees: Array, n_means: int, n_features: int) -> Array:
        return scales / (degrees + n_means + 2)[:, None]

    def draw_roots(self, scales: Array, degrees: Array, n_features: int, rng: np.random.Generator) -> Array:
        return np.sqrt(0.5 * scales / gamma_draws(np.broadcast_to(0.5 * degrees[:, None], scales.shape), rng))


class Diagonal(_DiagonalBlocks):
    """A diagonal of its own for each component."""

    name = "diag"
    code = "VVI"
    sentence = "each component has its own variances, without correlations"
    shared = False


class TiedDiagonal(_DiagonalBlocks):
    """One diagonal shared by all components."""

    name = "tied_diag"
    code = "EEI"
    sentence = "all components share one variance per column, without correlations"
    shared = True
