"""Where results go: checked before the work, written whole and together or not at all."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixtura.cli.cells import guarded
from mixtura.cli.patterns import PARQUET, names_many, would_hold
from mixtura.ground.errors import missing_extra
from mixtura.ground.files import atomic_path, check_target, named, settle
from mixtura.ground.text import printable

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Figure

PICTURES = (".png", ".pdf", ".svg", ".jpg", ".webp")
DRAWS = (".nc", ".npz")
STANDARD_OUTPUT = "standard output"


def check_output(path: str, inputs: Iterable[str] = (), option: str = "--out") -> Path:
    """The file that will be written, links followed, or an error if that cannot work or would destroy an input.

    Parameters
    ----------
    path : str
    inputs : iterable of str
        Files that must stay as they are.
    option : str
        What named it.
    """
    try:
        target = check_target(path)
    except OSError as error:
        raise click.ClickException(f"cannot write {path!r}: {error.strerror}.") from error
    for name in inputs:
        if name != "-" and target == Path(os.path.realpath(name)):
            raise click.ClickException(f"writing {path!r} would replace the file that is read. Give another {option}.")
        if names_many(name) and would_hold(name, target):
            raise click.ClickException(
                f"{path!r} would be among the files that are read, {name}. Give another {option}."
            )
    settle([target.parent])
    return target


def check_rows(out: str | None, inputs: Iterable[str] = ()) -> Path | None:
    """The file that rows will be written to, or None for standard output, which must be open then."""
    if out is None:
        check_standard_output()
        return None
    target = check_output(out, inputs)
    if _is_parquet(target):
        from mixtura.data.arrow import parquet

        parquet()
    return target


def _is_parquet(target: Path) -> bool:
    return target.suffix.lower() in PARQUET


rows_option = click.option(
    "--out",
    "-o",
    metavar="FILE",
    help="Where to write: CSV, or Parquet if the name ends in .parquet.  [default: standard output, as CSV]",
)


def check_standard_output() -> None:
    """Raise if standard output was closed before the program began."""
    if sys.stdout is None:
        raise click.ClickException("standard output is closed, so there is nowhere to write to.")


def on_terminal(stream: Any) -> bool:
    """Whether somebody looks at what is written to a stream."""
    return stream is not None and stream.isatty()


def width() -> int:
    """How many letters a line of a summary may have: as many as the terminal, within reason, and 100 where there is none."""
    return min(100, max(60, shutil.get_terminal_size().columns)) if on_terminal(sys.stdout) else 100


def say(text: str) -> None:
    """A line or more on standard output, if that is open."""
    with named(STANDARD_OUTPUT):
        click.echo(text)


def write_rows(kinds: Sequence[tuple[str, type]], rows: Iterable[Sequence[Any]], out: Path | None) -> None:
    """Write CSV to a file, or to standard output; Parquet to a file that is called so. Never more than some rows are held.

    Numbers read back as the same doubles, and names as the same names.

    Parameters
    ----------
    kinds : sequence of (str, type)
        Names of the columns, and what they hold: ``int``, ``float`` or ``str``.
    rows : iterable of sequences
    out : Path or None
    """
    header = [name for name, _ in kinds]
    if out is None:
        shown = map(printable, header) if on_terminal(sys.stdout) else header
        with named(STANDARD_OUTPUT):
            _write(sys.stdout, list(shown), rows)
        return
    from mixtura.estimators.progress import waiting

    with waiting("Writing"), atomic_path(out) as temporary:
        if _is_parquet(out):
            from mixtura.data.arrow import write_parquet

            write_parquet(temporary, kinds, rows)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                _write(file, header, rows)


def _write(file: Any, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(guarded, header))
    writer.writerows(rows)


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def check_picture(path: str, inputs: Iterable[str] = ()) -> Path:
    """The picture that will be written, or an error if it cannot be: also for a missing matplotlib or an unknown format."""
    if not can_draw():
        raise missing_extra("Pictures", "plot")
    target = check_output(path, inputs)
    if target.suffix.lower() not in PICTURES:
        raise click.ClickException(
            f"cannot write {path!r}: the ending of a picture's name says its format; use {', '.join(PICTURES)}."
        )
    return target


def check_draws(path: str, inputs: Iterable[str] = ()) -> Path:
    """The file that draws will be written to, or an error if that cannot be: also for what NetCDF needs, or an unknown format."""
    target = check_output(path, inputs)
    if target.suffix.lower() not in DRAWS:
        raise click.ClickException(
            f"cannot write {path!r}: the ending of the name says the format of the draws; use {' or '.join(DRAWS)}."
        )
    if target.suffix.lower() == ".nc" and not all(map(importlib.util.find_spec, ("arviz_base", "h5netcdf"))):
        raise missing_extra("Draws as NetCDF", "mcmc")
    return target


def drawn(figure: Figure, target: Path) -> bytes:
    """What is in the file of a picture, in the format that the ending of its name says."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the picture shows a box in its place
        figure.savefig(buffer, format=target.suffix[1:].lower())
    return buffer.getvalue()


def near(path: Path) -> str:
    """A file's name for people, short where the file is in the current folder."""
    return printable(path.name if path.parent == Path.cwd() else str(path))
