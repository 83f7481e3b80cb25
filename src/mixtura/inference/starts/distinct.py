"""Equal rows, found by one number a row; and so the distinct rows of data, if there are not too many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mixtura.data.facts import FIRST_STRIP, Facts
from mixtura.data.source import Block, Source
from mixtura.ground.linalg import Array

MOST_DISTINCT = 2**16
"""Rows that are looked through one by one."""


@dataclass(frozen=True, eq=False)
class RowKeys:
    """A number for each row, equal for equal rows: a combination of the columns with irrational coefficients.

    Columns count from their smallest value, in units of their range, so neither shifts nor units change the order.

    Attributes
    ----------
    lowest, scale : (D,) arrays
    """

    lowest: Array
    scale: Array

    @classmethod
    def of(cls, facts: Facts) -> RowKeys:
        """For the rows of which these are the facts."""
        ranges = facts.highest - facts.lowest
        return cls(facts.lowest, np.where(ranges > 0, ranges, 1.0))

    def __call__(self, rows: Array) -> Array:
        """Column by column, so that a row's key does not depend, to the last bit, on where the row stands."""
        total = np.zeros(len(rows))
        for j in range(rows.shape[1]):
            total += (rows[:, j].astype(np.float64) - self.lowest[j]) * (_coefficient(j) / self.scale[j])
        return total

    @property
    def largest(self) -> float:
        """No key exceeds it."""
        return (1 + 1e-9) * sum(map(_coefficient, range(len(self.lowest))))


def _coefficient(j: int) -> float:
    return math.sqrt(1 + (j + 1) * math.pi)


@dataclass(eq=False)
class Distinct:
    """Distinct rows in the order of their keys.

    Attributes
    ----------
    most : int
    keys : (m,) array, or None where there are more than so many
    weights : (m,) array
        Of all rows that are equal to each.
    places : (m,) integer array
        Where the first of them stands.
    """

    most: int
    keys: Array | None
    weights: Array
    places: NDArray[np.intp]

    @classmethod
    def merged(cls, most: int, keys: Array, weights: Array, places: NDArray[np.intp]) -> Distinct:
        """Those of some rows, whatever their order."""
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        if len(first) > most:
            return cls.too_many(most)
        return cls(most, keys[first], np.add.reduceat(weights[order], first), places[order][first])

    @classmethod
    def too_many(cls, most: int) -> Distinct:
        """More than are looked through."""
        return cls(most, None, np.empty(0), np.empty(0, np.intp))

    def __iadd__(self, other: Distinct) -> Self:
        if self.keys is None or other.keys is None:
            both = Distinct.too_many(self.most)
        else:
            both = Distinct.merged(
                self.most,
                np.concatenate([self.keys, other.keys]),
                np.concatenate([self.weights, other.weights]),
                np.concatenate([self.places, other.places]),
            )
        self.keys, self.weights, self.places = both.keys, both.weights, both.places
        return self


@dataclass(frozen=True, eq=False)
class FindDistinct:
    """The task of finding them."""

    row_keys: RowKeys
    most: int

    def __call__(self, strip: Block) -> Distinct:
        weights = np.ones(len(strip.rows)) if strip.weights is None else strip.weights
        places = np.arange(strip.position.start, strip.position.stop)
        return Distinct.merged(self.most, self.row_keys(strip.rows), weights, places)


def distinct_rows(source: Source, row_keys: RowKeys, most: int) -> Distinct:
    """The distinct rows, if there are no more than so many; mostly the first rows say that there are."""
    task = FindDistinct(row_keys, most)
    beginning = next(source.blocks(most + 1))
    found = task(beginning)
    if len(beginning.rows) == source.n_rows or found.keys is None:
        return found
    return source.reduce(task, FIRST_STRIP)
