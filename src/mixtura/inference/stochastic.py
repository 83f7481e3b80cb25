"""Ascent by small batches of rows, for data too many to read at every step, or that pass by once.

A step looks at one batch and goes a share ``ρ_t = (t + τ)^−κ`` of the way that the batch alone would have it go. In *blending*, moments go
that way, ``S ← (1 − ρ) S + ρ (N/B) S_batch``, and the belief follows from them. For a conjugate posterior these are steps along the natural
gradient of the evidence lower bound: stochastic variational inference (Hoffman, Blei, Wang and Paisley 2013, "Stochastic variational
inference"). *Gradient steps* move a point in coordinates in which EM is a step of length one. The schedule is that of Robbins and Monro
(1951), which converges for ``½ < κ ≤ 1``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.inference.ascent import Algorithm, is_sound
from mixtura.inference.gradient import LARGEST_STEP
from mixtura.inference.loop import Run
from mixtura.inference.starts import above_floor
from mixtura.inference.stopping import SHARE_OF_TOL, Stop, Stopping, remaining_gain
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.sweep import Sweep

DELAY = 10.0
FORGETTING = 0.7
"""``τ`` and ``κ``: the first steps weigh a fifth of what is believed; the start is forgotten within a few hundred, and noise dies out."""
BATCH_ROWS = 4096
MOST_HALVINGS = 20
"""Of a step that leads to where nothing can be told from rounding."""


@dataclass(frozen=True)
class Stream:
    """Where an ascent by batches has come to.

    Attributes
    ----------
    belief : Mixture or Posterior
    moments : Moments
        Blended, per row.
    n_steps : int
    weight : float
        Of all rows seen.
    """

    belief: Any
    moments: Moments
    n_steps: int = 0
    weight: float = 0.0


def share(n_steps: int) -> float:
    """``ρ_t``."""
    return float((n_steps + 1 + DELAY) ** -FORGETTING)


class Step(Protocol):
    """How a belief learns from a batch."""

    def __call__(self, stream: Stream, batch: Moments, total_weight: float) -> tuple[Any, Moments]:
        """The next belief and the blended moments, from the batch's moments per row."""


@dataclass(frozen=True)
class Blend:
    """The belief follows from the blended moments, as it does from those of all rows."""

    algorithm: Algorithm

    def __call__(self, stream: Stream, batch: Moments, total_weight: float) -> tuple[Any, Moments]:
        rho = share(stream.n_steps)
        blended = (1 - rho) * stream.moments + rho * batch
        return self.algorithm.maximise(total_weight * blended), blended


@dataclass(frozen=True)
class GradientStep:
    """A step along the gradient of the batch's log-likelihood; nothing is remembered but the point."""

    algorithm: Algorithm

    def __call__(self, stream: Stream, batch: Moments, total_weight: float) -> tuple[Any, Moments]:
        # In units of what is believed, not of the batch: a component that has no row in a small one would hold all others.
        about = Coordinates(stream.belief, stream.belief.weights)
        u = np.zeros(about.size)
        step = share(stream.n_steps) * about.gradient(u, batch)
        step *= min(1.0, LARGEST_STEP / max(float(np.abs(step / about.unit).max()), 1e-300))
        for _ in range(MOST_HALVINGS):
            moved: Mixture = about.mixture(step)
            if is_sound(moved, 0.0):
                return above_floor(moved, self.algorithm.floor), batch
            step /= 2
        return stream.belief, batch


def begin(start: Any, rows: ArraySource) -> Stream:
    """A stream that believes in a start, with the moments of some rows under it."""
    with Sweep(rows) as sweep:
        (swept,) = sweep([start.scorer])
    return Stream(start, swept.moments * (1 / rows.total_weight))


