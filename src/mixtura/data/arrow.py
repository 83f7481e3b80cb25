"""Arrow tables: Parquet files, and any object with an Arrow stream. The one file of the house that imports pyarrow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from mixtura.ground.errors import DataError, missing_extra
from mixtura.ground.linalg import Array

LOOK_AT = 1000
"""Rows from which is told what columns of text hold."""
NUMBERS_READ, MOST_ROWS_READ = 2**21, 2**18
"""In a part that is read at a time, and rows in it: so many that few blocks lie in two of them."""
AHEAD = {"batch_readahead": 2, "fragment_readahead": 1}
"""How many such parts are read ahead, and from how many files besides the one at hand."""

ROWS_WRITTEN = 2**16
"""That make one row group."""
CACHED_ROWS = 2**13
ROWS_TO_A_PART = 2**18
"""Rows from which row groups of a file are a part of their own on a cluster."""


def as_table(X: Any) -> Any:
    """``X`` as an Arrow table where that is the only way to read it: an ``__arrow_c_stream__`` and no array of its own."""
    if not hasattr(X, "__arrow_c_stream__") or hasattr(X, "__array__"):
        return X
    try:
        import pyarrow as pa
    except ImportError as error:
        raise missing_extra("Arrow streams", "data") from error
    return pa.table(X)


class ParquetTable:
    """The columns of one Parquet file, by their places: names may repeat.

    Parameters
    ----------
    file : binary file
    source : str
        What it is called, for people.

    Attributes
    ----------
    names : list of str
    n_rows : int
    numeric, text, index : frozenset of int
        Columns that hold numbers; that hold text; that pandas keeps the index of a data frame in.
    """

    def __init__(self, file: IO[bytes], source: str) -> None:
        pa, pq = parquet()
        self._source = source
        # Of a damaged file, pyarrow also decodes names, and looks up what is not there.
        self._damaged = (pa.ArrowException, OSError, ValueError, KeyError, OverflowError)
        try:
            self._file: Any = pq.ParquetFile(file)
            schema = self._file.schema_arrow
            self.names: list[str] = list(schema.names)
            self.n_rows: int = self._file.metadata.num_rows
            self.index = _index_columns(schema)
        except self._damaged as error:
            raise self._unreadable(error) from error
        self.numeric, self.text = _numbers_and_texts(schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, columns: Sequence[int]) -> Array:
        """The numbers of some numeric columns, ``(N, D)``; an empty cell is NaN."""
        try:
            content = self._file.read(columns=[self.names[i] for i in columns])
            rows = np.empty((content.num_rows, len(columns)))
            for column, i in zip(rows.T, columns, strict=True):
                column[:] = _as_floats(content.column(self.names[i]))
        except self._damaged as error:
            raise self._unreadable(error) from error
        return rows

    def first_texts(self) -> dict[int, list[str]]:
        """The first values of each column of text, empty ones left out."""
        try:
            return _first_texts(
                self.names, self.text, lambda wanted: next(self._file.iter_batches(LOOK_AT, columns=wanted), None)
            )
        except self._damaged as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> DataError:
        said = " ".join(str(error).split()).rstrip(".")
        return DataError(f"{self._source} cannot be read as Parquet: {said[:300]}. Is the file complete?")


class DatasetTable:
    """What the columns of an Arrow dataset are, as of a ``ParquetTable``.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset

    Attributes
    ----------
    names, numeric, text, index
        As there.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.names: list[str] = list(dataset.schema.names)
        self.index = _index_columns(dataset.schema)
        self.numeric, self.text = _numbers_and_texts(dataset.schema)

    def first_texts(self) -> dict[int, list[str]]:
        """The first values of each column of text, empty ones left out."""
        with _readable():
            return _first_texts(
                self.names,
                self.text,
                lambda wanted: self._dataset.head(LOOK_AT, columns=wanted, batch_size=LOOK_AT, **AHEAD),
            )


