"""What a fit leaves behind: nothing of the one before, no rows, and the same answers after a copy, a pickle or a change by hand."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_validate

import mixtura as mx
from mixtura.sweep import hard, soft

COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "joblib": lambda model: joblib.Parallel(2)([joblib.delayed(copy.copy)(model)])[0],
}
every_copy = pytest.mark.parametrize("how", COPIES)


@every_copy
def test_a_copy_answers_as_the_original_does(how, faithful):
    gm = mx.GaussianMixture(2, random_state=0).fit(faithful)
    again = COPIES[how](gm)
    assert again.certificate(faithful) == gm.certificate(faithful)
    np.testing.assert_array_equal(again.standard_errors(faithful).means, gm.standard_errors(faithful).means)
    np.testing.assert_array_equal(again.predict_proba(faithful), gm.predict_proba(faithful))
    assert again.algorithm_.assignment is soft
    found = mx.GaussianMixtureSearch([1, 2], n_init=2, random_state=0).fit(faithful)
    best = COPIES[how](found).best_estimator_
    assert best.certificate(faithful) == found.best_estimator_.certificate(faithful)


@every_copy
def test_a_copy_of_a_posterior_does_too(how, faithful):
    gm = mx.BayesianGaussianMixture(3, random_state=0).fit(faithful)
    again = COPIES[how](gm)
    np.testing.assert_array_equal(again.score_samples(faithful), gm.score_samples(faithful))
    np.testing.assert_array_equal(again.standard_errors(faithful).means, gm.standard_errors(faithful).means)
    assert again.set_params(warm_start=True).fit(faithful).lower_bound_ == pytest.approx(gm.lower_bound_, rel=1e-9)


def test_hard_stays_hard(faithful):
    gm = pickle.loads(pickle.dumps(mx.GaussianMixture(2, assignment="hard", random_state=0).fit(faithful)))
    assert gm.algorithm_.assignment is hard
    with pytest.raises(ValueError, match="assignment='hard'"):
        gm.certificate(faithful)


def test_estimators_of_other_processes_answer(faithful):
    found = cross_validate(
        mx.GaussianMixture(2, random_state=0), faithful, cv=3, n_jobs=2, return_estimator=True, error_score="raise"
    )
    for gm in found["estimator"]:
        assert np.isfinite(gm.certificate(faithful).gradient_norm)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        mx.GaussianMixture(2, random_state=0),
        mx.BayesianGaussianMixture(2, random_state=0),
        mx.BayesianGaussianMixture(2, solver="gibbs", n_draws=20, n_tune=10, n_chains=2, random_state=0),
        mx.GaussianMixtureSearch([1, 2], n_init=2, random_state=0),
    ],
    ids=lambda e: type(e).__name__ + getattr(e, "solver", ""),
)
def test_no_estimator_keeps_rows(estimator):
    rng = np.random.default_rng(0)
    rows = [np.r_[rng.normal(size=(n, 2)), rng.normal(6, 1, (n, 2))] for n in (200, 2000)]
    small, large = (len(pickle.dumps(clone(estimator).fit(X))) for X in rows)
    assert large < small + 8 * 2000  # of 8 bytes a number, a quarter of the rows would be seen


# ---- one fit after another -----------------------------------------------------------------------------------------------------


def fitted_names(model):
    return {name for name in vars(model) if name.endswith("_")}


FITS = {
    "fit": lambda gm, X: gm.set_params(solver="auto").fit(X),
    "partial_fit": lambda gm, X: gm.set_params(solver="gradient").partial_fit(X),
}


@pytest.mark.parametrize("first", FITS)
@pytest.mark.parametrize("second", FITS)
def test_a_point_fit_leaves_nothing_of_the_one_before(first, second, faithful):
    alone = FITS[second](mx.GaussianMixture(2, random_state=0), faithful)
    gm = FITS[first](mx.GaussianMixture(2, random_state=0), faithful[:100])
    if (first, second) == ("partial_fit", "partial_fit"):
        return  # a stream goes on
    FITS[second](gm, faithful)
    assert fitted_names(gm) == fitted_names(alone)
    np.testing.assert_array_equal(gm.means_, alone.means_)


SOLVERS = {
    "cavi": {"solver": "cavi"},
    "svi": {"solver": "svi"},
    "gibbs": {"solver": "gibbs", "n_draws": 20, "n_tune": 10, "n_chains": 2},
}
DEFAULTS = {"n_draws": 1000, "n_tune": 500, "n_chains": 4}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("first", SOLVERS)
@pytest.mark.parametrize("second", SOLVERS)
def test_a_posterior_leaves_nothing_of_the_one_before(first, second, faithful):
    alone = mx.BayesianGaussianMixture(2, random_state=0, **SOLVERS[second]).fit(faithful)
    gm = mx.BayesianGaussianMixture(2, random_state=0, **SOLVERS[first]).fit(faithful[:100])
    gm.set_params(**DEFAULTS).set_params(**SOLVERS[second]).fit(faithful)
    assert fitted_names(gm) == fitted_names(alone)
    np.testing.assert_array_equal(gm.means_, alone.means_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_evidence_is_that_of_the_last_fit(faithful):
    gm = mx.BayesianGaussianMixture(2, weight_concentration_prior_type="dirichlet_distribution", random_state=0)
    gm.fit(faithful)
    gm.set_params(solver="gibbs", n_draws=100, n_tune=20, n_chains=2).fit(faithful)
    assert not hasattr(gm, "posterior_")
    assert gm.log_evidence(faithful, random_state=0).value < -1100


def test_a_fit_that_fails_leaves_the_last_one_whole(faithful):
    for estimator in (
        mx.GaussianMixture(2, random_state=0),
        mx.BayesianGaussianMixture(2, random_state=0),
        mx.GaussianMixtureSearch([1, 2], n_init=1, random_state=0),
    ):
        estimator.fit(faithful)
        before, score = fitted_names(estimator), estimator.score(faithful)
        with pytest.raises(ValueError, match="NaN"):
            estimator.fit([[np.nan], [1.0], [2.0]])
        assert fitted_names(estimator) == before
        assert estimator.score(faithful) == score


# ---- arrays changed by hand ----------------------------------------------------------------------------------------------------

ESTIMATORS = {
    "point": mx.GaussianMixture(2, random_state=0),
    "posterior": mx.BayesianGaussianMixture(2, random_state=0),
}
every_estimator = pytest.mark.parametrize("which", ESTIMATORS)


@every_estimator
def test_arrays_changed_in_place_are_followed(which, faithful):
    gm = clone(ESTIMATORS[which]).fit(faithful)
    near = gm.score(faithful)
    gm.means_ += 100
    assert gm.score(faithful) < near - 1000
    assert gm.mixture_.means[0, 0] == gm.means_[0, 0]
    gm.means_ -= 100
    assert gm.score(faithful) == pytest.approx(
        near, abs=0.1
    )  # of a point, no more the predictive density of a posterior


@every_estimator
def test_arrays_that_are_set_are_followed(which, faithful):
    gm = clone(ESTIMATORS[which]).fit(faithful)
    gm.weights_ = np.array([0.5, 0.5])
    expected = mx.Mixture([0.5, 0.5], gm.means_, gm.covariances_)
    np.testing.assert_allclose(gm.score_samples(faithful), expected.log_pdf(faithful), rtol=1e-12)
    gm.precisions_cholesky_ = gm.precisions_cholesky_ / 2
    np.testing.assert_allclose(gm.mixture_.covariances, 4 * expected.covariances, rtol=1e-10)
    np.testing.assert_allclose(gm.covariances_, 4 * expected.covariances, rtol=1e-10)
    gm.precisions_ = gm.precisions_ * 4
    np.testing.assert_allclose(gm.mixture_.covariances, expected.covariances, rtol=1e-10)
    np.testing.assert_allclose(gm.covariances_, expected.covariances, rtol=1e-10)
    gm.weights_ = np.array([0.5, 0.7])
    with pytest.raises(ValueError, match="sum to 1"):
        gm.predict(faithful)


# ---- warm starts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", ["full", "tied", "spherical"])
def test_warm_starts_of_one_iteration_come_to_say_that_they_have_converged(covariance_type, faithful):
    gm = mx.GaussianMixture(
        2, covariance_type=covariance_type, init_params="random_from_data", warm_start=True, max_iter=1, random_state=0
    )
    bounds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(600):
            bounds.append(gm.fit(faithful).lower_bound_)
            if gm.converged_:
                break
    assert gm.converged_
    assert (np.diff(bounds) >= -1e-12 * np.abs(bounds[1:])).all()
    whole = clone(gm).set_params(warm_start=False, max_iter=600).fit(faithful)
    assert bounds[-1] == pytest.approx(whole.lower_bound_, abs=2e-3)


@pytest.mark.parametrize("structure", ["spherical", "tied", "diag", "tied_spherical"])
@every_estimator
def test_a_warm_start_goes_on_in_another_structure(which, structure, faithful):
    gm = clone(ESTIMATORS[which]).set_params(warm_start=True, max_iter=500).fit(faithful)
    gm.set_params(covariance_type=structure).fit(faithful)
    alone = clone(gm).set_params(warm_start=False).fit(faithful)
    assert gm.mixture_.covariance_type == structure
    assert gm.lower_bound_ == pytest.approx(alone.lower_bound_, rel=1e-4)


@every_estimator
def test_a_warm_start_that_cannot_go_on_says_so(which, faithful):
    gm = clone(ESTIMATORS[which]).set_params(warm_start=True).fit(faithful)
    with pytest.raises(ValueError, match=r"2 components in 2 columns; now n_components=3.*warm_start=False"):
        gm.set_params(n_components=3).fit(faithful)
    with pytest.raises(ValueError, match="the data have 1"):
        gm.set_params(n_components=2).fit(faithful[:, :1])


def test_bounds_of_other_data_do_not_count(faithful):
    gm = mx.GaussianMixture(2, warm_start=True, random_state=0).fit(faithful)
    gm.fit(faithful[:200])
    alone = mx.GaussianMixture(2, random_state=0).fit(faithful[:200])
    assert gm.converged_
    assert gm.lower_bound_ == pytest.approx(alone.lower_bound_, abs=1e-6)


# ---- what a solver does not know -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "settings", "knowing"),
    [
        ("cavi", {"n_draws": 50}, "gibbs"),
        ("cavi", {"n_components_law": mx.ComponentCountLaw.uniform(3)}, "gibbs"),
        ("cavi", {"target_accept": 0.8}, "nuts"),
        ("svi", {"moves": False}, "cavi"),
        ("gibbs", {"tol": 1e-2}, "cavi"),
        ("gibbs", {"max_iter": 5}, "cavi"),
        ("gibbs", {"warm_start": True}, "cavi"),
        ("nuts", {"mean_prior": [0.0, 0.0]}, "gibbs"),
    ],
)
def test_what_a_solver_does_not_know_is_refused(solver, settings, knowing, faithful):
    (name,) = settings
    with pytest.raises(ValueError, match=rf"{name} is nothing that solver='{solver}' knows.*solver='{knowing}'"):
        mx.BayesianGaussianMixture(2, solver=solver, **settings).fit(faithful)


@pytest.mark.parametrize("X", [np.ma.masked_greater([[1.0], [2.0], [900.0]], 100), [["2020-01-01"], ["NaT"]]])
def test_what_would_be_read_as_other_numbers_is_refused(X):
    rows = X if np.ma.isMaskedArray(X) else np.array(X, dtype="datetime64[D]")
    for estimator in (mx.GaussianMixture(), mx.BayesianGaussianMixture(), mx.GaussianMixtureSearch([1])):
        with pytest.raises(mx.DataError, match=r"X (is a masked array|holds dates)"):
            estimator.fit(rows)


def test_a_posterior_refuses_rows_that_are_not_finite(faithful):
    posterior = mx.BayesianGaussianMixture(2, random_state=0).fit(faithful[:, :1]).posterior_
    for asked in (posterior.predict, posterior.log_pdf, posterior.responsibilities):
        with pytest.raises(mx.DataError, match="found nan in row 0"):
            asked([[np.nan], [1.0]])


def test_a_stream_is_gone_after_a_fit(faithful):
    gm = mx.GaussianMixture(2, solver="gradient", random_state=0).partial_fit(faithful)
    assert gm._stream_ is not None
    gm.fit(faithful)
    assert gm._stream_ is None
    assert not hasattr(gm, "losses_")
