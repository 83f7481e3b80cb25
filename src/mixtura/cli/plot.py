"""``mixtura plot``: a picture of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixtura.cli.arguments import read_for, read_model, reading_options
from mixtura.cli.notes import note_lacking
from mixtura.cli.outputs import check_picture, drawn, near, say
from mixtura.ground.files import write_together

if TYPE_CHECKING:
    from mixtura.cli.reading import Reading


@click.command()
@click.argument("model")
@click.argument("data", required=False)
@reading_options
@click.option("--out", "-o", metavar="FILE", help="Picture, .png, .pdf or .svg.  [default: <name of MODEL>.png here]")
def plot(model: str, data: str | None, how: Reading, out: str | None) -> None:
    """Draw MODEL, over DATA if given.

    \b
    Examples:
      mixtura plot faithful.mixture.json --out mixture.png
      mixtura plot faithful.mixture.json faithful.csv --out mixture.pdf
    """
    target = check_picture(out or f"{Path(model).stem}.png", [model, *([data] if data else [])])
    mixture = read_model(model).mixture
    rows: Any = None if data is None else read_for(mixture, data, how).data

    from mixtura.estimators.progress import waiting
    from mixtura.plot import picture

    with waiting("Drawing"):
        content = drawn(picture(mixture, rows), target)
    if rows is not None:
        note_lacking(rows.n_dropped, rows.n_rows + rows.n_dropped, str(data))
    write_together({target: content})
    say(f"Picture in {near(target)}")
