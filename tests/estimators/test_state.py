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
    still_to_come = 1e-4 * gm.tol * len(faithful)
    bound = again.set_params(warm_start=True).fit(faithful).lower_bound_
    assert bound == pytest.approx(gm.lower_bound_, abs=still_to_come)


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
        mx.SampledGaussianMixture(2, sampler="gibbs", n_draws=20, n_tune=10, n_chains=2, random_state=0),
        mx.GaussianMixtureSearch([1, 2], n_init=2, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
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


POSTERIORS = {
    "cavi": mx.BayesianGaussianMixture(2, random_state=0),
    "svi": mx.BayesianGaussianMixture(2, solver="svi", random_state=0),
    "partial_fit": mx.BayesianGaussianMixture(2, solver="svi", random_state=0),
    "known": mx.SampledGaussianMixture(2, sampler="gibbs", n_draws=20, n_tune=10, n_chains=2, random_state=0),
    "open": mx.SampledGaussianMixture(
        mx.ComponentCountLaw.uniform(3), sampler="gibbs", n_draws=20, n_tune=10, n_chains=2, random_state=0
    ),
}


def learnt(estimator, how, X):
    return estimator.partial_fit(X) if how == "partial_fit" else estimator.fit(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (a, b)
        for a in POSTERIORS
        for b in POSTERIORS
        if type(POSTERIORS[a]) is type(POSTERIORS[b]) and (a, b) != ("partial_fit", "partial_fit")
    ],
)
def test_a_posterior_leaves_nothing_of_the_one_before(first, second, faithful):
    alone = learnt(clone(POSTERIORS[second]), second, faithful)
    gm = learnt(clone(POSTERIORS[first]), first, faithful[:100])
    learnt(gm.set_params(**clone(POSTERIORS[second]).get_params(deep=False)), second, faithful)
    assert fitted_names(gm) == fitted_names(alone)
    assert type(gm.record_) is type(alone.record_)
    assert hasattr(gm, "losses_") == hasattr(alone, "losses_")
    assert hasattr(gm, "restarts_") == hasattr(alone, "restarts_")
    np.testing.assert_array_equal(gm.means_, alone.means_)


def test_what_a_climb_leaves_is_gone_with_a_stream_and_the_other_way_round(faithful):
    gm = mx.GaussianMixture(2, solver="gradient", random_state=0).fit(faithful)
    assert gm.restarts_.best.bounds
    gm.partial_fit(faithful)
    for name in ("restarts_", "optima_", "n_passes_", "n_collapsed_"):
        assert not hasattr(gm, name), name
    assert len(gm.losses_) == len(gm.lower_bounds_) == gm.n_iter_ == 1
    assert not hasattr(gm.fit(faithful), "losses_")


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


# ---- what a class or a solver does not know ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n_draws", "n_tune", "n_chains", "relabelling", "n_components_law", "target_accept"])
def test_a_variational_posterior_has_no_parameters_of_chains(name):
    with pytest.raises(TypeError, match=name):
        mx.BayesianGaussianMixture(2, **{name: 5})


@pytest.mark.parametrize("name", ["tol", "max_iter", "batch_size", "moves", "warm_start", "solver"])
def test_chains_have_no_parameters_of_a_climb(name):
    with pytest.raises(TypeError, match=name):
        mx.SampledGaussianMixture(2, **{name: 5})


def test_settings_of_another_algorithm_cannot_be_written():
    with pytest.raises(TypeError, match="moves"):
        mx.Svi(moves=False)
    with pytest.raises(ValueError, match="Gibbs has no setting 'target_accept'; it has thin"):
        mx.SampledGaussianMixture(2, sampler=mx.Gibbs()).set_params(sampler__target_accept=0.8)
    with pytest.raises(ValueError, match="'solver' parameter"):
        mx.BayesianGaussianMixture(2, solver=mx.Nuts()).fit([[0.0], [1.0]])
    with pytest.raises(ValueError, match="'sampler' parameter"):
        mx.SampledGaussianMixture(2, sampler=mx.Cavi()).fit([[0.0], [1.0]])


def test_the_evidence_has_no_method_that_means_nothing(faithful):
    with pytest.raises(TypeError, match="method"):
        mx.BayesianGaussianMixture(2, random_state=0).fit(faithful).log_evidence(faithful, method="nonsense")


@pytest.mark.parametrize("sampler", ["nuts", "gibbs"])
def test_labels_to_begin_with_may_be_of_rows_without_weight(sampler, faithful):
    """They were refused: labels of all rows met the rows that carry weight."""
    if sampler == "nuts":
        pytest.importorskip("nutpie")
    labels = (faithful[:, 0] > 3).astype(int)
    weights = np.r_[np.zeros(5), np.ones(len(faithful) - 5)]
    sm = mx.SampledGaussianMixture(
        2, sampler=sampler, init_params=labels, n_draws=10, n_tune=20, n_chains=1, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if sampler == "gibbs":
            with pytest.raises(mx.DataError, match="sample_weight cannot be used with Gibbs sampling"):
                sm.fit(faithful, sample_weight=weights)
        else:
            assert sm.fit(faithful, sample_weight=weights).means_.shape == (2, 2)


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
