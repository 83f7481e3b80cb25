"""Leaps between optima of a variational bound: merge two components, delete one, or split one into an empty place.

Coordinate ascent keeps the number of components that the data fill almost as it began. A move is proposed from the moments alone, climbs a
few passes beside all others in one stack, and is kept only if the bound has risen by then. Source: Hughes and Sudderth (2013), "Memoized
online variational inference for Dirichlet process mixture models"; Ueda, Nakano, Ghahramani and Hinton (2000), "SMEM algorithm for mixture
models".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array, outer
from mixtura.inference.climb.loop import Observer, Run, climb, joined
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.inference.starts.race import SAME_BOUND, places
from mixtura.model.laws.weights import Dirichlet
from mixtura.model.moments import Moments

TRIALS = ((1, 3), (2, 1), (3, 1))
"""Passes that moves have to raise the bound, in stages, and how many of them go on after each."""
MOST_LEAPS = 100
"""Each raises the bound, so there is an end to them; a fit is not to wait for it for ever."""
MOST_OF_A_KIND = 3
"""Merges, deletions and splits that are tried at a time."""
EMPTY = 1.0
"""A component with fewer rows is empty."""


def leap(
    source: ArraySource,
    run: Run,
    algorithm: CoordinateAscent,
    stopping: Stopping,
    observe: Observer | None = None,
) -> Run:
    """Climb on from a run by moves, for as long as one of them raises the bound.

    Moves lead from optimum to optimum: each has ``max_iter`` passes to come to one, as a restart has, or is not made.

    Parameters
    ----------
    source : ArraySource
    run : Run
        That has converged.
    algorithm : CoordinateAscent
    stopping : Stopping
    observe : Observer, optional
    """
    width = SAME_BOUND * stopping.total_weight
    for _ in range(MOST_LEAPS):
        assert run.moments is not None
        trying, spent = proposed(run.moments, algorithm), run.n_passes
        if not trying:
            return run
        for n_passes, n_going_on in TRIALS:
            beliefs = [algorithm.maximise(moments) for moments in trying]
            tried = climb(source, beliefs, algorithm, replace(stopping, max_iter=n_passes - 1))
            spent += tried[0].n_passes_together
            found = places(tried, lambda attempt: attempt.bounds[-1], width)[:n_going_on]
            trying = [place[0].moments for place in found if place[0].moments is not None]
        best = found[0][0]
        if (
            best.bounds[-1] <= run.bounds[-1] + width + run.stop.remaining
        ):  # back where it was, but for what it had left over
            return replace(run, n_passes=spent)
        (following,) = climb(source, [best.mixture], algorithm, stopping, observe)
        if following.stop.reason == "max_iter" and not following.stop.converged:
            return replace(run, n_passes=spent + following.n_passes)
        run = joined(run, following, spent)
        if not run.stop.converged:
            return run
    return run


def proposed(moments: Moments, algorithm: CoordinateAscent) -> list[Moments]:
    """Moments after each move that is worth a try."""
    filled = np.flatnonzero(moments.count >= EMPTY).tolist()
    empty = np.flatnonzero(moments.count < EMPTY).tolist()
    merges = [merged(moments, i, j) for i, j in promising(moments, filled, algorithm)]
    by_count = sorted(filled, key=lambda k: moments.count[k])
    deletions = [without(moments, k) for k in by_count[:MOST_OF_A_KIND]] if len(filled) > 1 else []
    units = np.sqrt(np.diagonal(algorithm.prior.scale))
    splits = [split(moments, k, empty[0], units) for k in by_count[::-1][:MOST_OF_A_KIND]] if empty else []
    return merges + deletions + splits


def promising(moments: Moments, filled: Sequence[int], algorithm: CoordinateAscent) -> list[tuple[int, int]]:
    """The pairs whose merger does most for the bound, but for the entropy of the responsibilities, the best first."""
    pairs = list(combinations(filled, 2))
    if not pairs:
        return []
    if algorithm.structure.shared:
        gains = [_bound_less_entropy(merged(moments, i, j), algorithm) for i, j in pairs]
    else:
        kept, gone = np.array(pairs).T
        alone = _evidences(moments, algorithm)
        together = _evidences(moments[kept] + moments[gone].about(moments.origin[kept]), algorithm)
        gains = together - alone[kept] - alone[gone] + [_of_weights(moments.count, i, j, algorithm) for i, j in pairs]
    order = np.argsort(-np.asarray(gains), kind="stable")[:MOST_OF_A_KIND]
    return [pairs[place] for place in order]


def _bound_less_entropy(moments: Moments, algorithm: CoordinateAscent) -> float:
    belief = algorithm.maximise(moments)
    return belief.scorer.expected(moments) - belief.divergence


def _evidences(moments: Moments, algorithm: CoordinateAscent) -> Array:
    """Log densities of the rows of components that have a covariance each, means and covariances integrated out."""
    belief = replace(algorithm, weights=Dirichlet(1.0, np.ones(len(moments.count)))).maximise(moments)
    on_weights = moments.count * belief.weights.expected_logs
    return belief.scorer.expected_of_each(moments) - on_weights - belief.divergences


def _of_weights(counts: Array, kept: int, gone: int, algorithm: CoordinateAscent) -> float:
    """Log probability of the labels once a component has those of another, up to a constant: weights are integrated out."""
    after = counts.copy()
    after[kept], after[gone] = counts[kept] + counts[gone], 0.0
    return algorithm.weights.updated(after).law.log_normaliser


def merged(moments: Moments, kept: int, gone: int) -> Moments:
    """All rows of one component given to another."""
    both = moments[kept : kept + 1] + moments[gone : gone + 1]
    return without(_with(moments, kept, both), gone)


def without(moments: Moments, gone: int) -> Moments:
    """One component without its rows; the others take them at the next pass."""
    return _with(moments, gone, moments[gone : gone + 1] * 0.0)


def split(moments: Moments, k: int, place: int, units: Array) -> Moments:
    """One component cut through its mean across its longest axis; the far half goes to another place.

    Half of a normal has its mean ``√(2/π)`` standard deviations from the cut, and a variance of ``1 − 2/π`` across it. How long an axis is
    depends on the units of the features, ``(D,)``.
    """
    own = moments[k : k + 1].about(moments[k : k + 1].means())
    count, second = own.count[0], own.second[0]
    half = 0.5 * own
    if own.diagonal:
        axis = np.zeros(len(second))
        longest = int((second / units**2).argmax())
        axis[longest] = math.sqrt(max(second[longest], 0.0) / count)
        inner = half.second[0] - count / math.pi * axis**2
    else:
        values, vectors = np.linalg.eigh(second / outer(units))
        towards = vectors[:, -1] * np.sign(vectors[np.abs(vectors[:, -1]).argmax(), -1])
        axis = units * towards * math.sqrt(max(values[-1], 0.0) / count)
        inner = half.second[0] - count / math.pi * np.outer(axis, axis)
    offset = math.sqrt(2 / math.pi) * axis
    for target, sign in ((k, 1.0), (place, -1.0)):
        centre = own.origin + sign * offset
        moments = _with(moments, target, Moments(half.count, 0.0 * half.first, inner[None], centre))
    return moments


def _with(moments: Moments, k: int, one: Moments) -> Moments:
    """The moments with those of one component replaced, about its old origin."""
    moved = one.about(moments.origin[k : k + 1])

    def put(array: Array, value: Array) -> Array:
        changed = array.copy()
        changed[k] = value[0]
        return changed

    return Moments(
        put(moments.count, moved.count),
        put(moments.first, moved.first),
        put(moments.second, moved.second),
        moments.origin,
    )
