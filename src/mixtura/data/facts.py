"""What one read says of rows: how many and how heavy they are, between what values they lie, about what centre and how far from it.

Of a strip, and then of strips that follow each other: means and squares about them are merged without loss of digits. Source: Chan, Golub
and LeVeque (1983), "Algorithms for computing the sample variance".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array

FIRST_STRIP = 2**14
"""Rows at a time in the read that says how many there are."""


@dataclass(eq=False)
class Facts:
    """Of all rows, or of consecutive ones.

    Attributes
    ----------
    n_rows : int
    total_weight : float
    lowest, highest : (D,) arrays
        Smallest and largest value of each column.
    mean : (D,) array
        Weighted.
    squares : (D,) array
        Weighted sums of squares about it.
    n_missing : (D,) integer array
        Values of each column that are no finite number; with any, the others say nothing.
    """

    n_rows: int
    total_weight: float
    lowest: Array
    highest: Array
    mean: Array
    squares: Array
    n_missing: NDArray[np.intp]

    @classmethod
    def of(cls, rows: Array, weights: Array | None) -> Facts:
        """Those of some rows in memory."""
        total = float(len(rows) if weights is None else weights.sum())
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what is said here has values refused whose squares overflow
            near = _sums(rows, weights) / total
            residuals = rows - near
            off = _sums(residuals, weights) / total
            squares = np.maximum(_sums(np.square(residuals), weights) - total * off**2, 0.0)  # rounding may leave less
        lowest, highest = (extreme(axis=0).astype(np.float64) for extreme in (rows.min, rows.max))
        n_missing = np.zeros(rows.shape[1], np.intp) if np.isfinite(near).all() else (~np.isfinite(rows)).sum(axis=0)
        return cls(len(rows), total, lowest, highest, near + off, squares, n_missing)

    def __iadd__(self, other: Facts) -> Facts:
        weight = self.total_weight + other.total_weight
        with np.errstate(over="ignore", invalid="ignore"):
            apart = other.mean - self.mean
            self.mean = self.mean + apart * (other.total_weight / weight)
            self.squares = self.squares + other.squares + apart**2 * (self.total_weight * (other.total_weight / weight))
        self.lowest, self.highest = np.minimum(self.lowest, other.lowest), np.maximum(self.highest, other.highest)
        self.n_missing = self.n_missing + other.n_missing
        self.n_rows, self.total_weight = self.n_rows + other.n_rows, weight
        return self

    @cached_property
    def magnitude(self) -> Array:
        """Largest absolute value of each column, ``(D,)``: what the spacing of floating-point numbers is relative to."""
        return np.maximum(self.highest, -self.lowest)

    @cached_property
    def pivot(self) -> Array:
        """A point near the mean, ``(D,)``.

        It lies on a coarse binary grid: subtracting it is exact for rows nearby, and it does not move with the rounding of the mean, so
        that the same rows in another order, or repeated rows instead of weights, meet the same features to the last bit.
        """
        variances = self.squares / self.total_weight
        grid = np.exp2(np.floor(np.log2(np.sqrt(variances), where=variances > 0, out=np.zeros_like(variances))) - 2)
        with np.errstate(over="ignore"):
            steps = self.mean / grid
        return np.where(np.abs(steps) < 2.0**52, np.round(steps) * grid, self.mean)  # farther out all numbers lie on it

    def spread_about(self, point: Array) -> Array:
        """Mean square of each column about a point, ``(D,)``."""
        spread: Array = self.squares / self.total_weight + (self.mean - point) ** 2
        return spread


def _sums(rows: Array, weights: Array | None) -> Array:
    """Of columns; without BLAS, whose sums depend on its threads."""
    if weights is None:
        return rows.sum(axis=0, dtype=np.float64)
    sums: Array = np.einsum("n,nd->d", weights, rows, dtype=np.float64)
    return sums
