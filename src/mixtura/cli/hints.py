"""What columns of numbers may be that are no measurements: one short line on each kind, for a reader to judge."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from mixtura.cli.columns import listed, option
from mixtura.ground.linalg import Array

FEWEST_ROWS = 10
MOST_CODES = 10
"""Different integers from which a column looks counted, not coded."""
ROWS_PER_CODE = 10
SPIKE = 3
"""Rows that share an extreme value, from which it is a spike."""
FAR = 1.0
"""Ranges of all other values that lie between them and a spike."""
FAR_NINES = 0.1
"""The same where the spike is at a number of nines, which is how missing values are written."""
PANDAS_INDEX = re.compile(r"Unnamed: \d+")
"""What pandas calls an index that it wrote without a name and read again."""
CELLS = 2**20
"""That are looked at together."""


def hints(rows: Array, columns: Sequence[str]) -> list[str]:
    """Sentences on columns that may not be what they seem.

    Parameters
    ----------
    rows : (N, D) array
        Finite.
    columns : sequence of str

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.cli.hints import hints
    >>> rows = np.c_[np.arange(1, 31), np.random.default_rng(0).normal(size=30)]
    >>> hints(rows, ["id", "height"])
    ["column 'id' counts the rows; if it only names them, leave it out: --columns height."]
    """
    if len(rows) < FEWEST_ROWS:
        return []
    counting, coded = {d for d, name in enumerate(columns) if PANDAS_INDEX.fullmatch(name)}, set()
    spikes: dict[float, dict[int, int]] = {}
    width = max(1, CELLS // len(rows))
    for first in range(0, len(columns), width):
        block = np.asarray(rows[:, first : first + width], dtype=np.float64)
        whole = np.flatnonzero((block == np.round(block)).all(axis=0))
        counting |= {first + int(d) for d in whole if _counts(block[:, d])}
        coded |= {first + int(d) for d in whole if _codes(block[:, d])}
        for d, value, times in _spikes(block):
            spikes.setdefault(value, {})[first + d] = times
    return [
        *(_spike(value, spikes[value], columns) for value in sorted(spikes)),
        *_to_leave_out(
            counting,
            columns,
            set(),
            ("counts the rows; if it only names them", "count the rows; if they only name them"),
        ),
        *_to_leave_out(
            coded - counting,
            columns,
            counting,
            ("holds only a few integers; if those are codes", "hold only a few integers; if those are codes"),
        ),
    ]


def _spike(value: float, times: dict[int, int], columns: Sequence[str]) -> str:
    if len(times) == 1:
        ((d, n),) = times.items()
        where = f"column {columns[d]!r} holds {value:.15g} in {n} rows"
    else:
        where = f"columns {listed([columns[d] for d in times])} hold {value:.15g} in {sum(times.values())} cells"
    return f"{where}, far from all other values; if it stands for a missing one, leave those rows out: --missing {value:.15g}."


def _to_leave_out(which: set[int], columns: Sequence[str], before: set[int], said: tuple[str, str]) -> list[str]:
    """What is said of one column or of several, and how to leave them out, unless nothing would be left."""
    left = [name for d, name in enumerate(columns) if d not in which | before]
    if not which or not left:
        return []
    names = listed([columns[d] for d in sorted(which)])
    if len(which) == 1:
        return [f"column {names} {said[0]}, leave it out: {option(left)}."]
    return [f"columns {names} {said[1]}, leave them out: {option(left)}."]


def _counts(values: Array) -> bool:
    """Whether integers are all different and leave none out between the first and the last."""
    return bool(np.ptp(values) == len(values) - 1 and len(np.unique(values)) == len(values))


def _codes(values: Array) -> bool:
    """Whether integers are few, follow each other, and begin at nought or one."""
    few = np.unique(values[: ROWS_PER_CODE * MOST_CODES])
    if not 2 <= len(few) <= MOST_CODES or few[0] not in (0.0, 1.0):
        return False
    found = np.unique(values)
    return bool(
        len(found) <= min(MOST_CODES, len(values) / ROWS_PER_CODE)
        and found[0] in (0.0, 1.0)
        and np.ptp(found) == len(found) - 1
    )


def _spikes(block: Array) -> Iterator[tuple[int, float, int]]:
    """Columns with one extreme value in several rows, far from all others; that value; and in how many."""
    for extreme, inner, sign in ((block.min(axis=0), np.min, 1.0), (block.max(axis=0), np.max, -1.0)):
        at = block == extreme
        times = at.sum(axis=0)
        for d in np.flatnonzero((times >= SPIKE) & (times < len(block))):
            others = block[~at[:, d], d]
            gap, spread = sign * (inner(others) - extreme[d]), np.ptp(others)
            nines = set(f"{abs(extreme[d]):.15g}") == {"9"}
            if gap >= (FAR_NINES if nines else FAR) * spread and len(np.unique(others)) > SPIKE:
                yield int(d), float(extreme[d]), int(times[d])
