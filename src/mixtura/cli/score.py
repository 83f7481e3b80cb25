"""``mixtura score``: how well a model fits data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from mixtura.cli.arguments import read_for, read_model, reading_options
from mixtura.cli.notes import note_lacking
from mixtura.cli.outputs import check_rows, rows_option, write_rows
from mixtura.cli.patterns import data_argument

if TYPE_CHECKING:
    from mixtura.cli.reading import Reading
    from mixtura.cli.scanned import Scan
    from mixtura.cli.tables import Table
    from mixtura.ground.linalg import Array
    from mixtura.model.mixture import Mixture


@click.command(short_help="Print how well MODEL fits DATA.")
@click.argument("model")
@data_argument
@click.option("--rows", is_flag=True, help="The log density of every row instead, as CSV.")
@reading_options
@rows_option
def score(model: str, data: str, rows: bool, how: Reading, out: str | None) -> None:
    """Print how well MODEL fits DATA: log-likelihood and information criteria.

    Rows with a low log density are unlike the data that the model was fitted on.

    \b
    Examples:
      mixtura score faithful.mixture.json new.csv
      mixtura score faithful.mixture.json new.csv --rows --out densities.csv
      mixtura score plants.mixture.json "plants/*.parquet"
    """
    target = check_rows(out, [model, data])
    mixture = read_model(model).mixture
    table = read_for(mixture, data, how)
    if rows:
        write_rows([("log_density", float)], table.answers(partial(_log_densities, mixture), 1), target)
    else:
        write_rows([("quantity", str), ("value", float)], _totals(mixture, table), target)


def _log_densities(mixture: Mixture, rows: Array) -> Iterator[list[Any]]:
    yield from ([value] for value in mixture.log_pdf(rows).tolist())


def _totals(mixture: Mixture, table: Table | Scan) -> list[list[Any]]:
    from mixtura.assess.choice.criteria import criteria
    from mixtura.estimators.progress import waiting
    from mixtura.ground.errors import DataError

    with waiting("Scoring"):
        found, n_rows = criteria(mixture, table.data), table.data.n_rows
    note_lacking(table.data.n_dropped, n_rows + table.data.n_dropped, table.source)
    if not math.isfinite(found.log_likelihood):
        raise DataError(
            f"rows of {table.source} are so far from the model that their log-likelihood is {found.log_likelihood:g}; --rows shows "
            "which. Are they in the units that the model was fitted in?"
        )
    return [
        ["rows", n_rows],
        ["parameters", found.n_parameters],
        ["log_likelihood", found.log_likelihood],
        ["log_likelihood_per_row", found.log_likelihood / n_rows],
        ["bic", found.bic],
        ["aic", found.aic],
        ["icl", found.icl],
    ]
