"""What a solver other than plain EM is to the loop: a generator that asks for reads of the data and says what it has accepted.

A solver is straight-line code. It yields a mixture to have it swept, or a direction to have the moments differentiated, and is handed the
answer; so the reads of many runs, each at its own place in its own line search, are still shared. When it returns, EM goes on.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.inference.climb.curvature import Curvature
from mixtura.inference.rules.collapse import Collapsed
from mixtura.inference.rules.penalty import Penalty
from mixtura.inference.rules.stopping import Stop, Stopping
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep import Assignment, soft

NOTHING_TO_GAIN = Stop("converged", True, 0.0, "converged: no step along the gradient raises the bound")
UNLIMITED = 2**62
SAME_BOUND = 1e-9
"""Relative difference up to which two bounds are one."""
LARGEST_CONDITION = 1e13
"""A trial mixture with a component worse conditioned than this is on its way to collapse: EM is to see to it."""


class Algorithm(Protocol):
    """What the loop asks of an algorithm; a belief is a mixture, or anything else that has a ``scorer``."""

    @property
    def structure(self) -> CovarianceStructure:
        """Of the covariances."""

    @property
    def floor(self) -> Array | float:
        """Smallest variance allowed, for all features or for each; zero for none."""

    @property
    def collapsed(self) -> Array | float | None:
        """Variance of its own rows from which a component at the floor has collapsed; ``None`` for the floor itself."""

    @property
    def assignment(self) -> Assignment:
        """How rows are shared."""

    @property
    def penalty(self) -> Penalty | None:
        """What leaves the algorithm without an update of its own."""

    def maximise(self, moments: Moments) -> Any:
        """The next belief."""

    def maximise_stack(self, stack: Sequence[Moments]) -> Sequence[Any]:
        """The next belief of each of several runs, or ``Collapsed``."""

    def admitted(self, belief: Any) -> Any:
        """The end of another climb as this one may go on from it; ``None`` where its form is another."""

    def log_prior(self, belief: Any) -> float:
        """What is added to the log-normalisers to make the bound."""


class Direction(NamedTuple):
    """Asks for the derivative of the moments when a mixture's scorer moves so: one read, of twice the work."""

    mixture: Mixture
    scorer: Scorer


class Answer(NamedTuple):
    """The bound and the moments at a mixture."""

    bound: float
    moments: Moments


Steps = Generator[Mixture | Direction, Any, None]
"""Yields a ``Mixture`` for an ``Answer``, a ``Direction`` for ``Moments``."""


@dataclass(eq=False)
class Climber:
    """One run on its way.

    Attributes
    ----------
    algorithm : Algorithm
    stopping : Stopping
    mixture : Mixture, or what the algorithm believes instead
        The last one accepted, and ``moments`` there.
    bounds : list of float
        Of those accepted.
    passes : list of int
        Reads of the data up to each of them.
    n_passes : int
        Reads of the data so far.
    stop : Stop or None
    history : tuple of float
        Bounds of an earlier climb that ended where this one begins.
    assignment : Assignment
        That of the algorithm, with a memory of the rows of this run where it has one.
    curvature : Curvature or None
        What has been learnt of the bound: before it begins, by a climb on part of the data; once it has ended, by this one.
    patience : int
        Passes in all within which EM may be at its end before it counts as slow.
    """

    algorithm: Algorithm
    stopping: Stopping
    mixture: Any
    moments: Moments | None = None
    bounds: list[float] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)
    n_passes: int = 0
    stop: Stop | None = None
    history: tuple[float, ...] = ()
    curvature: Curvature | None = None
    assignment: Assignment = soft
    patience: int = 0

    @property
    def trail(self) -> Sequence[float]:
        """The bounds, with those of the earlier climb before them: what says how fast it goes."""
        return (*self.history[:-1], *self.bounds) if self.history else self.bounds

    def accept(self, mixture: Any, answer: Answer) -> None:
        """Take a step."""
        self.mixture, self.moments = mixture, answer.moments
        self._note(answer.bound)

    def pass_by(self, bounds: Sequence[float]) -> None:
        """Take steps about which there was nothing to decide, each after a read of the data."""
        for bound in bounds:
            self.n_passes += 1
            self._note(bound)

    def _note(self, bound: float) -> None:
        if self.history and not self.bounds and not math.isclose(self.history[-1], bound, rel_tol=SAME_BOUND):
            self.history = ()  # it was about other data
        self.bounds.append(bound)
        self.passes.append(self.n_passes)

    def coordinates(self) -> Coordinates:
        """Coordinates about where it is."""
        assert self.moments is not None
        return Coordinates(self.mixture, self.moments.count)

    def gradient(self, about: Coordinates, u: Array) -> Array:
        """Gradient of the bound at the mixture it is at, which ``u`` stands for."""
        assert self.moments is not None
        gradient, penalty = about.gradient(u, self.moments), self.algorithm.penalty
        return gradient if penalty is None else gradient + about.pull_back(u, penalty.gradient(self.mixture))


class Wait(NamedTuple):
    """What a solver waits for before it looks at a climber again: so many passes, or that EM converges slowly, at a rate as steady as that.

    It looks at one that has converged, too.
    """

    passes: int = UNLIMITED
    steadiness: float = 0.0


class Solver(Protocol):
    """Takes climbers over from EM."""

    refines: ClassVar[bool]
    """Whether it goes on where EM would call it converged."""

    @property
    def waits(self) -> Wait:
        """For what."""

    def takes_over(self, climber: Climber) -> bool:
        """Whether to do so now."""

    def steps(self, climber: Climber) -> Steps:
        """Climb on from where the climber is; return to hand it back to EM."""


class PlainEM:
    """Never takes over."""

    refines: ClassVar[bool] = False
    waits: ClassVar[Wait] = Wait()

    def takes_over(self, climber: Climber) -> bool:
        return False

    def steps(self, climber: Climber) -> Steps:
        yield from ()


PLAIN_EM = PlainEM()


def last_step(climber: Climber) -> Steps:
    """One EM step, where there is one: it leaves the weights and covariances exactly those of the responsibilities."""
    assert climber.moments is not None
    if climber.algorithm.penalty is not None:
        return
    try:
        mixture = climber.algorithm.maximise(climber.moments)
    except Collapsed:
        return
    answer = yield mixture
    climber.accept(mixture, answer)


def is_sound(mixture: Mixture, floor: Array | float) -> bool:
    """Whether a trial mixture keeps clear of collapse: finite, no variance at the floor, none lost beside the others."""
    scorer = mixture.scorer
    if not (np.isfinite(scorer.whitening).all() and np.isfinite(scorer.constants).all()):
        return False
    # tr F Σ⁻¹ and tr diag(Σ) Σ⁻¹: in units of the floor, and of each feature's own spread.
    precisions = scorer.precision_diagonals
    variances = mixture.structure.variances(mixture.covariances, *mixture.means.shape)
    return bool(((precisions * np.maximum(floor, variances / LARGEST_CONDITION)).sum(axis=1) < 1).all())
