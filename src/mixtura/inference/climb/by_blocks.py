"""Coordinate ascent block by block: the moments of every block of rows are kept, so the belief can be updated after each of them.

Within a pass the belief moves as often as there are blocks, and the bound stays exact and never falls: a block's old moments are taken away
and its new ones added, and of the responsibilities nothing but their entropy is needed besides. Source: Neal and Hinton (1998), "A view of
the EM algorithm that justifies incremental, sparse, and other variants"; Hughes and Sudderth (2013), "Memoized online variational inference
for Dirichlet process mixture models".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from mixtura.data.array import ArraySource
from mixtura.data.source import Block, Source
from mixtura.inference.climb.climber import Algorithm
from mixtura.inference.climb.loop import Observer, Run
from mixtura.inference.rules.stopping import BY_CALLBACK, Stop, Stopping
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sweep, Swept, without_traces

ROUNDING = 1e-12
"""A component with less than this share of the largest one's rows holds what subtracting has left behind."""


@dataclass(eq=False)
class _Memory:
    """One run: its belief, and of each block the moments and the entropy of the responsibilities."""

    start: Any
    belief: Any
    moments: list[Moments]
    entropies: list[float]
    total: Moments
    bounds: list[float] = field(default_factory=list)
    stop: Stop | None = None

    def share_anew(self, place: int, log_normaliser: float, moments: Moments) -> None:
        """Take a block's old moments away and add its new ones."""
        self.total = without_traces(self.total - self.moments[place] + moments, self.belief.means, ROUNDING)
        self.moments[place], self.entropies[place] = moments, log_normaliser - self.belief.scorer.expected(moments)

    def bound(self, algorithm: Algorithm) -> float:
        """The exact bound at the belief and the responsibilities that the blocks were left with."""
        self.total = reduce(add, self.moments)  # what rounding has left behind is gone
        return sum(self.entropies) + self.belief.scorer.expected(self.total) + algorithm.log_prior(self.belief)


def climb_by_blocks(
    source: Source,
    starts: Sequence[Any],
    algorithm: Algorithm,
    stopping: Stopping,
    block_rows: int,
    observe: Observer | None = None,
) -> list[Run]:
    """Climb from every start, side by side, updating after each block of about ``block_rows`` rows.

    Parameters
    ----------
    source : Source
    starts : sequence of Posterior
    algorithm : Algorithm
        With a closed-form update.
    stopping : Stopping
    block_rows : int
    observe : Observer, optional
    """
    size = -(-source.n_rows // max(1, round(source.n_rows / block_rows)))
    runs = _begin(source, size, starts)
    active, n_passes = list(enumerate(runs)), 1
    while active:
        for index, run in active:
            run.bounds.append(run.bound(algorithm))
            run.stop = stopping(run.bounds, n_passes, run.belief)
            if observe is not None and observe(index, run.belief, tuple(run.bounds)) and run.stop is None:
                run.stop = BY_CALLBACK
        active = [(index, run) for index, run in active if run.stop is None]
        for place, block in enumerate(source.blocks(size)) if active else ():
            for _, run in active:
                run.belief = algorithm.maximise(run.total)
            found = _swept(block, [run.belief.scorer for _, run in active])
            for (_, run), swept in zip(active, found, strict=True):
                run.share_anew(place, *swept)
        n_passes += 1
    return [_as_run(run) for run in runs]


def _swept(block: Block, scorers: Sequence[Scorer]) -> list[Swept]:
    """A pass over one block."""
    with Sweep(ArraySource(block.rows, block.weights)) as sweep:
        return sweep(scorers)


def _begin(source: Source, size: int, starts: Sequence[Any]) -> list[_Memory]:
    """The first pass, all of it under the starts."""
    blocks = [_swept(block, [start.scorer for start in starts]) for block in source.blocks(size)]
    runs = []
    for r, start in enumerate(starts):
        moments = [block[r].moments for block in blocks]
        entropies = [block[r].log_normaliser - start.scorer.expected(block[r].moments) for block in blocks]
        runs.append(_Memory(start, start, moments, entropies, reduce(add, moments)))
    return runs


def _as_run(run: _Memory) -> Run:
    assert run.stop is not None
    n_passes = len(run.bounds)
    passes = tuple(range(1, n_passes + 1))
    return Run(run.start, run.belief, tuple(run.bounds), run.stop, passes, n_passes, moments=run.total)
