"""One pass over the data: score every block, assign its rows, add up the moments.

The pass takes a *stack* of mixtures and reads the data once for all of them. Blocks are reduced in the order in which they lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.assign import Assignment, soft


@dataclass(frozen=True, slots=True)
class Swept:
    """What a pass brings back for a stack of ``R`` mixtures with ``M`` components in all.

    Attributes
    ----------
    log_normaliser : (R,) array
        ``Σ_n w_n log Σ_k ρ_nk`` of each mixture (for hard assignment ``Σ_n w_n max_k log ρ_nk``).
    moments : Moments
        Of all ``M`` components, about their centres.
    """

    log_normaliser: Array
    moments: Moments


def sweep(source: ArraySource, scorer: Scorer, *, diagonal: bool, assignment: Assignment = soft) -> Swept:
    """Visit every block once.

    Parameters
    ----------
    source : ArraySource
    scorer : Scorer
        A stack of mixtures.
    diagonal : bool
        Whether the diagonals of the second moments are enough.
    assignment : Assignment
        How rows are shared among components.
    """
    slices = scorer.slices
    log_normaliser = np.zeros(len(slices))
    total = _Accumulator(scorer.centres, diagonal)
    for _, rows, weights in source.blocks(scorer.block_rows()):
        residuals = scorer.residuals(rows)
        shares = scorer.log_joint(residuals)
        for i, part in enumerate(slices):
            shares[part], row_normaliser = assignment(shares[part])
            log_normaliser[i] += row_normaliser.sum() if weights is None else weights @ row_normaliser
        if weights is not None:
            shares *= weights
        total.add(residuals, shares)
    return Swept(log_normaliser, total.moments())


def accumulate(
    source: ArraySource, responsibilities: Array, n_components: int, *, diagonal: bool
) -> Moments:
    """Moments for given responsibilities, about the mean of the data.

    Parameters
    ----------
    source : ArraySource
    responsibilities : (N, K) array, or (N,) integer array of labels
    n_components : int
        ``K``.
    diagonal : bool
    """
    origin = np.average(source.rows, axis=0, weights=source.weights).astype(np.float64)
    total = _Accumulator(np.repeat(origin[None], n_components, axis=0), diagonal)
    components = np.arange(n_components)[:, None]
    for part, rows, weights in source.blocks(max(64, 2**16 // total.first.size)):
        given = responsibilities[part]
        shares = (given == components).astype(np.float64) if given.ndim == 1 else np.array(given.T, dtype=np.float64)
        if weights is not None:
            shares *= weights
        total.add((rows - origin)[None], shares)
    return total.moments()


class _Accumulator:
    """Running moments of ``M`` components about fixed origins."""

    def __init__(self, origin: Array, diagonal: bool) -> None:
        n_components, n_features = origin.shape
        self.origin = origin
        self.diagonal = diagonal
        self.count = np.zeros(n_components)
        self.first = np.zeros((n_components, n_features))
        self.second = np.zeros((n_components, n_features) if diagonal else (n_components, n_features, n_features))

    def add(self, residuals: Array, shares: Array) -> None:
        """Add a block: residuals ``(M or 1, B, D)`` and weighted responsibilities ``(M, B)``."""
        self.count += shares.sum(axis=1)
        self.first += np.matmul(shares[:, None, :], residuals)[:, 0]
        if self.diagonal:
            self.second += np.matmul(shares[:, None, :], residuals * residuals)[:, 0]
        else:
            self.second += np.matmul((residuals * shares[:, :, None]).swapaxes(1, 2), residuals)

    def moments(self) -> Moments:
        second = self.second if self.diagonal else 0.5 * (self.second + self.second.swapaxes(1, 2))
        return Moments(self.count, self.first, second, self.origin)
