"""How far a step may go, and how it is shortened until it climbs: what solvers that follow a gradient share.

Steps are measured by the most that they change a log weight, a mean in units of its spread, or a log spread (``Coordinates.unit``). Beyond
some tenths of these, neither a gradient nor a curvature from where the step began says much. Newton's method, which is for the last digits,
goes as far as its quadratic model was seen to hold. Source: Nocedal and Wright (2006), "Numerical optimization", chapter 3.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.inference.climb.climber import Answer, Climber, is_sound
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture

LARGEST_STEP = 0.5
"""Of a step by which a solver goes on. With 0.3, quasi-Newton climbs read the data a few percent more often, and end in the same places."""
SUFFICIENT = 1e-4
"""Share of the gain promised by the slope that a step must bring (Armijo)."""


def extent(about: Coordinates, step: Array) -> Array:
    """The most that a step ``(..., p)`` changes: ``(..., 1)``, never zero."""
    return np.maximum(np.abs(step / about.unit).max(axis=-1, keepdims=True), 1e-300)


def within(about: Coordinates, step: Array) -> Array:
    """A step ``(..., p)``, or several, each shortened where it would change more than ``LARGEST_STEP``."""
    return step * np.minimum(1.0, LARGEST_STEP / extent(about, step))


def backtrack(
    climber: Climber, about: Coordinates, u: Array, gradient: Array, step: Array, most_trials: int
) -> Generator[Mixture, Answer, float | None]:
    """Shorten a step until the bound rises by enough, and accept it.

    Where the bound does not, the top of the parabola through both values and the slope comes next; where the trial is on its way to
    collapse, a quarter.

    Parameters
    ----------
    climber : Climber
    about : Coordinates
    u, gradient : (p,) arrays
        Where it is, and the gradient of the bound there.
    step : (p,) array
    most_trials : int

    Returns
    -------
    float or None
        The share of the step that was taken; zero where none brought anything; ``None`` where all were on their way to collapse.
    """
    bound, slope = climber.bounds[-1], float(gradient @ step)
    share, tried = 1.0, False
    for _ in range(most_trials):
        trial = about.mixture(u + share * step)
        if not is_sound(trial, climber.algorithm.floor):
            share /= 4
            continue
        answer = yield trial
        if answer.bound >= bound + SUFFICIENT * share * slope:
            climber.accept(trial, answer)
            return share
        tried = True
        shortfall = answer.bound - bound - share * slope
        share *= min(0.5, max(0.1, -slope * share / (2 * shortfall)))
    return 0.0 if tried else None
