"""Reading a table of numbers: CSV or TSV, ``.npy``, Parquet.

The kind of file is told from its first bytes, not from its name. A text file is read by one parser, the csv module, twice: once for its
column names and for which columns hold numbers (this usually ends after a few lines), once for the numbers.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from mixtura.cli.cells import unguarded
from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array
from mixtura.model.rows import default_names

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon"}
LOOK_AT = 1000
"""A text column is numeric if any of its first so many values that are not empty is a number."""
BLOCK = 10_000
NAMES_SHOWN = 12


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
        Columns that were not used, each with the reason.
    """

    source: str
    rows: Array
    columns: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def read_table(path: str, columns: Sequence[str] | None = None, *, by_position: bool = False) -> Table:
    """Read the numbers in a file.

    Parameters
    ----------
    path : str
        ``"-"`` is CSV from standard input.
    columns : sequence of str, optional
        Which, and in which order; without it, every numeric column.
    by_position : bool
        Whether a file without column names may give ``columns`` in order, if it has as many.

    Raises
    ------
    DataError
        If there is no such file, or it holds no table of finite numbers.
    """
    if path == "-":
        return _read_text(sys.stdin.buffer, "standard input", columns)
    if not os.path.exists(path):
        raise DataError(f"there is no file {path!r}. Check the name, or give - to read CSV from standard input.")
    if os.path.isdir(path):
        raise DataError(f"{path!r} is a folder; give a file in it.")
    with open(path, "rb") as handle:
        start = handle.peek(6)[:6]
        if start.startswith(b"\x93NUMPY"):
            return _read_npy(path, columns, by_position)
        if start.startswith(b"PAR1"):
            return _read_parquet(path, columns)
        return _read_text(handle, path, columns)


