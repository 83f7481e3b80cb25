"""Where a truncated climb seems to end, candidates are looked for once more: what it has converged to may be that of old ones.

The E-step is repeated at the same mixture with candidates that are looked for anew. If the bound gains no more by that than is to be left
anyway, the climb has ended; else EM goes on with them.
"""

from __future__ import annotations

from typing import ClassVar

from mixtura.inference.climb.climber import Climber, Steps, Wait
from mixtura.inference.rules.stopping import Stop, remaining_gain
from mixtura.sweep import Truncated


class LookingAgain:
    """Takes over from EM on few candidates when it has converged."""

    refines: ClassVar[bool] = True
    waits: ClassVar[Wait] = Wait()

    def takes_over(self, climber: Climber) -> bool:
        return remaining_gain(climber.trail) <= climber.stopping.goal

    def steps(self, climber: Climber) -> Steps:
        assignment, before = climber.assignment, climber.bounds[-1]
        assert isinstance(assignment, Truncated)
        assert assignment.memory is not None
        remaining = remaining_gain(climber.trail)
        assignment.memory.look_again()
        answer = yield climber.mixture
        climber.accept(climber.mixture, answer)
        if answer.bound - before <= climber.stopping.goal:
            climber.stop = Stop.at_top(remaining)
