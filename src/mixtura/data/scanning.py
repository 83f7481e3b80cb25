"""Rows that are gone over wherever they are: files, folders and patterns of them, Arrow datasets, and whatever hands out arrays in turn.

Each kind of container is a row of ``CONTAINERS``: how it is told, without importing the library that it is of, and what reads it.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mixtura.data.array import ArraySource
from mixtura.data.arrow import ArrowColumns, as_table, dataset_of_files, is_dataset
from mixtura.data.batches import Batch, BatchSource, cleaned, numbers
from mixtura.data.dask import ROWS_SENT, CollectionColumns, DaskSource, current_client, is_collection
from mixtura.data.source import Source
from mixtura.ground.errors import DataError, InvalidParameterError

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".arrow": "ipc", ".feather": "ipc"}
"""Kinds of files by the ends of their names."""
MISSING = ("error", "drop")


class Reading(NamedTuple):
    """What goes over the rows, what the columns are called, and, where rows can be read in parts that know nothing of each other, those.

    A part is called for its batches, wherever it is sent; or a Dask object stands for its rows.
    """

    batches: Callable[[], Iterable[Batch]]
    names: tuple[str, ...] | None
    parts: Callable[[], Sequence[Any]] | None = None


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
    drops, client = _drops(missing), current_client() if is_collection(data) else None
    kind = _kind_of(data)
    if kind is None:
        raise DataError(f"{type(data).__name__} can be scanned neither as files nor as batches of rows. Use an array.")
    reading = kind.read(data, columns, sample_weight)
    return Scanned(reading, drops) if client is None else _on_cluster(client, reading, drops)


def on_dask(
    client: Any,
    data: Any,
    *,
    columns: Sequence[str] | None = None,
    sample_weight: str | None = None,
    missing: str = "error",
) -> Source:
    """Rows on the workers of a Dask cluster, to be gone over there.

    A pass is one round trip: parameters out, moments back. Files are read by the workers, who must see them under the same names; what is
    in memory here is sent to them. The fit is that of the same rows here, to the last bit on processors of one kind.

    Parameters
    ----------
    client : distributed.Client
    data : array, table, or what ``mixtura.scan`` takes or returns, or a Dask array or data frame
    columns, sample_weight, missing
        As for ``mixtura.scan``.

    Returns
    -------
    Source
        For ``fit``, ``predict`` and the other methods in place of ``X``. Dask arrays and data frames need not be wrapped: they use the
        client that is current.

    Raises
    ------
    ClusterError
        If workers lack mixtura, or the scheduler is gone; also later, during a fit.

    Examples
    --------
    >>> import mixtura as mx
    >>> from distributed import Client  # doctest: +SKIP
    >>> client = Client("tcp://127.0.0.1:8786")  # doctest: +SKIP
    >>> mx.GaussianMixture(3).fit(mx.on_dask(client, "data/*.parquet"))  # doctest: +SKIP
    """
    drops, kind = _drops(missing), _kind_of(data)
    if isinstance(data, Scanned):
        return _on_cluster(client, data.reading, data.drops)
    if kind is not None:
        return _on_cluster(client, kind.read(data, columns, sample_weight), drops)
    source = data if isinstance(data, Source) else ArraySource(numbers(as_table(data)))
    names = source.names or getattr(data, "columns", None)
    batches = ((block.rows, block.weights) for block in source.blocks(ROWS_SENT))
    return _on_cluster(client, Reading(lambda: batches, None if names is None else tuple(map(str, names))), drops)


def _on_cluster(client: Any, reading: Reading, drops: bool) -> DaskSource:
    parts = ([batch] for batch in reading.batches()) if reading.parts is None else reading.parts()
    return DaskSource(client, parts, reading.names, drops)


def _kind_of(data: Any) -> Container | None:
    """The container that something is; ``None`` for arrays and tables in memory, and for what cannot be gone over."""
    return next((kind for kind in CONTAINERS if kind.is_one(data)), None)


def _drops(missing: str) -> bool:
    if missing not in MISSING:
        raise InvalidParameterError(f"missing must be one of {', '.join(map(repr, MISSING))}; got {missing!r}.")
    return missing == "drop"


def as_scanned(X: Any) -> Source | None:
    """What is to be gone over where it is; ``None`` for arrays and tables in memory."""
    if isinstance(X, Source):
        return X
    return None if _kind_of(X) is None else scan(X)


class Scanned(BatchSource):
    """Batches of which rows that are not to count are left out: those without weight, and, if asked for, those with a missing value.

    Attributes
    ----------
    n_dropped : int
        Rows with a missing or infinite value that were left out by the last going over all of them.
    """

    def __init__(self, reading: Reading, drops: bool) -> None:
        self.reading, self.drops, self.n_dropped = reading, drops, 0
        super().__init__(self._counting)
        self.names = reading.names

    def _counting(self) -> Iterator[Batch]:
        n_dropped = 0
        for whole in self.reading.batches():
            batch, dropped = cleaned(whole, self.drops)
            n_dropped += dropped
            if len(batch[0]):
                yield batch
        self.n_dropped = n_dropped


def _is_path(X: Any) -> bool:
    return isinstance(X, str | os.PathLike)


def _of_paths(X: Any, columns: Sequence[str] | None, weights: str | None) -> Reading:
    return _of_dataset(dataset_of(os.fspath(X)), columns, weights)


def dataset_of(X: str) -> Any:
    """The Arrow dataset of the files that a name, a folder or a pattern stands for."""
    paths = _files(X)
    kinds = sorted({FORMATS.get(Path(path).suffix.lower(), "") for path in paths})
    if len(kinds) > 1 or not kinds[0]:
        raise DataError(
            f"{X} names files of no kind that can be scanned, or of several. Known are {', '.join(FORMATS)}."
        )
    return dataset_of_files(paths, kinds[0])


def _files(path: str) -> list[str]:
    """Files by a name, a folder or a pattern, in the order of their names."""
    if os.path.isdir(path):
        found = sorted(str(one) for one in Path(path).rglob("*") if one.suffix.lower() in FORMATS)
    elif os.path.exists(path):
        found = [path]
    else:
        found = sorted(glob.glob(path, recursive=True))
    if not found:
        if os.path.isdir(path):
            raise DataError(f"the folder {path!r} holds no files to scan; known are {', '.join(FORMATS)}.")
        raise DataError(f"no file matches {path!r}." if glob.has_magic(path) else f"there is no file {path!r}.")
    return found


def _of_dataset(X: Any, columns: Sequence[str] | None, weights: str | None) -> Reading:
    read = ArrowColumns(X, columns, weights)
    return Reading(read, read.names, read.parts)


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
    return Reading(lambda: ((numbers(batch), None) for batch in X), None)


def _of_collection(X: Any, columns: Sequence[str] | None, weights: str | None) -> Reading:
    read = CollectionColumns(X, columns, weights)
    return Reading(read, read.names, read.parts)


CONTAINERS = (
    Container(is_collection, _of_collection),
    Container(_is_path, _of_paths),
    Container(is_dataset, _of_dataset),
    Container(_is_iterable, _of_iterable),
)