def _choose_columns(columns: Sequence[str], names: Sequence[str], where: str) -> list[int]:
    """Places of ``columns`` among ``names``, or an error that lists what there is."""
    missing = [column for column in columns if column not in names]
    if missing:
        near = difflib.get_close_matches(missing[0], names, n=1, cutoff=0.75)
        raise DataError(
            f"{where} has no column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
            + f"; its columns are {_listed(names)}."
        )
    _refuse_repeats(columns, "--columns")
    return [names.index(column) for column in columns]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(map(repr, names[:NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _refuse_repeats(names: Sequence[str], where: str) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1 and name]
    if repeated:
        raise DataError(f"{where} names column {repeated[0]!r} more than once; every column needs its own name.")


# ---- text ----------------------------------------------------------------------------------------------------------------------


def _read_text(handle: BinaryIO, source: str, columns: Sequence[str] | None) -> Table:
    with ExitStack() as stack:
        if not handle.seekable():  # a pipe: keep a copy, to read it twice
            copy = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(handle, copy)
            copy.seek(0)
            handle = copy
        text = _Text(handle, source)
        try:
            return _parse_text(text, columns)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{source} is not UTF-8 text (byte {error.object[error.start]:#04x}); mixtura reads CSV or TSV in UTF-8, .npy and Parquet."
            ) from error
        except csv.Error as error:
            raise DataError(f"{source}, line {text.line}: {error}. Is there a stray quote?") from error
        finally:
            text.detach()


class _Text:
    """The records of a CSV file, as often as one likes; ``line`` is where the last one ended."""

    def __init__(self, handle: BinaryIO, source: str) -> None:
        self.source = source
        self._start = handle.tell()
        head = handle.read(65536)
        if not head.strip():
            raise DataError(f"{source} is empty; it needs a line of column names and then rows of numbers.")
        if b"\0" in head:
            raise DataError(f"{source} is not text; mixtura reads CSV or TSV in UTF-8, .npy and Parquet.")
        self._handle = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
        self._reader: Any = None
        self.delimiter = ","

    def choose_delimiter(self) -> None:
        """The mark that cuts the first line into most parts."""
        parts = {}
        for self.delimiter in DELIMITERS:
            with suppress(csv.Error):
                parts[self.delimiter] = len(next(iter(self), []))
        self.delimiter = max(parts, key=lambda mark: parts[mark], default=",")

    def __iter__(self) -> Iterator[list[str]]:
        self._handle.seek(self._start)
        self._reader = csv.reader(self._handle, delimiter=self.delimiter, skipinitialspace=True, strict=True)
        return (record for record in self._reader if record and (len(record) > 1 or record[0].strip()))

    @property
    def line(self) -> int:
        """Line of the file at which the last record ended, counted from 1."""
        return int(self._reader.line_num)

    def detach(self) -> None:
        """Leave the file open to its owner."""
        self._handle.detach()


def _parse_text(text: _Text, columns: Sequence[str] | None) -> Table:
    text.choose_delimiter()
    names = [unguarded(" ".join(name.split())) for name in next(iter(text))]
    _refuse_repeats(names, f"{text.source}, line 1,")
    if columns is not None:
        used, left_out = _choose_columns(columns, names, text.source), []
    else:
        used = _numeric_columns(text, names)
        left_out = [
            f"{name or f'column {i + 1}'} ({'not numeric' if name else 'it has no name'})"
            for i, name in enumerate(names)
            if i not in used
        ]
    rows = _parse_numbers(text, names, used)
    return Table(text.source, rows, tuple(names[i] for i in used), tuple(left_out))


def _numeric_columns(text: _Text, names: Sequence[str]) -> list[int]:
    """Columns with a name and a number; a column is given up after ``LOOK_AT`` values that are none."""
    undecided = dict.fromkeys(range(len(names)), 0)
    numeric, example = [], ""
    for record in islice(iter(text), 1, None):
        _check_length(text, record, names)
        for i in list(undecided):
            value = record[i].strip()
            if _is_finite_number(value):
                numeric.append(i)
                del undecided[i]
            elif value:
                example = example or f"; the first value is {_shown(value)} in column {names[i]!r}"
                undecided[i] += 1
                if undecided[i] == LOOK_AT:
                    del undecided[i]
        if not undecided:
            break
    if numeric and all(_is_finite_number(names[i]) for i in numeric):
        raise DataError(
            f"the first line of {text.source} looks like data, not like column names "
            f"({_listed(names)}); put a line of names above it."
        )
    named = sorted(i for i in numeric if names[i])
    if not named and (numeric or example):
        raise DataError(
            f"{text.source} has no numeric column{'' if all(names) else ' with a name'}{example}. "
            "Columns are separated by commas, tabs or semicolons, and decimals are written with a point."
        )
    return named


def _parse_numbers(text: _Text, names: Sequence[str], used: Sequence[int]) -> Array:
    pick: Callable[[list[str]], Sequence[str]] = itemgetter(*used) if len(used) > 1 else _only(used)
    records = islice(iter(text), 1, None)
    blocks: list[Array] = []
    done = 0
    while block := list(islice(records, BLOCK)):
        if any(len(record) != len(names) for record in block):
            _locate(text, names, used)
        try:
            numbers = np.fromiter(map(float, chain.from_iterable(map(pick, block))), np.float64, len(block) * len(used))
        except ValueError:
            _locate(text, names, used)
        if not np.isfinite(numbers).all():
            _locate(text, names, used)
        blocks.append(numbers.reshape(len(block), len(used)))
        done += len(block)
    if not done:
        raise DataError(f"{text.source} has column names ({_listed(names)}) but no rows below them.")
    return np.concatenate(blocks)


def _only(used: Sequence[int]) -> Callable[[list[str]], Sequence[str]]:
    return lambda record: [record[i] for i in used]


def _locate(text: _Text, names: Sequence[str], used: Sequence[int]) -> NoReturn:
    """Read again, slowly, to say where the first thing is that cannot be used."""
    for record in islice(iter(text), 1, None):
        _check_length(text, record, names)
        for i in used:
            if not _is_finite_number(record[i]):
                raise DataError(
                    f"{text.source}, line {text.line}, column {names[i]!r}: {_complaint(record[i].strip())}. "
                    "Mend or remove that row, or choose other columns with --columns."
                )
    raise AssertionError("the fault has vanished")


def _complaint(value: str) -> str:
    if not value:
        return "the cell is empty"
    try:
        float(value)
    except ValueError:
        return f"{_shown(value)} is not a number"
    return f"{_shown(value)} is not a finite number"


def _check_length(text: _Text, record: Sequence[str], names: Sequence[str]) -> None:
    if len(record) != len(names):
        raise DataError(
            f"{text.source}, line {text.line}: {len(record)} {'value' if len(record) == 1 else 'values'}, but the first line names "
            f"{len(names)} {'column' if len(names) == 1 else 'columns'} (separated by {DELIMITERS[text.delimiter]}s)."
        )


def _is_finite_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")


# ---- Parquet and NumPy ---------------------------------------------------------------------------------------------------------


def _read_parquet(path: str, columns: Sequence[str] | None) -> Table:
    from mixtura.data.arrow import ParquetTable

    with ParquetTable(path) as table:
        _refuse_repeats(table.names, path)
        used = table.numeric if columns is None else list(columns)
        _choose_columns(used, table.names, path)
        text = [name for name in used if name not in table.numeric]
        if text:
            raise DataError(f"{path}: column {text[0]!r} does not hold numbers; choose other columns with --columns.")
        if not used:
            raise DataError(f"{path} has no numeric column; its columns are {_listed(table.names)}.")
        rows = table.read(used)
    if not len(rows):
        raise DataError(f"{path} has columns ({_listed(used)}) but no rows.")
    _refuse_not_finite(rows, used, path)
    unused = [] if columns is not None else [name for name in table.names if name not in used]
    return Table(path, rows, tuple(used), tuple(f"{name} (not numeric)" for name in unused))


def _read_npy(path: str, columns: Sequence[str] | None, by_position: bool) -> Table:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, TypeError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as a NumPy array: {str(error).rstrip('.')}.") from error
    if array.ndim == 1 and array.dtype.kind in "fiu":
        array = array[:, None]
    if array.dtype.kind not in "fiu" or array.ndim != 2 or not array.size:
        raise DataError(
            f"{path} must hold a two-dimensional array of numbers with rows and columns; "
            f"it has shape {array.shape} and dtype {array.dtype}."
        )
    names = list(default_names(array.shape[1]))
    if columns is not None and not (by_position and len(columns) == len(names)):
        chosen = _choose_columns(columns, names, path)
        array, names = array[:, chosen], list(columns)
    elif columns is not None:
        names = list(columns)
    rows: NDArray[Any] = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    _refuse_not_finite(rows, names, path)
    return Table(path, rows, tuple(names))


def _refuse_not_finite(rows: Array, names: Sequence[str], source: str) -> None:
    """Raise if a number is NaN or infinite, saying where (rows are counted from 1)."""
    for start in range(0, len(rows), BLOCK):
        wrong = ~np.isfinite(rows[start : start + BLOCK])
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{source}, row {start + row + 1}, column {names[column]!r}: "
                f"the cell is empty or not finite ({rows[start + row, column]:g}). "
                "Mend or remove that row, or choose other columns with --columns."
            )
