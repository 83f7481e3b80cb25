"""A fit does not depend on the units of a column, nor on its origin: labels, weights and choices stay, the rest moves as mathematics says.

Each column has a unit of its own where the structure's family allows that (a diagonal stretched along its axes is a diagonal), and all of
them one unit where it does not (a sphere).
"""

import numpy as np
import pytest

import mixtura as mx
from conftest import ROOT, read_columns
from mixtura.data.array import ArraySource
from mixtura.inference.starts.floor import SHARE, default_floor
from mixtura.inference.starts.sample import seeding_sample
from mixtura.model.covariance import STRUCTURES

pytestmark = pytest.mark.filterwarnings(
    "ignore::mixtura.CollapseWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)
STREAM = np.random.default_rng(0)


def clouds():
    centres, spreads = [[0, 0, 0], [4, 1, 0], [0, 5, 2]], [[1, 1, 0.5], [0.7, 1.2, 0.5], [1, 0.6, 0.8]]
    return np.vstack([STREAM.normal(*parts, (n, 3)) for *parts, n in zip(centres, spreads, (90, 70, 60), strict=True)])


HALVES = np.repeat([0, 1], 150)
DATA = {
    "clouds": clouds(),
    "rounded": read_columns(ROOT / "examples" / "iris.csv"),
    "a column of zeros and ones": np.c_[
        np.where(HALVES, 0.8, 0.2) + STREAM.normal(0, 0.05, 300), STREAM.normal(size=300), STREAM.integers(0, 2, 300)
    ],
    "many zeros": np.c_[STREAM.normal(size=200), np.where(STREAM.random(200) < 0.4, 0, STREAM.gamma(2, 2, 200))],
    "a constant column": np.c_[clouds()[:, :2], np.full(220, 7.3)],
}
POINTS = {
    **{solver: {"solver": solver} for solver in ("auto", "em", "lbfgs", "gem", "newton")},
    "gradient": {"solver": "gradient", "tol": 1e-9},  # whose steps are of different lengths
    **{kind: {"init_params": kind} for kind in ("k-means++", "random", "random_from_data")},
    "restarts": {"n_init": 4},
    "prior": {"covariance_prior": "empirical"},
    "hard": {"assignment": "hard"},
}
POSTERIORS = {
    "cavi": {},
    "svi": {"solver": "svi"},
    "dirichlet": {"weight_concentration_prior_type": "dirichlet_distribution"},
}
every_data = pytest.mark.parametrize("name", DATA)
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def moved(X, per_column, seed):
    """The rows in other units and from another origin, and both."""
    rng = np.random.default_rng(seed)
    units = 10 ** rng.uniform(-12, 12, X.shape[1] if per_column else 1)
    origin = rng.choice([0.0, 1e4]) * units * np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    return X * units + origin, units * np.ones(X.shape[1]), origin


def assert_moved(here, there, X, Y, units, origin):
    np.testing.assert_array_equal(there.predict(Y), here.predict(X))
    one, other = here.mixture_, there.mixture_
    # As the means: an ascent of hundreds of steps may end a step earlier or later.
    np.testing.assert_allclose(other.weights, one.weights, atol=1e-5)
    spread = np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    np.testing.assert_allclose((other.means - origin) / units / spread, one.means / spread, atol=1e-5)
    by_column = np.sqrt(one.covariance_matrices.max(axis=0).diagonal())
    scale = (units * by_column)[:, None] * (units * by_column)
    np.testing.assert_allclose(
        other.covariance_matrices / scale, one.covariance_matrices / np.outer(by_column, by_column), atol=1e-5
    )


@every_data
@every_structure
@pytest.mark.parametrize("way", POINTS)
def test_of_a_point(way, structure, name):
    X = DATA[name]
    Y, units, origin = moved(X, structure.scales_by_feature, len(way) + len(name))
    make = {"n_components": 3, "covariance_type": structure.name, "tol": 1e-7, "max_iter": 2000, "random_state": 1}
    make |= POINTS[way]
    here, there = mx.GaussianMixture(**make).fit(X), mx.GaussianMixture(**make).fit(Y)
    assert_moved(here, there, X, Y, units, origin)
    if way != "prior":  # whose density of covariances is by their own unit
        assert there.lower_bound_ + np.log(units).sum() == pytest.approx(here.lower_bound_, abs=1e-5)
    assert [c.component for c in there.collapses_] == [c.component for c in here.collapses_]


@every_data
@every_structure
@pytest.mark.parametrize("way", POSTERIORS)
def test_of_a_posterior(way, structure, name):
    X = DATA[name]
    Y, units, origin = moved(X, structure.scales_by_feature, len(way) + len(name))
    make = {"n_components": 4, "covariance_type": structure.name, "max_iter": 1000, "random_state": 1} | POSTERIORS[way]
    here, there = mx.BayesianGaussianMixture(**make).fit(X), mx.BayesianGaussianMixture(**make).fit(Y)
    assert_moved(here, there, X, Y, units, origin)
    assert there.lower_bound_ / len(X) + np.log(units).sum() == pytest.approx(here.lower_bound_ / len(X), abs=1e-5)


@every_data
@pytest.mark.parametrize("together", [False, True], ids=["each column", "all columns"])
def test_of_a_search(together, name):
    X = DATA[name]
    Y, units, origin = moved(X, not together, len(name))
    kinds = "all" if together else [s.name for s in STRUCTURES if s.scales_by_feature]
    make = {"n_components": range(1, 5), "covariance_type": kinds, "n_init": 3, "random_state": 0}
    here, there = mx.GaussianMixtureSearch(**make).fit(X), mx.GaussianMixtureSearch(**make).fit(Y)
    assert there.best_params_ == here.best_params_
    assert_moved(here, there, X, Y, units, origin)


def floor_of(rows):
    source = ArraySource(np.asarray(rows, dtype=float).reshape(len(rows), -1))
    return default_floor(seeding_sample(source, 1), source.facts.magnitude, np.finfo(float).eps)


def test_the_floor_is_a_share_of_the_variance_where_nothing_is_coarse():
    x = np.random.default_rng(1).uniform(size=4000)
    assert floor_of(x).variances == pytest.approx(SHARE * x.var(), rel=0.2)
    assert floor_of(np.random.default_rng(1).integers(0, 2, 100)).variances == pytest.approx(SHARE / 4, rel=0.1)


def test_the_floor_is_that_of_rounding_where_values_lie_on_a_fine_grid():
    x = np.round(np.random.default_rng(1).normal(size=500), 1)
    assert floor_of(x).variances == pytest.approx(0.1**2 / 12, rel=1e-6)
    assert floor_of(x).collapsed < floor_of(x).variances / 50


@pytest.mark.parametrize("outlier", [1e4, 1e9, 1e12])
def test_a_far_outlier_does_not_raise_the_floor_above_the_other_rows(outlier):
    assert floor_of(np.append(np.random.default_rng(1).normal(size=80), outlier)).variances < 1e-3


def test_two_tight_groups_far_apart_are_not_smeared():
    X = np.r_[np.random.default_rng(1).normal(0, 1, (100, 1)), np.random.default_rng(1).normal(1e6, 1, (100, 1))]
    gm = mx.GaussianMixture(2, random_state=0).fit(X)
    np.testing.assert_allclose(gm.covariances_.ravel(), [1, 1], rtol=0.5)
    assert not gm.collapses_


def test_a_number_is_a_floor_for_all_columns():
    X = DATA["clouds"] * [1e-3, 1, 1e3]
    gm = mx.GaussianMixture(2, reg_covar=0.5, random_state=0).fit(X)
    assert np.linalg.eigvalsh(gm.covariances_).min() == pytest.approx(0.5)
    np.testing.assert_array_equal(gm.reg_covar_, [0.5] * 3)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_a_column_of_two_values_is_fitted_and_not_fled_from(covariance_type):
    """Held at the floor with all rows of one value, a component is a group; scikit-learn's own diabetes data, sex and nine others."""
    datasets = pytest.importorskip("sklearn.datasets")
    mixture, selection = pytest.importorskip("sklearn.mixture"), pytest.importorskip("sklearn.model_selection")
    X = datasets.load_diabetes().data
    X = X / X.std(axis=0)
    for learnt, held_out in selection.KFold(5, shuffle=True, random_state=0).split(X):
        make = [{"n_components": 5, "covariance_type": covariance_type, "random_state": seed} for seed in range(5)]
        theirs = [mixture.GaussianMixture(**one).fit(X[learnt]) for one in make]
        ours = [mx.GaussianMixture(**one).fit(X[learnt]) for one in make]
        assert np.median([m.score(X[held_out]) for m in ours]) >= np.median([m.score(X[held_out]) for m in theirs])
        held = [any("column 1" in c.cause and not c.is_spike for c in m.collapses_) for m in ours]
        assert sum(held) >= 4  # one start in some fifty does not lead there
