"""One recipe: a search of one candidate is a fit, whatever the settings, and the same starts lead to a point and to a posterior."""

import inspect

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.starts.plan import Beginning, begin_all, point_case
from mixtura.inference.starts.sample import seeding_sample
from mixtura.model.covariance import covariance_structure

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Ridge:
    """Pulls means to the origin."""

    def value(self, mixture):
        return -float(np.square(mixture.means).sum())

    def gradient(self, mixture):
        return np.zeros_like(mixture.weights), -2 * mixture.means, np.zeros_like(mixture.covariances)


SETTINGS = {
    "defaults": {},
    "prior": {"covariance_prior": "empirical"},
    "a prior of one's own": {"covariance_prior": mx.NormalInverseWishart([3.5, 70.0], 0.1, np.diag([1.0, 100.0]), 4.0)},
    "hard": {"assignment": "hard"},
    "equal weights": {"equal_weights": True},
    "em": {"solver": "em"},
    "newton": {"solver": "newton"},
    "penalty": {"penalty": Ridge()},
    "random": {"init_params": "random"},
    "rows": {"init_params": "random_from_data", "n_init": 3},
    "few candidates": {"max_responsibilities": 2},
    "a floor": {"reg_covar": 1e-3, "tol": 1e-5},
}
SHARED = {"n_init": 2, "max_iter": 200, "random_state": 0}


@pytest.mark.parametrize("covariance_type", ["full", "tied_spherical"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_search_of_one_candidate_is_a_fit(name, covariance_type, faithful):
    settings = {**SHARED, "covariance_type": covariance_type, **SETTINGS[name]}
    weights = np.random.default_rng(0).integers(1, 4, len(faithful))
    single = mx.GaussianMixture(3, **settings).fit(faithful, sample_weight=weights)
    found = mx.GaussianMixtureSearch([3], **settings).fit(faithful, sample_weight=weights)
    for part in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(found.best_estimator_, part), getattr(single, part))
    best = found.best_estimator_
    assert best.lower_bounds_ == single.lower_bounds_
    assert best.optima_ == single.optima_
    assert best.prior_ == single.prior_ or (best.prior_.scale == single.prior_.scale).all()
    assert {**best.get_params(), "verbose": 0} == {**mx.GaussianMixture(3, **settings).get_params(), "verbose": 0}


def test_a_search_has_a_pilot_as_a_fit_has():
    X, _ = mx.Mixture([0.5, 0.5], [[0.0], [2.0]], [1.0, 1.0], "spherical").sample(210_000, random_state=0)
    reads = {}
    for pilot in (True, False):
        settings = {"n_init": 1, "pilot": pilot, "init_params": "random_from_data", "random_state": 0}
        found = mx.GaussianMixtureSearch([1, 2], **settings).fit(X)
        reads[pilot] = found.best_estimator_.n_passes_
        assert found.best_params_["n_components"] == 2
    assert reads[True] < reads[False]


def test_a_search_takes_every_parameter_of_its_candidates():
    """But those that are about one number of components."""
    ours, theirs = (set(inspect.signature(kind).parameters) for kind in (mx.GaussianMixtureSearch, mx.GaussianMixture))
    of_one_fit = {"weights_init", "means_init", "precisions_init", "warm_start", "verbose_interval"}
    assert theirs - ours == of_one_fit
    assert ours - theirs == {"criterion"}


def test_a_case_beside_others_begins_as_it_does_alone(faithful):
    source = ArraySource(faithful)
    sample = seeding_sample(source, 3)
    cases = [point_case(3, ExpectationMaximization(covariance_structure(name), 1e-6)) for name in ("full", "diag")]
    full, diag = begin_all(source, sample, cases, Beginning(), 1, np.random.default_rng(0))
    (alone,) = begin_all(source, sample, cases[:1], Beginning(), 1, np.random.default_rng(0))
    np.testing.assert_array_equal(full.starts[0].mixture.means, alone.starts[0].mixture.means)
    assert diag.starts[0].mixture.covariance_type == "diag"
