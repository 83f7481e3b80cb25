"""Tables of measured values, their targets and verdicts; and the page that they become."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from bench.machine import blas_name, cpu_name, n_cores
from bench.peers import PEERS

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
NOTES = HERE / "notes.md"
LIBRARIES = ("mixtura", "numpy", "scipy", "scikit-learn", "threadpoolctl")

Row = dict[str, str]
"""Cells by column."""


class Target(NamedTuple):
    """A bound on a measured number, and how both are written."""

    bound: float
    at_least: bool = True
    form: str = "{:.3g}×"

    def cells(self, measured: float) -> Row:
        """Measured, target and verdict."""
        met = measured >= self.bound if self.at_least else measured <= self.bound
        return {
            "measured": self.form.format(measured),
            "target": f"{'≥' if self.at_least else '≤'} {self.form.format(self.bound)}",
            "verdict": "met" if met else "missed",
        }


def judged(measured: float, target: Target | None, form: str = "{:.3g}×") -> Row:
    """The cells of a measured number that may have a target."""
    return {"measured": form.format(measured)} if target is None else target.cells(measured)


@dataclass(frozen=True)
class Table:
    """Rows under a heading; a row may lack cells.

    Attributes
    ----------
    title : str
    about : str
        What is measured and how, in a paragraph.
    rows : sequence of Row
    """

    title: str
    about: str
    rows: Sequence[Row]

    def __str__(self) -> str:
        if not self.rows:
            return f"## {self.title}\n\n{self.about}"
        columns = _ordered(dict.fromkeys(column for row in self.rows for column in row))
        body = [[row.get(column, "") for column in columns] for row in self.rows]
        lines = ["| " + " | ".join(cells) + " |" for cells in [columns, ["---"] * len(columns), *body]]
        return "\n".join([f"## {self.title}", "", self.about, "", *lines])


def _ordered(columns: Iterable[str]) -> list[str]:
    """Target and verdict behind what they judge, notes last."""
    judging = ("measured", "target", "verdict")
    given = list(columns)
    ordered: list[str] = []
    for column in given:
        if column == "measured":
            ordered += [name for name in judging if name in given]
        elif column not in (*judging, "note"):
            ordered.append(column)
    return [*ordered, "note"] if "note" in given else ordered


def seconds(value: float) -> str:
    """A duration in the unit that suits it.

    Examples
    --------
    >>> seconds(0.0123)
    '12.3 ms'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def spread(values: Iterable[float], form: str = "{:.3g}") -> str:
    """Lowest to highest."""
    found = list(values)
    return f"{form.format(min(found))} to {form.format(max(found))}"


def preamble() -> str:
    """What ran where: processor, versions, and the peers that are not here."""
    here = [f"{name} {found}" for name in LIBRARIES if (found := _version(name))]
    peers = {peer: peer.version() for peer in PEERS if peer.needs not in LIBRARIES}
    here += [f"{peer.name} {number}" for peer, number in peers.items() if number]
    lines = [
        f"- {date.today().isoformat()}; {cpu_name()}, {n_cores()} cores, {platform.system()} {platform.machine()}",
        f"- {platform.python_implementation()} {platform.python_version()}; {', '.join(here)}; NumPy multiplies with {blas_name()}",
    ]
    lines += [f"- left out: {peer.name}, which needs {peer.needs}" for peer, number in peers.items() if not number]
    return "\n".join(lines)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def write_page(tables: Sequence[Table]) -> None:
    """Write ``docs/benchmarks.md``: what ran where, the tables, and the notes as they stand."""
    head = "# Benchmarks\n\n`make bench` wrote this page; it measures, and no test depends on it.\n\n" + preamble()
    parts = [head, *map(str, tables), NOTES.read_text().strip()]
    PAGE.write_text("\n\n".join(parts) + "\n")
