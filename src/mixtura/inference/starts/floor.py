"""The floor that a fit has by default: how small a variance may become in each column, in units of that column.

A maximum of the likelihood is sought among mixtures none of whose variances is below a floor, for without one the likelihood is unbounded.
The floor of a column is

- ``SHARE`` of its spread: its variance, or less where most of its values lie closer together than that says (a far outlier, two tight
  groups far apart): of ``n`` distinct values no further apart than a typical gap, evenly spread, the variance is ``(n · gap)² / 12``;
- no less than what rounding does to its values, ``gap² / 12``, where all of them lie on a grid much finer than the spread (Sheppard 1898);
  on a coarser grid, such as zero and one, values are codes and not rounded;
- no less than the spacing of floating-point numbers there.

All of this moves with the column's unit, and none of it with its origin.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.inference.starts.sample import SeedingSample

SHARE = 1e-7
"""Of the spread, as a variance: a component may be as narrow as a three-thousandth of the column's spread."""
TYPICAL = 0.25
"""Quantile of the gaps between distinct neighbours that stands for a typical one."""
FINE = 1e-2
"""Share of the variance up to which rounding to a grid is rounding, and not a coding."""
ON_GRID = 1e-3
"""How far from a multiple of the smallest gap, in units of it, values on a grid may lie."""


class Floor(NamedTuple):
    """How small variances may become.

    Attributes
    ----------
    variances : float or (D,) array
        For all columns, or for each.
    collapsed : float or (D,) array
        Variance of its own rows from which a component at the floor has collapsed. A component as narrow as rounding lets it be has not,
        as long as its rows are not all alike.
    """

    variances: Array | float
    collapsed: Array | float


def default_floor(sample: SeedingSample, magnitude: Array, eps: float) -> Floor:
    """The floor of the columns of a sample.

    Parameters
    ----------
    sample : SeedingSample
    magnitude : (D,) array
        Largest absolute value in each column.
    eps : float
        Spacing of floating-point numbers near one, in the precision of the data.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.starts.floor import default_floor
    >>> from mixtura.inference.starts.sample import seeding_sample
    >>> rows = np.c_[np.linspace(0, 1, 2001), np.arange(2001) % 2]
    >>> sample = seeding_sample(ArraySource(rows), 1)
    >>> [f"{f:.1e}" for f in default_floor(sample, np.ones(2), 2.2e-16).variances]
    ['2.1e-08', '2.5e-08']
    """
    noise = 8 * eps * magnitude
    gaps = np.diff(np.sort(sample.rows.T, axis=1), axis=1)
    gaps[gaps <= noise[:, None]] = np.inf  # of values that are one
    gaps.sort(axis=1)
    numbers = np.isfinite(gaps).sum(axis=1)
    columns = zip(gaps, numbers.tolist(), sample.variances.tolist(), magnitude.tolist(), noise.tolist(), strict=True)
    return Floor(*np.array([_of_column(own[:n], *of_it) for own, n, *of_it in columns], dtype=float).T)


def _of_column(gaps: Array, variance: float, magnitude: float, noise: float) -> tuple[float, float]:
    """Of one column, the floor and what has collapsed, from the gaps between its distinct values in ascending order."""
    if not len(gaps):  # a constant column, whose only unit is its value
        floor = max(SHARE * (magnitude if magnitude > 0 else 1.0) ** 2, noise**2)
        return floor, floor
    place, beyond = divmod(TYPICAL * (len(gaps) - 1), 1)
    quantile = gaps[int(place)] + beyond * (gaps[min(int(place) + 1, len(gaps) - 1)] - gaps[int(place)])
    typical = float(quantile) / -math.log1p(-TYPICAL)  # of evenly scattered values this is the mean gap
    floor = max(SHARE * min(variance, ((len(gaps) + 1) * typical) ** 2 / 12), noise**2)
    step = float(gaps[0])
    rounding = step**2 / 12
    if not floor < rounding <= FINE * variance or not _lies_on_grid(gaps, step, noise):
        return floor, floor
    return rounding, max(floor, FINE * rounding)


def _lies_on_grid(gaps: Array, step: float, noise: float) -> bool:
    """Whether all gaps are multiples of the smallest one, as far as rounding lets that be seen."""
    if noise > ON_GRID * step:
        return False
    multiples = gaps / step
    return bool((np.abs(multiples - np.round(multiples)) <= ON_GRID + noise / step).all())
