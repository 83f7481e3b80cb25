"""However rows come, what is added up over them is the same to the last bit."""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.data.batches import BatchSource
from mixtura.data.facts import Facts
from mixtura.data.source import Arrays, TreeSum, added_up, side_by_side
from mixtura.ground.errors import DataError
from mixtura.inference.climb.solvers import AUTO
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.plan import fit_one, point_case
from mixtura.inference.starts.restarts import finish
from mixtura.inference.starts.sample import seeding_sample
from mixtura.model.covariance import covariance_structure
from mixtura.sweep import Sweep, accumulate, hard, moments_of_all, soft

CUTS = {
    "one by one": lambda n: range(1, n),
    "thousands": lambda n: range(1000, n, 1000),
    "uneven": lambda n: np.unique(np.random.default_rng(0).integers(1, n, 9)),
    "whole": lambda n: [],
}
every_cut = pytest.mark.parametrize("cut", CUTS)


def in_batches(source, cut):
    """The same rows, cut otherwise."""
    ends = [0, *CUTS[cut](source.n_rows), source.n_rows]
    weights = (lambda a, b: None) if source.weights is None else (lambda a, b: source.weights[a:b])
    return BatchSource(lambda: ((source.rows[a:b], weights(a, b)) for a, b in pairwise(ends)))


def source_of(n_rows, n_features=3, dtype=float, weighted=False):
    rng = np.random.default_rng(n_rows)
    X = 1e3 + rng.normal(size=(n_rows, n_features)) + 4 * rng.integers(0, 3, size=(n_rows, 1))
    return ArraySource(X.astype(dtype), rng.gamma(1.0, size=n_rows) if weighted else None)


def in_halves(answers):
    """The sum along a tree, the slow and obvious way: the largest power of two that is less than all goes to the left."""
    if len(answers) == 1:
        return answers[0].copy()
    half = 2 ** ((len(answers) - 1).bit_length() - 1)
    return in_halves(answers[:half]) + in_halves(answers[half:])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 13, 64, 100])
def test_a_tree_adds_up_alike_in_whatever_order_answers_come(n):
    rng = np.random.default_rng(n)
    answers = list(rng.normal(size=(n, 5)) * 10.0 ** rng.integers(-8, 8, size=(n, 1)))
    expected = in_halves(answers)
    np.testing.assert_array_equal(added_up(Arrays([a.copy()]) for a in answers).parts[0], expected)
    for _ in range(5):
        tree = TreeSum()
        for place in rng.permutation(n).tolist():
            tree.put(place, Arrays([answers[place].copy()]))
        np.testing.assert_array_equal(tree.total().parts[0], expected)


def test_answers_come_in_order_however_long_each_takes():
    strips, delay = list(source_of(50).blocks(3)), ThreadPoolExecutor(4)

    def answer(strip):
        delay.submit(sum, range(1000 * (50 - strip.position.start))).result()
        return strip.position.start

    with ThreadPoolExecutor(3) as executor:
        assert list(side_by_side(executor, 6, answer, iter(strips))) == [strip.position.start for strip in strips]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@every_cut
def test_facts_are_those_of_all_rows(cut, dtype, weighted):
    source = source_of(40_000 if cut != "one by one" else 900, dtype=dtype, weighted=weighted)
    found, others = source.facts, in_batches(source, cut).facts
    for name in ("n_rows", "total_weight", "lowest", "highest", "mean", "squares"):
        np.testing.assert_array_equal(getattr(others, name), getattr(found, name))
    X, w = source.rows.astype(float), np.ones(source.n_rows) if weighted is False else source.weights
    total = math.fsum(w)
    mean = np.array([math.fsum(w * column) / total for column in X.T])
    assert found.total_weight == pytest.approx(total, rel=1e-14)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-15)
    np.testing.assert_allclose(found.squares, [math.fsum(w * c**2) for c in (X - mean).T], rtol=1e-12)
    np.testing.assert_array_equal(found.lowest, X.min(axis=0))
    np.testing.assert_array_equal(found.magnitude, np.abs(X).max(axis=0))
    np.testing.assert_allclose(found.spread_about(np.zeros(3)), np.average(X**2, axis=0, weights=w), rtol=1e-12)


@pytest.mark.parametrize("value", [0.1, 1e-300, 7e5])
@pytest.mark.parametrize("weighted", [False, True])
def test_columns_that_do_not_vary_have_no_negative_squares(value, weighted):
    for n_rows in range(2, 60):
        weights = np.random.default_rng(n_rows).random(n_rows) if weighted else None
        facts = ArraySource(np.full((n_rows, 2), value), weights).facts
        assert (facts.squares >= 0).all()
        assert np.isfinite(facts.pivot).all()


