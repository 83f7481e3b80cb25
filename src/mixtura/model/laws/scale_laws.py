"""Prior laws of a component's spread, the standard deviation of a feature: heavy-tailed, light-tailed, or away from zero.

All three are scale families, so a common factor of all scales can be a parameter of its own. They speak of ``log τ``, in which nothing
overflows. Source: Gelman (2006), "Prior distributions for variance parameters in hierarchical models".
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, read_only
from mixtura.model.scorer import LOG_2_PI


@dataclass(frozen=True, eq=False)
class ScaleLaw(ABC):
    """A law of spreads ``τ > 0``, independent from feature to feature.

    Parameters
    ----------
    scale : float or (D,) array-like
        Of each feature, or of all of them alike. A covariance of one variance for all features uses the root of the mean square.
    """

    scale: Array

    def __init__(self, scale: ArrayLike) -> None:
        object.__setattr__(self, "scale", positive(scale, "scale"))

    @cached_property
    def pooled(self) -> Self:
        """The same for one spread that all features share."""
        return replace(self, scale=np.sqrt(np.square(self.scale).mean()))

    @cached_property
    def _log_scale(self) -> Array:
        return np.log(self.scale)

    def log_density(self, log_tau: Array) -> Array:
        """``log p(τ)``, for spreads ``(..., D)``."""
        return self._standard(log_tau - self._log_scale) - self._log_scale

    def slope(self, log_tau: Array) -> Array:
        """``∂ log p(τ) / ∂ log τ``."""
        return self._standard_slope(log_tau - self._log_scale)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Spreads drawn at random, of this shape ``(..., D)``."""
        return self.scale * self._draw_standard(shape, rng)

    @abstractmethod
    def _standard(self, x: Array) -> Array:
        """Log density at ``eˣ`` for a scale of one."""

    @abstractmethod
    def _standard_slope(self, x: Array) -> Array:
        """Its derivative."""

    @abstractmethod
    def _draw_standard(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draws for a scale of one."""


class HalfCauchy(ScaleLaw):
    """``p(τ) = 2 / (π s (1 + τ²/s²))``: the median is the scale ``s``, and far larger spreads are not ruled out.

    Parameters
    ----------
    scale : float or (D,) array-like
        ``s``.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.model.laws.scale_laws import HalfCauchy
    >>> bool(np.isclose(HalfCauchy(2.0).log_density(np.log(3.0)), np.log(2 / (np.pi * 2 * (1 + 9 / 4)))))
    True
    """

    def _standard(self, x: Array) -> Array:
        return math.log(2 / math.pi) - np.logaddexp(0.0, 2 * x)

    def _standard_slope(self, x: Array) -> Array:
        return -2 * expit(2 * x)

    def _draw_standard(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.abs(rng.standard_cauchy(shape))

    def __str__(self) -> str:
        return f"half-Cauchy({numbers(self.scale)})"


class HalfNormal(ScaleLaw):
    """``τ = |z|`` for a normal ``z`` of mean zero and standard deviation ``s``: spreads far above ``s`` are ruled out.

    Parameters
    ----------
    scale : float or (D,) array-like
        ``s``.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.model.laws.scale_laws import HalfNormal
    >>> normal = np.exp(-0.5 * (3.0 / 2.0) ** 2) / (2.0 * np.sqrt(2 * np.pi))
    >>> bool(np.isclose(HalfNormal(2.0).log_density(np.log(3.0)), np.log(2 * normal)))
    True
    """

    def _standard(self, x: Array) -> Array:
        return 0.5 * (math.log(4) - LOG_2_PI - np.exp(2 * x))

    def _standard_slope(self, x: Array) -> Array:
        return -np.exp(2 * x)

    def _draw_standard(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.abs(rng.normal(size=shape))

    def __str__(self) -> str:
        return f"half-normal({numbers(self.scale)})"


@dataclass(frozen=True, eq=False)
class LogNormal(ScaleLaw):
    """``log τ ~ N(log s, ω²)``: the only one of the three that rules out spreads near zero.

    Parameters
    ----------
    scale : float or (D,) array-like
        The median ``s``.
    log_spread : float
        ``ω``.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.model.laws.scale_laws import LogNormal
    >>> normal = np.exp(-0.5 * (np.log(3.0 / 2.0) / 0.7) ** 2) / (0.7 * np.sqrt(2 * np.pi))
    >>> bool(np.isclose(LogNormal(2.0, 0.7).log_density(np.log(3.0)), np.log(normal / 3.0)))
    True
    """

    log_spread: float

    def __init__(self, scale: ArrayLike, log_spread: float) -> None:
        super().__init__(scale)
        object.__setattr__(self, "log_spread", positive_number(log_spread, "log_spread"))

    def _standard(self, x: Array) -> Array:
        return -0.5 * ((x / self.log_spread) ** 2 + LOG_2_PI) - math.log(self.log_spread) - x

    def _standard_slope(self, x: Array) -> Array:
        return -x / self.log_spread**2 - 1

    def _draw_standard(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.exp(self.log_spread * rng.normal(size=shape))

    def __str__(self) -> str:
        return f"log-normal(median {numbers(self.scale)}, log spread {self.log_spread:g})"


def finite(values: ArrayLike, what: str) -> Array:
    """Finite numbers, one or ``D``, as a read-only array; or an error."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidParameterError(f"{what} must be real numbers; {error}.") from error
    if array.ndim > 1 or not array.size or not np.isfinite(array).all():
        raise InvalidParameterError(f"{what} must be one finite number, or one for each feature; got {values!r}.")
    read_only(array)
    return array


def positive(values: ArrayLike, what: str) -> Array:
    """The same for positive numbers."""
    array = finite(values, what)
    if not (array > 0).all():
        raise InvalidParameterError(f"{what} must be positive; got {values!r}.")
    return array


def resolution_of(values: ArrayLike, n_features: int) -> Array:
    """How finely ``D`` columns are known, ``(D,)`` standard deviations that may be zero, from as many or from one."""
    array = finite(values, "resolution")
    if (array < 0).any() or array.shape not in ((), (n_features,)):
        raise InvalidParameterError(
            f"resolution must be zero or positive, one number or {n_features}, the standard deviation of what rounding adds to each "
            f"column; got {values!r}."
        )
    array = np.broadcast_to(array, n_features).copy()
    read_only(array)
    return array


def positive_number(value: float, what: str) -> float:
    """The same for one positive number."""
    array = positive(value, what)
    if array.ndim:
        raise InvalidParameterError(f"{what} must be one positive number; got {value!r}.")
    return float(array)


def numbers(values: Array) -> str:
    """A few numbers in words, each of them once if all are equal."""
    distinct = values.reshape(-1) if np.ptp(values) else values.reshape(-1)[:1]
    return ", ".join(f"{value:.4g}" for value in distinct)
