"""Tables that are gone over where they are: files of which nobody holds all rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.cli.columns import clean_name, listed
from mixtura.cli.notes import note_lacking
from mixtura.cli.parquet import chosen, no_rows
from mixtura.cli.reading import Reading, looks_like_number
from mixtura.cli.tables import ANSWERED, Answer, missing, not_finite
from mixtura.data import scanning
from mixtura.data.arrow import ArrowColumns, DatasetTable
from mixtura.data.batches import Batch, in_blocks
from mixtura.data.scanning import Scanned
from mixtura.ground.errors import DataError

EMPTY = frozenset({"", "na", "n/a", "nan", "null"})
"""What empty cells are called, in whatever letters."""


@dataclass(frozen=True)
class Cells:
    """What becomes of the cells of a batch, wherever it is read: float64, as in tables in memory, and NaN where they stand for none.

    Attributes
    ----------
    source : str
        Where they come from, for people.
    columns : tuple of str
    how : Reading
    """

    source: str
    columns: tuple[str, ...]
    how: Reading

    def __call__(self, batches: Callable[[], Iterable[Batch]]) -> Iterator[Batch]:
        """Go over batches."""
        for rows, weights in batches():
            cells = rows.astype(np.float64)
            lacking = np.zeros(cells.shape, dtype=bool)
            if self.how.missing:
                lacking = missing(cells, self.how, self.how.missing_nan)
            wrong = ~np.isfinite(cells) & ~lacking
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                raise not_finite(self.source, self.columns[column], float(cells[row, column]))
            cells[lacking] = math.nan
            yield cells, weights


@dataclass(frozen=True, eq=False)
class Scan:
    """Such a table.

    Attributes
    ----------
    source : str
        Where the rows come from, for people.
    data : Scanned
        Those without a missing value.
    columns : tuple of str
    left_out : tuple of str
        Columns that are not used, each with the reason.
    """

    source: str
    data: Scanned
    columns: tuple[str, ...]
    left_out: tuple[str, ...]

    def answers(self, answer: Answer, width: int) -> Iterator[Sequence[Any]]:
        """What there is to say of each row, with ``width`` empty cells for those that lack a value."""
        n_rows = n_lacking = 0
        for block in in_blocks(self.data.reading.batches(), ANSWERED):
            kept: NDArray[np.bool_] = np.asarray(np.isfinite(block.rows).all(axis=1))
            each = iter(answer(block.rows[kept]) if kept.any() else ())
            for is_kept in kept.tolist():
                yield next(each) if is_kept else [""] * width
            n_rows, n_lacking = n_rows + len(kept), n_lacking + int((~kept).sum())
        note_lacking(n_lacking, n_rows, self.source)


def scan_table(path: str, columns: Sequence[str] | None, how: Reading) -> Scan:
    """The numbers in files that are gone over.

    Parameters
    ----------
    path : str
        A file, a folder or a pattern.
    columns : sequence of str or None
        Which, and in which order; ``None``: every numeric one.
    how : Reading
    """
    _check_reading(path, how)
    dataset = scanning.dataset_of(path)
    table = DatasetTable(dataset)
    if table.names and all(map(looks_like_number, table.names)):
        raise DataError(
            f"the first lines of {path} look like data, not like column names ({listed(table.names)}); "
            "put a line of names above them."
        )
    used, names, left_out = chosen(table, path, None if columns is None else [clean_name(name) for name in columns])
    cells, read = Cells(path, tuple(names), how), ArrowColumns(dataset, [table.names[i] for i in used], None)
    rows = scanning.Reading(
        partial(cells, read), cells.columns, lambda: [partial(cells, part) for part in read.parts()]
    )
    _check_rows(rows, path, names, how)
    return Scan(path, Scanned(rows, bool(how.missing)), cells.columns, tuple(left_out))


def _check_reading(path: str, how: Reading) -> None:
    """Raise where something was said that is only of use for a file that is read here."""
    if how.separator or how.decimal != ".":
        raise DataError(
            f"{path} is gone over where it is, and there commas separate the cells of a text and points its decimals: --separator and "
            "--decimal are for a single file. Save the table as Parquet."
        )
    if unknown := [text for text in how.missing if not how.is_number(text) and text.lower() not in EMPTY]:
        raise DataError(
            f"{path} is gone over where it is, and there missing values are numbers, or empty cells, NA, NaN or null; --missing names "
            f"{unknown[0]!r}. Save the table as Parquet, with empty cells."
        )


def _check_rows(rows: scanning.Reading, path: str, names: Sequence[str], how: Reading) -> None:
    """Raise if there is none without a missing value."""
    are_there = False
    for batch, _ in rows.batches():
        are_there = True
        if np.isfinite(batch).all(axis=1).any():
            return
    if not are_there:
        raise no_rows(path, names)
    raise DataError(f"{path}: every row holds a missing value ({', '.join(how.missing)}) in a column that is used.")
