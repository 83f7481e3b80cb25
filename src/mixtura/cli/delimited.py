"""Tables in text: CSV, TSV and their relatives.

Read by one parser, the csv module, twice: once for column names and for which columns hold numbers (this usually ends after a few lines),
once for the numbers. What separates cells is told from names and rows together. Nothing that looks like a number is left out in silence.
"""

from __future__ import annotations

import csv
import io
import math
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from operator import itemgetter
from typing import IO, Any, NoReturn

import numpy as np

from mixtura.cli.cells import unguarded
from mixtura.cli.columns import Numbers, choose_columns, clean_name, listed, option, refuse_repeats
from mixtura.cli.opening import READABLE, changed
from mixtura.cli.reading import SEPARATORS, TOLD, Reading, looks_like_number, shown
from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array

LOOK_AT = 1000
"""A text column is numeric if any of its first so many values that are not empty is a number."""
JUDGED = 50
"""Rows from which the separator is told."""
BLOCK = 2**18
"""Cells that are read at a time."""
_SEPARATOR_SAID = re.compile(r'"?sep=(.)"?', re.IGNORECASE | re.DOTALL)
"""The line by which Excel is told what separates cells."""


def read_text(handle: IO[bytes], source: str, columns: Sequence[str] | None, how: Reading) -> Numbers:
    """The numbers in a text file.

    Parameters
    ----------
    handle : seekable binary file
    source : str
        What it is called, for people.
    columns : sequence of str or None
        Which, and in which order; ``None``: every numeric one.
    how : Reading
    """
    text = _Text(handle, source, how)
    try:
        text.judge()
        return _parse(text, columns)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source} is not UTF-8 text (byte {error.object[error.start]:#04x}); {READABLE}. Save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise DataError(f"{source}, line {text.line}: {error}. Is there a stray quote?") from error
    finally:
        text.detach()


# ---- lines and records -------------------------------------------------------------------------------------------------------------


class _Text:
    """The records of a text file, the names first, as often as one likes; ``line`` is where the last one ended."""

    def __init__(self, handle: IO[bytes], source: str, how: Reading) -> None:
        self.source, self.how = source, how
        self._start = handle.tell()
        head = handle.read(65536)
        if not head.strip():
            raise DataError(f"{source} is empty; it needs a line of column names and then rows of numbers.")
        if b"\0" in head:
            raise DataError(f"{source} is not text; {READABLE}.")
        self._handle = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
        self._reader: Any = None
        self._skipped = 0
        self._names_are_a_comment = False
        self.separator = ","
        self.has_row_names = False

    def judge(self) -> None:
        """Find where the names are, what separates cells, and whether rows have names of their own."""
        told = self._skip_preamble()
        separator = self.how.separator or told
        candidates = [separator] if separator else [mark for mark in TOLD if mark != self.how.decimal]
        trials = [self._trial(mark) for mark in candidates]
        best = max(trials, key=lambda trial: trial.merit)
        if not separator and best.n_names < 2:
            self._suggest_separator()
        self.separator, self.has_row_names = best.mark, best.has_row_names

    def _skip_preamble(self) -> str | None:
        """Pass over blank lines, comments and a line ``sep=;``, whose mark is returned."""
        told, comment = None, ""
        for line in self._lines():
            said = _SEPARATOR_SAID.fullmatch(line.rstrip("\r\n"))
            if said and not self._skipped:
                told = said[1]
            elif line.startswith("#"):
                comment = _uncommented(line)
            elif line.strip():
                break
            else:
                comment = ""
            self._skipped += 1
        else:
            raise DataError(f"{self.source} holds no more than comments; it needs column names and rows of numbers.")
        if comment and self._are_names(comment, line, told):
            self._skipped, self._names_are_a_comment = self._skipped - 1, True
        return told

    def _are_names(self, comment: str, line: str, told: str | None) -> bool:
        """Whether a comment names the columns of the line below it, as NumPy writes names."""
        separator = self.how.separator or told
        for mark in [separator] if separator else TOLD:
            with suppress(csv.Error):
                names, cells = (_cut(content, mark) for content in (comment, line))
                fits = len(names) == len(cells) and (len(names) > 1 or len(comment.split()) == 1)
                if fits and any(map(looks_like_number, cells)) and not any(map(looks_like_number, names)):
                    return True
        return False

    def _trial(self, mark: str) -> _Trial:
        records: list[list[str]] = []
        self.separator = mark
        with suppress(csv.Error):
            records.extend(islice(self._records(), JUDGED))
        return _Trial(mark, records, next(islice(self._lines(), 1, None), "").startswith('"'))

    def _suggest_separator(self) -> None:
        """Raise where lines look cut by a mark that is never assumed, because names or text may hold it as well."""
        for mark in (" ", "|"):
            trial = self._trial(mark)
            if trial.n_names > 1 and trial.consistent == 1 and trial.numeric > 0:
                name = SEPARATORS[mark]
                raise DataError(
                    f"{self.source} has one column ({shown(mark.join(trial.records[0]))}), unless a {name} separates its cells; "
                    f"then give --separator {name}."
                )

    def _lines(self) -> Iterator[str]:
        self._handle.seek(self._start)
        lines: Iterator[str] = islice(self._handle, self._skipped, None)
        if self._names_are_a_comment:
            lines = chain([_uncommented(next(lines, "")) + "\n"], lines)
        if self.separator == " ":
            lines = (" ".join(line.split()) + "\n" for line in lines)
        return lines

    def _records(self) -> Iterator[list[str]]:
        self._reader = csv.reader(self._lines(), delimiter=self.separator, skipinitialspace=True, strict=True)
        return (record for record in self._reader if record and (len(record) > 1 or record[0].strip()))

    def names(self) -> list[str]:
        """Names of the columns; row names have none."""
        return [""] * self.has_row_names + [clean_name(unguarded(name)) for name in next(self._records(), [])]

    def rows(self) -> Iterator[list[str]]:
        """The records below the names."""
        return islice(self._records(), 1, None)

    @property
    def line(self) -> int:
        """Line of the file at which the last record ended, counted from 1."""
        return self._skipped + int(self._reader.line_num)

    @property
    def cut_by(self) -> str:
        """What separates cells, in words."""
        return f"{SEPARATORS.get(self.separator, repr(self.separator))}s"

    def detach(self) -> None:
        """Leave the file open to its owner."""
        self._handle.detach()


def _uncommented(line: str) -> str:
    return line.lstrip("#").strip(" \r\n")


def _cut(line: str, mark: str) -> list[str]:
    if mark == " ":
        line = " ".join(line.split())
    return [cell.strip() for cell in next(csv.reader([line], delimiter=mark, skipinitialspace=True, strict=True), [])]


@dataclass
class _Trial:
    """What the first records are if a mark separates their cells."""

    mark: str
    records: list[list[str]]
    quoted: bool
    n_names: int = field(init=False)
    has_row_names: bool = field(init=False)
    consistent: float = field(init=False)
    numeric: float = field(init=False)

    def __post_init__(self) -> None:
        rows, self.n_names = self.records[1:], len(self.records[0]) if self.records else 0
        self.has_row_names = self._has_row_names(rows)
        width = self.n_names + self.has_row_names
        fitting = [row for row in rows if len(row) == width]
        cells = [cell for row in fitting for cell in map(str.strip, row) if cell]
        self.consistent = len(fitting) / len(rows) if rows else 1.0
        self.numeric = sum(map(looks_like_number, cells)) / max(len(cells), 1)

    @property
    def merit(self) -> tuple[bool, float, float, int]:
        """Whether it cuts the names, how many rows are as long as those, how many cells look like numbers, and into how many it cuts."""
        return self.n_names > 1, self.consistent, self.numeric, self.n_names

    def _has_row_names(self, rows: list[list[str]]) -> bool:
        """Whether every row has one cell more than there are names, of which the first is quoted or counts the rows, as R writes them."""
        if not rows or any(len(row) != self.n_names + 1 for row in rows) or not any(row[-1] for row in rows):
            return False
        counting = [row[0] for row in rows] == [str(i + 1) for i in range(len(rows))]
        return self.quoted or (counting and len(rows) > 1 < self.n_names)


# ---- columns -----------------------------------------------------------------------------------------------------------------------


def _parse(text: _Text, columns: Sequence[str] | None) -> Numbers:
    names = text.names()
    left_out: list[str] = []
    if columns is not None:
        used = choose_columns(columns, names, text.source)
    else:
        used = _numeric_columns(text, names)
        refuse_repeats([names[i] for i in used], text.source)
        left_out = _reasons(text, names, set(used))
    return Numbers(_parse_numbers(text, names, used), [names[i] for i in used], left_out)


def _reasons(text: _Text, names: Sequence[str], used: set[int]) -> list[str]:
    def reason(i: int) -> str:
        return "not numeric" if names[i] else "row names" if text.has_row_names and not i else "it has no name"

    return [f"{name or f'column {i + 1}'} ({reason(i)})" for i, name in enumerate(names) if i not in used]


@dataclass
class _Look:
    """What has been seen of a column that is not known to be numeric."""

    seen: int = 0
    like_numbers: int = 0
    example: tuple[str, int] = ("", 0)

    def at(self, value: str, line: int) -> None:
        self.seen += 1
        if looks_like_number(value):
            self.like_numbers += 1
            self.example = self.example if self.example[0] else (value, line)

    @property
    def is_suspect(self) -> bool:
        """Whether at least half of its values look like numbers, though none can be read as one."""
        return 0 < self.seen <= 2 * self.like_numbers


def _numeric_columns(text: _Text, names: Sequence[str]) -> list[int]:
    """Columns with a name and a number; a column is given up after ``LOOK_AT`` values that are none."""
    how, numeric, example = text.how, [], ""
    looks = {i: _Look() for i in range(len(names))}
    undecided = list(looks)
    for record in text.rows():
        _check_length(text, record, names)
        decided = set()
        for i in undecided:
            value = record[i].strip()
            if not value or how.is_missing(value):
                continue
            if how.is_number(value):
                numeric.append(i)
                del looks[i]
                decided.add(i)
            else:
                example = example or f"; the first value is {shown(value)} in column {names[i]!r}"
                looks[i].at(value, text.line)
                if looks[i].seen == LOOK_AT:
                    decided.add(i)
        if decided:
            undecided = [i for i in undecided if i not in decided]
        if not undecided:
            break
    if numeric and all(how.is_number(names[i]) for i in numeric):
        raise DataError(
            f"the first line of {text.source} looks like data, not like column names "
            f"({listed(names)}); put a line of names above it."
        )
    named = sorted(i for i in numeric if names[i])
    _refuse_suspects(text, names, named, {i: look for i, look in looks.items() if look.is_suspect and names[i]})
    _refuse_nameless(text, names, named, numeric)
    if not named and (numeric or example):
        raise DataError(
            f"{text.source} has no numeric column{'' if all(names) else ' with a name'}{example}. "
            f"Its cells are taken to be separated by {text.cut_by}; --separator says otherwise."
        )
    return named


def _refuse_suspects(text: _Text, names: Sequence[str], numeric: Sequence[int], suspects: dict[int, _Look]) -> None:
    """Raise if columns that look like numbers would be left out."""
    if not suspects:
        return
    value, line = next(iter(suspects.values())).example
    others = [names[i] for i in numeric]
    one = len(suspects) == 1
    raise DataError(
        f"{text.source}: column{'' if one else 's'} {listed([names[i] for i in suspects])} "
        f"look{'s' if one else ''} like numbers, but cannot be read as such ({shown(value)} in line {line}). {_mend(value, text.how)}"
        + (f", or choose the columns to use: {option(others)}." if others else ".")
    )


def _mend(value: str, how: Reading) -> str:
    """What to do about a value that looks like a number."""
    other = "," if how.decimal == "." else "."
    if Reading(decimal=other).is_number(value):
        return f"Give --decimal {other} if {'commas' if other == ',' else 'points'} are decimal"
    return "Write plain numbers without blanks, signs and marks around them"


def _refuse_nameless(text: _Text, names: Sequence[str], named: Sequence[int], numeric: Sequence[int]) -> None:
    """Raise if numbers would be left out for want of a name; those in the first column are taken for names of rows."""
    nameless = [i for i in numeric if not names[i] and i > 0]
    if nameless and named:
        raise DataError(
            f"{text.source}: column {nameless[0] + 1} holds numbers but has no name. Name it in the first line, "
            f"or choose the columns to use: {option(names[i] for i in named)}."
        )


# ---- numbers -----------------------------------------------------------------------------------------------------------------------


def _parse_numbers(text: _Text, names: Sequence[str], used: Sequence[int]) -> Array:
    pick: Callable[[list[str]], Sequence[str]] = itemgetter(*used) if len(used) > 1 else _only(used)
    convert = _plain if text.how == Reading(text.how.separator) else _converted
    records = text.rows()
    blocks: list[Array] = []
    while block := list(islice(records, max(1, BLOCK // len(names)))):
        if any(len(record) != len(names) for record in block):
            _locate(text, names, used)
        try:
            numbers = convert(list(chain.from_iterable(map(pick, block))), text.how)
        except ValueError:
            _locate(text, names, used)
        blocks.append(numbers.reshape(len(block), len(used)))
    if not blocks:
        raise DataError(f"{text.source} has column names ({listed(names)}) but no rows below them.")
    return np.concatenate(blocks)


def _plain(cells: list[str], _: Reading) -> Array:
    """Finite numbers as Python writes them, quickly, or a ``ValueError``."""
    numbers = np.fromiter(map(float, cells), np.float64, len(cells))
    if not np.isfinite(numbers).all() or "_" in "".join(cells):
        raise ValueError
    return numbers


def _converted(cells: list[str], how: Reading) -> Array:
    return np.fromiter(map(how.cell, cells), np.float64, len(cells))


def _only(used: Sequence[int]) -> Callable[[list[str]], Sequence[str]]:
    return lambda record: [record[i] for i in used]


def _locate(text: _Text, names: Sequence[str], used: Sequence[int]) -> NoReturn:
    """Read again, slowly, to say where the first thing is that cannot be used."""
    for record in text.rows():
        _check_length(text, record, names)
        for i in used:
            value = record[i].strip()
            if not text.how.is_missing(value) and not text.how.is_number(value):
                raise DataError(
                    f"{text.source}, line {text.line}, column {names[i]!r}: {_complaint(value)}. {_remedy(value, text.how)}, "
                    "or choose other columns with --columns."
                )
    raise changed(text.source)


def _complaint(value: str) -> str:
    if not value:
        return "the cell is empty"
    with suppress(ValueError):
        if not math.isfinite(float(value)):
            return f"{shown(value)} is not a finite number"
    return f"{shown(value)} is not a number"


def _remedy(value: str, how: Reading) -> str:
    """What to do about a cell that is not a number."""
    if looks_like_number(value):
        return _mend(value, how)
    stands_for_none = len(value) <= 12 and not any(c.isdigit() or c == "," for c in value)
    as_option = f" (--missing {shlex.quote(value)} leaves such rows out)" if stands_for_none else ""
    return f"Mend or remove that row{as_option}"


def _check_length(text: _Text, record: Sequence[str], names: Sequence[str]) -> None:
    if len(record) != len(names):
        raise DataError(
            f"{text.source}, line {text.line}: {len(record)} {'value' if len(record) == 1 else 'values'}, but the first line names "
            f"{len(names)} {'column' if len(names) == 1 else 'columns'} (separated by {text.cut_by})."
        )
