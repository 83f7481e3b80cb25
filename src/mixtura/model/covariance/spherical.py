"""Round covariances: one variance each (``spherical``, VII) or one shared (``tied_spherical``, EII, the k-means setting)."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.ground.special import digamma, gamma_draws, trigamma
from mixtura.model.covariance.structure import InverseWishartPenalty, SharedBlocks
from mixtura.model.covariance.student import gamma_divergence, log_gamma, log_gamma_of_each, log_multivariate_student


def _mean_variance(scale: Array) -> float:
    return float(np.trace(scale)) / len(scale)


class _SphericalBlocks(SharedBlocks):
    diagonal: ClassVar[bool] = True
    scales_by_feature: ClassVar[bool] = False

    def block_shape(self, n_features: int) -> tuple[int, ...]:
        return ()

    def block_parameters(self, n_features: int) -> int:
        return 1

    def maximise_blocks(
        self, scatter: Array, counts: Array, floor: Array | float, penalty: InverseWishartPenalty | None
    ) -> Array:
        # A scalar stands for D equal variances: D observations of it in each row, and in each row that the prior stands for.
        n_features = scatter.shape[1]
        sums, counts = scatter.sum(axis=1), counts * n_features
        if penalty is not None:
            sums = sums + penalty.diagonal.sum()
            counts = counts + n_features * penalty.degrees_of_freedom + 2
        return np.maximum(sums / counts, np.mean(floor))

    def block_log_penalty(self, blocks: Array, penalty: InverseWishartPenalty) -> float:
        degrees = len(penalty.scale) * penalty.degrees_of_freedom + 2
        return float(-0.5 * np.sum(degrees * np.log(blocks) + penalty.diagonal.sum() / blocks))

    def factor_blocks(self, blocks: Array, least: Array) -> tuple[Array, NDArray[np.bool_]]:
        singular = ~(blocks > least.mean(axis=1))
        return 1 / np.sqrt(np.where(blocks > 0, blocks, 1.0)), singular

    def block_precisions(self, factors: Array) -> Array:
        return factors**2

    def block_variances(self, blocks: Array, n_features: int) -> Array:
        return np.repeat(blocks[:, None], n_features, axis=1)

    def block_matrices(self, blocks: Array, n_features: int) -> Array:
        return blocks[:, None, None] * np.eye(n_features)

    def block_whitening(self, factors: Array, n_features: int) -> Array:
        return np.repeat(factors[..., None], n_features, axis=-1)

    def block_information(self, n_features: int) -> Array:
        return np.array([2.0 * n_features])

    def block_roots(self, blocks: Array) -> Array:
        return np.sqrt(blocks)

    def block_from_roots(self, roots: Array) -> Array:
        return roots**2

    def relative_roots(self, t: Array, n_features: int) -> Array:
        return np.exp(t[..., 0])

    def composed_roots(self, reference: Array, relative: Array) -> Array:
        return reference * relative

    def relative_coordinates(self, reference: Array, roots: Array) -> Array:
        return np.log(roots / reference)[:, None]

    def apply_roots(self, roots: Array, vectors: Array) -> Array:
        return roots[..., None] * vectors

    def apply_roots_transposed(self, roots: Array, vectors: Array) -> Array:
        return roots[..., None] * vectors

    def whiten_by_roots(self, roots: Array, vectors: Array) -> Array:
        return vectors / roots[..., None]

    def factor_from_roots(self, roots: Array) -> Array:
        return 1 / roots

    def pull_back(self, second: Array, counts: Array, factors: Array, relative: Array) -> Array:
        return (factors**2 * second.sum(axis=-1) - second.shape[-1] * counts)[..., None]

    def pull_back_blocks(self, by_blocks: Array, roots: Array, reference: Array, relative: Array) -> Array:
        return (2 * roots**2 * by_blocks)[..., None]

    def block_log_spreads(self, roots: Array) -> Array:
        return np.log(roots)[..., None]

    def by_spreads(self, by_log_spreads: Array, log_spreads: Array) -> Array:
        return (0.5 * by_log_spreads * np.exp(-2 * log_spreads))[..., 0]

    def likelihood_slopes(self, scales: Array, counts: Array, factors: Array, n_features: int) -> Array:
        precisions = factors**2
        return 0.5 * n_features * precisions * (precisions * scales - counts)

    def block_log_determinants(self, roots: Array) -> Array:
        return 2 * np.log(roots)

    def block_log_jacobians(self, roots: Array) -> Array:
        return np.log(2 * roots**2)

    def block_log_jacobian_slope(self, n_features: int) -> Array:
        return np.array([2.0])

    def prior_block(self, scale: Array) -> Array:
        return np.array([_mean_variance(scale)])

    def block_sums(self, scatter: Array) -> Array:
        return scatter.mean(axis=-1)

    def factored_scales(self, scales: Array) -> tuple[Array, Array]:
        return scales, 1 / np.sqrt(scales)

    def expected_log_determinants(self, scales: Array, factors: Array, degrees: Array, n_features: int) -> Array:
        return n_features * (digamma(0.5 * n_features * degrees) - np.log(0.5 * n_features * scales))

    def wishart_divergences(
        self, scales: Array, factors: Array, degrees: Array, prior_scale: Array, prior_degrees: float, n_features: int
    ) -> Array:
        half = 0.5 * n_features
        return gamma_divergence(half * degrees, half * scales, half * prior_degrees, half * prior_scale)

    def log_student(self, squares: Array, whitening: Array, degrees: Array, widening: Array) -> Array:
        n_features = squares.shape[2]
        log_root = n_features * np.log(whitening[:, 0])
        return log_multivariate_student(squares, log_root, n_features * degrees, widening)

    def log_wishart(self, scales: Array, degrees: Array, factors: Array, n_features: int) -> Array:
        half = 0.5 * n_features
        return log_gamma(half * degrees[:, None], half * scales[:, None], factors[:, None] ** 2)

    def log_wishart_of_each(self, scales: Array, degrees: Array, factors: Array, n_features: int) -> Array:
        half = 0.5 * n_features
        return log_gamma_of_each(half * degrees[:, None], half * scales[:, None], factors[:, None] ** 2)

    def log_determinant_variances(self, degrees: Array, n_features: int) -> Array:
        return n_features**2 * trigamma(0.5 * n_features * degrees)

    def variance_laws(self, scales: Array, degrees: Array, n_features: int) -> tuple[Array, Array]:
        return n_features * degrees, np.repeat(n_features * scales[:, None], n_features, axis=1)

    def modal_blocks(self, scales: Array, degrees: Array, n_means: int, n_features: int) -> Array:
        return n_features * scales / (n_features * (degrees + n_means) + 2)

    def draw_roots(self, scales: Array, degrees: Array, n_features: int, rng: np.random.Generator) -> Array:
        half = 0.5 * n_features
        return np.sqrt(half * scales / gamma_draws(half * degrees, rng))


class Spherical(_SphericalBlocks):
    """A variance of its own for each component."""

    name = "spherical"
    code = "VII"
    sentence = "each component is round, with its own variance"
    shared = False


class TiedSpherical(_SphericalBlocks):
    """One variance shared by all components."""

    name = "tied_spherical"
    code = "EII"
    sentence = "all components are round and share one variance, as in k-means"
    shared = True
