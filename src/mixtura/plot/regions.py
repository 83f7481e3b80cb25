"""Where the mass lies: ellipses, highest-density regions, and the windows and grids that show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.mixture import Mixture

SAMPLE_SIZE = 100_000
UNIFORM_POINTS = 200
FINEST, LARGEST = 1e-12, 1e300
"""Relative to its place, how broad a window must be; and how far out it may reach."""
LOCAL_OFFSETS = np.linspace(-1.0, 1.0, 41)
LOCAL_OFFSETS *= 6 * np.sqrt(np.abs(LOCAL_OFFSETS))
"""Places around a mean in standard deviations: out to six, some 0.3 of one apart, closer near the peak."""


def ellipse(mean: Array, covariance: Array, radius: float, n_points: int = 181) -> Array:
    """Points ``(n_points, 2)`` at ``radius`` standard deviations from the mean, in every direction.

    ``μ + radius · V diag(√λ) u`` for ``u`` on the unit circle and ``Σ = V diag(λ) Vᵀ``. The ellipse holds ``1 −
    exp(−radius²/2)`` of its component's mass: 39 % for one standard deviation, 86 % for two.

    Parameters
    ----------
    mean : (2,) array
    covariance : (2, 2) array
    radius : float
    n_points : int

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.plot.regions import ellipse
    >>> around = ellipse(np.array([1.0, 0.0]), np.array([[4.0, 0.0], [0.0, 9.0]]), 2.0)
    >>> np.round(around.max(axis=0), 2).tolist()
    [5.0, 6.0]
    """
    variances, axes = np.linalg.eigh(covariance)
    angles = np.linspace(0.0, 2 * np.pi, n_points)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(mean + radius * (circle * np.sqrt(variances)) @ axes.T)


def highest_density_levels(mixture: Mixture, mass: Sequence[float]) -> Array:
    """Log densities above which the mixture holds the given shares of its mass.

    The log density of a draw exceeds its own ``1 − p`` quantile with probability ``p``, so the levels are quantiles of
    the log density over 100,000 seeded draws; the share that a level then holds is right to about 0.2 percentage points
    (one standard error).

    Parameters
    ----------
    mixture : Mixture
    mass : (L,) sequence of float
        Between 0 and 1.

    Returns
    -------
    (L,) array

    Examples
    --------
    One normal in the plane: half of the mass lies within ``√(2 log 2)`` standard deviations.

    >>> from mixtura.model.mixture import Mixture
    >>> from mixtura.plot.regions import highest_density_levels
    >>> m = Mixture([1.0], [[0.0, 0.0]], [1.0], "spherical")
    >>> edge = m.log_pdf([[(2 * 0.6931472) ** 0.5, 0.0]])
    >>> bool(abs(highest_density_levels(m, [0.5]) - edge) < 0.02)
    True
    """
    if not mass or not all(0 < share < 1 for share in mass):
        raise InvalidParameterError(f"mass must be one or more shares between 0 and 1; got {mass!r}.")
    draws, _ = mixture.sample(SAMPLE_SIZE, random_state=0)
    return np.asarray(np.quantile(mixture.log_pdf(draws), 1 - np.asarray(mass)))


def standard_deviations(mixture: Mixture) -> Array:
    """Of each feature in each component, ``(K, D)``."""
    return np.sqrt(mixture.variances)


def window(mixture: Mixture, rows: Array | None, reach: float) -> Array:
    """Limits ``(D, 2)`` that show every row, and the components out to ``reach`` standard deviations.

    A component wider than the data may widen the window by half the range of the data on each side, not more.

    Raises
    ------
    InvalidParameterError
        If floating-point numbers between the limits are too few to draw anything.
    """
    alive = mixture.weights > 0
    means, spread = mixture.means[alive], reach * standard_deviations(mixture)[alive]
    with np.errstate(over="ignore"):
        low, high = (means - spread).min(axis=0), (means + spread).max(axis=0)
    if rows is not None:
        first, last = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
        slack = np.where(last > first, 0.5 * (last - first), np.inf)
        low = np.minimum(first, np.maximum(low, first - slack))
        high = np.maximum(last, np.minimum(high, last + slack))
    with np.errstate(over="ignore", invalid="ignore"):
        margin = 0.04 * (high - low)
        fine = margin > FINEST * np.maximum(np.abs(low), np.abs(high))
    for j in np.flatnonzero(~(fine & (np.maximum(np.abs(low), np.abs(high)) < LARGEST))):
        raise InvalidParameterError(
            f"the mixture cannot be drawn: feature {j} extends from {low[j]:.17g} to {high[j]:.17g}, which is "
            f"{'more than' if fine[j] else 'too little for'} floating-point numbers can show. Shift or scale it."
        )
    return np.stack([low - margin, high + margin], axis=1)


def grid_along(mixture: Mixture, feature: int, limits: Array) -> Array:
    """Places along one feature at which to evaluate a density, ``(G,)``: even, and dense where a component is narrow."""
    low, high = limits
    means, scales = mixture.means[:, feature, None], standard_deviations(mixture)[:, feature, None]
    local = (means + scales * LOCAL_OFFSETS).ravel()
    local = local[(local > low) & (local < high)]
    return np.unique(np.concatenate([np.linspace(low, high, UNIFORM_POINTS), local]))


def histogram_edges(values: Array) -> Array:
    """Edges of 10 to 60 bins, two thirds as wide as by Freedman and Diaconis's rule, which smooths small groups away."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 4 / 3 * float(quartiles[1] - quartiles[0]) * len(values) ** (-1 / 3)
    n_bins = int(np.clip(np.ceil((high - low) / width), 10, 60)) if width > 0 else 10
    return np.linspace(low, high, n_bins + 1)
