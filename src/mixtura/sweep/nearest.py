"""Which components are near each other: those that would explain the rows of one another.

The rows of a component have the mean features ``φ̄_k = E φ(x), x ~ N(μ_k, Σ_k)``. Log densities are linear in features, so
``E_k log ρ_j(x) = W_j φ̄_k`` for all pairs is one matrix product. What a component loses by leaving its rows to another one is a divergence,

    E_k log ρ_k − E_k log ρ_j = KL(k ‖ j) + log π_k − log π_j.

Source: Hirschberger, Forster and Lücke (2022), "A variational EM acceleration for efficient clustering at very large scales", who estimate
it from rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array, triangular_inverses
from mixtura.model.scorer import Scorer
from mixtura.sweep.features import Features, coefficients, product_pairs
from mixtura.sweep.scratch import Scratch

MOST_FEATURES = 64
"""In more dimensions the diagonals of the precisions stand for them: an order of components is all that is asked for."""
AT_ONCE = 2**18
"""Pairs of components that are compared at once."""


def nearest_components(scorer: Scorer, n: int) -> NDArray[np.int32]:
    """For each component itself, and then those that lose least by taking its rows, or by leaving theirs to it.

    Parameters
    ----------
    scorer : Scorer
    n : int
        How many, no more than there are.

    Returns
    -------
    (K, n) int32 array

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.model.scorer import Scorer
    >>> from mixtura.sweep.nearest import nearest_components
    >>> line = Scorer(np.zeros(4), np.array([[0.0], [1.0], [3.0], [9.0]]), np.ones((4, 1)))
    >>> nearest_components(line, 2).tolist()
    [[0, 1], [1, 0], [2, 1], [3, 2]]
    """
    if not scorer.diagonal and scorer.centres.shape[1] > MOST_FEATURES:
        scorer = Scorer(scorer.constants, scorer.centres, np.sqrt(scorer.precision_diagonals))
    pivot = scorer.centres.mean(axis=0)
    linear, means = coefficients(scorer, pivot), mean_features(scorer, pivot)
    own = (linear * means).sum(axis=1)
    own[np.isneginf(own)] = np.inf  # a component without weight is nobody's neighbour
    n_components = len(own)
    found = np.empty((n_components, n), np.int32)
    step = max(1, AT_ONCE // n_components)
    for start in range(0, n_components, step):
        here = slice(start, start + step)
        kept = means[here] @ linear.T - own[here, None]
        taken = linear[here] @ means.T - own
        nearness = np.maximum(kept, taken, out=kept)
        each = np.arange(len(nearness))
        nearness[each, each + start] = np.inf
        chosen = np.argpartition(nearness, n_components - n, axis=1)[:, n_components - n :]
        order = np.argsort(-np.take_along_axis(nearness, chosen, axis=1), axis=1, kind="stable")
        found[here] = np.take_along_axis(chosen, order, axis=1)
    return found


def mean_features(scorer: Scorer, pivot: Array) -> Array:
    """``φ̄`` of each component, ``(K, F)``."""
    n_components, n_features = scorer.centres.shape
    features = Features(pivot, np.dtype(np.float64), scorer.diagonal, n_components, Scratch()).fill(scorer.centres)
    if scorer.diagonal:
        spreads = 1 / np.square(scorer.whitening)
    else:
        roots = triangular_inverses(scorer.whitening)
        left, right = product_pairs(n_features)
        spreads = (roots.swapaxes(1, 2) @ roots)[:, left, right]
    features[: -n_features - 1] += spreads.T
    return np.ascontiguousarray(features.T)
