"""The log-likelihood of a mixture as a JAX function whose value and gradient come from one sweep.

JAX sees a function of the parameters with a derivative of its own (``custom_vjp``). The sweep, called back on the host, brings the value
and the moments, from which the gradient follows (Fisher's identity):

    ∂ℓ/∂π_k = n_k / π_k,   ∂ℓ/∂μ_k = R_k R_kᵀ s_k,   ∂ℓ/∂L_k = lower triangle of R_k (R_kᵀ S_k R_k − n_k I)   with R = L⁻ᵀ

Why not a scorer written in JAX: on a CPU the same formula under ``jax.jit``, differentiated by JAX, was several times slower from about ten
thousand rows on, and its tape holds ``N·K·D`` numbers where the sweep holds a block. On a few hundred rows JAX needs less time for each
call, as a callback costs some tenths of a millisecond, but loses about as much again to compilation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError, missing_extra
from mixtura.ground.linalg import Array, precision_factors
from mixtura.model.covariance import CovarianceStructure, covariance_structure
from mixtura.model.covariance.structure import SharedBlocks, check_natural_shape
from mixtura.model.rows import carrying_rows
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sweep

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise missing_extra("JAX functions", "numpyro") from error

LogLikelihood = Callable[[Any, Any, Any], Any]


def log_likelihood(
    X: ArrayLike, covariance_type: str | CovarianceStructure = "full", sample_weight: ArrayLike | None = None
) -> LogLikelihood:
    r"""The log-likelihood of these rows as a function of the parameters that JAX can compile, differentiate once and batch.

    .. math:: \ell(\pi, \mu, L) = \sum_n w_n \log \sum_k \pi_k \, N(x_n; \mu_k, L_k L_k^\top)

    A value with its gradient costs one sweep. Under ``jax.vmap`` all members of the batch share one, as a stack of mixtures.

    Parameters
    ----------
    X : (N, D) array-like
        Kept as NumPy holds it; float32 rows are swept in float32.
    covariance_type : {"full", "tied", "diag", "tied_diag", "spherical", "tied_spherical"} or code, or a structure, default="full"
    sample_weight : (N,) array-like, optional

    Returns
    -------
    function of (weights, means, roots)
        ``weights`` are ``(K,)``, ``means`` ``(K, D)``, and ``roots`` have the shape of the structure's covariances: lower Cholesky factors
        (NumPyro's ``scale_tril``; what stands above the diagonal is not read) for ``"full"`` and ``"tied"``, standard deviations for
        the others. The scalar has the precision of the parameters: with JAX's default of float32 about seven digits of ``ℓ``.

    Raises
    ------
    DataError
        If the rows or their weights are not finite numbers of the right shape.

    Notes
    -----
    Where the parameters are no mixture (a standard deviation of zero, an infinite mean), or the density of a row underflows, the value is
    minus infinity and the gradient zero, so that a sampler rejects the point. A component of weight zero has a gradient of zero.
    There are no second derivatives and no forward mode. The function must not be sent to another process: it holds the data.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.bridges.jax import log_likelihood
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> weights, means, deviations = np.array([0.4, 0.6]), np.array([[0.5], [11.0]]), np.array([0.5, 0.8])
    >>> with jax.enable_x64(True):
    ...     value, slope = jax.value_and_grad(log_likelihood(X, "spherical"), argnums=1)(weights, means, deviations)
    >>> m = mx.Mixture(weights, means, deviations**2, "spherical")
    >>> bool(np.isclose(value, m.log_likelihood(X), rtol=1e-12))
    True
    >>> np.allclose(slope[1], (X[2:] - 11.0).sum() / 0.8**2)
    True
    """
    structure = smooth_structure(covariance_type)
    visit = _Visit(as_source(X, sample_weight), structure.diagonal)

    @jax.custom_vjp
    def at(vector: Any) -> Any:
        return visit(vector)[0]

    def forward(vector: Any) -> tuple[Any, Any]:
        answer = visit(vector)
        return answer[0], answer[1:]

    def backward(gradient: Any, cotangent: Any) -> tuple[Any]:
        return (cotangent * gradient,)

    at.defvjp(forward, backward)

    def log_likelihood(weights: Any, means: Any, roots: Any) -> Any:
        return at(_vector(structure, *map(jnp.asarray, (weights, means, roots))))

    return log_likelihood


def smooth_structure(covariance_type: str | CovarianceStructure) -> SharedBlocks:
    """The structure, if it has roots by which to differentiate."""
    structure = covariance_structure(covariance_type)
    if not isinstance(structure, SharedBlocks):
        raise InvalidParameterError(f"covariance_type {structure.name!r} has no smooth roots, so no gradient by them.")
    return structure


def as_source(X: ArrayLike, sample_weight: ArrayLike | None) -> ArraySource:
    """The rows that carry weight, checked."""
    source = ArraySource(*carrying_rows(X, sample_weight))
    source.check_squares_representable()
    return source


def _vector(structure: SharedBlocks, weights: Any, means: Any, roots: Any) -> Any:
    """One row ``π_k, μ_k, L_k`` for each component, all rows in one vector; JAX differentiates through this."""
    if means.ndim != 2 or weights.shape != means.shape[:1]:
        raise InvalidParameterError(
            f"weights and means must have shapes (K,) and (K, D); got {weights.shape} and {means.shape}."
        )
    n_components, n_features = means.shape
    check_natural_shape(structure, roots, n_components, n_features, "roots")
    blocks = structure.as_blocks(roots)
    if structure.diagonal:
        entries = jnp.broadcast_to(blocks.reshape(len(blocks), -1), means.shape)
    else:
        rows, columns = np.tril_indices(n_features)
        entries = jnp.broadcast_to(blocks[:, rows, columns], (n_components, len(rows)))
    vector = jnp.concatenate([weights[:, None], means, entries], axis=1).ravel()
    return vector.astype(jnp.promote_types(vector.dtype, jnp.float32))


class _Visit:
    """Value and gradient at a vector, ``(n,) → (1 + n,)``, by one visit of the data, for a whole batch of vectors at once."""

    def __init__(self, source: ArraySource, diagonal: bool) -> None:
        self._sweep, self._one_at_a_time = Sweep(source), threading.Lock()
        self._n_features, self._diagonal = source.n_features, diagonal
        self._triangle = np.tril_indices(source.n_features)
        self._on_diagonal = slice(None) if diagonal else self._triangle[0] == self._triangle[1]

    def __call__(self, vector: Any) -> Any:
        # Callbacks run in threads of JAX's own, where jax.enable_x64 of the caller does not hold and float64 arguments would arrive
        # rounded to float32. Pairs of 32-bit words pass unchanged.
        dtype = vector.dtype
        words = jax.lax.bitcast_convert_type(vector, jnp.uint32).ravel()
        length = (1 + vector.size) * (dtype.itemsize // 4)

        def on_host(words: Any) -> NDArray[np.uint32]:
            vectors = np.ascontiguousarray(words).view(dtype)
            answers = self._answers(vectors.reshape(-1, vectors.shape[-1]).astype(np.float64), dtype)
            return answers.view(np.uint32).reshape(*vectors.shape[:-1], length)

        form = jax.ShapeDtypeStruct((length,), jnp.uint32)  # type: ignore[no-untyped-call]
        answer = jax.pure_callback(on_host, form, words, vmap_method="broadcast_all")
        return jax.lax.bitcast_convert_type(answer.reshape(-1, *(2,) * (dtype.itemsize == 8)), dtype)

    def _answers(self, vectors: Array, dtype: np.dtype) -> Array:
        """Values and gradients at vectors ``(R, n)``: finite, or minus infinity and zeros."""
        width = 1 + self._n_features + (self._n_features if self._diagonal else len(self._triangle[0]))
        parts = vectors.reshape(len(vectors), -1, width)
        finite = np.isfinite(vectors).all(axis=1)
        spread = (parts[:, :, 1 + self._n_features :][:, :, self._on_diagonal] > 0).all(axis=(1, 2))
        proper = finite & spread & (parts[:, :, 0] >= 0).all(axis=1)
        answers = np.full((len(vectors), 1 + vectors.shape[1]), np.nan, dtype)
        with np.errstate(all="ignore"):
            if proper.any():
                answers[proper] = self._swept(parts[proper])
        lost = ~np.isfinite(answers).all(axis=1)
        answers[lost] = 0.0
        answers[lost, 0] = -np.inf
        return answers

    def _swept(self, parts: Array) -> Array:
        """The same for proper parameters, ``(R, K, 1 + D + q) → (R, 1 + n)``."""
        weights, means, entries = np.split(parts, [1, 1 + self._n_features], axis=2)
        weights = weights[:, :, 0]
        whitening = self._whitening(entries)
        scorers = [Scorer.of(*each) for each in zip(weights, means, whitening, strict=True)]
        with self._one_at_a_time, self._sweep as sweep:
            swept = sweep(scorers)
        moments = [own.moments.about(centres) for own, centres in zip(swept, means, strict=True)]
        counts = np.stack([own.count for own in moments])
        by_weights = np.divide(counts, weights, out=np.zeros_like(counts), where=weights > 0)
        first, second = np.stack([own.first for own in moments]), np.stack([own.second for own in moments])
        gradient = np.concatenate(
            [by_weights[:, :, None], *self._pulled_back(whitening, counts, first, second)], axis=2
        )
        values = np.array([[own.log_normaliser] for own in swept])
        return np.concatenate([values, gradient.reshape(len(parts), -1)], axis=1)

    def _whitening(self, entries: Array) -> Array:
        """``R = L⁻ᵀ`` of each component."""
        if self._diagonal:
            return 1 / entries
        roots = np.zeros((*entries.shape[:2], self._n_features, self._n_features))
        roots[..., *self._triangle] = entries
        return precision_factors(roots)

    def _pulled_back(self, whitening: Array, counts: Array, first: Array, second: Array) -> tuple[Array, Array]:
        """Gradients by means and by entries of the roots, from moments about the means."""
        if self._diagonal:
            return whitening**2 * first, whitening * (whitening**2 * second - counts[:, :, None])
        transposed = whitening.swapaxes(-1, -2)
        excess = transposed @ second @ whitening - counts[:, :, None, None] * np.eye(self._n_features)
        by_means = (whitening @ (transposed @ first[..., None]))[..., 0]
        return by_means, (whitening @ excess)[..., *self._triangle]
