"""What splits and mergers ask of all rows where they look at some of them only: two passes, whatever the number of chains.

The first shares rows among two components, from which those proposed follow; the second weighs these, and draws which rows have either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.inference.sampling.split_sites import Flags, Places, Sites, Stack
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.labelled import LabelledSweep, Recipe
from mixtura.sweep.sides import DrawnSides, Parted, SharedSides, Site


class Sides(NamedTuple):
    """Rows that have been drawn into either of two components.

    Attributes
    ----------
    log_ratios : (P,) array
        Log densities of all rows under two components, by shares of them and labels summed out, over that under one.
    second : (P, N) bool array
        Which of the rows that are looked at are in the second.
    counts : (2, P) array
        Of all rows in either.
    moments : callable
        Of those of one move.
    steps : list of Parted
        That part all rows, where only some are looked at.
    """

    log_ratios: Array
    second: Flags
    counts: Array | Places
    moments: Callable[[int], Moments]
    steps: list[Parted]


@dataclass(frozen=True, eq=False)
class AllRows:
    """Passes over all rows, of which some are looked at.

    Parameters
    ----------
    sweep : LabelledSweep
    places : (M,) integer array
        Of the rows that are looked at; they ascend.
    """

    sweep: LabelledSweep
    places: Places

    def shared(self, stack: Stack, sites: Sites, pairs: Scorer) -> tuple[Moments, Array]:
        """Moments of both sides, the first ones first, and sums of squared shares, ``(2, P)``.

        Parameters
        ----------
        stack : Stack
        sites : Sites
        pairs : Scorer
            By which rows are shared: the first ones, and then the second ones.
        """
        recipes, each = self._sites(stack, sites)
        squares, count, first, second = self.sweep.again(recipes, SharedSides(each, _pairs(pairs))).parts
        return Moments(count, first, second, pairs.centres), squares

    def weighed(self, stack: Stack, sites: Sites, scorer: Scorer, rng: np.random.Generator) -> Sides:
        """Pairs weighed against single components, and rows drawn into either of a pair.

        Parameters
        ----------
        stack : Stack
        sites : Sites
        scorer : Scorer
            With log shares: the first ones of pairs, the second ones, and single ones.
        rng : numpy Generator
        """
        n = len(sites.picked)
        recipes, each = self._sites(stack, sites)
        keys, pairs = rng.integers(2**64, size=(n, 2), dtype=np.uint64), scorer[: 2 * n]
        sizes = [len(stack.allocations[chain].moments.count) for chain in sites.chains]
        steps = [Parted(*one) for one in zip(each, _pairs(pairs), keys, sizes, strict=True)]
        singles = [scorer[2 * n + p : 2 * n + p + 1] for p in range(n)]
        found = self.sweep.again(recipes, DrawnSides(steps, singles, sites.splits, self.places))
        log_ratios, count, first, second = found.sums.parts
        moments = Moments(count, first, second, pairs.centres)
        seconds = np.concatenate(found.seconds, axis=1)
        return Sides(log_ratios, seconds, count.reshape(2, n), lambda p: moments[np.array([p, n + p])], steps)

    def _sites(self, stack: Stack, sites: Sites) -> tuple[list[Recipe], list[Site]]:
        """The labels of the chains that have sites, and those."""
        chains, places = np.unique(sites.chains, return_inverse=True)
        ends = sites.ends - stack.starts[sites.chains][:, None]
        each = [Site(int(place), *own) for place, *own in zip(places, ends, self.places[sites.picked], strict=True)]
        recipes = (stack.allocations[chain].recipe for chain in chains)
        return [recipe for recipe in recipes if recipe is not None], each


def _pairs(scorer: Scorer) -> list[Scorer]:
    """The first component and the second of each."""
    n = len(scorer.constants) // 2
    return [scorer.among(np.array([p, n + p])) for p in range(n)]
