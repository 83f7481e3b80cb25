"""The loop: sweep, stop or update, for a stack of runs side by side.

The loop owns stopping and tracing; an algorithm says how to assign and how to update. Every run in the stack costs a share of the same
pass over the data, and leaves the stack when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from mixtura.data.source import Source
from mixtura.inference.climb.abridged import Abridged
from mixtura.inference.climb.climber import PLAIN_EM, Algorithm, Answer, Climber, Direction, Solver, Steps
from mixtura.inference.climb.curvature import Curvature
from mixtura.inference.rules.collapse import Collapse, Collapsed, held_components
from mixtura.inference.rules.stopping import BY_CALLBACK, Stop, Stopping, passes_left
from mixtura.model.moments import Moments
from mixtura.sweep import Sweep, dropped

NO_STEP = Stop(
    "stuck", False, float("inf"), "stopped: with a component that has no rows, or at the floor, a penalty has no step"
)


@dataclass(frozen=True)
class Run:
    """One climb from one start.

    Attributes
    ----------
    start : Mixture, or what the algorithm believes instead
    mixture : Mixture, or what the algorithm believes instead
        Where it ended; ``bounds[-1]`` is its bound.
    bounds : tuple of float
        The bound of the start, then after each update.
    stop : Stop
    passes : tuple of int
        Reads of the data up to each of the bounds.
    n_passes : int
        All reads that it asked for; a Hessian–vector product is one.
    collapses : tuple of Collapse
        Components that collapsed: fatally when ``stop.reason`` is ``"collapse"``, otherwise held at the floor.
    moments : Moments or None
        At the mixture where it ended.
    history : tuple of float
        Bounds of the climb that this one goes on from.
    n_passes_together : int
        Reads by all runs that climbed side by side with it; those that they shared count once.
    losses : tuple of float
        Of an ascent by batches: the negative bound per row that each batch gave before it was learnt from.
    curvature : Curvature or None
        What a solver has learnt of the bound on the way.
    dropped : float
        Estimate of what the last bound lacks, per row, because components were left out of the E-step.
    """

    start: Any
    mixture: Any
    bounds: tuple[float, ...]
    stop: Stop
    passes: tuple[int, ...]
    n_passes: int
    collapses: tuple[Collapse, ...] = ()
    moments: Moments | None = None
    history: tuple[float, ...] = ()
    n_passes_together: int = 0
    losses: tuple[float, ...] = ()
    curvature: Curvature | None = None
    dropped: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether the run could not go on."""
        return self.stop.reason == "collapse"

    @property
    def is_spiked(self) -> bool:
        """Whether a component has collapsed onto too few rows to be a group."""
        return any(collapse.is_spike for collapse in self.collapses)

    @property
    def n_iter(self) -> int:
        """Steps taken."""
        return len(self.bounds) - 1


def joined(before: Run, after: Run, n_passes: int) -> Run:
    """One run of a climb and of another that went on from near its end, after so many reads."""
    return replace(
        after,
        start=before.start,
        bounds=before.bounds + after.bounds,
        passes=before.passes + tuple(n_passes + passes for passes in after.passes),
        n_passes=n_passes + after.n_passes,
        history=before.history,
    )


Observer = Callable[[int, Any, tuple[float, ...]], bool]
"""Called with the run's index, its current mixture and its bounds so far; returning true stops the run."""


class Climbing(NamedTuple):
    """How far a stack has come.

    Attributes
    ----------
    n_ended, n_runs : int
        Runs that have ended, and all of them.
    n_passes : int
        So far.
    bound : float or None
        The largest so far, where all runs are of one algorithm.
    passes_left : float
        An estimate, and no more than ``max_iter`` allows; infinite where nothing is known.
    """

    n_ended: int
    n_runs: int
    n_passes: int
    bound: float | None
    passes_left: float


Progress = Callable[[Climbing], None]
"""Called after each pass."""


@dataclass(eq=False)
class _Rope:
    """A climber, where it began, and what its solver waits for."""

    climber: Climber
    start: Any
    solver: Solver
    steps: Steps | None = None
    request: Any = None
    collapses: tuple[Collapse, ...] = ()

    def advance(self, answer: Answer | Moments) -> None:
        """Hand the solver its answer; take its next request, or the climber back."""
        assert self.steps is not None
        try:
            self.request = self.steps.send(answer)
        except StopIteration:
            self.steps = self.request = None


