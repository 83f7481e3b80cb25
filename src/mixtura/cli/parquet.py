"""Parquet files: which of their columns are numbers, and which look like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from mixtura.cli.columns import Numbers, choose_columns, clean_name, listed, option, refuse_repeats
from mixtura.cli.reading import looks_like_number, shown
from mixtura.data.arrow import ParquetTable
from mixtura.ground.errors import DataError


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
        names = [clean_name(name) for name in table.names]
        if columns is not None:
            used, left_out = choose_columns(columns, names, source), []
            text = [names[i] for i in used if i not in table.numeric]
            if text:
                raise DataError(
                    f"{source}: column {text[0]!r} does not hold numbers; choose other columns with --columns."
                )
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
        rows = table.read(used)
    chosen = [names[i] for i in used]
    if not len(rows):
        raise DataError(f"{source} has columns ({listed(chosen)}) but no rows.")
    return Numbers(rows, chosen, left_out)


def _refuse_numbers_as_text(table: ParquetTable, names: Sequence[str], numeric: Sequence[int], source: str) -> None:
    """Raise if columns of text hold numbers, which would be left out."""
    for i, values in table.first_texts().items():
        likely = [value for value in values if looks_like_number(value.strip())]
        if i not in table.index and 0 < len(values) <= 2 * len(likely):
            others = [names[j] for j in numeric]
            raise DataError(
                f"{source}: column {names[i]!r} holds numbers as text ({shown(likely[0])}). Turn them into numbers before writing the "
                f"file{', or choose the columns to use: ' + option(others) if others else ''}."
            )
