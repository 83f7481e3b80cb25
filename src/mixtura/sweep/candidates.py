"""A truncated E-step: each row is shared among a few candidates, which are remembered and improved from pass to pass.

A row belongs to a group, by default that of its most probable component, and all rows of a group have the same candidates: its component
and those near it. What is summed over rows, ``log Σ_{k ∈ K_n} ρ_nk``, is no more than the log density. It is a free energy of the mixture
and the sets: an M-step does not lower it, nor does a change of the sets that is made only where the sum becomes larger. So it climbs, as
EM's bound does. Sources: Lücke and Eggert (2010), "Expectation truncation and the benefits of preselection in training generative models";
Forster and Lücke (2018), "Can clustering scale sublinearly with its clusters? A variational EM acceleration of GMMs and k-means".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Source
from mixtura.ground.linalg import Array
from mixtura.model.scorer import Scored, Scorer
from mixtura.sweep.assign import Anywhere, Assignment, soft
from mixtura.sweep.nearest import nearest_components

NEIGHBOURS = 4
"""Times as many neighbours of a component are looked at as there are candidates."""
WATCHED = 1024
"""Rows that say how much is dropped."""


class Memory:
    """What a climb remembers of its rows.

    Parameters
    ----------
    n_rows : int

    Attributes
    ----------
    groups : (N,) int32 array
        The component whose candidates a row has.
    lists : dict of (K, C) int32 array
        The candidates of each group, its own component first: for each strip, by the place of its first row.
    neighbours : (K, 4 C) int32 array or None
        Among which groups look for new candidates in this pass.
    n_passes : int
        So far.
    """

    def __init__(self, n_rows: int) -> None:
        self.groups = np.zeros(n_rows, np.int32)
        self.lists: dict[int, NDArray[np.int32]] = {}
        self.neighbours: NDArray[np.int32] | None = None
        self.n_passes = 0
        self._is_due = False

    def begin_pass(self, scorer: Scorer, n_candidates: int) -> None:
        """Candidates are looked for in the first pass, and again after one, two, four, eight of them."""
        is_due = self._is_due or self.n_passes & (self.n_passes - 1) == 0
        n_neighbours = min(len(scorer.constants), NEIGHBOURS * n_candidates)
        self.neighbours = nearest_components(scorer, n_neighbours) if is_due else None
        self.n_passes, self._is_due = self.n_passes + 1, False

    def look_again(self) -> None:
        """Have candidates looked for in the next pass, too."""
        self._is_due = True

    def candidates_at(self, places: NDArray[np.intp]) -> NDArray[np.int32]:
        """Of rows at these places, ``(B, C)``."""
        starts = sorted(self.lists)
        strips = np.searchsorted(starts, places, side="right") - 1
        candidates: NDArray[np.int32] = np.stack([self.lists[start] for start in starts])[strips, self.groups[places]]
        return candidates


@dataclass(frozen=True, eq=False)
class Truncated(Anywhere):
    """Shares among a few candidates of each row, whose log joints it is handed; the bound is no more than that of all components.

    Attributes
    ----------
    n_candidates : int
        ``C``.
    within : Assignment
        How a row is shared among its candidates.
    memory : Memory or None
        Of one climb. Without it each pass finds the candidates anew.
    """

    n_candidates: int
    within: Assignment = soft
    memory: Memory | None = None

    def over(self, n_rows: int) -> Self:
        return replace(self, memory=Memory(n_rows))

    def __call__(self, log_joint: Array) -> Array:
        return self.within(log_joint)

    def share_bounded(self, log_joint: Array) -> Array | None:
        return self.within.share_bounded(log_joint)


def among_all(assignment: Assignment) -> Assignment:
    """The same among all components."""
    return assignment.within if isinstance(assignment, Truncated) else assignment


def dropped(source: Source, belief: Scored, assignment: Assignment) -> float:
    """Estimate of what the bound of the last pass lacks, per row: log-normalisers of rows evenly spaced, less those of their candidates.

    Parameters
    ----------
    source : Source
    belief : Mixture, or what has a scorer as well
        Of that pass.
    assignment : Assignment
    """
    memory = assignment.memory if isinstance(assignment, Truncated) else None
    if memory is None or not memory.lists:
        return 0.0
    places = np.unique(np.linspace(0, source.n_rows - 1, WATCHED).astype(np.intp))
    rows, weights = source.take(places)
    candidates, lacking = memory.candidates_at(places), np.empty(len(places))
    scorer = belief.scorer
    within, size = among_all(assignment), scorer.block_rows()
    for start in range(0, len(places), size):
        part = slice(start, start + size)
        joint = scorer.log_joint_of(rows[part])
        own = np.take_along_axis(joint, candidates[part].T, axis=0)
        lacking[part] = within(joint) - within(own)
    return float(np.average(lacking, weights=weights))
