"""DATA that names many files: a folder, or a pattern."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click

PARQUET = (".parquet", ".pq")
"""How names of such files end."""


def names_many(data: str) -> bool:
    """Whether files are meant that are gone over where they are, rather than one that is read.

    Examples
    --------
    >>> from mixtura.cli.patterns import names_many
    >>> names_many("data/*.parquet"), names_many("data.parquet"), names_many("-")
    (True, False, False)
    """
    return os.path.isdir(data) or (glob.has_magic(data) and not os.path.exists(data))


def stem(data: str) -> str:
    """What files that are made of DATA are called.

    Examples
    --------
    >>> from mixtura.cli.patterns import stem
    >>> stem("plants.csv"), stem("-"), stem("data/*.parquet"), stem("data/plants-*.parquet")
    ('plants', 'stdin', 'data', 'plants')
    """
    if data == "-":
        return "stdin"
    if not names_many(data):
        return Path(data).stem
    if os.path.isdir(data):
        return Path(data).resolve().name or "data"
    before = data[: next(i for i, letter in enumerate(data) if letter in "*?[")]
    folder, begun = os.path.split(before)
    return begun.strip(" -_.") or Path(folder).resolve().name or "data"


def short_name(data: str) -> str:
    """DATA as a model file remembers it: no folders, but the one of a pattern."""
    path = Path(data)
    return "/".join(path.parts[-2:]) if glob.has_magic(data) and names_many(data) else path.name or path.resolve().name


def would_hold(data: str, target: Path) -> bool:
    """Whether a file would be among those that DATA names."""
    if os.path.isdir(data):
        from mixtura.data.scanning import FORMATS

        return target.suffix.lower() in FORMATS and target.is_relative_to(os.path.realpath(data))
    if any(Path(os.path.realpath(found)) == target for found in glob.iglob(data, recursive=True)):
        return True
    wanted, parts = Path(os.path.abspath(data)).parts, target.parts
    if "**" in wanted:
        return fnmatch(str(target), os.path.abspath(data).replace("**", "*"))
    return len(wanted) == len(parts) and all(map(fnmatch, parts, wanted))


def one_data(context: click.Context, _: click.Parameter, given: tuple[str, ...]) -> str:
    """The one DATA there is to be; several are what a shell makes of a pattern without quotes."""
    if len(given) == 1:
        return given[0]
    raise click.UsageError(
        f"DATA is one name, but here are {len(given)} ({given[0]}, {given[1]}{', ...' * (len(given) > 2)}); several files are named by "
        'their folder, or by a pattern in quotes, such as "data/*.parquet"',
        context,
    )


def data_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """DATA, which many files may be."""
    return click.argument("data", nargs=-1, required=True, metavar="DATA", callback=one_data)(command)
