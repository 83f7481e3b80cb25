"""One pass over the data: score every block, assign its rows, add up the moments.

A pass takes several mixtures and reads the data once for all of them. Blocks are gathered into strips; threads share the strips, and
strips are added up in the order in which they lie, so the result does not depend on the number of threads to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate as running_sums
from itertools import chain, compress, repeat
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.assign import Assignment, soft
from mixtura.sweep.features import Features
from mixtura.sweep.kernels import (
    FeatureKernel,
    Kernel,
    Member,
    WhitenedKernel,
    add_block,
    cancellation,
    zero_totals,
)
from mixtura.sweep.mended import mended, mended_kernel
from mixtura.sweep.scratch import Scratch
from mixtura.sweep.tangents import TangentFeatureKernel, TangentWhitenedKernel
from mixtura.sweep.threads import hold_own_blas, n_threads, single_threaded_blas

LARGEST_CANCELLATION = {np.dtype(np.float64): 1e5, np.dtype(np.float32): 1e3}
"""Up to this many times the score may a mixture's features be: 11 digits are left in float64, 4 in float32."""
MOST_FEATURES = 64
"""Above this dimension whitened products win over matrix features."""
MOST_STRIPS = 64
LEAST_THREADED = 2**16
"""Multiplications of a pass below which no BLAS uses threads by itself."""
LEAST_SHARED = 2**22
"""Multiplications of a pass from which threads are worth waking."""
PIVOT_ROWS = 2**16
TRACE = 1e-32
"""A component whose rows weigh less than this beside those of another has none: in float32 ``exp(−80)`` stands for nothing at all."""

Prepared = dict[np.dtype | None, Array]
"""A block in each form that kernels read."""


class Swept(NamedTuple):
    """What a pass brings back for one mixture.

    Attributes
    ----------
    log_normaliser : float
        ``Σ_n w_n log Σ_k ρ_nk`` (for hard assignment ``Σ_n w_n max_k log ρ_nk``).
    moments : Moments
        Of its ``K`` components.
    """

    log_normaliser: float
    moments: Moments


