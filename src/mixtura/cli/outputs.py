"""Where results go: checked before the work, written whole or not at all."""

from __future__ import annotations

import csv
import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixtura.ground.errors import missing_extra
from mixtura.ground.files import atomic_path

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Figure

PICTURES = (".png", ".pdf", ".svg", ".jpg", ".webp")


def check_output(path: str, inputs: Iterable[str] = ()) -> Path:
    """The file that will be written, links followed, or an error if that cannot work or would destroy an input.

    Parameters
    ----------
    path : str
    inputs : iterable of str
        Files that must stay as they are.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise click.ClickException(
            f"cannot write {path!r}: it is a {'folder' if target.is_dir() else 'device'}, not a file."
        )
    if not target.parent.is_dir():
        raise click.ClickException(
            f"cannot write {path!r}: there is no folder {str(Path(path).parent)!r}. Make it first."
        )
    if not os.access(target.parent, os.W_OK):
        raise click.ClickException(f"cannot write {path!r}: the folder {str(Path(path).parent)!r} is not writable.")
    if any(target == Path(os.path.realpath(name)) for name in inputs if name != "-"):
        raise click.ClickException(f"writing {path!r} would replace the file that is read. Give another --out.")
    return target


def write_rows(header: Sequence[str], rows: Iterable[Sequence[Any]], out: Path | None) -> None:
    """Write CSV to a file, or to standard output. Numbers read back as the same doubles.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequences
    out : Path or None
    """
    if out is None:
        _write(sys.stdout, header, rows)
        return
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        _write(file, header, rows)


def _write(file: Any, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
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


def save_picture(figure: Figure, target: Path) -> None:
    """Write a matplotlib figure whole or not at all."""
    with atomic_path(target) as temporary:
        figure.savefig(temporary)
