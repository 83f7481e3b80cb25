"""``mixtura sample``: new rows from a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import click

from mixtura.cli.arguments import SEED, read_model
from mixtura.cli.outputs import check_rows, rows_option, write_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixtura.ground.linalg import Array

BLOCK = 10_000
MOST_ROWS = 10**15


@click.command()
@click.argument("model")
@click.argument("n", type=click.IntRange(1, MOST_ROWS))
@click.option("--seed", type=SEED, default=0, show_default=True, help="The same seed gives the same rows.")
@click.option("--labels", is_flag=True, help="Add the component that each row was drawn from.")
@rows_option
def sample(model: str, n: int, seed: int, labels: bool, out: str | None) -> None:
    """Draw N rows from MODEL, as CSV.

    \b
    Examples:
      mixtura sample faithful.mixture.json 1000 > simulated.csv
      mixtura sample faithful.mixture.json 10 --labels --seed 7
    """
    from mixtura.estimators.progress import waiting

    target = check_rows(out, [model])
    mixture = read_model(model).mixture
    names = mixture.column_names
    with waiting("Drawing rows"):
        rows, drawn = mixture.sample(n, seed)
    kinds = [*((name, float) for name in names), *[(_free_name(names), int)] * labels]
    write_rows(kinds, _lists(rows, drawn if labels else None), target)


def _free_name(names: Sequence[str]) -> str:
    """What the column of labels is called: ``label``, or where a column of the model has that name, ``label_2`` and so on."""
    return next(name for i in count(1) if (name := "label" if i == 1 else f"label_{i}") not in names)


def _lists(rows: Array, labels: NDArray[Any] | None) -> Iterator[list[Any]]:
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK].tolist()
        if labels is None:
            yield from block
        else:
            yield from ([*row, label] for row, label in zip(block, labels[start : start + BLOCK].tolist(), strict=True))
