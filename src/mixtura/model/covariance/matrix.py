"""Unrestricted covariance matrices: one each (``full``, VVV) or one shared (``tied``, EEE)."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array, cholesky, precision_factors, raise_eigenvalues
from mixtura.model.covariance.structure import Factored, InverseWishartPenalty, SharedBlocks


class _MatrixBlocks(SharedBlocks):
    diagonal: ClassVar[bool] = False

    def block_shape(self, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    def block_parameters(self, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def maximise_blocks(
        self, scatter: Array, counts: Array, floor: float, penalty: InverseWishartPenalty | None
    ) -> Array:
        if penalty is not None:
            scatter = scatter + penalty.scale
            counts = counts + penalty.degrees_of_freedom + scatter.shape[-1] + 1
        blocks = scatter / counts[:, None, None]
        return raise_eigenvalues(blocks, floor) if floor else blocks

    def maximise_and_factor_blocks(
        self, scatter: Array, counts: Array, least: Array, floor: float, penalty: InverseWishartPenalty | None
    ) -> Factored:
        blocks = self.maximise_blocks(scatter, counts, 0.0, penalty)
        factors, singular = self.factor_blocks(blocks, least)
        if floor:
            # tr Σ⁻¹ = ‖R‖² is no less than one over the smallest eigenvalue: small traces need no second look.
            low = singular | (np.einsum("gij,gij->g", factors, factors) > 1 / floor)
            if low.any():
                blocks[low] = raise_eigenvalues(blocks[low], floor)
                factors[low], singular[low] = self.factor_blocks(blocks[low], least[low])
        return Factored(blocks, factors, singular)

    def block_log_penalty(self, blocks: Array, penalty: InverseWishartPenalty) -> float:
        degrees = penalty.degrees_of_freedom + blocks.shape[-1] + 1
        traces = np.trace(np.linalg.solve(blocks, penalty.scale), axis1=-2, axis2=-1)
        return float(-0.5 * np.sum(degrees * np.linalg.slogdet(blocks)[1] + traces))

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


class Full(_MatrixBlocks):
    """A matrix of its own for each component."""

    name = "full"
    code = "VVV"
    shared = False


class Tied(_MatrixBlocks):
    """One matrix shared by all components."""

    name = "tied"
    code = "EEE"
    shared = True
