"""Linear algebra on stacks of small matrices."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
EPS = float(np.finfo(np.float64).eps)
LEAST_TRIANGULAR = 16
"""Columns from which a call for each matrix costs less than a general inverse of all."""
LEAST_LOW_RANK = 32
"""Columns from which looking for a low rank costs little beside eigenvalues."""
COMPLEX_STEP = 1e-100
"""Imaginary step along which analytic functions are differentiated, exactly to rounding."""


def read_only(*arrays: Array) -> None:
    """Let nobody write into these arrays, nor into views taken of them from now on."""
    for array in arrays:
        array.setflags(write=False)


def precision_factors(cholesky: Array) -> Array:
    """Upper triangular ``R`` with ``R Rᵀ = (L Lᵀ)⁻¹`` for each lower triangular ``L``.

    Parameters
    ----------
    cholesky : (G, D, D) array
        Lower Cholesky factors of covariances.

    Returns
    -------
    (G, D, D) array
        ``R = L⁻ᵀ``. On an upper triangular matrix a general inverse is back substitution, which keeps small rows accurate.
    """
    return triangular_inverses(cholesky.swapaxes(-1, -2))


def triangular_inverses(upper: Array) -> Array:
    """Inverses of a stack ``(..., D, D)`` of upper triangular matrices, by back substitution.

    On a triangular matrix the general routine does that too, after looking for pivots in vain: what it costs shows in large ones alone.
    """
    n_features = upper.shape[-1]
    if n_features < LEAST_TRIANGULAR:
        return np.linalg.inv(upper)
    from scipy.linalg.lapack import get_lapack_funcs

    (inverse_of,) = get_lapack_funcs(("trtri",), (upper,))
    inverses = np.empty(upper.shape, upper.dtype)
    for out, matrix in zip(
        inverses.reshape(-1, n_features, n_features), upper.reshape(-1, n_features, n_features), strict=True
    ):
        # LAPACK reads columns: to it the rows of an upper triangle are the columns of a lower one.
        inverse, failed = inverse_of(matrix.T, lower=1)
        if failed:
            raise np.linalg.LinAlgError("Singular matrix")
        out[...] = inverse.T
    return inverses


def log_determinants(matrices: Array) -> Array:
    """Of symmetric positive definite ones, ``(G,)``. By Cholesky's factors, whose digits do not depend on the units of a variable."""
    diagonals: Array = np.diagonal(np.linalg.cholesky(matrices), axis1=-2, axis2=-1)
    return 2 * np.log(diagonals).sum(axis=-1)


def traces_of_ratios(matrices: Array, over: Array) -> Array:
    """``tr(B⁻¹ A)`` of symmetric ``A`` and positive definite ``B``, ``(G,)``, in which units do not matter either."""
    factors = precision_factors(np.linalg.cholesky(over))
    traces: Array = np.einsum("...ji,...ji->...", factors, matrices @ factors)
    return traces


def outer(vectors: Array, others: Array | None = None) -> Array:
    """Outer products ``v vᵀ`` (or ``v uᵀ``) along the last axis: ``(..., D) → (..., D, D)``."""
    return vectors[..., :, None] * (vectors if others is None else others)[..., None, :]


