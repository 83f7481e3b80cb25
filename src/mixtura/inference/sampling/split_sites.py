"""Where a Gibbs sampler tries to split a component or to merge two.

With the weight ``SPLITS`` a move is a split: a row ``i`` is picked, and another one, ``j``, of its component. With the weight of its
affinity, see ``affinity.py``, it is the merger of a pair of components, in either order, and ``i`` and ``j`` are rows of them. If ``G`` is
the sum of all affinities of a chain while a component is whole, and ``G′`` that with ``a`` and ``b`` in its place, the probability that
their merger about these rows is tried, over that of the split that it would undo, is

    ½ g_ab/(SPLITS + G′) · 1/(n_a n_b)  ÷  SPLITS/(SPLITS + G) · 1/(N (n_a + n_b − 1)).

Where only some rows are looked at, whatever the labels are, ``N`` of them, ``n_a`` and ``n_b`` are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.inference.sampling.affinity import Neighbours, affinities, drawn
from mixtura.model.laws.components import Components
from mixtura.model.moments import Moments
from mixtura.sweep.labelled import Recipe

SPLITS = 0.15
"""Weight of splits, beside affinities between zero and one of all pairs that may be merged."""

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


class Allocation(NamedTuple):
    """Which rows belong to which component.

    Attributes
    ----------
    labels : (N,) integer array
        The component of each row that is looked at.
    moments : Moments
        Of all rows of the ``t`` components, each of which has some.
    components : Components
    recipe : Recipe or None
        Of the labels of all rows, where only some are looked at.
    """

    labels: NDArray[np.int32]
    moments: Moments
    components: Components
    recipe: Recipe | None = None


@dataclass(frozen=True, eq=False)
class Stack:
    """Several chains, their components one after another.

    Attributes
    ----------
    allocations : list of Allocation
    labels : (C, N) integer array
        Of each chain, by the places of components in the stack.
    starts : (C,) integer array
        Where the components of each chain begin.
    moments : Moments
    counts : (M,) integer array
        Rows of each component that are looked at.
    """

    allocations: list[Allocation]
    labels: Places
    starts: Places
    moments: Moments
    counts: Places

    @classmethod
    def of(cls, allocations: list[Allocation]) -> Stack:
        """Those of each chain."""
        sizes = [len(allocation.moments.count) for allocation in allocations]
        starts = np.cumsum([0, *sizes[:-1]])
        labels = np.stack([allocation.labels for allocation in allocations]) + starts[:, None]
        moments = Moments.stacked([allocation.moments for allocation in allocations])
        return cls(allocations, labels, starts, moments, np.bincount(labels.ravel(), minlength=len(moments.count)))

    @cached_property
    def neighbours(self) -> Neighbours:
        """Of all components."""
        return Neighbours.of([allocation.components for allocation in self.allocations])

    @cached_property
    def by_component(self) -> tuple[Places, Places, Places]:
        """Rows of each chain in the order of their components, which place there each row has, ``(C, N)``, and where a component begins."""
        order = np.argsort(self.labels, axis=1, kind="stable")
        places = np.empty_like(order)
        np.put_along_axis(places, order, np.arange(order.shape[1]), axis=1)
        begins = np.cumsum(self.counts) - self.counts
        return order, places, begins % order.shape[1]


@dataclass(frozen=True, eq=False)
class Sites:
    """Where ``P`` moves are tried.

    Attributes
    ----------
    chains : (P,) integer array
    tried : (P,) integer array
        Moves of the chain up to and with each.
    picked : (P, 2) integer array
        Two rows of each.
    ends : (P, 2) integer array
        Places of their components in the stack, the same twice for a split.
    members : (P, N) bool array
        The rows of those.
    """

    chains: Places
    tried: Places
    picked: Places
    ends: Places
    members: Flags

    @classmethod
    def of(cls, stack: Stack, numbers: Sequence[int] | Places, full: Flags, rng: np.random.Generator) -> Sites:
        """So many of each chain, but for splits of single rows and in chains that are full, which are no moves.

        Nor are mergers of components of which no row is looked at.
        """
        chains = np.repeat(np.arange(len(numbers)), numbers)
        tried = np.concatenate([np.arange(1, n + 1) for n in numbers])
        pairs = _drawn_pairs(stack, chains, rng)
        order, places, begins = stack.by_component
        u, n_rows = rng.random((2, len(chains))), order.shape[1]
        first = np.where(pairs[:, 0] < 0, (u[0] * n_rows).astype(np.intp), 0)
        splits = pairs[:, 0] < 0
        ends = np.where(splits[:, None], stack.labels[chains, first][:, None], pairs)
        counts = stack.counts[ends]
        first = np.where(splits, first, order[chains, begins[ends[:, 0]] + (u[0] * counts[:, 0]).astype(np.intp)])
        second = begins[ends[:, 1]] + (u[1] * (counts[:, 1] - splits)).astype(np.intp)
        second += splits & (second >= places[chains, first])
        kept = np.flatnonzero(np.where(splits, (counts[:, 0] > 1) & ~full[chains], counts.all(axis=1)))
        chains, ends = chains[kept], ends[kept]
        picked = np.stack([first[kept], order[chains, second[kept]]], axis=1)
        labels = stack.labels[chains]
        return cls(chains, tried[kept], picked, ends, (labels == ends[:, :1]) | (labels == ends[:, 1:]))

    @cached_property
    def splits(self) -> Flags:
        """Which of them are."""
        return np.asarray(self.ends[:, 0] == self.ends[:, 1])

    def surely(self, sides: NDArray[Any], first: float | Array, second: float | Array) -> None:
        """Write what is certain of the two rows picked into ``(P, N)``."""
        each = np.arange(len(sides))
        sides[each, self.picked[:, 0]], sides[each, self.picked[:, 1]] = first, second

    def at(self, values: Array, column: int) -> Array:
        """Values ``(P, N)`` at one of the rows picked, ``(P,)``."""
        return values[np.arange(len(values)), self.picked[:, column]]

    def affinities(self, stack: Stack, components: Components) -> Affinities:
        """Before and after, where all other components stay as they are.

        Parameters
        ----------
        stack : Stack
        components : Components
            The first ones of pairs, the second ones, and single ones, ``3 P``.
        """
        neighbours, (first, second), each = stack.neighbours, self.ends.T, np.arange(len(self.chains))
        means, variances = components.means, components.variances
        others = neighbours.with_others(means, variances, np.tile(self.chains, 3)).reshape(3, len(each), -1)
        others[:, each, first] = others[:, each, second] = 0.0
        one, other, single = others.sum(axis=2)
        a, b = np.split(np.arange(2 * len(each)), 2)
        pairs = affinities(means[a], variances[a], means[b], variances[b])
        shared = np.where(self.splits, 0.0, neighbours.sums[second] - neighbours.matrix[first, second])
        left = neighbours.totals[self.chains] - neighbours.sums[first] - shared
        return Affinities(pairs, left + one + other + pairs, left + single)


class Affinities(NamedTuple):
    """Of each pair, and the sums of all of the chain, ``(P,)``: with the pair, and with a single component in its place."""

    pairs: Array
    with_pairs: Array
    with_singles: Array

    def log_choices(self, counts: NDArray[np.integer], n_rows: int) -> Array:
        """Log of how much likelier mergers of pairs are tried than the splits that would undo them.

        Parameters
        ----------
        counts : (2, P) integer array
            Rows of both that are looked at.
        n_rows : int
            Those of all components.
        """
        rows = n_rows * (counts.sum(axis=0) - 1) / (counts[0] * counts[1])
        return np.asarray(
            np.log(0.5 * self.pairs * rows)
            + np.log((SPLITS + self.with_singles) / (SPLITS * (SPLITS + self.with_pairs)))
        )


def _drawn_pairs(stack: Stack, chains: Places, rng: np.random.Generator) -> Places:
    """Places of two components of each chain that are to be merged, ``(P, 2)``, or −1 twice for a split."""
    near = stack.neighbours
    totals = near.totals[chains]
    splits = rng.random(len(chains)) * (SPLITS + totals) < SPLITS
    pairs, merged = np.full((len(chains), 2), -1), np.flatnonzero(~splits)
    first = drawn(np.where(chains[merged, None] == near.chains, near.sums, 0.0), rng)
    pairs[merged] = np.stack([first, drawn(near.matrix[first], rng)], axis=1)
    return pairs
