"""Quasi-Newton ascent where EM is slow: limited-memory BFGS in coordinates whitened by the complete-data information.

EM is steepest ascent in these coordinates, with steps of length one, and slow where the missing information is large. Curvature pairs
learn just that. Far from the optimum a quasi-Newton step leaves the basin that EM would stay in, so steps are limited, and by default EM
hands over only once its rate is steady.

What is still to come is half the gradient times the step to the top, which is long where the bound is flat. Curvature pairs know only the
directions that the ascent has been along; on a plateau the others matter more, and they are taken to be as flat as the flattest seen. So
an ascent ends once it has been along them, or they hardly slope. Sources: Nocedal and Wright (2006), "Numerical optimization", algorithm
7.4; Lange (1995), "A quasi-Newton acceleration of the EM algorithm".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.inference.climb.climber import Climber, Steps, last_step
from mixtura.inference.climb.steps import backtrack, extent, within
from mixtura.inference.rules.stopping import LEAST_PASSES, Stop, is_slow, remaining_gain

MEMORY = 40
"""Curvature pairs kept."""
REBASE = 0.4
"""Once a log weight, a mean in units of its spread, or a log spread has changed by so much, coordinates are taken about the new place."""
MOST_TRIALS = 6
CAUTION = 0.1
"""The gain that curvature pairs promise must be this much below the goal."""
UNSEEN = 10.0
"""By how much both estimates may be too small where an ascent has been along few directions yet."""
WORTH_A_STRIDE = 0.01
"""Share of the goal that must be still to come for a last step to follow."""
FLAT = 0.003
"""Whitened curvature of directions that nobody has been along, until flatter ones are seen: one minus EM's rate of convergence there."""
FLATTEST = 1e-4
"""With less, the ascent would not end: what is flatter than that is as good as flat."""


@dataclass(frozen=True)
class QuasiNewton:
    """The solver.

    Attributes
    ----------
    least_passes : int
        EM passes before it takes over.
    steadiness : float or None
        If given, it waits until EM's rate of convergence is as steady as that, and slow.
    """

    refines: ClassVar[bool] = True
    least_passes: int = LEAST_PASSES
    steadiness: float | None = None

    def takes_over(self, climber: Climber) -> bool:
        if _has_arrived(climber):
            return True
        if self.steadiness is None:
            return len(climber.trail) >= self.least_passes
        return is_slow(climber.trail, climber.stopping.goal, self.steadiness)

    def steps(self, climber: Climber) -> Steps:
        if _has_arrived(climber):
            return (yield from _last_stride(climber))
        about = climber.coordinates()
        u = np.zeros(about.size)
        gradient = climber.gradient(about, u)
        pairs: list[tuple[Array, Array]] = []
        flat = FLAT
        while True:
            direction = _ascent_direction(gradient, pairs)
            if not gradient @ direction > 0:
                pairs.clear()
                direction = gradient
            slopes = gradient @ direction / CAUTION, gradient @ _newton_step(gradient, pairs, 1 / flat)
            if stop := climber.stopping.at(0.5 * UNSEEN * float(max(slopes)), climber.n_passes):
                yield from last_step(climber)
                climber.stop = stop
                return
            step = within(about, direction)
            share = yield from backtrack(climber, about, u, gradient, step, MOST_TRIALS)
            if not share:
                if not pairs:
                    return  # not even along the gradient: nothing left but rounding, or the edge of the possible
                pairs.clear()
                continue
            step = share * step
            new_gradient = climber.gradient(about, u + step)
            change = gradient - new_gradient
            if step @ change > 1e-10 * np.linalg.norm(step) * np.linalg.norm(change):
                pairs[: len(pairs) + 1 - MEMORY] = []
                pairs.append((step, change))
                flat = max(FLATTEST, min(flat, float(step @ change / (step @ step))))
            u, gradient = u + step, new_gradient
            if extent(about, u) > REBASE:
                about, u, pairs = climber.coordinates(), np.zeros(about.size), []
                gradient = climber.gradient(about, u)


def _has_arrived(climber: Climber) -> bool:
    """Whether EM has little more to gain, and yet more than two reads of the data are worth."""
    goal = climber.stopping.goal
    return WORTH_A_STRIDE * goal < remaining_gain(climber.trail) <= goal


def _last_stride(climber: Climber) -> Steps:
    """Where EM has all but arrived: all of the way that it has left along the direction it goes in, and an EM step from there.

    In these coordinates a step of EM is the gradient. Steps shrink by a factor ``a``, and the gains by steps by ``a²``; so ``1/(1 − a)``
    steps are left.
    """
    remaining, (before, gain) = remaining_gain(climber.trail), np.diff(climber.trail[-3:])
    about = climber.coordinates()
    u = np.zeros(about.size)
    gradient = climber.gradient(about, u)
    step = within(about, gradient / (1 - float(np.sqrt(gain / before))))
    yield from backtrack(climber, about, u, gradient, step, 1)
    yield from last_step(climber)
    climber.stop = Stop.at_top(remaining)


def _ascent_direction(gradient: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """A step to the top, elsewhere as curved as along the last pair."""
    if not pairs:
        return gradient
    step, change = pairs[-1]
    return _newton_step(gradient, pairs, float((step @ change) / (change @ change)))


def _newton_step(gradient: Array, pairs: list[tuple[Array, Array]], elsewhere: float) -> Array:
    """The inverse of the curvature learnt so far, and so much where nothing is known, times the gradient (two-loop recursion)."""
    q, weights = gradient.copy(), []
    for step, change in reversed(pairs):
        weight = (step @ q) / (step @ change)
        weights.append(weight)
        q -= weight * change
    q *= elsewhere
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        q += (weight - (change @ q) / (step @ change)) * step
    return q
