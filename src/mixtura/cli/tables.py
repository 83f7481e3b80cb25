"""Reading a table of numbers: CSV or TSV, ``.npy``, Parquet.

The kind of file is told from its first bytes, not from its name. Everything is read from one open file, so pipes and packed files are
as good as others; and into memory, so that nobody can change under a fit what it is made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.cli.columns import Numbers, clean_name
from mixtura.cli.delimited import read_text
from mixtura.cli.npy import read_npy
from mixtura.cli.opening import opened
from mixtura.cli.reading import Reading
from mixtura.data.array import ArraySource
from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array

BLOCK = 2**18
"""Cells that are checked together."""
ANSWERED = 10_000
"""Rows that are answered at a time."""

Answer = Callable[[Array], Iterable[Sequence[Any]]]
"""What there is to say of each of some rows."""


@dataclass(frozen=True)
class Table:
    """Numbers with column names.

    Attributes
    ----------
    source : str
        Where they came from, for people.
    rows : (N, D) float array
        Finite.
    columns : tuple of str
    left_out : tuple of str
        Columns that were not used, each with the reason; and how many rows, for missing values.
    kept : bool array or None
        Which rows of the file these are; ``None``: all.
    """

    source: str
    rows: Array
    columns: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    kept: NDArray[np.bool_] | None = None

    @cached_property
    def data(self) -> ArraySource:
        """The rows, to be gone over."""
        return ArraySource(self.rows)

    def answers(self, answer: Answer, width: int) -> Iterator[Sequence[Any]]:
        """What there is to say of each row of the file, with ``width`` empty cells for those that were left out."""
        starts = range(0, len(self.rows), ANSWERED)
        return self.in_place((said for i in starts for said in answer(self.rows[i : i + ANSWERED])), width)

    def in_place(self, answers: Iterable[Sequence[Any]], width: int) -> Iterator[Sequence[Any]]:
        """Answers for the rows, with ``width`` empty cells wherever a row of the file was left out."""
        if self.kept is None:
            yield from answers
            return
        each = iter(answers)
        for kept in self.kept.tolist():
            yield next(each) if kept else [""] * width


def read_table(
    path: str,
    columns: Sequence[str] | None = None,
    how: Reading | None = None,
    *,
    by_position: bool = False,
) -> Table:
    """Read the numbers in a file.

    Parameters
    ----------
    path : str
        ``"-"`` is standard input.
    columns : sequence of str, optional
        Which, and in which order; without it, every numeric column.
    how : Reading, optional
        What separates cells, what decimals look like, which values stand for none.
    by_position : bool
        Whether a file without column names may give ``columns`` in order, if it has as many.

    Raises
    ------
    DataError
        If there is no such file, or it holds no table of finite numbers.
    """
    how = how or Reading()
    wanted = None if columns is None else [clean_name(name) for name in columns]
    with opened(path) as (handle, source):
        place = handle.tell()
        start = handle.read(6)
        handle.seek(place)
        if start.startswith(b"\x93NUMPY"):
            found = read_npy(handle, source, wanted, by_position)
        elif start.startswith(b"PAR1"):
            from mixtura.cli.parquet import read_parquet

            found = read_parquet(handle, source, wanted)
        else:
            return _complete(read_text(handle, source, wanted, how), source, how, nan_is_missing=True)
        return _complete(found, source, how, nan_is_missing=how.missing_nan)


def missing(block: Array, how: Reading, nan_is_missing: bool) -> NDArray[np.bool_]:
    """Which numbers stand for none."""
    with np.errstate(over="ignore"):
        found = np.isin(block, np.array(list(how.missing_numbers)).astype(block.dtype))
    return found | np.isnan(block) if nan_is_missing else found


def not_finite(where: str, column: str, value: float) -> DataError:
    """What is said of a cell without a number to go by."""
    return DataError(
        f"{where}, column {column!r}: the cell is empty or not finite ({value:g}). "
        "Mend or remove that row, leave out such rows with --missing nan, or choose other columns with --columns."
    )


def _complete(found: Numbers, source: str, how: Reading, nan_is_missing: bool) -> Table:
    """The rows without a missing value, which must be finite."""
    rows, kept = found.rows, np.ones(len(found.rows), dtype=bool)
    size = max(1, BLOCK // rows.shape[1])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        if how.missing:
            kept[part] = ~missing(rows[part], how, nan_is_missing).any(axis=1)
        wrong = ~np.isfinite(rows[part]) & kept[part, None]
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            where = f"{source}, row {start + row + 1}"
            raise not_finite(where, found.columns[column], float(rows[start + row, column]))
    if kept.all():
        return Table(source, rows, tuple(found.columns), tuple(found.left_out))
    if not kept.any():
        raise DataError(
            f"{source}: every row holds a missing value ({', '.join(how.missing)}) in a column that is used."
        )
    n_lacking = len(kept) - int(kept.sum())
    left_out = (*found.left_out, f"{n_lacking} of {len(kept)} rows (missing values)")
    return Table(source, rows[kept], tuple(found.columns), left_out, kept)
