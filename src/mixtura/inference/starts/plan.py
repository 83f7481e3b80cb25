"""The plan of a fit: a seeding or what the user gives, a race on a sample, a pilot on a subsample, and the climb of what is left of it.

One recipe for a single fit, for a search, whose candidates share every read of the data, for the modes at which chains begin, and for a
posterior in place of a point. A single fit is a list of one case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from mixtura.data.source import Source
from mixtura.ground.errors import CollapseError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.climb.climber import Algorithm, Solver
from mixtura.inference.climb.loop import Observer, Progress
from mixtura.inference.rules.collapse import Collapsed
from mixtura.inference.rules.em import ExpectationMaximization, above_floor
from mixtura.inference.rules.penalty import Checked, check_gradient
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.pilot import fly, pilot_source
from mixtura.inference.starts.race import SHORT_RUNS, Pool, Shortlist, Start, pool_size, race
from mixtura.inference.starts.restarts import Restarts, finish
from mixtura.inference.starts.sample import SeedingSample
from mixtura.inference.starts.seedings import REMEDY, SEEDINGS, kmeans_starts, near_centres
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.sweep import Sweep, accumulate, among_all

A = TypeVar("A", bound=Algorithm, covariant=True)


@dataclass(frozen=True, eq=False)
class Case(Generic[A]):
    """What is to be fitted.

    Attributes
    ----------
    n_components : int
    algorithm : Algorithm
        That climbs.
    finder : ExpectationMaximization
        Whose M-step makes starts: the algorithm itself, or EM beside that of a posterior.
    """

    n_components: int
    algorithm: A
    finder: ExpectationMaximization

    @property
    def racer(self) -> Algorithm:
        """The algorithm of the short runs, which knows of no penalty."""
        return self.finder if isinstance(self.algorithm, ExpectationMaximization) else self.algorithm


def point_case(n_components: int, algorithm: ExpectationMaximization) -> Case[ExpectationMaximization]:
    """A mixture that EM, or a solver in its place, climbs to; starts score all components of the sample's rows."""
    assignment = among_all(algorithm.assignment)
    as_found = algorithm.penalty is None and assignment is algorithm.assignment
    finder = algorithm if as_found else replace(algorithm, penalty=None, assignment=assignment)
    return Case(n_components, algorithm, finder)


class Earlier(NamedTuple):
    """The last fit, which a warm start goes on from: a mixture or a posterior, and the bounds of its climb."""

    belief: Any
    bounds: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Beginning:
    """Where to begin: by a seeding, or as far as the user says.

    Attributes
    ----------
    seeding : str
        One of ``SEEDINGS``.
    partition : (N,) integer array, (N, K) array or None
        Labels or responsibilities of the rows, with whose M-step it begins.
    weights, means, covariances : arrays or None
        Parts of the start.
    earlier : Earlier or None
        A fit to go on from.
    """

    seeding: str = "kmeans"
    partition: Array | None = None
    weights: Array | None = None
    means: Array | None = None
    covariances: Array | None = None
    earlier: Earlier | None = None

    @property
    def is_seeded(self) -> bool:
        """Whether nothing has been given."""
        given = (self.partition, self.weights, self.means, self.covariances, self.earlier)
        return all(part is None for part in given)

    @property
    def is_whole(self) -> bool:
        """Whether all parts of the start have been."""
        return all(part is not None for part in (self.weights, self.means, self.covariances))


AFRESH = Beginning()
"""By k-means."""


class Ascent(Protocol):
    """What climbs from shortlists to ends, such as ``finish``."""

    def __call__(
        self,
        source: Source,
        shortlists: Sequence[Shortlist],
        algorithms: Sequence[Any],
        stopping: Stopping,
        observe: Observer | None = None,
        progress: Progress | None = None,
    ) -> Sequence[Restarts | CollapseError]:
        """The outcome of each."""


def fit_all(
    source: Source,
    sample: SeedingSample,
    cases: Sequence[Case[Any]],
    stopping: Stopping,
    rng: np.random.Generator,
    *,
    n_init: int = 1,
    beginning: Beginning = AFRESH,
    pilot: Solver | None = None,
    ascend: Ascent = finish,
    observe: Observer | None = None,
    progress: Progress | None = None,
) -> list[Restarts | CollapseError]:
    """Fit every case, side by side.

    Parameters
    ----------
    source : Source
    sample : SeedingSample
        That starts look at.
    cases : sequence of Case
    stopping : Stopping
    rng : Generator
    n_init : int
        Restarts of each case.
    beginning : Beginning
    pilot : Solver, optional
        What climbs on a subsample first where the data are large; nothing does where a start is given.
    ascend : Ascent
    observe : Observer, optional
    progress : Progress, optional

    Returns
    -------
    list of Restarts or CollapseError
        The error where a case could not be begun, or none of its runs could go on to its end.
    """
    begun, stopping = begin_all(source, sample, cases, beginning, n_init, rng), stopping.of(source.n_rows)
    going = [(case, one) for case, one in zip(cases, begun, strict=True) if isinstance(one, Shortlist)]
    for case, shortlist in going:
        if isinstance(case.algorithm.penalty, Checked):
            check_gradient(case.algorithm.penalty, shortlist.starts[0].mixture)
    algorithms, shortlists = [case.algorithm for case, _ in going], [shortlist for _, shortlist in going]
    if going and pilot is not None and beginning.is_seeded:
        rows = pilot_source(source, max(shortlist.starts[0].mixture.n_parameters for shortlist in shortlists))
        if rows is not None:
            shortlists = fly(rows, shortlists, algorithms, stopping, pilot)
    ended = iter(ascend(source, shortlists, algorithms, stopping, observe, progress) if going else ())
    return [next(ended) if isinstance(one, Shortlist) else one for one in begun]


