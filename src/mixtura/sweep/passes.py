"""One pass over the data: score every block, assign its rows, add up the moments.

A pass takes several mixtures and reads the data once for all of them. Blocks are gathered into strips of a fixed size; threads share the
strips, and strips are added up in the order in which they lie, so the result does not depend on the number of threads to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import repeat
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.assign import Assignment, soft
from mixtura.sweep.kernels import (
    FeatureKernel,
    Kernel,
    WhitenedKernel,
    add_block,
    fits_features,
    zero_totals,
)
from mixtura.sweep.threads import n_threads, single_threaded_blas

BLOCKS_PER_STRIP = 8
PIVOT_ROWS = 2**16


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
    """Passes over one source; used as a context, in which threads are ready and BLAS is held to one.

    Parameters
    ----------
    source : ArraySource
    """

    def __init__(self, source: ArraySource) -> None:
        self.source = source
        self._pivot, self._variances = _centre_and_spread(source)
        self._prepared: dict[str, Array] = {}
        self._stack = ExitStack()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        threads = n_threads()
        self._stack.enter_context(single_threaded_blas())
        if threads > 1 and self.source.rows.size > 2**16:
            self._pool = self._stack.enter_context(ThreadPoolExecutor(threads))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool = None
        self._stack.close()

    def __call__(self, scorers: Sequence[Scorer], assignment: Assignment = soft) -> list[Swept]:
        """Visit every row once for all of the mixtures.

        Parameters
        ----------
        scorers : sequence of Scorer
        assignment : Assignment
            How rows are shared among components.

        Returns
        -------
        list of Swept
            In the order of the scorers.
        """
        groups: dict[tuple[bool, np.dtype | None], list[int]] = {}
        for i, scorer in enumerate(scorers):
            groups.setdefault((scorer.diagonal, self._feature_dtype(scorer)), []).append(i)
        swept: dict[int, Swept] = {}
        for (_, dtype), indices in groups.items():
            chosen = [scorers[i] for i in indices]
            kernel: Kernel = WhitenedKernel(chosen) if dtype is None else FeatureKernel(chosen, self._pivot, dtype)
            totals = self._totals(kernel, assignment)
            moments = kernel.moments(totals)
            for i, part, log_normaliser in zip(indices, kernel.parts, totals[0].tolist(), strict=True):
                swept[i] = Swept(log_normaliser, moments if len(indices) == 1 else moments[part])
        return [swept[i] for i in range(len(scorers))]

    def _feature_dtype(self, scorer: Scorer) -> np.dtype | None:
        """The precision in which features serve a mixture: that of the rows, else float64, else none."""
        for dtype in (self.source.rows.dtype, np.dtype(np.float64)):
            if fits_features(scorer, self._pivot, self._variances, dtype):
                return dtype
        return None

    def _totals(self, kernel: Kernel, assignment: Assignment) -> list[Array]:
        size = kernel.block_rows()
        n_rows = self.source.n_rows
        if n_rows <= size:
            return self._single_block(kernel, assignment)
        strips = range(0, n_rows, size * BLOCKS_PER_STRIP)
        arguments = (strips, repeat(size), repeat(kernel), repeat(assignment))
        parts: Iterable[list[Array]] = (
            map(self._strip, *arguments) if self._pool is None else self._pool.map(self._strip, *arguments)
        )
        totals = kernel.zeros()
        for part in parts:
            for total, addend in zip(totals, part, strict=True):
                total += addend
        return totals

    def _single_block(self, kernel: Kernel, assignment: Assignment) -> list[Array]:
        """The whole of a small data set, its features kept from pass to pass."""
        key = kernel.form
        workspace = kernel.workspace(self.source.n_rows)
        if key not in self._prepared:
            self._prepared[key] = kernel.prepare(self.source.rows, workspace)
        totals = kernel.zeros()
        kernel.add(self._prepared[key], self.source.weights, assignment, workspace, totals)
        return totals

    def _strip(self, start: int, size: int, kernel: Kernel, assignment: Assignment) -> list[Array]:
        totals, workspace = kernel.zeros(), kernel.workspace(size)
        for _, rows, weights in self.source.blocks(size, start, start + size * BLOCKS_PER_STRIP):
            kernel.add(kernel.prepare(rows, workspace), weights, assignment, workspace, totals)
        return totals


def _centre_and_spread(source: ArraySource) -> tuple[Array, Array]:
    """A pivot near the mean of the data, and their mean square about it.

    The pivot lies on a coarse binary grid: subtracting it is exact for rows nearby, and it does not move with the rounding of the mean, so
    that the same rows in another order, or repeated rows instead of weights, meet the same features to the last bit.
    """
    step = -(-source.n_rows // PIVOT_ROWS)
    rows = source.rows[::step].astype(np.float64)
    weights = None if source.weights is None else source.weights[::step]
    mean = np.average(rows, axis=0, weights=weights)
    variances = np.average((rows - mean) ** 2, axis=0, weights=weights)
    grid = np.exp2(np.floor(np.log2(np.sqrt(variances), where=variances > 0, out=np.zeros_like(mean))) - 2)
    pivot = (np.round(mean / grid) * grid).astype(source.rows.dtype).astype(np.float64)
    return pivot, variances + (mean - pivot) ** 2


def accumulate(source: ArraySource, responsibilities: Array, n_components: int, *, diagonal: bool) -> Moments:
    """Moments for given responsibilities, about each component's own mean: two passes, no digits lost.

    Parameters
    ----------
    source : ArraySource
    responsibilities : (N, K) array, or (N,) integer array of labels
    n_components : int
        ``K``.
    diagonal : bool
        Whether the diagonals of the second moments are enough.
    """
    shape = (n_components, source.n_features)
    counts, sums = np.zeros(n_components), np.zeros(shape)
    for rows, shares in _given_shares(source, responsibilities, n_components):
        counts += shares.sum(axis=1)
        sums += shares @ rows
    means = sums / np.maximum(counts, np.finfo(np.float64).tiny)[:, None]
    totals = zero_totals(shape, diagonal)
    for rows, shares in _given_shares(source, responsibilities, n_components):
        add_block(rows - means[:, None, :], shares, totals)
    count, first, second = totals
    return Moments(count, first, second, means)


def _given_shares(source: ArraySource, responsibilities: Array, n_components: int) -> Iterator[tuple[Array, Array]]:
    """Blocks of rows with their weighted responsibilities ``(K, B)``."""
    components = np.arange(n_components)[:, None]
    for part, rows, weights in source.blocks(max(64, 2**16 // (n_components * source.n_features))):
        given = responsibilities[part]
        shares = (given == components).astype(np.float64) if given.ndim == 1 else given.T.astype(np.float64)
        yield rows, shares if weights is None else shares * weights
