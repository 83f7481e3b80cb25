"""A penalty that a user supplies, and whether its gradient is that of its value.

A wrong gradient ends a climb at some other place, and nothing there would tell. So before the first step, derivatives are compared with
central differences of the value along each part of each component. They are taken next to the start and not at it, where a penalty such as
a sum of absolute values may have an edge; and for steps over six orders of magnitude, one of which is short enough for a stiff penalty and
long enough for rounding. A right gradient agrees at one of them at least; a wrong one at none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import EPS, Array
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture

PARTS = ("weights", "means", "covariances")
WANTED = (
    "gradient(mixture) must return the derivatives of value(mixture) by weights (K,), means (K, D) and covariances (in the shape of "
    "mixture.covariances, as if all entries were free)"
)
STEPS = (1e-4, 1e-5, 1e-3, 1e-2, 1e-6, 1e-1, 1e-7)
"""Changes of a log weight, of a mean in units of its spread, or of a log spread; the likeliest to agree come first."""
NEARBY = 1e-3
"""How far from the start, in the same units, derivatives are compared."""
AGREEMENT = 1e-2
"""Of the rates that are compared."""
NEGLIGIBLE = 1e-6
"""Nats: a rate that says nothing beside the likelihood's."""
ROUNDING = 16 * EPS
"""Of a value, or of a nat."""
MOST_GROUPS = 16
"""Components are compared in no more groups than this."""


class Penalty(Protocol):
    """Something added to the log-likelihood, for which the M-step has no closed form."""

    def value(self, mixture: Mixture) -> float:
        """What is added."""

    def gradient(self, mixture: Mixture) -> tuple[Array, Array, Array]:
        """Its derivatives by weights ``(K,)``, means ``(K, D)`` and covariances (natural array, as if all entries were free)."""


@dataclass(frozen=True)
class Checked:
    """A penalty whose every answer is finite and of the right shape, or refused.

    Attributes
    ----------
    given : Penalty
        What the user wrote.
    """

    given: Penalty

    def value(self, mixture: Mixture) -> float:
        """What is added."""
        value = self.given.value(mixture)
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise InvalidParameterError(f"penalty.value(mixture) must return a number; got {value!r}.") from error
        if not math.isfinite(number):
            raise InvalidParameterError(
                f"penalty.value(mixture) returned {number} for a mixture with {_ranges(mixture)}. It must be finite wherever the climb "
                "may come; where it is to forbid a mixture, let it fall without end towards it."
            )
        return number

    def gradient(self, mixture: Mixture) -> tuple[Array, Array, Array]:
        """Its derivatives."""
        given = self.given.gradient(mixture)
        if not isinstance(given, tuple | list) or len(given) != len(PARTS):
            raise InvalidParameterError(
                f"penalty.gradient(mixture) must return three arrays; got {type(given).__name__}. {WANTED}."
            )
        weights, means, covariances = (
            _checked(part, name, np.shape(getattr(mixture, name)), mixture)
            for name, part in zip(PARTS, given, strict=True)
        )
        return weights, means, covariances


def _checked(given: Any, name: str, shape: tuple[int, ...], mixture: Mixture) -> Array:
    try:
        part = np.broadcast_to(np.asarray(given, dtype=np.float64), shape)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"penalty.gradient(mixture) must return numbers of shape {shape} for the {name}; got {np.shape(given)}. {WANTED}."
        ) from error
    if not np.isfinite(part).all():
        raise InvalidParameterError(
            f"penalty.gradient(mixture) returned {part[~np.isfinite(part)][0]} among the derivatives by {name}, for a mixture with "
            f"{_ranges(mixture)}. {WANTED}, finite wherever the climb may come."
        )
    return part


def _ranges(mixture: Mixture) -> str:
    variances = mixture.structure.variances(mixture.covariances, *mixture.means.shape)
    parts = (("weights", mixture.weights), ("means", mixture.means), ("variances", variances))
    return ", ".join(f"{name} from {values.min():.3g} to {values.max():.3g}" for name, values in parts)


def check_gradient(penalty: Checked, start: Mixture) -> None:
    """Raise unless the penalty's gradient is that of its value, next to a start, in each part of the parameters.

    Parameters
    ----------
    penalty : Checked
    start : Mixture
        Of a smooth structure.

    Raises
    ------
    InvalidParameterError
        If an answer is not finite, or derivatives are others than differences say.
    """
    penalty.value(start)
    weights = start.weights if start.weights.all() else (start.weights + NEARBY) / (start.weights + NEARBY).sum()
    reference = Mixture(weights, start.means, start.covariances, start.structure)
    about, rng = Coordinates(reference, weights), np.random.default_rng(0)
    place = NEARBY * about.unit * rng.uniform(0.5, 1.0, about.size) * rng.choice([-1.0, 1.0], about.size)
    if not math.isfinite(_value(penalty, about, place)):
        place = np.zeros(about.size)
    slope = about.pull_back(place, penalty.gradient(about.mixture(place)))
    uphill = np.where(slope, np.sign(slope), rng.choice([-1.0, 1.0], about.size))  # so that nothing cancels
    steps = about.unit * rng.uniform(0.5, 1.0, about.size) * uphill
    for name, component, chosen in _groups(about):
        direction = np.zeros(about.size)
        direction[chosen] = steps[chosen]
        if rates := _disagreement(penalty, about, place, direction, slope):
            raise InvalidParameterError(
                f"penalty: its gradient is not that of its value. Where the {name} of {component} change, the value changes at a rate of "
                f"{rates[0]:.4g}, and the derivatives by {name} say {rates[1]:.4g}. {WANTED}."
            )


def _disagreement(
    penalty: Checked, about: Coordinates, place: Array, direction: Array, slope: Array
) -> tuple[float, float] | None:
    """The rates by difference and by derivative along a direction, if no step makes them agree; ``None`` too where rounding hides them."""
    claimed = float(slope @ direction)
    differences: list[float] = []
    for step in STEPS:
        ahead, behind = (_value(penalty, about, place + sign * step * direction) for sign in (1, -1))
        rate = (ahead - behind) / (2 * step)
        tolerance = AGREEMENT * max(abs(rate), abs(claimed)) + NEGLIGIBLE
        if not math.isfinite(rate) or ROUNDING * max(abs(ahead), abs(behind), 1.0) / step > tolerance:
            continue
        if abs(rate - claimed) <= tolerance:
            return None
        differences.append(rate)
    return (differences[0], claimed) if differences else None


def _value(penalty: Checked, about: Coordinates, u: Array) -> float:
    """What the penalty is worth there; NaN where it is worth nothing that could be compared."""
    with np.errstate(all="ignore"):
        return float(penalty.given.value(about.mixture(u)))


def _groups(about: Coordinates) -> Iterator[tuple[str, str, Array]]:
    """Parts of components: their name, whose they are, and the places of their coordinates."""
    n_components, n_features = about.reference.means.shape
    ends = np.cumsum([n_components, n_components * n_features])
    places = np.split(np.arange(about.size), ends)
    for name, own in zip(PARTS, places, strict=True):
        n_owners = 1 if name == "covariances" and about.structure.shared else n_components
        owned = own.reshape(n_owners, -1)
        for group in np.array_split(np.arange(n_owners), min(n_owners, MOST_GROUPS)):
            first, last = int(group[0]), int(group[-1])
            whose = f"component {first}" if first == last else f"components {first} to {last}"
            yield name, "all components" if n_owners < n_components else whose, owned[group].ravel()
