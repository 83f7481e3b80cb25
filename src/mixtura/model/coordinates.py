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

LEAST_SHARE = 1e-9
"""Of the largest count: with less, a component is scaled as if it had so much, so that no coordinate runs away."""


class Place(NamedTuple):
    """What a vector, or each of a stack of vectors, stands for, taken apart once for all that is asked of it.

    Attributes
    ----------
    vector : (..., size) array
    weights, means : (..., K) and (..., K, D) arrays
    relative, roots, factors : arrays
        Of each covariance block: ``T``, ``L = L⁰ T`` and ``R = L⁻ᵀ``.
    """

    vector: Array
    weights: Array
    means: Array
    relative: Array
    roots: Array
    factors: Array


class Frame(NamedTuple):
    """All that reduced vectors are turned into mixtures by, and their Jacobian is computed from.

    Attributes
    ----------
    log_weights, scale : (K,) arrays
        Of the reference, and ``√n``.
    means : (K, D) array
    roots : array
        ``L⁰`` of each covariance block.
    block_scale : (G, q) array
        ``√(n i)``.
    basis : (K, K−1) array
        Directions of the coordinates of log weights.
    log_jacobian_slope : (G, q) array
        By the coordinates of blocks.
    log_jacobian_constant : float
    """

    log_weights: Array
    scale: Array
    means: Array
    roots: Array
    block_scale: Array
    basis: Array
    log_jacobian_slope: Array
    log_jacobian_constant: float


