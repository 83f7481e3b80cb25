"""The one loop: sweep, stop or update, for a stack of runs side by side.

The loop owns stopping and tracing; an algorithm says how to assign and how to update. Every run in the stack costs a share of the same
pass over the data, and leaves the stack when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.inference.collapse import Collapse, Collapsed, flat_components
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.stopping import Stop, Stopping
from mixtura.model.mixture import Mixture
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


@dataclass
class _Climber:
    start: Mixture
    mixture: Mixture
    bounds: list[float] = field(default_factory=list)
    stop: Stop | None = None
    collapses: tuple[Collapse, ...] = ()


def climb(
    source: ArraySource,
    starts: list[Mixture],
    algorithm: ExpectationMaximization,
    stopping: Stopping,
    observe: Observer | None = None,
) -> list[Run]:
    """Run the algorithm from every start, reading the data once per round for all of them.

    Parameters
    ----------
    source : ArraySource
    starts : list of Mixture
    algorithm : ExpectationMaximization
    stopping : Stopping
    observe : Observer, optional

    Returns
    -------
    list of Run
        In the order of the starts.
    """
    climbers = [_Climber(start, start) for start in starts]
    with Sweep(source) as sweep:
        _advance(sweep, climbers, algorithm, stopping, observe)
    return [Run(c.start, c.mixture, tuple(c.bounds), c.stop, c.collapses) for c in climbers if c.stop is not None]


def _advance(
    sweep: Sweep,
    climbers: list[_Climber],
    algorithm: ExpectationMaximization,
    stopping: Stopping,
    observe: Observer | None,
) -> None:
    """Advance all climbers, pass by pass, until each has stopped."""
    active = list(enumerate(climbers))
    while active:
        swept = sweep([climber.mixture.scorer for _, climber in active], algorithm.assignment)
        for (index, climber), (log_normaliser, moments) in zip(active, swept, strict=True):
            climber.bounds.append(log_normaliser + algorithm.log_prior(climber.mixture))
            climber.stop = stopping(climber.bounds)
            if observe is not None and observe(index, climber.mixture, tuple(climber.bounds)) and not climber.stop:
                climber.stop = Stop("callback", False, float("nan"), "stopped by a callback")
            if climber.stop is not None:
                climber.collapses = _held_at_floor(algorithm, climber.mixture, moments.count)
                continue
            try:
                climber.mixture = algorithm.maximise(moments)
            except Collapsed as collapsed:
                climber.collapses = collapsed.collapses
                climber.stop = Stop("collapse", False, float("inf"), f"stopped: {collapsed}")
        active = [(index, climber) for index, climber in active if climber.stop is None]


def _held_at_floor(algorithm: ExpectationMaximization, mixture: Mixture, counts: Array) -> tuple[Collapse, ...]:
    if not algorithm.floor:
        return ()
    return flat_components(
        algorithm.structure, mixture.covariances, counts, np.full(mixture.means.shape, algorithm.floor)
    )