def climb(
    source: Source,
    starts: Sequence[Any],
    algorithms: Sequence[Algorithm] | Algorithm,
    stopping: Stopping,
    observe: Observer | None = None,
    progress: Progress | None = None,
    solver: Solver = PLAIN_EM,
    histories: Sequence[tuple[float, ...]] | None = None,
    curvatures: Sequence[Curvature | None] | None = None,
) -> list[Run]:
    """Climb from every start, reading the data once per round for all of them.

    Parameters
    ----------
    source : Source
    starts : sequence of Mixture, or of what the algorithms believe instead
    algorithms : Algorithm or sequence of it
        One for all starts, or one for each.
    stopping : Stopping
    observe : Observer, optional
    progress : Progress, optional
    solver : Solver
        What takes over from EM.
    histories : sequence of tuple of float, optional
        Bounds of an earlier climb, of the same data or of others, that ended at each start.
    curvatures : sequence of Curvature or None, optional
        What a climb on part of the data has learnt about each start.

    Returns
    -------
    list of Run
        In the order of the starts.
    """
    each = algorithms if isinstance(algorithms, Sequence) else repeat(algorithms, len(starts))
    before = [()] * len(starts) if histories is None else histories
    learnt = [None] * len(starts) if curvatures is None else curvatures
    ropes = [
        _Rope(
            Climber(
                algorithm,
                stopping,
                start,
                history=history,
                curvature=curvature,
                assignment=algorithm.assignment.over(source.n_rows),
            ),
            start,
            solver,
        )
        for start, algorithm, history, curvature in zip(starts, each, before, learnt, strict=True)
    ]
    n_passes = 0
    abridged = Abridged.of(source, [rope.climber.algorithm for rope in ropes], solver) if observe is None else None
    if abridged is not None:
        for climber in (rope.climber for rope in ropes if abridged.serves(rope.climber)):
            climber.patience = abridged.patience(climber)
    with Sweep(source) as sweep:
        active = list(enumerate(ropes))
        while active:
            n_passes += _advance(sweep, active, observe, abridged)
            active = [(index, rope) for index, rope in active if rope.climber.stop is None]
            if progress is not None:
                progress(_climbing(ropes, [rope.climber for _, rope in active], n_passes))
    return [_run(source, rope, n_passes) for rope in ropes]


def _climbing(ropes: Sequence[_Rope], active: Sequence[Climber], n_passes: int) -> Climbing:
    of_one = all(rope.climber.algorithm is ropes[0].climber.algorithm for rope in ropes)
    reached = [rope.climber.bounds[-1] for rope in ropes if rope.climber.bounds] if of_one else []
    left = [
        max(0.0, min(passes_left(one.trail, one.stopping.goal), one.stopping.max_iter + 1 - one.n_passes))
        for one in active
    ]
    return Climbing(len(ropes) - len(active), len(ropes), n_passes, max(reached, default=None), max(left, default=0.0))


def _run(source: Source, rope: _Rope, n_passes_together: int) -> Run:
    climber = rope.climber
    assert climber.stop is not None
    bounds = tuple(climber.bounds)
    return Run(
        start=rope.start,
        mixture=climber.mixture,
        bounds=bounds,
        stop=climber.stop,
        passes=tuple(climber.passes),
        n_passes=climber.n_passes,
        collapses=rope.collapses,
        moments=climber.moments,
        history=climber.history,
        n_passes_together=n_passes_together,
        curvature=climber.curvature,
        dropped=dropped(source, climber.mixture, climber.assignment),
    )


