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
