"""How a variational posterior is climbed to: by passes over all rows, with moves, or by batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from mixtura.data.source import Source
from mixtura.ground.errors import CollapseError, InvalidParameterError
from mixtura.ground.settings import Settings, check_integer
from mixtura.inference.climb.by_batches import BATCH_ROWS, Watch, begin, learn_all, rows_to_begin
from mixtura.inference.climb.by_blocks import climb_by_blocks
from mixtura.inference.climb.loop import Observer, Progress, Run
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.moves import leap
from mixtura.inference.starts.plan import Ascent
from mixtura.inference.starts.race import Shortlist
from mixtura.inference.starts.restarts import Optimum, Restarts, finish, summarise
from mixtura.inference.starts.sample import SeedingSample


class VariationalSolver(Protocol):
    """Settings that know how to climb under them."""

    @property
    def reads_whole(self) -> bool:
        """Whether all that it learns of the rows it learns by passes over all of them."""

    def ascent(self, sample: SeedingSample, rng: np.random.Generator, watch: Watch | None) -> Ascent:
        """The climb, with the sample that starts look at, a random stream, and whoever watches the losses of batches."""


@dataclass(frozen=True)
class Cavi(Settings):
    """Variational Bayes by coordinate ascent, which reads all rows for every step.

    Parameters
    ----------
    batch_size : int, optional
        The belief is updated after every block of so many rows, by which it needs fewer reads; by default after all of them.
    moves : bool, default=True
        Whether it tries, once it has converged, to merge, delete and split components, and goes on from the best of these as long as the
        bound rises. Components are split into places that the data had left empty.

    Examples
    --------
    >>> import mixtura as mx
    >>> mx.BayesianGaussianMixture(3, solver=mx.Cavi(moves=False)).get_params()["solver__moves"]
    False
    """

    batch_size: int | None = None
    moves: bool = True

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            check_integer(self.batch_size, "batch_size", 1)
        if not isinstance(self.moves, bool | np.bool_):
            raise InvalidParameterError(f"moves must be True or False; got {self.moves!r}.")

    @property
    def reads_whole(self) -> bool:
        return self.batch_size is None

    def ascent(self, sample: SeedingSample, rng: np.random.Generator, watch: Watch | None) -> Ascent:
        """The climb; nothing of it is random."""
        return self._ascend

    def _ascend(
        self,
        source: Source,
        shortlists: Sequence[Shortlist],
        algorithms: Sequence[Any],
        stopping: Stopping,
        observe: Observer | None = None,
        progress: Progress | None = None,
    ) -> list[Restarts | CollapseError]:
        if self.batch_size is None:
            ended = finish(source, shortlists, algorithms, stopping, observe, progress)
        else:
            ended = [
                _by_blocks(source, shortlist, algorithm, stopping, self.batch_size, observe)
                for shortlist, algorithm in zip(shortlists, algorithms, strict=True)
            ]
        if not self.moves:
            return ended
        return [
            one if isinstance(one, CollapseError) else _moved(source, one, algorithm, stopping, observe)
            for one, algorithm in zip(ended, algorithms, strict=True)
        ]


@dataclass(frozen=True)
class Svi(Settings):
    """Stochastic variational inference, which learns from batches of rows in random order, and from streams through ``partial_fit``.

    It reads the data so until a read brings no more than ``tol`` per row, and then goes on by coordinate ascent until no more than that is
    estimated to be still to come.

    Parameters
    ----------
    batch_size : int, default=4096
        Rows to a batch.

    Examples
    --------
    >>> import mixtura as mx
    >>> mx.BayesianGaussianMixture(3, solver=mx.Svi(batch_size=1024)).solver
    Svi(batch_size=1024)
    """

    batch_size: int = BATCH_ROWS

    def __post_init__(self) -> None:
        check_integer(self.batch_size, "batch_size", 1)

    @property
    def reads_whole(self) -> bool:
        return False

    def ascent(self, sample: SeedingSample, rng: np.random.Generator, watch: Watch | None) -> Ascent:
        """The climb from each start, one after another."""

        def ascend(
            source: Source,
            shortlists: Sequence[Shortlist],
            algorithms: Sequence[Any],
            stopping: Stopping,
            observe: Observer | None = None,
            progress: Progress | None = None,
        ) -> list[Restarts | CollapseError]:
            weight = source.total_weight / source.n_rows
            outcomes: list[Restarts | CollapseError] = []
            for shortlist, algorithm in zip(shortlists, algorithms, strict=True):
                n_begun = rows_to_begin(len(shortlist.starts[0].mixture.means), source.n_features)
                begun = weight * min(len(sample.rows), n_begun)
                streams = [begin(start.mixture, sample.source, begun) for start in shortlist.starts]
                runs = [learn_all(source, s, algorithm, self.batch_size, stopping, rng, watch) for s in streams]
                outcomes.append(_summarised(runs, shortlist, stopping, sum(run.n_passes for run in runs)))
            return outcomes

        return ascend


SOLVERS: dict[str, VariationalSolver] = {"cavi": Cavi(), "svi": Svi()}
"""The solvers by name."""


def _by_blocks(
    source: Source,
    shortlist: Shortlist,
    algorithm: Any,
    stopping: Stopping,
    batch_size: int,
    observe: Observer | None,
) -> Restarts:
    starts = [start.mixture for start in shortlist.starts]
    runs = climb_by_blocks(source, starts, algorithm, stopping, batch_size, observe)
    return _summarised(runs, shortlist, stopping, max(run.n_passes for run in runs))


def _moved(
    source: Source, restarts: Restarts, algorithm: Any, stopping: Stopping, observe: Observer | None
) -> Restarts:
    """With moves from the best run, for as long as they raise the bound."""
    if not restarts.best.stop.converged:
        return restarts
    best = leap(source, restarts.best, algorithm, stopping, observe)
    leapt = best.bounds[-1] > restarts.best.bounds[-1]
    optima = (Optimum(best.bounds[-1], 1), *restarts.optima) if leapt else restarts.optima
    n_passes = restarts.n_passes + best.n_passes - restarts.best.n_passes
    return replace(restarts, best=best, optima=optima, n_passes=n_passes)


def _summarised(runs: Sequence[Run], shortlist: Shortlist, stopping: Stopping, n_passes: int) -> Restarts:
    pairs = [(run, start.times) for run, start in zip(runs, shortlist.starts, strict=True)]
    return summarise(pairs, shortlist, stopping, n_passes)
