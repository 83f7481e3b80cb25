"""Ascent by small batches of rows, for data too many to read at every step, or that pass by once.

A step has a batch's rows shared out by what is believed of late, and blends the moments that come back with those before. For a point that
is online EM (Cappé and Moulines 2009, "On-line expectation–maximization algorithm for latent data models"), a step along the gradient of
the log-likelihood in the metric in which EM is a step of length one; for a conjugate posterior it is stochastic variational inference
(Hoffman, Blei, Wang and Paisley 2013), a step along the natural gradient of the evidence lower bound.

Steps are counted in weight, not in batches. After ``x`` times the weight that a stream began with, *recent* moments, by which rows are
shared out, remember ``x^κ`` of that: ``dS/dx = x^−κ (s − S)``, solved exactly over a batch, so that a hundred batches of one row take them
as far as one batch of a hundred. ``½ < κ ≤ 1`` is the condition of Robbins and Monro (1951). *Averaged* moments, from which follows what is
believed in the end, count rows by their weight, and later ones for more (Polyak and Juditsky 1992): they come about as close as an ascent
over all rows, whatever the rate of EM.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.ground.errors import DataError
from mixtura.inference.climb.climber import Algorithm
from mixtura.inference.climb.loop import Run
from mixtura.inference.rules.stopping import Stop, Stopping, remaining_gain
from mixtura.model.moments import Moments
from mixtura.sweep import Sweep

FORGETTING = 0.6
"""``κ``: recent moments are short enough to leave a poor start behind, and long enough for their noise to die out."""
AVERAGING = 2.0
"""The weight of a row in the average grows with its place to this power less one: the second half of the rows has three quarters of it."""
ROWS_TO_BEGIN = 100
"""For each weight and coordinate of a mean, ``K (D + 1)`` of them: from so few on, no component was lost in thousands of streams."""
BATCH_ROWS = 4096


@dataclass(frozen=True)
class Stream:
    """Where an ascent by batches has come to.

    Attributes
    ----------
    leading : Mixture or Posterior
        What rows are shared out by; it follows from the recent moments.
    recent, averaged : Moments
        Per row.
    weight : float
        Of all rows so far.
    begun : float
        Of those that it began with.
    """

    leading: Any
    recent: Moments
    averaged: Moments
    weight: float
    begun: float

    def after(self, batch: Moments, weight: float) -> Stream:
        """With a batch's moments per row blended in; what leads has still to follow."""
        total = self.weight + weight
        recent = _blended(self.recent, kept_of_recent(self.weight / self.begun, total / self.begun), batch)
        averaged = _blended(self.averaged, (self.weight / total) ** AVERAGING, batch)
        return replace(self, recent=recent, averaged=averaged, weight=total)


def rows_to_begin(n_components: int, n_features: int) -> int:
    """How many rows a stream begins with."""
    return ROWS_TO_BEGIN * n_components * (n_features + 1)


def kept_of_recent(before: float, after: float) -> float:
    """The share of the recent moments that is left, from ``before`` to ``after`` times the weight at the beginning."""
    power = 1 - FORGETTING
    return math.exp((before**power - after**power) / power)


def _blended(moments: Moments, kept: float, batch: Moments) -> Moments:
    return (1 - kept) * batch + kept * moments  # about the origin of the batch, which is where the components are now


def begin(belief: Any, rows: ArraySource, weight: float | None = None) -> Stream:
    """A stream that goes on from a belief, with the moments of some rows under it; they stand for their own weight, or for more."""
    with Sweep(rows) as sweep:
        (swept,) = sweep([belief.scorer])
    moments = swept.moments * (1 / rows.total_weight)
    begun = rows.total_weight if weight is None else weight
    return Stream(belief, moments, moments, begun, begun)


def learn(
    stream: Stream, batch: ArraySource, algorithm: Algorithm, total_weight: float | None = None
) -> tuple[Stream, float]:
    """One step, and its loss: the negative bound per row, as the batch had it before it was learnt from.

    Parameters
    ----------
    stream : Stream
    batch : ArraySource
    algorithm : Algorithm
    total_weight : float, optional
        Of all rows that the belief is to be about; by default of those seen so far.

    Raises
    ------
    DataError
        If the batch lies where there is no density.
    Collapsed
        If a covariance is singular, which neither a floor nor a prior allows.
    """
    total = stream.weight + batch.total_weight if total_weight is None else total_weight
    loss, moments = read(stream.leading, batch, algorithm, total)
    if not math.isfinite(loss):
        raise DataError("the batch has no density under what was learnt so far; is it on the same scale?")
    stream = stream.after(moments, batch.total_weight)
    return replace(stream, leading=algorithm.maximise(total * stream.recent)), loss


def read(belief: Any, batch: ArraySource, algorithm: Algorithm, total_weight: float) -> tuple[float, Moments]:
    """A batch under a belief: its loss and its moments, both per row."""
    with Sweep(batch) as sweep:
        (swept,) = sweep([belief.scorer])
    per_row = 1 / batch.total_weight
    loss = -(swept.log_normaliser * per_row + algorithm.log_prior(belief) / total_weight)
    return loss, swept.moments * per_row


Watch = Callable[[int, float], None]
"""Called after every step with the number of steps so far and the loss."""


def learn_all(
    source: Source,
    stream: Stream,
    algorithm: Algorithm,
    batch_rows: int,
    stopping: Stopping,
    rng: np.random.Generator,
    watch: Watch | None = None,
) -> Run:
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
    Run
        With the exact bounds, and the losses.
    """
    start, losses = stream.leading, list[float]()
    means: list[float] = []
    while len(means) < stopping.max_iter and not _has_settled(means, stopping.tol):
        n_before = len(losses)
        for batch in source.batches(batch_rows, rng):
            stream, loss = learn(stream, ArraySource(*batch), algorithm, source.total_weight)
            losses.append(loss)
            if watch is not None:
                watch(len(losses), loss)
        means.append(float(np.mean(losses[n_before:])))
    share_of_tol = min(1.0, stopping.share * (len(losses) / len(means)) ** 2)
    finished = _finish(source, stream.leading, algorithm, stopping, len(means), share_of_tol)
    read = f"after {len(losses)} batches, {len(means)} reads of the data, and {len(finished.bounds)} more of all rows at once"
    reason, _, remaining = finished.stop.sentence.partition(":")
    stop = replace(finished.stop, sentence=f"{reason} {read}:{remaining}")
    return replace(finished, start=start, stop=stop, losses=tuple(losses))


def _finish(
    source: Source, belief: Any, algorithm: Algorithm, stopping: Stopping, n_before: int, share_of_tol: float
) -> Run:
    """Coordinate ascent until no more than a share of ``tol`` per row is still to come, after ``n_before`` reads."""
    bounds: list[float] = []
    start, enough = belief, share_of_tol * stopping.tol * stopping.total_weight
    with Sweep(source) as sweep:
        while True:
            (swept,) = sweep([belief.scorer])
            bounds.append(swept.log_normaliser + algorithm.log_prior(belief))
            n_passes, remaining = n_before + len(bounds), remaining_gain(bounds)
            stop = stopping(bounds, n_passes, belief)
            if stop is None and remaining <= enough:
                stop = Stop.at_top(remaining)
            if stop is not None:
                passes = tuple(range(n_before + 1, n_passes + 1))
                return Run(start, belief, tuple(bounds), stop, passes, n_passes, moments=swept.moments)
            belief = algorithm.maximise(swept.moments)


def _has_settled(means: list[float], tol: float) -> bool:
    return len(means) > 1 and means[-2] - means[-1] <= tol
