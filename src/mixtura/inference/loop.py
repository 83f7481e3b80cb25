"""The one loop: sweep, stop or update, for a stack of runs side by side.

The loop owns stopping and tracing; an algorithm says how to assign and how to update. Every run in the stack costs a share of the same
pass over the data, and leaves the stack when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.inference.collapse import Collapse, Collapsed, flat_components
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.stopping import Stop, Stopping
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.sweep import Sweep


@dataclass(frozen=True)
class Run:
    """One climb from one start.

    Attributes
    ----------
    start : Mixture
    mixture : Mixture
        Where it ended; ``bounds[-1]`` is its bound.
    bounds : tuple of float
        The bound of the start, then after each update.
    stop : Stop
    collapses : tuple of Collapse
        Components that collapsed: fatally when ``stop.reason`` is ``"collapse"``, otherwise held at the floor.
    """

    start: Mixture
    mixture: Mixture
    bounds: tuple[float, ...]
    stop: Stop
    collapses: tuple[Collapse, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the run could not go on."""
        return self.stop.reason == "collapse"

    @property
    def n_iter(self) -> int:
        """Updates done."""
        return len(self.bounds) - 1


Observer = Callable[[int, Mixture, tuple[float, ...]], bool]
"""Called with the run's index, its current mixture and its bounds so far; returning true stops the run."""

Progress = Callable[[int, int], None]
"""Called after each pass with how many of the runs have ended, and how many there are."""


@dataclass
class _Climber:
    start: Mixture
    algorithm: ExpectationMaximization
    mixture: Mixture
    bounds: list[float] = field(default_factory=list)
    stop: Stop | None = None
    collapses: tuple[Collapse, ...] = ()


def climb(
    source: ArraySource,
    starts: Sequence[Mixture],
    algorithms: Sequence[ExpectationMaximization] | ExpectationMaximization,
    stopping: Stopping,
    observe: Observer | None = None,
    progress: Progress | None = None,
) -> list[Run]:
    """Climb from every start, reading the data once per round for all of them.

    Parameters
    ----------
    source : ArraySource
    starts : sequence of Mixture
    algorithms : ExpectationMaximization or sequence of it
        One for all starts, or one for each.
    stopping : Stopping
    observe : Observer, optional
    progress : Progress, optional

    Returns
    -------
    list of Run
        In the order of the starts.
    """
    each = algorithms if isinstance(algorithms, Sequence) else repeat(algorithms, len(starts))
    climbers = [_Climber(start, algorithm, start) for start, algorithm in zip(starts, each, strict=True)]
    with Sweep(source) as sweep:
        active = list(enumerate(climbers))
        while active:
            active = _advance(sweep, active, stopping, observe)
            if progress is not None:
                progress(len(climbers) - len(active), len(climbers))
    return [Run(c.start, c.mixture, tuple(c.bounds), c.stop, c.collapses) for c in climbers if c.stop is not None]


def _advance(
    sweep: Sweep, active: list[tuple[int, _Climber]], stopping: Stopping, observe: Observer | None
) -> list[tuple[int, _Climber]]:
    """One pass and one update for all climbers; those that go on."""
    swept = sweep([c.mixture.scorer for _, c in active], [c.algorithm.assignment for _, c in active])
    going: dict[ExpectationMaximization, list[tuple[_Climber, Moments]]] = {}
    for (index, climber), (log_normaliser, moments) in zip(active, swept, strict=True):
        climber.bounds.append(log_normaliser + climber.algorithm.log_prior(climber.mixture))
        climber.stop = stopping(climber.bounds)
        if observe is not None and observe(index, climber.mixture, tuple(climber.bounds)) and not climber.stop:
            climber.stop = Stop("callback", False, float("nan"), "stopped by a callback")
        if climber.stop is None:
            going.setdefault(climber.algorithm, []).append((climber, moments))
        else:
            climber.collapses = _held_at_floor(climber.algorithm, climber.mixture, moments.count)
    for algorithm, stack in going.items():
        _update(algorithm, stack)
    return [(index, climber) for index, climber in active if climber.stop is None]


def _update(algorithm: ExpectationMaximization, stack: list[tuple[_Climber, Moments]]) -> None:
    """The M-step of all climbers that share an algorithm."""
    updated = algorithm.maximise_stack([moments for _, moments in stack])
    for (climber, _), result in zip(stack, updated, strict=True):
        if isinstance(result, Collapsed):
            climber.collapses = result.collapses
            climber.stop = Stop("collapse", False, float("inf"), f"stopped: {result}")
        else:
            climber.mixture = result


def _held_at_floor(algorithm: ExpectationMaximization, mixture: Mixture, counts: Array) -> tuple[Collapse, ...]:
    if not algorithm.floor:
        return ()
    return flat_components(
        algorithm.structure, mixture.covariances, counts, np.full(mixture.means.shape, algorithm.floor)
    )
