"""Moves of a Gibbs sampler by which a component is born or dies while all others stay as they are, with labels summed out.

They act on the number of components ``K``, weights and parameters, given which labels are drawn anew. A birth picks a row ``i`` and
proposes parameters and weight ``v`` of one more component by a law about it, a mixture over neighbourhoods of several sizes; the other
weights shrink by ``1 − v``. A death picks a component, and a row by how surely it is that component's. With ``f`` the density of the
mixture without the component, a birth is accepted with the probability

    min(1, p(K + 1) p(w′)/[p(K) p(w)] · (1 − v)^(K−1) · Π_n [1 − v + v N(y_n | θ)/f(y_n)] · p(θ) · a(i | θ, v)/[q(θ, v | i)/A]),

where ``A`` rows can be picked, ``a`` is the probability that a death picks ``i``, and a death is accepted with that of the inverse ratio.
Splits and mergers change two components for one; these find and lose small or diffuse components, which take rows of several others.
Source: Richardson and Green (1997), "On Bayesian analysis of mixtures with an unknown number of components", whose births are draws from
the prior.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, log_softmax, logsumexp

from mixtura.ground.linalg import EPS, Array
from mixtura.inference.sampling.finite_mixtures import FiniteMixtures
from mixtura.inference.sampling.split_merge import TINY, Tally
from mixtura.inference.sampling.whole_rows import WholeRows
from mixtura.model.laws.components import ComponentPrior, Components, select
from mixtura.model.moments import Moments

MOST_ANCHORS = 512
"""Rows, evenly spaced, that births can pick."""
N_SIZES = 6
"""Neighbourhoods of a row: from itself to half of all rows."""
CERTAIN = 0.5
"""Of the rows of a neighbourhood, as far as a proposal is concerned: its law is wider than if all belonged together."""


class Point(NamedTuple):
    """Components and their log weights, ``(K,)``."""

    components: Components
    log_weights: Array


class _Sites(NamedTuple):
    """Rows that births can pick, ``(A,)``, sizes of neighbourhoods, ``(M,)``, and moments of those: ``M`` of the first row, and so on."""

    rows: NDArray[np.intp]
    sizes: NDArray[np.intp]
    moments: Moments


class _Scored(NamedTuple):
    """A point with the log joint densities of rows and components, ``(K, N)``, and the log density of the rows, ``(N,)``."""

    point: Point
    log_joint: Array
    log_density: Array


class _Moves(NamedTuple):
    """``P`` moves: of which chain, whether births, and otherwise of which component; components and log weights; rows picked, by number."""

    chains: NDArray[np.intp]
    births: NDArray[np.bool_]
    places: NDArray[np.intp]
    components: Components
    shares: Array
    picked: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class BirthDeath:
    """Births and deaths of components, each of which has covariances of its own.

    Parameters
    ----------
    rows : WholeRows
    components : ComponentPrior
    partition : FiniteMixtures
    n_proposals : int
        In each sweep, or fewer where there are many rows.
    """

    rows: WholeRows
    components: ComponentPrior
    partition: FiniteMixtures
    n_proposals: int
    tally: Tally = field(default_factory=Tally, init=False)

    def __call__(self, points: list[Point], rng: np.random.Generator) -> list[Point]:
        """Try the moves of each chain one after another."""
        n_moves = self.tally.moves(self.n_proposals, len(self.rows))
        scored, tried = [self._scored(point) for point in points], np.zeros(len(points), int)
        while (going := np.flatnonzero(tried < n_moves)).size:
            numbers = np.minimum(self.tally.together, n_moves - tried[going])
            before = tried.copy()
            tried[going] += numbers
            moves = self._proposed(np.repeat(going, numbers), scored, rng)
            succeeds = np.flatnonzero(-rng.standard_exponential(len(moves.chains)) < self._log_ratios(moves, scored))
            named, first = np.unique(moves.chains[succeeds], return_index=True)
            for c, p in zip(named, succeeds[first], strict=True):
                scored[c] = self._scored(_after(scored[c].point, moves, p))
                tried[c] = before[c] + 1 + p - np.searchsorted(moves.chains, c)
                self.tally.accepted += 1
        self.tally.tried += int(tried.sum())
        return [one.point for one in scored]

    @cached_property
    def _sites(self) -> _Sites:
        """Neighbourhoods in units of each feature's spread."""
        n_rows = len(self.rows)
        anchors = np.unique(np.linspace(0, n_rows - 1, min(n_rows, MOST_ANCHORS)).astype(np.intp))
        sizes = np.unique(np.round(np.geomspace(1, max(1, n_rows // 2), N_SIZES)).astype(np.intp))
        spread = self.rows.rows.std(axis=0)
        scaled, found = self.rows.rows / np.where(spread > 0, spread, 1.0), list[Moments]()
        for anchor in anchors:
            order = np.argsort(np.square(scaled - scaled[anchor]).sum(axis=1), kind="stable")
            ranks = np.empty(n_rows, np.intp)
            ranks[order] = np.arange(n_rows)
            shares = np.where(ranks < sizes[:, None], CERTAIN, 0.0)
            found.append(self.rows.moments(shares))
        return _Sites(anchors, sizes, Moments.stacked(found))

    def _scored(self, point: Point) -> _Scored:
        log_joint = point.log_weights[:, None] + self.rows.log_densities(point.components)
        return _Scored(point, log_joint, np.logaddexp.reduce(log_joint, axis=0))

    def _proposed(self, chains: NDArray[np.intp], scored: list[_Scored], rng: np.random.Generator) -> _Moves:
        sites, n = self._sites, len(chains)
        births, picked = rng.random(n) < 0.5, rng.integers(len(sites.rows), size=n)
        sizes = rng.integers(len(sites.sizes), size=n)
        scale = np.concatenate([one.point.components.scale for one in scored])[chains]
        made = self.components.propose(select(sites.moments, picked * len(sites.sizes) + sizes), scale, rng)
        means, roots, shares = made.means.copy(), made.roots.copy(), np.asarray(rng.beta(*self._laws[:, sizes]))
        places = np.zeros(n, np.intp)
        for p in np.flatnonzero(~births):
            components, log_weights = scored[chains[p]].point
            places[p] = k = rng.integers(len(log_weights))
            means[p], roots[p], shares[p] = components.means[k], components.roots[k], np.exp(log_weights[k])
            sure = scored[chains[p]].log_joint[k, sites.rows] - scored[chains[p]].log_density[sites.rows]
            picked[p] = np.argmax(sure + rng.gumbel(size=len(sure)))
        shares = np.clip(shares, TINY, 1 - EPS)
        return _Moves(chains, births, places, replace(made, means=means, roots=roots), shares, picked)

    @cached_property
    def _laws(self) -> Array:
        """Parameters of the beta laws of the weight, for each size of neighbourhood, ``(2, M)``."""
        sizes = self._sites.sizes
        return 1 + CERTAIN * np.stack([sizes, len(self.rows) - sizes])

    def _log_ratios(self, moves: _Moves, scored: list[_Scored]) -> Array:
        """Of acceptance."""
        log_share, log_rest = np.log(moves.shares), np.log1p(-moves.shares)
        without, log_ratios = np.empty((len(moves.chains), len(self.rows))), np.empty(len(moves.chains))
        for p, (chain, birth) in enumerate(zip(moves.chains, moves.births, strict=True)):
            (_, log_weights), log_joint, log_density = scored[chain]
            if birth:
                fewer, without[p] = log_weights, log_density
                more = np.append(log_weights + log_rest[p], log_share[p])
            else:
                more, others = log_weights, np.delete(log_joint, moves.places[p], axis=0)
                fewer = np.delete(log_weights, moves.places[p]) - log_rest[p]
                without[p] = np.logaddexp.reduce(others, axis=0) - log_rest[p] if len(others) else log_density
            log_ratios[p] = self.partition.log_density_of_weights(more) + (len(fewer) - 1) * log_rest[p]
            log_ratios[p] -= self.partition.log_density_of_weights(fewer)
        within = self.rows.log_densities(moves.components) + log_share[:, None] - without
        gained = np.logaddexp(log_rest[:, None], within)
        sure = log_softmax((within - gained)[:, self._sites.rows], axis=1)
        log_ratios += gained.sum(axis=1) + sure[np.arange(len(sure)), moves.picked] + np.log(sure.shape[1])
        log_ratios += self._log_weights(moves, log_share, log_rest)
        return np.where(moves.births, log_ratios, -log_ratios)

    def _log_weights(self, moves: _Moves, log_share: Array, log_rest: Array) -> Array:
        """``log p(θ) − log q(θ, v)`` with ``q`` a mixture over sizes of neighbourhoods."""
        sites, (n_moves, n_sizes) = self._sites, (len(moves.picked), len(self._sites.sizes))
        each = np.repeat(np.arange(n_moves), n_sizes)
        tiled = replace(moves.components[each], scale=moves.components.scale[each])
        places = (moves.picked[:, None] * n_sizes + np.arange(n_sizes)).ravel()
        of_sizes = self.components.log_weights(select(sites.moments, places), tiled).reshape(n_moves, n_sizes)
        a, b = self._laws
        of_shares = (a - 1) * log_share[:, None] + (b - 1) * log_rest[:, None] - betaln(a, b)
        return np.asarray(np.log(n_sizes) - logsumexp(of_shares - of_sizes, axis=1))


def _after(point: Point, moves: _Moves, p: int) -> Point:
    """The point once a move has succeeded."""
    (components, log_weights), log_rest = point, np.log1p(-moves.shares[p])
    if moves.births[p]:
        means, roots = moves.components.means[p : p + 1], moves.components.roots[p : p + 1]
        return Point(components.joined(means, roots), np.append(log_weights + log_rest, np.log(moves.shares[p])))
    left = np.delete(np.arange(len(log_weights)), moves.places[p])
    return Point(components[left], log_weights[left] - log_rest)
