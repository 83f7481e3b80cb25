"""Two ways to score a block and add up its moments, for several mixtures at once.

*Features as rows.* About a pivot ``p`` near the data, ``log ρ`` is linear in ``φ(x) = (z_i z_j for i ≤ j, z, 1)``, ``z = x − p``. With the
features as rows, ``(F, B)``, the scores of all components of all mixtures are one matrix product ``W φ`` and their moments another,
``r φᵀ``: half the arithmetic of the dense form, along long contiguous vectors. The price is digits: terms as large as
``(spread/σ)²`` cancel.

*Whitened.* ``‖(x − μ_k) R_k‖²`` and moments about ``μ_k``, component by component: nothing cancels.

``fits_features`` says which mixtures the first form serves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.assign import Assignment

LARGEST_CANCELLATION = {np.dtype(np.float64): 1e4, np.dtype(np.float32): 1e2}
"""Largest ratio of a score's terms to the score for which the features keep enough digits: 12 of float64, 5 of float32."""
MOST_FEATURES = 64
"""Above this dimension whitened products win over matrix features."""
CACHE = 180_000
"""Numbers in a block's working arrays, so that they stay in a second-level cache."""


def fits_features(scorer: Scorer, pivot: Array, variances: Array, dtype: np.dtype) -> bool:
    """Whether the feature form keeps enough digits for a mixture, and is the faster one.

    Parameters
    ----------
    scorer : Scorer
    pivot, variances : (D,) arrays
        Centre and mean square of the data about it.
    dtype : dtype
    """
    if not scorer.diagonal and len(pivot) > MOST_FEATURES:
        return False
    representable = float(np.finfo(dtype).max) ** 0.75
    with np.errstate(over="ignore"):
        precisions, squares = scorer.precision_diagonals, variances + (scorer.centres - pivot) ** 2
        cancellation = (precisions * squares).sum(axis=1).max()
    within_range = max(precisions.max(), squares.max()) <= representable
    return bool(within_range and cancellation <= LARGEST_CANCELLATION[dtype])


class Kernel(ABC):
    """Scores blocks for a list of mixtures of one form."""

    def __init__(self, scorers: list[Scorer]) -> None:
        sizes = [len(scorer.constants) for scorer in scorers]
        ends = list(accumulate(sizes))
        self.parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self.diagonal = scorers[0].diagonal

    @property
    @abstractmethod
    def form(self) -> str:
        """What ``prepare`` depends on besides the rows."""

    @abstractmethod
    def block_rows(self) -> int:
        """Rows to a block so that working arrays stay in cache."""

    @abstractmethod
    def workspace(self, n_rows: int) -> list[Array]:
        """Arrays in which blocks of up to ``n_rows`` rows are worked on, used again for each block."""

    @abstractmethod
    def prepare(self, rows: Array, workspace: list[Array]) -> Array:
        """What can be computed of a block without knowing the mixtures."""

    @abstractmethod
    def add(
        self,
        prepared: Array,
        weights: Array | None,
        assignment: Assignment,
        workspace: list[Array],
        totals: list[Array],
    ) -> None:
        """Add a block to running totals, of which the first holds the mixtures' log-normalisers."""

    @abstractmethod
    def zeros(self) -> list[Array]:
        """Totals of no rows."""

    @abstractmethod
    def moments(self, totals: list[Array]) -> Moments:
        """Moments of all components from totals over all rows."""