def fit_one(
    source: Source,
    sample: SeedingSample,
    case: Case[Any],
    stopping: Stopping,
    rng: np.random.Generator,
    **how: Any,
) -> Restarts:
    """Fit a single case, as ``fit_all`` does.

    Raises
    ------
    CollapseError
        If it could not be begun, or none of its runs could go on to its end.
    """
    (outcome,) = fit_all(source, sample, [case], stopping, rng, **how)
    if isinstance(outcome, CollapseError):
        raise outcome
    return outcome


def begin_all(
    source: Source,
    sample: SeedingSample,
    cases: Sequence[Case[Any]],
    beginning: Beginning,
    n_init: int,
    rng: np.random.Generator,
) -> list[Shortlist | CollapseError]:
    """The starts that each case goes on with, or why it has none."""
    if beginning.earlier is not None:
        return [Shortlist([_resumed(source, case, beginning.earlier)]) for case in cases]
    if beginning.partition is not None:
        return [Shortlist([Start(_after_partition(source, case, beginning))]) for case in cases]
    if beginning.is_whole:
        return [Shortlist([Start(_of_parts(case, beginning))], is_given=True) for case in cases]
    pools: list[Pool | CollapseError] = []
    for case, points in zip(cases, _points(sample, cases, beginning, n_init, rng), strict=True):
        if isinstance(points, CollapseError):
            pools.append(points)
        else:
            pools.append(Pool(_beliefs(case, points, beginning, sample), case.racer, n_init))
    raced = iter(race(sample, [pool for pool in pools if isinstance(pool, Pool)]))
    return [next(raced) if isinstance(pool, Pool) else pool for pool in pools]


def _points(
    sample: SeedingSample, cases: Sequence[Case[Any]], beginning: Beginning, n_init: int, rng: np.random.Generator
) -> list[list[Any] | CollapseError]:
    """As many starts for each case as a race for so many restarts begins with; cases of one size share their partitions by k-means."""
    if beginning.means is not None:
        return [[near_centres(sample, beginning.means, case.finder)] for case in cases]
    if beginning.seeding == "kmeans":
        candidates = [(case.n_components, case.racer) for case in cases]
        return kmeans_starts(sample, candidates, rng, max(SHORT_RUNS, 2 * n_init), distinct=n_init == 1)
    seed = SEEDINGS[beginning.seeding]
    points: list[list[Any] | CollapseError] = []
    for case in cases:
        try:
            points.append(seed(sample, case.n_components, case.finder, rng, pool_size(case.n_components, n_init)))
        except CollapseError as error:
            points.append(error)
    return points


def _beliefs(case: Case[Any], starts: Sequence[Any], beginning: Beginning, sample: SeedingSample) -> Sequence[Any]:
    """What the algorithm begins with: where it believes more than a point, that after one look at the sample through each of them."""
    if not isinstance(starts[0], Mixture):
        return starts
    points = [_with_parts(point, case, beginning) for point in starts]
    if isinstance(case.algorithm, ExpectationMaximization):
        return points
    with Sweep(sample.source) as sweep:
        return case.algorithm.maximise_stack([swept.moments for swept in sweep([point.scorer for point in points])])


def _after_partition(source: Source, case: Case[Any], beginning: Beginning) -> Any:
    """The first M-step from labels or responsibilities, and then the parts that were given."""
    assert beginning.partition is not None
    belief = _first_m_step(source, case, beginning.partition)
    return _with_parts(belief, case, beginning) if isinstance(belief, Mixture) else belief


def _resumed(source: Source, case: Case[Any], earlier: Earlier) -> Start:
    """The last fit as a start; where its form is another one now, the M-step from its responsibilities."""
    belief, wanted = earlier.belief, (case.n_components, source.n_features)
    if belief.means.shape != wanted:
        shape = belief.means.shape
        raise InvalidParameterError(
            f"warm_start goes on from a fit of {shape[0]} components in {shape[1]} columns; now n_components={wanted[0]}, and the "
            f"data have {wanted[1]}. Set warm_start=False to begin afresh."
        )
    admitted = case.algorithm.admitted(belief)
    if admitted is not None:
        return Start(admitted, history=earlier.bounds)
    scorer = belief.scorer if case.algorithm.structure.diagonal else belief.scorer.with_matrices()
    with Sweep(source) as sweep:
        return Start(_m_step(case, sweep([scorer])[0].moments))


def _first_m_step(source: Source, case: Case[Any], partition: Array) -> Any:
    moments = accumulate(source, partition, case.n_components, diagonal=case.algorithm.structure.diagonal)
    return _m_step(case, moments)


def _m_step(case: Case[Any], moments: Moments) -> Any:
    if case.algorithm.structure.diagonal:
        moments = moments.diagonals()
    try:
        return case.algorithm.maximise(moments)
    except Collapsed as collapsed:
        raise InvalidParameterError(
            f"init_params leaves a component that has collapsed: {collapsed}. {REMEDY}"
        ) from collapsed


def _of_parts(case: Case[Any], beginning: Beginning) -> Mixture:
    """The start that was given whole."""
    structure = case.finder.structure
    start = Mixture(beginning.weights, beginning.means, beginning.covariances, structure)  # type: ignore[arg-type]
    return above_floor(start, case.finder.floor)


def _with_parts(point: Mixture, case: Case[Any], beginning: Beginning) -> Mixture:
    """A start with the parts that were given in place of its own."""
    weights, means, covariances = beginning.weights, beginning.means, beginning.covariances
    if weights is not None or means is not None or covariances is not None:
        point = Mixture(
            point.weights if weights is None else weights,
            point.means if means is None else means,
            point.covariances if covariances is None else covariances,
            point.structure,
        )
    return above_floor(point, case.finder.floor)
