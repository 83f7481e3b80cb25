"""Passes in which each row is scored by the few candidates of its group.

Rows of a strip are sorted by their groups and cut into pieces of one group each, which are padded to a few lengths. Pieces of one length
are scored with one stack of small matrix products, ``W[candidates] φ``, and added up with another, as the kernels of an exact pass do it
with one large product each. So the work is that of ``C`` components and not of ``K``.

When candidates are due, a strip has each row scored by all components, which group it belongs to, and each group by the neighbours of its
component, which of them take most of its rows; it keeps what it had where the sum over its rows is larger so. In every pass rows whose most
probable candidate is the component of another group are scored in that one, too, and stay there if their own sum is larger.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from mixtura.data.source import Arrays, Block
from mixtura.ground.linalg import Array
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.candidates import Memory, Truncated
from mixtura.sweep.features import Features, as_moments, coefficients
from mixtura.sweep.kernels import CACHE, unwhitened, weighted_sums, zero_totals
from mixtura.sweep.scratch import Scratch

LEAST_CONSTANT = -1e300
"""Log weight of a component without any: finite, so that nothing infinite enters a product."""
LENGTHS = (8, 16, 32, 64)
"""Rows to a piece, padding included."""
ROWS_PER_GROUP = 32
"""Rows of a strip for each group, on average: with fewer, pieces are mostly padding."""
LEAST_ROWS, MOST_ROWS = 2**14, 2**17
"""Rows to a strip: of fewer, calls take longer than the work in them."""
NOWHERE = -1
"""Where a row goes that stays in its group."""
DOUBLE = np.dtype(np.float64)
Places = NDArray[np.intp]


def strip_rows(least: int, n_components: int) -> int:
    """Rows to a strip of a truncated pass; as in others, threads do not matter."""
    return max(least, min(MOST_ROWS, max(LEAST_ROWS, ROWS_PER_GROUP * n_components)))


class Pieces(NamedTuple):
    """Rows of ``m`` pieces of ``L`` rows: the group of each, where the rows stand in the strip, ``(m L,)``, and which are no padding."""

    groups: NDArray[np.int32]
    places: Places
    is_row: NDArray[np.bool_]


def in_pieces(places: Places, groups: NDArray[np.int32], n_groups: int) -> Iterator[Pieces]:
    """Rows at these places, of these groups, in pieces; those of one length at a time."""
    order = np.argsort(groups.astype(np.min_scalar_type(n_groups)), kind="stable")
    sizes, longest = np.bincount(groups, minlength=n_groups), LENGTHS[-1]
    n_pieces = -(-sizes // longest)
    own = np.repeat(np.arange(n_groups, dtype=np.int32), n_pieces)
    within = np.arange(len(own)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    first = np.repeat(np.cumsum(sizes) - sizes, n_pieces) + longest * within
    count = np.minimum(np.repeat(sizes, n_pieces) - longest * within, longest)
    fitting = np.searchsorted(LENGTHS, count)
    for i, length in enumerate(LENGTHS):
        chosen = np.flatnonzero(fitting == i)
        if len(chosen):
            steps, counts = np.arange(length), count[chosen, None]
            at = first[chosen, None] + np.minimum(steps, counts - 1)
            yield Pieces(own[chosen], places[order[at]].ravel(), (steps < counts).ravel())


class Scored(NamedTuple):
    """Some pieces, the candidates of each ``(m, C)``, their scores ``(C, m L)``, and what moments are made of."""

    pieces: Pieces
    candidates: NDArray[np.int32]
    scores: Array
    terms: Array


class CandidateKernel(ABC):
    """Scores rows for a mixture by the candidates of their groups.

    Parameters
    ----------
    scorer : Scorer
    assignment : Truncated
    n_rows : int
        Of all of the data.
    """

    def __init__(self, scorer: Scorer, assignment: Truncated, n_rows: int) -> None:
        self.scorer = Scorer(np.maximum(scorer.constants, LEAST_CONSTANT), scorer.centres, scorer.whitening)
        self.n_components, self.n_features = scorer.centres.shape
        self.n_candidates = min(assignment.n_candidates, self.n_components)
        self.assignment, self.memory = assignment, assignment.memory or Memory(n_rows)
        self.memory.begin_pass(scorer, self.n_candidates)

    def visit(
        self, rows: Array, places: Places, groups: NDArray[np.int32], lists: NDArray[np.int32], scratch: Scratch
    ) -> Iterator[Scored]:
        """Score the rows at these places by the candidates of these groups, some at a time."""
        for pieces in in_pieces(places, groups, self.n_components):
            n_pieces = len(pieces.groups)
            length = len(pieces.places) // n_pieces
            step = max(1, CACHE // self.numbers(length, lists.shape[1]))
            for start in range(0, n_pieces, step):
                part, of_rows = slice(start, start + step), slice(start * length, (start + step) * length)
                some = Pieces(pieces.groups[part], pieces.places[of_rows], pieces.is_row[of_rows])
                size = len(some.places)
                near = np.take(
                    rows, some.places, axis=0, out=scratch.array("rows", (size, rows.shape[1]), rows.dtype), mode="clip"
                )
                candidates = lists[some.groups]
                yield Scored(some, candidates, *self.score(near, candidates, scratch))

    @abstractmethod
    def numbers(self, length: int, n_candidates: int) -> int:
        """In the working arrays of a piece of that length with so many candidates."""

    @property
    @abstractmethod
    def multiplications(self) -> int:
        """Of a row with the coefficients of its candidates."""

    @abstractmethod
    def most_probable(self, rows: Array, scratch: Scratch) -> NDArray[np.integer]:
        """Of all components, the one with the largest ``ρ_nk``."""

    @abstractmethod
    def score(self, rows: Array, candidates: NDArray[np.int32], scratch: Scratch) -> tuple[Array, Array]:
        """Log joints ``(C, m L)`` of the rows of pieces with these candidates ``(m, C)``, and what moments are made of."""

    @abstractmethod
    def zeros(self) -> list[Array]:
        """Totals of no rows."""

    @abstractmethod
    def add(self, scored: Scored, totals: list[Array], scratch: Scratch) -> None:
        """Add the moments of pieces, whose scores have become weighted responsibilities, to totals."""

    @abstractmethod
    def moments(self, totals: list[Array]) -> Moments:
        """Moments of all components from totals over all rows."""


class CandidateFeatures(CandidateKernel):
    """By features, in float64."""

    def __init__(self, scorer: Scorer, assignment: Truncated, n_rows: int, pivot: Array) -> None:
        super().__init__(scorer, assignment, n_rows)
        self.pivot = pivot
        self.coefficients = coefficients(self.scorer, pivot)

    def numbers(self, length: int, n_candidates: int) -> int:
        n_terms = self.coefficients.shape[1]
        return (n_terms + n_candidates + self.n_features) * length + n_candidates * n_terms

    @property
    def multiplications(self) -> int:
        return self.n_candidates * self.coefficients.shape[1]

    def most_probable(self, rows: Array, scratch: Scratch) -> NDArray[np.integer]:
        size = max(1, CACHE // sum(self.coefficients.shape))
        parts = (rows[start : start + size] for start in range(0, len(rows), size))
        return np.concatenate(
            [(self._features(part, scratch).T @ self.coefficients.T).argmax(axis=1) for part in parts]
        )

    def score(self, rows: Array, candidates: NDArray[np.int32], scratch: Scratch) -> tuple[Array, Array]:
        (n_pieces, n_candidates), n_terms = candidates.shape, self.coefficients.shape[1]
        shape = (n_pieces, n_candidates, n_terms)
        chosen = np.take(self.coefficients, candidates, axis=0, out=scratch.array("chosen", shape, DOUBLE), mode="clip")
        phi = by_pieces(self._features(rows, scratch), n_pieces)
        scores = scratch.array("scores", (n_candidates, len(rows)), DOUBLE)
        np.matmul(chosen, phi, out=by_pieces(scores, n_pieces))
        return scores, phi

    def zeros(self) -> list[Array]:
        return [np.zeros(self.coefficients.shape)]

    def add(self, scored: Scored, totals: list[Array], scratch: Scratch) -> None:
        n_pieces, n_candidates = scored.candidates.shape
        shape = (n_pieces, n_candidates, self.coefficients.shape[1])
        sums = scratch.array("chosen", shape, DOUBLE)  # those of the scores are not needed any more
        np.matmul(by_pieces(scored.scores, n_pieces), scored.terms.swapaxes(1, 2), out=sums)
        totals[0] += owned(scored.candidates, self.n_components) @ sums.reshape(-1, shape[2])

    def moments(self, totals: list[Array]) -> Moments:
        return as_moments(totals[0], self.pivot, self.scorer.diagonal)

    def _features(self, rows: Array, scratch: Scratch) -> Array:
        return Features(self.pivot, DOUBLE, self.scorer.diagonal, len(rows), scratch).fill(rows)


class CandidateResiduals(CandidateKernel):
    """By residuals from each candidate's own centre, where features would lose digits or are too many."""

    def numbers(self, length: int, n_candidates: int) -> int:
        return n_candidates * (2 * self.n_features * length + self.scorer.whitening[0].size)

    @property
    def multiplications(self) -> int:
        return self.n_candidates * self.scorer.whitening[0].size

    def most_probable(self, rows: Array, scratch: Scratch) -> NDArray[np.integer]:
        size = self.scorer.block_rows()
        parts = (rows[start : start + size] for start in range(0, len(rows), size))
        return np.concatenate([self.scorer.log_joint_of(part).argmax(axis=0) for part in parts])

    def score(self, rows: Array, candidates: NDArray[np.int32], scratch: Scratch) -> tuple[Array, Array]:
        (n_pieces, n_candidates), n_features = candidates.shape, self.n_features
        own = rows.reshape(n_pieces, 1, -1, n_features)
        shape = (n_pieces, n_candidates, own.shape[2], n_features)
        residuals, whitened = (scratch.array(name, shape, DOUBLE) for name in ("residuals", "whitened"))
        np.subtract(own, self.scorer.centres[candidates][:, :, None], out=residuals)
        whitening = self.scorer.whitening[candidates]
        if self.scorer.diagonal:
            np.multiply(residuals, whitening[:, :, None], out=whitened)
        else:
            np.matmul(residuals, whitening, out=whitened)
        scores = scratch.array("scores", (n_candidates, len(rows)), DOUBLE)
        with np.errstate(over="ignore"):
            squares = np.einsum("mcld,mcld->mcl", whitened, whitened)
        by_pieces(scores, n_pieces)[:] = self.scorer.constants[candidates][:, :, None] - 0.5 * squares
        return scores, residuals if self.scorer.diagonal else whitened

    def zeros(self) -> list[Array]:
        return zero_totals(self.scorer.centres.shape, self.scorer.diagonal)

    def add(self, scored: Scored, totals: list[Array], scratch: Scratch) -> None:
        residuals = scored.terms
        n_pieces, n_candidates = scored.candidates.shape
        shares = np.ascontiguousarray(by_pieces(scored.scores, n_pieces))
        first = np.matmul(shares[:, :, None], residuals)
        if self.scorer.diagonal:
            second = np.matmul(shares[:, :, None], np.square(residuals, out=residuals))
        else:
            residuals *= np.sqrt(shares)[..., None]
            second = np.matmul(residuals.swapaxes(2, 3), residuals)
        owners = owned(scored.candidates, self.n_components)
        for total, sums in zip(totals, (shares.sum(axis=2), first, second), strict=True):
            total += (owners @ sums.reshape(n_pieces * n_candidates, -1)).reshape(total.shape)

    def moments(self, totals: list[Array]) -> Moments:
        centres, whitening = self.scorer.centres, self.scorer.whitening
        count, first, second = totals
        if self.scorer.diagonal:
            return Moments(count, first, second, centres)
        return unwhitened(count, first, second, centres, whitening)


