"""Laws that conjugate precisions bring with them: Student's t for what is predicted, gamma densities, and how far one is from another."""

import numpy as np
from scipy.special import digamma, gammaln

from mixtura.ground.linalg import Array


def log_multivariate_student(squares: Array, log_root: Array, degrees: Array, widening: Array) -> Array:
    """``ln t`` with ``degrees`` degrees of freedom, ``(K, B)``.

    Parameters
    ----------
    squares : (K, B, D) array
        Squared coordinates of the residuals, whitened by a matrix ``R``.
    log_root : (K,) array
        ``ln|R|``.
    degrees : (K,) array
    widening : (K,) array
        The scale matrix is ``widening (R Rᵀ)⁻¹``.
    """
    n_features = squares.shape[2]
    distances = squares.sum(axis=2) / widening[:, None]
    half = 0.5 * (degrees + n_features)
    constants = (
        gammaln(half) - gammaln(0.5 * degrees) - 0.5 * n_features * np.log(np.pi * degrees * widening) + log_root
    )
    return constants[:, None] - half[:, None] * np.log1p(distances / degrees[:, None])


def gamma_divergence(shape: Array, rate: Array, prior_shape: float, prior_rate: Array) -> Array:
    """Kullback–Leibler divergence of ``Gamma(shape, rate)`` from ``Gamma(prior_shape, prior_rate)``."""
    normalisers = gammaln(prior_shape) - gammaln(shape) + prior_shape * (np.log(rate) - np.log(prior_rate))
    return normalisers + (shape - prior_shape) * digamma(shape) + shape * (prior_rate - rate) / rate


def log_gamma(shapes: Array, rates: Array, at: Array) -> Array:
    """``Σ_d ln Gamma(λ_d; shape, rate)`` of each of ``J`` products of laws at each of ``G`` points, ``(J, G)``, relative to ``dλ/λ``.

    Parameters
    ----------
    shapes, rates : (J, D) arrays
    at : (G, D) array
        ``λ``.
    """
    constants = (shapes * np.log(rates) - gammaln(shapes)).sum(axis=1)
    return constants[:, None] + shapes @ np.log(at).T - rates @ at.T
