"""First-order ascent: the plain gradient, and generalised EM.

``Gradient`` follows the gradient in unconstrained coordinates taken once, at the start: what EM is compared with in the literature.
``GeneralisedEM`` takes coordinates anew at each step. There the expected complete log-likelihood has the curvature of minus the identity,
so its gradient is a Newton step of the M-step; shortened until the bound rises, it serves where the M-step has no closed form. Source:
Dempster, Laird and Rubin (1977), section 3; Lange (1995), "A gradient algorithm locally equivalent to the EM algorithm".
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.inference.climb.climber import NOTHING_TO_GAIN, Answer, Climber, Steps, Wait, is_sound
from mixtura.inference.climb.steps import backtrack, within
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture

MOST_TRIALS = 20
PATIENCE = 20
"""Steps whose gain together decides when plain gradient ascent ends."""


@dataclass(frozen=True)
class Gradient:
    """Gradient ascent with a line search that lengthens and shortens its step."""

    refines: ClassVar[bool] = False
    waits: ClassVar[Wait] = Wait(1)

    def takes_over(self, climber: Climber) -> bool:
        return True

    def steps(self, climber: Climber) -> Steps:
        about, length = climber.coordinates(), 1.0
        u = np.zeros(about.size)
        while not self._stopped(climber):
            gradient = climber.gradient(about, u)
            step = yield from ascend(climber, about, u, gradient, 2 * length)
            if step is None:
                return
            u, length = u + step, float(np.linalg.norm(step) / np.linalg.norm(gradient))

    def _stopped(self, climber: Climber) -> bool:
        """Steps of a line search are too uneven to extrapolate from: what several of them brought stands for what is still to come."""
        bounds = climber.bounds
        brought = bounds[-1] - bounds[-1 - PATIENCE] if len(bounds) > PATIENCE else math.inf
        climber.stop = climber.stopping.at(brought, climber.n_passes)
        return climber.stop is not None


@dataclass(frozen=True)
class GeneralisedEM:
    """A step of the M-step's own Newton method in place of the M-step."""

    refines: ClassVar[bool] = False
    waits: ClassVar[Wait] = Wait(1)

    def takes_over(self, climber: Climber) -> bool:
        return True

    def steps(self, climber: Climber) -> Steps:
        while True:
            climber.stop = climber.stopping(climber.bounds, climber.n_passes)
            if climber.stop is not None:
                return
            about = climber.coordinates()
            u = np.zeros(about.size)
            if (yield from ascend(climber, about, u, climber.gradient(about, u), 1.0)) is None:
                return


def ascend(
    climber: Climber, about: Coordinates, u: Array, gradient: Array, length: float
) -> Generator[Mixture, Answer, Array | None]:
    """A step along the gradient of at most so many of its lengths, or ``None``.

    Where shorter and shorter steps bring nothing, that is the end; where a step as long as EM's is on its way to collapse, EM is to go on.
    """
    if not is_sound(about.mixture(u + within(about, gradient)), climber.algorithm.floor):
        return None
    step = within(about, length * gradient)
    share = yield from backtrack(climber, about, u, gradient, step, MOST_TRIALS)
    if share:
        return share * step
    if share is not None:
        climber.stop = NOTHING_TO_GAIN
    return None
