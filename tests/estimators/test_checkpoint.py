"""A fit that is broken off goes on to the same bits, from wherever its checkpoint ends."""

import os
from functools import cache

import numpy as np
import pytest
from sklearn.base import clone

import mixtura as mx
from broken_off import kill_and_resume, write_rows
from clusters import processes
from mixtura.data.array import ArraySource
from mixtura.data.facts import Facts
from mixtura.data.logbook import FRAME, MAGIC, Logbook, packed, unpacked
from mixtura.data.source import Arrays, Rows

N = 60_000
FITS = {
    "defaults": lambda **more: mx.GaussianMixture(3, random_state=0, **more),
    "restarts": lambda **more: mx.GaussianMixture(4, covariance_type="tied", n_init=3, random_state=0, **more),
    "quasi-Newton": lambda **more: mx.GaussianMixture(5, solver="lbfgs", random_state=0, **more),
    "labels": lambda **more: mx.GaussianMixture(2, init_params=np.arange(N) % 2, max_iter=20, random_state=0, **more),
    "prior": lambda **more: mx.GaussianMixture(3, covariance_prior="empirical", random_state=0, **more),
    "search": lambda **more: mx.GaussianMixtureSearch(
        range(1, 4), covariance_type=["full", "diag"], random_state=0, **more
    ),
    "coordinate ascent": lambda **more: mx.BayesianGaussianMixture(n_components=6, random_state=0, **more),
}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@cache
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 3)) + 2.5 * rng.integers(0, 4, size=(N, 1))


@cache
def uninterrupted(name):
    return FITS[name]().fit(rows())


def assert_same(found, expected):
    for part in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(found.mixture_, part), getattr(expected.mixture_, part), err_msg=part)
    assert found.n_iter_ == expected.n_iter_


def record_ends(content):
    """Where each record of a checkpoint ends."""
    at, ends = len(MAGIC), []
    while at < len(content):
        at += FRAME.size + FRAME.unpack_from(content, at)[0]
        ends.append(at)
    return ends


