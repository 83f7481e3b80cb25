"""A mixture as an unconstrained vector, in units in which expectation–maximisation is a gradient step of length one.

About a reference mixture with effective counts ``n_k``, a vector ``u`` stands for

    log π_k = log π⁰_k + uᵃ_k/√n_k + constant,   μ_k = μ⁰_k + L⁰_k uᵐ_k/√n_k,   L_k = L⁰_k T(t_k),   t = uᶜ/√(n_k i)

with ``L`` the root of a covariance block, ``T`` its structure's relative root and ``i`` the information per observation of each
coordinate. At ``u = 0`` the complete-data information is the identity, apart from the direction in which all ``uᵃ`` grow together,
which changes nothing. So steps do not depend on the units of the data. Source: Lange (1995), "A quasi-Newton acceleration of the EM
algorithm", for the complete-data information as metric.

Gradients need no more of the data than the moments of a sweep (Fisher's identity). Derivatives of gradients are taken by a complex step,
which is exact to rounding because every formula here is analytic: Squire and Trapp (1998).
"""

from __future__ import annotations

import numpy as np

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import COMPLEX_STEP, Array, read_only
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer


class Coordinates:
    """The vectors about one reference.

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

    def mixture(self, u: Array) -> Mixture:
        """The mixture of a vector."""
        weights, means, _, roots = self._parts(u)
        factors = self.structure.factor_from_roots(roots)
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

    def _parts(self, u: Array) -> tuple[Array, Array, Array, Array]:
        """Weights, means, relative and composed roots."""
        (n_components, n_features), (first, second) = self._shape, self._ends
        logits = self._log_weights + u[:first] / self._scale
        weights = np.exp(logits - logits.real.max())
        weights = weights / weights.sum()
        offsets = u[first:second].reshape(n_components, n_features) / self._scale[:, None]
        means = self.reference.means + self.structure.apply_roots(self._roots, offsets)
        relative = self.structure.relative_roots(
            u[second:].reshape(self._block_scale.shape) / self._block_scale, n_features
        )
        return weights, means, relative, self.structure.composed_roots(self._roots, relative)

    def _whitening(self, factors: Array) -> Array:
        n_components, n_features = self._shape
        whitening = self.structure.block_whitening(factors, n_features)
        return np.repeat(whitening, n_components, axis=0) if self.structure.shared else whitening

    # ---- derivatives -----------------------------------------------------------------------------------------------------------

    def gradient(self, u: Array, moments: Moments) -> Array:
        """Gradient of the log-likelihood at ``u`` from the moments of a sweep there, whatever their origin."""
        weights, means, relative, roots = self._parts(u)
        factors = self.structure.factor_from_roots(roots)
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

    def pull_back(self, u: Array, natural: tuple[Array, Array, Array]) -> Array:
        """Gradient at ``u`` of a function with these derivatives by weights, means and covariances (natural array)."""
        by_weights, by_means, by_covariances = natural
        weights, _, relative, roots = self._parts(u)
        on_logits = weights * (by_weights - weights @ by_weights) / self._scale
        on_means = self.structure.apply_roots_transposed(self._roots, by_means) / self._scale[:, None]
        blocks = self.structure.as_blocks(np.asarray(by_covariances, dtype=float))
        on_blocks = self.structure.pull_back_blocks(blocks, roots, self._roots, relative) / self._block_scale
        return np.concatenate([on_logits, on_means.ravel(), on_blocks.ravel()])

    def tangent(self, u: Array, v: Array) -> Scorer:
        """Derivative of the scorer at ``u`` in the direction ``v``: the constants, centres and whitening factors of a scorer."""
        weights, means, _, roots = self._parts(u + 1j * COMPLEX_STEP * v)
        moved = Scorer.of(weights, means, self._whitening(self.structure.factor_from_roots(roots)))
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
