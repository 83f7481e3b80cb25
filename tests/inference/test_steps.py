"""Steps of all solvers: as long as they may be, and shortened by one rule until they climb."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.climb.climber import Answer, Climber
from mixtura.inference.climb.steps import LARGEST_STEP, SUFFICIENT, backtrack, extent, within
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import covariance_structure
from mixtura.sweep import Sweep

MIXTURE = mx.Mixture([0.3, 0.7], [[0.0, 0.0], [3.0, 1.0]], [[1.0, 4.0], [2.0, 0.5]], "diag")


def test_a_step_changes_no_parameter_by_more_than_it_may():
    """Read off the mixture itself: log weights up to a common constant, means by their spreads, log spreads."""
    about = Coordinates(MIXTURE, np.array([30.0, 70.0]))
    steps = np.random.default_rng(0).normal(size=(20, about.size)) * np.geomspace(1e-2, 1e3, 20)[:, None]
    limited = within(about, steps)
    for step, short in zip(steps, limited, strict=True):
        moved = about.mixture(short)
        spreads = np.sqrt(MIXTURE.variances)
        change = max(
            np.ptp(np.log(moved.weights / MIXTURE.weights)) / 2,
            np.abs((moved.means - MIXTURE.means) / spreads).max(),
            np.abs(0.5 * np.log(moved.variances / MIXTURE.variances)).max(),
        )
        assert change <= LARGEST_STEP * (1 + 1e-12)
        if extent(about, step) <= LARGEST_STEP:
            np.testing.assert_array_equal(short, step)
        else:
            assert extent(about, short) == pytest.approx(LARGEST_STEP, rel=1e-12)
            np.testing.assert_allclose(short / np.linalg.norm(short), step / np.linalg.norm(step), rtol=1e-12)


def climber_at(mixture, X):
    algorithm = ExpectationMaximization(covariance_structure("diag"), 1e-6)
    climber = Climber(algorithm, Stopping(1e-3, 100, float(len(X))), mixture)
    with Sweep(ArraySource(X)) as sweep:
        (swept,) = sweep([mixture.scorer])
    climber.accept(mixture, Answer(swept.log_normaliser, swept.moments))
    return climber


def answered(search, X):
    """Run a search, answering from the whole data, and hand back what it returned and how many trials it took."""
    n_trials, answer = 0, None
    with Sweep(ArraySource(X)) as sweep:
        while True:
            try:
                trial = search.send(answer)
            except StopIteration as end:
                return end.value, n_trials
            (swept,) = sweep([trial.scorer])
            n_trials, answer = n_trials + 1, Answer(swept.log_normaliser, swept.moments)


@pytest.fixture(scope="module")
def rows():
    return MIXTURE.sample(500, random_state=1)[0] + 0.3


@pytest.mark.parametrize("times", [0.1, 1.0, 30.0])
def test_what_is_accepted_climbs_by_enough(rows, times):
    climber = climber_at(MIXTURE, rows)
    about = climber.coordinates()
    u = np.zeros(about.size)
    gradient = climber.gradient(about, u)
    before, step = climber.bounds[-1], times * gradient
    share, n_trials = answered(backtrack(climber, about, u, gradient, step, 20), rows)
    assert 0 < share <= 1
    assert (share == 1) == (n_trials == 1) == (times <= 1)
    assert climber.mixture == about.mixture(share * step)
    gain = climber.mixture.log_likelihood(rows) - before
    assert gain == pytest.approx(climber.bounds[-1] - before, abs=1e-8)
    assert gain >= SUFFICIENT * share * (gradient @ step)


def test_downhill_nothing_is_accepted_and_towards_collapse_nothing_is_tried(rows):
    climber = climber_at(MIXTURE, rows)
    about = climber.coordinates()
    u = np.zeros(about.size)
    gradient = climber.gradient(about, u)
    share, n_trials = answered(backtrack(climber, about, u, -gradient, -gradient, 3), rows)
    assert (share, n_trials) == (0.0, 3)
    flat = np.zeros(about.size)
    flat[-1] = -40 * about.unit[-1]  # the logarithm of a spread
    share, n_trials = answered(backtrack(climber, about, u, gradient, flat, 1), rows)
    assert (share, n_trials) == (None, 0)
    assert climber.mixture is MIXTURE
