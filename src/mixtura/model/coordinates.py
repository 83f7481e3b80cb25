"""A mixture as an unconstrained vector, in units in which expectation–maximisation is a gradient step of length one.

About a reference mixture with effective counts ``n_k``, a vector ``u`` stands for

    log π_k = log π⁰_k + uᵃ_k/√n_k + constant,   μ_k = μ⁰_k + L⁰_k uᵐ_k/√n_k,   L_k = L⁰_k T(t_k),   t = uᶜ/√(n_k i)

with ``L`` the root of a covariance block, ``T`` its structure's relative root and ``i`` the information per observation of each
coordinate. At ``u = 0`` the complete-data information is the identity, apart from the direction in which all ``uᵃ`` grow together,
which changes nothing. So steps do not depend on the units of the data. Source: Lange (1995), "A quasi-Newton acceleration of the EM
algorithm", for the complete-data information as metric.

A sampler wants no direction that changes nothing: ``reduced`` vectors have one coordinate fewer, along an orthonormal basis of all others,
and a density of the parameters becomes one of them by the Jacobian.

Gradients need no more of the data than the moments of a sweep (Fisher's identity). Derivatives of gradients are taken by a complex step,
which is exact to rounding because every formula here is analytic: Squire and Trapp (1998).
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import COMPLEX_STEP, Array, read_only
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer


class Place(NamedTuple):
    """What a vector stands for, taken apart once for all that is asked of it.

    Attributes
    ----------
    vector : (size,) array
    weights, means : (K,) and (K, D) arrays
    relative, roots, factors : arrays
        Of each covariance block: ``T``, ``L = L⁰ T`` and ``R = L⁻ᵀ``.
    """

    vector: Array
    weights: Array
    means: Array
    relative: Array
    roots: Array
    factors: Array


class Coordinates:
    """The vectors about one reference.

    Where a method takes a vector, it takes its ``Place`` too.

    Parameters
    ----------
    reference : Mixture
        With a smooth structure, which the six classical ones are.
    counts : (K,) array
        Effective counts; the scale of each component's coordinates.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.model.coordinates import Coordinates
    >>> m = mx.Mixture([0.25, 0.75], [[0.0], [3.0]], [1.0, 4.0], "spherical")
    >>> about = Coordinates(m, 100 * m.weights)
    >>> other = mx.Mixture([0.5, 0.5], [[1.0], [2.0]], [2.0, 3.0], "spherical")
    >>> u = about.vector(other)
    >>> u.shape
    (6,)
    >>> np.allclose(about.mixture(u).means, other.means)
    True
    """

    def __init__(self, reference: Mixture, counts: Array) -> None:
        structure = reference.structure
        if not isinstance(structure, SharedBlocks):
            raise InvalidParameterError(
                f"covariance_type {structure.name!r} has no smooth coordinates; use solver='em'."
            )
        self.reference, self.structure = reference, structure
        self._shape = n_components, n_features = reference.means.shape
        self._scale = np.sqrt(np.maximum(counts, np.finfo(float).tiny))
        self._roots = structure.block_roots(structure.as_blocks(reference.covariances))
        masses = counts.sum(keepdims=True) if structure.shared else counts
        self._block_scale = np.sqrt(np.multiply.outer(masses, structure.block_information(n_features)))
        self._log_weights = np.log(reference.weights)
        self._ends = (n_components, n_components * (1 + n_features))
        self.size = self._ends[1] + self._block_scale.size

    @property
    def unit(self) -> Array:
        """Size of each coordinate that moves a log weight, a mean in units of its spread, or a log spread by one."""
        n_features = self._shape[1]
        return np.concatenate([self._scale, np.repeat(self._scale, n_features), self._block_scale.ravel()])

    # ---- there and back --------------------------------------------------------------------------------------------------------

    def mixture(self, u: Array | Place) -> Mixture:
        """The mixture of a vector."""
        _, weights, means, _, roots, factors = self._at(u)
        covariances = self.structure.as_natural(self.structure.block_from_roots(roots))
        factor = self.structure.as_natural(factors)
        read_only(weights, means, covariances, factor)
        scorer = Scorer.of(weights, means, self._whitening(factors))
        return Mixture.from_factor(weights, means, covariances, self.structure, factor, scorer)

    def vector(self, mixture: Mixture) -> Array:
        """The vector of a mixture of the same structure, with ``Σ √n_k uᵃ_k = 0``."""
        log_ratios = np.log(mixture.weights) - self._log_weights
        mass = self._scale**2
        logits = (log_ratios - (mass @ log_ratios) / mass.sum()) * self._scale
        offsets = self.structure.whiten_by_roots(self._roots, mixture.means - self.reference.means)
        blocks = self.structure.as_blocks(mixture.covariances)
        t = self.structure.relative_coordinates(self._roots, self.structure.block_roots(blocks))
        return np.concatenate([logits, (offsets * self._scale[:, None]).ravel(), (t * self._block_scale).ravel()])

    def place(self, u: Array) -> Place:
        """A vector taken apart."""
        (n_components, n_features), (first, second) = self._shape, self._ends
        logits = self._log_weights + u[:first] / self._scale
        weights = np.exp(logits - logits.real.max())
        weights = weights / weights.sum()
        offsets = u[first:second].reshape(n_components, n_features) / self._scale[:, None]
        means = self.reference.means + self.structure.apply_roots(self._roots, offsets)
        relative = self.structure.relative_roots(
            u[second:].reshape(self._block_scale.shape) / self._block_scale, n_features
        )
        roots = self.structure.composed_roots(self._roots, relative)
        return Place(u, weights, means, relative, roots, self.structure.factor_from_roots(roots))

    def _at(self, u: Array | Place) -> Place:
        return u if isinstance(u, Place) else self.place(u)

    def _whitening(self, factors: Array) -> Array:
        n_components, n_features = self._shape
        whitening = self.structure.block_whitening(factors, n_features)
        return np.repeat(whitening, n_components, axis=0) if self.structure.shared else whitening

    # ---- without the direction that changes nothing ----------------------------------------------------------------------------

    @cached_property
    def _basis(self) -> Array:
        """Orthonormal directions of the log weights, ``(K, K−1)``, that are orthogonal to the one in which all of them grow."""
        return np.linalg.qr(self._scale[:, None], mode="complete")[0][:, 1:]

    def reduced(self, u: Array) -> Array:
        """A vector, or a gradient, in the ``size − 1`` coordinates that matter."""
        return np.concatenate([u[: self._ends[0]] @ self._basis, u[self._ends[0] :]])

    def expanded(self, reduced: Array) -> Array:
        """The vector with ``Σ √n_k uᵃ_k = 0`` of a reduced one."""
        n_free = self._ends[0] - 1
        return np.concatenate([self._basis @ reduced[:n_free], reduced[n_free:]])

    def log_jacobian(self, u: Array | Place) -> float:
        """``log |∂(π₁ … π_{K−1}, μ, Σ)/∂u|`` at a vector, for reduced ``u`` and the free entries of the covariance blocks.

        With ``B`` the basis and ``y`` the coordinates of the weights, ``|∂(π₁ … π_{K−1})/∂y| = |det [diag(1/√n) B, 1]| Π_k π_k``; the
        means move linearly, and the structure knows its blocks.
        """
        place = self._at(u)
        with np.errstate(divide="ignore"):  # a weight too small for a number: minus infinity
            on_weights = np.log(place.weights).sum()
        return float(on_weights + self._log_jacobian_slope @ place.vector + self._log_jacobian_constant)

    def log_jacobian_gradient(self, u: Array | Place) -> Array:
        """Gradient of the log-Jacobian."""
        gradient = self._log_jacobian_slope.copy()
        gradient[: self._ends[0]] = (1 - self._ends[0] * self._at(u).weights) / self._scale
        return gradient

    @cached_property
    def _log_jacobian_slope(self) -> Array:
        """Gradient of the log-Jacobian without ``Σ log π_k``: it is affine in the coordinates of the blocks."""
        by_blocks = self.structure.block_log_jacobian_slope(self._shape[1]) / self._block_scale
        return np.concatenate([np.zeros(self._ends[1]), by_blocks.ravel()])

    @cached_property
    def _log_jacobian_constant(self) -> float:
        """The log-Jacobian at the reference without ``Σ log π_k``."""
        log_scales, n_features = np.log(self._scale).sum(), self._shape[1]
        whitening = self._whitening(self.structure.factor_from_roots(self._roots))
        diagonals = whitening if whitening.ndim == 2 else np.diagonal(whitening, axis1=-2, axis2=-1)
        on_weights = np.log(np.linalg.norm(self._scale)) - log_scales
        on_means = -np.log(diagonals).sum() - n_features * log_scales
        on_blocks = self.structure.block_log_jacobians(self._roots).sum() - np.log(self._block_scale).sum()
        return float(on_weights + on_means + on_blocks)

    # ---- derivatives -----------------------------------------------------------------------------------------------------------

    def gradient(self, u: Array | Place, moments: Moments) -> Array:
        """Gradient of the log-likelihood at ``u`` from the moments of a sweep there, whatever their origin."""
        _, weights, means, relative, _, factors = self._at(u)
        about = moments.about(means)
        counts, first, second = about.count, about.first, about.second
        on_means = self.structure.apply_roots_transposed(self._roots, _precision_times(self._whitening(factors), first))
        if self.structure.shared:
            second, block_counts = second.sum(axis=0, keepdims=True), counts.sum(keepdims=True)
        else:
            block_counts = counts
        on_blocks = self.structure.pull_back(second, block_counts, factors, relative) / self._block_scale
        on_logits = (counts - counts.sum() * weights) / self._scale
        return np.concatenate([on_logits, (on_means / self._scale[:, None]).ravel(), on_blocks.ravel()])

    def pull_back(self, u: Array | Place, natural: tuple[Array, Array, Array]) -> Array:
        """Gradient at ``u`` of a function with these derivatives by weights, means and covariances (natural array)."""
        by_weights, by_means, by_covariances = natural
        _, weights, _, relative, roots, _ = self._at(u)
        on_logits = weights * (by_weights - weights @ by_weights) / self._scale
        on_means = self.structure.apply_roots_transposed(self._roots, by_means) / self._scale[:, None]
        blocks = self.structure.as_blocks(np.asarray(by_covariances, dtype=float))
        on_blocks = self.structure.pull_back_blocks(blocks, roots, self._roots, relative) / self._block_scale
        return np.concatenate([on_logits, on_means.ravel(), on_blocks.ravel()])

    def tangent(self, u: Array, v: Array) -> Scorer:
        """Derivative of the scorer at ``u`` in the direction ``v``: the constants, centres and whitening factors of a scorer."""
        moved_to = self.place(u + 1j * COMPLEX_STEP * v)
        moved = Scorer.of(moved_to.weights, moved_to.means, self._whitening(moved_to.factors))
        return Scorer(*(part.imag / COMPLEX_STEP for part in (moved.constants, moved.centres, moved.whitening)))

    def hessian_times(self, u: Array, v: Array, moments: Moments, change: Moments) -> Array:
        """``H v`` from the moments at ``u`` and their derivative in the direction ``v``, about the same origin (a tangent sweep)."""
        change, step = change.about(moments.origin), 1j * COMPLEX_STEP
        moved = Moments(
            moments.count + step * change.count,
            moments.first + step * change.first,
            moments.second + step * change.second,
            moments.origin,
        )
        return self.gradient(u + step * v, moved).imag / COMPLEX_STEP


def _precision_times(whitening: Array, vectors: Array) -> Array:
    """``R Rᵀ v`` for each component."""
    if whitening.ndim == 2:
        return whitening**2 * vectors
    return np.einsum("kij,klj,kl->ki", whitening, whitening, vectors)
