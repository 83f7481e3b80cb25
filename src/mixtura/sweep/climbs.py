"""EM in one call of the compiled engine, for rows that fit a cache: a pass over those costs less than a call.

A climb goes on until there is something to decide: about its end, another solver, or an M-step without a plain answer. Whoever calls
decides as if the last pass had been the only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from mixtura.data.source import Block, Source
from mixtura.ground.linalg import Array, read_only
from mixtura.ground.threads import n_threads
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.sweep import compiled
from mixtura.sweep.assign import Assignment, hard, soft
from mixtura.sweep.with_compiled import HARD, SOFT, fits_cache, moments_about, totals_of_component

WORTH_THREADS = 2**18
"""Numbers in the rows times components, from which climbs side by side take a thread each."""
AT_A_TIME = 512
"""Passes to a call."""


class Family(NamedTuple):
    """What an M-step maximises over, and under what.

    Attributes
    ----------
    structure : SharedBlocks
    equal_weights : bool
    floor : (D,) array or None
    prior : NormalInverseWishart or None
    """

    structure: SharedBlocks
    equal_weights: bool
    floor: Array | None
    prior: NormalInverseWishart | None


class Patience(NamedTuple):
    """When a climb comes back, beside for want of a plain M-step.

    Attributes
    ----------
    goal : float
        Gain still to come at which it is at its end.
    steadiness : float
        From which the rate of its gains counts as known, so that it is slow where many passes are left; zero for never.
    least_passes : int
        Before it may count as slow.
    passes_left, in_all : int
        That it has to need then: so many more, and so many with those that it has taken.
    at_last : int
        Passes after which it counts as slow where nothing is known.
    """

    goal: float
    steadiness: float
    least_passes: int
    passes_left: int
    in_all: int
    at_last: int


class Departure(NamedTuple):
    """Where a climb begins: a mixture, the bounds of the climb before (the last four matter), and how many passes it may take."""

    mixture: Mixture
    trail: Sequence[float]
    most_passes: int


class Leg(NamedTuple):
    """How far a climb has come: the bounds of its passes, and of the last one the mixture, log-normaliser and moments."""

    bounds: list[float]
    mixture: Mixture
    log_normaliser: float
    moments: Moments


def rows_in_cache(source: Source) -> Block | None:
    """All rows of a source, where they are few enough and there is an engine to go over them in one call."""
    if not fits_cache(source):
        return None
    rows, weights = source.everything()
    return Block(slice(0, source.n_rows), rows, None if weights is None else weights.astype(np.float64, copy=False))


def climbs(
    rows: Block,
    departures: Sequence[Departure],
    family: Family,
    assignment: Assignment,
    patience: Patience,
    row_weights: Array | None = None,
) -> list[Leg]:
    """Passes and M-steps for each of several mixtures, until there is something to decide about it.

    Parameters
    ----------
    rows : Block
        All rows.
    departures : sequence of Departure
    family : Family
    assignment : Assignment
        ``soft`` or ``hard``.
    patience : Patience
    row_weights : (R, N) array, optional
        Of each climb, beside those of the rows.

    Returns
    -------
    list of Leg
    """
    structure, mixtures = family.structure, [departure.mixture for departure in departures]
    sizes = [mixture.n_components for mixture in mixtures]
    n_features = mixtures[0].n_features
    blocks = [structure.as_blocks(mixture.covariances) for mixture in mixtures]
    shape = blocks[0].ndim - 1
    weights, means = (np.concatenate([getattr(m, name) for m in mixtures]) for name in ("weights", "means"))
    covariances = np.concatenate(blocks)
    factors = np.concatenate([structure.as_blocks(mixture.precision_factors) for mixture in mixtures])
    counts = np.array(
        [(size, len(d.trail), min(d.most_passes, AT_A_TIME)) for size, d in zip(sizes, departures, strict=True)],
        np.int64,
    )
    before = np.array([([0.0] * 4 + list(d.trail[-4:]))[-4:] for d in departures])
    each = totals_of_component(n_features, structure.diagonal)
    totals, bounds = np.empty(len(sizes) + len(weights) * each), np.empty((len(sizes), int(counts[:, 2].max())))
    passes, prior = np.zeros(len(sizes), np.int64), family.prior
    many = rows.rows.size * len(weights) >= WORTH_THREADS and len(sizes) > 1
    compiled.needed().climb(
        rows.rows,
        rows.weights,
        row_weights,
        (
            shape,
            structure.shared,
            family.equal_weights,
            family.floor,
            prior and (prior.mean, prior.mean_precision, prior.scale, prior.degrees_of_freedom),
        ),
        SOFT if assignment is soft else HARD,
        tuple(patience),
        counts,
        before,
        n_threads() if many else 1,
        weights,
        means,
        covariances,
        factors,
        totals,
        bounds,
        passes,
    )
    legs: list[Leg] = []
    ends = list(accumulate(sizes))
    for r, (mixture, size, end) in enumerate(zip(mixtures, sizes, ends, strict=True)):
        own, start = slice(end - size, end), r + (end - size) * each
        block = slice(r, r + 1) if structure.shared else own
        if passes[r] > 1:
            parts = (
                weights[own],
                means[own],
                structure.as_natural(covariances[block]),
                structure.as_natural(factors[block]),
            )
            read_only(*parts)
            mixture = Mixture.from_factor(*parts[:3], structure, parts[3])
        moments = moments_about(mixture.means, totals[start + 1 : start + 1 + size * each], structure.diagonal)
        legs.append(Leg(bounds[r, : passes[r]].tolist(), mixture, float(totals[start]), moments))
    return legs


def goes_in_one_call(assignment: Assignment) -> bool:
    """Whether rows are shared in a way that climbs know."""
    return assignment is soft or assignment is hard
