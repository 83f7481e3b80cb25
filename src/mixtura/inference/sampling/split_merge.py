"""Moves of a Gibbs sampler that split one component or merge two.

Two rows, ``i`` and ``j``, are picked, see ``split_sites.py``. If they share a component ``m``, a split into ``a`` (with ``i``) and ``b``
(with ``j``) is proposed, else the merger of their components. Either way the *launch* looks at the rows ``C`` of these components, at ``i``
and ``j``, and at no labels within: a few steps of EM share the rows among two components, so it is the same for a split and for the merger
that would undo it. About its end lie the laws ``q`` of the parameters of ``a`` and ``b``, the wider the less certain the shares are, and of
``v``, the share of ``a``. Labels within ``C`` follow from those: of the other rows each is in ``a`` with probability
``v N_a / (v N_a + (1 − v) N_b)``, ``N_k`` being the density of a row in a component.

The target is extended by ``v ~ Beta(n_a + 1, n_b + 1)`` given labels, which a merger therefore draws. The density of target over proposal
of the pair, over that of the single component, is

    p(n_a, n_b, …)/p(n_m, …) · v (1 − v)/B(n_a + 1, n_b + 1) · N_a(i) N_b(j) Π_{C∖{i,j}} (v N_a + (1 − v) N_b) / Π_C N_m
        · p(θ_a) p(θ_b)/p(θ_m) · q(θ_m | C)/[q(θ_a) q(θ_b) q(v)] · c,

with ``p(n_1, …)`` the prior of a partition into sets of such sizes, and ``c`` how much likelier the merger is tried than the split. Labels
within ``C`` enter by their numbers alone, so moves succeed where components overlap too. Where all components share a block of the
covariances, a move proposes that block and all means. Source of the launch from two rows: Jain and Neal (2007), "Splitting and merging
components of a nonconjugate Dirichlet process mixture model".

Where only some rows are looked at, drawn once for all and whatever their labels are, ``i`` and ``j`` are two of them, and a launch looks at
those of ``C`` before a last step of EM over all of ``C``. All else is of all rows, by passes: ``all_rows.py``.

Moves seldom succeed, so several are worked out at once from one state, and those after the first that succeeds are not looked at. Those of
all chains are one stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from mixtura.ground.linalg import EPS, Array
from mixtura.inference.sampling.affinity import Neighbours
from mixtura.inference.sampling.all_rows import AllRows, Sides
from mixtura.inference.sampling.split_sites import Affinities, Allocation, Flags, Sites, Stack
from mixtura.inference.sampling.weights import PartitionPrior
from mixtura.model.laws.components import ComponentPrior, Components
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.labelled import Renamed
from mixtura.sweep.sides import LEAST_LOG_ODDS, drawn_sides
from mixtura.sweep.whole_rows import TwoSides, WholeRows

TOGETHER = 1.5
"""Moves that succeed, as far as is known, among those of one chain that are worked out at once."""
MOST_ROWS = 2**13
"""Rows that the moves of one sweep look at: where there are many, one move costs about as much as the sweep."""
ENOUGH = 1.2
"""Moves that succeed in a sweep, of each chain."""
N_STEPS = 6
"""Of EM, of which a launch consists."""
TINY = 1e-300


@dataclass
class Tally:
    """How many moves have been tried, and how many of them succeeded, of all chains together."""

    tried: int = 0
    accepted: int = 0
    settled: float | None = None

    def settle(self) -> None:
        """From now on the number of moves in a sweep stays as it is: were it to follow the draws, it might change their law."""
        self.settled = self._tries

    @property
    def _tries(self) -> float:
        """For each that succeeds."""
        return (self.tried + 10) / (self.accepted + 1)

    def moves(self, most: int, n_rows: int) -> int:
        """How many to try in a sweep: not many more than are enough for some to succeed, nor than rows have time for."""
        tries = self._tries if self.settled is None else self.settled
        return min(most, max(1, MOST_ROWS // n_rows), max(1, int(ENOUGH * tries)))

    @property
    def together(self) -> int:
        """How many moves from one state to work out at once, so that few are in vain; that changes no law."""
        return max(1, int(TOGETHER * self._tries))


class _Parameters(NamedTuple):
    """Of pairs and of single components, one of which is there and the other proposed.

    Attributes
    ----------
    scorer : Scorer
        All ``a``, then all ``b``, then all ``m``.
    log_ratios : (P,) array
        ``log p(θ) − log q(θ)`` of pairs less that of single components, with the densities of all other rows where these change.
    affinities : Affinities
    proposed : callable
        The components of one move: two, or one, or all where they share a block.
    """

    scorer: Scorer
    log_ratios: Array
    affinities: Affinities
    proposed: Callable[[int], Components]


class _Moves(NamedTuple):
    """Moves that have been worked out: the sides of splits, log ratios of acceptance, ``(P,)``, and the components that are made."""

    sides: Sides
    log_ratios: Array
    proposed: Callable[[int], Components]


@dataclass(frozen=True, eq=False)
class SplitMerge:
    """Splits and mergers.

    Parameters
    ----------
    rows : WholeRows
        That are looked at.
    components : ComponentPrior
    partition : PartitionPrior
    n_proposals : int
        In each sweep, or fewer where there are many rows.
    all_rows : AllRows, optional
        Where only some are looked at.
    """

    rows: WholeRows
    components: ComponentPrior
    partition: PartitionPrior
    n_proposals: int
    all_rows: AllRows | None = None
    tally: Tally = field(default_factory=Tally, init=False)

    def __call__(
        self, allocations: list[Allocation], rng: np.random.Generator
    ) -> tuple[list[Allocation], NDArray[np.intp], NDArray[np.intp]]:
        """Try the moves of each chain one after another; how many were tried and how many succeeded, ``(C,)``."""
        allocations = list(allocations)
        n_moves = self.tally.moves(self.n_proposals, len(self.rows)) if len(self.rows) > 1 else 0
        tried, accepted = np.zeros(len(allocations), int), np.zeros(len(allocations), int)
        while (going := np.flatnonzero(tried < n_moves)).size:
            stack = Stack.of([allocations[c] for c in going])
            numbers = np.minimum(self.tally.together, n_moves - tried[going])
            sites = Sites.of(stack, numbers, self._full(stack), rng)
            tried[going] += numbers
            if not len(sites.chains):
                continue
            moves = self._worked_out(stack, sites, rng)
            succeeds = np.flatnonzero(-rng.standard_exponential(len(sites.chains)) < moves.log_ratios)
            for chain, p in zip(*_first_of_each(sites.chains[succeeds], succeeds), strict=True):
                c = going[chain]
                allocations[c] = _after(stack, sites, moves, p)
                tried[c] += sites.tried[p] - numbers[chain]
                accepted[c] += 1
        self.tally.tried += int(tried.sum())
        self.tally.accepted += int(accepted.sum())
        return allocations, tried, accepted

    def _full(self, stack: Stack) -> Flags:
        """Which chains have as many components with rows as can be, ``(C,)``."""
        sizes = [len(allocation.moments.count) for allocation in stack.allocations]
        return np.array([self.partition.log_probability(np.ones(size + 1)) == -np.inf for size in sizes])

    def _worked_out(self, stack: Stack, sites: Sites, rng: np.random.Generator) -> _Moves:
        splits = sites.splits
        halves, certain = self._launch(stack, sites, rng)
        parameters = self._shared_parameters if self.components.structure.shared else self._parameters
        found = parameters(stack, sites, halves, rng)
        launched, there = 1 + certain, stack.moments.count[sites.ends].T
        share = np.clip(rng.beta(*np.where(splits, launched, 1 + there)), TINY, 1 - EPS)
        log_shares = np.log(np.stack([share, 1 - share]))
        constants = found.scorer.constants + np.concatenate([*log_shares, np.zeros(len(share))])
        sides = self._sides(stack, sites, replace(found.scorer, constants=constants), rng)
        counts = np.where(splits, sides.counts, there)
        seen = np.where(splits, _counts(sites.members, sides.second), stack.counts[sites.ends].T)
        log_ratios = (
            _log_partition_ratios(stack, self.partition, sites, counts)
            + found.affinities.log_choices(seen, len(self.rows))
            + found.log_ratios
            + sides.log_ratios
            - betaln(*(1 + counts))
            + betaln(*launched)
            - (certain * log_shares).sum(axis=0)
        )
        return _Moves(sides, np.where(splits, log_ratios, -log_ratios), found.proposed)

    def _sides(self, stack: Stack, sites: Sites, scorer: Scorer, rng: np.random.Generator) -> Sides:
        """Pairs weighed against single components, and rows drawn into either of a pair."""
        if self.all_rows is not None:
            return self.all_rows.weighed(stack, sites, scorer, rng)
        log_joint = self.rows.log_densities(scorer).reshape(3, len(sites.picked), -1)
        second, either = drawn_sides(log_joint[:2], rng.random(log_joint.shape[1:]))
        second &= sites.members
        sites.surely(second, False, True)
        sites.surely(either, sites.at(log_joint[0], 0), sites.at(log_joint[1], 1))
        log_ratios = np.where(sites.members, either - log_joint[2], 0.0).sum(axis=1)

        def moments(p: int) -> Moments:
            return self.rows.moments(np.stack([sites.members[p] & ~second[p], second[p]]).astype(np.float64))

        return Sides(log_ratios, second, _counts(sites.members, second), moments, [])

    def _launch(self, stack: Stack, sites: Sites, rng: np.random.Generator) -> tuple[Moments, Array]:
        """Moments of both sides, the first ones first, and how many rows of each are certain, ``(2, P)``."""
        n, prior = len(sites.picked), self.components.apart
        scale = np.concatenate([allocation.components.scale for allocation in stack.allocations])
        scales = scale[np.tile(sites.chains, 2)]
        members = sites.members.astype(np.float64)
        parted, second = TwoSides(self.rows, members), _begun(self.rows, members, sites, rng) * members
        for step in range(N_STEPS + 1):
            sites.surely(second, 0.0, 1.0)
            moments = parted.moments(second)
            if step < N_STEPS:
                log_odds = parted.log_odds(prior.typical(moments, scales))
                log_odds += np.log(moments.count[n:] / moments.count[:n])[:, None]
                second = members / (1 + np.exp(-np.maximum(log_odds, LEAST_LOG_ODDS)))
        certain = np.stack([np.square(members - second).sum(axis=1), np.square(second).sum(axis=1)])
        if self.all_rows is not None:
            typical = prior.typical(moments, scales).scorer
            pairs = replace(typical, constants=typical.constants + np.log(moments.count))
            moments, certain = self.all_rows.shared(stack, sites, pairs)
        return _times(moments, certain.ravel() / moments.count), certain

    def _parameters(self, stack: Stack, sites: Sites, halves: Moments, rng: np.random.Generator) -> _Parameters:
        """All at once: pairs and single components are drawn, and what is there takes the place of half of the draws."""
        n, splits, (first, second) = len(sites.picked), sites.splits, sites.ends.T
        present = [allocation.components for allocation in stack.allocations]
        scale = np.concatenate([components.scale for components in present])[np.tile(sites.chains, 3)]
        whole = stack.moments[first] + _times(stack.moments[second], (~splits).astype(np.float64))
        given = Moments.stacked([halves, whole])
        made = self.components.propose(given, scale, rng)
        there = np.concatenate([~splits, ~splits, splits])
        places = np.concatenate([first, second, first])[there]
        means, roots = made.means.copy(), made.roots.copy()
        means[there] = np.concatenate([components.means for components in present])[places]
        roots[there] = np.concatenate([components.roots for components in present])[places]
        both = replace(made, means=means, roots=roots)
        pairs, others, singles = self.components.log_weights(given, both).reshape(3, n)

        def proposed(p: int) -> Components:
            return made[np.array([p, n + p] if splits[p] else [2 * n + p])]

        return _Parameters(both.scorer, pairs + others - singles, sites.affinities(stack, both), proposed)

    def _shared_parameters(self, stack: Stack, sites: Sites, halves: Moments, rng: np.random.Generator) -> _Parameters:
        """One move at a time, since each changes all components of its chain."""
        n = len(sites.picked)
        scorers, log_ratios, proposed = [list[Scorer]() for _ in range(3)], np.zeros(n), list[Components]()
        near = Affinities(np.empty(n), np.empty(n), np.empty(n))
        for p, chain in enumerate(sites.chains):
            moments, current = stack.allocations[chain].moments, stack.allocations[chain].components
            ends = sites.ends[p] - stack.starts[chain]
            launched, change = (
                halves[np.array([p, n + p])],
                _Change.of(int(ends[0]), int(ends[1]), len(moments.count)),
            )
            own = launched if sites.splits[p] else _union(moments, ends)
            given = _replaced(moments[change.sources], change.made, own)
            made = self.components.propose(given, current.scale, rng)
            if sites.splits[p]:
                pair, single = (given, made, change.made), (moments, current, ends[:1])
            else:
                pair, single = (_replaced(moments, ends, launched), current, ends), (given, made, change.made)
            for (about, components, places), sign in ((pair, 1), (single, -1)):
                # Other rows change their densities too, of which moments are enough.
                log_ratios[p] += sign * np.delete(components.scorer.expected_of_each(about), places).sum()
                log_ratios[p] += sign * self.components.log_weights(about, components)[0]
            for part, (_, components, places), at in zip(scorers, (pair, pair, single), (0, 1, 0), strict=True):
                part.append(components.scorer.among(places[at : at + 1]))
            of_pair, of_single = (Neighbours.of([own]) for own in (pair[1], single[1]))
            near.pairs[p] = of_pair.matrix[pair[2][0], pair[2][1]]
            near.with_pairs[p], near.with_singles[p] = of_pair.totals[0], of_single.totals[0]
            proposed.append(made)
        scorer = Scorer.stacked([one for part in scorers for one in part])
        return _Parameters(scorer, log_ratios, near, proposed.__getitem__)


class _Change(NamedTuple):
    """How components are listed after a move: which one before stands in the place of each, ``(t′,)``, and which are made."""

    ends: tuple[int, int]
    sources: NDArray[np.intp]
    made: NDArray[np.intp]

    @classmethod
    def of(cls, one: int, other: int, n_components: int) -> _Change:
        if one == other:  # what goes to the second half comes last
            return cls((one, other), np.append(np.arange(n_components), one), np.array([one, n_components]))
        last = n_components - 1  # it takes the place of the second of the two
        sources = np.arange(last)
        sources[other:][:1] = last
        return cls((one, other), sources, np.array([other if one == last else one]))

    def labels(self, labels: NDArray[np.int32], leaving: Flags | None = None) -> NDArray[np.int32]:
        """Labels after the move; rows that leave go to the second half of a split."""
        (one, other), moved = self.ends, labels.copy()
        if leaving is not None:
            moved[leaving] = len(self.sources) - 1
        elif one != other:
            moved[moved == other] = one
            moved[moved == len(self.sources)] = other
        return moved


def _first_of_each(chains: NDArray[np.intp], moves: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The chains that are named, each once, and the first move of each."""
    named, first = np.unique(chains, return_index=True)
    return named, moves[first]