def cholesky(matrices: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Lower Cholesky factors of a stack, and which matrices are not positive definite to working precision.

    A pivot ``L_jj²/A_jj`` is the share of variable ``j`` that the variables before it do not explain; below ``8·D·eps`` nothing but
    rounding is left of it. The test does not change when a variable is rescaled.

    Parameters
    ----------
    matrices : (G, D, D) array
        Symmetric matrices.

    Returns
    -------
    factors : (G, D, D) array
        Lower factors; the identity where a matrix is singular.
    singular : (G,) bool array
    """
    singular = np.zeros(len(matrices), dtype=bool)
    try:
        factors = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        factors = np.broadcast_to(np.eye(matrices.shape[-1]), matrices.shape).copy()
        for g, matrix in enumerate(matrices):
            try:
                factors[g] = np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                singular[g] = True
    pivots = np.diagonal(factors, axis1=-2, axis2=-1) ** 2
    variances = np.diagonal(matrices, axis1=-2, axis2=-1)
    singular |= ~(pivots > 8 * matrices.shape[-1] * EPS * variances).all(axis=-1)
    return factors, singular


def raise_eigenvalues(matrices: Array, floor: Array | float) -> Array:
    """Symmetric matrices ``A`` with ``A − diag(f)`` made positive semi-definite; matrices that need no change stay as they are.

    Eigenvalues below one of ``F^(−½) A F^(−½)`` are raised to one: with one floor for all variables, those of ``A`` to that.

    Parameters
    ----------
    matrices : (G, D, D) array
    floor : float or (D,) array
        ``f``, positive.
    """
    n_features = matrices.shape[-1]
    # In smaller units than these, of a variable that varies much, the eigenvalues of the others would be rounding.
    lost = 64 * n_features * EPS * np.diagonal(matrices, axis1=-2, axis2=-1)
    units = np.sqrt(np.maximum(floor, lost))
    scaled = matrices / outer(units)
    _, low = cholesky(scaled - np.eye(n_features))
    if not low.any():
        return matrices
    raised = matrices.copy()
    if n_features < LEAST_LOW_RANK:
        raised[low] = _at_least_one(scaled[low]) * outer(units)[low]
    else:
        raised[low] = np.stack([_low_rank_at_least_one(matrix) for matrix in scaled[low]]) * outer(units)[low]
    return raised


def _at_least_one(matrices: Array) -> Array:
    """Symmetric matrices ``(..., D, D)``, their eigenvalues below one raised to that."""
    eigenvalues, vectors = np.linalg.eigh(matrices)
    raised = (vectors * np.maximum(eigenvalues, 1.0)[..., None, :]) @ vectors.swapaxes(-1, -2)
    symmetric: Array = 0.5 * (raised + raised.swapaxes(-1, -2))
    return symmetric


def _low_rank_at_least_one(matrix: Array) -> Array:
    """The same of one that may be of low rank."""
    factor = _thin_factor(matrix)
    if factor is None:
        return _at_least_one(matrix)
    # The eigenvectors of L Lᵀ are L times those of Lᵀ L: all others belong to zero.
    eigenvalues, vectors = np.linalg.eigh(factor.T @ factor)
    large = eigenvalues > 1
    vectors = factor @ (vectors[:, large] * np.sqrt(1 / eigenvalues[large] * (eigenvalues[large] - 1)))
    raised = vectors @ vectors.T
    raised[np.diag_indices(len(raised))] += 1
    return raised


def _thin_factor(matrix: Array) -> Array | None:
    """``L``, ``(D, r)``, with ``L Lᵀ`` a positive semi-definite matrix to rounding, if its rank ``r`` is low: Cholesky's, with pivots."""
    n_features = len(matrix)
    from scipy.linalg.lapack import dpstrf

    rounding = 8 * n_features * EPS * float(np.diagonal(matrix).max())
    factor, pivots, rank, _ = dpstrf(matrix, tol=rounding, lower=1)
    if rank > n_features // 2:
        return None
    thin = np.empty((n_features, rank))
    thin[pivots - 1] = np.tril(factor[:, :rank])
    return thin


def well_conditioned(matrices: Array) -> Array:
    """Symmetric matrices with positive diagonals, those that are singular to working precision raised above that.

    Not only those in which ``cholesky`` sees it: a multiple of what this returns is not to be singular either.
    """
    return raise_correlations(matrices, least_correlation(matrices))


def least_correlation(matrices: Array) -> float:
    """The eigenvalue of correlations from which that makes no change."""
    return 64 * matrices.shape[-1] * EPS


def raise_correlations(matrices: Array, floor: float) -> Array:
    """Symmetric matrices with positive diagonals, the eigenvalues of whose correlations are raised to a floor; units do not matter."""
    units = outer(np.sqrt(np.diagonal(matrices, axis1=-2, axis2=-1)))
    correlations = matrices / units
    raised = raise_eigenvalues(correlations, floor)
    if raised is correlations:
        return matrices
    changed = (raised != correlations).any(axis=(-2, -1), keepdims=True)
    return np.where(changed, raised * units, matrices)
