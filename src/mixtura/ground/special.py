"""Special functions, quantiles and draws at the ends of their ranges: with their digits where larger numbers cancel, and always finite."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, gammaincinv, gammaln, polygamma, stdtrit
from scipy.special import digamma as plain_digamma

from mixtura.ground.linalg import Array

LARGE = 100.0
"""From here on Stirling's series is exact to rounding with three terms."""
SMALLEST, LARGEST = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).max)
LEAST = 1e-300
"""What stands for smaller numbers where they are divided by."""
WELL_KNOWN = 1e9
"""From so many observations on SciPy's quantiles of beta laws can be wrong; a gamma law with the same mean and variance has them to 1e-4
standard deviations."""


def log_ratio(numerator: ArrayLike, denominator: ArrayLike) -> Array:
    """``ln(x/y)`` of positive numbers: exact in relative terms where they are close, finite where their ratio is not."""
    x, y = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    difference = x - y
    close = np.abs(difference) < 0.5 * y
    far = np.log(x) - np.log(y)
    return np.where(close, np.log1p(np.where(close, difference, 0.0) / y), far) if close.any() else far


def digamma(x: ArrayLike) -> Array:
    """``ψ(x)``, finite however small ``x > 0`` is."""
    return plain_digamma(np.maximum(x, SMALLEST))


def trigamma(x: ArrayLike) -> Array:
    """``ψ′(x)``, finite however small ``x > 0`` is."""
    return polygamma(1, np.maximum(x, SMALLEST**0.49))


def log_gamma_rest(x: ArrayLike) -> Array:
    """``ln Γ(x) − (x ln x − x)``: what is left of it after its largest terms, about ``−½ ln x``."""
    return _by_size(x, _log_gamma_rest_of_small, _log_gamma_rest_of_large)


def digamma_rest(x: ArrayLike) -> Array:
    """``ψ(x) − ln x``, the derivative of that."""
    return _by_size(x, _digamma_rest_of_small, _digamma_rest_of_large)


def _by_size(x: ArrayLike, of_small: Callable[[Array], Array], of_large: Callable[[Array], Array]) -> Array:
    """One function below ``LARGE``, another from there on; neither where it is not needed."""
    x = np.asarray(x, dtype=np.float64)
    is_small = x < LARGE
    if is_small.all():
        return of_small(x)
    if not is_small.any():
        return of_large(x)
    return np.where(is_small, of_small(np.minimum(x, LARGE)), of_large(np.maximum(x, LARGE)))


def _log_gamma_rest_of_small(x: Array) -> Array:
    return gammaln(np.maximum(x, SMALLEST)) - x * np.log(x) + x


def _log_gamma_rest_of_large(x: Array) -> Array:
    inverse = 1 / x
    square = inverse * inverse
    return 0.5 * np.log(2 * np.pi * inverse) + (1 - (1 / 30 - square / 105) * square) * inverse / 12


def _digamma_rest_of_small(x: Array) -> Array:
    return digamma(x) - np.log(x)


def _digamma_rest_of_large(x: Array) -> Array:
    inverse = 1 / x
    square = inverse * inverse
    return -(1 + (1 - (1 / 10 - square / 21) * square) * inverse / 6) * inverse / 2


def log_gamma_gain(x: ArrayLike, step: ArrayLike) -> Array:
    """``ln Γ(x + s) − ln Γ(x)``."""
    x = np.asarray(x, dtype=np.float64)
    end = x + step
    return x * log_ratio(end, x) - (end - x) + step * np.log(end) + log_gamma_rest(end) - log_gamma_rest(x)


def log_gamma_rest_excess(x: ArrayLike, y: ArrayLike) -> Array:
    """How far ``ln Γ(x) − (x ln x − x)`` lies above its tangent at ``y``."""
    return log_gamma_rest(x) - log_gamma_rest(y) - digamma_rest(y) * np.subtract(x, y)


def log_gamma_excess(x: ArrayLike, y: ArrayLike) -> Array:
    """``ln Γ(x) − ln Γ(y) − ψ(y)(x − y)``: how far the log of the gamma function lies above its tangent at ``y``.

    Divergences of gamma, beta and Dirichlet laws are sums of these. For large numbers ``ln Γ`` is many orders of magnitude larger than its
    distance from the tangent.
    """
    return np.multiply(x, log_ratio(x, y)) - np.subtract(x, y) + log_gamma_rest_excess(x, y)


def student_quantiles(degrees: Array, probabilities: Array) -> Array:
    """Of Student's t; those that degrees of freedom near zero put beyond all numbers are the largest number."""
    tails = betaincinv(0.5 * degrees, 0.5, 2 * np.minimum(probabilities, 1 - probabilities))
    return np.where(tails > SMALLEST, stdtrit(degrees, probabilities), np.sign(probabilities - 0.5) * LARGEST)


def beta_quantiles(first: Array, second: Array, probabilities: Array) -> Array:
    """Of beta laws: SciPy's, or, where parameters are too large for it, those of a gamma law with their mean and variance.

    Where both are next to nothing, all of the probability lies at the ends.
    """
    whole = first + second
    known, nothing = whole >= WELL_KNOWN, whole <= LEAST**0.5
    ordinary = ~(known | nothing)
    exact = betaincinv(np.where(ordinary, first, 1.0), np.where(ordinary, second, 1.0), probabilities)
    spread = (gammaincinv(first, probabilities) - first) * np.sqrt(second / whole)
    at_the_ends = np.where(probabilities <= second / whole, SMALLEST, 1.0)
    return np.where(known, np.clip((first + spread) / whole, 0.0, 1.0), np.where(nothing, at_the_ends, exact))


def gamma_draws(shapes: Array, rng: np.random.Generator) -> Array:
    """Draws of standard gamma laws, none of them so small that it cannot be divided by."""
    return np.maximum(rng.gamma(shapes), LEAST)


def log_gamma_draws(shapes: Array, rng: np.random.Generator) -> Array:
    """Logs of gamma draws: one of a shape that is one larger, times a uniform number to the power of one over the shape."""
    return np.log(rng.gamma(shapes + 1)) - rng.standard_exponential(shapes.shape) / np.maximum(shapes, LEAST)
