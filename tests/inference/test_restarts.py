import math

import pytest

import mixtura as mx
from mixtura.inference.climb.loop import Run
from mixtura.inference.rules.collapse import Collapse
from mixtura.inference.rules.stopping import Stop, Stopping
from mixtura.inference.starts.race import Shortlist, Start
from mixtura.inference.starts.restarts import summarise

POINT = mx.Mixture([1.0], [[0.0]], [1.0], "spherical")
SPIKE = (Collapse(0, 2.0, 1.0, "its rows coincide"),)
RULE = Stopping(tol=1e-3, max_iter=100, total_weight=100.0)


def summary(*runs):
    return summarise([(r, 1) for r in runs], Shortlist([Start(POINT) for _ in runs]), RULE, 2)


def run(bound, remaining=0.0, reason="converged", collapses=()):
    return Run(POINT, POINT, (bound - 1, bound), Stop(reason, True, remaining, reason), (1, 2), 2, collapses)


def test_runs_that_end_together_are_one_optimum():
    found = summary(run(-10.0), run(-5.0), run(-5.000001), run(-10.0000001), run(-5.0))
    assert [(o.bound, o.times) for o in found.optima] == [(-5.0, 3), (-10.0, 2)]
    assert found.best.bounds[-1] == -5.0


def test_a_run_cut_short_counts_for_the_optimum_that_it_was_heading_for():
    found = summary(run(-5.0), run(-5.2, remaining=0.25), run(-5.6, remaining=0.25))
    assert [(o.bound, o.times) for o in found.optima] == [(-5.0, 2), (-5.6, 1)]
    found = summary(run(-5.0), run(-5.2, remaining=math.inf, reason="max_iter"))
    assert len(found.optima) == 2


def test_collapsed_runs_are_discarded_and_counted_even_if_they_end_higher():
    found = summary(run(100.0, collapses=SPIKE), run(-5.0), run(50.0, reason="collapse", collapses=SPIKE))
    assert found.best.bounds[-1] == -5.0
    assert (found.n_collapsed, found.n_runs) == (2, 3)
    assert [(o.bound, o.times) for o in found.optima] == [(-5.0, 1)]


def test_if_all_collapse_the_best_that_a_floor_holds_is_kept_and_without_one_that_is_an_error():
    held = summary(run(3.0, collapses=SPIKE), run(4.0, collapses=SPIKE))
    assert (held.best.bounds[-1], held.n_collapsed) == (4.0, 2)
    fatal = run(3.0, reason="collapse", collapses=SPIKE)
    with pytest.raises(
        mx.CollapseError, match=r"all 2 restarts collapsed; component 0 .*after 1 iterations.*Try fewer"
    ):
        summary(fatal, fatal)