class FeatureKernel(Kernel):
    """One matrix product for the scores, one for the moments."""

    def __init__(self, scorers: list[Scorer], pivot: Array, dtype: np.dtype) -> None:
        super().__init__(scorers)
        self.pivot, self.dtype = pivot, dtype
        # No log joint exceeds its component's constant. Relative to the largest of a mixture's constants, exponentials cannot
        # overflow, so the peak of each row need not be sought.
        self.ceilings = np.array([s.constants.max() for s in scorers])
        coefficients = [_coefficients(s, pivot) for s in scorers]
        for block, ceiling in zip(coefficients, self.ceilings, strict=True):
            block[:, -1] -= ceiling
        self.coefficients = np.concatenate(coefficients).astype(dtype, copy=False)

    @property
    def form(self) -> str:
        return f"{'diagonal' if self.diagonal else 'matrix'} features in {self.dtype}"

    def block_rows(self) -> int:
        n_components, n_features = self.coefficients.shape
        return max(256, CACHE // (n_features + 2 * n_components))

    def workspace(self, n_rows: int) -> list[Array]:
        n_components, n_features = self.coefficients.shape
        return [np.empty((n_features, n_rows), self.dtype), np.empty((n_components, n_rows), self.dtype)]

    def prepare(self, rows: Array, workspace: list[Array]) -> Array:
        return features(rows, self.pivot, self.diagonal, workspace[0][:, : len(rows)])

    def add(
        self,
        prepared: Array,
        weights: Array | None,
        assignment: Assignment,
        workspace: list[Array],
        totals: list[Array],
    ) -> None:
        scores = np.matmul(self.coefficients, prepared, out=workspace[1][:, : prepared.shape[1]])
        for i, (part, ceiling) in enumerate(zip(self.parts, self.ceilings, strict=True)):
            row_normalisers = assignment.share_bounded(scores[part])
            if row_normalisers is None:  # some row is far from every component: once more, from its own peak
                np.matmul(self.coefficients[part], prepared, out=scores[part])
                row_normalisers = assignment(scores[part])
            row_normalisers = row_normalisers + ceiling
            totals[0][i] += weighted_sum(row_normalisers, weights)
        if weights is not None:
            scores *= weights.astype(self.dtype, copy=False)
        totals[1] += np.matmul(scores, prepared.T)

    def zeros(self) -> list[Array]:
        return [np.zeros(len(self.parts)), np.zeros(self.coefficients.shape)]

    def moments(self, totals: list[Array]) -> Moments:
        sums, n_features = totals[1], len(self.pivot)
        second = sums[:, : -n_features - 1]
        if not self.diagonal:
            rows, columns = _upper_triangle(n_features)
            matrices = np.empty((len(sums), n_features, n_features))
            matrices[:, rows, columns] = second
            matrices[:, columns, rows] = second
            second = matrices
        origin = np.broadcast_to(self.pivot, (len(sums), n_features))
        return Moments(sums[:, -1], sums[:, -n_features - 1 : -1], second, origin)


def features(rows: Array, pivot: Array, diagonal: bool, out: Array) -> Array:
    """``φ`` of a block, ``(F, B)`` into ``out`` and its dtype: squares (or all products), the centred columns, and one."""
    n_features = rows.shape[1]
    n_products = len(out) - n_features - 1
    centred = out[n_products:-1]
    np.subtract(rows.T, pivot[:, None].astype(out.dtype), out=centred)
    if diagonal:
        np.multiply(centred, centred, out=out[:n_products])
    else:
        start = 0
        for i in range(n_features):
            stop = start + n_features - i
            np.multiply(centred[i], centred[i:], out=out[start:stop])
            start = stop
    out[-1] = 1
    return out


@cache
def _upper_triangle(n_features: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each product, in the order in which features list them."""
    return np.triu_indices(n_features)


def _coefficients(scorer: Scorer, pivot: Array) -> Array:
    """``W`` with ``W φ(x) = log ρ(x)``, shape ``(K, F)``."""
    offset = scorer.centres - pivot
    if scorer.diagonal:
        precision = scorer.whitening**2
        quadratic, linear = -0.5 * precision, precision * offset
    else:
        precision = scorer.whitening @ scorer.whitening.swapaxes(1, 2)
        rows, columns = _upper_triangle(offset.shape[1])
        quadratic = precision[:, rows, columns] * np.where(rows == columns, -0.5, -1.0)
        linear = np.matmul(precision, offset[:, :, None])[:, :, 0]
    constant = scorer.constants - 0.5 * (linear * offset).sum(axis=1)
    return np.concatenate([quadratic, linear, constant[:, None]], axis=1)


class WhitenedKernel(Kernel):
    """Residuals from each component's own centre, whitened; moments about that centre."""

    def __init__(self, scorers: list[Scorer]) -> None:
        super().__init__(scorers)
        self.scorer = Scorer(
            np.concatenate([s.constants for s in scorers]),
            np.concatenate([s.centres for s in scorers]),
            np.concatenate([s.whitening for s in scorers]),
        )

    @property
    def form(self) -> str:
        return "rows as they are"

    def block_rows(self) -> int:
        return self.scorer.block_rows()

    def workspace(self, n_rows: int) -> list[Array]:
        return []

    def prepare(self, rows: Array, workspace: list[Array]) -> Array:
        return rows

    def add(
        self,
        prepared: Array,
        weights: Array | None,
        assignment: Assignment,
        workspace: list[Array],
        totals: list[Array],
    ) -> None:
        residuals = self.scorer.residuals(prepared)
        shares = self.scorer.log_joint(residuals)
        for i, part in enumerate(self.parts):
            totals[0][i] += weighted_sum(assignment(shares[part]), weights)
        if weights is not None:
            shares *= weights
        add_block(residuals, shares, totals[1:])

    def zeros(self) -> list[Array]:
        return [np.zeros(len(self.parts)), *zero_totals(self.scorer.centres.shape, self.diagonal)]

    def moments(self, totals: list[Array]) -> Moments:
        _, count, first, second = totals
        return Moments(count, first, second, self.scorer.centres)


def zero_totals(shape: tuple[int, ...], diagonal: bool) -> list[Array]:
    """Count, first and second moments of no rows, for ``shape = (M, D)``."""
    return [np.zeros(shape[0]), np.zeros(shape), np.zeros(shape if diagonal else (*shape, shape[1]))]


def add_block(residuals: Array, shares: Array, totals: list[Array]) -> None:
    """Add residuals ``(M, B, D)`` with weighted responsibilities ``(M, B)`` to count, first and second moments."""
    count, first, second = totals
    count += shares.sum(axis=1)
    first += np.matmul(shares[:, None, :], residuals)[:, 0]
    if second.ndim == 2:
        second += np.matmul(shares[:, None, :], residuals * residuals)[:, 0]
    else:
        products = np.matmul((residuals * shares[:, :, None]).swapaxes(1, 2), residuals)
        second += 0.5 * (products + products.swapaxes(1, 2))


def weighted_sum(values: Array, weights: Array | None) -> float:
    """``Σ w v`` in float64, whatever the values are in."""
    return float(values.sum(dtype=np.float64) if weights is None else weights @ values)
