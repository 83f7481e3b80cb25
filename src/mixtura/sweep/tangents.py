"""How moments change when the mixture moves: the sweep behind Hessian–vector products.

Along a direction in which ``log ρ_nk`` changes at the rate ``d_nk``, responsibilities change at the rate
``δ_nk = r_nk (d_nk − Σ_j r_nj d_nj)``, and moments by the same sums with ``δ`` for ``r``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixtura.ground.linalg import COMPLEX_STEP, Array
from mixtura.model.scorer import Scorer
from mixtura.sweep.features import coefficients
from mixtura.sweep.kernels import FeatureKernel, Member, WhitenedKernel
from mixtura.sweep.scratch import Scratch


class TangentFeatureKernel(FeatureKernel):
    """Two products for scores and their rates of change, one for the moments'."""

    def __init__(self, members: Sequence[Member], directions: Sequence[Scorer], pivot: Array) -> None:
        super().__init__(members, pivot, np.dtype(np.float64))
        along, h = Scorer.stacked([directions[member.place] for member in self.members]), COMPLEX_STEP
        at = self.scorer
        moved = Scorer(
            at.constants + 1j * h * along.constants,
            at.centres + 1j * h * along.centres,
            at.whitening + 1j * h * along.whitening,
        )
        self.rates = coefficients(moved, pivot).imag / h

    def add(self, block: Array, weights: Array | None, scratch: Scratch, totals: list[Array]) -> None:
        phi = block[-self.coefficients.shape[1] :]
        shares = np.matmul(self.coefficients, phi)
        for batch in self.batches:
            batch.assignment(shares[batch.components].reshape(*batch.shape, -1))
        changes = np.matmul(self.rates, phi)
        for batch in self.batches:
            parts = (array[batch.components].reshape(*batch.shape, -1) for array in (shares, changes))
            _to_changes_of_shares(*parts)
        if weights is not None:
            changes *= weights
        totals[1] += np.matmul(changes, phi.T)


class TangentWhitenedKernel(WhitenedKernel):
    """The same, component by component, where features would lose digits."""

    def __init__(self, members: Sequence[Member], directions: Sequence[Scorer]) -> None:
        super().__init__(members)
        self.along = Scorer.stacked([directions[member.place] for member in self.members])

    def add(self, block: Array, weights: Array | None, scratch: Scratch, totals: list[Array]) -> None:
        at, along = self.scorer, self.along
        residuals = at.residuals(block)
        whitened = at.whitened(residuals)
        shares = at.log_joint(whitened)
        moving = along.whitened(residuals) - at.whitened(along.centres[:, None, :])
        changes = along.constants[:, None] - np.einsum("kbd,kbd->kb", whitened, moving)
        for batch in self.batches:
            mine, rates = (array[batch.components].reshape(*batch.shape, -1) for array in (shares, changes))
            batch.assignment(mine)
            _to_changes_of_shares(mine, rates)
        if weights is not None:
            changes *= weights
        rows = residuals if self.diagonal else whitened
        _, count, first, second = totals
        count += changes.sum(axis=1)
        first += np.matmul(changes[:, None, :], rows)[:, 0]
        if self.diagonal:
            second += np.matmul(changes[:, None, :], rows**2)[:, 0]
        else:
            second += np.matmul((rows * changes[:, :, None]).swapaxes(1, 2), rows)


def _to_changes_of_shares(shares: Array, rates: Array) -> None:
    """``δ`` in place of ``d``."""
    rates -= (shares * rates).sum(axis=-2, keepdims=True)
    rates *= shares
