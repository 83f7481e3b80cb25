"""All draws over all rows, wherever those are: a few draws to each read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.ground.linalg import Array
from mixtura.model.draws import Draws
from mixtura.sweep import Assignment, Sweep, soft

STACK = 512
"""Components swept together."""


class SweptDraws(NamedTuple):
    """Log-likelihood of each draw, ``(C, S)``, and rows of each of its components, ``(C, S, K)``."""

    log_likelihoods: Array
    counts: Array


def sweep_draws(
    draws: Draws, X: ArrayLike | Source, assignment: Callable[[int], Assignment] = lambda i: soft
) -> SweptDraws:
    """Log-likelihoods and how many rows components have.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like or Source
    assignment : callable
        How rows are shared among the components of draw ``i``, chain after chain; by posterior probabilities by default.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.draws.swept import sweep_draws
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> means = np.array([[[[0.0], [9.0]], [[9.0], [0.0]]]])
    >>> draws = Draws(covariance_structure("spherical"), np.full((1, 2, 2), 0.5), means, np.ones((1, 2, 2)))
    >>> sweep_draws(draws, [[0.0], [1.0], [9.0]]).counts.round(6).tolist()
    [[[2.0, 1.0], [1.0, 2.0]]]
    """
    n_components = draws.n_components
    scorers = [draws.scorer[i * n_components : (i + 1) * n_components] for i in range(len(draws))]
    step = max(1, STACK // n_components)
    with Sweep(source_of(draws, X)) as sweep:
        swept = [
            one
            for start in range(0, len(draws), step)
            for one in sweep(
                scorers[start : start + step], [assignment(i) for i in range(start, min(start + step, len(draws)))]
            )
        ]
    shape = draws.n_chains, draws.n_draws
    log_likelihoods = np.array([one.log_normaliser for one in swept])
    counts = np.array([one.moments.count for one in swept])
    return SweptDraws(log_likelihoods.reshape(shape), counts.reshape(*shape, -1))


def source_of(draws: Draws, X: ArrayLike | Source) -> Source:
    """Rows that draws were inferred from, wherever they are."""
    return X if isinstance(X, Source) else ArraySource(draws.as_rows(X))
