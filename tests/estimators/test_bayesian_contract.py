"""``BayesianGaussianMixture`` as scikit-learn asks of it."""

import numpy as np
import pytest
import sklearn.mixture
from sklearn.utils.estimator_checks import parametrize_with_checks

import mixtura as mx

ESTIMATORS = [
    mx.BayesianGaussianMixture(),
    mx.BayesianGaussianMixture(3, covariance_type="diag", random_state=0),
    mx.BayesianGaussianMixture(2, covariance_type="tied", n_init=2, random_state=0),
    mx.BayesianGaussianMixture(
        2, covariance_type="spherical", weight_concentration_prior_type="dirichlet_distribution", random_state=0
    ),
    mx.BayesianGaussianMixture(2, solver=mx.Cavi(batch_size=10), random_state=0),
    mx.BayesianGaussianMixture(2, solver="svi", random_state=0),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_every_parameter_of_scikit_learn_with_its_default():
    theirs = sklearn.mixture.BayesianGaussianMixture().get_params()
    ours = mx.BayesianGaussianMixture().get_params()
    assert {name: ours[name] for name in theirs} == theirs | {"reg_covar": "auto"}


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("weights", ["dirichlet_process", "dirichlet_distribution"])
def test_every_public_attribute_in_scikit_learns_shape(covariance_type, weights, faithful):
    settings = {
        "covariance_type": covariance_type,
        "weight_concentration_prior_type": weights,
        "max_iter": 500,
        "random_state": 0,
    }
    theirs = sklearn.mixture.BayesianGaussianMixture(n_components=3, **settings).fit(faithful)
    ours = mx.BayesianGaussianMixture(3, **settings).fit(faithful)
    for name in vars(theirs):
        if name.endswith("_") and not name.startswith("_"):
            assert hasattr(ours, name), name
            if name not in ("degrees_of_freedom_", "lower_bound_", "lower_bounds_"):  # theirs vary with the structure
                assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name)), name
    assert set(dir(theirs)) - set(dir(ours)) <= {name for name in dir(theirs) if name.startswith("_")}


def test_standard_errors_put_back_what_mean_field_leaves_out():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (300, 1)), rng.normal(2.5, 1, (300, 1))])
    gm = mx.BayesianGaussianMixture(
        2, weight_concentration_prior_type="dirichlet_distribution", tol=1e-7, max_iter=5000, random_state=0
    ).fit(X)
    widened = gm.standard_errors(X)
    low, high = (end.means for end in gm.posterior_.interval(0.682689))
    assert (widened.means > 1.2 * 0.5 * (high - low)).all()
    weighted = gm.standard_errors(X, np.ones(600))
    np.testing.assert_allclose(weighted.means, widened.means)
    with pytest.raises(ValueError, match="maximum"):
        gm.standard_errors(X + 1)
