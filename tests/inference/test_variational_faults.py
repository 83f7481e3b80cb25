"""What variational Bayes says of itself is so: whether it has converged, how far it may still go, that its bound never falls."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx
from concentration import Case, compared
from mixtura.inference.starts import moves
from mixtura.model.laws import weights as weight_posterior


def test_a_fall_of_the_bound_is_said_and_ends_the_run(faithful, monkeypatch):
    """The order of sticks that was best for ``α ≤ 1`` alone lowered the bound by 150 nats, and the fit called that converged."""
    monkeypatch.setattr(weight_posterior, "best_order", lambda counts, prior: np.argsort(-counts, kind="stable"))
    settings = {
        "weight_concentration_prior": 1e5,
        "tol": 1e-9,
        "max_iter": 500,
        "random_state": 5,
        "solver": mx.Cavi(moves=False),
    }
    with (
        pytest.warns(RuntimeWarning, match=r"the bound fell by \S+ nats, a fault of mixtura"),
        pytest.warns(ConvergenceWarning, match=r"stopped: the bound fell by \S+ nats"),
    ):
        gm = mx.BayesianGaussianMixture(3, **settings).fit(faithful)
    assert not gm.converged_
    assert gm.restarts_.best.stop.reason == "fell"


def test_a_split_of_rows_without_any_spread():
    gm = mx.BayesianGaussianMixture(3, covariance_type="diag", random_state=0).fit(np.full((5, 1), 2.3))
    assert gm.converged_
    assert gm.means_ == pytest.approx(2.3)


@pytest.mark.parametrize("seed", [0, 3, 5, 16, 19])
def test_moves_do_not_take_back_that_a_fit_has_converged(seed, iris):
    """From some of these seeds a move raises the bound but would need more passes than ``max_iter`` to come to an end."""
    stay, go = (
        mx.BayesianGaussianMixture(6, random_state=seed, solver=mx.Cavi(moves=m)).fit(iris) for m in (False, True)
    )
    assert stay.converged_
    assert go.converged_
    assert go.lower_bound_ > stay.lower_bound_ + 1
    assert go.restarts_.best.n_passes > stay.restarts_.best.n_passes


def test_a_move_that_does_not_come_to_an_end_is_not_made(iris, monkeypatch):
    """Climbs that follow a move are held to three passes here; whatever they bring, the optimum before stands."""
    stay = mx.BayesianGaussianMixture(6, random_state=3, solver=mx.Cavi(moves=False)).fit(iris)
    following = moves.climb
    monkeypatch.setattr(
        moves,
        "climb",
        lambda source, starts, algorithm, stopping, *rest: following(
            source, starts, algorithm, replace(stopping, max_iter=min(stopping.max_iter, 3), tol=1e-9), *rest
        ),
    )
    go = mx.BayesianGaussianMixture(6, random_state=3).fit(iris)
    assert go.converged_
    assert go.lower_bound_ == stay.lower_bound_
    assert go.restarts_.best.n_passes > stay.restarts_.best.n_passes


def test_a_fit_that_ran_out_of_passes_names_those_that_were_asked_for(iris):
    with pytest.warns(ConvergenceWarning, match="stopped at max_iter=4: "):
        mx.BayesianGaussianMixture(6, init_params=np.arange(150) % 6, max_iter=4, tol=1e-6).fit(iris)


def test_moves_come_to_an_end(iris, monkeypatch):
    settings = {"n_components": 6, "random_state": 5}
    whole = mx.BayesianGaussianMixture(**settings).fit(iris)
    monkeypatch.setattr(moves, "MOST_LEAPS", 1)
    one = mx.BayesianGaussianMixture(**settings).fit(iris)
    assert one.converged_
    assert one.lower_bound_ < whole.lower_bound_


@pytest.mark.parametrize("seed", range(3))
def test_stochastic_ascent_says_converged_where_coordinate_ascent_does(seed, faithful):
    """It did so 25 to 38 nats below, by the last gain alone: gains of short steps are small long before the end."""
    gm = mx.BayesianGaussianMixture(8, solver="svi", max_iter=200, random_state=seed).fit(faithful)
    bound, tolerance = gm.lower_bound_, gm.tol * len(faithful)
    assert gm.converged_
    assert gm.restarts_.best.stop.remaining <= tolerance
    bounds = np.array(gm.restarts_.best.bounds)
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    gm.set_params(solver=mx.Cavi(moves=False), tol=1e-7, max_iter=5000, warm_start=True).fit(faithful)
    assert bound <= gm.lower_bound_ + 1e-9 * abs(bound)
    assert gm.lower_bound_ - bound < tolerance


def test_many_rows_are_read_few_times_more():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_000, 3)) + 6 * rng.integers(4, size=40_000)[:, None]
    gm = mx.BayesianGaussianMixture(4, solver=mx.Svi(500), random_state=0).fit(X)
    assert gm.converged_
    assert gm.restarts_.best.n_passes <= 6
    whole = mx.BayesianGaussianMixture(4, solver=mx.Cavi(moves=False), random_state=0).fit(X)
    assert gm.lower_bound_ >= whole.lower_bound_ - gm.tol * len(X)


def test_stochastic_ascent_that_ran_out_of_reads_says_so(faithful):
    begun = {"init_params": np.arange(272) % 8, "random_state": 1}
    with pytest.warns(
        ConvergenceWarning, match=r"max_iter=5 after 5 batches, 5 reads .* and 1 more .* an unknown gain"
    ):
        gm = mx.BayesianGaussianMixture(8, solver="svi", max_iter=5, tol=1e-4, **begun).fit(faithful)
    assert not gm.converged_


@pytest.mark.parametrize("n_components", [3, pytest.param(6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("concentration", [1e-3, 1.0, 1e2, 1e5])
@pytest.mark.parametrize("data", ["faithful", "iris", "acidity"])
def test_final_bounds_are_no_lower_than_scikit_learns(data, concentration, n_components, request):
    """A short form of ``python -m bench.concentration``, where that held for all of 540 fits."""
    bounds = compared(Case(request.getfixturevalue(data), n_components, concentration, seed=0))
    assert bounds.at_least
    if concentration == 1e5:
        assert bounds.ours > bounds.theirs + 100
