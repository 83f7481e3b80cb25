"""Many starts, one answer, and an honest account of the rest.

EM finds local optima. Runs side by side from different starts show how many there are and how often each is reached; runs that collapse
are discarded and counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mixtura.ground.errors import CollapseError
from mixtura.inference.loop import Run
from mixtura.inference.stopping import SHARE_OF_TOL, Stopping


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
        Runs in which a component collapsed.
    n_runs : int
    """

    best: Run
    optima: tuple[Optimum, ...]
    n_collapsed: int
    n_runs: int


def summarise(runs: Sequence[Run], stopping: Stopping) -> Restarts:
    """Keep the best run that did not collapse, or else the best of those held at the floor.

    Raises
    ------
    CollapseError
        If no run could go on to its end.
    """
    sound = [run for run in runs if not run.collapses]
    kept = sound or [run for run in runs if not run.failed]
    if not kept:
        longest = max(runs, key=lambda run: run.n_iter)
        raise CollapseError(
            f"{'the fit' if len(runs) == 1 else f'all {len(runs)} restarts'} collapsed; "
            f"{'; '.join(map(str, longest.collapses))}, after {longest.n_iter} iterations. The likelihood is unbounded there. "
            "Try fewer components, a floor (reg_covar=1e-6), or a prior (covariance_prior='empirical')."
        )
    ranked = sorted(kept, key=lambda run: run.bounds[-1], reverse=True)
    width = 10 * stopping.tol * SHARE_OF_TOL * stopping.total_weight
    return Restarts(ranked[0], _optima(ranked, width), len(runs) - len(sound), len(runs))


def _optima(ranked: Sequence[Run], width: float) -> tuple[Optimum, ...]:
    """Group runs, best first: one belongs to the optimum before it if what it may still gain would take it there."""
    optima: list[Optimum] = []
    for run in ranked:
        bound, remaining = run.bounds[-1], run.stop.remaining
        reachable = bound + max(width, 1e-9 * abs(bound)) + (remaining if math.isfinite(remaining) else 0.0)
        if optima and reachable >= optima[-1].bound:
            optima[-1] = Optimum(optima[-1].bound, optima[-1].times + 1)
        else:
            optima.append(Optimum(bound, 1))
    return tuple(optima)
