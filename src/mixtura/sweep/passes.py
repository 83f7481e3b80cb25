"""One pass over the data: score every block, assign its rows, add up the moments.

A pass takes several mixtures and reads the data once for all of them. Blocks are gathered into strips; threads share the strips, and
strips are added up in the order in which they lie, so the result does not depend on the number of threads to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, repeat
from types import TracebackType
from typing import NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Block, Mapped, S, Source, side_by_side
from mixtura.ground.linalg import Array
from mixtura.ground.threads import hold_own_blas, n_threads, single_threaded_blas
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.assign import Assignment, soft
from mixtura.sweep.candidates import Truncated
from mixtura.sweep.engine import Setting
from mixtura.sweep.engines import engine
from mixtura.sweep.features import Features
from mixtura.sweep.kernels import (
    CACHE,
    LARGEST_CANCELLATION,
    MOST_FEATURES,
    BlockKernel,
    Kernel,
    Member,
    Totals,
    cancellation,
)
from mixtura.sweep.scratch import Scratch
from mixtura.sweep.truncated import CandidateFeatures, CandidateKernel, CandidateResiduals, TruncatedTotals, strip_rows
from mixtura.sweep.with_compiled import CompiledKernel, CompiledTotals

LEAST_THREADED = 2**16
"""Multiplications of a pass below which no BLAS uses threads by itself."""
LEAST_SHARED = 2**22
"""Multiplications of a pass from which threads are worth waking."""
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


class Fit(NamedTuple):
    """``Σ_n w_n log p(x_n)`` and ``Σ_n w_n log max_k r_nk`` of one mixture."""

    log_likelihood: float
    certainty: float


class Sweep:
    """Passes over one source; used as a context, in which threads wait for large passes and BLAS is held to one.

    Parameters
    ----------
    source : ArraySource
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._setting = Setting(source)
        self._engine = engine(self._setting)
        self._kept: dict[tuple[int, np.dtype, bool], Array] = {}
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
        whole, truncated = list[Member](), list[tuple[int, Scorer, Truncated]]()
        for i, (scorer, assignment) in enumerate(zip(scorers, each, strict=True)):
            if isinstance(assignment, Truncated):
                truncated.append((i, scorer, assignment))
            else:
                whole.append(of_the_living(i, scorer, assignment))
        found = self._truncated(truncated) if truncated else {}
        kernels = self._engine.sums([member for member in whole if len(member.scorer.constants)])
        found |= self._brought_back(whole, scorers, kernels, self._totals(kernels) if kernels else [])
        return [found[i] for i in range(len(scorers))]

    def _brought_back(
        self, members: list[Member], scorers: Sequence[Scorer], kernels: list[Kernel], of_kernels: list[list[Array]]
    ) -> dict[int, Swept]:
        """What a pass brings back for mixtures that score all of their components, by their places."""
        swept: dict[int, Swept] = {}
        for kernel, totals in zip(kernels, of_kernels, strict=True):
            moments = without_traces(kernel.moments(totals), kernel.scorer.centres)
            sums = kernel.log_normalisers(totals, self.source.total_weight).tolist()
            for member, log_normaliser, start, size in zip(
                kernel.members, sums, kernel.starts, kernel.sizes, strict=True
            ):
                swept[member.place] = Swept(log_normaliser, moments[start : start + size])
        found: dict[int, Swept] = {}
        for member in members:
            scorer = scorers[member.place]
            there = swept.get(member.place)
            found[member.place] = swept[member.place] if member.scorer is scorer else _with_the_dead(there, scorer)
        return found

    def along(self, scorers: Sequence[Scorer], directions: Sequence[Scorer]) -> list[Moments]:
        """Derivatives of the moments, about the same origin, when each scorer moves in its direction: one visit, two products of scores.

        Parameters
        ----------
        scorers : sequence of Scorer
        directions : sequence of Scorer
            Derivatives of the constants, centres and whitening factors.
        """
        members = [Member(i, scorer, soft) for i, scorer in enumerate(scorers)]
        kernels = self._engine.rates(members, directions)
        changes: dict[int, Moments] = {}
        for kernel, totals in zip(kernels, self._totals(kernels), strict=True):
            moments = kernel.moments(totals)
            for member, start, size in zip(kernel.members, kernel.starts, kernel.sizes, strict=True):
                changes[member.place] = moments[start : start + size]
        return [changes[i] for i in range(len(scorers))]

    def fits(self, scorers: Sequence[Scorer]) -> list[Fit]:
        """How well each mixture fits the rows, and how certain its labels are: one visit, without moments.

        Parameters
        ----------
        scorers : sequence of Scorer
            Each with a component of some weight.
        """
        members = [of_the_living(i, scorer, soft) for i, scorer in enumerate(scorers)]
        kernels = self._engine.certainties(members)
        fits: dict[int, Fit] = {}
        for kernel, totals in zip(kernels, self._totals(kernels), strict=True):
            sums = kernel.log_normalisers(totals, self.source.total_weight)
            for member, log_likelihood, certainty in zip(kernel.members, sums, totals[1], strict=True):
                fits[member.place] = Fit(float(log_likelihood), float(certainty))
        return [fits[i] for i in range(len(scorers))]

    def _truncated(self, members: list[tuple[int, Scorer, Truncated]]) -> dict[int, Swept]:
        """The same for mixtures that score a few candidates of each row, by their places; those with strips of one size share a read."""
        groups: dict[int, dict[int, CandidateKernel]] = {}
        for i, scorer, assignment in members:
            size = strip_rows(self.source.strip_rows, len(scorer.constants))
            groups.setdefault(size, {})[i] = self._candidate_kernel(scorer, assignment)
        swept: dict[int, Swept] = {}
        for size, kernels in groups.items():
            work = self.source.n_rows * sum(kernel.multiplications for kernel in kernels.values())
            parts = iter(self._reduced(TruncatedTotals([*kernels.values()], self._idle), size, work).parts)
            for i, kernel in kernels.items():
                bound, *totals = islice(parts, 1 + len(kernel.zeros()))
                swept[i] = Swept(float(bound[0]), without_traces(kernel.moments(totals), kernel.scorer.centres))
        return swept

    def _candidate_kernel(self, scorer: Scorer, assignment: Truncated) -> CandidateKernel:
        """By features, where these are few and keep their digits."""
        double, pivot = np.dtype(np.float64), self._setting.pivot
        if scorer.diagonal or len(pivot) <= MOST_FEATURES:
            lost = cancellation(scorer, pivot, self._setting.variances, double).sum(axis=1)
            if lost.max() <= LARGEST_CANCELLATION[double]:
                return CandidateFeatures(scorer, assignment, self.source.n_rows, pivot)
        return CandidateResiduals(scorer, assignment, self.source.n_rows)

    def _totals(self, kernels: list[Kernel]) -> list[list[Array]]:
        """Totals over all rows, strip by strip; strips follow from the data and the mixtures, never from the number of threads."""
        return self._reduced(self._task(kernels), self.source.strip_rows, self._work(kernels)).of_kernels

    def _task(self, kernels: list[Kernel]) -> StripTotals | CompiledTotals:
        """What is done on each strip."""
        if isinstance(kernels[0], CompiledKernel):
            work = self._work(kernels)
            self._hold_blas(work)
            return CompiledTotals(cast("list[CompiledKernel]", kernels), self._threads if work >= LEAST_SHARED else 1)
        by_blocks = cast("list[BlockKernel]", kernels)
        return StripTotals(by_blocks, self._setting.pivot, self._idle, self._kept if self._keeps(by_blocks) else None)

    def _work(self, kernels: list[Kernel]) -> int:
        """Multiplications of a pass."""
        return self.source.n_rows * sum(kernel.multiplications for kernel in kernels)

    def _hold_blas(self, work: int) -> None:
        """Hold BLAS to one thread from the first pass on that is worth others."""
        if work >= LEAST_THREADED and not self._threads:
            self._threads = n_threads()
            self._stack.enter_context(single_threaded_blas())

    def _reduced(self, task: Callable[[Block], S], size: int, work: int) -> S:
        """The sum of what a task of so much work answers for strips of that size."""
        self._hold_blas(work)
        with np.errstate(under="ignore"):  # a share of nothing is nothing, whatever users have NumPy do
            mapped = self._workers(work) if size < self.source.n_rows else map
            return self.source.reduce(task, size, mapped)

    def _keeps(self, kernels: list[BlockKernel]) -> bool:
        """Whether the data are so few that features are kept from pass to pass."""
        widest = max(kernel.n_features for kernel in kernels)
        return self.source.n_rows * widest <= CACHE

    def _workers(self, multiplications: int) -> Mapped:
        """How strips are worked on: by threads, if there are any and a pass of so much work is worth them."""
        if self._threads < 2 or multiplications < LEAST_SHARED:
            return map
        if self._pool is None:
            self._pool = self._stack.enter_context(ThreadPoolExecutor(self._threads, initializer=hold_own_blas))
        return partial(side_by_side, self._pool, 2 * self._threads)


