"""Rows in memory (or in a memory map): the plainest source of blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array


class Block(NamedTuple):
    """Some consecutive rows: where they stand, the ``(B, D)`` rows, and their ``(B,)`` weights (``None``: all one)."""

    position: slice
    rows: Array
    weights: Array | None


@dataclass(frozen=True)
class ArraySource:
    """Blocks of an array, as views.

    Attributes
    ----------
    rows : (N, D) float32 or float64 array
        Finite.
    weights : (N,) array or None
        Positive.
    """

    rows: Array
    weights: Array | None = None

    @property
    def n_rows(self) -> int:
        """``N``."""
        return self.rows.shape[0]

    @property
    def n_features(self) -> int:
        """``D``."""
        return self.rows.shape[1]

    @cached_property
    def total_weight(self) -> float:
        """``Σ_n w_n``, or ``N`` without weights."""
        return float(self.n_rows if self.weights is None else self.weights.sum())

    @cached_property
    def magnitude(self) -> Array:
        """Largest absolute value of each column, ``(D,)``: what the spacing of floating-point numbers is relative to."""
        return np.maximum(self.rows.max(axis=0), -self.rows.min(axis=0)).astype(np.float64)

    def blocks(self, size: int) -> Iterator[Block]:
        """Consecutive blocks of ``size`` rows, the last one shorter."""
        for start in range(0, self.n_rows, size):
            part = slice(start, min(start + size, self.n_rows))
            yield Block(part, self.rows[part], None if self.weights is None else self.weights[part])

    def check_squares_representable(self) -> None:
        """Raise if sums of squares over the rows could overflow."""
        limit = math.sqrt(float(np.finfo(np.float64).max) / (16 * max(self.total_weight, self.n_rows)))
        if not self.magnitude.max() < limit:
            column = int(self.magnitude.argmax())
            raise DataError(
                f"column {column} holds values as large as {self.magnitude[column]:.3g}, whose squares overflow. "
                "Divide the data by a constant first."
            )
