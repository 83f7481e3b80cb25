"""Newton's method: exact Hessian–vector products, conjugate gradients, and a trust region.

The Hessian is never formed. Each product is a read of the data with twice the work, so this is for the last digits of an answer, not for
getting near it. Source: Steihaug (1983), "The conjugate gradient method and trust regions in large scale optimization".
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixtura.ground.linalg import EPS, Array
from mixtura.inference.climb.climber import Answer, Climber, Direction, Steps, Wait, is_sound
from mixtura.inference.rules.stopping import Stop
from mixtura.model.coordinates import Coordinates

SMALLEST_GRADIENT = 1e-9
"""Norm of the gradient in whitened units at which it stops."""
SMALLEST_STEP = 1e-9
"""Radius of the trust region, relative to the gradient, from which it gives up."""
FORCING = 0.1
"""Conjugate gradients stop once the residual is this much smaller than the gradient (and smaller still near the maximum)."""


@dataclass(frozen=True)
class Newton:
    """The solver.

    Attributes
    ----------
    least_passes : int
        EM passes before it takes over.
    """

    refines: ClassVar[bool] = True
    least_passes: int = 10

    @property
    def waits(self) -> Wait:
        return Wait(self.least_passes)

    def takes_over(self, climber: Climber) -> bool:
        converged = climber.stopping(climber.trail, 0) is not None
        return converged or len(climber.trail) >= self.least_passes

    def steps(self, climber: Climber) -> Steps:
        radius = 1.0
        while True:
            about = climber.coordinates()
            gradient = climber.gradient(about, np.zeros(about.size))
            size = float(np.linalg.norm(gradient))
            if size <= SMALLEST_GRADIENT:
                climber.stop = Stop("converged", True, 0.0, f"converged: the gradient is {size:.1g} in whitened units")
                return
            if stop := climber.stopping.at(np.inf, climber.n_passes):
                climber.stop = stop
                return
            if not is_sound(climber.mixture, climber.algorithm.floor):
                climber.stop = climber.stopping(
                    climber.trail, climber.n_passes
                )  # held at the floor, which EM alone knows
                return
            radius = max(radius, size)
            while True:
                step, promised = yield from _conjugate_gradients(climber, about, gradient, radius)
                trial = about.mixture(step)
                if not is_sound(trial, climber.algorithm.floor):
                    radius = float(np.linalg.norm(step)) / 4
                    if radius > SMALLEST_STEP * size:
                        continue
                    climber.stop = climber.stopping(climber.trail, climber.n_passes)
                    return
                answer: Answer = yield trial
                gain, length = answer.bound - climber.bounds[-1], float(np.linalg.norm(step))
                noise = 16 * EPS * abs(answer.bound)
                if promised <= noise:  # the bound has no digits left to tell by; the gradient has
                    if np.linalg.norm(about.gradient(step, answer.moments)) < 0.5 * size:
                        climber.accept(trial, answer)
                        break
                    climber.stop = Stop("converged", True, 0.0, f"converged: the gradient, {size:.1g}, is rounding")
                    return
                if gain >= 0.1 * promised - noise:
                    if gain >= 0.75 * promised:
                        radius = max(radius, 2 * length)
                    climber.accept(trial, answer)
                    break
                radius = length / 4
                if climber.n_passes > climber.stopping.max_iter:
                    climber.stop = climber.stopping(climber.trail, climber.n_passes)
                    return


def _conjugate_gradients(
    climber: Climber, about: Coordinates, gradient: Array, radius: float
) -> Generator[Direction, Any, tuple[Array, float]]:
    """The step to the top of the quadratic model within the radius, and the gain that the model promises."""
    assert climber.moments is not None
    origin, gauge = np.zeros(about.size), about.gauge
    step, residual = origin.copy(), gradient - (gradient @ gauge) * gauge
    direction, promised = residual.copy(), 0.0
    size = float(np.linalg.norm(gradient))
    target = min(FORCING, size) * size
    for _ in range(2 * about.size):
        change = yield Direction(climber.mixture, about.tangent(origin, direction))
        fall = -about.hessian_times(
            origin, direction, climber.moments, change
        )  # minus the Hessian, positive at a maximum
        fall -= (fall @ gauge) * gauge  # there is nothing along it but rounding
        curvature, slope = float(direction @ fall), float(residual @ direction)
        length = slope / curvature if curvature > 0 else np.inf
        if not np.isfinite(length) or np.linalg.norm(step + length * direction) >= radius:
            length = _to_the_edge(step, direction, radius)
            return step + length * direction, promised + length * slope - 0.5 * length**2 * curvature
        step = step + length * direction
        promised += 0.5 * length * slope
        previous = float(residual @ residual)
        residual = residual - length * fall
        if np.linalg.norm(residual) <= target:
            break
        direction = residual + float(residual @ residual) / previous * direction
    return step, promised


def _to_the_edge(step: Array, direction: Array, radius: float) -> float:
    """How far along the direction the trust region ends."""
    a, b, c = float(direction @ direction), float(step @ direction), float(step @ step) - radius**2
    return (-b + float(np.sqrt(b * b - a * c))) / a
