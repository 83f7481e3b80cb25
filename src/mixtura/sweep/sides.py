"""Rows of one component or of two, on two sides: what splits and mergers ask of all rows, wherever these are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Arrays, Block
from mixtura.ground.linalg import Array
from mixtura.model.scorer import Scorer
from mixtura.sweep.assign import uniforms
from mixtura.sweep.kernels import add_block, zero_totals
from mixtura.sweep.labelled import Labels

LEAST_LOG_ODDS = -700.0
"""Exponentials are numbers above it."""


class Site(NamedTuple):
    """Rows that are looked at.

    Attributes
    ----------
    chain : int
        Whose labels say it.
    ends : (2,) integer array
        Of these components they are, or of this one, twice.
    picked : (2,) integer array
        Places of two of them, one of which is on the first side for certain, and the other on the second.
    """

    chain: int
    ends: NDArray[np.intp]
    picked: NDArray[np.intp]

    def blocks(self, strip: Block, labels: Labels, pair: Scorer) -> Iterator[_Scored]:
        """Block by block, under the components of both sides."""
        members = np.flatnonzero((labels == self.ends[0]) | (labels == self.ends[1]))
        size = pair.block_rows()
        for start in range(0, len(members), size):
            places = members[start : start + size]
            rows = strip.rows[places]
            residuals = pair.residuals(rows)
            log_joint = pair.log_joint(pair.whitened(residuals))
            yield _Scored(places, rows, residuals, log_joint, places == self.picked[:, None] - strip.position.start)


class _Scored(NamedTuple):
    """Some rows: their places in the strip, residuals ``(2, B, D)``, log joints ``(2, B)``, and which of them are certain ``(2, B)``."""

    places: NDArray[np.intp]
    rows: Array
    residuals: Array
    log_joint: Array
    certain: NDArray[np.bool_]

    def surely(self, second: NDArray[Any]) -> NDArray[Any]:
        """What is said of being on the second side, once it is said of those that are certain."""
        second[self.certain[0]], second[self.certain[1]] = 0, 1
        return second


@dataclass(frozen=True, eq=False)
class SharedSides:
    """The task of sharing rows: sums of squared shares ``(2, P)``, then counts and moments of the first sides and of the second ones.

    Attributes
    ----------
    sites : sequence of Site
    pairs : sequence of Scorer
        The components of both sides of each.
    """

    sites: Sequence[Site]
    pairs: Sequence[Scorer]

    def __call__(self, strip: Block, labels: Sequence[Labels]) -> Arrays:
        squares, totals = np.zeros((2, len(self.sites))), _no_moments(self.pairs)
        with np.errstate(under="ignore"):
            for p, (site, pair) in enumerate(zip(self.sites, self.pairs, strict=True)):
                for block in site.blocks(strip, labels[site.chain], pair):
                    log_odds = block.log_joint[1] - block.log_joint[0]
                    second = block.surely(1 / (1 + np.exp(-np.maximum(log_odds, LEAST_LOG_ODDS))))
                    shares = np.stack([1 - second, second])
                    squares[:, p] += np.square(shares).sum(axis=1)
                    add_block(block.residuals, shares, [total[p :: len(self.sites)] for total in totals])
        return Arrays([squares, *totals])


@dataclass(frozen=True, eq=False)
class Parted:
    """The step of giving rows of a component to another one.

    Attributes
    ----------
    site : Site
    pair : Scorer
        By their log joints rows go to either.
    key : (2,) uint64 array
        Of the random numbers.
    name : int
        What the other one is called.
    """

    site: Site
    pair: Scorer
    key: NDArray[np.uint64]
    name: int

    def __call__(self, strip: Block, labels: Labels) -> Labels:
        parted = labels.copy()
        for block, second, _ in self.blocks(strip, labels):
            parted[block.places[second]] = self.name
        return parted

    def blocks(self, strip: Block, labels: Labels) -> Iterator[tuple[_Scored, NDArray[np.bool_], Array]]:
        """Block by block, which rows go to the other one, and log densities of the two together, or of the one that is certain."""
        random = uniforms(self.key, strip.position)
        for block in self.site.blocks(strip, labels, self.pair):
            second, either = drawn_sides(block.log_joint, random[block.places])
            for own, certain in zip(block.log_joint, block.certain, strict=True):
                either[certain] = own[certain]
            yield block, block.surely(second), either


@dataclass(frozen=True, eq=False)
class DrawnSides:
    """The task of weighing two components against one, and of drawing which rows would have the second of the two.

    Attributes
    ----------
    parted : sequence of Parted
    singles : sequence of Scorer
        The component in place of both.
    are_drawn : (P,) bool array
        Of which sides are drawn; of others the answer is of no use but for the weights.
    places : (M,) integer array
        The answer says of these rows, whose places ascend, on which side they are.
    """

    parted: Sequence[Parted]
    singles: Sequence[Scorer]
    are_drawn: NDArray[np.bool_]
    places: NDArray[np.intp]

    def __call__(self, strip: Block, labels: Sequence[Labels]) -> Weighed:
        n, here = len(self.parted), strip.own(self.places)
        log_ratios, seconds = np.zeros(n), np.zeros((n, len(strip.rows)), dtype=bool)
        totals = _no_moments([parted.pair for parted in self.parted])
        with np.errstate(under="ignore"):
            for p, (parted, single) in enumerate(zip(self.parted, self.singles, strict=True)):
                for block, second, either in parted.blocks(strip, labels[parted.site.chain]):
                    alone = single.log_joint(single.whitened(single.residuals(block.rows)))[0]
                    log_ratios[p] += (either - alone).sum()
                    if self.are_drawn[p]:
                        seconds[p, block.places] = second
                        add_block(block.residuals, np.stack([~second, second]).astype(float), [t[p::n] for t in totals])
        return Weighed(Arrays([log_ratios, *totals]), [seconds[:, here]])


@dataclass(eq=False)
class Weighed:
    """Log ratios of the densities of rows, counts and moments of both sides, and which of some rows are on the second, ``(P, M)``."""

    sums: Arrays
    seconds: list[NDArray[np.bool_]]

    def __iadd__(self, other: Weighed) -> Self:
        self.sums += other.sums
        self.seconds += other.seconds
        return self


def drawn_sides(log_joint: Array, uniform: Array) -> tuple[NDArray[np.bool_], Array]:
    """Which rows are in the second of two components, by log joints ``(2, …)`` and uniform random numbers, and logs of the sums of both."""
    difference = log_joint[1] - log_joint[0]
    smaller = np.exp(-np.abs(difference))
    second: NDArray[np.bool_] = uniform * (1 + smaller) < np.where(difference > 0, 1.0, smaller)
    return second, log_joint.max(axis=0) + np.log1p(smaller)


def _no_moments(pairs: Sequence[Scorer]) -> list[Array]:
    """Count, first and second moments of no rows, of all first sides and then of all second ones."""
    return zero_totals((2 * len(pairs), pairs[0].centres.shape[1]), pairs[0].diagonal)
