"""One number for each parameter of a mixture, and the two ends of an interval of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array


class Parameters(NamedTuple):
    """One number for each weight ``(K,)``, mean ``(K, D)`` and entry of the covariances, in the shape of the structure.

    Of a conjugate posterior, ``covariances`` are the variances of the features alone, ``(K, D)``: those have laws with a formula.
    """

    weights: Array
    means: Array
    covariances: Array


class Interval(NamedTuple):
    """Both ends."""

    lower: Parameters
    upper: Parameters


def central(level: float) -> Array:
    """The probabilities below both ends of a central interval, ``(2,)``.

    Parameters
    ----------
    level : float
        Probability between the ends.

    Raises
    ------
    InvalidParameterError
        If it does not lie between 0 and 1.

    Examples
    --------
    >>> from mixtura.model.parameters import central
    >>> central(0.5).tolist()
    [0.25, 0.75]
    """
    if not 0 < level < 1:
        raise InvalidParameterError(f"level must lie between 0 and 1; got {level!r}.")
    return np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level])
