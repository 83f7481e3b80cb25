"""Climbs over rows that fit a cache, which go on by themselves to the next decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura.data.source import Block, Source
from mixtura.inference.climb.climber import Answer, Climber, Solver, Wait
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import LEAST_PASSES, PATIENCE
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.weights import Dirichlet, StickBreaking
from mixtura.sweep.climbs import (
    Beliefs,
    Departure,
    Family,
    Patience,
    climbs,
    goes_in_one_call,
    knows,
    rows_in_cache,
)

MOST_PATIENCE = 100
"""Passes: a solver needs fewer by far where EM needs hundreds."""
SHARE_OF_PASSES = 0.75
"""Of all that are allowed."""
WORK_OF_A_SOLVER = 10**8
"""Multiplications that take as long as what a solver does beside its passes, on its way to the top."""


@dataclass(frozen=True, eq=False)
class Abridged:
    """What the passes between decisions are done with.

    Attributes
    ----------
    rows : Block
        All rows.
    waits : Wait
        For what the solver waits.
    """

    rows: Block
    waits: Wait

    @classmethod
    def of(cls, source: Source, algorithms: Sequence[object], solver: Solver) -> Abridged | None:
        """For a source of few enough rows, and algorithms of which one at least has an M-step that is known."""
        if not any(_is_known(algorithm) for algorithm in algorithms):
            return None
        rows = rows_in_cache(source)
        return None if rows is None else cls(rows, solver.waits)

    def serves(self, climber: Climber) -> bool:
        """Whether the next passes of a climber are among them; what has been learnt about it goes to its solver at once."""
        return _is_known(climber.algorithm) and climber.curvature is None

    def patience(self, climber: Climber) -> int:
        """Within how many passes in all EM is worth waiting for: a solver's own work takes as long as many where they take little."""
        as_long = WORK_OF_A_SOLVER // (self.rows.rows.size * climber.mixture.means.size)
        return min(MOST_PATIENCE, int(SHARE_OF_PASSES * climber.stopping.max_iter), as_long)

    def __call__(self, climbers: Sequence[Climber]) -> tuple[list[tuple[Any, Answer]], int]:
        """Go on with each to its next decision: the mixture there, not yet accepted, the answer at it, and the most passes of any."""
        groups: dict[tuple[object, int], list[int]] = {}
        for i, climber in enumerate(climbers):
            groups.setdefault((climber.algorithm, climber.patience), []).append(i)
        found: dict[int, tuple[Any, Answer]] = {}
        most = 0
        for (algorithm, in_all), places in groups.items():
            assert isinstance(algorithm, ExpectationMaximization | CoordinateAscent)
            own = [climbers[i] for i in places]
            stopping = own[0].stopping
            patience = Patience(stopping.goal, self.waits.steadiness, LEAST_PASSES, PATIENCE, in_all, stopping.at_last)
            family = _family(algorithm, self.rows.rows.shape[1])
            legs = climbs(self.rows, [self._departure(one) for one in own], family, algorithm.assignment, patience)
            for i, climber, leg in zip(places, own, legs, strict=True):
                climber.pass_by(leg.bounds[:-1])
                found[i] = leg.mixture, Answer(leg.bounds[-1], leg.moments)
                most = max(most, len(leg.bounds))
        return [found[i] for i in range(len(climbers))], most

    def _departure(self, climber: Climber) -> Departure:
        trail = climber.trail
        left = min(climber.stopping.max_iter + 1 - climber.n_passes, self.waits.passes - len(trail))
        return Departure(climber.mixture, trail, max(1, left))


def _is_known(algorithm: object) -> bool:
    if isinstance(algorithm, CoordinateAscent):
        return knows(algorithm.weights)
    return (
        isinstance(algorithm, ExpectationMaximization)
        and algorithm.penalty is None
        and isinstance(algorithm.structure, SharedBlocks)
        and goes_in_one_call(algorithm.assignment)
    )


def _family(algorithm: ExpectationMaximization | CoordinateAscent, n_features: int) -> Family | Beliefs:
    if isinstance(algorithm, CoordinateAscent):
        assert isinstance(algorithm.weights, Dirichlet | StickBreaking)
        return Beliefs(algorithm.structure, algorithm.prior, algorithm.weights)
    structure = algorithm.structure
    assert isinstance(structure, SharedBlocks)
    floor = None
    if np.any(algorithm.floor):
        floor = np.ascontiguousarray(np.broadcast_to(np.asarray(algorithm.floor, dtype=np.float64), n_features))
    return Family(structure, algorithm.equal_weights, floor, algorithm.prior)
