"""Moves of a Gibbs sampler that split one component or merge two, with means and covariances integrated out.

Two rows are picked. If they share a component, a split that parts them is proposed, otherwise the merger of their two components. The
split comes from a *launch state*: parameters of two components that a few scans of Gibbs have fitted to the rows concerned. Whatever the
launch state, it depends on those rows and on no labels, so it is the same for a split and for the merger that would undo it, and the move
is accepted with probability

    min(1, p(proposed) p(X | proposed) / [p(current) p(X | current)] · q(back) / q(there)),

``q`` of a split being the product over rows of the probabilities of their sides under the launch state, and of a merger one. Source: Jain
and Neal (2007), "Splitting and merging components of a nonconjugate Dirichlet process mixture model", whose launch state has parameters, on
the target of Jain and Neal (2004), "A split-merge Markov chain Monte Carlo procedure for the Dirichlet process mixture model".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.inference.partitions import PartitionPrior
from mixtura.model.components import ConjugateComponents, select
from mixtura.model.moments import Moments
from mixtura.model.scorer import normalise
from mixtura.sweep import accumulate


class Allocation(NamedTuple):
    """The component of each row, ``(N,)``, and the moments of the ``t`` components, none of them without rows."""

    labels: NDArray[np.int32]
    moments: Moments


@dataclass(frozen=True, eq=False)
class SplitMerge:
    """Splits and mergers of conjugate components.

    Attributes
    ----------
    components : ConjugateComponents
    n_proposals : int
        In each sweep.
    n_scans : int
        Scans of Gibbs that make the launch state.
    """

    components: ConjugateComponents
    n_proposals: int = 1
    n_scans: int = 3

    def __call__(
        self, rows: Array, allocation: Allocation, partition: PartitionPrior, rng: np.random.Generator
    ) -> tuple[Allocation, int]:
        """Try the proposals one after another; return the allocation and how many were accepted."""
        n_accepted = 0
        if len(rows) < 2:
            return allocation, n_accepted
        at = self._log_target(allocation, partition)
        for _ in range(self.n_proposals):
            proposed, log_proposals = self._propose(rows, allocation, rng)
            there = self._log_target(proposed, partition)
            if -rng.standard_exponential() < there - at + log_proposals:
                allocation, at, n_accepted = proposed, there, n_accepted + 1
        return allocation, n_accepted

    def _log_target(self, allocation: Allocation, partition: PartitionPrior) -> float:
        log_prior = partition.log_probability(allocation.moments.count)
        return log_prior + self.components.log_evidence(allocation.moments)

    def _propose(self, rows: Array, allocation: Allocation, rng: np.random.Generator) -> tuple[Allocation, float]:
        """Another allocation, and ``log q(back) − log q(there)``."""
        picked = rng.choice(len(rows), 2, replace=False)
        one, other = allocation.labels[picked]
        members = np.flatnonzero((allocation.labels == one) | (allocation.labels == other))
        anchors = np.searchsorted(members, picked)
        log_shares = self._launch(rows[members], anchors, rng)
        each = np.arange(len(members))
        if one == other:
            sides = _draw_sides(log_shares, anchors, rng)
            return self._split(rows, allocation, members, sides), -float(log_shares[sides, each].sum())
        sides = (allocation.labels[members] == other).astype(np.int64)
        return _merged(allocation, one, other), float(log_shares[sides, each].sum())

    def _launch(self, rows: Array, anchors: NDArray[np.intp], rng: np.random.Generator) -> Array:
        """Log probabilities of both sides for each row, ``(2, n)``: zero for those picked, whose sides are certain."""
        source, diagonal = ArraySource(rows), self.components.structure.diagonal
        # Sides that are nearer find clusters that lie apart; sides tossed by a coin find back from any other partition.
        log_shares = _nearer(rows, anchors) if rng.random() < 0.5 else np.full((2, len(rows)), -np.log(2))
        for _ in range(self.n_scans):
            sides = _draw_sides(log_shares, anchors, rng)
            moments = accumulate(source, sides, 2, diagonal=diagonal)
            scorer = self.components.draw(moments, rng).scorer
            log_shares = scorer.log_joint(scorer.whitened(scorer.residuals(rows)))
            log_shares += np.log(moments.count)[:, None]
            log_shares -= normalise(log_shares.copy())
        log_shares[:, anchors] = 0.0
        return log_shares

    def _split(
        self, rows: Array, allocation: Allocation, members: NDArray[np.intp], sides: NDArray[np.int64]
    ) -> Allocation:
        labels, moments = allocation.labels.copy(), allocation.moments
        n_components, diagonal = len(moments.count), self.components.structure.diagonal
        split = labels[members[0]]
        halves = accumulate(ArraySource(rows[members]), sides, 2, diagonal=diagonal)
        labels[members[sides == 1]] = n_components
        order = np.arange(n_components + 1)
        order[split], order[-1] = n_components, n_components + 1  # the first half takes the place of the whole
        return Allocation(labels, select(Moments.stacked([moments, halves]), order))


def _nearer(rows: Array, anchors: NDArray[np.intp]) -> Array:
    """Log probabilities, zero or minus infinity, that give each row to the nearer one of two, in units of each feature's spread."""
    spread = rows.std(axis=0)
    scaled = rows / np.where(spread > 0, spread, 1.0)
    one, other = (np.square(scaled - scaled[anchor]).sum(axis=1) for anchor in anchors)
    return np.where(np.stack([one <= other, other < one]), 0.0, -np.inf)


def _draw_sides(log_shares: Array, anchors: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.int64]:
    sides = (np.log(1 - rng.random(log_shares.shape[1])) < log_shares[1]).astype(np.int64)
    sides[anchors] = 0, 1
    return sides


def _merged(allocation: Allocation, one: int, other: int) -> Allocation:
    """The second component's rows go to the first, and the last component takes the second's place."""
    labels, moments = allocation.labels.copy(), allocation.moments
    last = len(moments.count) - 1
    labels[labels == other] = one
    labels[labels == last] = other
    both = select(moments, np.array([one])) + select(moments, np.array([other]))
    order = np.arange(last)
    if other < last:
        order[other] = last
    order[one if one < last else other] = last + 1
    return Allocation(labels, select(Moments.stacked([moments, both]), order))
