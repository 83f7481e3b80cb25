"""What a fit costs, counted: reads of the data, factorisations, memory that grows with the rows."""

import tracemalloc

import numpy as np
import pytest

import mixtura as mx
from forms import choose
from mixtura.data.array import ArraySource
from mixtura.inference.climb.loop import climb
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.model.covariance import STRUCTURES, covariance_structure, matrix
from mixtura.sweep import Sweep

N_ROUNDS = 7


class CountingSource(ArraySource):
    """Counts the rows that it hands out."""

    n_read = 0

    def blocks(self, size):
        for block in super().blocks(size):
            type(self).n_read += len(block.rows)
            yield block


def starts(X, structure, n, n_components=3):
    rng = np.random.default_rng(0)
    spread = structure.maximise(
        np.var(X, axis=0)[None] if structure.diagonal else np.cov(X.T, ddof=0)[None], np.ones(1), 0.0, None
    )
    shape = structure.shape(n_components, X.shape[1])
    covariances = np.broadcast_to(spread if structure.shared else spread[0], shape)
    weights = np.full(n_components, 1 / n_components)
    return [
        mx.Mixture(weights, X[rng.choice(len(X), n_components, replace=False)], covariances, structure.name)
        for _ in range(n)
    ]


def test_each_round_reads_each_row_once_whatever_runs_in_it():
    X = np.random.default_rng(0).normal(size=(90_000, 2))
    runs = [
        (start, ExpectationMaximization(structure)) for structure in STRUCTURES for start in starts(X, structure, 2)
    ]
    source = CountingSource(X)
    assert source.facts.n_rows == len(X) == CountingSource.n_read  # the first read, which says what passes need to know
    CountingSource.n_read = 0
    found = climb(source, [s for s, _ in runs], [a for _, a in runs], Stopping(0.0, N_ROUNDS - 1, float(len(X))))
    assert {run.n_iter for run in found} == {N_ROUNDS - 1}
    assert CountingSource.n_read == N_ROUNDS * len(X)


@pytest.mark.parametrize("n_runs", [1, 5])
@pytest.mark.parametrize("name", ["full", "tied"])
def test_all_runs_of_an_algorithm_share_one_call_of_cholesky_a_round(monkeypatch, name, n_runs, faithful):
    choose(monkeypatch, "features")
    calls = []
    real = matrix.cholesky
    monkeypatch.setattr(matrix, "cholesky", lambda matrices: calls.append(len(matrices)) or real(matrices))
    structure = covariance_structure(name)
    begun = starts(faithful, structure, n_runs)
    calls.clear()
    climb(ArraySource(faithful), begun, ExpectationMaximization(structure, 1e-6), Stopping(0.0, N_ROUNDS, 272.0))
    assert calls == [n_runs * (1 if structure.shared else 3)] * N_ROUNDS


def test_the_features_of_a_small_data_set_are_computed_once(monkeypatch, faithful):
    from mixtura.sweep import passes

    choose(monkeypatch, "features")
    filled = []
    real = passes.Features.fill
    monkeypatch.setattr(passes.Features, "fill", lambda self, rows: filled.append(len(rows)) or real(self, rows))
    structure = covariance_structure("full")
    climb(
        ArraySource(faithful),
        starts(faithful, structure, 4),
        ExpectationMaximization(structure),
        Stopping(0.0, N_ROUNDS, 272.0),
    )
    assert filled == [272]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["full", "diag"])
def test_no_array_grows_with_the_rows(name, dtype):
    X = np.random.default_rng(0).normal(size=(3_000_000, 2)).astype(dtype)
    mixture = mx.Mixture(np.full(4, 0.25), X[:4], np.ones((4, 2)) if name == "diag" else [np.eye(2)] * 4, name)
    source = ArraySource(X)
    with Sweep(source) as sweep:
        sweep([mixture.scorer])
        tracemalloc.start()
        sweep([mixture.scorer])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2 * len(X)  # bytes: less than a byte or two a row
