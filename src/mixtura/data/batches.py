"""Rows that come in batches, and can be gone over again: a file that is read part by part, or any re-iterable of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Block, Source
from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array

Batch = tuple[Array, Array | None]
"""Rows and their weights (``None``: all one)."""
LARGE = 4
"""Times as many rows as a block has are a large batch."""


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
            raise no_rows()
        rows, _ = first
        self._n_features, self._dtype = rows.shape[1], rows.dtype

    @property
    def n_features(self) -> int:
        return self._n_features

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    def blocks(self, size: int) -> Iterator[Block]:
        return in_blocks(map(self._alike, self._batches()), size)

    def _alike(self, batch: Batch) -> Batch:
        check_alike(batch[0], self._n_features, self._dtype)
        return batch


def no_rows() -> DataError:
    """The error that there are none."""
    return DataError("X must hold at least one row; there are none.")


def check_alike(rows: Array, n_features: int, dtype: np.dtype) -> None:
    """Raise if rows of a batch are not like those of the first."""
    if rows.shape[1] != n_features:
        raise DataError(
            f"all batches of X must have the same columns; the first has {n_features}, a later one {rows.shape[1]}."
        )
    if rows.dtype != dtype:
        raise DataError(f"all batches of X must be {dtype}, as the first is; a later one is {rows.dtype}.")


def in_blocks(batches: Iterable[Batch], size: int) -> Iterator[Block]:
    """Rows of batches in order, ``size`` at a time, the last time fewer; views, but for blocks that more than one batch has a part in."""
    start, waiting, n_waiting = 0, list[Batch](), 0
    for batch in batches:
        n_rows, first = len(batch[0]), 0
        while n_waiting + n_rows - first >= size:
            last = first + size - n_waiting
            rows, weights = joined([*waiting, _part(batch, first, last)])
            yield Block(slice(start, start + size), rows, weights)
            start, first, waiting, n_waiting = start + size, last, [], 0
        if first < n_rows:
            rest = _part(batch, first, n_rows)
            # What is left of a large batch is not to hold on to all of it.
            waiting.append(_copied(rest) if n_rows > LARGE * size else rest)
            n_waiting += n_rows - first
    if n_waiting:
        yield Block(slice(start, start + n_waiting), *joined(waiting))


def _part(batch: Batch, first: int, last: int) -> Batch:
    rows, weights = batch
    return rows[first:last], None if weights is None else weights[first:last]


def _copied(batch: Batch) -> Batch:
    rows, weights = batch
    return rows.copy(), None if weights is None else weights.copy()


def joined(batches: list[Batch]) -> Batch:
    """Batches as one, of which there is one at least."""
    if len(batches) == 1:
        return batches[0]
    weights = [weights for _, weights in batches if weights is not None]
    return np.concatenate([rows for rows, _ in batches]), np.concatenate(weights) if weights else None


def numbers(batch: Any) -> Array:
    """A batch as rows in float32 or float64."""
    rows = np.asarray(batch)
    if rows.ndim != 2 or rows.dtype.kind not in "biuf":
        raise DataError(
            f"each batch of X must be a (B, D) array of numbers; got shape {rows.shape}, dtype {rows.dtype}."
        )
    return np.ascontiguousarray(rows, dtype=np.float32 if rows.dtype == np.float32 else np.float64)


def cleaned(batch: Batch, drops: bool) -> tuple[Batch, int]:
    """The rows that count, and how many were left out for a missing value; those without weight never count."""
    rows, weights = batch
    if weights is not None:
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise DataError("the column of weights must be finite and not negative.")
        rows, weights = _where(weights > 0, rows, np.asarray(weights, dtype=np.float64))
    if not drops:
        return (rows, weights), 0
    whole = np.asarray(np.isfinite(rows).all(axis=1))
    return _where(whole, rows, weights), len(rows) - int(whole.sum())


def _where(kept: NDArray[np.bool_], rows: Array, weights: Array | None) -> Batch:
    return (rows, weights) if kept.all() else (rows[kept], None if weights is None else weights[kept])
