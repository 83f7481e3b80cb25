"""Further optima of a variational bound, from whatever a fit has found: an evidence is that of all of them together.

Coordinate ascent climbs, as one stack, from the moves that lead out of the optima that are known (merges, deletions, splits) and from
partitions about random rows. It climbs on the sample that all starts look at, and the optima are finished on all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.ground.linalg import Array
from mixtura.inference.climb.loop import climb
from mixtura.inference.rules.stopping import FINE_SHARE, Stopping
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.inference.starts.kmeans import nearest
from mixtura.inference.starts.moves import proposed
from mixtura.inference.starts.sample import SeedingSample, seeding_sample
from mixtura.model.laws.posterior import Posterior
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep, accumulate

N_RANDOM = 8
"""Starts about random rows."""
TOL, MOST_PASSES = 1e-3, 50
"""A proposal need not stand exactly at its optimum."""
MOST_OPTIMA = 16
COMPARED_ROWS = 500
"""By whose labels optima are told apart."""


Belief = TypeVar("Belief", Posterior, Mixture)


class Optima(NamedTuple):
    """Beliefs of which no two label rows alike, and the largest lower bound of the log evidence among them."""

    beliefs: list[Posterior]
    bound: float


def optima(known: Sequence[Posterior], source: Source, rng: np.random.Generator) -> Optima:
    """The optima that beliefs of one prior and shape lead to, and others."""
    first = known[0]
    algorithm = CoordinateAscent(first.structure, first.prior, first.weights)
    sample = seeding_sample(source, first.n_components)
    few = ArraySource(sample.rows, sample.weights * (source.total_weight / sample.weights.sum()))
    with Sweep(few) as sweep:
        moved = [m for swept in sweep([belief.scorer for belief in known]) for m in proposed(swept.moments, algorithm)]
    starts = [algorithm.maximise(moments) for moments in moved] + about_random_rows(sample, few, algorithm, rng)
    stopping = Stopping(TOL, MOST_PASSES, source.total_weight, FINE_SHARE)
    climbed = sorted(climb(few, starts, algorithm, stopping), key=lambda run: -run.bounds[-1])
    found = distinct([*known, *(run.mixture for run in climbed)], sample.rows[:COMPARED_ROWS])
    finished = climb(source, found[:MOST_OPTIMA], algorithm, stopping)
    return Optima([run.mixture for run in finished], max(run.bounds[-1] for run in finished))


def about_random_rows(
    sample: SeedingSample, source: Source, algorithm: CoordinateAscent, rng: np.random.Generator
) -> list[Posterior]:
    """Beliefs given that rows belong to the nearest of some that are drawn."""
    n_components, structure = len(algorithm.weights.expectations), algorithm.structure
    rows = sample.scaled(sample.rows, structure.scales_by_feature)
    centres = np.stack([rows[sample.draw(rng, sample.weights, n_components)] for _ in range(N_RANDOM)])
    moments = [accumulate(source, each, n_components, diagonal=structure.diagonal) for each in nearest(rows, centres)]
    return [algorithm.maximise(each) for each in moments]


def distinct(beliefs: Sequence[Belief], rows: Array) -> list[Belief]:
    """The first of all beliefs that label rows alike, whatever their components are called."""
    found: dict[tuple[int, ...], Belief] = {}
    for belief in beliefs:
        names: dict[int, int] = {}
        labels = tuple(names.setdefault(label, len(names)) for label in belief.predict(rows).tolist())
        found.setdefault(labels, belief)
    return list(found.values())
