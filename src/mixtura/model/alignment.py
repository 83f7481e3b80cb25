"""Labels mean nothing by themselves: of all orders of one mixture's components, the one that lies nearest to another mixture.

Components are matched one to one so that the sum of their Bhattacharyya distances is least,

    d(k, j) = ⅛ δᵀ Σ̄⁻¹ δ + ½ log(|Σ̄| / √(|Σ_k| |Σ_j|)),   δ = μ_k − μ_j,   Σ̄ = ½(Σ_k + Σ_j),

which no affine map of the data changes. Sources: Stephens (2000), "Dealing with label switching in mixture models"; the matching is the
assignment problem (Kuhn 1955).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.mixture import Mixture


def align(mixture: Mixture, reference: Mixture) -> Mixture:
    """The same mixture with its components in the order of the reference's.

    Parameters
    ----------
    mixture, reference : Mixture
        With equally many components, in the same space.

    Examples
    --------
    >>> import mixtura as mx
    >>> from mixtura.model.alignment import align
    >>> reference = mx.Mixture([0.3, 0.7], [[0.0], [5.0]], [1.0, 2.0], "spherical")
    >>> align(mx.Mixture([0.6, 0.4], [[5.5], [0.3]], [2.0, 1.5], "spherical"), reference).means.ravel().tolist()
    [0.3, 5.5]
    """
    if mixture.means.shape != reference.means.shape:
        raise InvalidParameterError(
            f"only mixtures of equal shape (K, D) can be aligned; got {mixture.means.shape} and {reference.means.shape}."
        )
    _, order = linear_sum_assignment(component_distances(reference, mixture))
    if (order == np.arange(len(order))).all():
        return mixture
    return mixture.reorder(order)


def component_distances(mixture: Mixture, other: Mixture) -> Array:
    """Bhattacharyya distance of each component of one mixture from each of another, ``(K, K′)``.

    Parameters
    ----------
    mixture, other : Mixture
    """
    offsets = mixture.means[:, None] - other.means
    if mixture.structure.diagonal and other.structure.diagonal:
        rows, columns = mixture.variances, other.variances
        between = 0.5 * (rows[:, None] + columns)
        squares = (offsets**2 / between).sum(axis=2)
        log_volumes = [np.log(variances).sum(axis=-1) for variances in (between, rows, columns)]
    else:
        rows, columns = mixture.covariance_matrices, other.covariance_matrices
        between = 0.5 * (rows[:, None] + columns)
        squares = (offsets * np.linalg.solve(between, offsets[..., None])[..., 0]).sum(axis=2)
        log_volumes = [np.linalg.slogdet(matrices)[1] for matrices in (between, rows, columns)]
    log_between, log_rows, log_columns = log_volumes
    return squares / 8 + 0.5 * (log_between - 0.5 * (log_rows[:, None] + log_columns))
