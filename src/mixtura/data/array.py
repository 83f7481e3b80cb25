"""Rows in memory (or in a memory map): the plainest source of blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array

LAYOUT: tuple[Literal["C"], Literal["A"]] = ("C", "A")
"""Row after row, each number at an address that its size divides."""


class Block(NamedTuple):
    """Some consecutive rows: where they stand, the ``(B, D)`` rows, and their ``(B,)`` weights (``None``: all one)."""

    position: slice
    rows: Array
    weights: Array | None


@dataclass(frozen=True)
class ArraySource:
    """Blocks of an array, as views.

    Sums depend on the order in which numbers lie in memory. So rows lie one after another here: an array that is laid out otherwise
    (columns of a table, every other row) is copied, and the same rows give the same bits in whatever they come.

    Attributes
    ----------
    rows : (N, D) float32 or float64 array
        Finite.
    weights : (N,) array or None
        Positive.
    """

    rows: Array
    weights: Array | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", np.require(self.rows, requirements=LAYOUT))
        if self.weights is not None:
            object.__setattr__(self, "weights", np.require(self.weights, requirements=LAYOUT))

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
        return np.maximum(self.highest, -self.lowest)

    @cached_property
    def lowest(self) -> Array:
        """Smallest value of each column, ``(D,)``."""
        return self.rows.min(axis=0).astype(np.float64)

    @cached_property
    def highest(self) -> Array:
        """Largest value of each column, ``(D,)``."""
        return self.rows.max(axis=0).astype(np.float64)

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """Consecutive blocks of ``size`` rows between two positions, the last one shorter."""
        end = self.n_rows if stop is None else min(stop, self.n_rows)
        for first in range(start, end, size):
            part = slice(first, min(first + size, end))
            yield Block(part, self.rows[part], None if self.weights is None else self.weights[part])

    def parts(self, size: int) -> list[ArraySource]:
        """The rows in consecutive parts of about ``size``, each a source of its own (views)."""
        n_parts = max(1, round(self.n_rows / size))
        ends = [self.n_rows * i // n_parts for i in range(n_parts + 1)]
        return [
            ArraySource(self.rows[a:b], None if self.weights is None else self.weights[a:b]) for a, b in pairwise(ends)
        ]

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[ArraySource]:
        """All rows once, in random order, in batches of about ``size`` (copies)."""
        order = rng.permutation(self.n_rows)
        for picked in np.array_split(order, max(1, round(self.n_rows / size))):
            yield ArraySource(self.rows[picked], None if self.weights is None else self.weights[picked])

    def check_squares_representable(self) -> None:
        """Raise if squares of the values overflow, alone in the rows' precision or in their float64 sum, or underflow."""
        largest, own, double = self.magnitude.max(), np.finfo(self.rows.dtype), np.finfo(np.float64)
        if 0 < largest < math.sqrt(float(own.tiny)):
            raise DataError(
                f"no value is larger than {largest:.3g}, and the squares of such values underflow in {own.dtype}. "
                "Multiply the data by a constant first."
            )
        n_terms = 16 * max(self.total_weight, self.n_rows)
        limit = math.sqrt(min(float(own.max) / 16, float(double.max) / n_terms))
        if not largest < limit:
            raise DataError(
                f"column {int(self.magnitude.argmax())} holds values as large as {largest:.3g}, whose squares overflow in "
                f"{own.dtype}. Divide the data by a constant first, or use float64."
            )
