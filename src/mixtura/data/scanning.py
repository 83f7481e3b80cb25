"""Rows that are gone over wherever they are: files, folders and patterns of them, Arrow datasets, and whatever hands out arrays in turn.

Each kind of container is a row of ``CONTAINERS``: how it is told, without importing the library that it is of, and what reads it.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.data.arrow import ArrowColumns, dataset_of_files, is_dataset
from mixtura.data.batches import Batch, BatchSource
from mixtura.data.source import Source
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".arrow": "ipc", ".feather": "ipc"}
"""Kinds of files by the ends of their names."""
MISSING = ("error", "drop")
MOST_SHOWN = 5


class Reading(NamedTuple):
    """What goes over the rows, and what the columns are called."""

    batches: Callable[[], Iterable[Batch]]
    names: tuple[str, ...] | None


class Container(NamedTuple):
    """One kind: whether something is of it, and how some of its columns are read, one of them as weights."""

    is_one: Callable[[Any], bool]
    read: Callable[[Any, Sequence[str] | None, str | None], Reading]


def scan(
    data: Any,
    *,
    columns: Sequence[str] | None = None,
    sample_weight: str | None = None,
    missing: str = "error",
) -> Source:
    """Rows to be gone over where they are, as often as a fit needs; none of them stays in memory.

    Estimators scan what is no array or table in memory by themselves; ``scan`` says more of it.

    Parameters
    ----------
    data : str, path, Arrow dataset, or iterable of arrays
        A Parquet, CSV or Arrow file, a folder of them, or a pattern such as ``"data/*.parquet"``; an Arrow dataset; or anything that can
        be iterated over more than once and yields ``(B, D)`` arrays or tables.
    columns : sequence of str, optional
        Those that are the rows; all by default.
    sample_weight : str, optional
        The column of row weights.
    missing : {"error", "drop"}, default="error"
        Whether rows with a missing or infinite value are an error, with a count for each column, or left out.

    Returns
    -------
    Source
        For ``fit``, ``predict`` and the other methods in place of ``X``.

    Raises
    ------
    DataError
        If there are no such files or columns, or they do not hold numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> parts = [np.array([[-1.0], [0.0], [1.0]]), np.array([[9.0], [10.0], [11.0], [np.nan]])]
    >>> gm = mx.GaussianMixture(2, random_state=0).fit(mx.scan(parts, missing="drop"))
    >>> np.sort(gm.means_.ravel()).round(6)
    array([ 0., 10.])
    """
    if missing not in MISSING:
        raise InvalidParameterError(f"missing must be one of {', '.join(map(repr, MISSING))}; got {missing!r}.")
    kind = next((kind for kind in CONTAINERS if kind.is_one(data)), None)
    if kind is None:
        raise DataError(f"{type(data).__name__} can be scanned neither as files nor as batches of rows. Use an array.")
    batches, names = kind.read(data, columns, sample_weight)
    return Scanned(batches, names, drops=missing == "drop")


def as_scanned(X: Any) -> Source | None:
    """What is to be gone over where it is; ``None`` for arrays and tables in memory."""
    if isinstance(X, Source):
        return X
    return scan(X) if any(kind.is_one(X) for kind in CONTAINERS) else None


class Scanned(BatchSource):
    """Batches of which rows that are not to count are left out: those without weight, and, if asked for, those with a missing value.

    Attributes
    ----------
    n_dropped : int
        Rows with a missing or infinite value that were left out by the last going over all of them.
    """

    def __init__(self, batches: Callable[[], Iterable[Batch]], names: tuple[str, ...] | None, drops: bool) -> None:
        self._all, self._drops, self.n_dropped = batches, drops, 0
        super().__init__(self._counting)
        self.names = names

    def _counting(self) -> Iterator[Batch]:
        n_dropped = 0
        for rows, weights in self._all():
            if weights is not None:
                if not (np.isfinite(weights) & (weights >= 0)).all():
                    raise DataError("the column of weights must be finite and not negative.")
                weights = np.asarray(weights, dtype=np.float64)
                rows, weights = _where(weights > 0, rows, weights)
            if self._drops:
                whole = np.asarray(np.isfinite(rows).all(axis=1))
                n_dropped += len(rows) - int(whole.sum())
                rows, weights = _where(whole, rows, weights)
            if len(rows):
                yield rows, weights
        self.n_dropped = n_dropped

    def check_finite(self) -> None:
        """Raise if values are missing, with a count for each column."""
        counts = self.facts.n_missing
        if counts.any():
            names = self.names or tuple(f"x{j}" for j in range(len(counts)))
            worst = [f"{counts[j]} in column {names[j]!r}" for j in np.argsort(-counts, kind="stable") if counts[j]]
            others = f" and {len(worst) - MOST_SHOWN} more columns" if len(worst) > MOST_SHOWN else ""
            raise DataError(
                f"values are missing or infinite: {', '.join(worst[:MOST_SHOWN])}{others}. Leave those rows out with "
                "mixtura.scan(…, missing='drop'), or fill them in."
            )


def _where(kept: NDArray[np.bool_], rows: Array, weights: Array | None) -> Batch:
    return (rows, weights) if kept.all() else (rows[kept], None if weights is None else weights[kept])


def _is_path(X: Any) -> bool:
    return isinstance(X, str | os.PathLike)


def _of_paths(X: Any, columns: Sequence[str] | None, weights: str | None) -> Reading:
    paths = _files(os.fspath(X))
    kinds = sorted({FORMATS.get(Path(path).suffix.lower(), "") for path in paths})
    if len(kinds) > 1 or not kinds[0]:
        raise DataError(
            f"{X} names files of no kind that can be scanned, or of several. Known are {', '.join(FORMATS)}."
        )
    return _of_dataset(dataset_of_files(paths, kinds[0]), columns, weights)


def _files(path: str) -> list[str]:
    """Files by a name, a folder or a pattern, in the order of their names."""
    if os.path.isdir(path):
        found = sorted(str(one) for one in Path(path).rglob("*") if one.suffix.lower() in FORMATS)
    elif os.path.exists(path):
        found = [path]
    else:
        found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise DataError(
            f"there is no file {path!r}." if not os.path.isdir(path) else f"{path!r} holds no files to scan."
        )
    return found


def _of_dataset(X: Any, columns: Sequence[str] | None, weights: str | None) -> Reading:
    read = ArrowColumns(X, columns, weights)
    return Reading(read, read.names)


def _is_iterable(X: Any) -> bool:
    """Whether it hands out arrays of two dimensions: an object that is no array or table itself, or a list of those."""
    if any(hasattr(X, name) for name in ("__array__", "__arrow_c_stream__", "shape")) or not hasattr(X, "__iter__"):
        return False
    if isinstance(X, list | tuple):
        return bool(X) and getattr(X[0], "ndim", None) == 2
    return not hasattr(X, "__getitem__") and not isinstance(X, str | bytes | set | frozenset | dict)


def _of_iterable(X: Iterable[Any], columns: Sequence[str] | None, weights: str | None) -> Reading:
    if columns is not None or weights is not None:
        raise InvalidParameterError("columns and sample_weight name columns of files; batches of arrays have none.")
    if iter(X) is X:
        raise DataError(
            f"a {type(X).__name__} can be gone over only once, and a fit reads its rows often. Hand in an object that starts anew "
            "each time, or use partial_fit."
        )
    return Reading(lambda: ((_numbers(batch), None) for batch in X), None)


def _numbers(batch: Any) -> Array:
    rows = np.asarray(batch)
    if rows.ndim != 2 or rows.dtype.kind not in "biuf":
        raise DataError(
            f"each batch of X must be a (B, D) array of numbers; got shape {rows.shape}, dtype {rows.dtype}."
        )
    return np.ascontiguousarray(rows, dtype=np.float32 if rows.dtype == np.float32 else np.float64)


CONTAINERS = (
    Container(_is_path, _of_paths),
    Container(is_dataset, _of_dataset),
    Container(_is_iterable, _of_iterable),
)
