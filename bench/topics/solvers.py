"""Reads of the data until the top: EM beside the default solver, over a grid of problems; and the time that this saves."""

from __future__ import annotations

import time
from itertools import product
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.examples import overlapping
from bench.fresh import Failure, Task, alone
from bench.report import Row, Table, Target, seconds, spread

WITHIN = 1e-6
"""Nats a row below the end of the climb at which it counts as there."""
N_ROWS = 4000
MOST_PASSES = 30_000
OVERLAPS = {"heavy": 0.6, "much": 1.0, "some": 2.0, "little": 4.0}
"""Spread of the means in units of the components' own."""
SHAPES = ((2, 2), (2, 8), (3, 4), (4, 16), (8, 4), (8, 12), (16, 3), (2, 32))
"""Features and components."""
STARTS = ("good", "bad")
SLOW = 300
LARGE = (1_000_000, 10, 10)
RESTARTS = 3

ABOUT = (
    f"Reads of the data to within {WITHIN:g} nats a row of where the climb ends, N = {N_ROWS:,}, full covariances. *Good* starts are the "
    "winners of ten short k-means runs, *bad* ones have means at random rows; every problem is also run with its first column multiplied "
    "by 1000. Medians and extremes over the problems of a row. *higher* and *lower* count problems in which the default solver ended "
    f"more than {WITHIN:g} nats a row above or below EM: from a bad start, different ascents end in different optima."
)
ABOUT_RESTARTS = (
    'The same problems fitted by `GaussianMixture(n_init=10)` with `solver="auto"` and with `solver="em"`, `max_iter` out of the way: how '
    "often the default ends lower."
)
ABOUT_TIME = (
    f"Overlapping components at N = {LARGE[0]:,}, D = {LARGE[1]}, K = {LARGE[2]}, {RESTARTS} restarts on both sides, everything included: "
    f"`GaussianMixture(n_init={RESTARTS})`, and scikit-learn's EM run to the same log-likelihood. The peer's time is its time for one "
    f"iteration times the iterations that EM needs from {RESTARTS} k-means starts, counted with our own EM, which takes the same steps: "
    "the real thing takes an hour."
)


class Climbed(NamedTuple):
    """One problem: reads of EM and of the default solver, and the latter's gain in nats a row."""

    em: int
    auto: int
    gain: float


def tables(quick: bool) -> list[Table]:
    """Passes by overlap, restarts, and time."""
    shapes = SHAPES[:2] if quick else SHAPES
    done: dict[tuple[str, str], list[Climbed]] = {}
    rows: list[Row] = []
    for overlap, start in product(OVERLAPS, STARTS):
        try:
            done[overlap, start] = alone(Task(climbs, (overlap, start, shapes)))
        except Failure as failure:
            rows.append({"overlap": overlap, "start": start, "note": f"failed: {failure}"})
            continue
        rows.append({"overlap": overlap, "start": start, **_cells(done[overlap, start])})
    rows += _verdicts([c for found in done.values() for c in found], done)
    return [
        Table("Solvers: reads of the data", ABOUT, rows),
        Table("Solvers: default restarts", ABOUT_RESTARTS, _restart_rows(shapes)),
        Table("Solvers: time to the same log-likelihood", ABOUT_TIME, [_time_row(quick)]),
    ]


def _cells(found: list[Climbed]) -> Row:
    ratios = [c.em / c.auto for c in found]
    return {
        "problems": str(len(found)),
        "EM": f"{median(c.em for c in found):.0f} ({spread((c.em for c in found), '{:d}')})",
        "auto": f"{median(c.auto for c in found):.0f} ({spread((c.auto for c in found), '{:d}')})",
        "ratio": f"{median(ratios):.3g} ({spread(ratios)})",
        "higher": str(sum(c.gain > WITHIN for c in found)),
        "lower": str(sum(c.gain < -WITHIN for c in found)),
    }


def _verdicts(found: list[Climbed], done: dict[tuple[str, str], list[Climbed]]) -> list[Row]:
    if not found:
        return []
    worst = max(c.auto / c.em for c in found)
    rows: list[Row] = [
        {"overlap": "all", "start": "reads, worst auto / EM", **Target(1.1, at_least=False).cells(worst)}
    ]
    if slow := [c.em / c.auto for c in found if c.em > SLOW]:
        share = sum(ratio >= 5 for ratio in slow) / len(slow)
        name = f"5 times fewer where EM needs more than {SLOW}"
        row = {
            "overlap": "all",
            "start": name,
            "problems": str(len(slow)),
            "ratio": f"{median(slow):.3g} ({spread(slow)})",
        }
        rows.append({**row, **Target(100, form="{:.0f} %").cells(100 * share)})
    for start in STARTS:
        mine = [c for (_, s), climbs in done.items() if s == start for c in climbs]
        higher, lower = sum(c.gain > WITHIN for c in mine), sum(c.gain < -WITHIN for c in mine)
        if start == "good":
            verdict = Target(2, at_least=False, form="{:.1f} %").cells(100 * lower / len(mine))
            rows.append({"overlap": "all", "start": "good: ended lower", "problems": str(len(mine)), **verdict})
        else:
            verdict = Target(0, form="{:d}").cells(higher - lower)
            rows.append({"overlap": "all", "start": "bad: higher less lower", "problems": str(len(mine)), **verdict})
    return rows