@pytest.mark.parametrize("name", FITS)
def test_a_fit_goes_on_from_any_place_to_the_same_bits(name, tmp_path, monkeypatch):
    path = tmp_path / "fit.checkpoint"
    assert_same(FITS[name](checkpoint=path).fit(rows()), uninterrupted(name))
    content = path.read_bytes()
    ends, reads, whole = record_ends(content), [], ArraySource.reduce
    assert len(ends) > 3

    def reduce(source, task, *given):
        reads.append(source.n_rows == N and getattr(task, "__qualname__", "") != "_facts_of")
        return whole(source, task, *given)

    monkeypatch.setattr(ArraySource, "reduce", reduce)
    # Of the records the first is the header, the last says that the fit has ended, and each of the others is a read.
    for kept in sorted({1, 2, len(ends) // 2, len(ends) - 1, len(ends)}):
        for torn in (0, 1, 20):
            end = ends[kept - 1] + (torn if kept < len(ends) else 0)
            path.write_bytes(content[:end])
            reads.clear()
            assert_same(FITS[name](checkpoint=str(path)).resume(rows()), uninterrupted(name))
            assert sum(reads) == max(0, len(ends) - 1 - kept)
            assert path.read_bytes() == content


def test_files_go_on_from_what_an_array_began(tmp_path):
    path = tmp_path / "fit.checkpoint"
    FITS["restarts"](checkpoint=path).fit(rows())
    content = path.read_bytes()
    path.write_bytes(content[: record_ends(content)[5]])
    found = FITS["restarts"](checkpoint=path).resume(np.array_split(rows(), 7))
    assert_same(found, uninterrupted("restarts"))


def test_a_fit_without_a_seed_keeps_the_one_it_drew(tmp_path):
    path = tmp_path / "fit.checkpoint"
    new = lambda: mx.GaussianMixture(6, init_params="random", max_iter=5, checkpoint=path)  # noqa: E731
    first = new().resume(rows())
    content = path.read_bytes()
    path.write_bytes(content[: record_ends(content)[2]])
    assert_same(new().resume(rows()), first)
    assert not np.array_equal(new().fit(rows()).means_, first.means_)


def test_damage_costs_what_follows_it_and_no_more(tmp_path):
    path = tmp_path / "fit.checkpoint"
    FITS["defaults"](checkpoint=path).fit(rows())
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(record_ends(content)[0], len(content), 20).tolist():
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        assert_same(FITS["defaults"](checkpoint=path).resume(rows()), uninterrupted("defaults"))
        assert path.read_bytes() == content


def test_what_does_not_belong_together_is_said(tmp_path):
    path, other = tmp_path / "fit.checkpoint", tmp_path / "notes.txt"
    gm = FITS["defaults"](checkpoint=path).fit(rows())
    gm.fit(rows())  # that fit has ended, so another takes its place
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    other.write_text("mixtura")
    stream = np.random.default_rng(0)
    for fit, said in [
        (lambda: clone(gm).fit(rows()), "of a fit that was broken off. Go on with it by resume, or remove the file"),
        (
            lambda: clone(gm).set_params(n_components=4).resume(rows()),
            "n_components: 3 there, and 4 here",
        ),
        (lambda: clone(gm).set_params(random_state=1).resume(rows()), "random_state: 0 there, and 1 here"),
        (lambda: clone(gm).set_params(random_state=None).resume(rows()), "random_state: 0 there, and None here"),
        (lambda: clone(gm).resume(rows()[1:]), "rows: 60000 there, and 59999 here"),
        (lambda: clone(gm).resume(rows() + 1), "data: other values"),
        (lambda: FITS["search"](checkpoint=path).resume(rows()), "estimator: GaussianMixture there"),
        (lambda: FITS["defaults"](checkpoint=other).resume(rows()), "is not a checkpoint. Name another file"),
        (lambda: FITS["defaults"]().resume(rows()), "resume goes on from a checkpoint; name its file"),
        (lambda: mx.GaussianMixture(2, checkpoint=path, random_state=stream).fit(rows()), "must be an integer or None"),
        (lambda: mx.GaussianMixture(2, checkpoint=path, warm_start=True).fit(rows()), "warm_start=True begins with"),
        (
            lambda: mx.GaussianMixture(2, checkpoint=path, max_responsibilities=1).fit(rows()),
            "remembers the candidates of each row in this process",
        ),
        (
            lambda: mx.BayesianGaussianMixture(2, solver="svi", checkpoint=path).fit(rows()),
            "follows passes over all rows, and solver='svi' makes none",
        ),
    ]:
        with pytest.raises((mx.ModelFileError, mx.InvalidParameterError), match=said):
            fit()
    with pytest.raises(OSError, match="there is no folder"):
        mx.GaussianMixture(2, checkpoint=tmp_path / "none" / "fit").fit(rows())
    assert path.read_bytes() == content[:-10]
    assert other.read_text() == "mixtura"


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_two_processes_do_not_write_one_file(tmp_path):
    path = tmp_path / "fit.checkpoint"
    FITS["defaults"](checkpoint=path).fit(rows())
    held = Logbook(path)
    with pytest.raises(mx.ModelFileError, match="is in use by another process"):
        FITS["defaults"](checkpoint=path).resume(rows())
    held.close()


def test_records_hold_what_passes_answer():
    facts = Facts.of(np.array([[1.0, np.nan], [np.inf, 3.0]]), np.array([0.1, 2.0]))
    rows_without = Rows([np.arange(6.0, dtype=np.float32).reshape(2, 3), np.empty((0, 3), np.float32)], None)
    for content in (facts, Arrays([np.arange(5), np.zeros((2, 0))]), rows_without):
        found = unpacked(packed(content))
        assert type(found) is type(content)
        for name, value in vars(content).items():
            np.testing.assert_equal(getattr(found, name), value)
    said = packed(facts)
    with pytest.raises(mx.ModelFileError, match="which this version does not have"):
        unpacked(said.replace(b"mixtura.data.facts", b"decimal.data.facts"))


@pytest.mark.parametrize("where", ["files", "cluster"])
def test_a_process_that_is_killed_goes_on_to_the_same_bits(where, tmp_path):
    """A few of the fifty kills of ``python -m bench.resumes``."""
    (tmp_path / "rows").mkdir()
    data = write_rows(tmp_path / "rows")
    if where == "files":
        tally = kill_and_resume(data, tmp_path, 4, seed=0)
    else:
        with processes() as (address, _, _):
            tally = kill_and_resume(data, tmp_path, 2, seed=1, address=address)
    assert not tally.broken, tally.broken
    assert tally.n_equal == tally.n_ends > 0
