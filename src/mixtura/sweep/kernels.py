"""Two ways to score a block and add up its moments, for a stack of mixtures at once.

*Features as rows.* About a pivot near the data, ``log ρ`` is linear in features ``φ`` (``features.py``): the scores of all components of
all mixtures are one matrix product ``W φ`` and their moments another, ``r φᵀ``: half the arithmetic of the dense form. The price is
digits: terms as large as ``(spread/σ)²`` cancel.

*Whitened.* ``‖(x − μ_k) R_k‖²`` component by component, and moments of the whitened residuals by symmetric products: nothing cancels.

``cancellation`` says how many digits the first form would lose.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array, triangular_inverses
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.assign import Assignment, Sampled
from mixtura.sweep.features import as_moments, coefficients
from mixtura.sweep.scratch import Scratch

CACHE = 800_000
"""Numbers in a block's working arrays: they stay in a third-level cache, and calls are long enough that threads seldom wait."""
LARGEST_CANCELLATION = {np.dtype(np.float64): 1e5, np.dtype(np.float32): 1e3}
"""Up to this many times the score may a mixture's features be: 11 digits are left in float64, 4 in float32."""
MOST_FEATURES = 64
"""Above this dimension whitened products win over matrix features."""
LOWEST = -40.0
"""Where a component's constant is so far below the largest, rows in it are sought from their own peak at once."""
LEAST_BLOCK = 256
MOST_BLOCK = 2**15


def cancellation(scorer: Scorer, pivot: Array, variances: Array, dtype: np.dtype) -> Array:
    """Size of the terms that cancel in each component's features, relative to the score, by columns: ``(M, D)``.

    Infinite for components that ``dtype`` cannot hold.

    Parameters
    ----------
    scorer : Scorer
    pivot, variances : (D,) arrays
        Centre and mean square of the data about it.
    dtype : dtype
    """
    representable = float(np.finfo(dtype).max) ** 0.75
    with np.errstate(over="ignore"):
        precisions, squares = scorer.precision_diagonals, variances + (scorer.centres - pivot) ** 2
        terms = precisions * squares
    if max(precisions.max(), squares.max()) <= representable:
        return terms
    within_range = np.maximum(precisions.max(axis=1), squares.max(axis=1)) <= representable
    return np.where(within_range[:, None], terms, np.inf)


class Member(NamedTuple):
    """One mixture of a stack: its place in the caller's list, its scorer, and how it shares rows among its components.

    If some of it is mended, also where features would lose digits: in which columns of components ``(K, D)``, or in which components
    ``(K,)`` of matrices.
    """

    place: int
    scorer: Scorer
    assignment: Assignment
    lost: NDArray[np.bool_] | None = None


class Batch(NamedTuple):
    """Mixtures of equal size with one assignment, which share rows in one call; ``shape`` is their number and size."""

    members: slice
    components: slice
    shape: tuple[int, int]
    assignment: Assignment


@dataclass(frozen=True, eq=False)
class Totals:
    """What each of some kernels has added up."""

    of_kernels: list[list[Array]]

    def __iadd__(self, other: Totals) -> Self:
        for total, addend in zip(chain(*self.of_kernels), chain(*other.of_kernels), strict=True):
            total += addend
        return self


class Kernel(ABC):
    """Scores rows and adds up what comes of them, for mixtures of one form.

    Parameters
    ----------
    members : sequence of Member
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)
        self.scorer = Scorer.stacked([member.scorer for member in self.members])
        self.diagonal = self.scorer.diagonal
        self.sizes = [len(member.scorer.constants) for member in self.members]
        self.starts = [0, *accumulate(self.sizes[:-1])]

    @property
    @abstractmethod
    def multiplications(self) -> int:
        """Of a row with the coefficients of all components."""

    @abstractmethod
    def log_normalisers(self, totals: list[Array], total_weight: float) -> Array:
        """Sum over all rows, of that weight together, of each mixture's log-normaliser."""

    @abstractmethod
    def moments(self, totals: list[Array]) -> Moments:
        """Moments of all components from totals over all rows."""


