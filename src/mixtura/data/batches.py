"""Rows that come in batches, and can be gone over again: a file that is read part by part, or any re-iterable of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mixtura.data.source import Block, Source
from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array

Batch = tuple[Array, Array | None]
"""Rows and their weights (``None``: all one)."""


class BatchSource(Source):
    """A source of batches, wherever they come from and however they are cut.

    Parameters
    ----------
    batches : callable
        Goes over all batches, the same each time.
    """

    def __init__(self, batches: Callable[[], Iterable[Batch]]) -> None:
        self._batches = batches
        first = next(iter(batches()), None)
        if first is None:
            raise DataError("X must hold at least one row; there are none.")
        rows, _ = first
        self._n_features, self._dtype = rows.shape[1], rows.dtype

    @property
    def n_features(self) -> int:
        return self._n_features

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    def blocks(self, size: int) -> Iterator[Block]:
        start, waiting, n_waiting = 0, list[Batch](), 0
        for batch in self._batches():
            waiting.append(self._alike(batch))
            n_waiting += len(batch[0])
            if n_waiting < size:
                continue
            rows, weights = _joined(waiting)
            whole = n_waiting - n_waiting % size
            yield from _cut(rows[:whole], None if weights is None else weights[:whole], size, start)
            # A copy: what is left is not to hold on to a batch that has been gone through.
            waiting = [(rows[whole:].copy(), None if weights is None else weights[whole:].copy())]
            start, n_waiting = start + whole, n_waiting - whole
        if n_waiting:
            yield from _cut(*_joined(waiting), size, start)

    def _alike(self, batch: Batch) -> Batch:
        rows, weights = batch
        if rows.shape[1] != self._n_features:
            raise DataError(
                f"all batches of X must have the same columns; the first has {self._n_features}, a later one {rows.shape[1]}."
            )
        if rows.dtype != self._dtype:
            raise DataError(f"all batches of X must be {self._dtype}, as the first is; a later one is {rows.dtype}.")
        return rows, weights


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    weights = [weights for _, weights in batches if weights is not None]
    return np.concatenate([rows for rows, _ in batches]), np.concatenate(weights) if weights else None


def _cut(rows: Array, weights: Array | None, size: int, start: int) -> Iterator[Block]:
    return iter(Block(slice(start, start + len(rows)), rows, weights).cut(size))
