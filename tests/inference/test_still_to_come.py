"""What is said to be still to come is: a long climb from where a fit ended gains no more than ten times that."""

import numpy as np
import pytest

import mixtura as mx


def two_clouds(n_rows, seed):
    """Two clouds that overlap: a third component has nothing to find."""
    X = np.random.default_rng(seed).normal(size=(n_rows, 2))
    X[: n_rows // 3] += [1.5, 1.0]
    return X


def gained(gm, X, solver="em"):
    """What a long climb gains from the end of a fit, in nats."""
    m = gm.mixture_
    at_the_end = {"weights_init": m.weights, "means_init": m.means, "precisions_init": m.precisions}
    settings = {"covariance_type": gm.covariance_type, "solver": solver, "tol": 1e-9, "max_iter": 10_000}
    further = mx.GaussianMixture(len(m.weights), **settings, **at_the_end).fit(X)
    return (further.lower_bound_ - gm.lower_bound_) * len(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("n_rows", "n_components", "seed", "solver"),
    [
        *((500, k, seed, "em") for k in (3, 4) for seed in (0, 1, 2)),
        (4000, 4, 1, "em"),
        (100_000, 3, 0, "lbfgs"),
        (100_000, 3, 1, "lbfgs"),
    ],
)
def test_on_plateaus(n_rows, n_components, seed, solver):
    X = two_clouds(n_rows, seed)
    gm = mx.GaussianMixture(n_components, max_iter=3000, random_state=seed).fit(X)
    assert gm.stop_.reason == "converged"
    assert gained(gm, X, solver) <= 10 * gm.stop_.remaining


SADDLES = [
    ("galaxies", 7, "spherical", 3),
    ("galaxies", 5, "tied_spherical", 1),
    ("galaxies", 5, "tied_spherical", 3),
    ("diabetes", 5, "tied", 0),
]


@pytest.mark.parametrize(("name", "n_components", "covariance_type", "seed"), SADDLES)
def test_a_fit_does_not_end_where_two_components_lie_on_each_other(name, n_components, covariance_type, seed, request):
    """Starts from rows that are alike: EM alone ends, or rests, 2 to 14 nats below."""
    X = request.getfixturevalue(name)
    settings = {"init_params": "random_from_data", "max_iter": 5000, "random_state": seed}
    gm = mx.GaussianMixture(n_components, covariance_type=covariance_type, **settings).fit(X)
    assert gm.stop_.reason == "converged"
    assert gained(gm, X) <= 10 * max(gm.stop_.remaining, 1e-6)
    bounds = np.array(gm.restarts_.best.bounds)
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    assert gm.n_iter_ == len(bounds) - 1


def test_a_start_that_is_given_whole_is_climbed_from_wherever_it_leads(galaxies):
    m = mx.GaussianMixture(2, random_state=0).fit(galaxies).mixture_
    twice = {"weights_init": [m.weights[0], *[m.weights[1] / 2] * 2], "means_init": m.means[[0, 1, 1]]}
    gm = mx.GaussianMixture(3, precisions_init=m.precisions[[0, 1, 1]], **twice).fit(galaxies)
    np.testing.assert_allclose(gm.means_[1], gm.means_[2], rtol=1e-12)
    certificate = gm.certificate(galaxies)
    assert not certificate.is_maximum
    assert "more than estimated may be still to come" in str(certificate)
