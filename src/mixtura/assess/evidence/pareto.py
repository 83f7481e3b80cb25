"""Can an average of importance weights be trusted? The shape of a generalised Pareto law fitted to the largest of them.

A shape of ``k`` means that moments from the order ``1/k`` on do not exist. Up to about 0.7 an average over a thousand weights is of use;
above it, the estimate rests on draws that were never made. Sources: Zhang and Stephens (2009), "A new and efficient estimation method for
the generalized Pareto distribution"; Vehtari, Simpson, Gelman, Yao and Gabry (2024), "Pareto smoothed importance sampling".
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import EPS, Array

LEAST_TAIL = 5
LEAST_WEIGHTS = 5 * LEAST_TAIL
"""A fifth of these is the smallest tail."""
PRIOR_SHAPE, PRIOR_COUNT = 0.5, 10
"""A shape of one half, believed as firmly as ten weights of the tail."""
LARGEST_LOG_RATIO = 300.0
"""To the smallest weight of the tail: squares of larger ratios overflow, and no shape is acceptable long before."""


def pareto_shape(log_weights: Array) -> float:
    """``k̂`` of the tail of some weights, ``min(S/5, 3√S)`` of them.

    Parameters
    ----------
    log_weights : (S,) array
        Of independent draws, at least 25.

    Returns
    -------
    float
        Minus infinity where fewer than five of the tail differ from the rest by more than rounding: equal weights have no tail.

    Raises
    ------
    InvalidParameterError
        If there are too few weights.

    Examples
    --------
    Uniform numbers to the power ``−k`` have a Pareto law of that shape:

    >>> import numpy as np
    >>> from mixtura.assess.evidence.pareto import pareto_shape
    >>> uniform = np.random.default_rng(0).uniform(size=10_000)
    >>> abs(pareto_shape(-0.3 * np.log(uniform)) - 0.3) < 0.15
    True
    >>> pareto_shape(np.zeros(100))
    -inf
    """
    n_weights = len(log_weights)
    if n_weights < LEAST_WEIGHTS:
        raise InvalidParameterError(
            f"the tail of {n_weights} weights is too short to judge. Make at least {LEAST_WEIGHTS} draws."
        )
    n_tail = math.ceil(min(n_weights / 5, 3 * math.sqrt(n_weights)))
    largest = np.sort(log_weights)[-n_tail - 1 :]
    above = largest[1:] - largest[0]
    above = above[above > math.sqrt(EPS)]
    if len(above) < LEAST_TAIL:
        return -math.inf
    shape, _ = fit_generalised_pareto(np.expm1(np.minimum(above, LARGEST_LOG_RATIO)))
    return (len(above) * shape + PRIOR_COUNT * PRIOR_SHAPE) / (len(above) + PRIOR_COUNT)


def fit_generalised_pareto(excesses: Array) -> tuple[float, float]:
    """Shape ``k`` and scale ``σ`` of ``p(x) ∝ (1 + k x/σ)^(−1/k − 1)``.

    The law is ``(b, k)`` with ``b = −k/σ``; given ``b``, the best ``k`` is ``mean log(1 − b x)``. Zhang and Stephens average ``b`` over a
    grid, weighted by that profile likelihood.

    Parameters
    ----------
    excesses : (n,) array
        Positive, in ascending order.
    """
    n = len(excesses)
    n_grid = 30 + int(math.sqrt(n))
    quartile = excesses[int(n / 4 + 0.5) - 1]
    steps = 1 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    grid = 1 / excesses[-1] + steps / (3 * quartile)
    shapes = np.log1p(-grid[:, None] * excesses).mean(axis=1)
    profile = n * (np.log(-grid / shapes) - shapes - 1)
    b = float(np.exp(profile - logsumexp(profile)) @ grid)
    shape = float(np.log1p(-b * excesses).mean())
    return shape, -shape / b
