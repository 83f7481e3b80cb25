"""Rows evenly along the cumulative weights, in the order of their keys, of data that are not sorted and perhaps not in memory.

The first read counts what lies in each of very many intervals. Then it is known in which intervals the rows that are sought lie; these are
cut again until they hold few enough rows, which the last read collects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Arrays, Block, Source
from mixtura.ground.linalg import Array
from mixtura.inference.starts.distinct import RowKeys

STRIP = 2**16
INTERVALS = 2**17
MOST_COLLECTED = 2**20
"""Rows that are sorted in memory."""
MOST_READS = 4
"""After so many an interval holds equal keys alone, to rounding."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Disjoint intervals ``[low, high)`` in ascending order, and the weight of all keys below each."""

    low: Array
    high: Array
    before: Array

    def edges(self) -> Array:
        """Each cut into equal intervals, ``(W, S + 1)``."""
        share = np.linspace(0.0, 1.0, max(2, INTERVALS // len(self.low)) + 1)
        edges = self.low[:, None] + share * (self.high - self.low)[:, None]
        edges[:, -1] = self.high
        return edges

    def within(self, keys: Array) -> NDArray[np.bool_]:
        """Which keys lie in one of them."""
        place = np.searchsorted(self.low, keys, side="right") - 1
        return (place >= 0) & (keys < self.high[place])


@dataclass(frozen=True, eq=False)
class Counted:
    """The task of counting rows, and adding up their weights, between neighbouring edges."""

    row_keys: RowKeys
    edges: Array

    def __call__(self, strip: Block) -> Arrays:
        edge, size = self._edges_up_to(self.row_keys(strip.rows)), self.edges.size + 1
        counts = np.bincount(edge, minlength=size)[1:].astype(float)
        sums = counts.copy() if strip.weights is None else np.bincount(edge, strip.weights, size)[1:]
        return Arrays([counts, np.asarray(sums, dtype=float)])

    def _edges_up_to(self, keys: Array) -> NDArray[np.intp]:
        """How many edges do not exceed each key."""
        edges = self.edges.ravel()
        if len(self.edges) > 1:
            return np.searchsorted(edges, keys, side="right")
        # Equal intervals from zero: no search, but for what rounding makes of their ends.
        place = np.minimum((keys * ((len(edges) - 1) / edges[-1])).astype(np.intp), len(edges) - 2)
        place -= keys < edges[place]
        place += keys >= edges[place + 1]
        return place + 1


@dataclass(eq=False)
class Collected:
    """Keys of rows, their weights, and where they stand."""

    keys: list[Array]
    weights: list[Array]
    places: list[NDArray[np.intp]]

    def __iadd__(self, other: Collected) -> Self:
        self.keys += other.keys
        self.weights += other.weights
        self.places += other.places
        return self


@dataclass(frozen=True, eq=False)
class Collect:
    """The task of collecting the rows in windows."""

    row_keys: RowKeys
    windows: Windows

    def __call__(self, strip: Block) -> Collected:
        keys = self.row_keys(strip.rows)
        here = np.flatnonzero(self.windows.within(keys))
        weights = np.ones(len(here)) if strip.weights is None else strip.weights[here]
        return Collected([keys[here]], [weights], [here + strip.position.start])


def evenly_along(source: Source, row_keys: RowKeys, n: int) -> NDArray[np.intp]:
    """Places of so many rows."""
    points = (np.arange(n) + 0.5) * (source.total_weight / n)
    windows = Windows(np.zeros(1), np.array([row_keys.largest]), np.zeros(1))
    for _ in range(MOST_READS):
        edges = windows.edges()
        # What lies between the last edge of a window and the next window is not sought.
        counts, sums = (
            part.reshape(edges.shape)[:, :-1] for part in source.reduce(Counted(row_keys, edges), STRIP).parts
        )
        beginnings = (windows.before[:, None] + np.cumsum(sums, axis=1) - sums).ravel()
        sought = np.unique(np.searchsorted(beginnings, points) - 1)
        windows = Windows(edges[:, :-1].ravel()[sought], edges[:, 1:].ravel()[sought], beginnings[sought])
        if counts.ravel()[sought].sum() <= MOST_COLLECTED:
            break
    collected = source.reduce(Collect(row_keys, windows), STRIP)
    return _chosen(collected, windows, points)


def _chosen(collected: Collected, windows: Windows, points: Array) -> NDArray[np.intp]:
    """The rows at whose weights the cumulative weights pass the points."""
    keys, weights = np.concatenate(collected.keys), np.concatenate(collected.weights)
    order = np.argsort(keys, kind="stable")
    keys, weights = keys[order], weights[order]
    window = np.searchsorted(windows.low, keys, side="right") - 1
    first = np.minimum(np.searchsorted(window, np.arange(len(windows.low))), len(keys) - 1)
    own = np.cumsum(weights)
    cumulative = own + (windows.before - (own - weights)[first])[window]
    at = np.minimum(np.searchsorted(cumulative, points), len(keys) - 1)
    chosen: NDArray[np.intp] = np.concatenate(collected.places)[order][at]
    return chosen
