"""Moments of rows before they were rounded, drawn given those after.

A row is seen as ``y = x + e`` with ``e ~ N(0, R)``, and ``x ~ N(μ, Σ)`` in its component. Given ``y``,

    x − μ = A (y − μ) + L z,   A = I − R (Σ + R)⁻¹,   L Lᵀ = (Σ⁻¹ + R⁻¹)⁻¹,   z ~ N(0, I).

A Gibbs sampler asks for the count and the first and second moments of ``x`` alone, and their law follows from those of ``y``: no row is
visited again. With ``u = y − μ`` the rows of ``U`` and ``z`` those of ``Z``, what is missing are ``1ᵀ Z``, ``Uᵀ Z`` and ``Zᵀ Z``. In the
space of ``n`` rows take the first axis along the vector of ones, and the next ``r = min(n − 1, D)`` such that they span what the columns of
``U`` have beside it. On other axes normal numbers are normal numbers: ``g`` on the first, ``G`` on the next, so

    1ᵀ Z = √n gᵀ,   Uᵀ Z = (Uᵀ 1/√n) gᵀ + C G,   Zᵀ Z = g gᵀ + Gᵀ G + W,   W ~ Wishart(I, n − 1 − r),

where ``C Cᵀ`` is the scatter of ``U`` about its mean. Independent features are matrices of one feature each.
"""

from __future__ import annotations

import numpy as np

from mixtura.ground.linalg import Array, outer, precision_factors, raise_eigenvalues
from mixtura.model.laws.components import Components
from mixtura.model.moments import Moments

LEAST = 1e-3
"""Of what rounding adds to a variance: a chain starts with no variance smaller than that."""


def before_rounding(blocks: Array, rounding: Array | None) -> Array:
    """Covariance blocks without what rounding added to them; somewhat more where that would leave nothing."""
    if rounding is None:
        return blocks
    left, least = blocks - rounding, LEAST * rounding
    if blocks.ndim == 3:
        return raise_eigenvalues(left, np.diagonal(least[0]))
    return np.maximum(left, least)


def draw_unrounded(moments: Moments, components: Components, rng: np.random.Generator) -> Moments:
    """Moments of unrounded rows about the means of their components.

    Parameters
    ----------
    moments : Moments
        Of the rows as they are seen, each of which belongs to one component.
    components : Components
    rng : numpy Generator
    """
    seen = moments.about(components.means)
    if components.rounding is None:
        return seen
    draw = _of_features if seen.diagonal else _of_matrices
    return draw(seen, components, components.rounding, rng)


def _of_features(seen: Moments, components: Components, rounding: Array, rng: np.random.Generator) -> Moments:
    """Of each feature on its own."""
    shape, structure = seen.first.shape, components.structure
    variances = structure.block_variances(structure.block_from_roots(components.roots), shape[1])
    added = structure.block_variances(rounding, shape[1])
    kept = variances / (variances + added)
    root = np.sqrt(kept * added)
    count = seen.count[:, None]
    along, across = rng.standard_normal((2, *shape))
    across = np.where(count > 1, across, 0.0)
    rest = 2 * rng.standard_gamma(np.broadcast_to(np.maximum(count - 2, 0.0) / 2, shape))
    sums = np.sqrt(count) * along
    roots = np.sqrt(np.maximum(count, 1.0))
    products = seen.first / roots * along + np.sqrt(seen.scatter()) * across
    squares = along**2 + across**2 + rest
    first = kept * seen.first + root * sums
    second = kept**2 * seen.second + 2 * kept * root * products + root**2 * np.where(count > 0, squares, 0.0)
    return Moments(seen.count, first, second, seen.origin)


def _of_matrices(seen: Moments, components: Components, rounding: Array, rng: np.random.Generator) -> Moments:
    """Of all features together."""
    structure, n_features = components.structure, seen.first.shape[1]
    resolution = np.sqrt(np.diagonal(rounding[0]))
    inner = structure.block_precisions(components.factors) * outer(resolution) + np.eye(n_features)
    root = resolution[:, None] * precision_factors(np.linalg.cholesky(inner))
    lost = resolution[:, None] ** 2 * structure.block_precisions(components.rounded_factors)
    kept = np.eye(n_features) - lost
    sums, products, squares = _normal_products(seen, rng)
    turned = root.swapaxes(1, 2)
    cross = kept @ products @ turned
    first = np.matmul(kept, seen.first[:, :, None]) + np.matmul(root, sums[:, :, None])
    second = kept @ seen.second @ kept.swapaxes(1, 2) + cross + cross.swapaxes(1, 2) + root @ squares @ turned
    return Moments(seen.count, first[:, :, 0], second, seen.origin)


def _normal_products(seen: Moments, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """``Zᵀ 1``, ``Uᵀ Z`` and ``Zᵀ Z`` for a standard normal ``Z`` with a row for each row."""
    shape = seen.second.shape
    count, places = seen.count[:, None], np.arange(shape[1])
    along = np.where(count > 0, rng.standard_normal(seen.first.shape), 0.0)
    # As many axes as the scatter has, the largest first; W by Bartlett's decomposition, in which as many columns are left.
    across = rng.standard_normal(shape) * (places < count - 1)[:, :, None]
    left = np.maximum(count - 1 - shape[1], 0.0) - places
    bartlett = np.tril(rng.standard_normal(shape), -1) * (left > 0)[:, None, :]
    bartlett[:, places, places] = np.sqrt(2 * rng.standard_gamma(np.maximum(left, 0.0) / 2))
    units = np.sqrt(np.maximum(np.diagonal(seen.second, axis1=1, axis2=2), np.finfo(np.float64).tiny))
    scatter = seen.scatter()
    # Where rows share a value, rounding may leave covariances that the variance of zero does not allow, whatever the others.
    allowed = outer(np.sqrt(np.diagonal(scatter, axis1=1, axis2=2)))
    values, vectors = np.linalg.eigh(np.clip(scatter, -allowed, allowed) / outer(units))
    roots = units[:, :, None] * vectors[:, :, ::-1] * np.sqrt(np.maximum(values[:, None, ::-1], 0.0))
    means = seen.first / np.sqrt(np.maximum(count, 1.0))
    products = outer(means, along) + roots @ across
    squares = outer(along) + across.swapaxes(1, 2) @ across + bartlett @ bartlett.swapaxes(1, 2)
    return np.sqrt(count) * along, products, squares