def _numbers_and_texts(schema: Any) -> tuple[frozenset[int], frozenset[int]]:
    """Places of the columns that hold numbers, and of those that hold text."""
    import pyarrow as pa

    tests = (
        (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
        (pa.types.is_string, pa.types.is_large_string),
    )
    numeric, text = (
        frozenset(i for i, field in enumerate(schema) if any(test(field.type) for test in those)) for those in tests
    )
    return numeric, text


def _first_texts(names: Sequence[str], text: frozenset[int], first: Callable[[list[str]], Any]) -> dict[int, list[str]]:
    """Values of columns of text in some first rows, empty ones left out; not of columns that share a name."""
    times = Counter(names)
    wanted = sorted(i for i in text if times[names[i]] == 1)
    rows = first([names[i] for i in wanted]) if wanted else None
    found = {} if rows is None else rows.to_pydict()
    return {i: [value for value in found.get(names[i], []) if value and value.strip()] for i in wanted}


@contextmanager
def _readable() -> Iterator[None]:
    """What goes wrong while files of a dataset are read, in one sentence."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"the data cannot be read: {said[:300]}. Are all files complete?") from error


def _as_floats(column: Any) -> Array:
    import pyarrow as pa

    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64(), safe=False)
    return column.to_numpy(**({"zero_copy_only": False} if isinstance(column, pa.Array) else {}))


def _index_columns(schema: Any) -> frozenset[int]:
    """Places of the columns in which pandas, and whoever passes its files on, keeps the index of a data frame."""
    said = schema.pandas_metadata
    listed = said.get("index_columns") if isinstance(said, dict) else None
    index = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    return frozenset(
        i for i, name in enumerate(schema.names) if name in index or re.fullmatch(r"__index_level_\d+__", name)
    )


class ArrowColumns:
    """Some numeric columns of an Arrow dataset, read part by part.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    columns : sequence of str, optional
        All by default, but for those in which pandas keeps an index.
    weights : str, optional
        The column of row weights.

    Attributes
    ----------
    names : tuple of str
    """

    def __init__(self, dataset: Any, columns: Sequence[str] | None, weights: str | None) -> None:
        import pyarrow as pa

        self._dataset, self._weights = dataset, weights
        schema, index = dataset.schema, _index_columns(dataset.schema)
        there = [name for i, name in enumerate(schema.names) if i not in index and name != weights]
        self.names = tuple(there if columns is None else columns)
        wanted = (*self.names, *(() if weights is None else (weights,)))
        if unknown := [name for name in wanted if schema.names.count(name) != 1]:
            raise DataError(
                f"there is no single column {unknown[0]!r}; the columns are {', '.join(map(repr, schema.names))}."
            )
        kinds = {name: schema.field(name).type for name in wanted}
        tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
        if others := [name for name, kind in kinds.items() if not any(test(kind) for test in tests)]:
            raise DataError(
                f"column {others[0]!r} holds {kinds[others[0]]}, no numbers. Name those that do: columns={_listed_numeric(kinds, others)}."
            )
        single = all(kinds[name] == pa.float32() for name in self.names)
        self._dtype = np.dtype(np.float32 if single else np.float64)

    def __call__(self) -> Iterator[tuple[Array, Array | None]]:
        """Go over all rows."""
        size = min(MOST_ROWS_READ, max(1, NUMBERS_READ // len(self.names)))
        return self._read(self._dataset, {"batch_size": size, **AHEAD})

    def parts(self) -> list[Callable[[], Iterator[tuple[Array, Array | None]]]]:
        """What goes over the rows of each file, or of some row groups of one, wherever it is sent."""
        return [partial(self._read, part, {"schema": self._dataset.schema}) for part in _fragments(self._dataset)]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_dataset": None}  # a part has its own

    def _read(self, dataset: Any, how: dict[str, Any]) -> Iterator[tuple[Array, Array | None]]:
        columns = [*self.names, *(() if self._weights is None else (self._weights,))]
        with _readable():
            for batch in dataset.scanner(columns=columns, **how).to_batches():
                if batch.num_rows:
                    yield self._rows(batch), None if self._weights is None else _as_floats(batch.column(self._weights))

    def _rows(self, batch: Any) -> Array:
        rows = np.empty((batch.num_rows, len(self.names)), self._dtype)
        columns = [_as_floats(batch.column(name)) for name in self.names]
        for start in range(0, batch.num_rows, CACHED_ROWS):  # so few that all columns of them stay in the cache
            part = slice(start, start + CACHED_ROWS)
            for j, column in enumerate(columns):
                rows[part, j] = column[part]
        return rows


def _fragments(dataset: Any) -> Iterator[Any]:
    """The files of a dataset, large ones by row groups where they have such."""
    for fragment in dataset.get_fragments():
        gathered, n_rows = list[int](), 0
        for group in getattr(fragment, "row_groups", ()):
            gathered.append(group.id)
            n_rows += group.num_rows
            if n_rows >= ROWS_TO_A_PART:
                yield fragment.subset(row_group_ids=gathered)
                gathered, n_rows = [], 0
        if gathered or not hasattr(fragment, "row_groups"):
            yield fragment.subset(row_group_ids=gathered) if gathered else fragment


def _listed_numeric(kinds: dict[str, Any], others: Sequence[str]) -> str:
    """The columns that are left, as a user would write them, and not too many."""
    left = [name for name in kinds if name not in others]
    return repr(left) if len(left) <= 8 else f"[{', '.join(map(repr, left[:8]))}, …]"


def dataset_of_files(paths: Sequence[str], kind: str) -> Any:
    """An Arrow dataset of files of one kind, in this order."""
    try:
        import pyarrow.dataset as ds
    except ImportError as error:
        raise missing_extra("Parquet, Arrow and CSV files", "data") from error
    import pyarrow as pa

    absolute = [str(Path(path).absolute()) for path in paths]  # workers may stand elsewhere
    try:
        if kind == "parquet":
            # Files of this machine are as fast without, and row groups to come are not all in memory.
            options = ds.ParquetFragmentScanOptions(pre_buffer=False)
            return ds.dataset(absolute, format=ds.ParquetFileFormat(default_fragment_scan_options=options))
        found = ds.dataset(absolute, format=kind)
        return ds.dataset(absolute, _with_decimals(found.schema), kind) if kind == "csv" else found
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{paths[0]} cannot be read as {kind}: {said[:300]}. Is the file complete?") from error


def write_parquet(path: Path, kinds: Sequence[tuple[str, type]], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to a Parquet file, some at a time.

    Parameters
    ----------
    path : Path
    kinds : sequence of (str, type)
        Names of the columns, and what they hold: ``int``, ``float`` or ``str``.
    rows : iterable of sequences
        An empty text is an empty cell.
    """
    pa, pq = parquet()
    types = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = pa.schema([(name, types[kind]) for name, kind in kinds])
    left = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while some := list(islice(left, ROWS_WRITTEN)):
            columns = [[None if cell == "" else cell for cell in column] for column in zip(*some, strict=True)]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))


def parquet() -> tuple[Any, Any]:
    """The library that reads and writes such files, and the part of it that does, or an error that says how to have it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_extra("Parquet files", "data") from error
    return pa, pq


def _with_decimals(schema: Any) -> Any:
    """The schema of a text whose first lines were looked at: where those hold integers, later ones may hold decimals."""
    import pyarrow as pa

    whole = [i for i, field in enumerate(schema) if pa.types.is_integer(field.type)]
    for i in whole:
        schema = schema.set(i, schema.field(i).with_type(pa.float64()))
    return schema


def is_dataset(X: Any) -> bool:
    """Whether it is an Arrow dataset, without importing the library."""
    return type(X).__module__.startswith("pyarrow") and hasattr(X, "scanner")
