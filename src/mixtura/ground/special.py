"""Differences of special functions, with their digits where the functions themselves are far larger than what is asked for."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma as plain_digamma
from scipy.special import gammaln, polygamma

from mixtura.ground.linalg import Array

LARGE = 100.0
"""From here on Stirling's series is exact to rounding with three terms."""
SMALLEST = float(np.finfo(np.float64).tiny)


def log_ratio(numerator: ArrayLike, denominator: ArrayLike) -> Array:
    """``ln(x/y)`` of positive numbers: exact in relative terms where they are close, finite where their ratio is not."""
    x, y = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    change = np.where(np.abs(x - y) < 0.5 * y, x - y, 0.0) / y
    return np.where(np.abs(x - y) < 0.5 * y, np.log1p(change), np.log(x) - np.log(y))


def digamma(x: ArrayLike) -> Array:
    """``ψ(x)``, finite however small ``x > 0`` is."""
    return plain_digamma(np.maximum(x, SMALLEST))


def trigamma(x: ArrayLike) -> Array:
    """``ψ′(x)``, finite however small ``x > 0`` is."""
    return polygamma(1, np.maximum(x, SMALLEST**0.49))


def log_gamma_excess(x: ArrayLike, y: ArrayLike) -> Array:
    """``ln Γ(x) − ln Γ(y) − ψ(y)(x − y)``: how far the log of the gamma function lies above its tangent at ``y``.

    Divergences of gamma, beta and Dirichlet laws are sums of these. For large numbers ``ln Γ`` is many orders of magnitude larger than its
    distance from the tangent; Stirling's series cancels what they share.
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    step = x - y
    # One further on there is no pole near: Γ(x) = Γ(1 + x)/x.
    near = np.log(y) - np.log(x) + step / np.maximum(y, SMALLEST)
    large = np.minimum(x, y) >= LARGE
    a, b = np.where(large, LARGE, 1 + x), np.where(large, LARGE, 1 + y)
    direct = near + gammaln(a) - gammaln(b) - digamma(b) * np.where(large, 0.0, step)
    a, b = np.where(large, x, LARGE), np.where(large, y, LARGE)
    step = np.where(large, step, 0.0)
    stirling = a * log_ratio(a, b) - step - 0.5 * log_ratio(a, b) + _stirling(a) - _stirling(b)
    return np.where(large, stirling - step * _digamma_excess(b), direct)


def _stirling(x: Array) -> Array:
    """``ln Γ(x) − (x − ½) ln x + x − ½ ln 2π``."""
    return (1 - (1 / 30 - 1 / (105 * x**2)) / x**2) / (12 * x)


def _digamma_excess(x: Array) -> Array:
    """``ψ(x) − ln x``."""
    return -(1 + (1 - (1 / 10 - 1 / (21 * x**2)) / x**2) / (6 * x)) / (2 * x)
