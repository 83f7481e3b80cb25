"""``mixtura predict``: the component of every row."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from mixtura.cli.arguments import read_for, read_model, reading_options
from mixtura.cli.outputs import check_rows, rows_option, write_rows
from mixtura.cli.patterns import data_argument

if TYPE_CHECKING:
    from mixtura.cli.reading import Reading
    from mixtura.ground.linalg import Array
    from mixtura.model.mixture import Mixture


@click.command(short_help="Print the component of every row of DATA, as CSV.")
@click.argument("model")
@data_argument
@click.option("--proba", is_flag=True, help="Add the responsibilities: how probable each component is for the row.")
@reading_options
@rows_option
def predict(model: str, data: str, proba: bool, how: Reading, out: str | None) -> None:
    """Print the most probable component of every row of DATA, as CSV.

    The columns that MODEL was fitted on are found in DATA by name, in any order and among others. A row with a missing value gets an
    empty line.

    \b
    Examples:
      mixtura predict faithful.mixture.json faithful.csv
      mixtura predict faithful.mixture.json new.csv --proba --out labels.csv
      mixtura predict plants.mixture.json "plants/*.parquet" --out labels.parquet
    """
    target = check_rows(out, [model, data])
    mixture = read_model(model).mixture
    table = read_for(mixture, data, how)
    kinds = [("label", int), *((f"responsibility_{k}", float) for k in range(mixture.n_components) if proba)]
    write_rows(kinds, table.answers(partial(_labels, mixture, proba), len(kinds)), target)


def _labels(mixture: Mixture, proba: bool, rows: Array) -> Iterator[list[Any]]:
    responsibilities = mixture.responsibilities(rows)
    labels = responsibilities.argmax(axis=1).tolist()
    if proba:
        yield from ([label, *row] for label, row in zip(labels, responsibilities.tolist(), strict=True))
    else:
        yield from ([label] for label in labels)