class Coordinates:
    """The vectors about one reference.

    Where a method takes a vector, it takes its ``Place`` too; where it says ``(..., size)``, many at once.

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
        counts = np.maximum(counts, LEAST_SHARE * counts.max())
        self._scale = np.sqrt(counts)
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

    @property
    def frame(self) -> Frame:
        """What defines the reduced vectors."""
        return Frame(
            self._log_weights,
            self._scale,
            self.reference.means,
            self._roots,
            self._block_scale,
            self._basis,
            self._log_jacobian_slope[self._ends[1] :].reshape(self._block_scale.shape),
            self._log_jacobian_constant,
        )

    @cached_property
    def gauge(self) -> Array:
        """The direction, of length one, that changes nothing: all log weights grow together."""
        gauge = np.zeros(self.size)
        gauge[: self._ends[0]] = self._scale
        return gauge / np.linalg.norm(gauge)

    # ---- there and back --------------------------------------------------------------------------------------------------------

    def mixture(self, u: Array | Place) -> Mixture:
        """The mixture of a vector."""
        place = self._at(u)
        covariances = self.structure.as_natural(self.structure.block_from_roots(place.roots))
        factor = self.structure.as_natural(place.factors)
        read_only(place.weights, place.means, covariances, factor)
        return Mixture.from_factor(place.weights, place.means, covariances, self.structure, factor, self.scorer(place))

    def scorer(self, u: Array | Place) -> Scorer:
        """Of the components at a vector ``(..., size)``: those of many, one mixture's after another's."""
        place = self._at(u)
        return Scorer.of(
            place.weights.reshape(-1), place.means.reshape(-1, self._shape[1]), self.whitening(place.factors)
        )

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
        """A vector ``(..., size)`` taken apart."""
        leading, (first, second) = u.shape[:-1], self._ends
        logits = self._log_weights + u[..., :first] / self._scale
        weights = np.exp(logits - logits.real.max(axis=-1, keepdims=True))
        weights = weights / weights.sum(axis=-1, keepdims=True)
        offsets = u[..., first:second].reshape(*leading, *self._shape) / self._scale[:, None]
        means = self.reference.means + self.structure.apply_roots(self._roots, offsets)
        t = u[..., second:].reshape(*leading, *self._block_scale.shape) / self._block_scale
        relative = self.structure.relative_roots(t, self._shape[1])
        roots = self.structure.composed_roots(self._roots, relative)
        return Place(u, weights, means, relative, roots, self.structure.factor_from_roots(roots))

    def _at(self, u: Array | Place) -> Place:
        return u if isinstance(u, Place) else self.place(u)

    def whitening(self, factors: Array) -> Array:
        """Precision factors of blocks, of one mixture or of a stack, as those of the components, one after another."""
        n_components, n_features = self._shape
        whitening = self.structure.block_whitening(factors, n_features)
        whitening = whitening.reshape(-1, *((n_features,) if self.structure.diagonal else (n_features, n_features)))
        return np.repeat(whitening, n_components, axis=0) if self.structure.shared else whitening

    # ---- without the direction that changes nothing ----------------------------------------------------------------------------

    @cached_property
    def _basis(self) -> Array:
        """Orthonormal directions of the log weights, ``(K, K−1)``, that are orthogonal to the one in which all of them grow."""
        return np.linalg.qr(self._scale[:, None], mode="complete")[0][:, 1:]

    def reduced(self, u: Array) -> Array:
        """A vector, or a gradient, ``(..., size)``, in the ``size − 1`` coordinates that matter."""
        return np.concatenate([u[..., : self._ends[0]] @ self._basis, u[..., self._ends[0] :]], axis=-1)

    def expanded(self, reduced: Array) -> Array:
        """The vector with ``Σ √n_k uᵃ_k = 0`` of a reduced one."""
        n_free = self._ends[0] - 1
        return np.concatenate([reduced[..., :n_free] @ self._basis.T, reduced[..., n_free:]], axis=-1)

    def log_jacobian(self, u: Array | Place) -> Array:
        """``log |∂(π₁ … π_{K−1}, μ, Σ)/∂u|`` at a vector ``(..., size)``, for reduced ``u`` and the free entries of the covariance blocks.

        With ``B`` the basis and ``y`` the coordinates of the weights, ``|∂(π₁ … π_{K−1})/∂y| = |det [diag(1/√n) B, 1]| Π_k π_k``; the
        means move linearly, and the structure knows its blocks.
        """
        place = self._at(u)
        with np.errstate(divide="ignore"):  # a weight too small for a number: minus infinity
            on_weights = np.log(place.weights).sum(axis=-1)
        return on_weights + place.vector @ self._log_jacobian_slope + self._log_jacobian_constant

    @cached_property
    def _log_jacobian_slope(self) -> Array:
        """Gradient of the log-Jacobian without that of ``Σ log π_k``: it is affine in the coordinates of the blocks."""
        by_blocks = self.structure.block_log_jacobian_slope(self._shape[1]) / self._block_scale
        return np.concatenate([np.zeros(self._ends[1]), by_blocks.ravel()])

    @cached_property
    def _log_jacobian_constant(self) -> float:
        """The log-Jacobian at the reference without ``Σ log π_k``."""
        log_scales, n_features = np.log(self._scale).sum(), self._shape[1]
        whitening = self.whitening(self.structure.factor_from_roots(self._roots))
        diagonals = whitening if whitening.ndim == 2 else np.diagonal(whitening, axis1=-2, axis2=-1)
        on_weights = np.log(np.linalg.norm(self._scale)) - log_scales
        on_means = -np.log(diagonals).sum() - n_features * log_scales
        on_blocks = self.structure.block_log_jacobians(self._roots).sum() - np.log(self._block_scale).sum()
        return float(on_weights + on_means + on_blocks)

    # ---- derivatives -----------------------------------------------------------------------------------------------------------

    def gradient(self, u: Array | Place, moments: Moments) -> Array:
        """Gradient of the log-likelihood at ``u`` from the moments of a sweep there, whatever their origin."""
        return self._joined(*self._likelihood_slopes(self._at(u), moments))

    def pull_back(self, u: Array | Place, natural: tuple[Array, Array, Array]) -> Array:
        """Gradient at ``u`` of a function with these derivatives by weights, means and covariances (natural array)."""
        by_weights, by_means, by_covariances = natural
        place = self._at(u)
        blocks = self.structure.as_blocks(np.asarray(by_covariances, dtype=float))
        return self.pull_back_blocks(place, place.weights * by_weights, by_means, blocks)

    def pull_back_blocks(self, place: Place, by_log_weights: Array, by_means: Array, by_blocks: Array) -> Array:
        """Gradients, ``(..., size)``, of a function with these derivatives.

        Parameters
        ----------
        place : Place
        by_log_weights, by_means : (..., K) and (..., K, D) arrays
            By logs of weights that are normalised afterwards, and by means.
        by_blocks : (..., G, D, D), (..., G, D) or (..., G) array
            By the entries of the covariance blocks, as if all of them were free.
        """
        totals = by_log_weights.sum(axis=-1, keepdims=True)
        by_t = self.structure.pull_back_blocks(by_blocks, place.roots, self._roots, place.relative)
        return self._joined(by_log_weights - place.weights * totals, by_means, by_t)

    def log_jacobian_gradient(self, place: Place) -> Array:
        """Gradient, ``(..., size)``, of the log-Jacobian."""
        gradient = np.broadcast_to(self._log_jacobian_slope, place.vector.shape).copy()
        gradient[..., : self._ends[0]] += (1 - self._shape[0] * place.weights) / self._scale
        return gradient

    def _likelihood_slopes(self, place: Place, moments: Moments) -> tuple[Array, Array, Array]:
        """Derivatives of the log-likelihood by log weights, means and the coordinates ``t`` of the blocks."""
        _, weights, means, relative, _, factors = place
        about = moments.about(means.reshape(-1, self._shape[1]))
        by_means = precision_times(self.whitening(factors), about.first).reshape(means.shape)
        counts = about.count.reshape(weights.shape)
        second = about.second.reshape(*weights.shape, *about.second.shape[1:])
        totals = counts.sum(axis=-1, keepdims=True)
        if self.structure.shared:
            second = second.sum(axis=weights.ndim - 1, keepdims=True)
        by_t = self.structure.pull_back(second, totals if self.structure.shared else counts, factors, relative)
        return counts - totals * weights, by_means, by_t

    def _joined(self, by_logits: Array, by_means: Array, by_t: Array) -> Array:
        """A gradient by vectors from those by log weights, means and the coordinates of the blocks."""
        leading = by_logits.shape[:-1]
        by_offsets = self.structure.apply_roots_transposed(self._roots, by_means)
        parts = by_logits / self._scale, by_offsets / self._scale[:, None], by_t / self._block_scale
        return np.concatenate([part.reshape(*leading, -1) for part in parts], axis=-1)

    def tangent(self, u: Array, v: Array) -> Scorer:
        """Derivative of the scorer at ``u`` in the direction ``v``: the constants, centres and whitening factors of a scorer."""
        with np.errstate(under="ignore"):  # of the step's square, as it should be
            moved_to = self.place(u + 1j * COMPLEX_STEP * v)
            moved = Scorer.of(moved_to.weights, moved_to.means, self.whitening(moved_to.factors))
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
        with np.errstate(under="ignore"):
            return self.gradient(u + step * v, moved).imag / COMPLEX_STEP


def precision_times(whitening: Array, vectors: Array) -> Array:
    """``R Rᵀ v`` for each component."""
    if whitening.ndim == 2:
        return whitening**2 * vectors
    return np.einsum("kij,klj,kl->ki", whitening, whitening, vectors)
