"""Parquet files, and others that say what their columns hold: which of those are numbers, and which look like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from mixtura.cli.columns import Numbers, choose_columns, clean_name, listed, option, refuse_repeats
from mixtura.cli.reading import looks_like_number, shown
from mixtura.data.arrow import DatasetTable, ParquetTable
from mixtura.ground.errors import DataError
from mixtura.ground.machine import physical_memory

LARGE = 0.2
"""Share of the memory that the numbers of a file may take: they are in it twice while they are read."""


def is_large(path: str) -> bool:
    """Whether a regular file is Parquet whose numbers are better gone over where they are."""
    with open(path, "rb") as handle:
        if handle.read(4) != b"PAR1":
            return False
        with ParquetTable(handle, path) as table:
            memory = physical_memory()
            return memory is not None and 8 * table.n_rows * len(table.numeric) > LARGE * memory


def read_parquet(handle: IO[bytes], source: str, columns: Sequence[str] | None) -> Numbers:
    """The numbers in a Parquet file.

    Parameters
    ----------
    handle : seekable binary file
    source : str
        What it is called, for people.
    columns : sequence of str or None
        Which, and in which order; ``None``: every numeric one that is not the index of a data frame.
    """
    with ParquetTable(handle, source) as table:
        used, names, left_out = chosen(table, source, columns)
        rows = table.read(used)
    if not len(rows):
        raise no_rows(source, names)
    return Numbers(rows, names, left_out)


def chosen(
    table: ParquetTable | DatasetTable, source: str, columns: Sequence[str] | None
) -> tuple[list[int], list[str], list[str]]:
    """Places of the columns that are used, their names, and those that are not, each with the reason."""
    names = [clean_name(name) for name in table.names]
    left_out: list[str] = []
    if columns is not None:
        used = choose_columns(columns, names, source)
        text = [names[i] for i in used if i not in table.numeric]
        if text:
            raise DataError(f"{source}: column {text[0]!r} does not hold numbers; choose other columns with --columns.")
    else:
        used = sorted(table.numeric - table.index)
        refuse_repeats([names[i] for i in used], source)
        _refuse_numbers_as_text(table, names, used, source)
        reasons = dict.fromkeys(range(len(names)), "not numeric") | dict.fromkeys(
            table.index, "index of the data frame"
        )
        left_out = [f"{names[i]} ({reasons[i]})" for i in sorted(reasons.keys() - set(used))]
    if not used:
        raise DataError(f"{source} has no numeric column; its columns are {listed(names)}.")
    return used, [names[i] for i in used], left_out


def no_rows(source: str, names: Sequence[str]) -> DataError:
    """What is said of a table without any."""
    return DataError(f"{source} has columns ({listed(names)}) but no rows.")


def _refuse_numbers_as_text(
    table: ParquetTable | DatasetTable, names: Sequence[str], numeric: Sequence[int], source: str
) -> None:
    """Raise if columns of text hold numbers, which would be left out."""
    for i, values in table.first_texts().items():
        likely = [value for value in values if looks_like_number(value.strip())]
        if i not in table.index and 0 < len(values) <= 2 * len(likely):
            others = [names[j] for j in numeric]
            raise DataError(
                f"{source}: column {names[i]!r} holds numbers as text ({shown(likely[0])}). Turn them into numbers before writing the "
                f"file{', or choose the columns to use: ' + option(others) if others else ''}."
            )
