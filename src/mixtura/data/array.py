"""Rows in memory (or in a memory map): the plainest source of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Block, InOneGo, Mapped, S, Source, in_threads
from mixtura.ground.linalg import Array

LAYOUT: tuple[Literal["C"], Literal["A"]] = ("C", "A")
"""Row after row, each number at an address that its size divides."""


@dataclass(frozen=True)
class ArraySource(Source):
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

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.rows.dtype

    def blocks(self, size: int) -> Iterator[Block]:
        """All rows in order as views, ``size`` at a time, the last time fewer."""
        for first in range(0, self.n_rows, size):
            part = slice(first, min(first + size, self.n_rows))
            yield Block(part, self.rows[part], None if self.weights is None else self.weights[part])

    def reduce(self, task: Callable[[Block], S], size: int, mapped: Mapped = in_threads) -> S:
        if isinstance(task, InOneGo):
            return task.over(next(self.blocks(self.n_rows)), size)
        return super().reduce(task, size, mapped)

    def take(self, places: NDArray[np.intp]) -> tuple[Array, Array | None]:
        return self.rows[places], None if self.weights is None else self.weights[places]

    def everything(self) -> tuple[Array, Array | None]:
        return self.rows, self.weights

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array | None]]:
        order = rng.permutation(self.n_rows)
        for picked in np.array_split(order, max(1, round(self.n_rows / size))):
            yield self.take(picked)
