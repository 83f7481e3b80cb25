"""EM that goes on by itself to the next decision comes to where EM comes that is asked after each pass."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.climb.abridged import Abridged
from mixtura.inference.climb.climber import PLAIN_EM
from mixtura.inference.climb.loop import climb
from mixtura.inference.climb.newton import Newton
from mixtura.inference.climb.quasi_newton import QuasiNewton
from mixtura.inference.climb.squarem import Squarem
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.weights import Dirichlet, StickBreaking
from mixtura.sweep import accumulate, climbs, compiled, hard, soft, with_compiled

pytestmark = pytest.mark.skipif(compiled.engine is None, reason=compiled.description)

KNOWN = [structure.name for structure in STRUCTURES if isinstance(structure, SharedBlocks)]
SOLVERS = {
    "em": PLAIN_EM,
    "auto": QuasiNewton(steadiness=0.1),
    "squarem": Squarem(0.1),
    "newton": Newton(),
    "lbfgs": QuasiNewton(),
}


def rows_of(n_rows, n_features, seed=0):
    rng = np.random.default_rng(seed)
    centres = 2.5 * rng.normal(size=(3, n_features))
    return centres[rng.integers(3, size=n_rows)] + rng.normal(size=(n_rows, n_features)), rng.uniform(0.5, 2, n_rows)


def starts_of(X, structure, n_starts=3):
    rng = np.random.default_rng(1)
    starts = []
    for r in range(n_starts):
        n_components = 2 + r % 2
        matrices = np.repeat(np.cov(X, rowvar=False).reshape(1, X.shape[1], -1), n_components, axis=0)
        covariances = structure.from_matrices(matrices, np.ones(n_components))
        weights = np.full(n_components, 1 / n_components)
        starts.append(mx.Mixture(weights, X[rng.choice(len(X), n_components)], covariances, structure))
    return starts


def prior_of(X):
    return mx.NormalInverseWishart.from_data_moments(X.mean(axis=0), np.cov(X, rowvar=False).reshape(X.shape[1], -1), 3)


def both(monkeypatch, source, starts, algorithm, stopping, solver):
    abridged = climb(source, starts, algorithm, stopping, solver=solver)
    monkeypatch.setattr(with_compiled, "MOST_NUMBERS", 0)
    return abridged, climb(source, starts, algorithm, stopping, solver=solver)


def agree(found, expected, tolerance):
    assert len(found.bounds) == len(expected.bounds)
    np.testing.assert_allclose(found.bounds, expected.bounds, rtol=tolerance)
    assert (found.passes, found.n_passes) == (expected.passes, expected.n_passes)
    assert found.n_passes_together >= expected.n_passes_together  # side by side, but each at its own pace
    assert (found.stop.reason, found.stop.converged) == (expected.stop.reason, expected.stop.converged)
    for name in ("weights", "means", "covariances"):
        one, other = getattr(found.mixture, name), getattr(expected.mixture, name)
        np.testing.assert_allclose(one, other, rtol=1e3 * tolerance, atol=1e3 * tolerance)
    np.testing.assert_allclose(found.moments.count, expected.moments.count, rtol=1e3 * tolerance)


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("n_features", [1, 2, 5, 20])
@pytest.mark.parametrize("how", ["plain", "floor", "prior", "both", "equal weights", "hard", "weighted", "float32"])
def test_a_climb_is_the_same(monkeypatch, name, n_features, how):
    X, weights = rows_of(400, n_features)
    structure = covariance_structure(name)
    algorithm = ExpectationMaximization(
        structure,
        floor=1e-6 * X.var(axis=0) if how in ("floor", "both") else 0.0,
        prior=prior_of(X) if how in ("prior", "both") else None,
        assignment=hard if how == "hard" else soft,
        equal_weights=how == "equal weights",
    )
    rows = X.astype(np.float32) if how == "float32" else X
    source = ArraySource(rows, weights if how == "weighted" else None)
    stopping = Stopping(1e-3, 8 if how == "float32" else 25, source.total_weight)  # rounding grows on the way
    found, expected = both(monkeypatch, source, starts_of(X, structure), algorithm, stopping, PLAIN_EM)
    for one, other in zip(found, expected, strict=True):
        agree(one, other, 1e-6 if how == "float32" else 1e-10)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("max_iter", [1, 7, 300])
def test_solvers_take_over_where_they_would(monkeypatch, solver, max_iter):
    X, _ = rows_of(500, 2, seed=3)
    structure = covariance_structure("full")
    found, expected = both(
        monkeypatch,
        ArraySource(X),
        starts_of(X, structure, 4),
        ExpectationMaximization(structure),
        Stopping(1e-3, max_iter, 500.0),
        solver,
    )
    for one, other in zip(found, expected, strict=True):
        agree(one, other, 1e-9)


def test_a_solver_takes_over_on_a_plateau_where_it_would(monkeypatch):
    """Two components of what is one: after forty passes their gains still grow."""
    monkeypatch.setattr(Abridged, "patience", lambda *_: 0)
    X, weights = np.random.default_rng(0).normal(size=(300, 2)), np.random.default_rng(1).uniform(0.5, 2, 300)
    structure = covariance_structure("full")
    start = mx.Mixture(np.full(2, 0.5), X[4:6], np.repeat(np.cov(X.T)[None] / 2, 2, axis=0), structure)
    stopping = Stopping(1e-3, 80, weights.sum())
    for solver in (SOLVERS["auto"], SOLVERS["squarem"]):
        em = ExpectationMaximization(structure)
        found, expected = both(monkeypatch, ArraySource(X, weights), [start], em, stopping, solver)
        monkeypatch.setattr(with_compiled, "MOST_NUMBERS", 2**17)
        agree(found[0], expected[0], 1e-8)


LAWS = {
    "dirichlet": lambda K: Dirichlet(0.3, np.ones(K)),
    "sparse": lambda K: Dirichlet(1e-9, np.ones(K)),
    "sticks": lambda K: StickBreaking(1.0, np.ones((K, 2)), np.arange(K)),
    "few sticks": lambda K: StickBreaking(1e-6, np.ones((K, 2)), np.arange(K)),
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("n_features", [1, 2, 7])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("how", ["plain", "weights", "many", "float32"])
def test_a_climb_of_a_belief_is_the_same(monkeypatch, name, n_features, law, how):
    """Of more components than there are groups, some of which no row begins in; ``many`` rows stand for each."""
    X, weights = rows_of(300, n_features)
    structure, n_components = covariance_structure(name), 9
    if how == "float32":
        X = X.astype(np.float32)
    source = ArraySource(X, {"weights": weights, "many": 1e7 * weights}.get(how))
    scale = np.cov(X, rowvar=False).reshape(n_features, -1)
    prior = mx.NormalInverseWishart(X.mean(axis=0), 0.5, scale, n_features + 0.5)
    algorithm = CoordinateAscent(structure, prior, LAWS[law](n_components))
    labels = np.random.default_rng(1).integers(n_components - 2, size=(3, 300))
    starts = algorithm.maximise_stack(
        [accumulate(source, own, n_components, diagonal=structure.diagonal) for own in labels]
    )
    stopping = Stopping(1e-6, 8 if how == "float32" else 40, source.total_weight)
    for one, other in zip(*both(monkeypatch, source, starts, algorithm, stopping, PLAIN_EM), strict=True):
        assert (one.stop.reason, len(one.bounds)) == (other.stop.reason, len(other.bounds))
        tolerance = 1e-6 if how == "float32" else 1e-10
        np.testing.assert_allclose(one.bounds, other.bounds, rtol=tolerance)
        found, expected = one.mixture, other.mixture
        for part in ("means", "mean_precisions", "scales", "degrees_of_freedom", "factors"):
            scaled = np.abs(getattr(expected, part)).max()
            np.testing.assert_allclose(
                getattr(found, part), getattr(expected, part), atol=1e3 * tolerance * scaled, err_msg=part
            )
        np.testing.assert_allclose(found.weights.expectations, expected.weights.expectations, atol=1e3 * tolerance)
        rounding = 4 * np.finfo(float).eps * source.total_weight  # of terms that cancel
        np.testing.assert_allclose(found.divergence, expected.divergence, rtol=1e3 * tolerance, atol=rounding)


def test_a_scale_that_is_all_but_singular_is_for_others():
    """A prior of hardly any scale, for components on a line: after each pass somebody else decides."""
    X = np.random.default_rng(0).normal(size=(100, 1)) * [1.0, 1.0, 0.0] + [0.0, 1e-9, 0.0]
    prior = mx.NormalInverseWishart(X.mean(axis=0), 1.0, 1e-18 * np.eye(3), 3.0)
    structure, source, law = covariance_structure("full"), ArraySource(X), LAWS["sticks"](2)
    algorithm = CoordinateAscent(structure, prior, law)
    start = algorithm.maximise(accumulate(source, np.arange(100) % 2, 2, diagonal=False))
    family, patience = climbs.Beliefs(structure, prior, law), climbs.Patience(0.0, 0.0, 10, 10, 0, 0)
    (leg,) = climbs.climbs(climbs.rows_in_cache(source), [climbs.Departure(start, (), 5)], family, soft, patience)
    assert len(leg.bounds) == 1
    assert leg.mixture is start


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_to_be_decided_is(monkeypatch, name):
    """A component on one row, and one without any: a collapse without a floor, and held at it with one."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 2)), [[50.0, 50.0]], [[-80.0, 10.0]] * 3])
    structure = covariance_structure(name)
    means = np.array([[0.0, 0.0], [50.0, 50.0], [-80.0, 10.0], [1e6, 1e6]])
    covariances = structure.from_matrices(np.repeat(np.eye(2)[None], 4, axis=0), np.ones(4))
    start = mx.Mixture(np.full(4, 0.25), means, covariances, structure)
    for floor in (0.0, 1e-3):
        found, expected = both(
            monkeypatch,
            ArraySource(X),
            [start],
            ExpectationMaximization(structure, floor=floor),
            Stopping(1e-3, 50, float(len(X))),
            PLAIN_EM,
        )
        monkeypatch.undo()
        agree(found[0], expected[0], 1e-9)
        assert [str(c) for c in found[0].collapses] == [str(c) for c in expected[0].collapses]


def test_threads_do_not_change_a_bit(monkeypatch):
    X, _ = rows_of(2000, 3)
    structure = covariance_structure("full")
    monkeypatch.setattr(climbs, "WORTH_THREADS", 0)
    answers = []
    for n_threads in (1, 2, 3):
        monkeypatch.setattr(climbs, "n_threads", lambda n=n_threads: n)
        answers.append(
            climb(
                ArraySource(X),
                starts_of(X, structure, 5),
                ExpectationMaximization(structure),
                Stopping(1e-3, 60, 2000.0),
            )
        )
    for answer in answers[1:]:
        for one, other in zip(answers[0], answer, strict=True):
            assert one.bounds == other.bounds
            np.testing.assert_array_equal(one.mixture.covariances, other.mixture.covariances)
