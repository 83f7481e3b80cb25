"""The value of a column that is nearest to a number, and how many rows share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from mixtura.data.source import Block, Source


def nearest_value(source: Source, column: int, number: float) -> tuple[float, int]:
    """The value, the first of those that are as near, and how many rows have it.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.sweep.nearest_value import nearest_value
    >>> nearest_value(ArraySource(np.array([[3.0], [1.0], [1.0], [0.0]])), 0, 1.2)
    (1.0, 2)
    """
    found = source.reduce(_Nearest(column, number), source.strip_rows)
    return found.value, found.n_rows


@dataclass(eq=False)
class _Found:
    """How far off it is, what it is, and how many rows have it."""

    distance: float
    value: float
    n_rows: int

    def __iadd__(self, other: _Found) -> Self:
        if other.value == self.value:
            self.n_rows += other.n_rows
        elif other.distance < self.distance:
            self.distance, self.value, self.n_rows = other.distance, other.value, other.n_rows
        return self


@dataclass(frozen=True)
class _Nearest:
    """The task of looking for it."""

    column: int
    number: float

    def __call__(self, strip: Block) -> _Found:
        values = strip.rows[:, self.column]
        value = values[np.abs(values - self.number).argmin()]
        return _Found(float(abs(value - self.number)), float(value), int((values == value).sum()))
