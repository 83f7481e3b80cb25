import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtura.inference.rules.stopping import SHARE_OF_TOL, Stopping, remaining_gain


@given(st.floats(0.01, 0.99), st.floats(1e-3, 1e3), st.floats(-1e4, 1e4))
def test_the_estimate_is_exact_for_a_geometric_ascent(rate, gap, limit):
    bounds = [limit - gap * rate**t for t in range(3)]
    assert remaining_gain(bounds) == pytest.approx(gap * rate**2, rel=1e-3, abs=1e-7)


def test_growing_steps_promise_nothing_and_rounding_ends_it():
    assert remaining_gain([0.0]) == np.inf
    assert remaining_gain([0.0, 1.0]) == np.inf
    assert remaining_gain([0.0, 1.0, 2.5]) == np.inf
    assert remaining_gain([-5.0, -4.0, -4.0]) == 0.0
    assert remaining_gain([-5.0, -4.0, -4.0 - 1e-15]) == 0.0


def test_one_small_step_after_large_ones_promises_nothing():
    """Gains of a fit in which a component emptied: 0.006 nats were still to come, where the last rate alone had said 1e-5."""
    gains = [0.377, 0.912, 2.448, 2.586, 0.00544]
    assert remaining_gain(np.cumsum([-217.0, *gains]).tolist()) == np.inf
    assert remaining_gain(np.cumsum([-217.0, 2.6, 2.4, 0.006]).tolist()) == pytest.approx(0.006 * 12, rel=0.01)
    assert remaining_gain(np.cumsum([-217.0, 0.008, 0.004, 0.002]).tolist()) == pytest.approx(0.002)


def test_reasons():
    rule = Stopping(tol=1e-3, max_iter=3, total_weight=100)
    assert rule([0.0, 1.0, 1.5], 3) is None
    limit = SHARE_OF_TOL * 1e-3 * 100
    converged = rule([-1.0, 0.0, limit / 10], 3)
    assert (converged.reason, converged.converged) == ("converged", True)
    slow = rule([0.0, 1.0, 1.9, 2.71], 4)
    assert (slow.reason, slow.converged) == ("max_iter", False)
    assert "max_iter=3" in slow.sentence
    # scikit-learn's promise holds though the finer one does not: no more than tol a row is still to come.
    nearly = rule([0.0, 1.0, 1.1, 1.11], 4)
    assert (nearly.reason, nearly.converged) == ("max_iter", True)


def test_a_slow_ascent_is_not_cut_short():
    """Steps far below ``tol`` a row, a long way still to go: the last step alone would have ended this."""
    rule = Stopping(tol=1e-3, max_iter=10_000, total_weight=1.0)
    rate, gap = 0.999, 0.05
    bounds = [-gap * rate**t for t in range(3)]
    assert bounds[-1] - bounds[-2] < 1e-3
    assert rule(bounds, 3) is None


def test_a_fall_beyond_rounding_is_a_fault():
    rule = Stopping(tol=1e-3, max_iter=10, total_weight=100)
    assert rule([-1e6, -1e6 - 1.0], 2).reason == "converged"
    assert rule([0.0, -0.9], 2).reason == "converged"
    for bounds in ([-1e6, -1e6 - 2.2], [0.0, -1.1], [0.0, 10.0, -150.0]):
        with pytest.warns(RuntimeWarning, match="the bound fell by .* nats, a fault of mixtura"):
            stop = rule(bounds, 2)
        assert (stop.reason, stop.converged) == ("fell", False)
        assert f"the bound fell by {bounds[-2] - bounds[-1]:.2g} nats" in stop.sentence


def test_what_is_left_grows_with_the_rows_up_to_a_nat():
    few, many, very_many = (Stopping(1e-3, 100, float(n)).of(n).goal for n in (1000, 100_000, 10**8))
    assert few == pytest.approx(1e-3 * SHARE_OF_TOL * 1000)
    assert many == very_many == pytest.approx(1.0)


@given(st.integers(1, 10**9), st.floats(1e-6, 1e6))
def test_what_is_left_of_a_nat_a_row_does_not_depend_on_what_weights_are_counted_in(n_rows, weight):
    in_rows, in_others = (Stopping(1e-3, 100, n_rows * w).of(n_rows).goal for w in (1.0, weight))
    assert in_others == pytest.approx(weight * in_rows)


def test_a_solver_is_called_where_em_would_take_long_and_on_a_plateau_at_half_of_what_is_allowed():
    stopping = Stopping(tol=1e-3, max_iter=100, total_weight=100.0)
    fast, slow = (-np.cumprod(np.full(40, rate)) for rate in (0.5, 0.95))
    plateau = 0.01 * np.cumsum(np.cumprod(np.full(100, 1.01)))
    assert not any(stopping.is_slow(fast[:n], 0.1) for n in range(4, 40))
    assert [n for n in range(4, 40) if stopping.is_slow(slow[:n], 0.1)] == list(range(10, 40))
    n_in_all = next(n for n in range(4, 200) if -(0.95**n) > -stopping.goal)
    assert not stopping.is_slow(slow[:20], 0.1, patience=n_in_all + 1)
    assert stopping.is_slow(slow[:20], 0.1, patience=n_in_all - 2)
    assert [n for n in range(4, 100) if stopping.is_slow(plateau[:n], 0.1)] == list(range(50, 100))