def climbs(overlap: str, start: str, shapes: tuple[tuple[int, int], ...]) -> list[Climbed]:
    """All shapes at one overlap from one kind of start, in both units."""
    found = []
    for (d, k), scale in product(shapes, (1.0, 1000.0)):
        if (climbed := _climb(overlap, start, d, k, scale)) is not None:
            found.append(climbed)
    return found


def _problem(overlap: str, d: int, k: int, scale: float = 1.0) -> np.ndarray:
    rows = overlapping(N_ROWS, d, k, 100 * d + k, OVERLAPS[overlap]).copy()
    rows[:, 0] *= scale
    return rows


def _climb(overlap: str, start: str, d: int, k: int, scale: float) -> Climbed | None:
    from mixtura import GaussianMixture

    rows = _problem(overlap, d, k, scale)
    seeding = {"good": "kmeans", "bad": "random_from_data"}[start]
    begin = GaussianMixture(k, init_params=seeding, max_iter=0, random_state=1).fit(rows).mixture_
    given = {"weights_init": begin.weights, "means_init": begin.means, "precisions_init": begin.precisions}
    em = GaussianMixture(k, solver="em", tol=1e-4, max_iter=MOST_PASSES, **given).fit(rows)
    auto = GaussianMixture(k, max_iter=MOST_PASSES, **given).fit(rows)
    if em.collapses_ or auto.collapses_:
        return None
    return Climbed(_reads(em), _reads(auto), auto.lower_bound_ - em.lower_bound_)


def _reads(fitted: Any) -> int:
    run = fitted.restarts_.best
    there = run.bounds[-1] - WITHIN * N_ROWS
    return next(passes for passes, bound in zip(run.passes, run.bounds, strict=True) if bound >= there)


def _restart_rows(shapes: tuple[tuple[int, int], ...]) -> list[Row]:
    try:
        gains = alone(Task(restarted, (shapes,)))
    except Failure as failure:
        return [{"problems": "", "note": f"failed: {failure}"}]
    lower = sum(gain < -WITHIN for gain in gains)
    verdict = Target(2, at_least=False, form="{:.1f} %").cells(100 * lower / len(gains))
    higher = sum(gain > WITHIN for gain in gains)
    return [{"problems": str(len(gains)), "higher": str(higher), "lower": str(lower), **verdict}]


def restarted(shapes: tuple[tuple[int, int], ...]) -> list[float]:
    """Gain of the default over EM in nats a row, with restarts, for each problem."""
    from mixtura import GaussianMixture

    gains = []
    for overlap, (d, k) in product(OVERLAPS, shapes):
        rows = _problem(overlap, d, k)
        ends = [
            GaussianMixture(k, solver=solver, n_init=10, max_iter=MOST_PASSES, random_state=0).fit(rows)
            for solver in ("auto", "em")
        ]
        gains.append(ends[0].lower_bound_ - ends[1].lower_bound_)
    return gains


def _time_row(quick: bool) -> Row:
    n, d, k = (20_000, 4, 4) if quick else LARGE
    row = {"data": f"{n:,} × {d}, K = {k}"}
    try:
        ours = alone(Task(our_time, (n, d, k)))
        theirs = alone(Task(their_time, (n, d, k)))
    except Failure as failure:
        return {**row, "note": f"failed: {failure}"}
    iteration, iterations = theirs
    peer = iteration * sum(iterations)
    verdict = Target(50).cells(peer / ours[0])
    passes = ", ".join(map(str, iterations))
    return {
        **row,
        "mixtura": seconds(ours[0]),
        "its reads": str(ours[1]),
        "scikit-learn, an iteration": seconds(iteration),
        "iterations": passes,
        "the peer": seconds(peer),
        **verdict,
    }


def our_time(n: int, d: int, k: int) -> tuple[float, int]:
    """Median seconds of three whole fits, and reads of the data."""
    from mixtura import GaussianMixture

    rows = overlapping(n, d, k, 7, 0.8)
    GaussianMixture(k, max_iter=2).fit(rows[:5000])
    taken = []
    for seed in range(3):
        begun = time.perf_counter()
        fitted = GaussianMixture(k, n_init=RESTARTS, max_iter=MOST_PASSES, random_state=seed).fit(rows)
        taken.append(time.perf_counter() - begun)
    return median(taken), fitted.n_passes_


def their_time(n: int, d: int, k: int) -> tuple[float, list[int]]:
    """Seconds of one of scikit-learn's iterations, and how many EM needs from each of its k-means starts."""
    import sklearn.mixture

    from mixtura import GaussianMixture

    rows = overlapping(n, d, k, 7, 0.8)
    iterations, taken = [], []
    for seed in range(RESTARTS):
        begin = sklearn.mixture.GaussianMixture(k, max_iter=1, random_state=seed).fit(rows)
        given = {"weights_init": begin.weights_, "means_init": begin.means_, "precisions_init": begin.precisions_}
        run = GaussianMixture(k, solver="em", tol=1e-3, max_iter=MOST_PASSES, **given).fit(rows).restarts_.best
        there = run.bounds[-1] - WITHIN * n
        iterations.append(next(i for i, bound in enumerate(run.bounds) if bound >= there))
        ends = []
        for most in (1, 2):
            estimator = sklearn.mixture.GaussianMixture(k, tol=0, max_iter=most, **given)
            started = time.perf_counter()
            estimator.fit(rows)
            ends.append(time.perf_counter() - started)
        taken.append(ends[1] - ends[0])
    return median(taken), iterations
