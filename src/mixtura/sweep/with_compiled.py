"""The compiled engine: residuals about each component's own centre, whitened, shared and added up in registers, strip by strip.

Nothing cancels there, so float64 needs no choice of kernels. Derivatives along a direction are left to NumPy.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Block, InOneGo, Source
from mixtura.ground.linalg import Array
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep import compiled
from mixtura.sweep.assign import Hard, Sampled, Soft, Weighted
from mixtura.sweep.kernels import Kernel, Member, Totals, cancellation
from mixtura.sweep.with_numpy import DOUBLE, NumPyEngine

SINGLE = np.dtype(np.float32)
LARGEST_CANCELLATION = 1e5
"""So many times its own variance may be the squares of a component's rows in float32: where its centre is rounded, by some 1e-5 of its
spread."""
MOST_NUMBERS = 2**17
"""In rows that fit a cache: a megabyte, of which a source makes one strip."""
SOFT, HARD, SAMPLED = range(3)
"""What the compiled code calls them."""

Description = tuple[int, Array | None, Any, Any, Any, int, int]
"""How a member shares rows: which way, by which weights of rows, and of draws the key, where labels go, what they are called, of which row
the first one is, and among how many components, minus one for all."""


class CompiledEngine(NumPyEngine):
    """Compiled kernels, and NumPy's for derivatives."""

    def sums(self, members: list[Member]) -> list[Kernel]:
        groups: dict[tuple[bool, np.dtype], list[Member]] = {}
        for member in members:
            groups.setdefault((member.scorer.diagonal, self._precision(member.scorer)), []).append(member)
        return [CompiledKernel(some, precision) for (_, precision), some in groups.items()]

    def certainties(self, members: list[Member]) -> list[Kernel]:
        groups: dict[bool, list[Member]] = {}
        for member in members:
            groups.setdefault(member.scorer.diagonal, []).append(member)
        return [CompiledCertaintyKernel(some, DOUBLE) for some in groups.values()]

    def _precision(self, scorer: Scorer) -> np.dtype:
        """That of the rows, where it holds the mixture."""
        if self.setting.dtype == DOUBLE:
            return DOUBLE
        lost = cancellation(scorer, np.zeros(scorer.centres.shape[1]), self.setting.mean_squares, SINGLE)
        return SINGLE if lost.max() <= LARGEST_CANCELLATION else DOUBLE


def fits_cache(source: Source) -> bool:
    """Whether all rows are few enough to be gone over in one call, and there is an engine for it."""
    return compiled.engine is not None and source.n_rows * source.n_features < MOST_NUMBERS


