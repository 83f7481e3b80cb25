"""Rows on a cluster of real processes: a fit is that of the same rows here, to the last bit, whatever becomes of workers."""

import os
import pickle
import signal
from functools import cache

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

import mixtura as mx
from clusters import processes
from mixtura.data.array import ArraySource
from mixtura.data.dask import DaskSource
from mixtura.data.facts import FIRST_STRIP
from mixtura.data.source import Arrays, Source
from mixtura.inference.sampling import gibbs
from mixtura.sweep import Sweep
from mixtura.sweep.labelled import LabelledSweep

N = 150_000
NAMES = ["a", "b", "c"]


@cache
def numbers(dtype=np.float64):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(N, 3)) + 4 * rng.integers(0, 4, size=(N, 1))).astype(dtype)


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    # Given the cluster itself, waiting for workers would race with what it hears of those that were killed.
    with Client(cluster.scheduler_address) as client:
        yield client


def array_of_known_chunks(X, client, folder):
    return da.from_array(X, chunks=(33_333, 2))


def array_of_unknown_chunks(X, client, folder):
    padded = da.from_array(np.concatenate([np.full((5, 3), -1e6), X]).astype(X.dtype), chunks=(41_000, 3))
    return padded[padded[:, 0] > -1e5]


def data_frame(X, client, folder):
    return dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=7)


def rows_of_ours(X, client, folder):
    return mx.on_dask(client, X)


def files(X, client, folder):
    for i, part in enumerate(np.split(X, [1, 500, 60_000])):
        pq.write_table(pa.table(dict(zip(NAMES, part.T, strict=True))), folder / f"{i}.parquet", row_group_size=40_000)
    return mx.on_dask(client, str(folder / "*.parquet"))


def batches(X, client, folder):
    return mx.on_dask(client, np.array_split(X, 11))


CONTAINERS = [array_of_known_chunks, array_of_unknown_chunks, data_frame, rows_of_ours, files, batches]
FITS = {
    "restarts": lambda: mx.GaussianMixture(4, n_init=3, random_state=0),
    "quasi-Newton": lambda: mx.GaussianMixture(5, covariance_type="diag", solver="lbfgs", max_iter=60, random_state=0),
    "search": lambda: mx.GaussianMixtureSearch(range(3, 5), covariance_type=["full", "tied"], random_state=0),
    "coordinate ascent": lambda: mx.BayesianGaussianMixture(n_components=5, random_state=0),
}


@cache
def of_an_array(name, dtype=np.float64):
    """The fit of the rows in memory."""
    return FITS[name]().fit(numbers(dtype))


def assert_same(found, expected):
    for part in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(found.mixture_, part), getattr(expected.mixture_, part), err_msg=part)


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("container", CONTAINERS, ids=lambda f: f.__name__)
def test_a_fit_on_a_cluster_is_that_of_an_array_to_the_last_bit(container, dtype, client, tmp_path):
    data = container(numbers(dtype), client, tmp_path)
    found, expected = FITS["restarts"]().fit(data), of_an_array("restarts", dtype)
    assert_same(found, expected)
    assert found.score(data) == expected.score(numbers(dtype))
    assert found.bic(data) == expected.bic(numbers(dtype))
    for method in ("predict", "predict_proba", "score_samples"):
        lazy, here = getattr(found, method)(data), getattr(expected, method)(numbers(dtype))
        assert isinstance(lazy, da.Array)
        assert lazy.dtype == here.dtype
        np.testing.assert_array_equal(lazy.compute(), here)
    if container is data_frame:
        assert found.feature_names_in_.tolist() == NAMES


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_every_algorithm_is_the_same_on_any_number_of_workers(n_workers, cluster, client):
    cluster.scale(n_workers)
    client.wait_for_workers(n_workers)
    data = mx.on_dask(client, numbers())
    for name, new in FITS.items():
        assert_same(new().fit(data), of_an_array(name))
    cluster.scale(2)


SAMPLED = {
    "gibbs": lambda: mx.SampledGaussianMixture(4, sampler=mx.Gibbs(thin=1), n_draws=8, n_tune=8, random_state=0),
    "process": lambda: mx.SampledGaussianMixture(
        "dirichlet-process", sampler=mx.Gibbs(thin=1), n_draws=6, n_tune=4, n_chains=2, random_state=0
    ),
}


