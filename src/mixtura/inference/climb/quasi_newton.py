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
from mixtura.inference.climb.climber import Climber, Steps, Wait, last_step
from mixtura.inference.climb.curvature import Curvature
from mixtura.inference.climb.steps import backtrack, extent, within
from mixtura.inference.rules.stopping import LEAST_PASSES, Stop, remaining_gain
from mixtura.model.coordinates import Coordinates

REBASE = 0.4
"""Once a log weight, a mean in units of its spread, or a log spread has changed by so much, coordinates are taken about the new place."""
MOST_TRIALS = 6
WORTH_A_STRIDE = 0.01
"""Share of the goal that must be still to come for a last step to follow."""


@dataclass(frozen=True)
class QuasiNewton:
    """The solver.

    Attributes
    ----------
    least_passes : int
        EM passes before it takes over.
    steadiness : float or None
        If given, it waits until EM's rate of convergence is as steady as that, and slow.
    surveys : bool
        Whether it leaves behind what it has learnt of the curvature, for a climb on more of the data.
    """

    refines: ClassVar[bool] = True
    least_passes: int = LEAST_PASSES
    steadiness: float | None = None
    surveys: bool = False

    @property
    def waits(self) -> Wait:
        return Wait(self.least_passes) if self.steadiness is None else Wait(steadiness=self.steadiness)

    def takes_over(self, climber: Climber) -> bool:
        if climber.curvature is not None or _has_arrived(climber):
            return True
        if self.steadiness is None:
            return len(climber.trail) >= self.least_passes
        return climber.stopping.is_slow(climber.trail, self.steadiness, climber.patience)

    def steps(self, climber: Climber) -> Steps:
        if climber.curvature is None and _has_arrived(climber):
            return (yield from _last_stride(climber))
        curvature, about, u = _begun(climber)
        gradient = climber.gradient(about, u)
        while True:
            direction, remaining = curvature.ascent(gradient)
            if not gradient @ direction > 0:
                curvature = curvature.without_pairs()
                direction, remaining = curvature.ascent(gradient)
            if stop := climber.stopping.at(remaining, climber.n_passes):
                yield from last_step(climber)
                climber.curvature, climber.stop = curvature if self.surveys else None, stop
                return
            step = within(about, direction)
            share = yield from backtrack(climber, about, u, gradient, step, MOST_TRIALS)
            if not share:
                if not curvature.n_pairs:
                    return  # not even along the gradient: nothing left but rounding, or the edge of the possible
                curvature = curvature.without_pairs()
                continue
            step = share * step
            new_gradient = climber.gradient(about, u + step)
            curvature = curvature.with_pair(step, gradient - new_gradient)
            u, gradient = u + step, new_gradient
            if extent(about, u) > REBASE:
                curvature, about, u = _afresh(climber)
                gradient = climber.gradient(about, u)


def _begun(climber: Climber) -> tuple[Curvature, Coordinates, Array]:
    """Where the climber is, in coordinates in which curvature is known from part of the data, or else in its own."""
    learnt, climber.curvature = climber.curvature, None
    if learnt is None:
        return _afresh(climber)
    assert climber.moments is not None
    learnt = learnt.on_all(float(climber.moments.count.sum()))
    about = learnt.coordinates
    u = about.vector(climber.mixture)
    return (learnt, about, u) if extent(about, u) <= REBASE else _afresh(climber)


def _afresh(climber: Climber) -> tuple[Curvature, Coordinates, Array]:
    assert climber.moments is not None
    curvature = Curvature(climber.mixture, climber.moments.count)
    about = curvature.coordinates
    return curvature, about, np.zeros(about.size)


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
