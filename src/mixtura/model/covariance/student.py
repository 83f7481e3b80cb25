"""Laws that conjugate precisions bring with them: Student's t for what is predicted, gamma densities, and how far one is from another."""

import numpy as np
from scipy.special import gammaln

from mixtura.ground.linalg import Array
from mixtura.ground.special import log_gamma_gain, log_gamma_rest_excess, log_ratio


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
    log_scale = np.log(np.pi) + np.log(degrees) + np.log(widening)
    constants = log_gamma_gain(0.5 * degrees, 0.5 * n_features) - 0.5 * n_features * log_scale + log_root
    own = degrees[:, None]
    far = distances > own
    excess = np.where(far, np.log(np.where(far, own + distances, 1.0)) - np.log(own), 0.0)
    excess = excess + np.log1p(np.where(far, 0.0, distances) / own)
    return constants[:, None] - 0.5 * (own + n_features) * excess


def gamma_divergence(shape: Array, rate: Array, prior_shape: float, prior_rate: Array) -> Array:
    """Kullback–Leibler divergence of ``Gamma(shape, rate)`` from ``Gamma(prior_shape, prior_rate)``."""
    # The prior's mean over the other's: what is left besides knows only of the shapes, and is no larger than their logs.
    log_quotient = log_ratio(shape, prior_shape) - log_ratio(rate, prior_rate)
    close = np.abs(log_quotient) < 1
    excess = prior_shape * np.expm1(np.where(close, log_quotient, 0.0))
    excess = np.where(close, excess, shape * (prior_rate / rate) - prior_shape)
    return log_gamma_rest_excess(prior_shape, shape) + excess - prior_shape * log_quotient


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


def log_gamma_of_each(shapes: Array, rates: Array, at: Array) -> Array:
    """The same of each law at its own point, or of one at all points, ``(G,)``."""
    constants = (shapes * np.log(rates) - gammaln(shapes)).sum(axis=1)
    return np.asarray(constants + (shapes * np.log(at) - rates * at).sum(axis=1))
