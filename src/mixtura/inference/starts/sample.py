"""The seeding sample: what every start of our own looks at.

It holds the distinct rows, sorted, with their weights (thinned when there are very many). So a start depends on the weighted set of rows
alone: not on their order, nor on whether a row is repeated or carries the weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array

LARGEST_SAMPLE = 5000
ROWS_PER_PARAMETER = 10
GRID = 2.0**-26


@dataclass(frozen=True, eq=False)
class SeedingSample:
    """Distinct rows in a fixed order, with the weight that each stands for.

    Attributes
    ----------
    rows : (m, D) float64 array
    weights : (m,) array
        Summing to ``m``: the scale of the weights does not matter either.
    mean, variances : (D,) array
    """

    rows: Array
    weights: Array
    mean: Array
    variances: Array

    @property
    def source(self) -> ArraySource:
        """The sample as a source of blocks."""
        return ArraySource(self.rows, self.weights)

    def scaled(self, points: Array, per_feature: bool) -> Array:
        """Points about the mean, in units of each feature's standard deviation or of one common one.

        Rounded to ``GRID`` of those: so rows that are as near to one centre as to another are so in any unit.
        """
        variances = self.variances if per_feature else np.full_like(self.variances, self.variances.mean())
        scaled = (points - self.mean) / (GRID * np.sqrt(np.where(variances > 0, variances, 1.0)))
        return np.round(scaled, out=scaled) * GRID

    def thinned(self, limit: int) -> SeedingSample:
        """No more than so many of the rows, by systematic sampling: each with a probability proportional to its weight."""
        if len(self.rows) <= limit:
            return self
        kept = _thinned(self.weights, limit)
        return SeedingSample(self.rows[kept], np.ones(limit), self.mean, self.variances)

    def draw(self, rng: np.random.Generator, mass: Array, n: int) -> NDArray[np.intp]:
        """Indices of ``n`` rows drawn with probability proportional to ``mass``, by inverse distribution function."""
        cumulative = np.cumsum(mass)
        points = rng.random(n) * cumulative[-1]
        return np.minimum(np.searchsorted(cumulative, points, side="right"), len(mass) - 1)


def seeding_sample(source: ArraySource, n_components: int) -> SeedingSample:
    """Sort the rows, merge equal ones, and thin them by systematic sampling if more than ``max(5000, 10·K·D)`` are left."""
    keys = _sort_keys(source)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    del keys
    weights = np.ones(len(order)) if source.weights is None else source.weights[order]
    weights = np.add.reduceat(weights, first)
    order = order[first]
    limit = max(LARGEST_SAMPLE, ROWS_PER_PARAMETER * n_components * source.n_features)
    if len(order) > limit:
        order, weights = order[_thinned(weights, limit)], np.ones(limit)
    weights *= len(order) / weights.sum()
    rows = source.rows[order].astype(np.float64)
    mean = np.average(rows, axis=0, weights=weights)
    centred = rows - mean
    variances = np.einsum("n,nd,nd->d", weights, centred, centred) / weights.sum()
    return SeedingSample(rows, weights, mean, variances)


def _thinned(weights: Array, limit: int) -> NDArray[np.intp]:
    """Places of so many, evenly along the cumulative weights."""
    cumulative = np.cumsum(weights)
    points = (np.arange(limit) + 0.5) * (cumulative[-1] / limit)
    return np.minimum(np.searchsorted(cumulative, points), len(weights) - 1)


def _sort_keys(source: ArraySource) -> Array:
    """One number a row, equal for equal rows: a combination of the columns with irrational coefficients.

    Columns count from their smallest value, in units of their range, so neither shifts nor units change the order. Computed column by
    column, so that a row's key does not depend, to the last bit, on where the row stands.
    """
    lowest, ranges = source.lowest, source.highest - source.lowest
    scale = np.where(ranges > 0, ranges, 1.0)
    keys = np.empty(source.n_rows)
    for part, rows, _ in source.blocks(2**14):
        total = keys[part]
        total[:] = 0.0
        for j in range(source.n_features):
            total += (rows[:, j].astype(np.float64) - lowest[j]) * (math.sqrt(1 + (j + 1) * math.pi) / scale[j])
    return keys


def squared_distances(rows: Array, centres: Array) -> Array:
    """``‖x_n − c_k‖²``, shape ``(K, N)``."""
    distances = np.empty((len(centres), len(rows)))
    for centre, out in zip(centres, distances, strict=True):
        offsets = rows - centre
        np.einsum("nd,nd->n", offsets, offsets, out=out)
    return distances
