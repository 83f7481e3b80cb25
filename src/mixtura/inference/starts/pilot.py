"""Pilot, then polish: large data are climbed on a subsample first, and read in full only for the last steps.

The maximum on ``m`` of ``N`` rows is within the statistical error of ``m`` rows of the maximum on all of them, and costs ``m/N`` of the
work to find. Only the best run of the pilot goes on; the others wait in case it collapses. It takes along what the pilot has learnt about
the curvature of the likelihood, so that a quasi-Newton solver begins on all rows where it would otherwise arrive after many reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.inference.climb.climber import Algorithm, Solver
from mixtura.inference.climb.loop import Run, climb
from mixtura.inference.climb.quasi_newton import QuasiNewton
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.race import Shortlist, Start, places

LARGE = 200_000
"""Rows from which a pilot pays."""
ROWS_PER_PARAMETER = 50
LEAST_SAMPLE = 20_000
LARGEST_SHARE = 0.1
SURVEYOR, SURVEYED = QuasiNewton(least_passes=1, surveys=True), 1e-6
"""What looks around at the top of the pilot, and how much of the gain it leaves there beside what is to be left on all rows."""


def pilot_source(source: Source, n_parameters: int) -> ArraySource | None:
    """Random rows of the source, in their order and the same each time, or ``None`` where a pilot does not pay.

    Parameters
    ----------
    source : Source
    n_parameters : int
    """
    size = max(LEAST_SAMPLE, ROWS_PER_PARAMETER * n_parameters)
    if source.n_rows < LARGE or size > LARGEST_SHARE * source.n_rows:
        return None
    chosen = np.unique(np.random.default_rng(size).integers(0, source.n_rows, size))
    return ArraySource(*source.take(chosen))


def fly(
    pilot: ArraySource,
    shortlists: Sequence[Shortlist],
    algorithms: Sequence[Algorithm],
    stopping: Stopping,
    solver: Solver,
) -> list[Shortlist]:
    """Climb all starts on the pilot's rows; the best of each goes on, those that came to the same place counted with it.

    Parameters
    ----------
    pilot : ArraySource
    shortlists, algorithms : sequences of Shortlist and Algorithm
        One for each candidate.
    stopping : Stopping
        For all rows; its tolerance is per row.
    solver : Solver
    """
    rule = replace(stopping, total_weight=pilot.total_weight)
    entries = [(i, start) for i, shortlist in enumerate(shortlists) for start in shortlist.starts]
    starts, climbing = [start.mixture for _, start in entries], [algorithms[i] for i, _ in entries]
    runs = climb(pilot, starts, climbing, rule, solver=solver)
    landed: list[list[tuple[Run, Start]]] = [[] for _ in shortlists]
    for (i, start), run in zip(entries, runs, strict=True):
        landed[i].append((run, start))
    leading = [_leading(pairs, 2 * rule.goal) for pairs in landed]
    firsts = [starts[0] for starts in leading]
    if isinstance(solver, QuasiNewton) and all(algorithm.penalty is None for algorithm in algorithms):
        firsts = _surveyed(pilot, firsts, algorithms, rule)
    return [
        shortlist._replace(starts=[first], reserves=[*others[1:], *shortlist.reserves])
        for first, others, shortlist in zip(firsts, leading, shortlists, strict=True)
    ]


def _surveyed(
    pilot: ArraySource, starts: Sequence[Start], algorithms: Sequence[Algorithm], rule: Stopping
) -> list[Start]:
    """The same starts with the curvature about them, which an ascent to more digits than anybody needs learns."""
    rule = replace(rule, share=rule.share * SURVEYED)
    runs = climb(pilot, [start.mixture for start in starts], algorithms, rule, solver=SURVEYOR)
    return [
        start if run.failed or run.is_spiked else start._replace(mixture=run.mixture, curvature=run.curvature)
        for start, run in zip(starts, runs, strict=True)
    ]


def _leading(pairs: Sequence[tuple[Run, Start]], width: float) -> list[Start]:
    """One start for each place that was come to, the best first; those that have collapsed last."""
    leading: list[Start] = []
    for collapsed in (False, True):
        alike = [pair for pair in pairs if (pair[0].failed or pair[0].is_spiked) is collapsed]
        for place in places(alike, lambda pair: pair[0].bounds[-1], width):
            (run, start), times = place[0], sum(start.times for _, start in place)
            leading.append(start._replace(mixture=start.mixture if run.failed else run.mixture, times=times))
    return leading
