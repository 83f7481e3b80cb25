"""``max_responsibilities``: the bound that climbs, what is dropped, what it goes with, and what it does not."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.climb.looking_again import LookingAgain
from mixtura.inference.climb.solvers import solver_for
from mixtura.model.covariance import STRUCTURES
from mixtura.sweep import Sweep, Truncated, soft

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
NAMES = [s.name for s in STRUCTURES]
K, MOST = 30, 4


@pytest.fixture(scope="module")
def crowd():
    """Thirty groups that overlap somewhat."""
    rng = np.random.default_rng(7)
    centres = rng.uniform(-8, 8, size=(K, 3))
    return centres[rng.integers(0, K, 1000)] + rng.normal(size=(1000, 3)) * rng.uniform(0.5, 1.5, size=3)


def fitted(X, name="diag", most=MOST, sample_weight=None, **settings):
    settings = {"random_state": 0, "max_iter": 60} | settings
    return mx.GaussianMixture(K, covariance_type=name, max_responsibilities=most, **settings).fit(
        X, sample_weight=sample_weight
    )


@pytest.mark.filterwarnings("ignore::mixtura.CollapseWarning")
@pytest.mark.parametrize(
    "settings",
    [{}, {"assignment": "hard"}, {"covariance_prior": "empirical"}, {"equal_weights": True}],
    ids=["soft", "hard", "prior", "equal weights"],
)
@pytest.mark.parametrize("name", NAMES)
def test_the_bound_climbs_and_lies_below_the_exact_one(name, settings, crowd):
    gm = fitted(crowd, name, init_params="random_from_data", **settings)
    bounds = np.array(gm.restarts_.best.bounds)
    assert len(bounds) > 2
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    exact = gm.exact_bound(crowd)
    assert gm.lower_bound_ <= exact + 1e-12 * abs(exact)
    assert exact - gm.lower_bound_ == pytest.approx(gm.dropped_, rel=1e-6, abs=1e-9)  # of all rows


def test_it_has_not_converged_while_candidates_looked_for_anew_gain_more(crowd):
    gm = fitted(crowd, max_iter=1000)
    assert gm.stop_.reason == "converged"
    with Sweep(ArraySource(crowd)) as sweep:
        [anew] = sweep([gm.mixture_.scorer], Truncated(MOST))
    assert anew.log_normaliser <= gm.restarts_.best.bounds[-1] + 1e-5 * len(crowd)


def test_the_exact_bound_is_what_is_climbed_without_it(crowd):
    weights = np.random.default_rng(0).uniform(0.5, 2, len(crowd))
    gm = fitted(crowd, sample_weight=weights)
    assert gm.exact_bound(crowd, weights) == pytest.approx(gm.score(crowd, sample_weight=weights), rel=1e-12)
    whole = fitted(crowd, most=None, covariance_prior="empirical")
    assert whole.exact_bound(crowd) == pytest.approx(whole.lower_bound_, rel=1e-12)
    assert whole.dropped_ == 0


def test_the_end_is_near_that_of_exact_em(crowd):
    exact, truncated = fitted(crowd, most=None, solver="em", max_iter=300), fitted(crowd, most=8, max_iter=300)
    assert truncated.exact_bound(crowd) == pytest.approx(exact.lower_bound_, rel=2e-3)


def test_with_as_many_candidates_as_components_it_is_em(crowd):
    whole, every = fitted(crowd, most=None), fitted(crowd, most=K)
    np.testing.assert_array_equal(whole.means_, every.means_)
    assert every.algorithm_.assignment is soft


def test_all_but_one_candidate_is_next_to_em_from_the_same_start(crowd):
    start = fitted(crowd, most=None, max_iter=0).mixture_
    parts = {"weights_init": start.weights, "means_init": start.means, "precisions_init": start.precisions}
    em, truncated = (fitted(crowd, most=most, solver="em", max_iter=3, **parts) for most in (None, K - 1))
    np.testing.assert_allclose(truncated.means_, em.means_, rtol=1e-9)


def test_rows_in_batches_are_fitted_as_an_array_to_the_last_bit(crowd):
    parts = [crowd[:400], crowd[400:401], crowd[401:]]
    here, there = fitted(crowd), fitted(mx.scan(parts))
    np.testing.assert_array_equal(here.means_, there.means_)
    assert here.lower_bounds_ == there.lower_bounds_
    assert here.dropped_ == there.dropped_


def test_restarts_remember_candidates_of_their_own(crowd):
    together = fitted(crowd, n_init=3, init_params="random_from_data")
    assert len(together.restarts_.runs) > 1
    for run in together.restarts_.runs:
        start = run.start
        alone = fitted(
            crowd,
            weights_init=start.weights,
            means_init=start.means,
            precisions_init=start.precisions,
        )
        assert alone.lower_bound_ * len(crowd) == pytest.approx(run.bounds[-1], rel=1e-6)


def test_a_warm_start_goes_on(crowd):
    once = fitted(crowd, max_iter=40)
    steps = mx.GaussianMixture(
        K, covariance_type="diag", max_responsibilities=MOST, max_iter=20, random_state=0, warm_start=True
    )
    first = steps.fit(crowd).lower_bound_
    assert steps.fit(crowd).lower_bound_ > first
    assert steps.lower_bound_ == pytest.approx(once.lower_bound_, rel=1e-3)


def test_em_climbs_it_and_no_other_solver(crowd):
    gm = fitted(crowd)
    for solver in ("auto", "em"):
        assert isinstance(solver_for(solver, gm.algorithm_), LookingAgain)
    for solver in ("lbfgs", "newton", "gem", "gradient"):
        with pytest.raises(mx.InvalidParameterError, match="max_responsibilities"):
            fitted(crowd, solver=solver)
    for method in (gm.certificate, gm.standard_errors):
        with pytest.raises(mx.InvalidParameterError, match="max_responsibilities"):
            method(crowd)


class Ridge:
    """Pulls means to the origin."""

    def value(self, mixture):
        return -float(np.square(mixture.means).sum())

    def gradient(self, mixture):
        return np.zeros_like(mixture.weights), -2 * mixture.means, np.zeros_like(mixture.covariances)


def test_what_it_does_not_go_with_is_said(crowd):
    with pytest.raises(mx.InvalidParameterError, match="max_responsibilities"):
        fitted(crowd, penalty=Ridge())
    stream = mx.GaussianMixture(K, max_responsibilities=MOST, solver="gradient")
    with pytest.raises(mx.InvalidParameterError, match="max_responsibilities"):
        stream.partial_fit(crowd)
    with pytest.raises(ValueError, match="max_responsibilities"):
        fitted(crowd, most=0)
