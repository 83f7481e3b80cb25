"""What a table with very many columns cannot be fitted with, said before the work."""

from __future__ import annotations

from collections.abc import Sequence

import click

from mixtura.cli.notes import note
from mixtura.data.source import Source
from mixtura.ground.machine import physical_memory
from mixtura.model.covariance import ONE_COLUMN, covariance_structure

COPIES = 100
"""Of the covariance matrix of every component, that a fit holds: of ten starts side by side, with their moments, factors and gradients.
136 to 190 were measured."""


def check_wide(called: str, source: Source, structures: Sequence[str], sizes: range, solver: str) -> None:
    """Raise if covariance matrices of so many columns cannot be fitted to so few rows, or take more memory than there is.

    Parameters
    ----------
    called : str
        What the data are, for people.
    source : Source
    structures : sequence of str
        Names of covariance structures.
    sizes : range
        Numbers of components.
    solver : str
    """
    n_rows, n_columns = source.n_rows, source.n_features
    matrices = [name for name in structures if name not in ONE_COLUMN and not covariance_structure(name).diagonal]
    if not matrices or n_columns == 1:
        return
    smaller = ",".join(name for name in structures if name not in matrices) or "diag"
    advice = f"Try --covariance {smaller}, or fewer columns with --columns."
    n_components = len(matrices) * sum(sizes) if solver == "em" else sizes[-1]
    needed, memory = 8 * n_columns**2 * n_components * COPIES, physical_memory()
    if memory is not None and needed > memory:
        raise click.ClickException(
            f"{called} has {n_columns:,} columns, and to fit {n_components} covariance matrices of so many "
            f"({', '.join(matrices)}) takes {needed / 1e9:,.0f} GB of memory; there are {memory / 1e9:,.0f}. {advice}"
        )
    if n_rows > n_columns:
        return
    few = (
        f"{called} has {n_rows:,} rows and {n_columns:,} columns, and a covariance matrix ({', '.join(matrices)}) "
        "needs more rows than columns"
    )
    if solver == "em":
        raise click.ClickException(f"{few}. {advice}")
    note(f"{few}, or it says more of the prior than of the data, and takes long. {advice}")