@dataclass(frozen=True, eq=False)
class StripTotals:
    """The task of a pass: the totals of a strip, block by block.

    Attributes
    ----------
    kernels : list of Kernel
    pivot : (D,) array
    idle : list of Scratch
        Working memory that no thread uses at the moment.
    kept : dict or None
        Features of blocks from earlier passes, where they are kept.
    """

    kernels: list[BlockKernel]
    pivot: Array
    idle: list[Scratch]
    kept: dict[tuple[int, np.dtype, bool], Array] | None

    def onto(self, labels: NDArray[np.integer], first: int) -> Self:
        """For a strip that begins there, of which components are written down."""
        return replace(self, kernels=[kernel.onto(labels, first) for kernel in self.kernels])

    def __call__(self, strip: Block) -> Totals:
        scratch = self.idle.pop() if self.idle else Scratch()
        totals = [kernel.zeros() for kernel in self.kernels]
        for block, prepared in self._prepared(strip, scratch):
            for kernel, total in zip(self.kernels, totals, strict=True):
                kernel.at(block.position.start).add(prepared[kernel.form], block.weights, scratch, total)
        self.idle.append(scratch)
        return Totals(totals)

    def _prepared(self, strip: Block, scratch: Scratch) -> Iterator[tuple[Block, Prepared]]:
        """The blocks of a strip, each with its features."""
        n_rows, needed = len(strip.rows), _needed_features(self.kernels)
        n_blocks = -(-n_rows // min(kernel.block_rows() for kernel in self.kernels))
        size = -(-n_rows // n_blocks)
        if self.kept is None:
            rooms = {form[0]: self._room(form, size, scratch) for form in needed}
            for block in strip.cut(size):
                prepared: Prepared = {dtype: room.fill(block.rows) for dtype, room in rooms.items()}
                prepared[None] = block.rows
                yield block, prepared
            return
        known: Prepared = {form[0]: self._kept(form, strip) for form in needed}
        if n_blocks == 1:
            known[None] = strip.rows
            yield strip, known
            return
        for start, block in zip(range(0, n_rows, size), strip.cut(size), strict=True):
            prepared = {dtype: features[:, start : start + size] for dtype, features in known.items()}
            prepared[None] = block.rows
            yield block, prepared

    def _kept(self, form: tuple[np.dtype, bool], strip: Block) -> Array:
        """The features of a strip, from an earlier pass where there was one."""
        assert self.kept is not None
        key = (strip.position.start, *form)
        if key not in self.kept:
            self.kept[key] = self._room(form, len(strip.rows), Scratch()).fill(strip.rows)
        return self.kept[key]

    def _room(self, form: tuple[np.dtype, bool], n_rows: int, scratch: Scratch) -> Features:
        dtype, diagonal = form
        return Features(self.pivot, dtype, diagonal, n_rows, scratch)


def of_the_living(place: int, scorer: Scorer, assignment: Assignment) -> Member:
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


def _needed_features(kernels: list[BlockKernel]) -> list[tuple[np.dtype, bool]]:
    """Precisions in which features are needed, and whether diagonal ones are enough there."""
    diagonal: dict[np.dtype, bool] = {}
    for kernel in kernels:
        if kernel.form is not None:
            diagonal[kernel.form] = diagonal.get(kernel.form, True) and kernel.diagonal
    return list(diagonal.items())