def learn(
    stream: Stream, batch: ArraySource, step: Step, algorithm: Algorithm, total_weight: float | None = None
) -> tuple[Stream, float]:
    """One step, and its loss: the negative bound per row, as the batch had it before it was learnt from.

    Parameters
    ----------
    stream : Stream
    batch : ArraySource
    step : Step
    algorithm : Algorithm
    total_weight : float, optional
        Of all rows that the belief is to be about; by default of those seen so far.
    """
    weight = stream.weight + batch.total_weight
    total = weight if total_weight is None else total_weight
    with Sweep(batch) as sweep:
        (swept,) = sweep([stream.belief.scorer])
    loss = -(swept.log_normaliser / batch.total_weight + algorithm.log_prior(stream.belief) / total)
    belief, moments = step(stream, swept.moments * (1 / batch.total_weight), total)
    return Stream(belief, moments, stream.n_steps + 1, weight), loss


Watch = Callable[[int, float], None]
"""Called after every step with the number of steps so far and the loss."""


def learn_all(
    source: ArraySource,
    stream: Stream,
    algorithm: Algorithm,
    batch_rows: int,
    stopping: Stopping,
    rng: np.random.Generator,
    watch: Watch | None = None,
) -> tuple[Run, list[float]]:
    """Learn from all rows in random order, again and again; then read them for the exact bound, and for what is still to come of it.

    Reads in batches go on until the mean loss of one, over the same rows, is no longer ``tol`` below that of the one before. That says
    little of what is still to come: steps are short by then. So coordinate ascent goes on from there, with a step for each further read,
    until no more than ``tol`` per row is; and on small data, where such a read is no dearer than a batch, until its own end.

    Parameters
    ----------
    source : ArraySource
    stream : Stream
    algorithm : Algorithm
    batch_rows : int
    stopping : Stopping
        With the most reads of the data, but for that which the first exact bound takes.
    rng : Generator
    watch : Watch, optional

    Returns
    -------
    run : Run
        With the exact bounds.
    losses : list of float
        One a batch.
    """
    start, step, losses = stream.belief, Blend(algorithm), list[float]()
    means: list[float] = []
    while len(means) < stopping.max_iter and not _has_settled(means, stopping.tol):
        n_before = len(losses)
        for batch in source.batches(batch_rows, rng):
            stream, loss = learn(stream, batch, step, algorithm, source.total_weight)
            losses.append(loss)
            if watch is not None:
                watch(len(losses), loss)
        means.append(float(np.mean(losses[n_before:])))
    share_of_tol = min(1.0, SHARE_OF_TOL * (len(losses) / len(means)) ** 2)
    finished = _finish(source, stream.belief, algorithm, stopping, len(means), share_of_tol)
    read = f"after {len(losses)} batches, {len(means)} reads of the data, and {len(finished.bounds)} more of all rows at once"
    reason, _, remaining = finished.stop.sentence.partition(":")
    stop = replace(finished.stop, sentence=f"{reason} {read}:{remaining}")
    return replace(finished, start=start, stop=stop), losses


def _finish(
    source: ArraySource, belief: Any, algorithm: Algorithm, stopping: Stopping, n_before: int, share_of_tol: float
) -> Run:
    """Coordinate ascent until no more than a share of ``tol`` per row is still to come, after ``n_before`` reads."""
    bounds: list[float] = []
    start, enough = belief, share_of_tol * stopping.tol * stopping.total_weight
    with Sweep(source) as sweep:
        while True:
            (swept,) = sweep([belief.scorer])
            bounds.append(swept.log_normaliser + algorithm.log_prior(belief))
            n_passes, remaining = n_before + len(bounds), remaining_gain(bounds)
            stop = stopping(bounds, n_passes, belief.scorer)
            if stop is None and remaining <= enough:
                stop = Stop("converged", True, remaining, f"converged: an estimated {remaining:.1g} nats still to come")
            if stop is not None:
                passes = tuple(range(n_before + 1, n_passes + 1))
                return Run(start, belief, tuple(bounds), stop, passes, n_passes, moments=swept.moments)
            belief = algorithm.maximise(swept.moments)


def _has_settled(means: list[float], tol: float) -> bool:
    return len(means) > 1 and means[-2] - means[-1] <= tol
