"""Labels are drawn again to the last bit, wherever rows are and however they are cut; what moves ask of rows, beside all of it at once."""

import numpy as np
import pytest

from forms import KERNELS, choose
from mixtura.data.array import ArraySource
from mixtura.data.batches import BatchSource
from mixtura.data.source import Rows
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sampled, Sweep, accumulate
from mixtura.sweep.assign import uniforms
from mixtura.sweep.labelled import Drawing, LabelledSweep, Recipe, Renamed
from mixtura.sweep.sides import DrawnSides, Parted, SharedSides, Site

N, D = 5001, 3
PLACES = np.array([0, 1, 7, 2500, N - 1])
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def mixture_of(name="full", n_components=4, seed=0):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_components, D, D + 2))
    weights = rng.dirichlet(np.full(n_components, 3.0))
    covariances = covariance_structure(name).from_matrices(half @ half.swapaxes(1, 2) / 4, weights)
    return Mixture(weights, rng.normal(size=(n_components, D)), covariances, name)


def rows_of(dtype=np.float64):
    return np.random.default_rng(9).normal(size=(N, D)).astype(dtype)


def sources_of(rows):
    """In memory, and in batches of other sizes than any pass has."""
    return ArraySource(rows), BatchSource(lambda: ((part, None) for part in np.array_split(rows, [1, 700, 701, 4000])))


def drawing_of(mixtures, seed=0, n_open=None):
    keys = [np.array([seed, i], np.uint64) for i in range(len(mixtures))]
    return Drawing([mixture.scorer for mixture in mixtures], [Sampled(key, n_open=n_open) for key in keys])


def of_all_rows(sweep, recipes):
    """Labels of each recipe, ``(R, N)``."""
    return sweep.again(recipes, lambda strip, labels: Rows([np.stack(labels, axis=1)], None)).joined()[0].T


@every_kernel
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_labels_are_drawn_again(monkeypatch, kernel, dtype):
    choose(monkeypatch, kernel)
    mixtures, rows = [mixture_of(), mixture_of("diag", 3), mixture_of(seed=5)], rows_of(dtype)
    first, second = drawing_of(mixtures), drawing_of([mixture_of(seed=6)], seed=1, n_open=2)
    written = [np.empty(N, np.int32) for _ in mixtures]
    with Sweep(ArraySource(rows)) as sweep:
        assignments = [Sampled(own.key, labels) for own, labels in zip(first.assignments, written, strict=True)]
        swept = sweep(first.scorers, assignments)
    for source in sources_of(rows):
        with LabelledSweep(source) as sweep:
            found, told = sweep.drawn(first, PLACES)
            np.testing.assert_array_equal(told, np.array(written)[:, PLACES])
            for ours, theirs in zip(found, swept, strict=True):
                assert ours.log_normaliser == theirs.log_normaliser
                np.testing.assert_array_equal(ours.moments.second, theirs.moments.second)
            _, of_second = sweep.drawn(second, np.arange(N))
            recipes = [Recipe(first, 2), Recipe(second, 0), Recipe(first, 0)]
            again = of_all_rows(sweep, recipes)
        np.testing.assert_array_equal(again, [written[2], of_second[0], written[0]])
    assert of_second.max() == 1


def test_components_without_weight_are_nobodys():
    mixture = Mixture([0.5, 0.0, 0.5], [[0.0], [0.1], [9.0]], [1.0, 1.0, 1.0], "spherical")
    with LabelledSweep(ArraySource(np.array([[0.1], [9.0]]))) as sweep:
        (swept,), labels = sweep.drawn(drawing_of([mixture]), np.arange(2))
    assert labels.tolist() == [[0, 2]]
    assert swept.moments.count.tolist() == [1, 0, 1]


