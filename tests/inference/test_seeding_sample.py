"""Rows are sampled evenly along their weights as if they had been sorted, which large data are not."""

import numpy as np
import pytest

from mixtura.data.array import ArraySource
from mixtura.data.batches import BatchSource
from mixtura.inference.starts import quantiles
from mixtura.inference.starts.distinct import RowKeys
from mixtura.inference.starts.sample import seeding_sample

N = 150_000
RNG = np.random.default_rng(0)
DATA = {
    "few": (RNG.normal(size=(300, 4)), None),
    "normal": (RNG.normal(size=(N, 3)), None),
    "far away": (np.r_[RNG.normal(size=(N, 3)), [[1e12] * 3], [[-1e12] * 3]], None),
    "Cauchy": (RNG.standard_cauchy(size=(N, 2)), None),
    "of few values": (RNG.integers(0, 4, size=(N, 3)).astype(float), None),
    "half of them zero": (np.where(RNG.random((N, 1)) < 0.5, 0.0, RNG.normal(size=(N, 2))), None),
    "counted": (RNG.normal(size=(N, 2)), RNG.integers(1, 9, N).astype(float)),
    "weighted": (RNG.normal(size=(N, 2)), RNG.gamma(0.3, size=N) + 1e-9),
    "float32": (RNG.normal(size=(N, 2)).astype(np.float32), None),
}


def by_sorting(X, weights, n_components):
    """All rows sorted by their keys, equal ones merged, and if they are too many taken where their weights pass evenly spaced points."""
    keys = RowKeys.of(ArraySource(X).facts)(X)
    order = np.argsort(keys, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0])
    merged = np.add.reduceat(np.ones(len(X)) if weights is None else weights[order], first)
    limit = max(5000, 10 * n_components * X.shape[1])
    if len(first) > limit:
        cumulative = np.cumsum(merged)
        points = (np.arange(limit) + 0.5) * (cumulative[-1] / limit)
        first, merged = first[np.searchsorted(cumulative, points)], np.ones(limit)
    return X[order[first]], merged * (len(first) / merged.sum())


@pytest.mark.parametrize("most", [2**20, 20_000], ids=["one cut", "several cuts"])
@pytest.mark.parametrize("name", DATA)
def test_the_sample_is_that_of_sorted_rows(name, most, monkeypatch):
    monkeypatch.setattr(quantiles, "MOST_COLLECTED", most)
    X, weights = DATA[name]
    rows, expected = by_sorting(X, weights, 5)
    for source in (
        ArraySource(X, weights),
        BatchSource(
            lambda: ((X[i : i + 777], None if weights is None else weights[i : i + 777]) for i in range(0, len(X), 777))
        ),
    ):
        found = seeding_sample(source, 5)
        np.testing.assert_array_equal(found.rows, rows)
        np.testing.assert_allclose(found.weights, expected, rtol=1e-12)