def _counts(members: Flags, second: Flags) -> NDArray[np.intp]:
    """Rows of both sides, ``(2, P)``."""
    of_second = second.sum(axis=1)
    return np.stack([members.sum(axis=1) - of_second, of_second])


def _begun(rows: WholeRows, members: Array, sites: Sites, rng: np.random.Generator) -> Flags:
    """Which rows are in ``b`` when a launch begins, ``(P, N)``, in units of each feature's spread.

    Those nearer to ``j`` than to ``i``, which finds clusters side by side; or all but some of the nearest to ``i``, which finds small ones
    within large ones.
    """
    variances = rows.spreads(members)
    one, other = (rows.distances(picked, variances) for picked in sites.picked.T)
    distances = np.sort(np.where(sites.members, one, np.inf), axis=1)
    sizes = members.sum(axis=1) ** rng.random(len(members))
    within = np.take_along_axis(distances, sizes.astype(np.intp)[:, None] - 1, axis=1)
    return np.where(rng.random(len(members))[:, None] < 0.5, other < one, one > within)


def _after(stack: Stack, sites: Sites, moves: _Moves, p: int) -> Allocation:
    """The allocation of a chain once a move of it has succeeded."""
    labels, moments, before, recipe = stack.allocations[sites.chains[p]]
    ends, made = sites.ends[p] - stack.starts[sites.chains[p]], moves.proposed(p)
    change = _Change.of(int(ends[0]), int(ends[1]), len(moments.count))
    if sites.splits[p]:
        labels, own = change.labels(labels, moves.sides.second[p]), moves.sides.moments(p)
    else:
        labels, own = change.labels(labels), _union(moments, ends)
    if recipe is not None:
        names = np.arange(len(moments.count), dtype=np.int32)
        recipe = recipe.then(moves.sides.steps[p] if sites.splits[p] else Renamed(change.labels(names)))
    if not before.structure.shared:
        means, roots = before.means[change.sources], before.roots[change.sources]
        means[change.made], roots[change.made] = made.means, made.roots
        made = replace(before, means=means, roots=roots)
    return Allocation(labels, _replaced(moments[change.sources], change.made, own), made, recipe)


