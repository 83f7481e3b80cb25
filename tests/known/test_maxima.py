"""Maxima known from elsewhere, from default settings and whatever the seed."""

import numpy as np
import pytest

import mixtura as mx

SEEDS = range(8)


def simulated():
    """500 labels and normals from NumPy's generator seeded 8927, with centres −5, 0, 5."""
    rng = np.random.default_rng(8927)
    labels = rng.integers(0, 3, size=500)
    x = rng.normal(np.array([-5, 0, 5])[labels], np.array([0.5, 2, 0.75])[labels])
    assert x[0] == pytest.approx(4.59121749, abs=5e-9)
    return x[:, None]


@pytest.mark.parametrize(
    ("name", "n_components", "covariance_type", "log_likelihood"),
    [
        ("faithful", 2, "full", -1130.2639601847),
        ("faithful", 3, "tied", -1126.3159278),
        ("galaxies", 3, "full", -203.179228),
        ("acidity", 2, "tied", -185.9493),
        ("simulated", 3, "full", -1176.7571080),
    ],
)
def test_default_settings_reach_the_maximum(name, n_components, covariance_type, log_likelihood, request):
    X = simulated() if name == "simulated" else request.getfixturevalue(name)
    for seed in SEEDS:
        gm = mx.GaussianMixture(n_components, covariance_type=covariance_type, random_state=seed).fit(X)
        assert gm.score(X) * len(X) == pytest.approx(log_likelihood, rel=5e-7)
        assert gm.converged_


def by_first_mean(gm):
    order = np.argsort(gm.means_[:, 0])
    return gm.weights_[order], gm.means_[order], gm.mixture_.covariance_matrices[order]


def test_parameters_of_old_faithful(faithful):
    weights, means, _ = by_first_mean(mx.GaussianMixture(2, tol=1e-10, random_state=0).fit(faithful))
    np.testing.assert_allclose(weights, [0.355873, 0.644127], atol=1e-6)
    np.testing.assert_allclose(means, [[2.036388, 54.478516], [4.289662, 79.968115]], atol=2e-6)


def test_parameters_of_the_simulation():
    weights, means, covariances = by_first_mean(
        mx.GaussianMixture(3, tol=1e-10, max_iter=1000, random_state=0).fit(simulated())
    )
    np.testing.assert_allclose(weights, [0.319926, 0.371254, 0.308819], atol=2e-6)
    np.testing.assert_allclose(means[:, 0], [-4.989827, 0.125994, 4.995852], atol=2e-6)
    np.testing.assert_allclose(np.sqrt(covariances[:, 0, 0]), [0.547067, 1.849244, 0.710622], atol=2e-6)


def test_criteria_in_mclust_sign(acidity):
    gm = mx.GaussianMixture(2, covariance_type="EEE", tol=1e-10, max_iter=1000, random_state=0).fit(acidity)
    assert -gm.bic(acidity) == pytest.approx(-392.0723, abs=1e-3)
