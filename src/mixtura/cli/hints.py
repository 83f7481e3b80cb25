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
    said: list[str] = []
    counting: list[int] = []
    coded: list[int] = []
    width = max(1, CELLS // len(rows))
    for first in range(0, len(columns), width):
        block = np.asarray(rows[:, first : first + width], dtype=np.float64)
        whole = (block == np.round(block)).all(axis=0)
        counting += [first + int(d) for d in np.flatnonzero(whole) if _counts(block[:, d])]
        coded += [first + int(d) for d in np.flatnonzero(whole) if _codes(block[:, d])]
        said += [_spike(columns[first + d], value, times) for d, value, times in _spikes(block)]
    written = [d for d, name in enumerate(columns) if re.fullmatch(r"Unnamed: \d+", name)]
    index = sorted({*counting, *written})
    if index and len(index) < len(columns):
        one = len(index) == 1
        said.append(
            f"column{'' if one else 's'} {_named(index, columns)} count{'s' if one else ''} the rows; "
            f"if {'it only names' if one else 'they only name'} them, leave {'it' if one else 'them'} out: {_without(index, columns)}."
        )
    codes = [d for d in coded if d not in set(index)]
    if codes and len(codes) + len(index) < len(columns):
        one = len(codes) == 1
        said.append(
            f"column{'' if one else 's'} {_named(codes, columns)} hold{'s' if one else ''} only a few integers; "
            f"if those are codes, leave {'it' if one else 'them'} out: {_without([*codes, *index], columns)}."
        )
    return said


def _named(which: Sequence[int], columns: Sequence[str]) -> str:
    return listed([columns[d] for d in which])


def _without(which: Sequence[int], columns: Sequence[str]) -> str:
    left = set(range(len(columns))).difference(which)
    return option(columns[d] for d in sorted(left))


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


def _spike(name: str, value: float, times: int) -> str:
    return (
        f"column {name!r} holds {value:.15g} in {times} rows, far from all other values; "
        f"if it stands for a missing one, leave those rows out: --missing {value:.15g}."
    )
