"""Many starts, one answer, and an honest account of the rest.

EM finds local optima. Runs side by side from different starts show how many there are and how often each is reached. Runs in which a
component has collapsed onto a handful of rows are discarded and counted; one that is held at the floor with a group of rows, such as all
of one value of a 0/1 column, is as good as any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mixtura.data.source import Source
from mixtura.ground.errors import CollapseError
from mixtura.inference.climb.climber import PLAIN_EM, Algorithm, Solver
from mixtura.inference.climb.loop import Observer, Progress, Run, climb, joined
from mixtura.inference.climb.saddles import beyond_saddle
from mixtura.inference.rules.collapse import listed
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.race import Shortlist, Start, places

MOST_SADDLES = 3
"""How many saddles a run may leave behind."""


@dataclass(frozen=True)
class Optimum:
    """One optimum that restarts ended in.

    Attributes
    ----------
    bound : float
        Log-likelihood (log posterior with a prior) over all rows.
    times : int
        How many restarts ended there.
    """

    bound: float
    times: int


@dataclass(frozen=True)
class Restarts:
    """The outcome of all runs.

    Attributes
    ----------
    best : Run
    optima : tuple of Optimum
        Best first; collapsed runs are not among them unless every run collapsed onto the floor.
    n_collapsed : int
        Restarts in which a component collapsed.
    n_runs : int
        All restarts.
    n_dropped : int
        Restarts given up early because others were ahead of them.
    runs : tuple of Run
        Those run to the end.
    n_passes : int
        Reads of all rows by them, and by those of other candidates beside them: what several runs shared counts once.
    """

    best: Run
    optima: tuple[Optimum, ...]
    n_collapsed: int
    n_runs: int
    n_dropped: int
    runs: tuple[Run, ...]
    n_passes: int


def finish(
    source: Source,
    shortlists: Sequence[Shortlist],
    algorithms: Sequence[Algorithm],
    stopping: Stopping,
    observe: Observer | None = None,
    progress: Progress | None = None,
    solver: Solver = PLAIN_EM,
) -> list[Restarts | CollapseError]:
    """Run the starts of several candidates to the end, side by side; the reserves too of a candidate all of whose runs collapse.

    Parameters
    ----------
    source : Source
    shortlists, algorithms : sequences of Shortlist and Algorithm
        One for each candidate.
    stopping : Stopping
    observe : Observer, optional
    progress : Progress, optional
    solver : Solver

    Returns
    -------
    list of Restarts or CollapseError
        The error where no run of a candidate could go on to its end.
    """
    runs: list[list[tuple[Run, int]]] = [[] for _ in shortlists]
    waiting: list[Sequence[Start]] = [shortlist.starts for shortlist in shortlists]
    n_passes = 0
    for following in ([shortlist.reserves for shortlist in shortlists], [()] * len(shortlists)):
        entries = [(i, start) for i, starts in enumerate(waiting) for start in starts]
        mixtures, climbing = [start.mixture for _, start in entries], [algorithms[i] for i, _ in entries]
        histories, curvatures = [start.history for _, start in entries], [start.curvature for _, start in entries]
        climbed = climb(source, mixtures, climbing, stopping, observe, progress, solver, histories, curvatures)
        n_passes += max((run.n_passes_together for run in climbed), default=0)
        for (i, start), run in zip(entries, climbed, strict=True):
            runs[i].append((run, start.times))
        waiting = [
            more if all(_has_collapsed(r) for r, _ in done) else () for more, done in zip(following, runs, strict=True)
        ]
        if not any(waiting):
            break
    if solver is not PLAIN_EM:
        n_passes += _climb_beyond_saddles(source, runs, shortlists, algorithms, stopping, solver)
    return [_summarised(done, shortlist, stopping, n_passes) for done, shortlist in zip(runs, shortlists, strict=True)]


def _climb_beyond_saddles(
    source: Source,
    runs: Sequence[list[tuple[Run, int]]],
    shortlists: Sequence[Shortlist],
    algorithms: Sequence[Algorithm],
    stopping: Stopping,
    solver: Solver,
) -> int:
    """Let the best run of each candidate go on for as long as it ends at a saddle; how many reads that took."""
    n_passes = 0
    going = [i for i, shortlist in enumerate(shortlists) if not shortlist.is_given]
    for _ in range(MOST_SADDLES):
        leaving: list[tuple[int, int, Any]] = []
        for i in going:
            bounds = [-math.inf if _has_collapsed(run) else run.bounds[-1] for run, _ in runs[i]]
            best = bounds.index(max(bounds))
            beyond = beyond_saddle(source, runs[i][best][0], algorithms[i])
            n_passes += beyond.n_passes
            if beyond.mixture is not None:
                leaving.append((i, best, beyond.mixture))
        going = []
        if not leaving:
            break
        starts, climbing = [mixture for *_, mixture in leaving], [algorithms[i] for i, *_ in leaving]
        climbed = climb(source, starts, climbing, stopping, solver=solver)
        n_passes += climbed[0].n_passes_together
        for (i, best, _), after in zip(leaving, climbed, strict=True):
            before, times = runs[i][best]
            if not _has_collapsed(after):
                runs[i][best] = joined(before, after, before.n_passes + 1), times
                going.append(i)
    return n_passes


def _summarised(
    runs: Sequence[tuple[Run, int]], shortlist: Shortlist, stopping: Stopping, n_passes: int
) -> Restarts | CollapseError:
    try:
        return summarise(runs, shortlist, stopping, n_passes)
    except CollapseError as error:
        return error


def summarise(runs: Sequence[tuple[Run, int]], shortlist: Shortlist, stopping: Stopping, n_passes: int) -> Restarts:
    """Keep the best run that did not collapse onto a handful of rows, or else the best of those that did and the floor holds.

    Parameters
    ----------
    runs : sequence of (Run, int)
        With how many restarts each stands for.
    shortlist : Shortlist
        Where they come from.
    stopping : Stopping
    n_passes : int
        Reads that they took together.

    Raises
    ------
    CollapseError
        If no run could go on to its end.
    """
    beside = shortlist.n_collapsed + shortlist.n_given_up
    n_runs = sum(start.times for start in (*shortlist.starts, *shortlist.reserves)) + beside
    n_collapsed = shortlist.n_collapsed + sum(times for run, times in runs if _has_collapsed(run))
    kept = [(run, n) for run, n in runs if not _has_collapsed(run)]
    kept = kept or [(run, n) for run, n in runs if shortlist.is_given or not run.failed]
    if not kept:
        longest = max((run for run, _ in runs), key=lambda run: run.n_iter)
        raise CollapseError(
            f"{'the fit' if n_runs == 1 else f'all {n_runs} restarts'} collapsed; "
            f"{listed(longest.collapses)}, after {longest.n_iter} iterations. The likelihood is unbounded there. "
            "Try fewer components, a floor (reg_covar='auto'), or a prior (covariance_prior='empirical')."
        )
    width = 2 * stopping.goal
    ranked = [pair for place in places(kept, lambda pair: pair[0].bounds[-1], width) for pair in place]
    return Restarts(
        best=ranked[0][0],
        optima=_optima(ranked, width),
        n_collapsed=n_collapsed,
        n_runs=n_runs,
        n_dropped=n_runs - shortlist.n_collapsed - sum(times for _, times in runs),
        runs=tuple(run for run, _ in runs),
        n_passes=n_passes,
    )


def _has_collapsed(run: Run) -> bool:
    return run.failed or run.is_spiked


def _optima(ranked: Sequence[tuple[Run, int]], width: float) -> tuple[Optimum, ...]:
    """Group runs, best first: one belongs to the optimum before it if what it may still gain would take it there."""
    optima: list[Optimum] = []
    for run, times in ranked:
        bound, remaining = run.bounds[-1], run.stop.remaining
        reachable = bound + max(width, 1e-9 * abs(bound)) + (remaining if math.isfinite(remaining) else 0.0)
        if optima and reachable >= optima[-1].bound:
            optima[-1] = Optimum(optima[-1].bound, optima[-1].times + times)
        else:
            optima.append(Optimum(bound, times))
    return tuple(optima)
