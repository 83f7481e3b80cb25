"""Arrow tables: Parquet files, and any object with an Arrow stream. The one file of the house that imports pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from mixtura.ground.errors import DataError, missing_extra
from mixtura.ground.linalg import Array


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
    """The columns of one Parquet file.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    names : list of str
    numeric : list of str
        Names of the columns that hold numbers.
    """

    def __init__(self, path: str) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise missing_extra("Parquet files", "data") from error
        self._path, self._damaged = path, (pa.ArrowException, OSError)
        try:
            self._file: Any = pq.ParquetFile(path)
        except self._damaged as error:
            raise self._unreadable(error) from error
        schema = self._file.schema_arrow
        is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
        self.names: list[str] = list(schema.names)
        self.numeric = [field.name for field in schema if any(test(field.type) for test in is_number)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, columns: Sequence[str]) -> Array:
        """The numbers of some numeric columns, ``(N, D)``; an empty cell is NaN."""
        try:
            content = self._file.read(columns=list(columns))
        except self._damaged as error:
            raise self._unreadable(error) from error
        return np.column_stack([content[name].to_numpy().astype(np.float64) for name in columns])

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(f"{self._path} cannot be read as Parquet: {error}. Is the file complete?")
