"""Names of columns: one rule for blanks in them, and how some are chosen among many."""

from __future__ import annotations

import csv
import difflib
import io
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixtura.ground.errors import DataError

if TYPE_CHECKING:
    from mixtura.ground.linalg import Array

NAMES_SHOWN = 12
MOST_COMPARED = 2000
"""Names among which one like a misspelt one is looked for."""


@dataclass(frozen=True)
class Numbers:
    """The columns of a file that are used.

    Attributes
    ----------
    rows : (N, D) array
        As the file holds them; NaN where a value is missing.
    columns : sequence of str
    left_out : sequence of str
        Columns that are not used, each with the reason.
    """

    rows: Array
    columns: Sequence[str]
    left_out: Sequence[str] = ()


def clean_name(name: str) -> str:
    """A name as all commands know it: blanks at its ends left out, those within it squeezed to one each."""
    return " ".join(name.split())


def choose_columns(wanted: Sequence[str], names: Sequence[str], where: str) -> list[int]:
    """Places of ``wanted`` among ``names``, or an error that lists what there is.

    Parameters
    ----------
    wanted, names : sequence of str
        Clean.
    where : str
        Whose names they are, for people.
    """
    refuse_repeats(wanted, "--columns")
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    lacking = [name for name in wanted if name not in places]
    if lacking:
        near = difflib.get_close_matches(lacking[0], names[:MOST_COMPARED], n=1, cutoff=0.75)
        raise DataError(
            f"{where} has no column{'s' * (len(lacking) > 1)} {listed(lacking)}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
            + f"; its columns are {listed(names)}."
        )
    asked = set(wanted)
    refuse_repeats((name for name in names if name in asked), where)
    return [places[name] for name in wanted]


def listed(names: Sequence[str]) -> str:
    """Names in quotes, the first of many."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(map(repr, names[:NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")


def option(names: Iterable[str]) -> str:
    """``--columns`` with some names, as a shell takes it; with no more than a hint where they are many."""
    names = list(names)
    if not 0 < len(names) <= NAMES_SHOWN:
        return "--columns"
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return f"--columns {shlex.quote(text.getvalue())}"


def refuse_repeats(names: Iterable[str], where: str) -> None:
    """Raise if two columns share a name."""
    repeated = [name for name, times in Counter(names).items() if times > 1 and name]
    if repeated:
        raise DataError(f"{where} names column {repeated[0]!r} more than once; every column needs its own name.")
