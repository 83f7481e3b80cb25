"""Arrow tables: Parquet files, and any object with an Arrow stream. The one file of the house that imports pyarrow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from mixtura.ground.errors import DataError, missing_extra
from mixtura.ground.linalg import Array

LOOK_AT = 1000
"""Rows from which is told what columns of text hold."""


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
    numeric, text, index : frozenset of int
        Columns that hold numbers; that hold text; that pandas keeps the index of a data frame in.
    """

    def __init__(self, file: IO[bytes], source: str) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise missing_extra("Parquet files", "data") from error
        self._source = source
        # Of a damaged file, pyarrow also decodes names, and looks up what is not there.
        self._damaged = (pa.ArrowException, OSError, ValueError, KeyError, OverflowError)
        try:
            self._file: Any = pq.ParquetFile(file)
            schema = self._file.schema_arrow
            self.names: list[str] = list(schema.names)
            self.index = _index_columns(schema)
        except self._damaged as error:
            raise self._unreadable(error) from error
        is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
        is_text = (pa.types.is_string, pa.types.is_large_string)
        self.numeric = frozenset(i for i, field in enumerate(schema) if any(test(field.type) for test in is_number))
        self.text = frozenset(i for i, field in enumerate(schema) if any(test(field.type) for test in is_text))

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
        times = Counter(self.names)
        wanted = sorted(i for i in self.text if times[self.names[i]] == 1)
        if not wanted:
            return {}
        try:
            batches = self._file.iter_batches(LOOK_AT, columns=[self.names[i] for i in wanted])
            first = next(batches, None)
            found = {} if first is None else first.to_pydict()
        except self._damaged as error:
            raise self._unreadable(error) from error
        return {i: [value for value in found.get(self.names[i], []) if value and value.strip()] for i in wanted}

    def _unreadable(self, error: Exception) -> DataError:
        said = " ".join(str(error).split()).rstrip(".")
        return DataError(f"{self._source} cannot be read as Parquet: {said[:300]}. Is the file complete?")


def _as_floats(column: Any) -> Array:
    import pyarrow as pa

    return column.cast(pa.float64(), safe=False).to_numpy() if pa.types.is_decimal(column.type) else column.to_numpy()


def _index_columns(schema: Any) -> frozenset[int]:
    """Places of the columns in which pandas, and whoever passes its files on, keeps the index of a data frame."""
    said = schema.pandas_metadata
    listed = said.get("index_columns") if isinstance(said, dict) else None
    index = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    return frozenset(
        i for i, name in enumerate(schema.names) if name in index or re.fullmatch(r"__index_level_\d+__", name)
    )
