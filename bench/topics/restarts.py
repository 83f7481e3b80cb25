"""Twenty restarts: what they cost beside one, and whether they find what climbing from all twenty starts would."""

from __future__ import annotations

import math
import time
from itertools import chain, product
from statistics import mean, median
from typing import NamedTuple

import numpy as np

from bench.examples import NAMES, overlapping, rows_of
from bench.fresh import Failure, Task, alone
from bench.report import Row, Table, Target, judged, seconds

N_INIT = 20
MAX_ITER = 1000
SAME = 1e-5
"""Nats a row below which two results are one optimum."""
STRUCTURES = ("full", "tied", "diag", "spherical")
SIZES = (2, 4, 7)
SYNTHETIC = ((500, 2, 5, 1), (1000, 4, 6, 2), (2000, 3, 8, 3), (2000, 8, 4, 4), (4000, 2, 10, 5))
"""Rows, features, components, seed."""
TARGET = Target(6, at_least=False)

ABOUT = (
    f"`n_init={N_INIT}` beside `n_init=1` in turn, `max_iter={MAX_ITER}`, for the structures {', '.join(STRUCTURES)} and K "
    f"of {', '.join(map(str, SIZES))}: *measured* is the median ratio of times. The result is held against {N_INIT} k-means starts climbed "
    f"one by one to their ends: it can be better, the same (within {SAME:g} nats a row) or worse; a result with a component held at "
    "`reg_covar` counts below any without. Each data set in a process of its own. The last verdict asks for no fewer better than worse."
)


class Outcome(NamedTuple):
    """One structure and K on one data set: seconds of each way, and nats a row gained over climbing from every start."""

    one: float
    many: float
    all_climbs: float
    gain: float


def tables(quick: bool) -> list[Table]:
    """A row for each data set, and one for all."""
    names = ("faithful",) if quick else NAMES
    tasks = {name: Task(outcomes, (name, None, quick)) for name in names}
    for sizes in SYNTHETIC[:1] if quick else SYNTHETIC:
        n, d, k, _ = sizes
        tasks[f"{n:,} × {d}, {k} overlapping clusters"] = Task(outcomes, (None, sizes, quick))
    rows: list[Row] = []
    done: dict[str, list[Outcome]] = {}
    for name, task in tasks.items():
        try:
            done[name] = alone(task)
        except Failure as failure:
            rows.append({"data": name, "note": f"failed: {failure}"})
            continue
        rows.append({"data": name, **_cells(done[name], None)})
    if together := list(chain(*done.values())):
        rows.append({"data": "all", **_cells(together, TARGET)})
        better, worse = _count(together)
        rows.append({"data": "all: better less worse", "settings": str(len(together)), **_ahead(better - worse)})
    return [Table("Restarts", ABOUT, rows)]


def _cells(found: list[Outcome], target: Target | None) -> Row:
    ratios = [outcome.many / outcome.one for outcome in found]
    better, worse = _count(found)
    return {
        "settings": str(len(found)),
        f"n_init={N_INIT}": seconds(mean(o.many for o in found)),
        **judged(median(ratios), target),
        "mean": f"{mean(ratios):.3g}×",
        "all climbs": f"{median(o.all_climbs / o.one for o in found):.3g}×",
        "better": str(better),
        "same": str(len(found) - better - worse),
        "worse": str(worse),
    }


def _ahead(difference: int) -> Row:
    return Target(0, form="{:d}").cells(difference)


def _count(found: list[Outcome]) -> tuple[int, int]:
    return sum(o.gain > SAME for o in found), sum(o.gain < -SAME for o in found)


def outcomes(name: str | None, sizes: tuple[int, int, int, int] | None, quick: bool) -> list[Outcome]:
    """All structures and K on one data set: an example's name, or the sizes of a seeded one."""
    rows = rows_of(name) if name else overlapping(*sizes)
    settings = product(STRUCTURES[:2] if quick else STRUCTURES, SIZES[:2] if quick else SIZES)
    _fit(rows, STRUCTURES[0], SIZES[0], 2)
    return [_outcome(rows, structure, k, 1 if quick else 3) for structure, k in settings]


def _outcome(rows: np.ndarray, structure: str, n_components: int, rounds: int) -> Outcome:
    one, many = [], []
    for _ in range(rounds):
        one.append(_fit(rows, structure, n_components, 1)[0])
        taken, result = _fit(rows, structure, n_components, N_INIT)
        many.append(taken)
    begun = time.perf_counter()
    reference = _climb_all(rows, structure, n_components)
    all_climbs = time.perf_counter() - begun
    return Outcome(median(one), median(many), all_climbs, _gain(result, reference) / len(rows))


Result = tuple[bool, float]
"""Whether no component is held at the floor, and the log-likelihood: what results are compared by."""


def _gain(result: Result, reference: Result) -> float:
    if result[0] is not reference[0]:
        return math.inf if result[0] else -math.inf
    return result[1] - reference[1] if result[0] else 0.0


def _fit(rows: np.ndarray, structure: str, n_components: int, n_init: int) -> tuple[float, Result]:
    from mixtura import GaussianMixture

    estimator = GaussianMixture(
        n_components, covariance_type=structure, n_init=n_init, max_iter=MAX_ITER, random_state=0
    )
    begun = time.perf_counter()
    estimator.fit(rows)
    return time.perf_counter() - begun, (not estimator.collapses_, estimator.lower_bound_ * len(rows))


def _climb_all(rows: np.ndarray, structure: str, n_components: int) -> Result:
    """The best of as many k-means starts, each climbed alone, under the settings of the estimator."""
    from mixtura import GaussianMixture
    from mixtura.data.array import ArraySource
    from mixtura.inference.climb.loop import climb
    from mixtura.inference.rules.em import ExpectationMaximization
    from mixtura.inference.rules.stopping import Stopping
    from mixtura.inference.starts.floor import default_floor
    from mixtura.inference.starts.sample import seeding_sample
    from mixtura.inference.starts.seedings import SEEDINGS
    from mixtura.model.covariance import covariance_structure

    defaults = GaussianMixture()
    source = ArraySource(rows)
    sample = seeding_sample(source, n_components)
    floor = default_floor(sample, source.facts.magnitude, float(np.finfo(rows.dtype).eps))
    algorithm = ExpectationMaximization(
        covariance_structure(structure), floor=floor.variances, collapsed=floor.collapsed
    )
    starts = SEEDINGS["kmeans"](sample, n_components, algorithm, np.random.default_rng(0), N_INIT)
    stopping = Stopping(defaults.tol, MAX_ITER, source.total_weight)
    runs = [climb(source, [start], algorithm, stopping)[0] for start in starts]
    return max((not run.collapses, run.bounds[-1]) for run in runs if not run.failed)
