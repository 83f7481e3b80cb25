"""A race on the seeding sample: many short runs side by side, of which only the promising ones go on to all of the data.

Where a run ends shows early more often than not, and on a sample it costs next to nothing (Biernacki, Celeux and Govaert 2003). So twice
as many runs are begun as restarts are asked for, the poorer ones are given up in stages, and about a third of the restarts runs to the
end: over many data sets that finds the same optima as running all restarts to the end, for half of the iterations. Runs that have come to
the same place are one run, counted as often as it was reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mixtura.inference.climb.climber import Algorithm
from mixtura.inference.climb.curvature import Curvature
from mixtura.inference.climb.loop import climb
from mixtura.inference.rules.collapse import Collapsed
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.sample import SeedingSample
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.sweep import fits_cache

SHORT_RUNS = 10
"""Least number of k-means starts."""
OF_ONE = ((0, 4), (2, 2), (3, 1))
"""For a single fit: further iterations of each stage, and how many runs go on after it."""
OF_ONE_AT_ONCE = ((5, 1),)
"""The same where iterations cost less than the stages."""
MOST_AT_ONCE = 2**21
"""Multiplications of a pass under all starts, of rows that fit a cache, up to which that is so."""
OF_ONE_BELIEF = ((5, 5), (20, 2), (60, 1))
"""For a single posterior, of rows over which iterations cost next to nothing: which of its starts leads highest shows late."""
STAGES = ((10, 1.5), (20, 0.8), (60, 0.4))
"""For restarts: the same, how many go on for each restart asked for."""
SAME_BOUND = 1e-6
"""Runs whose bounds differ by less than this a row are taken to have come to the same place."""


class Pool(NamedTuple):
    """The starts of one candidate, and the number of restarts that was asked for."""

    starts: Sequence[Any]
    algorithm: Algorithm
    n_init: int


class Start(NamedTuple):
    """A mixture to climb from, and how many restarts have come to it.

    If it goes on from another climb, also the bounds of that one, and what it has learnt of their curvature.
    """

    mixture: Any
    times: int = 1
    history: tuple[float, ...] = ()
    curvature: Curvature | None = None


class Shortlist(NamedTuple):
    """The starts that go on, best first, and what has become of the others.

    Those that wait go on if all of the first collapse; a single fit keeps none waiting: a run that meets the floor is judged as it is. A
    run has collapsed where it could not go on, or has a component that holds too few rows to be a group. A start that the user has given
    in all its parts is kept wherever it leads.
    """

    starts: list[Start]
    reserves: Sequence[Start] = ()
    n_collapsed: int = 0
    n_given_up: int = 0
    is_given: bool = False


@dataclass(eq=False)
class _Contender:
    mixture: Any
    moments: Moments | None = None
    bound: float = -np.inf
    failed: bool = False
    collapsed: bool = False
    times: int = 1

    def as_start(self) -> Start:
        return Start(self.mixture, self.times)


@dataclass(eq=False)
class _Field:
    pool: Pool
    contenders: list[_Contender]
    reserves: list[_Contender]
    n_collapsed: int = 0

    def shortlist(self) -> Shortlist:
        """What is left of it."""
        starts, reserves = [c.as_start() for c in self.contenders], [c.as_start() for c in self.reserves]
        if self.pool.n_init > 1:
            return Shortlist(starts, reserves, self.n_collapsed)
        return Shortlist(starts, (), self.n_collapsed, n_given_up=sum(start.times for start in reserves))

    def keep(self, n: int, width: float) -> None:
        """Keep the best ``n``; collapsed ones only where there is nothing else."""
        sound = [c for c in self.contenders if not c.collapsed]
        if sound:
            self.n_collapsed += len(self.contenders) - len(sound)
        kept = [_first(place) for place in places(sound or self.contenders, lambda c: c.bound, width)]
        if sound:
            self.reserves = kept[n:] + self.reserves
        else:  # those behind would end no better
            self.n_collapsed += sum(contender.times for contender in kept[n:])
        self.contenders = kept[:n]


def places(runs: Sequence[Any], bound: Callable[[Any], float], width: float) -> list[list[Any]]:
    """Runs by the place that they have come to, the best place first: in order of their bounds, none further than ``width`` from the next.

    Within a place they stand in the order given: which of their bounds is the larger one is rounding, and must not decide.
    """
    found: list[list[int]] = []
    last = math.inf
    for i in sorted(range(len(runs)), key=lambda i: bound(runs[i]), reverse=True):
        if found and last - bound(runs[i]) < width:
            found[-1].append(i)
        else:
            found.append([i])
        last = bound(runs[i])
    return [[runs[i] for i in sorted(place)] for place in found]


def _first(place: Sequence[_Contender]) -> _Contender:
    """The first contender of a place, which stands for all of them."""
    place[0].times = sum(contender.times for contender in place)
    return place[0]


def race(sample: SeedingSample, pools: Sequence[Pool]) -> list[Shortlist]:
    """Choose the starts that go on to all of the data, for several candidates side by side.

    Parameters
    ----------
    sample : SeedingSample
    pools : sequence of Pool
    """
    fields = [_Field(pool, [_Contender(start) for start in pool.starts], []) for pool in pools]
    width = SAME_BOUND * float(sample.weights.sum())
    singles = [f for f in fields if f.pool.n_init == 1]
    beliefs = [f for f in singles if fits_cache(sample.source) and not isinstance(f.pool.starts[0], Mixture)]
    points = [f for f in singles if f not in beliefs]
    for n_iterations, n in OF_ONE_BELIEF:
        _stage(sample, [(f, n) for f in beliefs], n_iterations, width)
    for n_iterations, n in OF_ONE_AT_ONCE if _costs_little(sample, points) else OF_ONE:
        _stage(sample, [(f, n) for f in points], n_iterations, width)
    many = [f for f in fields if f.pool.n_init > 1]
    for n_iterations, share in STAGES:
        _stage(sample, [(f, math.ceil(share * f.pool.n_init)) for f in many], n_iterations, width)
    return [f.shortlist() for f in fields]


def _costs_little(sample: SeedingSample, fields: Sequence[_Field]) -> bool:
    """Whether a few iterations from all starts cost less than looking at them one stage after another."""
    starts = [contender.mixture.means.size for field in fields for contender in field.contenders]
    return fits_cache(sample.source) and sample.rows.size * sum(starts) <= MOST_AT_ONCE


def pool_size(n_components: int, n_init: int) -> int:
    """How many starts to draw for so many restarts: for one component one will do."""
    return 1 if n_components == 1 or n_init == 1 else 2 * n_init


def _stage(sample: SeedingSample, fields: Sequence[tuple[_Field, int]], n_iterations: int, width: float) -> None:
    """So many iterations for every contender where there are several, of which so many stay."""
    racing = [(f, n) for f, n in fields if len(f.contenders) > 1]
    if racing:
        _run(sample, [f for f, _ in racing], n_iterations)
    for f, n in racing:
        f.keep(n, width)


def _run(sample: SeedingSample, fields: Sequence[_Field], n_iterations: int) -> None:
    """So many iterations for every contender, from the moments that it has come to where it has been looked at."""
    looked_at = bool(n_iterations) and all(c.moments is not None for f in fields for c in f.contenders)
    entries = [(contender, f.pool.algorithm) for f in fields for contender in f.contenders]
    if looked_at:
        _step(entries)
    stopping = Stopping(0.0, n_iterations - looked_at, sample.source.total_weight)
    runs = climb(sample.source, [c.mixture for c, _ in entries], [algorithm for _, algorithm in entries], stopping)
    for (contender, _), run in zip(entries, runs, strict=True):
        contender.collapsed = contender.failed or run.failed or run.is_spiked
        if not contender.failed and not run.failed:
            contender.mixture, contender.bound, contender.moments = run.mixture, run.bounds[-1], run.moments


def _step(entries: Sequence[tuple[_Contender, Algorithm]]) -> None:
    """The M-step of every contender, those that share an algorithm in one stack."""
    alike: dict[Algorithm, list[_Contender]] = {}
    for contender, algorithm in entries:
        alike.setdefault(algorithm, []).append(contender)
    for algorithm, contenders in alike.items():
        updated = algorithm.maximise_stack([c.moments for c in contenders if c.moments is not None])
        for contender, mixture in zip(contenders, updated, strict=True):
            contender.failed = isinstance(mixture, Collapsed)
            contender.mixture = contender.mixture if contender.failed else mixture
