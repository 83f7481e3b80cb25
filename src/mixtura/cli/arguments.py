"""What the texts on the command line mean."""

from __future__ import annotations

import csv
import functools
import math
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from mixtura.cli.columns import clean_name
from mixtura.cli.notes import note_lacking
from mixtura.cli.patterns import PARQUET, names_many
from mixtura.cli.reading import SEPARATORS, Reading
from mixtura.ground.errors import InvalidParameterError, ModelFileError
from mixtura.ground.text import is_encodable

if TYPE_CHECKING:
    from mixtura.cli.scanned import Scan
    from mixtura.cli.tables import Table
    from mixtura.model.document import Document
    from mixtura.model.mixture import Mixture

SEED = click.IntRange(0, 2**32 - 1)
"""What NumPy takes for a seed everywhere."""


class FiniteRange(click.FloatRange):
    """Numbers in a range; click's own takes NaN for one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number", param, ctx)
        return number


def parse_components(text: str) -> range:
    """``"3"`` or ``"1:9"``, both ends included.

    Examples
    --------
    >>> from mixtura.cli.arguments import parse_components
    >>> list(parse_components("2:4"))
    [2, 3, 4]
    """
    match = re.fullmatch(r"\s*(\d{1,9})\s*(?::\s*(\d{1,9})\s*)?", text, re.ASCII)
    if match is None:
        raise click.BadParameter(
            f"{text!r} is neither a number such as 3 nor a range such as 1:9", param_hint="--components"
        )
    low = int(match[1])
    high = int(match[2]) if match[2] else low
    if low < 1:
        raise click.BadParameter(f"{text!r}: a mixture has at least 1 component", param_hint="--components")
    if high < low:
        raise click.BadParameter(
            f"{text!r} holds nothing; the lower end comes first, {high}:{low}", param_hint="--components"
        )
    return range(low, high + 1)


def parse_covariances(text: str) -> list[str]:
    """``"full"``, ``"full,tied"``, codes, or ``"all"``, as names without repetition."""
    from mixtura.model.covariance import ONE_COLUMN, STRUCTURES, covariance_structure

    if text.strip() == "all":
        return [structure.name for structure in STRUCTURES]
    given = [part.strip() for part in text.split(",")]
    try:
        names = [name if name in ONE_COLUMN else covariance_structure(name).name for name in given]
    except InvalidParameterError as error:
        known = ", ".join(f"{structure.name} ({structure.code})" for structure in STRUCTURES)
        raise click.BadParameter(f"{text!r} is none of all, {known}", param_hint="--covariance") from error
    return list(dict.fromkeys(names))


def parse_columns(text: str | None) -> list[str] | None:
    """Names separated by commas; a name that holds a comma goes in double quotes."""
    if text is None:
        return None
    names = [clean_name(name) for name in _split(text, "--columns")]
    if not names or not all(names):
        raise click.BadParameter(f"{text!r} must be names separated by commas", param_hint="--columns")
    if not all(map(is_encodable, names)):
        raise click.BadParameter(f"{text!r} is not UTF-8 text", param_hint="--columns")
    return names


def _split(text: str, option: str) -> list[str]:
    """Parts separated by commas; one that holds a comma goes in double quotes."""
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint=option) from error


verbose_option = click.option(
    "--verbose", is_flag=True, help="Of draws, also the covariances, and all that chains are compared by."
)


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how DATA is to be read, in one place; the command is handed a ``Reading`` named ``how``."""

    @click.option(
        "--separator",
        metavar="MARK",
        help="What separates the cells of a text file: one character, or comma, semicolon, tab, space, bar.  [default: told from the file]",
    )
    @click.option(
        "--decimal",
        type=click.Choice([".", ","]),
        default=".",
        show_default=True,
        help="What decimals are written with in a text file.",
    )
    @click.option(
        "--missing",
        metavar="VALUES",
        help="Values that stand for a missing one, separated by commas, such as -999,NA; '' is an empty cell. Rows that hold one in a "
        "column that is used are left out.",
    )
    @functools.wraps(command)
    def reading(separator: str | None, decimal: str, missing: str | None, **rest: Any) -> None:
        command(how=parse_reading(separator, decimal, missing), **rest)

    return reading


def parse_reading(separator: str | None, decimal: str, missing: str | None) -> Reading:
    """What the three options say together."""
    mark = {name: mark for mark, name in SEPARATORS.items()}.get(str(separator), separator)
    mark = "\t" if mark == "\\t" else mark
    if mark is not None and (len(mark) != 1 or mark.isalnum() or mark in '"\r\n'):
        raise click.BadParameter(
            f"{separator!r} is neither one character nor any of {', '.join(SEPARATORS.values())}",
            param_hint="--separator",
        )
    if mark == "." == decimal or mark in ("+", "-"):
        raise click.BadParameter(f"{separator!r} is part of numbers", param_hint="--separator")
    values = () if missing is None else tuple(value.strip() for value in _split(missing, "--missing")) or ("",)
    return Reading(mark, decimal, values)


def read_model(path: str) -> Document[Mixture]:
    """A model file, or one sentence on why it is none."""
    from mixtura.model.document import read_document
    from mixtura.model.mixture import Mixture

    if not os.path.exists(path):
        raise ModelFileError(f"there is no model file {path!r}. `mixtura fit DATA` makes one.")
    if os.path.isdir(path):
        raise ModelFileError(f"{path!r} is a folder, not a model file.")
    try:
        return read_document(path, Mixture)
    except (RecursionError, OverflowError) as error:
        raise ModelFileError(f"{path} is not a mixtura model: {error}.") from error


def read_data(
    path: str, columns: Sequence[str] | None, how: Reading, *, by_position: bool = False, by_workers: bool = False
) -> Table | Scan:
    """A table, read with a note on the rows that missing values leave out; many files, and large ones, are gone over where they are.

    Parameters
    ----------
    path : str
    columns : sequence of str or None
    how : Reading
    by_position : bool
        As for ``read_table``.
    by_workers : bool
        Whether every Parquet file is gone over.
    """
    from mixtura.cli.tables import read_table
    from mixtura.estimators.progress import waiting

    with waiting("Reading"):
        if names_many(path) or _is_gone_over(path, by_workers):
            from mixtura.cli.scanned import scan_table

            return scan_table(path, columns, how)
        table = read_table(path, columns, how, by_position=by_position)
    if table.kept is not None:
        note_lacking(len(table.kept) - len(table.rows), len(table.kept), table.source)
    return table


def _is_gone_over(path: str, by_workers: bool) -> bool:
    """Whether one file is."""
    if not (path.lower().endswith(PARQUET) and os.path.isfile(path)):
        return False
    from mixtura.cli.parquet import is_large

    return by_workers or is_large(path)


def read_for(mixture: Mixture, path: str, how: Reading) -> Table | Scan:
    """The columns of a data file that the mixture was fitted on, by name where there are names."""
    from mixtura.ground.errors import DataError

    if mixture.feature_names is not None:
        return read_data(path, mixture.feature_names, how, by_position=True)
    table = read_data(path, None, how)
    if len(table.columns) != mixture.n_features:
        raise DataError(
            f"the model has {mixture.n_features} columns without names; {path} has {len(table.columns)} numeric ones "
            f"({', '.join(table.columns[:8])}{', ...' * (len(table.columns) > 8)})."
        )
    return table