def _log_partition_ratios(stack: Stack, partition: PartitionPrior, sites: Sites, counts: NDArray[np.intp]) -> Array:
    """Log prior probabilities of the partitions with pairs of these sizes, ``(2, P)``, less those with single components."""
    chains = np.repeat(np.arange(len(stack.allocations)), np.diff([*stack.starts, len(stack.moments.count)]))
    others = np.where(chains == sites.chains[:, None], stack.moments.count, 0.0)
    each = np.arange(len(others))
    others[each, sites.ends[:, 0]] = others[each, sites.ends[:, 1]] = 0.0
    pairs, singles = np.column_stack([others, *counts]), np.column_stack([others, counts.sum(axis=0)])
    return partition.log_probability(pairs) - partition.log_probability(singles)


def _times(moments: Moments, factors: Array) -> Moments:
    """Each component's rows weighted by a factor, ``(K,)``."""
    second = moments.second * factors.reshape(-1, *[1] * (moments.second.ndim - 1))
    return Moments(moments.count * factors, moments.first * factors[:, None], second, moments.origin)


def _union(moments: Moments, ends: NDArray[np.intp]) -> Moments:
    """Of the rows of two components together."""
    return moments[ends[:1]] + moments[ends[1:]]


def _replaced(moments: Moments, places: NDArray[np.integer], own: Moments) -> Moments:
    """With other moments in some places."""
    count, first, second, origin = (
        moments.count.copy(),
        moments.first.copy(),
        moments.second.copy(),
        moments.origin.copy(),
    )
    count[places], first[places], second[places], origin[places] = own.count, own.first, own.second, own.origin
    return Moments(count, first, second, origin)
