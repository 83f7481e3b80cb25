"""What is said is said in the user's own settings, with the parameter's name, on one line."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_init": 1}, r"^the fit did not converge: stopped at max_iter=2: .*Increase max_iter"),
        ({"n_init": 3}, r"^the best of n_init=3 restarts did not converge: stopped at max_iter=2"),
    ],
)
def test_restarts_and_iterations_are_those_that_were_asked_for(settings, words, iris):
    make = {"max_iter": 2, "tol": 0.0, "random_state": 0, "init_params": np.arange(150) % 4} | settings
    with pytest.warns(ConvergenceWarning, match=words):
        mx.GaussianMixture(4, **make).fit(iris)
    with pytest.warns(ConvergenceWarning, match=words):
        mx.BayesianGaussianMixture(4, solver=mx.Cavi(moves=False), **make).fit(iris)


@pytest.mark.parametrize("seed", range(8))
def test_moves_do_not_change_what_max_iter_was(seed, iris):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mx.BayesianGaussianMixture(6, random_state=seed).fit(iris)
    assert all("max_iter=100" in str(warning.message) for warning in caught)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: mx.GaussianMixture(2, weights_init={}), "weights_init"),
        (lambda: mx.GaussianMixture(2, weights_init=[np.nan, 1.0]), "weights_init"),
        (lambda: mx.GaussianMixture(2, means_init=[1, "a"]), "means_init"),
        (lambda: mx.GaussianMixture(2, means_init=[[1e308, 0], [0, 0]]), "means_init"),
        (lambda: mx.GaussianMixture(2, precisions_init={}), "precisions_init"),
        (lambda: mx.GaussianMixture(2, init_params=[["a", 1]]), "init_params"),
        (lambda: mx.GaussianMixture(2, init_params=np.ones((272, 3)) / 3), "init_params"),
        (lambda: mx.GaussianMixture(2, init_params=[[0, 1], [1]]), "init_params"),
        (lambda: mx.GaussianMixture(True), "n_components"),
        (lambda: mx.GaussianMixture(2, reg_covar="much"), "reg_covar"),
        (lambda: mx.BayesianGaussianMixture(2, mean_prior=["x", 1]), "mean_prior"),
        (lambda: mx.BayesianGaussianMixture(2, mean_prior=[1e300, 0]), "mean_prior"),
        (lambda: mx.BayesianGaussianMixture(2, covariance_prior={}), "covariance_prior"),
        (lambda: mx.BayesianGaussianMixture(2, covariance_prior=[[1.0, 2.0], [2.0, 1.0]]), "covariance_prior"),
        (lambda: mx.BayesianGaussianMixture(2, weight_concentration_prior=1e-301), "weight_concentration_prior"),
        (lambda: mx.BayesianGaussianMixture(2, degrees_of_freedom_prior=0.5), "degrees_of_freedom_prior"),
        (lambda: mx.GaussianMixture(2, covariance_type="E"), "covariance_type"),
    ],
)
def test_a_wrong_parameter_is_named_on_one_line(make, name, faithful):
    with pytest.raises((ValueError, TypeError), match=name) as caught:
        make().fit(faithful)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_names_of_one_dimension(faithful):
    X = faithful[:, :1]
    for name, code in (("E", "EII"), ("V", "VII")):
        short, long = (mx.GaussianMixture(2, covariance_type=kind, random_state=0).fit(X) for kind in (name, code))
        np.testing.assert_array_equal(short.covariances_, long.covariances_)
        short.means_ = short.means_ + 1.0
        assert short.mixture_.covariance_type == long.mixture_.covariance_type
    found = mx.GaussianMixtureSearch([1, 2], covariance_type=["E", "V"], n_init=2, random_state=0).fit(X)
    assert set(found.results_["covariance_type"]) == {"tied_spherical", "spherical"}
    with pytest.raises(
        ValueError, match=r"covariance_type='V' is for data of one column, and these have 2; use VVV, VVI, VII"
    ):
        mx.BayesianGaussianMixture(2, covariance_type="V").fit(faithful)


def test_questions_about_draws_are_told_from_questions_too_early(faithful):
    with pytest.raises(ValueError, match="not fitted yet"):
        mx.SampledGaussianMixture(2).to_arviz(faithful)
    gm = mx.BayesianGaussianMixture(2, random_state=0)
    gm.fit(faithful)
    for name in ("to_arviz", "loo", "coclustering", "estimate_partition", "draws_"):
        assert not hasattr(gm, name)


def test_the_criterion_of_one_fit_is_no_picture(faithful):
    pytest.importorskip("matplotlib")
    with pytest.raises(
        mx.InvalidParameterError, match="search must be a fitted GaussianMixtureSearch; got GaussianMixture"
    ):
        mx.plot.criterion(mx.GaussianMixture(2, random_state=0).fit(faithful))


def test_a_draw_of_true_points_is_refused():
    with pytest.raises(mx.InvalidParameterError, match="n_samples must be a positive integer; got True"):
        mx.Mixture([1.0], [[0.0]], [1.0], "spherical").sample(True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--solver", "cavi", "--criterion", "aic"], "--criterion is nothing that --solver cavi knows"),
        (["--solver", "gibbs", "--target-accept", "0.8"], "--target-accept is nothing that --solver gibbs knows"),
        (["--draws", "200"], "--draws is nothing that --solver em knows"),
        (["--covariance", "E"], "covariance_type='E' is for data of one column"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words, examples, tmp_path):
    command = [sys.executable, "-m", "mixtura.cli", "fit", str(examples / "faithful.csv"), *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_columns_without_names_have_one_name_everywhere(tmp_path):
    from mixtura.assess.describe import describe
    from mixtura.plot.subject import feature_names

    m = mx.Mixture([1.0], [[0.0, 1.0]], [1.0], "spherical")
    assert feature_names(m) == ("x0", "x1")
    assert "x0, x1" in describe(m, {})