class BlockKernel(Kernel):
    """One that takes blocks of rows, and shares each by the assignments themselves, for all mixtures of one size at once.

    Attributes
    ----------
    form : dtype or None
        Precision of the features that blocks come as; ``None`` where they come as rows.
    """

    form: np.dtype | None = None

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__(list(chain.from_iterable(_alike(members))))
        self.batches = list(_batches(self.members))

    def at(self, start: int) -> Self:
        """The kernel for rows that begin at this position: another one only where that matters to an assignment."""
        if not start:
            return self
        batches = [batch._replace(assignment=batch.assignment.at(start)) for batch in self.batches]
        if all(new.assignment is old.assignment for new, old in zip(batches, self.batches, strict=True)):
            return self
        moved = copy(self)
        moved.batches = batches
        return moved

    def onto(self, labels: NDArray[np.integer], first: int) -> Self:
        """For a strip that begins there: what is drawn is written into ``labels``, a row of them for each member."""
        writing = copy(self)
        writing.batches = []
        for batch in self.batches:
            assert isinstance(batch.assignment, Sampled)
            own = labels[self.members[batch.members.start].place]
            writing.batches.append(batch._replace(assignment=batch.assignment.onto(own, first)))
        return writing

    @property
    def n_features(self) -> int:
        """How many features of a row it reads."""
        return 0

    @abstractmethod
    def block_rows(self) -> int:
        """Rows to a block so that working arrays stay in cache."""

    @abstractmethod
    def zeros(self) -> list[Array]:
        """Totals of no rows."""

    @abstractmethod
    def add(self, block: Array, weights: Array | None, scratch: Scratch, totals: list[Array]) -> None:
        """Add a block (rows, or features where the kernel reads those) to totals, of which the first holds log-normalisers."""