def test_facts_far_from_zero_keep_their_digits():
    X = 1e9 + np.random.default_rng(0).normal(size=(50_000, 1))
    parts = [Facts.of(part, None) for part in np.split(X, [1, 10, 30_000])]
    assert added_up(parts).squares[0] == pytest.approx(((X - X.mean()) ** 2).sum(), rel=1e-7)


@pytest.mark.parametrize("assignment", [soft, hard], ids=["soft", "hard"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "name"), [(np.float64, "full"), (np.float32, "full"), (np.float64, "diag")])
@every_cut
def test_passes_over_batches_are_those_over_an_array(cut, dtype, name, weighted, assignment):
    source = source_of(200_000 if cut != "one by one" else 900, dtype=dtype, weighted=weighted)
    structure = covariance_structure(name)
    shape = structure.shape(3, 3)
    mixture = mx.Mixture(
        np.full(3, 1 / 3),
        1e3 + 4.0 * np.arange(3)[:, None] * np.ones(3),
        np.broadcast_to(np.eye(3) if len(shape) == 3 else np.ones(3), shape),
        name,
    )
    found = []
    for one in (source, in_batches(source, cut)):
        with Sweep(one) as sweep:
            (swept,) = sweep([mixture.scorer], assignment)
            (change,) = sweep.along([mixture.scorer], [mixture.scorer])
        found.append([swept.log_normaliser, *_arrays(swept.moments), *_arrays(change)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(theirs, ours)


def _arrays(moments):
    return moments.count, moments.first, moments.second


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@every_cut
def test_given_labels_and_shares_count_alike(cut, weighted, diagonal):
    source = source_of(50_000 if cut != "one by one" else 700, weighted=weighted)
    labels = np.random.default_rng(1).integers(0, 4, source.n_rows)
    batches = in_batches(source, cut)
    for given in (labels, np.eye(5)[labels]):
        ours, theirs = (accumulate(one, given, 5, diagonal=diagonal) for one in (source, batches))
        for a, b in zip(_arrays(ours), _arrays(theirs), strict=True):
            np.testing.assert_array_equal(a, b)
    ours, theirs = (moments_of_all(one, diagonal=diagonal) for one in (source, batches))
    for a, b in zip(_arrays(ours), _arrays(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n_rows", [700, 90_000])
@every_cut
def test_rows_are_taken_where_they_stand(cut, n_rows):
    source = source_of(n_rows if cut != "one by one" else 700, weighted=True)
    places = np.random.default_rng(2).integers(0, source.n_rows, 50)
    rows, weights = in_batches(source, cut).take(places)
    np.testing.assert_array_equal(rows, source.rows[places])
    np.testing.assert_array_equal(weights, source.weights[places])


@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize(("n_rows", "dtype"), [(600, np.float64), (90_000, np.float64), (250_000, np.float32)])
def test_whole_fits_are_the_same_to_the_last_bit(n_rows, dtype, n_init):
    """From 200,000 rows on with a pilot."""
    source = source_of(n_rows, 2, dtype)
    ends = []
    for one in (source, in_batches(source, "uneven"), in_batches(source, "thousands")):
        sample = seeding_sample(one, 4)
        case = point_case(4, ExpectationMaximization(covariance_structure("full"), 1e-6))
        stopping, rng = Stopping(1e-3, 300, one.total_weight), np.random.default_rng(0)
        settings = {"n_init": n_init, "pilot": AUTO, "ascend": partial(finish, solver=AUTO)}
        best = fit_one(one, sample, case, stopping, rng, **settings).best
        ends.append((best.bounds, best.mixture.means.tobytes(), best.mixture.covariances.tobytes()))
    assert ends[0] == ends[1] == ends[2]


def test_batches_that_do_not_go_together_are_refused():
    wide, narrow = np.zeros((3, 2)), np.zeros((3, 1))
    with pytest.raises(DataError, match="the first has 2, a later one 1"):
        list(BatchSource(lambda: [(wide, None), (narrow, None)]).blocks(2))
    with pytest.raises(DataError, match="must be float64, as the first is; a later one is float32"):
        list(BatchSource(lambda: [(wide, None), (wide.astype(np.float32), None)]).blocks(2))
    with pytest.raises(DataError, match="at least one row"):
        BatchSource(list)