@cache
def drawn_of_an_array(name):
    """Draws given the rows in memory; they are more than samplers hold there."""
    assert N > gibbs.HELD
    return SAMPLED[name]().fit(numbers())


def assert_same_draws(found, expected):
    for part in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(found.draws_, part), getattr(expected.draws_, part), err_msg=part)
    assert found.diagnostics_ == expected.diagnostics_


@pytest.mark.parametrize("n_workers", [1, 2])
def test_draws_are_the_same_on_any_number_of_workers(n_workers, cluster, client):
    cluster.scale(n_workers)
    client.wait_for_workers(n_workers)
    data = mx.on_dask(client, numbers())
    for name, new in SAMPLED.items():
        assert_same_draws(new().fit(data), drawn_of_an_array(name))
    cluster.scale(2)


def test_chunks_are_gone_over_here_where_there_is_no_client():
    data = array_of_known_chunks(numbers(), None, None)
    found = FITS["restarts"]().fit(data)
    assert_same(found, of_an_array("restarts"))
    np.testing.assert_array_equal(found.predict(data).compute(), found.predict(numbers()))


@pytest.mark.parametrize("size", [1000, FIRST_STRIP, 2**16, N])
def test_rows_and_sums_are_those_of_an_array(size, client):
    here = ArraySource(numbers(), np.random.default_rng(1).random(N))
    there = mx.on_dask(client, here)
    for name in ("n_rows", "total_weight", "lowest", "highest", "mean", "squares"):
        np.testing.assert_array_equal(getattr(there.facts, name), getattr(here.facts, name))
    sums = lambda strip: Arrays([strip.weights @ strip.rows])  # noqa: E731  workers have none of the functions of this file
    np.testing.assert_array_equal(there.reduce(sums, size).parts, here.reduce(sums, size).parts)
    places = np.random.default_rng(2).integers(0, N, 100)
    for ours, theirs in zip(there.take(places), here.take(places), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(there.blocks(size), here.blocks(size), strict=True):
        assert ours.position == theirs.position
        np.testing.assert_array_equal(ours.rows, theirs.rows)


def test_weights_and_missing_values_are_as_when_rows_are_scanned(client, tmp_path):
    X, weights = numbers()[:20_000].copy(), np.random.default_rng(1).integers(0, 4, 20_000)
    X[::10, 1] = np.nan
    table = pa.table({**dict(zip(NAMES, X.T, strict=True)), "n": weights})
    pq.write_table(table, tmp_path / "rows.parquet")
    frame = dd.from_pandas(table.to_pandas(), npartitions=3)
    kept = np.isfinite(X).all(axis=1)
    n_missing = (~kept & (weights > 0)).sum()
    expected = mx.GaussianMixture(3, random_state=0).fit(X[kept], sample_weight=weights[kept])
    for data in (tmp_path / "rows.parquet", frame):
        with pytest.raises(mx.DataError, match=f"{n_missing} in column 'b'"):
            mx.GaussianMixture(3).fit(mx.on_dask(client, data, sample_weight="n"))
        source = mx.on_dask(client, data, sample_weight="n", missing="drop")
        assert_same(mx.GaussianMixture(3, random_state=0).fit(source), expected)
        assert source.n_dropped == n_missing
    with pytest.raises(mx.DataError, match="there is no column 'm'; the columns are 'a', 'b', 'c', 'n'"):
        mx.on_dask(client, frame, sample_weight="m")
    with pytest.raises(mx.DataError, match="values are missing"):
        mx.GaussianMixture(3).fit(frame)


def test_a_fit_is_an_ordinary_object_afterwards(client):
    gm = FITS["restarts"]().fit(mx.on_dask(client, numbers()))
    content = pickle.dumps(gm)
    assert len(content) < 20_000
    np.testing.assert_array_equal(pickle.loads(content).predict(numbers()[:10]), gm.predict(numbers()[:10]))


def test_a_worker_that_is_killed_changes_nothing(cluster, client, monkeypatch):
    data, rounds, whole = mx.on_dask(client, numbers()), [], DaskSource.reduce

    def reduce(source, *given):
        rounds.append(None)
        if len(rounds) in (2, 6):
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        return whole(source, *given)

    monkeypatch.setattr(DaskSource, "reduce", reduce)
    assert_same(FITS["restarts"]().fit(data), of_an_array("restarts"))
    assert len(rounds) > 6
    client.wait_for_workers(2)


def test_labels_that_a_killed_worker_has_drawn_are_drawn_again(cluster, client, monkeypatch):
    data, expected, rounds, whole = mx.on_dask(client, numbers()), drawn_of_an_array("process"), [], Sweep._reduced

    def reduced(sweep, *given):
        rounds.append(None)
        if len(rounds) in (5, 12):
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        return whole(sweep, *given)

    monkeypatch.setattr(LabelledSweep, "_reduced", reduced)
    assert_same_draws(SAMPLED["process"]().fit(data), expected)
    assert len(rounds) > 12
    client.wait_for_workers(2)


def test_what_cannot_be_on_a_cluster_is_said(client):
    for data, said in [
        (da.zeros(3), "two dimensions, rows and columns; this Dask collection has 1"),
        (da.zeros((0, 3)), "at least one row"),
        (np.array([["x"]]), "must be a"),
    ]:
        with pytest.raises(mx.DataError, match=said):
            mx.on_dask(client, data)
    with pytest.raises(mx.DataError, match=r"by its distributed\.Client; got str"):
        mx.on_dask("tcp://127.0.0.1:8786", numbers())
    with pytest.raises(mx.InvalidParameterError, match="max_responsibilities=2 remembers candidates of each row"):
        mx.GaussianMixture(3, max_responsibilities=2).fit(mx.on_dask(client, numbers()))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_scheduler_that_is_killed_is_said_and_the_fit_goes_on_elsewhere(monkeypatch, tmp_path):
    gm = FITS["restarts"]().set_params(checkpoint=tmp_path / "fit.checkpoint")
    with processes() as (address, scheduler, _), Client(address, timeout=10) as client:
        data, rounds, whole = mx.on_dask(client, numbers()), [], DaskSource.reduce

        def reduce(source, *given):
            rounds.append(None)
            if len(rounds) == 6:
                scheduler.kill()
            return whole(source, *given)

        monkeypatch.setattr(DaskSource, "reduce", reduce)
        with pytest.raises(mx.ClusterError, match=f"the scheduler at {address} is gone.*resume from a checkpoint"):
            gm.fit(data)
        assert not hasattr(gm, "means_")
    with processes() as (address, _, _), Client(address) as client:
        rounds.clear()
        assert_same(gm.resume(mx.on_dask(client, numbers())), of_an_array("restarts"))
        n_resumed = len(rounds)
    rounds.clear()
    monkeypatch.setattr(
        ArraySource, "reduce", lambda source, *given: rounds.append(source.n_rows == N) or Source.reduce(source, *given)
    )
    FITS["restarts"]().fit(numbers())
    assert n_resumed < sum(rounds)


def test_workers_that_lack_mixtura_are_said(client, monkeypatch):
    monkeypatch.setattr("mixtura.data.dask.NEEDED", "mixtura.that_is_not_there")
    with pytest.raises(mx.ClusterError, match=r"workers lack mixtura\. Install there what is installed here"):
        mx.on_dask(client, numbers())
    monkeypatch.undo()
    monkeypatch.setattr(client, "run", lambda function, name: {"tcp://127.0.0.1:1": "0.0.1"})
    with pytest.raises(mx.ClusterError, match=r"workers have mixtura 0\.0\.1, and here is "):
        mx.on_dask(client, numbers())


def test_a_cluster_that_has_lost_all_workers_is_said(monkeypatch):
    monkeypatch.setattr("mixtura.data.dask.DESERTED", 1.0)
    monkeypatch.setattr("mixtura.data.dask.LOOK", 0.2)
    with processes(n_workers=1) as (address, _, workers), Client(address) as client:
        data, rounds, whole = mx.on_dask(client, numbers()), [], DaskSource.reduce

        def reduce(source, *given):
            rounds.append(None)
            if len(rounds) == 4:
                workers[0].terminate()
                workers[0].wait(20)
            return whole(source, *given)

        monkeypatch.setattr(DaskSource, "reduce", reduce)
        with pytest.raises(mx.ClusterError, match=f"the cluster of {address} has had no workers for 1 seconds"):
            FITS["restarts"]().fit(data)
