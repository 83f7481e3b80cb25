"""The seeding sample: what every start of our own looks at.

It holds the distinct rows, sorted, with their weights (thinned when there are very many). So a start depends on the weighted set of rows
alone: not on their order, nor on whether a row is repeated or carries the weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.ground.linalg import Array
from mixtura.inference.starts.distinct import MOST_DISTINCT, RowKeys, distinct_rows
from mixtura.inference.starts.quantiles import evenly_along

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

    @cached_property
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


def seeding_sample(source: Source, n_components: int) -> SeedingSample:
    """Sort the rows, merge equal ones, and thin them by systematic sampling if more than ``max(5000, 10·K·D)`` are left."""
    limit = max(LARGEST_SAMPLE, ROWS_PER_PARAMETER * n_components * source.n_features)
    keys = RowKeys.of(source.facts)
    distinct = distinct_rows(source, keys, max(MOST_DISTINCT, limit))
    weights: Array
    if distinct.keys is None:
        places, weights = evenly_along(source, keys, limit), np.ones(limit)
    elif len(distinct.places) > limit:
        places, weights = distinct.places[_thinned(distinct.weights, limit)], np.ones(limit)
    else:
        places, weights = distinct.places, distinct.weights
    weights = weights * (len(places) / weights.sum())
    rows = source.take(places)[0].astype(np.float64)
    mean = np.average(rows, axis=0, weights=weights)
    centred = rows - mean
    variances = np.einsum("n,nd,nd->d", weights, centred, centred) / weights.sum()
    return SeedingSample(rows, weights, mean, variances)


def _thinned(weights: Array, limit: int) -> NDArray[np.intp]:
    """Places of so many, evenly along the cumulative weights."""
    cumulative = np.cumsum(weights)
    points = (np.arange(limit) + 0.5) * (cumulative[-1] / limit)
    return np.minimum(np.searchsorted(cumulative, points), len(weights) - 1)