class FeatureKernel(BlockKernel):
    """One matrix product for the scores, one for the moments."""

    def __init__(self, members: Sequence[Member], pivot: Array, dtype: np.dtype) -> None:
        super().__init__(members)
        self.pivot, self.dtype, self.form = pivot, dtype, dtype
        # No log joint exceeds its component's constant. Relative to the largest of a mixture's constants, exponentials cannot
        # overflow, so the peak of each row need not be sought.
        self.ceilings = np.maximum.reduceat(self.scorer.constants, self.starts)
        ceilings = self.ceilings if len(self.sizes) == 1 else np.repeat(self.ceilings, self.sizes)
        self.bounded_constants = self.scorer.constants - ceilings
        self.is_bounded = self.bounded_constants.min() > LOWEST
        exact = coefficients(self.through_features(), pivot)
        exact[:, -len(pivot) - 1] -= ceilings
        self.coefficients = exact.astype(dtype, copy=False)
        self.rounded_off = None if self.coefficients is exact else exact - self.coefficients

    @property
    def n_features(self) -> int:
        return self.coefficients.shape[1]

    @property
    def multiplications(self) -> int:
        return self.coefficients.size

    def block_rows(self) -> int:
        n_components, n_features = self.coefficients.shape
        numbers = CACHE * 8 // self.dtype.itemsize
        return min(MOST_BLOCK, max(LEAST_BLOCK, numbers // (n_features + 2 * n_components)))

    def zeros(self) -> list[Array]:
        return [np.zeros(len(self.members)), np.zeros(self.coefficients.shape)]

    def add(self, block: Array, weights: Array | None, scratch: Scratch, totals: list[Array]) -> None:
        phi = block[-self.coefficients.shape[1] :]
        scores = scratch.array("scores", (len(self.coefficients), phi.shape[1]), self.dtype)
        residuals = self.residuals(phi, scratch)
        for batch, _, row_normalisers in self.shared(phi, residuals, scores):
            totals[0][batch.members] += weighted_sums(row_normalisers, weights)
        if weights is not None:
            scores *= weights.astype(self.dtype, copy=False)
        totals[1] += np.matmul(scores, phi.T)
        self.add_apart(scores, residuals, totals)

    def shared(self, phi: Array, residuals: Any, scores: Array) -> Iterator[tuple[Batch, Array, Array]]:
        """Score a block and share its rows, in ``scores``: each batch with its shares and the log-normalisers, relative to the ceilings."""
        self.score(phi, residuals, slice(0, len(scores)), scores)
        for batch in self.batches:
            shares = scores[batch.components].reshape(*batch.shape, -1)
            row_normalisers = batch.assignment.share_bounded(shares) if self.is_bounded else batch.assignment(shares)
            if row_normalisers is None:  # some row is far from every component: once more, from its own peak
                self.score(phi, residuals, batch.components, scores)
                row_normalisers = batch.assignment(shares)
            yield batch, shares, row_normalisers

    def through_features(self) -> Scorer:
        """What of the scorer comes through features: all of it, unless some of it is mended."""
        return self.scorer

    def residuals(self, phi: Array, scratch: Scratch) -> Array | None:
        """Whitened residuals of what does not."""
        return None

    def score(self, phi: Array, residuals: Any, components: slice, scores: Array) -> None:
        """Write the log joints of some components, relative to their ceilings."""
        np.matmul(self.coefficients[components], phi, out=scores[components])

    def add_apart(self, shares: Array, residuals: Any, totals: list[Array]) -> None:
        """Add what does not come through features to the totals."""

    def moments(self, totals: list[Array]) -> Moments:
        return as_moments(totals[1], self.pivot, self.diagonal)

    def log_normalisers(self, totals: list[Array], total_weight: float) -> Array:
        sums = totals[0] + self.ceilings * total_weight
        if self.rounded_off is None:
            return sums
        # To first order, what rounding took from the coefficients it took from the log-normaliser times the features' sums.
        per_component = (self.rounded_off * totals[1]).sum(axis=1)
        return sums + np.add.reduceat(per_component, self.starts)


class WhitenedKernel(BlockKernel):
    """Residuals from each component's own centre, whitened; moments of those, turned back at the end where that takes matrices."""

    @property
    def multiplications(self) -> int:
        return self.scorer.whitening.size

    def block_rows(self) -> int:
        return self.scorer.block_rows()

    def zeros(self) -> list[Array]:
        return [np.zeros(len(self.members)), *zero_totals(self.scorer.centres.shape, self.diagonal)]

    def add(self, block: Array, weights: Array | None, scratch: Scratch, totals: list[Array]) -> None:
        shape = (len(self.scorer.centres), *block.shape)
        residuals = self.scorer.residuals(block, scratch.array("residuals", shape, np.dtype(np.float64)))
        whitened = self.scorer.whitened(residuals, scratch.array("whitened", shape, np.dtype(np.float64)))
        shares = self.scorer.log_joint(whitened)
        for batch in self.batches:
            row_normalisers = batch.assignment(shares[batch.components].reshape(*batch.shape, -1))
            totals[0][batch.members] += weighted_sums(row_normalisers, weights)
        if weights is not None:
            shares *= weights
        add_block(residuals if self.diagonal else whitened, shares, totals[1:])

    def moments(self, totals: list[Array]) -> Moments:
        _, count, first, second = totals
        centres, whitening = self.scorer.centres, self.scorer.whitening
        if self.diagonal:
            return Moments(count, first, second, centres)
        return unwhitened(count, first, second, centres, whitening)

    def log_normalisers(self, totals: list[Array], total_weight: float) -> Array:
        return totals[0]


def _alike(members: Iterable[Member]) -> list[list[Member]]:
    """Mixtures of equal size with one assignment together, in the order in which the first of them come: addresses must not say it."""
    groups: dict[tuple[int, int], list[Member]] = {}
    for member in members:
        groups.setdefault((id(member.assignment), len(member.scorer.constants)), []).append(member)
    return list(groups.values())


def _batches(members: Sequence[Member]) -> Iterator[Batch]:
    first = start = 0
    for group in _alike(members):
        n_mixtures, size = len(group), len(group[0].scorer.constants)
        last, stop = first + n_mixtures, start + n_mixtures * size
        assignment = group[0].assignment.of([member.place for member in group])
        yield Batch(slice(first, last), slice(start, stop), (n_mixtures, size), assignment)
        first, start = last, stop


def unwhitened(count: Array, first: Array, second: Array, centres: Array, whitening: Array) -> Moments:
    """Moments of residuals from those of whitened ones."""
    unwhitening = triangular_inverses(whitening)
    first = np.matmul(first[:, None, :], unwhitening)[:, 0]
    second = unwhitening.swapaxes(1, 2) @ second @ unwhitening
    return Moments(count, first, 0.5 * (second + second.swapaxes(1, 2)), centres)


def zero_totals(shape: tuple[int, ...], diagonal: bool) -> list[Array]:
    """Count, first and second moments of no rows, for ``shape = (M, D)``."""
    return [np.zeros(shape[0]), np.zeros(shape), np.zeros(shape if diagonal else (*shape, shape[1]))]


def add_block(residuals: Array, shares: Array, totals: list[Array]) -> None:
    """Add residuals ``(M, B, D)``, which are overwritten, with weighted responsibilities ``(M, B)`` to count, first and second moments."""
    count, first, second = totals
    count += shares.sum(axis=1)
    first += np.matmul(shares[:, None, :], residuals)[:, 0]
    if second.ndim == 2:
        np.multiply(residuals, residuals, out=residuals)
        second += np.matmul(shares[:, None, :], residuals)[:, 0]
    else:
        residuals *= np.sqrt(shares)[:, :, None]
        for total, rows in zip(second, residuals, strict=True):
            total += rows.T @ rows  # of an array with itself: a symmetric rank-B update


def weighted_sums(values: Array, weights: Array | None) -> Array:
    """``Σ_n w_n v_rn`` in float64, whatever the values are in."""
    return values.sum(axis=-1, dtype=np.float64) if weights is None else values @ weights
