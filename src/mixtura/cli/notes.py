"""Lines on standard error that stop nothing."""

from __future__ import annotations

from contextlib import suppress

import click

from mixtura.ground.text import printable


def note(sentence: str) -> None:
    """One line for a reader to judge."""
    with suppress(OSError):  # nobody takes it
        click.echo(f"mixtura: note: {printable(sentence)}", err=True)


def note_lacking(n_lacking: int, n_rows: int, source: str) -> None:
    """A note on the rows that missing values leave out, if there are such."""
    if n_lacking:
        note(f"{n_lacking} of {n_rows} rows of {source} hold missing values and are left out.")