def totals_of_component(n_features: int, diagonal: bool) -> int:
    """Numbers in the totals of a component: its count, first moments, and second ones without those that stand twice."""
    return 1 + n_features + (n_features if diagonal else n_features * (n_features + 1) // 2)


def moments_about(centres: Array, totals: Array, diagonal: bool) -> Moments:
    """Moments about the components' centres, ``(K, D)``, from their totals."""
    count, first = np.empty(len(centres)), np.empty(centres.shape)
    second = np.empty(centres.shape if diagonal else (*centres.shape, centres.shape[1]))
    compiled.needed().unpacked(totals, count, first, second)
    return Moments(count, first, second, centres)


def described(member: Member) -> Description:
    """How a member shares rows."""
    assignment = member.assignment
    if isinstance(assignment, Sampled):
        n_open = -1 if assignment.n_open is None else assignment.n_open
        names = assignment.components
        return SAMPLED, None, assignment.key, assignment.labels, names, assignment.first, n_open
    weights = assignment.weights[member.place] if isinstance(assignment, Weighted) else None
    return HARD if isinstance(assignment, Hard) else SOFT, weights, None, None, None, 0, -1


class CompiledKernel(Kernel):
    """Log-normalisers, and moments about each component's own centre.

    Parameters
    ----------
    members : sequence of Member
        Of one form.
    precision : dtype
        In which rows are scored.
    """

    moments_wanted = True

    def __init__(self, members: list[Member], precision: np.dtype) -> None:
        super().__init__(members)
        self.precision = precision

    def onto(self, labels: NDArray[np.integer], first: int) -> Self:
        """For a strip that begins there: what is drawn is written into ``labels``, a row of them for each member."""
        writing = copy(self)
        writing.members = []
        for member in self.members:
            assert isinstance(member.assignment, Sampled)
            writing.members.append(member._replace(assignment=member.assignment.onto(labels[member.place], first)))
        return writing

    @property
    def multiplications(self) -> int:
        return self.scorer.whitening.size

    def over(self, block: Block, strip_rows: int, n_threads: int) -> list[Array]:
        """Totals of rows, which are cut into strips of so many, added up as sources add theirs."""
        totals = np.empty(self._n_totals)
        compiled.needed().sweep(
            np.ascontiguousarray(block.rows),
            None if block.weights is None else np.ascontiguousarray(block.weights, dtype=np.float64),
            block.position.start,
            strip_rows,
            n_threads,
            np.ascontiguousarray(self.scorer.constants),
            np.ascontiguousarray(self.scorer.centres),
            np.ascontiguousarray(self.scorer.whitening),
            self.sizes,
            self._descriptions,
            self.precision.itemsize,
            self.moments_wanted,
            totals,
        )
        return [totals]

    def log_normalisers(self, totals: list[Array], total_weight: float) -> Array:
        sums = totals[0][: len(self.members)]
        if self.precision == DOUBLE:
            return sums
        # To first order, what rounding took from the scorer it took from the log-normalisers by way of the moments.
        moments = self.moments(totals)
        taken = self.scorer.expected_of_each(moments) - self._rounded.expected_of_each(moments)
        return sums + np.add.reduceat(taken, self.starts)

    def moments(self, totals: list[Array]) -> Moments:
        centres = self.scorer.centres if self.precision == DOUBLE else self._rounded.centres
        return moments_about(centres, totals[0][len(self.members) :], self.diagonal)

    @cached_property
    def _rounded(self) -> Scorer:
        """The scorer that float32 has made of it."""
        n_features, scorer = self.scorer.centres.shape[1], self.scorer
        ceilings = np.repeat(np.maximum.reduceat(scorer.constants, self.starts), self.sizes)
        relative = scorer.constants - ceilings + compiled.needed().headroom(n_features, SINGLE.itemsize)
        half_root = np.sqrt(0.5)
        return Scorer(
            _in_single(relative) - relative + scorer.constants,
            _in_single(scorer.centres),
            _in_single(scorer.whitening * half_root) / half_root,
        )

    @property
    def _descriptions(self) -> list[Description] | None:
        """For the compiled code; ``None`` where all share softly."""
        if all(isinstance(member.assignment, Soft) for member in self.members):
            return None
        return [described(member) for member in self.members]

    @property
    def _n_totals(self) -> int:
        n_components, n_features = self.scorer.centres.shape
        return len(self.members) + n_components * totals_of_component(n_features, self.diagonal)


@dataclass(frozen=True, eq=False)
class CompiledTotals(InOneGo):
    """The task of a pass with compiled kernels.

    Attributes
    ----------
    kernels : list of CompiledKernel
    n_threads : int
        For rows in memory.
    """

    kernels: list[CompiledKernel]
    n_threads: int

    def onto(self, labels: NDArray[np.integer], first: int) -> Self:
        """For a strip that begins there, of which components are written down."""
        return replace(self, kernels=[kernel.onto(labels, first) for kernel in self.kernels])

    def __call__(self, strip: Block) -> Totals:
        return Totals([kernel.over(strip, max(1, len(strip.rows)), 1) for kernel in self.kernels])

    def over(self, rows: Block, size: int) -> Totals:
        return Totals([kernel.over(rows, size, self.n_threads) for kernel in self.kernels])


class CompiledCertaintyKernel(CompiledKernel):
    """Log-normalisers, and how certain labels are, for moments."""

    moments_wanted = False

    def over(self, block: Block, strip_rows: int, n_threads: int) -> list[Array]:
        both = super().over(block, strip_rows, n_threads)[0]
        return [both[: len(self.members)], both[len(self.members) :]]

    @property
    def _n_totals(self) -> int:
        return 2 * len(self.members)


def _in_single(numbers: Array) -> Array:
    return numbers.astype(SINGLE).astype(np.float64)
