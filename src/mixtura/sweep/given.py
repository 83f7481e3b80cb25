"""Moments for responsibilities or labels that are given, about each component's own mean: two reads, no digits lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Arrays, Block, Source
from mixtura.ground.linalg import Array
from mixtura.ground.threads import single_threaded_blas
from mixtura.model.moments import Moments
from mixtura.sweep import compiled
from mixtura.sweep.kernels import add_block, zero_totals
from mixtura.sweep.with_compiled import fits_cache


def accumulate(
    source: Source, responsibilities: Array | NDArray[np.integer], n_components: int, *, diagonal: bool
) -> Moments:
    """Moments about the mean of each component, or about that of all rows, if it has none.

    Parameters
    ----------
    source : Source
    responsibilities : (N, K) array, or (N,) integer array of labels
    n_components : int
        ``K``.
    diagonal : bool
        Whether the diagonals of the second moments are enough.
    """
    if responsibilities.ndim == 1 and fits_cache(source):
        return _of_few_rows(source, responsibilities, n_components, diagonal)
    if responsibilities.ndim == 1:
        given: GivenLabels | GivenShares = GivenLabels(responsibilities.astype(np.intp, copy=False), n_components)
    else:
        given = GivenShares(np.asarray(responsibilities, dtype=np.float64))
    with single_threaded_blas():
        counts, sums = source.reduce(given.sums, source.strip_rows).parts
        filled = counts > 0
        everywhere = sums.sum(axis=0) / (counts.sum() or 1.0)
        means = np.where(filled[:, None], sums / np.where(filled, counts, 1.0)[:, None], everywhere)
        about = given.about(means, diagonal)
        first, second = source.reduce(about, source.strip_rows).parts
    return Moments(counts, first, second, means)


def _of_few_rows(source: Source, labels: NDArray[Any], n_components: int, diagonal: bool) -> Moments:
    """The same for labels of rows that fit a cache, by the compiled engine."""
    rows, weights = source.everything()
    means = np.empty((n_components, source.n_features))
    count, second = np.empty(n_components), np.empty(means.shape if diagonal else (*means.shape, source.n_features))
    compiled.needed().of_partition(
        rows.astype(np.float64, copy=False),
        weights if weights is None else weights.astype(np.float64, copy=False),
        np.ascontiguousarray(labels, dtype=np.int32),
        count,
        means,
        second,
    )
    return Moments(count, np.zeros(means.shape), second, means)


def moments_of_all(source: Source, *, diagonal: bool) -> Moments:
    """Moments of all rows as those of a single component, about their mean."""
    facts = source.facts
    count, mean = np.array([facts.total_weight]), facts.mean[None].copy()
    if diagonal:
        return Moments(count, np.zeros_like(mean), facts.squares[None].copy(), mean)
    with single_threaded_blas():
        first, second = source.reduce(MomentsAbout(all_as_one, mean, False), source.strip_rows).parts
    return Moments(count, first, second, mean)


@dataclass(frozen=True, eq=False)
class GivenShares:
    """Responsibilities ``(N, K)``."""

    responsibilities: Array

    def sums(self, strip: Block) -> Arrays:
        """Counts and sums of rows."""
        n_components = self.responsibilities.shape[1]
        counts, sums = np.zeros(n_components), np.zeros((n_components, strip.rows.shape[1]))
        for rows, shares in self._weighted(strip):
            counts += shares.sum(axis=1)
            sums += shares @ rows
        return Arrays([counts, sums])

    def about(self, means: Array, diagonal: bool) -> MomentsAbout:
        """The task of the second read."""
        return MomentsAbout(self._weighted, means, diagonal)

    def _weighted(self, strip: Block) -> Iterator[tuple[Array, Array]]:
        """Blocks of rows with their weighted responsibilities ``(K, B)``."""
        for position, rows, weights in strip.cut(block_rows(self.responsibilities.shape[1], strip.rows.shape[1])):
            shares = np.ascontiguousarray(self.responsibilities[position].T)
            yield rows, shares if weights is None else shares * weights


@dataclass(frozen=True, eq=False)
class MomentsAbout:
    """First and second moments about given points, ``(K, D)``."""

    weighted: Callable[[Block], Iterable[tuple[Array, Array]]]
    points: Array
    diagonal: bool

    def __call__(self, strip: Block) -> Arrays:
        _, first, second = totals = zero_totals(self.points.shape, self.diagonal)
        for rows, shares in self.weighted(strip):
            add_block(rows - self.points[:, None, :], shares, totals)
        return Arrays([first, second])


def all_as_one(strip: Block) -> Iterator[tuple[Array, Array]]:
    """Blocks of rows with weights ``(1, B)``, as those of a single component."""
    for _, rows, weights in strip.cut(block_rows(1, strip.rows.shape[1])):
        yield rows, np.ones((1, len(rows))) if weights is None else weights[None]


def block_rows(n_components: int, n_features: int) -> int:
    """Rows to a block, so that residuals from all components stay in cache."""
    return max(64, 2**16 // (n_components * n_features))


class Grouped(NamedTuple):
    """Rows of a strip and their weights, in the order of their components; which of these have any, and where theirs begin and end."""

    rows: Array
    weights: Array
    filled: NDArray[np.intp]
    starts: NDArray[np.intp]
    ends: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """Labels ``(N,)`` among so many components."""

    labels: NDArray[np.intp]
    n_components: int

    def sums(self, strip: Block) -> Arrays:
        """Counts and sums of rows."""
        counts, sums = np.zeros(self.n_components), np.zeros((self.n_components, strip.rows.shape[1]))
        rows, weights, filled, starts, _ = self.grouped(strip)
        counts[filled] = np.add.reduceat(weights, starts)
        sums[filled] = np.add.reduceat(rows * weights[:, None], starts)
        return Arrays([counts, sums])

    def about(self, means: Array, diagonal: bool) -> GroupsAbout:
        """The task of the second read."""
        return GroupsAbout(self, means, diagonal)

    def grouped(self, strip: Block) -> Grouped:
        """The rows of a strip by their labels."""
        labels = self.labels[strip.position]
        order = np.argsort(labels, kind="stable")
        sizes = np.bincount(labels, minlength=self.n_components)
        filled, ends = np.flatnonzero(sizes), np.cumsum(sizes)
        rows = strip.rows[order].astype(np.float64, copy=False)
        weights = np.ones(len(rows)) if strip.weights is None else strip.weights[order].astype(np.float64, copy=False)
        return Grouped(rows, weights, filled, ends[filled] - sizes[filled], ends[filled])


@dataclass(frozen=True, eq=False)
class GroupsAbout:
    """First and second moments of each group about given points, ``(K, D)``."""

    given: GivenLabels
    points: Array
    diagonal: bool

    def __call__(self, strip: Block) -> Arrays:
        rows, weights, filled, starts, ends = self.given.grouped(strip)
        residuals = rows - np.repeat(self.points[filled], ends - starts, axis=0)
        _, first, second = zero_totals(self.points.shape, self.diagonal)
        first[filled] = np.add.reduceat(residuals * weights[:, None], starts)
        if self.diagonal:
            second[filled] = np.add.reduceat(np.square(residuals) * weights[:, None], starts)
        else:
            residuals *= np.sqrt(weights)[:, None]
            for k, start, end in zip(filled, starts, ends, strict=True):
                own = residuals[start:end]
                np.matmul(own.T, own, out=second[k])
        return Arrays([first, second])
