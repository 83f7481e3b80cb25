"""Squared extrapolation of EM, where there is no more to go by than EM itself: a conjugate prior, or weights that are held equal.

Two EM steps from ``θ₀`` in coordinates about it, ``u₁`` and ``u₂``, give the step ``r = u₁`` and its change ``v = u₂ − 2u₁``; the next
mixture is ``2a r + a² v`` with ``a = ‖r‖/‖v‖``, which is ``u₂`` for ``a = 1``. It is kept only if the bound rises. Source: Varadhan and
Roland (2008), "Simple and globally convergent methods for accelerating the convergence of any EM algorithm", scheme S3.

Where EM's steps shrink by a factor ``ρ``, ``a`` is ``1/(1 − ρ)``, and EM would still gain about ``a/2`` times what a step gains.
Extrapolation leaves steps in which the slowest direction hardly shows, so the largest ``a`` seen, and twice the gain, decide when to stop.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixtura.ground.linalg import EPS
from mixtura.inference.climb.climber import NOTHING_TO_GAIN, Answer, Climber, Steps, Wait, is_sound
from mixtura.inference.rules.collapse import Collapsed
from mixtura.model.mixture import Mixture

LENGTHENING = 4.0
"""By how much longer a step may be than the longest one so far."""


@dataclass(frozen=True)
class Squarem:
    """The solver.

    Attributes
    ----------
    steadiness : float
        It waits until EM's rate of convergence is as steady as that, and slow.
    """

    refines: ClassVar[bool] = False
    steadiness: float

    @property
    def waits(self) -> Wait:
        return Wait(steadiness=self.steadiness)

    def takes_over(self, climber: Climber) -> bool:
        return climber.stopping.is_slow(climber.trail, self.steadiness, climber.patience)

    def steps(self, climber: Climber) -> Steps:
        longest, slowest = LENGTHENING, 1.0
        while True:
            about, before = climber.coordinates(), climber.bounds[-1]
            first = _em_step(climber)
            if first is None:
                return
            if not (yield from _accepted(climber, first)):
                return
            second = _em_step(climber)
            if second is None:
                return
            step = about.vector(first)
            change = about.vector(second) - 2 * step
            length = float(np.linalg.norm(step) / max(float(np.linalg.norm(change)), 1e-300))
            slowest = max(slowest, length)
            gain = climber.bounds[-1] - before
            remaining = gain * slowest if gain > 4 * EPS * abs(before) else 0.0
            climber.stop = climber.stopping.at(remaining, climber.n_passes)
            if climber.stop is not None:
                return
            length = min(max(length, 1.0), longest)
            trial = second if length == 1 else about.mixture(2 * length * step + length**2 * change)
            if is_sound(trial, climber.algorithm.floor):
                answer = yield trial
                if answer.bound >= climber.bounds[-1]:
                    climber.accept(trial, answer)
                    longest = max(longest, LENGTHENING * length)
                    continue
            longest = max(1.0, length / LENGTHENING)
            if not (yield from _accepted(climber, second)):
                return


def _accepted(climber: Climber, mixture: Mixture) -> Generator[Mixture, Answer, bool]:
    """Take an EM step; where it only brings rounding, that is the end."""
    answer = yield mixture
    if answer.bound < climber.bounds[-1]:
        climber.stop = NOTHING_TO_GAIN
        return False
    climber.accept(mixture, answer)
    return True


def _em_step(climber: Climber) -> Mixture | None:
    """The next mixture of plain EM, if there is one and it has coordinates: otherwise EM is to see to it."""
    assert climber.moments is not None
    try:
        mixture: Mixture = climber.algorithm.maximise(climber.moments)
    except Collapsed:
        return None
    return mixture if mixture.weights.all() else None
