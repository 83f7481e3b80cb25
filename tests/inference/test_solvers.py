"""Every way up ends in the same place, never goes down, and says how good the place is."""

import pickle

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.climb.certificate import flattest
from mixtura.inference.climb.climber import Answer, Climber, Direction, Wait
from mixtura.inference.climb.loop import climb
from mixtura.inference.climb.newton import Newton
from mixtura.inference.climb.solvers import SOLVERS
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.pilot import pilot_source
from mixtura.model.covariance import STRUCTURES
from mixtura.sweep import Sweep, with_compiled

SMOOTH = [name for name in SOLVERS if name != "em"]
every_solver = pytest.mark.parametrize("solver", SOLVERS)


def overlapping(n_rows=1500, seed=0):
    """Two clouds two standard deviations apart, where EM needs hundreds of passes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 2))
    X[: n_rows // 3] += [1.5, 1.0]
    return X


MAXIMA = [
    ("faithful", 2, "full", -1130.2639601847),
    ("faithful", 3, "tied", -1126.3159278),
    ("galaxies", 3, "full", -203.179228),
    ("acidity", 2, "tied", -185.9493),
]


@every_solver
@pytest.mark.parametrize(("name", "n_components", "covariance_type", "log_likelihood"), MAXIMA)
def test_each_reaches_the_known_maxima(solver, name, n_components, covariance_type, log_likelihood, request):
    X = request.getfixturevalue(name)
    gm = mx.GaussianMixture(
        n_components, covariance_type=covariance_type, solver=solver, tol=1e-5, max_iter=5000, random_state=0
    ).fit(X)
    assert gm.score(X) * len(X) == pytest.approx(log_likelihood, rel=5e-7)
    assert gm.converged_
    assert gm.certificate(X).is_maximum


@every_solver
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_the_bound_never_falls_and_is_what_it_says(solver, structure, iris):
    gm = mx.GaussianMixture(
        3, covariance_type=structure.name, solver=solver, init_params="random_from_data", max_iter=3000, random_state=1
    ).fit(iris)
    bounds = np.array(gm.restarts_.best.bounds)
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    assert bounds[-1] == pytest.approx(gm.mixture_.log_likelihood(iris), rel=1e-11)
    run = gm.restarts_.best
    assert len(run.passes) == len(run.bounds)
    assert all(np.diff(run.passes) >= 1)
    assert run.passes[-1] <= run.n_passes == gm.n_passes_


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_newton_ends_where_the_gradient_vanishes(structure, iris):
    settings = {"solver": "newton", "max_iter": 5000, "random_state": 1}
    gm = mx.GaussianMixture(3, covariance_type=structure.name, **settings).fit(iris)
    assert gm.certificate(iris).gradient_norm < 1e-8
    assert gm.certificate(iris).remaining == 0


def test_auto_is_em_where_em_is_fast_and_much_faster_where_it_is_slow():
    easy = np.r_[overlapping(300), overlapping(300) + 20]
    settings = {"init_params": "random_from_data", "tol": 1e-5, "max_iter": 20_000, "random_state": 0}
    em, auto = (mx.GaussianMixture(2, solver=s, **settings).fit(easy) for s in ("em", "auto"))
    assert auto.n_passes_ <= em.n_passes_ + 2  # for the last digits
    em, auto = (mx.GaussianMixture(2, solver=s, **settings).fit(overlapping()) for s in ("em", "auto"))
    assert em.n_passes_ > 5 * auto.n_passes_
    assert auto.lower_bound_ == pytest.approx(em.lower_bound_, abs=1e-6)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton", "gem"])
def test_the_units_of_a_column_do_not_matter(solver):
    X, scale = overlapping(), np.array([1000.0, 1.0])
    begun = {"weights_init": [0.5, 0.5], "covariance_type": "full", "max_iter": 5000, "solver": solver, "reg_covar": 0}
    begun["tol"] = 1e-5
    means = np.array([[0.0, 0.0], [2.0, 1.0]])
    plain = mx.GaussianMixture(2, means_init=means, precisions_init=[np.eye(2)] * 2, **begun).fit(X)
    scaled = mx.GaussianMixture(2, means_init=means * scale, precisions_init=[np.diag(scale**-2.0)] * 2, **begun).fit(
        X * scale
    )
    assert abs(plain.n_passes_ - scaled.n_passes_) <= 0.1 * plain.n_passes_
    np.testing.assert_allclose(scaled.means_ / scale, plain.means_, rtol=1e-3, atol=1e-3)


def test_runs_of_all_kinds_share_each_read():
    X = overlapping(400)
    source, stopping = ArraySource(X), Stopping(1e-3, 2000, float(len(X)))
    algorithm = ExpectationMaximization(STRUCTURES[0])
    rng = np.random.default_rng(0)
    starts = [mx.Mixture([0.5, 0.5], X[rng.choice(len(X), 2, replace=False)], [np.eye(2)] * 2) for _ in range(4)]
    together = climb(source, starts, algorithm, stopping, solver=SOLVERS["lbfgs"])
    for start, run in zip(starts, together, strict=True):
        (alone,) = climb(source, [start], algorithm, stopping, solver=SOLVERS["lbfgs"])
        assert run.bounds[-1] == pytest.approx(alone.bounds[-1], rel=1e-9)
        assert abs(run.n_passes - alone.n_passes) <= 2


class PullToEqualWeights:
    """``strength · Σ log π_k``: a Dirichlet prior on the weights, as a user might write it."""

    def __init__(self, strength):
        self.strength = strength

    def value(self, mixture):
        return self.strength * float(np.log(mixture.weights).sum())

    def gradient(self, mixture):
        return self.strength / mixture.weights, np.zeros_like(mixture.means), np.zeros_like(mixture.covariances)


class LogDeterminants:
    """``−strength · Σ log|Σ_k|`` and a pull of the means to the origin: it touches everything."""

    def value(self, mixture):
        logs = np.linalg.slogdet(mixture.covariance_matrices)[1]
        return float(-3 * logs.sum() - 0.5 * np.sum(mixture.means**2))

    def gradient(self, mixture):
        inverses = np.linalg.inv(mixture.covariance_matrices)
        by_structure = {
            "full": -3 * inverses,
            "tied": -3 * inverses.sum(axis=0),
            "diag": -3 * np.diagonal(inverses, axis1=1, axis2=2),
            "tied_diag": -3 * np.diagonal(inverses, axis1=1, axis2=2).sum(axis=0),
            "spherical": -3 * np.trace(inverses, axis1=1, axis2=2),
            "tied_spherical": np.asarray(-3 * np.trace(inverses, axis1=1, axis2=2).sum()),
        }
        return np.zeros_like(mixture.weights), -mixture.means, by_structure[mixture.covariance_type]


@pytest.mark.parametrize("solver", ["auto", "gem", "gradient", "lbfgs"])
def test_a_penalty_on_weights_has_a_known_answer(solver, faithful):
    """Its M-step is ``(n_k + s)/(n + K s)``: the fixed point tells."""
    settings = {"solver": solver, "tol": 1e-5, "max_iter": 5000, "random_state": 0}
    gm = mx.GaussianMixture(2, penalty=PullToEqualWeights(30.0), **settings).fit(faithful)
    counts = gm.predict_proba(faithful).sum(axis=0)
    np.testing.assert_allclose(gm.weights_, (counts + 30) / (272 + 60), atol=2e-4)
    assert gm.lower_bound_ * 272 == pytest.approx(
        gm.mixture_.log_likelihood(faithful) + PullToEqualWeights(30.0).value(gm.mixture_), rel=1e-9
    )


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_a_penalty_on_everything_is_climbed_to_the_top(structure, faithful):
    X = (faithful - faithful.mean(axis=0)) / faithful.std(axis=0)
    settings = {"covariance_type": structure.name, "tol": 1e-5, "max_iter": 5000, "random_state": 0}
    other, best = (
        mx.GaussianMixture(2, penalty=LogDeterminants(), solver=s, **settings).fit(X) for s in ("gem", "lbfgs")
    )
    assert other.lower_bound_ == pytest.approx(best.lower_bound_, abs=1e-6)
    rng, m = np.random.default_rng(0), best.mixture_
    for _ in range(20):
        moved = mx.Mixture(m.weights, m.means + 1e-2 * rng.normal(size=m.means.shape), m.covariances, structure.name)
        assert moved.log_likelihood(X) + LogDeterminants().value(moved) < best.lower_bound_ * len(X) + 1e-6


@pytest.mark.parametrize("settings", [{"covariance_prior": "empirical"}, {"equal_weights": True}], ids=str)
@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_auto_extrapolates_where_there_is_nothing_but_em(monkeypatch, settings, structure):
    monkeypatch.setattr(with_compiled, "MOST_NUMBERS", 0)  # of rows that fit a cache it has more patience
    begun = {"covariance_type": structure, "init_params": "random_from_data", "max_iter": 20_000, "random_state": 0}
    begun["tol"] = 1e-5
    em, auto = (mx.GaussianMixture(3, solver=s, **begun, **settings).fit(overlapping()) for s in ("em", "auto"))
    assert em.n_passes_ > 1.5 * auto.n_passes_
    assert auto.lower_bound_ >= em.lower_bound_ - 1e-7
    bounds = np.array(auto.restarts_.best.bounds)
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    if "equal_weights" in settings:
        np.testing.assert_allclose(auto.weights_, 1 / 3, rtol=1e-15)


def test_what_cannot_be_done_is_said(faithful):
    for solver, lacking in (("em", "M-step"), ("newton", "Hessian")):
        with pytest.raises(ValueError, match=f"no {lacking} for a penalty"):
            mx.GaussianMixture(2, penalty=PullToEqualWeights(1.0), solver=solver).fit(faithful)
    for settings in ({"assignment": "hard"}, {"equal_weights": True}, {"covariance_prior": "empirical"}):
        with pytest.raises(ValueError, match="needs the gradient of the bound"):
            mx.GaussianMixture(2, solver="lbfgs", **settings).fit(faithful)
        gm = mx.GaussianMixture(2, random_state=0, **settings).fit(faithful)  # "auto" makes do with EM
        with pytest.raises(ValueError, match="certificate needs the gradient"):
            gm.certificate(faithful)
    with pytest.raises(ValueError, match="penalty"):
        mx.GaussianMixture(2, penalty="strong").fit(faithful)


def test_the_certificate_tells_a_saddle_from_a_maximum(faithful):
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(-2, 1, (100, 1)), rng.normal(2, 1, (100, 1))]
    both = [[X.mean()]] * 2
    saddle = mx.Mixture([0.5, 0.5], [[X.mean() - 0.3], [X.mean() + 0.3]], [[[X.var()]]] * 2)
    assert flattest(saddle, ArraySource(X))[0] > 1e-3
    gm = mx.GaussianMixture(
        2, weights_init=[0.5, 0.5], means_init=both, precisions_init=[[[1 / X.var()]]] * 2, max_iter=10
    ).fit(X)
    assert not gm.certificate(X).is_maximum
    assert "saddle" in str(gm.certificate(X))
    good = mx.GaussianMixture(2, random_state=0).fit(X)
    assert str(good.certificate(X)).startswith("a maximum")
    again = pickle.loads(pickle.dumps(good))
    assert again.certificate(X) == good.certificate(X)
    assert again.certificate(X + 0.1).gradient_norm > 1 > good.certificate(X).gradient_norm


@pytest.mark.filterwarnings("ignore::mixtura.CollapseWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_components", [2, 12])
def test_the_largest_curvature_is_that_of_the_whole_hessian(n_components):
    """Beyond 64 coordinates it is found without the Hessian; EM's rate of convergence is one plus it."""
    X = overlapping(600)
    gm = mx.GaussianMixture(2, tol=1e-7, solver="em", max_iter=50_000, random_state=0).fit(X)
    bounds = np.array(gm.restarts_.best.bounds)
    steps = np.diff(bounds)
    rate = np.sqrt(steps[-1] / steps[-2])
    assert 1 + gm.certificate(X).largest_curvature == pytest.approx(rate, abs=5e-3)
    many = mx.GaussianMixture(n_components, reg_covar=1e-2, random_state=0, max_iter=500).fit(X)
    from mixtura.inference.climb import certificate

    found, _ = flattest(many.mixture_, ArraySource(X))
    largest = certificate.MOST_AT_ONCE
    try:
        certificate.MOST_AT_ONCE = 10_000
        assert found == pytest.approx(flattest(many.mixture_, ArraySource(X))[0], rel=2e-2, abs=1e-3)
    finally:
        certificate.MOST_AT_ONCE = largest