class Sweep:
    """Passes over one source; used as a context, in which threads wait for large passes and BLAS is held to one.

    Parameters
    ----------
    source : ArraySource
    """

    def __init__(self, source: ArraySource) -> None:
        self.source = source
        self._pivot, self._variances = _centre_and_spread(source)
        self._kept: dict[tuple[np.dtype, bool], Array] = {}
        self._idle = [Scratch()]
        self._stack = ExitStack()
        self._threads = 0
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool, self._threads = None, 0
        self._stack.close()

    def __call__(self, scorers: Sequence[Scorer], assignments: Sequence[Assignment] | Assignment = soft) -> list[Swept]:
        """Visit every row once for all of the mixtures.

        Parameters
        ----------
        scorers : sequence of Scorer
        assignments : Assignment or sequence of Assignment
            How rows are shared among components, for all mixtures or for each.

        Returns
        -------
        list of Swept
            In the order of the scorers.
        """
        each = assignments if isinstance(assignments, Sequence) else repeat(assignments, len(scorers))
        members = [_of_the_living(i, *pair) for i, pair in enumerate(zip(scorers, each, strict=True))]
        kernels = self._kernels([member for member in members if len(member.scorer.constants)])
        swept: dict[int, Swept] = {}
        for kernel, totals in zip(kernels, self._totals(kernels) if kernels else (), strict=True):
            moments = without_traces(kernel.moments(totals), kernel.scorer.centres)
            sums = kernel.log_normalisers(totals, self.source.total_weight).tolist()
            for member, log_normaliser, start, size in zip(
                kernel.members, sums, kernel.starts, kernel.sizes, strict=True
            ):
                swept[member.place] = Swept(log_normaliser, moments[start : start + size])
        return [
            swept[i] if member.scorer is scorer else _with_the_dead(swept.get(i), scorer)
            for i, (member, scorer) in enumerate(zip(members, scorers, strict=True))
        ]

    def along(self, scorers: Sequence[Scorer], directions: Sequence[Scorer]) -> list[Moments]:
        """Derivatives of the moments, about the same origin, when each scorer moves in its direction: one visit, two products of scores.

        Parameters
        ----------
        scorers : sequence of Scorer
        directions : sequence of Scorer
            Derivatives of the constants, centres and whitening factors.
        """
        members = [Member(i, scorer, soft) for i, scorer in enumerate(scorers)]
        kernels: list[Kernel] = []
        for kernel in self._kernels(members, tangents=True):
            if isinstance(kernel, FeatureKernel):
                kernels.append(TangentFeatureKernel(kernel.members, directions, self._pivot))
            else:
                kernels.append(TangentWhitenedKernel(kernel.members, directions))
        changes: dict[int, Moments] = {}
        for kernel, totals in zip(kernels, self._totals(kernels), strict=True):
            moments = kernel.moments(totals)
            for member, start, size in zip(kernel.members, kernel.starts, kernel.sizes, strict=True):
                changes[member.place] = moments[start : start + size]
        return [changes[i] for i in range(len(scorers))]

    def _kernels(self, members: list[Member], tangents: bool = False) -> list[Kernel]:
        """Mixtures of one form to a kernel: features in the precision of the rows, else in float64, else mended, else none.

        For tangents there are only features in float64, or none.
        """
        double = np.dtype(np.float64)
        precisions = dict.fromkeys((double if tangents else self.source.rows.dtype, double))
        kernels: list[Kernel] = []
        for diagonal in (False, True):
            left = [member for member in members if member.scorer.diagonal is diagonal]
            served = diagonal or len(self._pivot) <= MOST_FEATURES
            for dtype in precisions if served and left else ():
                terms, most = self._cancelling(left, dtype), LARGEST_CANCELLATION[dtype]
                fits = [bool(lost.sum(axis=1).max() <= most) for lost in terms]
                if chosen := list(compress(left, fits)):
                    kernels.append(FeatureKernel(chosen, self._pivot, dtype))
                    left = [member for member, fit in zip(left, fits, strict=True) if not fit]
                    terms = [lost for lost, fit in zip(terms, fits, strict=True) if not fit]
                if not left:
                    break
            if left and served and not tangents:
                pairs = [(mended(member, lost, most), member) for member, lost in zip(left, terms, strict=True)]
                if chosen := [found for found, _ in pairs if found is not None]:
                    kernels.append(mended_kernel(chosen, self._pivot))
                left = [member for found, member in pairs if found is None]
            if left:
                kernels.append(WhitenedKernel(left))
        return kernels

    def _cancelling(self, members: list[Member], dtype: np.dtype) -> list[Array]:
        """How much of each mixture's scores would cancel in features, ``(K, D)``."""
        stack = Scorer.stacked([member.scorer for member in members])
        terms = cancellation(stack, self._pivot, self._variances, dtype)
        ends = list(running_sums(len(member.scorer.constants) for member in members[:-1]))
        return [terms[start:end] for start, end in zip([0, *ends], [*ends, len(terms)], strict=True)]

    def _totals(self, kernels: list[Kernel]) -> list[list[Array]]:
        """Totals over all rows, strip by strip; strips follow from the data and the mixtures, never from the number of threads."""
        work = self.source.n_rows * sum(kernel.multiplications for kernel in kernels)
        if work >= LEAST_THREADED and not self._threads:
            self._threads = n_threads()
            self._stack.enter_context(single_threaded_blas())
        with np.errstate(under="ignore"):  # a share of nothing is nothing, whatever users have NumPy do
            return self._added_up(kernels, work)

    def _added_up(self, kernels: list[Kernel], work: int) -> list[list[Array]]:
        n_rows, block_rows = self.source.n_rows, min(kernel.block_rows() for kernel in kernels)
        if n_rows <= block_rows:
            return self._single_block(kernels)
        n_strips = min(-(-n_rows // block_rows), MOST_STRIPS)
        strip_rows = -(-n_rows // n_strips)
        n_blocks = -(-strip_rows // block_rows)
        starts = range(0, n_rows, strip_rows)
        arguments = (starts, repeat(strip_rows), repeat(-(-strip_rows // n_blocks)), repeat(kernels))
        pool = self._workers(work)
        strips = map(self._strip, *arguments) if pool is None else pool.map(self._strip, *arguments)
        totals = next(strips)
        for strip in strips:
            for total, addend in zip(chain(*totals), chain(*strip), strict=True):
                total += addend
        return totals

    def _workers(self, multiplications: int) -> ThreadPoolExecutor | None:
        """Threads, if there are any and a pass of so much work is worth them."""
        if self._threads > 1 and multiplications >= LEAST_SHARED and self._pool is None:
            self._pool = self._stack.enter_context(ThreadPoolExecutor(self._threads, initializer=hold_own_blas))
        return self._pool if multiplications >= LEAST_SHARED else None

    def _strip(self, start: int, n_rows: int, block_rows: int, kernels: list[Kernel]) -> list[list[Array]]:
        """Totals over some consecutive rows."""
        scratch = self._idle.pop() if self._idle else Scratch()
        rooms = {
            dtype: Features(self._pivot, dtype, diagonal, block_rows, scratch)
            for dtype, diagonal in _needed_features(kernels)
        }
        all_totals = [kernel.zeros() for kernel in kernels]
        for position, rows, weights in self.source.blocks(block_rows, start, start + n_rows):
            prepared: Prepared = {dtype: room.fill(rows) for dtype, room in rooms.items()}
            prepared[None] = rows
            for kernel, totals in zip(kernels, all_totals, strict=True):
                kernel.at(position.start).add(prepared[kernel.form], weights, scratch, totals)
        self._idle.append(scratch)
        return all_totals

    def _single_block(self, kernels: list[Kernel]) -> list[list[Array]]:
        """Totals over a small data set, whose features are kept from pass to pass."""
        rows = self.source.rows
        prepared: Prepared = {None: rows}
        for dtype, diagonal in _needed_features(kernels):
            if (dtype, diagonal) not in self._kept:
                room = Features(self._pivot, dtype, diagonal, len(rows), Scratch())
                self._kept[dtype, diagonal] = room.fill(rows)
            prepared[dtype] = self._kept[dtype, diagonal]
        all_totals = []
        for kernel in kernels:
            totals = kernel.zeros()
            kernel.add(prepared[kernel.form], self.source.weights, self._idle[0], totals)
            all_totals.append(totals)
        return all_totals


def _of_the_living(place: int, scorer: Scorer, assignment: Assignment) -> Member:
    """A mixture without its components of no weight: nothing infinite enters a product, and no row is theirs."""
    if scorer.constants.min() > -np.inf:
        return Member(place, scorer, assignment)
    living = np.flatnonzero(scorer.constants > -np.inf)
    return Member(place, scorer.among(living), assignment.among(living))


def _with_the_dead(swept: Swept | None, scorer: Scorer) -> Swept:
    """Moments of all components, those without weight among them; where none has any, no row has a density."""
    living = scorer.constants > -np.inf
    count, first, origin = np.zeros(len(living)), np.zeros(scorer.centres.shape), scorer.centres.copy()
    second = np.zeros(scorer.whitening.shape)
    if swept is None:
        return Swept(-np.inf, Moments(count, first, second, origin))
    moments = swept.moments
    count[living], first[living], second[living] = moments.count, moments.first, moments.second
    origin[living] = moments.origin
    return Swept(swept.log_normaliser, Moments(count, first, second, origin))


def without_traces(moments: Moments, centres: Array, trace: float = TRACE) -> Moments:
    """Moments in which a component that has no rows but for traces has none, about its own centre: so that is where it stays."""
    least, most = moments.count.min(), moments.count.max()
    if least > trace * most:
        return moments
    lost = moments.count <= trace * most
    kept = ~lost
    second = moments.second * kept.reshape(-1, *[1] * (moments.second.ndim - 1))
    origin = np.where(lost[:, None], centres, moments.origin)
    return Moments(moments.count * kept, moments.first * kept[:, None], second, origin)


def _needed_features(kernels: list[Kernel]) -> list[tuple[np.dtype, bool]]:
    """Precisions in which features are needed, and whether diagonal ones are enough there."""
    diagonal: dict[np.dtype, bool] = {}
    for kernel in kernels:
        if kernel.form is not None:
            diagonal[kernel.form] = diagonal.get(kernel.form, True) and kernel.diagonal
    return list(diagonal.items())


def _centre_and_spread(source: ArraySource) -> tuple[Array, Array]:
    """A pivot near the mean of the data, and their mean square about it.

    The pivot lies on a coarse binary grid: subtracting it is exact for rows nearby, and it does not move with the rounding of the mean, so
    that the same rows in another order, or repeated rows instead of weights, meet the same features to the last bit.
    """
    step = -(-source.n_rows // PIVOT_ROWS)
    rows = source.rows[::step].astype(np.float64, copy=False)
    shares = np.full(len(rows), 1 / len(rows)) if source.weights is None else source.weights[::step]
    shares = shares / shares.sum()
    mean = shares @ rows
    variances = shares @ np.square(rows - mean)
    grid = np.exp2(np.floor(np.log2(np.sqrt(variances), where=variances > 0, out=np.zeros_like(mean))) - 2)
    pivot = (np.round(mean / grid) * grid).astype(source.rows.dtype).astype(np.float64)
    return pivot, variances + (mean - pivot) ** 2


def accumulate(
    source: ArraySource, responsibilities: Array | NDArray[np.integer], n_components: int, *, diagonal: bool
) -> Moments:
    """Moments for given responsibilities, about each component's own mean (that of all rows, if it has none): two passes, no digits lost.

    Parameters
    ----------
    source : ArraySource
    responsibilities : (N, K) array, or (N,) integer array of labels
    n_components : int
        ``K``.
    diagonal : bool
        Whether the diagonals of the second moments are enough.
    """
    if responsibilities.ndim == 1:
        return _of_groups(source, responsibilities.astype(np.intp, copy=False), n_components, diagonal)
    responsibilities = np.asarray(responsibilities, dtype=np.float64)
    shape = (n_components, source.n_features)
    counts, sums = np.zeros(n_components), np.zeros(shape)
    for rows, shares in _given_shares(source, responsibilities, n_components):
        counts += shares.sum(axis=1)
        sums += shares @ rows
    filled = counts > 0
    means = np.where(
        filled[:, None], sums / np.where(filled, counts, 1.0)[:, None], sums.sum(axis=0) / (counts.sum() or 1.0)
    )
    totals = zero_totals(shape, diagonal)
    for rows, shares in _given_shares(source, responsibilities, n_components):
        add_block(rows - means[:, None, :], shares, totals)
    count, first, second = totals
    return Moments(count, first, second, means)


@single_threaded_blas()
def _of_groups(source: ArraySource, labels: NDArray[np.intp], n_components: int, diagonal: bool) -> Moments:
    """Moments where each row belongs to one component, from the rows of each."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels, minlength=n_components)
    filled = np.flatnonzero(sizes)
    ends = np.cumsum(sizes)
    starts = ends[filled] - sizes[filled]
    rows = source.rows[order].astype(np.float64, copy=False)
    weights = np.ones(len(rows)) if source.weights is None else source.weights[order].astype(np.float64, copy=False)
    counts, means = np.zeros(n_components), np.empty((n_components, source.n_features))
    counts[filled] = np.add.reduceat(weights, starts)
    sums = np.add.reduceat(rows * weights[:, None], starts)
    means[:] = sums.sum(axis=0) / counts.sum()
    means[filled] = sums / counts[filled, None]
    residuals = rows - np.repeat(means, sizes, axis=0)
    first, (_, _, second) = np.zeros_like(means), zero_totals(means.shape, diagonal)
    first[filled] = np.add.reduceat(residuals * weights[:, None], starts)
    if diagonal:
        second[filled] = np.add.reduceat(np.square(residuals) * weights[:, None], starts)
    else:
        residuals *= np.sqrt(weights)[:, None]
        for k in filled:
            own = residuals[ends[k] - sizes[k] : ends[k]]
            np.matmul(own.T, own, out=second[k])
    return Moments(counts, first, second, means)


def moments_of_all(source: ArraySource, *, diagonal: bool) -> Moments:
    """Moments of all rows as those of a single component, about their mean."""
    return accumulate(source, np.ones((source.n_rows, 1)), 1, diagonal=diagonal)


def _given_shares(source: ArraySource, responsibilities: Array, n_components: int) -> Iterator[tuple[Array, Array]]:
    """Blocks of rows with their weighted responsibilities ``(K, B)``."""
    for part, rows, weights in source.blocks(max(64, 2**16 // (n_components * source.n_features))):
        shares = np.ascontiguousarray(responsibilities[part].T)
        yield rows, shares if weights is None else shares * weights
