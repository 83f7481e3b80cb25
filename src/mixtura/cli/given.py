"""What a fit goes over: rows that were read, rows where they are, or either on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura.cli.arguments import read_data
from mixtura.cli.notes import note_lacking
from mixtura.cli.patterns import short_name
from mixtura.cli.reading import Reading
from mixtura.data.array import ArraySource
from mixtura.data.scanning import on_dask
from mixtura.ground.linalg import Array

LOOKED_AT = 10_000
"""Rows of which somebody takes a look, where not all are in memory."""


@dataclass(frozen=True, eq=False)
class Given:
    """What a fit goes over.

    Attributes
    ----------
    called : str
        DATA, for people.
    name : str
        What a model file remembers of that.
    source : Source
    columns : tuple of str
    left_out : tuple of str
        Columns that are not used, each with the reason; and how many rows, for missing values.
    """

    called: str
    name: str
    source: Any
    columns: tuple[str, ...]
    left_out: tuple[str, ...]

    def looked_at(self) -> Array:
        """All rows in memory, or of those that are elsewhere a sample, the same each time."""
        if isinstance(self.source, ArraySource):
            return self.source.rows
        n_rows = self.source.n_rows
        places = np.random.default_rng(0).choice(n_rows, min(n_rows, LOOKED_AT), replace=False)
        return self.source.take(np.sort(places))[0]


def given(data: str, columns: Sequence[str] | None, how: Reading, client: Any = None) -> Given:
    """What DATA names, read or looked for, and gone over once.

    Parameters
    ----------
    data : str
    columns : sequence of str or None
    how : Reading
    client : distributed.Client, optional
        Of the cluster whose workers go over the rows.
    """
    from mixtura.estimators.progress import waiting

    table = read_data(data, columns, how, by_workers=client is not None)
    with waiting("Reading"):
        source = table.data if client is None else on_dask(client, table.data)
        n_rows = source.n_rows + source.n_dropped
    note_lacking(source.n_dropped, n_rows, table.source)
    lacking = (f"{source.n_dropped} of {n_rows} rows (missing values)",) if source.n_dropped else ()
    name = "standard input" if data == "-" else short_name(data)
    return Given(table.source, name, source, table.columns, (*table.left_out, *lacking))