class HandsBack:
    """Tries the mixture it is at once more, and gives up."""

    refines = False
    waits = Wait(1)

    def takes_over(self, climber):
        return True

    def steps(self, climber):
        yield climber.mixture


def test_em_takes_a_step_with_what_a_solver_hands_back(faithful):
    source, algorithm = ArraySource(faithful), ExpectationMaximization(STRUCTURES[0])
    start = mx.Mixture([0.5, 0.5], [[2.0, 55.0], [4.3, 80.0]], [np.diag([0.1, 30.0])] * 2, "full")
    rule = Stopping(1e-3, 200, source.total_weight)
    (alone,), (beside,) = (
        climb(source, [start], algorithm, rule),
        climb(source, [start], algorithm, rule, solver=HandsBack()),
    )
    np.testing.assert_allclose(beside.bounds, alone.bounds, rtol=1e-13)
    assert beside.n_passes == 2 * alone.n_passes - 1


def test_newton_ends_where_a_step_gains_no_more_than_rounding(faithful):
    """At a maximum whose gradient rounding keeps above zero, and where the bound of a trial comes out lower, it used to try for ever."""
    source, algorithm = ArraySource(faithful), ExpectationMaximization(STRUCTURES[0])
    top = mx.GaussianMixture(2, solver="newton", random_state=0).fit(faithful).mixture_
    away = mx.Mixture(top.weights, top.means * (1 + 1e-9), top.covariances, "full")
    climber = Climber(algorithm, Stopping(1e-3, 200, source.total_weight), away)
    with Sweep(source) as sweep:
        (swept,) = sweep([away.scorer])
        climber.accept(away, Answer(swept.log_normaliser, swept.moments))
        steps = Newton().steps(climber)
        request = next(steps)
        for _ in range(100):
            if isinstance(request, Direction):
                (answer,) = sweep.along([request.mixture.scorer], [request.scorer])
            else:
                (swept,) = sweep([request.scorer])
                answer = Answer(swept.log_normaliser - 1e-8, swept.moments)
            try:
                request = steps.send(answer)
            except StopIteration:
                break
    assert climber.stop is not None
    assert climber.stop.converged
    assert "gradient" in climber.stop.sentence


def test_a_pilot_saves_reads_and_loses_nothing():
    X = np.tile(overlapping(), (160, 1)) + np.random.default_rng(1).normal(scale=0.05, size=(240_000, 2))
    assert pilot_source(ArraySource(X[:1000]), 10) is None
    settings = {"random_state": 0, "max_iter": 2000, "init_params": "random_from_data"}
    with_pilot, without = (mx.GaussianMixture(2, pilot=p, **settings).fit(X) for p in (True, False))
    assert with_pilot.n_passes_ < without.n_passes_
    assert with_pilot.lower_bound_ >= without.lower_bound_ - 1e-6
