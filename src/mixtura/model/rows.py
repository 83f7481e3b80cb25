"""Rows that somebody hands in, checked: the one door of whatever scores them; and what their columns are called."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array


def as_rows(X: ArrayLike, n_features: int) -> Array:
    """``X`` as a finite ``(N, D)`` array of float64, or of float32 where it is that already.

    Parameters
    ----------
    X : (N, D) array-like
    n_features : int
        ``D``.

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
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise DataError(
            f"X must have shape (N, {n_features}); got {rows.shape}. "
            "A single column needs X.reshape(-1, 1), a single row X.reshape(1, -1)."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        total = rows.sum()  # finite if all are, unless it overflows: then look closer
    if not np.isfinite(total) and not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise DataError(f"X must be finite; found {rows[row, column]} in row {row}, column {column}.")
    return rows


def default_names(n_features: int) -> tuple[str, ...]:
    """What columns without names are called: ``x0``, ``x1`` …, and a single one ``x``."""
    return ("x",) if n_features == 1 else tuple(f"x{d}" for d in range(n_features))