def _advance(sweep: Sweep, active: list[tuple[int, _Rope]], observe: Observer | None, abridged: Abridged | None) -> int:
    """A read of the data for all derivatives asked for and one for all mixtures, with an update of all climbers; how many reads it took.

    Where climbs can be abridged, it is one for all passes before the next decision.
    """
    n_reads = _differentiate(sweep, [rope for _, rope in active if isinstance(rope.request, Direction)])
    trials: list[tuple[int, _Rope, Any]] = []
    for index, rope in active:
        if rope.climber.stop is not None:  # the derivative was all that its solver had waited for
            rope.collapses = _held_at_floor(rope.climber)
            continue
        trial = rope.climber.mixture if rope.request is None else rope.request
        if not isinstance(trial, Direction):
            trials.append((index, rope, trial))
    if not trials:
        return n_reads
    answers, n_more = _answers(sweep, trials, abridged)
    going: dict[Algorithm, list[_Rope]] = {}
    for index, rope, trial, answer in answers:
        climber, algorithm = rope.climber, rope.climber.algorithm
        climber.n_passes += 1
        n_accepted, by_solver = len(climber.bounds), rope.steps is not None
        if not by_solver:
            climber.accept(trial, answer)
            climber.stop = stop = climber.stopping(climber.trail, climber.n_passes, trial)
            if stop is not None and stop.reason == "converged" and rope.solver.refines:
                climber.stop = None
                if not _hand_over(rope):
                    climber.stop = climber.stop or stop
        else:
            rope.advance(answer)
        if len(climber.bounds) > n_accepted and observe is not None:
            stopped = observe(index, climber.mixture, tuple(climber.bounds))
            if stopped and not climber.stop:
                climber.stop = BY_CALLBACK
        if climber.stop is not None:
            rope.collapses = _held_at_floor(climber)
        elif rope.steps is None and (by_solver or not _hand_over(rope)):
            if climber.stop is None:  # EM's turn, also after a solver that has handed it back
                going.setdefault(algorithm, []).append(rope)
            else:  # it saw at once that there was nothing to do
                rope.collapses = _held_at_floor(climber)
    for algorithm, ropes in going.items():
        _update(algorithm, ropes)
    return n_reads + n_more


def _answers(
    sweep: Sweep, trials: list[tuple[int, _Rope, Any]], abridged: Abridged | None
) -> tuple[list[tuple[int, _Rope, Any, Answer]], int]:
    """Each trial with the answer at it, and how many reads it took; where it can be abridged, it goes on to the next decision."""
    short, whole = list[tuple[int, _Rope, Any]](), list[tuple[int, _Rope, Any]]()
    for trial in trials:
        rope = trial[1]
        goes_on = abridged is not None and rope.steps is None and abridged.serves(rope.climber)
        (short if goes_on else whole).append(trial)
    answers: list[tuple[int, _Rope, Any, Answer]] = []
    n_reads = 0
    if whole:
        swept = sweep([trial.scorer for *_, trial in whole], [rope.climber.assignment for _, rope, _ in whole])
        for (index, rope, trial), (log_normaliser, moments) in zip(whole, swept, strict=True):
            answers.append(
                (index, rope, trial, Answer(log_normaliser + rope.climber.algorithm.log_prior(trial), moments))
            )
        n_reads = 1
    if abridged is not None and short:
        legs, n_passes = abridged([rope.climber for _, rope, _ in short])
        answers += [(index, rope, *leg) for (index, rope, _), leg in zip(short, legs, strict=True)]
        n_reads = max(n_reads, n_passes)
    return answers, n_reads


def _hand_over(rope: _Rope) -> bool:
    """Let the solver take over, if it wants to and has something to ask; without weight a component has no coordinates."""
    climber = rope.climber
    if climber.moments is None or not climber.moments.count.all() or not rope.solver.takes_over(climber):
        return False
    rope.steps = rope.solver.steps(rope.climber)
    try:
        rope.request = next(rope.steps)
    except StopIteration:
        rope.steps = None
    return rope.steps is not None


def _differentiate(sweep: Sweep, ropes: list[_Rope]) -> int:
    requests = [rope.request for rope in ropes if isinstance(rope.request, Direction)]
    if not requests:
        return 0
    changes = sweep.along([r.mixture.scorer for r in requests], [r.scorer for r in requests])
    for rope, change in zip(ropes, changes, strict=True):
        rope.climber.n_passes += 1
        rope.advance(change)
    return 1


def _update(algorithm: Algorithm, ropes: list[_Rope]) -> None:
    """The M-step of all climbers that share an algorithm; where there is none, they have come as far as they can."""
    if algorithm.penalty is not None:
        for rope in ropes:
            rope.climber.stop = NO_STEP
        return
    updated = algorithm.maximise_stack([rope.climber.moments for rope in ropes if rope.climber.moments is not None])
    for rope, result in zip(ropes, updated, strict=True):
        if isinstance(result, Collapsed):
            rope.collapses = result.collapses
            rope.climber.stop = Stop("collapse", False, float("inf"), f"stopped: {result}")
        else:
            rope.climber.mixture = result


def _held_at_floor(climber: Climber) -> tuple[Collapse, ...]:
    floor, collapsed = climber.algorithm.floor, climber.algorithm.collapsed
    if not np.any(floor) or climber.moments is None:
        return ()
    return held_components(climber.mixture, climber.moments, floor, floor if collapsed is None else collapsed)
