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
from mixtura.inference.sampling.split_sites import Affinities, Allocation, Flags, Sites, Stack
from mixtura.inference.sampling.weights import PartitionPrior
from mixtura.model.laws.components import ComponentPrior, Components
from mixtura.model.moments import Moments
from mixtura.sweep.whole_rows import Parted, WholeRows

TOGETHER = 1.5
"""Moves that succeed, as far as is known, among those of one chain that are worked out at once."""
MOST_ROWS = 2**13
"""Rows that the moves of one sweep look at: where there are many, one move costs about as much as the sweep."""
ENOUGH = 1.2
"""Moves that succeed in a sweep, of each chain."""
N_STEPS = 6
"""Of EM, of which a launch consists."""
TINY = 1e-300
LEAST_LOG_ODDS = -700.0
"""Exponentials are numbers above it."""


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
    log_densities : (3, P, N) array
        Of the rows in ``a``, ``b`` and ``m``.
    log_ratios : (P,) array
        ``log p(θ) − log q(θ)`` of pairs less that of single components, with the densities of all other rows where these change.
    affinities : Affinities
    proposed : callable
        The components of one move: two, or one, or all where they share a block.
    """

    log_densities: Array
    log_ratios: Array
    affinities: Affinities
    proposed: Callable[[int], Components]


class _Moves(NamedTuple):
    """Moves that have been worked out: rows in ``b``, ``(P, N)``, log ratios of acceptance, ``(P,)``, and the components that are made."""

    second: Flags
    log_ratios: Array
    proposed: Callable[[int], Components]


@dataclass(frozen=True, eq=False)
class SplitMerge:
    """Splits and mergers.

    Parameters
    ----------
    rows : WholeRows
    components : ComponentPrior
    partition : PartitionPrior
    n_proposals : int
        In each sweep, or fewer where there are many rows.
    """

    rows: WholeRows
    components: ComponentPrior
    partition: PartitionPrior
    n_proposals: int
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
                allocations[c] = _after(self.rows, stack, sites, moves, p)
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
        splits, members = sites.splits, sites.members
        scale = np.concatenate([allocation.components.scale for allocation in stack.allocations])[sites.chains]
        halves, certain = self._launch(scale, sites, rng)
        parameters = self._shared_parameters if self.components.structure.shared else self._parameters
        found = parameters(stack, sites, halves, rng)
        in_first, in_second, in_one = found.log_densities
        second = (stack.labels[sites.chains] == sites.ends[:, 1:]) & members
        sizes, launched = members.sum(axis=1), 1 + certain
        laws = np.where(splits, launched, 1 + _counts(sizes, second))
        share = np.clip(rng.beta(*laws), TINY, 1 - EPS)
        log_shares = np.log(np.stack([share, 1 - share]))
        in_first, in_second = in_first + log_shares[0, :, None], in_second + log_shares[1, :, None]
        drawn, mixed = _drawn(in_first, in_second, rng)
        second = np.where(splits[:, None], drawn & members, second)
        sites.surely(second, False, True)
        counts = _counts(sizes, second)
        sites.surely(mixed, 0.0, 0.0)
        log_ratios = (
            _log_partition_ratios(stack, self.partition, sites, counts)
            + found.affinities.log_choices(counts, len(self.rows))
            + found.log_ratios
            + sites.at(in_first, 0)
            + sites.at(in_second, 1)
            + np.where(members, mixed - in_one, 0.0).sum(axis=1)
            - betaln(*(1 + counts))
            + betaln(*launched)
            - (certain * log_shares).sum(axis=0)
        )
        return _Moves(second, np.where(splits, log_ratios, -log_ratios), found.proposed)

    def _launch(self, scale: Array, sites: Sites, rng: np.random.Generator) -> tuple[Moments, Array]:
        """Moments of both sides, the first ones first, and how many rows of each are certain, ``(2, P)``."""
        n, prior = len(sites.picked), self.components.apart
        members, scales = sites.members.astype(np.float64), np.concatenate([scale, scale])
        parted, second = Parted(self.rows, members), _begun(self.rows, members, sites, rng) * members
        for step in range(N_STEPS + 1):
            sites.surely(second, 0.0, 1.0)
            moments = parted.moments(second)
            if step < N_STEPS:
                log_odds = parted.log_odds(prior.typical(moments, scales))
                log_odds += np.log(moments.count[n:] / moments.count[:n])[:, None]
                second = members / (1 + np.exp(-np.maximum(log_odds, LEAST_LOG_ODDS)))
        certain = np.stack([np.square(members - second).sum(axis=1), np.square(second).sum(axis=1)])
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
        log_densities = self.rows.log_densities(both).reshape(3, n, -1)
        pairs, others, singles = self.components.log_weights(given, both).reshape(3, n)

        def proposed(p: int) -> Components:
            return made[np.array([p, n + p] if splits[p] else [2 * n + p])]

        return _Parameters(log_densities, pairs + others - singles, sites.affinities(stack, both), proposed)

    def _shared_parameters(self, stack: Stack, sites: Sites, halves: Moments, rng: np.random.Generator) -> _Parameters:
        """One move at a time, since each changes all components of its chain."""
        n = len(sites.picked)
        log_densities, log_ratios, proposed = np.empty((3, n, len(self.rows))), np.zeros(n), list[Components]()
        near = Affinities(np.empty(n), np.empty(n), np.empty(n))
        for p, chain in enumerate(sites.chains):
            labels, moments, current = stack.allocations[chain]
            ends = sites.ends[p] - stack.starts[chain]
            launched, change = (
                halves[np.array([p, n + p])],
                _Change.of(int(ends[0]), int(ends[1]), len(moments.count)),
            )
            own = launched if sites.splits[p] else _union(moments, ends)
            given = _replaced(moments[change.sources], change.made, own)
            made = self.components.propose(given, current.scale, rng)
            if sites.splits[p]:
                pair, single = (given, made, labels, change.made), (moments, current, labels, ends[:1])
            else:
                there = _replaced(moments, ends, launched)
                pair, single = (there, current, labels, ends), (given, made, change.labels(labels), change.made)
            outside = np.flatnonzero(~sites.members[p])
            for (about, components, own_labels, places), sign, of in ((pair, 1, slice(2)), (single, -1, slice(2, 3))):
                scored = self.rows.log_densities(components)
                log_densities[of, p] = scored[places]
                log_ratios[p] += sign * scored[own_labels[outside], outside].sum()
                log_ratios[p] += sign * self.components.log_weights(about, components)[0]
            of_pair, of_single = (Neighbours.of([own]) for own in (pair[1], single[1]))
            near.pairs[p] = of_pair.matrix[pair[3][0], pair[3][1]]
            near.with_pairs[p], near.with_singles[p] = of_pair.totals[0], of_single.totals[0]
            proposed.append(made)
        return _Parameters(log_densities, log_ratios, near, proposed.__getitem__)


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


def _drawn(in_first: Array, in_second: Array, rng: np.random.Generator) -> tuple[Flags, Array]:
    """Which rows are in the second of two components with these log joint densities, and the log of the sum of both."""
    difference = in_second - in_first
    smaller = np.exp(-np.abs(difference))
    drawn = rng.random(difference.shape) * (1 + smaller) < np.where(difference > 0, 1.0, smaller)
    return drawn, np.maximum(in_first, in_second) + np.log1p(smaller)


def _counts(sizes: NDArray[np.intp], second: Flags) -> NDArray[np.intp]:
    """Rows of both sides, ``(2, P)``."""
    of_second = second.sum(axis=1)
    return np.stack([sizes - of_second, of_second])


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


def _after(rows: WholeRows, stack: Stack, sites: Sites, moves: _Moves, p: int) -> Allocation:
    """The allocation of a chain once a move of it has succeeded."""
    labels, moments, before = stack.allocations[sites.chains[p]]
    ends, made = sites.ends[p] - stack.starts[sites.chains[p]], moves.proposed(p)
    change = _Change.of(int(ends[0]), int(ends[1]), len(moments.count))
    if sites.splits[p]:
        second = moves.second[p]
        shares = np.stack([sites.members[p] & ~second, second]).astype(np.float64)
        labels, own = change.labels(labels, second), rows.moments(shares)
    else:
        labels, own = change.labels(labels), _union(moments, ends)
    if not before.structure.shared:
        means, roots = before.means[change.sources], before.roots[change.sources]
        means[change.made], roots[change.made] = made.means, made.roots
        made = replace(before, means=means, roots=roots)
    return Allocation(labels, _replaced(moments[change.sources], change.made, own), made)


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
