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
from functools import reduce
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Source
from mixtura.ground.linalg import Array, outer
from mixtura.inference.climb.loop import Observer, Run, climb, joined
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.inference.starts.race import SAME_BOUND, places
from mixtura.model.laws.weights import Dirichlet
from mixtura.model.moments import Moments

TRIALS = ((1, 3), (2, 1), (3, 1))
"""Passes that moves have to raise the bound, in stages, and how many of them go on after each."""
BETWEEN = 1.0
"""Share of ``tol`` that may be still to come when the next moves are tried: what is left is climbed at the end."""
MOST_LEAPS = 100
"""Each raises the bound, so there is an end to them; a fit is not to wait for it for ever."""
MOST_OF_A_KIND = 3
"""Merges, deletions and splits that are tried at a time."""
FEWER_AT_ONCE = 4
"""One in so many components is merged away where several mergers are tried at once."""
EMPTY = 1.0
"""A component with fewer rows is empty."""


def leap(
    source: Source,
    run: Run,
    algorithm: CoordinateAscent,
    stopping: Stopping,
    observe: Observer | None = None,
) -> Run:
    """Climb on from a run by moves, for as long as one of them raises the bound.

    Moves lead from optimum to optimum: each has ``max_iter`` passes to come to one, as a restart has, or is not made.

    Parameters
    ----------
    source : Source
    run : Run
        That has converged.
    algorithm : CoordinateAscent
    stopping : Stopping
    observe : Observer, optional
    """
    between, is_at_end = replace(stopping, share=max(stopping.share, BETWEEN)), True
    for _ in range(MOST_LEAPS):
        assert run.moments is not None
        best, spent = _best_move(source, run, algorithm, stopping)
        gain = -math.inf if best is None else best.bounds[-1] - run.bounds[-1] - _width(stopping)
        if best is not None and gain > run.stop.remaining:
            belief, rule, is_at_end = best.mixture, between, False
        elif is_at_end:
            return replace(run, n_passes=spent)
        else:
            belief, rule, is_at_end = algorithm.maximise(run.moments), stopping, True
        (following,) = climb(source, [belief], algorithm, rule, observe)
        if following.stop.reason == "max_iter" and not following.stop.converged:
            return replace(run, n_passes=spent + following.n_passes)
        run = joined(run, following, spent)
        # A move that would bring less than what was still to come, if anything, is looked at again.
        if not run.stop.converged or (is_at_end and gain <= 0):
            return run
    return run


def _best_move(source: Source, run: Run, algorithm: CoordinateAscent, stopping: Stopping) -> tuple[Run | None, int]:
    """The best of all moves, a few passes on, and all reads so far."""
    assert run.moments is not None
    trying, best, spent = proposed(run.moments, algorithm), None, run.n_passes
    for n_passes, n_going_on in TRIALS if trying else ():
        beliefs = algorithm.maximise_stack(trying)
        tried = climb(source, beliefs, algorithm, replace(stopping, max_iter=n_passes - 1))
        spent += tried[0].n_passes_together
        found = places(tried, lambda attempt: attempt.bounds[-1], _width(stopping))[:n_going_on]
        best = found[0][0]
        trying = [place[0].moments for place in found if place[0].moments is not None]
    return best, spent


def _width(stopping: Stopping) -> float:
    """Bounds that differ by less are those of the same place."""
    return SAME_BOUND * stopping.total_weight


def proposed(moments: Moments, algorithm: CoordinateAscent) -> list[Moments]:
    """Moments after each move that is worth a try."""
    filled = np.flatnonzero(moments.count >= EMPTY).tolist()
    empty = np.flatnonzero(moments.count < EMPTY).tolist()
    pairs = promising(moments, filled, algorithm)
    merges = [merged(moments, i, j) for i, j in pairs[:MOST_OF_A_KIND]]
    several = disjoint(pairs)[: len(filled) // FEWER_AT_ONCE]
    if len(several) > 1:
        merges.append(reduce(lambda before, pair: merged(before, *pair), several, moments))
    by_count = sorted(filled, key=lambda k: moments.count[k])
    deletions = [without(moments, k) for k in by_count[:MOST_OF_A_KIND]] if len(filled) > 1 else []
    units = np.sqrt(np.diagonal(algorithm.prior.scale))
    largest = by_count[::-1]
    if empty:
        splits = [split(moments, k, empty[0], units) for k in largest[:MOST_OF_A_KIND]]
    else:  # two make room for the halves of a third
        splits = [
            split(merged(moments, i, j), next(k for k in largest if k not in (i, j)), j, units)
            for i, j in pairs[:MOST_OF_A_KIND]
            if len(filled) > 2
        ]
    return merges + deletions + splits


def promising(moments: Moments, filled: Sequence[int], algorithm: CoordinateAscent) -> list[tuple[int, int]]:
    """The pairs by what their merger does for the bound, but for the entropy of the responsibilities, the best first."""
    pairs = list(combinations(filled, 2))
    if not pairs:
        return []
    if algorithm.structure.shared:
        gains = np.array([_bound_less_entropy(merged(moments, i, j), algorithm) for i, j in pairs])
    else:
        kept, gone = np.array(pairs).T
        alone = _evidences(moments, algorithm)
        together = _evidences(moments[kept] + moments[gone].about(moments.origin[kept]), algorithm)
        of_labels = algorithm.weights.log_evidences(_counts(moments.count, kept, gone))
        gains = together - alone[kept] - alone[gone] + of_labels
    return [pairs[place] for place in np.argsort(-gains, kind="stable")]


def disjoint(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The first of the pairs, and each further one that shares no component with those before."""
    found: list[tuple[int, int]] = []
    taken: set[int] = set()
    for pair in pairs:
        if taken.isdisjoint(pair):
            found.append(pair)
            taken.update(pair)
    return found


def _bound_less_entropy(moments: Moments, algorithm: CoordinateAscent) -> float:
    belief = algorithm.maximise(moments)
    return belief.scorer.expected(moments) - belief.divergence


def _evidences(moments: Moments, algorithm: CoordinateAscent) -> Array:
    """Log densities of the rows of components that have a covariance each, means and covariances integrated out."""
    belief = replace(algorithm, weights=Dirichlet(1.0, np.ones(len(moments.count)))).maximise(moments)
    on_weights = moments.count * belief.weights.expected_logs
    return belief.scorer.expected_of_each(moments) - on_weights - belief.divergences


def _counts(counts: Array, kept: NDArray[np.intp], gone: NDArray[np.intp]) -> Array:
    """Those after each merger, ``(P, K)``."""
    after, merger = np.tile(counts, (len(kept), 1)), np.arange(len(kept))
    after[merger, kept] += counts[gone]
    after[merger, gone] = 0.0
    return after


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
