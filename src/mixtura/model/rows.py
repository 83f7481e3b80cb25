"""Rows and row weights that somebody hands in, checked: the one door of all that reads them; and what columns are called."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array
from mixtura.ground.threads import hold_own_blas, n_threads, single_threaded_blas

WORTH_THREADS = 8
"""Blocks."""


def as_rows(X: ArrayLike, n_features: int | None = None) -> Array:
    """``X`` as a finite ``(N, D)`` array of float64, or of float32 where it is that already.

    Parameters
    ----------
    X : (N, D) array-like
    n_features : int, optional
        ``D``; without it, any number of columns but none.

    Raises
    ------
    DataError
        If it is of another shape, not numeric, masked, or not finite.
    """
    try:
        if np.ma.isMaskedArray(X):
            raise TypeError("got a masked array, and what lies under its mask would be read")
        rows = np.require(X, requirements=("C", "A"))
        if rows.dtype.kind not in "biufO":
            raise TypeError(f"got dtype {rows.dtype}")
        rows = rows if rows.dtype == np.float32 else rows.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"X must be numeric; {error}.") from error
    if rows.ndim != 2 or rows.shape[1] == 0 or n_features not in (None, rows.shape[1]):
        raise DataError(
            f"X must have shape (N, {n_features or 'D'}); got {rows.shape}. "
            "A single column needs X.reshape(-1, 1), a single row X.reshape(1, -1)."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        total = rows.sum()  # finite if all are, unless it overflows: then look closer
    if not np.isfinite(total) and not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise DataError(f"X must be finite; found {rows[row, column]} in row {row}, column {column}.")
    return rows


def as_weights(sample_weight: ArrayLike, n_rows: int) -> Array:
    """``sample_weight`` as ``(N,)`` finite numbers that are not negative.

    Parameters
    ----------
    sample_weight : (N,) array-like
    n_rows : int
        ``N``.

    Raises
    ------
    DataError
        If it is anything else.
    """
    try:
        if np.iscomplexobj(sample_weight) or np.ma.isMaskedArray(sample_weight):
            raise TypeError("got complex or masked ones")
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"sample_weight must be real numbers; {error}.") from error
    if weights.shape != (n_rows,):
        raise DataError(f"sample_weight must hold one number for each of {n_rows} rows; got shape {weights.shape}.")
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"sample_weight must be finite and not negative; found {weights[row]} in row {row}.")
    return weights


def carrying_rows(
    X: ArrayLike, sample_weight: ArrayLike | None, n_features: int | None = None
) -> tuple[Array, Array | None]:
    """The rows that carry weight, and their weights (``None``: all one), checked.

    Parameters
    ----------
    X : (N, D) array-like
    sample_weight : (N,) array-like or None
    n_features : int, optional
        ``D``.

    Raises
    ------
    DataError
        If either is not what it should be, or no row carries weight.
    """
    rows = as_rows(X, n_features)
    weights = None if sample_weight is None else as_weights(sample_weight, len(rows))
    if weights is not None and not weights.all():
        rows, weights = rows[weights > 0], weights[weights > 0]
    if not len(rows):
        carrying = "" if weights is None else " of positive weight"
        raise DataError(f"X must hold at least one row{carrying}; there are none.")
    return rows, weights


def by_blocks(rows: Array, size: int, function: Callable[[Array], Array], *shape: int) -> Array:
    """What a function of some rows says of all of them, ``(N, *shape)``, in blocks of so many at a time; many of them in threads."""
    found, starts = np.empty((len(rows), *shape)), range(0, len(rows), size)

    def fill(start: int) -> None:
        found[start : start + size] = function(rows[start : start + size])

    if len(starts) < WORTH_THREADS:
        for start in starts:
            fill(start)
        return found
    with single_threaded_blas(), ThreadPoolExecutor(n_threads(), initializer=hold_own_blas) as executor:
        for _ in executor.map(fill, starts):
            pass
    return found


def evenly_spaced(total: int, most: int) -> NDArray[np.intp]:
    """At most so many of ``0 … total − 1``, from end to end."""
    return np.linspace(0, total - 1, min(most, total)).astype(np.intp)


def default_names(n_features: int) -> tuple[str, ...]:
    """What columns without names are called: ``x0``, ``x1`` …, and a single one ``x``."""
    return ("x",) if n_features == 1 else tuple(f"x{d}" for d in range(n_features))