def sites_of(labels):
    """A split of each chain, and a merger of the second one's, about rows of several strips."""

    def row(chain, component, place):
        return np.flatnonzero(labels[chain] == component)[place]

    return [
        Site(0, np.array([0, 0]), np.array([row(0, 0, 3), row(0, 0, -5)])),
        Site(1, np.array([2, 2]), np.array([row(1, 2, -1), row(1, 2, 0)])),
        Site(1, np.array([0, 1]), np.array([row(1, 0, 1), row(1, 1, -2)])),
    ]


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_two_sides_are_those_of_all_rows_at_once(structure):
    mixtures, rows = [mixture_of(structure.name), mixture_of(structure.name, seed=5)], rows_of()
    drawing = drawing_of(mixtures)
    pairs = [mixture_of(structure.name, 2, seed).scorer for seed in (7, 8, 9)]
    singles = [mixture_of(structure.name, 1, seed).scorer for seed in (17, 18, 19)]
    keys = np.random.default_rng(3).integers(2**64, size=(3, 2), dtype=np.uint64)
    for source in sources_of(rows):
        with LabelledSweep(source) as sweep:
            _, labels = sweep.drawn(drawing, np.arange(N))
            sites, recipes = sites_of(labels), [Recipe(drawing, 0), Recipe(drawing, 1)]
            squares, *shared = sweep.again(recipes, SharedSides(sites, pairs)).parts
            steps = [Parted(*one) for one in zip(sites, pairs, keys, (4, 4, 4), strict=True)]
            weighed = sweep.again(recipes, DrawnSides(steps, singles, np.array([True, True, False]), PLACES))
            parted = of_all_rows(sweep, [recipe.then(step) for recipe, step in zip(recipes, steps, strict=False)])
        log_ratios, *drawn = weighed.sums.parts
        seconds = np.concatenate(weighed.seconds, axis=1)
        for p, (site, pair, single) in enumerate(zip(sites, pairs, singles, strict=True)):
            log_joint, (i, j) = pair.log_joint_of(rows), site.picked
            members = (labels[site.chain] == site.ends[0]) | (labels[site.chain] == site.ends[1])
            shares = np.exp(log_joint[1] - np.logaddexp(*log_joint))
            shares[i], shares[j] = 0, 1
            shares = np.stack([1 - shares, shares]) * members
            np.testing.assert_allclose(squares[:, p], np.square(shares).sum(axis=1), rtol=1e-12)
            assert_moments([part[[p, 3 + p]] for part in shared], pair.centres, rows, shares)
            either = np.logaddexp(*log_joint)
            either[i], either[j] = log_joint[0, i], log_joint[1, j]
            expected = np.where(members, either - single.log_joint_of(rows)[0], 0).sum()
            assert log_ratios[p] == pytest.approx(expected, rel=1e-11)
            if p < 2:
                second = members & (uniforms(keys[p], slice(0, N)) < np.exp(log_joint[1] - np.logaddexp(*log_joint)))
                second[i], second[j] = False, True
                np.testing.assert_array_equal(seconds[p], second[PLACES])
                np.testing.assert_array_equal(parted[site.chain], np.where(second, 4, labels[site.chain]))
                sides = np.stack([members & ~second, second]).astype(float)
                assert_moments([part[[p, 3 + p]] for part in drawn], pair.centres, rows, sides)
            else:
                assert not seconds[p].any()


def assert_moments(found, centres, rows, shares):
    """Counts, first and second moments of two sides about these points."""
    expected = accumulate(ArraySource(rows), shares.T, 2, diagonal=found[2].ndim == 2).about(centres)
    np.testing.assert_allclose(found[0], expected.count, rtol=1e-12)
    np.testing.assert_allclose(found[1], expected.first, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[2], expected.second, rtol=1e-9, atol=1e-9)


def test_components_may_be_called_otherwise():
    rows, drawing = rows_of(), drawing_of([mixture_of()])
    with LabelledSweep(ArraySource(rows)) as sweep:
        _, labels = sweep.drawn(drawing, np.arange(N))
        names = np.array([2, 0, 1, 1], np.int32)
        found = of_all_rows(sweep, [Recipe(drawing, 0).then(Renamed(names))])
    np.testing.assert_array_equal(found, names[labels])