def by_pieces(values: Array, n_pieces: int) -> Array:
    """A view ``(m, C, L)`` of ``(C, m L)``."""
    return values.reshape(len(values), n_pieces, -1).swapaxes(0, 1)


def owned(candidates: NDArray[np.int32], n_components: int) -> Any:
    """What adds up the sums of candidates of all pieces for each component, a sparse ``(K, m C)`` array of ones."""
    owners = candidates.ravel()
    return csc_array((np.ones(len(owners)), owners, np.arange(len(owners) + 1)), shape=(n_components, len(owners)))


@dataclass(frozen=True, eq=False)
class TruncatedTotals:
    """The task of a truncated pass: for each kernel the sum of log-normalisers over a strip, and the totals of its moments.

    Attributes
    ----------
    kernels : list of CandidateKernel
    idle : list of Scratch
        Working memory that no thread uses at the moment.
    """

    kernels: list[CandidateKernel]
    idle: list[Scratch]

    def __call__(self, strip: Block) -> Arrays:
        scratch = self.idle.pop() if self.idle else Scratch()
        parts = [part for kernel in self.kernels for part in StripVisit(kernel, strip, scratch).totals()]
        self.idle.append(scratch)
        return Arrays(parts)


class StripVisit:
    """A strip in one pass, for one mixture."""

    def __init__(self, kernel: CandidateKernel, strip: Block, scratch: Scratch) -> None:
        self.kernel, self.strip, self.scratch = kernel, strip, scratch
        self.everywhere = np.arange(len(strip.rows))
        self.groups = kernel.memory.groups[strip.position]
        self.lists = self._lists()
        self.bound, self.sums = np.zeros(1), kernel.zeros()

    def totals(self) -> list[Array]:
        """The sum of log-normalisers, and those of moments."""
        target, before = self._at_home()
        moving = np.flatnonzero(target != NOWHERE)
        for scored in self._visit(moving, target[moving], self.lists):
            normalisers = self.kernel.assignment(scored.scores)
            stays = scored.pieces.is_row & (normalisers > before[scored.pieces.places])
            settled = scored.pieces.places[stays]
            self.groups[settled], target[settled] = target[settled], NOWHERE
            self._count(scored, normalisers, stays)
        returning = np.flatnonzero(target != NOWHERE)
        for scored in self._visit(returning, self.groups[returning], self.lists):
            self._count(scored, self.kernel.assignment(scored.scores), scored.pieces.is_row)
        return [self.bound, *self.sums]

    def _at_home(self) -> tuple[NDArray[np.int32], Array]:
        """Count rows whose own component is the most probable one; of the others, where they would go, and their log-normalisers so far."""
        target, before = np.full(len(self.groups), NOWHERE, np.int32), np.empty(len(self.groups))
        for scored in self._visit(self.everywhere, self.groups, self.lists):
            normalisers = self.kernel.assignment(scored.scores)
            moves = (scored.scores[0] < scored.scores.max(axis=0)) & scored.pieces.is_row
            columns = np.flatnonzero(moves)
            places, length = scored.pieces.places[columns], len(moves) // len(scored.candidates)
            target[places] = scored.candidates[columns // length, scored.scores[:, columns].argmax(axis=0)]
            before[places] = normalisers[columns]
            self._count(scored, normalisers, scored.pieces.is_row & ~moves)
        return target, before

    def _visit(self, places: Places, groups: NDArray[np.int32], lists: NDArray[np.int32]) -> Iterator[Scored]:
        return self.kernel.visit(self.strip.rows, places, groups, lists, self.scratch)

    def _count(self, scored: Scored, normalisers: Array, counts: NDArray[np.bool_]) -> None:
        """Add the rows that count to the totals."""
        weights = self.strip.weights
        if weights is None:
            scored.scores[:, np.flatnonzero(~counts)] = 0.0
            self.bound += normalisers[counts].sum()
        else:
            counted = np.where(counts, weights[scored.pieces.places], 0.0)
            np.multiply(scored.scores, counted, out=scored.scores)
            self.bound += normalisers[counts] @ counted[counts]
        self.kernel.add(scored, self.sums, self.scratch)

    def _lists(self) -> NDArray[np.int32]:
        """Candidates of this pass: new groups and lists, if they are due and the sum over all rows becomes larger by them."""
        memory, start = self.kernel.memory, self.strip.position.start
        if memory.neighbours is not None:
            before, lists = self.groups.copy(), memory.lists.get(start)
            bound = -np.inf if lists is None else self._bound(lists)
            self.groups[:] = self.kernel.most_probable(self.strip.rows, self.scratch)
            found = self._heaviest(memory.neighbours)
            if lists is None or self._bound(found) >= bound:
                memory.lists[start] = found
            else:
                self.groups[:] = before
        return memory.lists[start]

    def _heaviest(self, neighbours: NDArray[np.int32]) -> NDArray[np.int32]:
        """Of the neighbours of each group those that take most of its rows, its own component first."""
        shares = np.zeros(neighbours.shape)
        for scored in self._visit(self.everywhere, self.groups, neighbours):
            self.kernel.assignment(scored.scores)
            scored.scores[:, ~scored.pieces.is_row] = 0.0
            if self.strip.weights is not None:
                np.multiply(scored.scores, self.strip.weights[scored.pieces.places], out=scored.scores)
            np.add.at(shares, scored.pieces.groups, by_pieces(scored.scores, len(scored.candidates)).sum(axis=2))
        shares[:, 0] = np.inf
        order = np.argsort(-shares, axis=1, kind="stable")[:, : self.kernel.n_candidates]
        return np.take_along_axis(neighbours, order, axis=1)

    def _bound(self, lists: NDArray[np.int32]) -> float:
        """Sum of log-normalisers over all rows with these lists."""
        found = 0.0
        for scored in self._visit(self.everywhere, self.groups, lists):
            normalisers, is_row = self.kernel.assignment(scored.scores), scored.pieces.is_row
            weights = None if self.strip.weights is None else self.strip.weights[scored.pieces.places[is_row]]
            found += float(weighted_sums(normalisers[is_row], weights))
        return found
