"""The mixture that belongs to a partition: what all draws say together of the components of its clusters.

Each component of a draw goes as a whole to the cluster of whose rows it is expected to hold most, whatever its label; those of one cluster
are merged so that their first two moments stay (law of total covariance). Components that hold less than half a row are left out. So every
draw becomes a mixture with at most one component for each cluster, and these have an identity, that of the rows. The result is their mean:
for the weights over all draws, for means and covariances over the draws in which the cluster has a component. Where clusters and components
of all draws are the same, it is the posterior mean of the relabelled draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.draws import Draws
from mixtura.model.mixture import Mixture
from mixtura.model.scorer import normalise

LEAST_COUNT = 0.5
"""Expected rows from which a component counts."""
LEAST_PRESENT = 0.5
"""Share of draws that have a component for a cluster, from which it is one of the mixture."""


def partition_mixture(draws: Draws, rows: Array, labels: NDArray[np.int64]) -> Mixture:
    """The mixture of the clusters of a partition, averaged over all draws.

    Parameters
    ----------
    draws : Draws
    rows : (N, D) array
    labels : (N,) integer array
        Clusters, numbered from 0 without gaps.

    Returns
    -------
    Mixture
        Component ``g`` is cluster ``g``, but for clusters for which less than half of the draws have a component: they are left out, and
        the components of their rows go elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.draws.partition_mixture import partition_mixture
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> means = np.array([[[[0.0], [9.0]], [[9.4], [0.2]]]])
    >>> draws = Draws(covariance_structure("spherical"), np.full((1, 2, 2), 0.5), means, np.ones((1, 2, 2)))
    >>> partition_mixture(draws, np.array([[0.0], [9.0]]), np.array([0, 1])).means.round(6).tolist()
    [[0.1], [9.2]]
    """
    member = _members(_held(draws, rows, labels))
    shape = len(draws), draws.n_components
    shares = np.where(member, draws.weights.reshape(*shape, 1), 0.0)
    shares /= shares.sum(axis=(1, 2), keepdims=True)
    weights = shares.sum(axis=1)
    shares /= np.where(weights > 0, weights, 1.0)[:, None]
    means = draws.means.reshape(*shape, -1)
    centres = np.einsum("tkg,tkd->tgd", shares, means)
    within = np.einsum("tkg,tkij->gij", shares, draws.covariance_matrices.reshape(*shape, *[draws.n_features] * 2))
    between = [
        _scatter(own, means - centre[:, None]) for own, centre in zip(shares.T, centres.swapaxes(0, 1), strict=True)
    ]
    times = (weights > 0).sum(axis=0)
    share = weights.mean(axis=0)
    covariances = draws.structure.from_matrices((within + between) / times[:, None, None], share)
    return Mixture(share, centres.sum(axis=0) / times[:, None], covariances, draws.structure)


def _scatter(weights: Array, offsets: Array) -> Array:
    """``Σ w v vᵀ`` over all offsets, ``(D, D)``; the weights are ``(K, C·S)``."""
    flat = offsets.reshape(-1, offsets.shape[-1])
    return (weights.T.reshape(-1, 1) * flat).T @ flat


def _held(draws: Draws, rows: Array, labels: NDArray[np.int64]) -> Array:
    """How many rows of each cluster each component is expected to hold, ``(C·S, K, G)``."""
    indicators = (labels[:, None] == np.arange(labels.max() + 1)).astype(np.float64)
    held = np.empty((len(draws), draws.n_components, indicators.shape[1]))
    for part, shares in draws.log_joints(rows):
        normalise(shares)
        held[part] = shares @ indicators
    return held


def _members(held: Array) -> NDArray[np.bool_]:
    """Which component goes to which cluster, ``(C·S, K, G)``, one after another of the clusters left out that too few draws have."""
    counts = held.sum(axis=2)
    filled = counts >= np.minimum(LEAST_COUNT, counts.max(axis=1, keepdims=True))
    while True:
        member = (held.argmax(axis=2)[..., None] == np.arange(held.shape[2])) & filled[..., None]
        present = member.any(axis=1).mean(axis=0)
        if present.min() >= LEAST_PRESENT or len(present) == 1:
            return member
        held = np.delete(held, present.argmin(), axis=2)
