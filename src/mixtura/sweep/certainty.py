"""How well mixtures fit, and how certain their labels are: a sweep that adds up no moments.

Of each mixture ``Σ_n w_n log p(x_n)``, and ``Σ_n w_n log max_k r_nk``, which integrated completed likelihoods ask for.
"""

from __future__ import annotations

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.sweep.kernels import Batch, FeatureKernel, WhitenedKernel, weighted_sums
from mixtura.sweep.scratch import Scratch


class CertaintyFeatureKernel(FeatureKernel):
    """One product for the scores."""

    def zeros(self) -> list[Array]:
        return [np.zeros(len(self.members)), np.zeros(len(self.members))]

    def add(self, block: Array, weights: Array | None, scratch: Scratch, totals: list[Array]) -> None:
        phi = block[-self.coefficients.shape[1] :]
        scores = scratch.array("scores", (len(self.coefficients), phi.shape[1]), self.dtype)
        for batch, shares, row_normalisers in self.shared(phi, None, scores):
            _add(batch, shares, row_normalisers, weights, totals)


class CertaintyWhitenedKernel(WhitenedKernel):
    """The same, component by component, where features would lose digits."""

    def zeros(self) -> list[Array]:
        return [np.zeros(len(self.members)), np.zeros(len(self.members))]

    def add(self, block: Array, weights: Array | None, scratch: Scratch, totals: list[Array]) -> None:
        scores = self.scorer.log_joint_of(block)
        for batch in self.batches:
            shares = scores[batch.components].reshape(*batch.shape, -1)
            _add(batch, shares, batch.assignment(shares), weights, totals)


def _add(batch: Batch, shares: Array, row_normalisers: Array, weights: Array | None, totals: list[Array]) -> None:
    totals[0][batch.members] += weighted_sums(row_normalisers, weights)
    totals[1][batch.members] += weighted_sums(np.log(shares.max(axis=-2)), weights)
