"""k-means from k-means++ seeds, several starts side by side.

It is EM with hard assignment, equal weights and one round covariance (``GaussianMixture`` fits that too, with all that a fit is); here it
is what starts need of it: few rounds, on few rows, for many sets of centres in one product. BLAS is held to one thread, so that the same
rows have the same starts to the last bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.ground.threads import n_threads, single_threaded_blas
from mixtura.sweep import compiled

MOST_ROUNDS = 30
LEAST_GAIN = 1e-3
"""Share of all that rounds have gained that one must gain for another one to follow: in many columns most of a sum of squares is noise."""
ALIKE = 0.01
"""Share of the rows that two partitions may place differently and be one."""
WORTH_THREADS = 2**18
"""Distances of one round, over all starts, from which threads are worth waking."""
BLOCK = 2**20
"""Numbers in a block of scores."""


class Partitions(NamedTuple):
    """What several runs of k-means have come to.

    Attributes
    ----------
    centres : (S, K, D) array
        None of them without rows.
    labels : (S, m) integer array
        The nearest centre to each row.
    """

    centres: Array
    labels: NDArray[np.integer]


def kmeans(rows: Array, weights: Array, n_clusters: int, n_starts: int, rng: np.random.Generator) -> Partitions:
    """Several runs of k-means.

    Parameters
    ----------
    rows : (m, D) array
        About their mean, in the units that distance is measured in.
    weights : (m,) array
    n_clusters, n_starts : int
    rng : Generator
    """
    if compiled.engine is not None:
        return _compiled(rows, weights, n_clusters, _uniforms(n_clusters, n_starts, rng))
    seeds = plus_plus(rows, weights, n_clusters, n_starts, rng)
    centres = lloyd(rows, weights, seeds)
    labels = nearest(rows, centres)
    empty = np.array([not np.bincount(own, minlength=n_clusters).all() for own in labels])
    if empty.any():  # seeds own at least themselves
        centres[empty] = seeds[empty]
        labels[empty] = nearest(rows, seeds[empty])
    return Partitions(centres, labels)


def _compiled(rows: Array, weights: Array, n_clusters: int, uniforms: Array) -> Partitions:
    """The same by the compiled engine, in which starts take a thread each where that is worth it."""
    n_starts, (m, n_features) = len(uniforms), rows.shape
    centres, labels = np.empty((n_starts, n_clusters, n_features)), np.empty((n_starts, m), np.int32)
    threads = n_threads() if rows.size * n_clusters * n_starts >= WORTH_THREADS else 1
    compiled.needed().k_means(
        np.ascontiguousarray(rows, dtype=np.float64),
        np.ascontiguousarray(weights, dtype=np.float64),
        uniforms,
        _n_candidates(n_clusters),
        MOST_ROUNDS,
        LEAST_GAIN,
        threads,
        centres,
        labels,
    )
    return Partitions(centres, labels)


@single_threaded_blas()
def nearest(rows: Array, centres: Array) -> NDArray[np.intp]:
    """Labels ``(S, m)``: of several sets of centres, the nearest to each row; of centres just as near the first."""
    labels = np.empty((len(centres), len(rows)), dtype=np.intp)
    size = max(1, BLOCK // centres.shape[1])
    for own, one in zip(labels, centres, strict=True):
        for first in range(0, len(rows), size):
            own[first : first + size] = _squared_distances(rows[first : first + size], one).argmin(axis=0)
    return labels


def different(labels: NDArray[np.integer], weights: Array, n_clusters: int) -> list[int]:
    """Which of several partitions are so in ways of their own: of those that place all rows but a few alike, the first.

    Parameters
    ----------
    labels : (S, m) integer array
    weights : (m,) array
    n_clusters : int
    """
    most = ALIKE * float(weights.sum())
    if compiled.engine is not None:
        own, kept = np.ascontiguousarray(labels, dtype=np.int32), np.empty(len(labels), np.int32)
        n_kept = compiled.needed().different(
            own, np.ascontiguousarray(weights, dtype=np.float64), n_clusters, most, kept
        )
        return kept[:n_kept].tolist()
    return _different(labels, weights, n_clusters, most)


def _different(labels: NDArray[np.integer], weights: Array, n_clusters: int, most: float) -> list[int]:
    """The same with NumPy."""
    kept: list[int] = []
    for s, own in enumerate(labels):
        for other in kept:
            pairs = np.bincount(own * n_clusters + labels[other], weights, n_clusters**2).reshape(n_clusters, -1)
            if weights.sum() - min(pairs.max(axis=0).sum(), pairs.max(axis=1).sum()) <= most:
                break
        else:
            kept.append(s)
    return kept


@single_threaded_blas()
def plus_plus(rows: Array, weights: Array, n_clusters: int, n_starts: int, rng: np.random.Generator) -> Array:
    """Several sets of greedy k-means++ seeds, ``(S, K, D)``.

    Each seed is drawn with probability proportional to weight times squared distance to the seeds before it; of a few candidates the
    one that lowers the total most is kept. Source: Arthur and Vassilvitskii (2007).
    """
    n_candidates, uniforms = _n_candidates(n_clusters), _uniforms(n_clusters, n_starts, rng)
    squares = np.einsum("nd,nd->n", rows, rows)
    every = np.arange(n_starts)
    seeds = np.empty((n_starts, n_clusters, rows.shape[1]))
    seeds[:, 0] = rows[_drawn(np.broadcast_to(weights, (n_starts, len(rows))), uniforms[:, :1])[:, 0]]
    closest = _squared_distances(rows, seeds[:, 0], squares)
    for k in range(1, n_clusters):
        mass = closest * weights
        exhausted = ~mass.any(axis=1)
        if exhausted.any():  # fewer distinct rows than clusters
            mass[exhausted] = weights
        candidates = rows[_drawn(mass, uniforms[:, 1 + (k - 1) * n_candidates : 1 + k * n_candidates])]
        lowered = _squared_distances(rows, candidates.reshape(-1, rows.shape[1]), squares)
        lowered = np.minimum(lowered.reshape(n_starts, n_candidates, -1), closest[:, None])
        best = (lowered @ weights).argmin(axis=1)
        seeds[:, k], closest = candidates[every, best], lowered[every, best]
    return seeds


@single_threaded_blas()
def lloyd(
    rows: Array, weights: Array, centres: Array, most_rounds: int = MOST_ROUNDS, gain: float = LEAST_GAIN
) -> Array:
    """Centres ``(S, K, D)`` after Lloyd's rounds from each set: rows to their nearest centres (ties are shared), centres to their means.

    A centre without rows stays where it is.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.inference.starts.kmeans import lloyd
    >>> rows = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> lloyd(rows, np.ones(5), rows[[[0, 1]]])[0, :, 0].tolist()
    [0.5, 11.0]
    """
    centres, total = centres.copy(), float(weights @ np.einsum("nd,nd->n", rows, rows))
    before, going = np.full(len(centres), np.inf), np.arange(len(centres))
    first = before
    for n_rounds in range(most_rounds):
        counts, sums, explained = _round(rows, weights, centres[going])
        after = total - explained
        filled = counts > 0
        np.divide(sums, counts[..., None], out=sums, where=filled[..., None])
        centres[going] = np.where(filled[..., None], sums, centres[going])
        if not n_rounds:
            first = before = after
            continue
        gaining = before - after > gain * (first - after)
        going, first, before = going[gaining], first[gaining], after[gaining]
        if not len(going):
            break
    return centres


def _round(rows: Array, weights: Array, centres: Array) -> tuple[Array, Array, Array]:
    """Weights and sums of the rows nearest to each centre, and by how much the centres lower the sum of squares about the origin."""
    n_starts, n_clusters, n_features = centres.shape
    flat = centres.reshape(-1, n_features)
    halves = 0.5 * np.einsum("kd,kd->k", flat, flat)[:, None]
    counts, sums, explained = np.zeros((n_starts, n_clusters)), np.zeros_like(flat), np.zeros(n_starts)
    size = max(1, BLOCK // len(flat))
    for first in range(0, len(rows), size):
        block, mass = rows[first : first + size], weights[first : first + size]
        scores = (flat @ block.T - halves).reshape(n_starts, n_clusters, -1)
        peaks = scores.max(axis=1, keepdims=True)
        shares = np.equal(scores, peaks, out=scores)
        shares *= mass / shares.sum(axis=1, keepdims=True)
        counts += shares.sum(axis=2)
        sums += shares.reshape(len(flat), -1) @ block
        explained += 2 * (peaks[:, 0] @ mass)
    return counts, sums.reshape(centres.shape), explained


def _squared_distances(rows: Array, centres: Array, squares: Array | None = None) -> Array:
    """``‖x_n − c‖²``, ``(C, m)``; less ``‖x_n‖²`` where those are not given."""
    distances = centres @ rows.T
    distances *= -2
    distances += np.einsum("cd,cd->c", centres, centres)[:, None]
    if squares is None:
        return distances
    distances += squares
    return np.maximum(distances, 0.0, out=distances)


def _n_candidates(n_clusters: int) -> int:
    """Rows among which each seed but the first is chosen."""
    return 2 + int(math.log(n_clusters))


def _uniforms(n_clusters: int, n_starts: int, rng: np.random.Generator) -> Array:
    """The random numbers that each start takes: one for the first seed, then one for each candidate."""
    return rng.random((n_starts, 1 + (n_clusters - 1) * _n_candidates(n_clusters)))


def _drawn(masses: Array, uniforms: Array) -> NDArray[np.intp]:
    """Indices ``(S, n)`` with probabilities proportional to each of several rows of masses, by inverse distribution functions."""
    cumulative = np.cumsum(masses, axis=1)
    points = uniforms * cumulative[:, -1:]
    found = [row.searchsorted(at, side="right") for row, at in zip(cumulative, points, strict=True)]
    return np.minimum(found, masses.shape[1] - 1)
