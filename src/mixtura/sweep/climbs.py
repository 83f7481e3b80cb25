"""Climbs in one call of the compiled engine, for rows that fit a cache: a pass over those costs less than a call.

They are those of EM, or of a belief by coordinate ascent. A climb goes on until there is something to decide: about its end, another
solver, or a step without a plain answer. Whoever calls decides as if the last pass had been the only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Block, Source
from mixtura.ground.linalg import Array, read_only
from mixtura.ground.threads import n_threads
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import Dirichlet, StickBreaking, WeightPosterior
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.sweep import compiled
from mixtura.sweep.assign import Assignment, hard, soft
from mixtura.sweep.with_compiled import HARD, SOFT, fits_cache, moments_about, totals_of_component

WORTH_THREADS = 2**18
"""Numbers in the rows times components, from which climbs side by side take a thread each."""
AT_A_TIME = 512
"""Passes to a call."""


class Packed(NamedTuple):
    """What several climbs are at, one after another, as the engine changes it.

    Attributes
    ----------
    weights, means, blocks, factors : arrays
        Of points; of beliefs concentrations, or the first parameters of sticks, expected means, scales and their factors.
    belief : tuple of arrays or None
        What beliefs have besides: the second parameters of sticks, their order, precisions of means, and degrees of freedom.
    """

    weights: Array
    means: Array
    blocks: Array
    factors: Array
    belief: tuple[Array, NDArray[np.int64], Array, Array] | None = None


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

    def described(self, packed: Packed) -> tuple[Any, ...]:
        """For the engine."""
        return (*_of_structure(self.structure), self.equal_weights, self.floor, _of_prior(self.prior), None)

    def pack(self, mixtures: Sequence[Mixture]) -> Packed:
        """Mixtures as arrays of their own."""
        return Packed(
            np.concatenate([m.weights for m in mixtures]),
            np.concatenate([m.means for m in mixtures]),
            np.concatenate([self.structure.as_blocks(m.covariances) for m in mixtures]),
            np.concatenate([self.structure.as_blocks(m.precision_factors) for m in mixtures]),
        )

    def unpack(self, packed: Packed, own: slice, block: slice) -> Mixture:
        """One of them."""
        weights, means = packed.weights[own], packed.means[own]
        covariances, factor = (self.structure.as_natural(part[block]) for part in (packed.blocks, packed.factors))
        read_only(weights, means, covariances, factor)
        return Mixture.from_factor(weights, means, covariances, self.structure, factor)


class Beliefs(NamedTuple):
    """What is believed, under which prior.

    Attributes
    ----------
    structure : SharedBlocks
    prior : NormalInverseWishart
    weights : Dirichlet or StickBreaking
        Any belief under the prior of the weights, one that is ``known``.
    """

    structure: SharedBlocks
    prior: NormalInverseWishart
    weights: Dirichlet | StickBreaking

    def described(self, packed: Packed) -> tuple[Any, ...]:
        """For the engine."""
        assert packed.belief is not None
        belief = (isinstance(self.weights, StickBreaking), self.weights.prior, *packed.belief)
        return (*_of_structure(self.structure), False, None, _of_prior(self.prior), belief)

    def pack(self, posteriors: Sequence[Posterior]) -> Packed:
        """Beliefs as arrays of their own."""
        each: list[Any] = [p.weights for p in posteriors]
        if isinstance(self.weights, StickBreaking):
            first, second = np.concatenate([w.sticks for w in each]).T.copy()
            order = np.concatenate([w.order for w in each]).astype(np.int64)
        else:
            first = np.concatenate([w.concentrations for w in each])
            second, order = np.zeros(len(first)), np.zeros(len(first), np.int64)
        parts = ("means", "mean_precisions", "degrees_of_freedom")
        means, mean_precisions, degrees = (np.concatenate([getattr(p, name) for p in posteriors]) for name in parts)
        scales = np.concatenate([self.structure.as_blocks(p.scales) for p in posteriors])
        factors = np.concatenate([p.factors for p in posteriors])
        return Packed(first, means, scales, factors, (second, order, mean_precisions, degrees))

    def unpack(self, packed: Packed, own: slice, block: slice) -> Posterior:
        """One of them."""
        assert packed.belief is not None
        second, order, mean_precisions, degrees = packed.belief
        weights: Dirichlet | StickBreaking = (
            StickBreaking(self.weights.prior, np.stack([packed.weights[own], second[own]], axis=1), order[own])
            if isinstance(self.weights, StickBreaking)
            else Dirichlet(self.weights.prior, packed.weights[own])
        )
        parts = (
            packed.means[own],
            mean_precisions[own],
            self.structure.as_natural(packed.blocks[block]),
            degrees[block],
        )
        return Posterior.from_factors(self.structure, self.prior, weights, *parts, packed.factors[block])


def _of_structure(structure: SharedBlocks) -> tuple[int, bool]:
    rank = len(structure.block_shape(2))
    return rank, structure.shared


def _of_prior(prior: NormalInverseWishart | None) -> tuple[Any, ...] | None:
    return None if prior is None else (prior.mean, prior.mean_precision, prior.scale, prior.degrees_of_freedom)


def knows(weights: WeightPosterior) -> bool:
    """Whether a belief about weights is one that climbs know; sticks of which many are expected have no order that is plain."""
    return isinstance(weights, Dirichlet) or (isinstance(weights, StickBreaking) and weights.prior <= 1)


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
    """Where a climb begins: a mixture or belief, the bounds of the climb before (the last four matter), and how many passes it may take."""

    mixture: Any
    trail: Sequence[float]
    most_passes: int


class Leg(NamedTuple):
    """How far a climb has come: the bounds of its passes, and of the last one the mixture or belief, and the moments."""

    bounds: list[float]
    mixture: Any
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
    family: Family | Beliefs,
    assignment: Assignment,
    patience: Patience,
    row_weights: Array | None = None,
) -> list[Leg]:
    """Passes and updates for each of several mixtures or beliefs, until there is something to decide about it.

    Parameters
    ----------
    rows : Block
        All rows.
    departures : sequence of Departure
    family : Family or Beliefs
    assignment : Assignment
        ``soft`` or ``hard``.
    patience : Patience
    row_weights : (R, N) array, optional
        Of each climb, beside those of the rows.

    Returns
    -------
    list of Leg
    """
    structure, n_features = family.structure, rows.rows.shape[1]
    sizes = [len(departure.mixture.means) for departure in departures]
    packed = family.pack([departure.mixture for departure in departures])
    n_components, each = len(packed.means), totals_of_component(n_features, structure.diagonal)
    counts = np.array(
        [(size, len(d.trail), min(d.most_passes, AT_A_TIME)) for size, d in zip(sizes, departures, strict=True)],
        np.int64,
    )
    before = np.array([([0.0] * 4 + list(d.trail[-4:]))[-4:] for d in departures])
    totals, bounds = np.empty(len(sizes) + n_components * each), np.empty((len(sizes), int(counts[:, 2].max())))
    passes = np.zeros(len(sizes), np.int64)
    many = rows.rows.size * n_components >= WORTH_THREADS and len(sizes) > 1
    compiled.needed().climb(
        rows.rows,
        rows.weights,
        row_weights,
        family.described(packed),
        SOFT if assignment is soft else HARD,
        tuple(patience),
        counts,
        before,
        n_threads() if many else 1,
        packed.weights,
        packed.means,
        packed.blocks,
        packed.factors,
        totals,
        bounds,
        passes,
    )
    legs: list[Leg] = []
    ends = list(accumulate(sizes))
    for r, (departure, size, end) in enumerate(zip(departures, sizes, ends, strict=True)):
        own, start = slice(end - size, end), r + (end - size) * each
        block = slice(r, r + 1) if structure.shared else own
        mixture = family.unpack(packed, own, block) if passes[r] > 1 else departure.mixture
        moments = moments_about(mixture.means, totals[start + 1 : start + 1 + size * each], structure.diagonal)
        legs.append(Leg(bounds[r, : passes[r]].tolist(), mixture, moments))
    return legs


def goes_in_one_call(assignment: Assignment) -> bool:
    """Whether rows are shared in a way that climbs know."""
    return assignment is soft or assignment is hard
