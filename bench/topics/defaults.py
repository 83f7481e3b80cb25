"""Fits with nothing set but their size, beside scikit-learn's: everyday data, in both classes, and ever more rows, columns, components."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.fresh import Failure, Task, alone
from bench.report import Row, Table, Target, seconds

Array = NDArray[np.floating]
T = TypeVar("T")

SPLITS = 5
SIZES = (2, 5, 10, 20, 50)
STRUCTURES = ("full", "tied", "diag", "spherical")
SMALL = 3000
"""Rows up to which the better of two fits counts."""
ALIKE = 1e-3
"""Nats a training row."""
CLEAR = 1e-2
"""Nats a held-out row."""
MEDIAN, MOST = Target(1.0, at_least=False), Target(2.0, at_least=False)

EVERYDAY = (
    "Six data sets that come with scikit-learn, standardised, 70 % of the rows of each of five splits, and a 14-dimensional funnel; "
    "K = 2, 5, 10, 20, 50; four structures. Nothing else is set, in either library. *Time* is mixtura's over scikit-learn's, the two "
    "fitted in turn in one process: its median, the 95th percentile and the largest. *Lower* is how often the training log-likelihood "
    f"is more than {ALIKE:g} a row below scikit-learn's, *worse* and *better* how often the held-out one differs by more than {CLEAR:g} "
    "a row. Where there are hardly more rows than it takes to fill the covariances, scikit-learn's 1e-6 on every variance lets components "
    "go further towards rows that coincide after rounding than mixtura's floor does, and the training log-likelihood with them."
)
VARIATIONAL = (
    "`BayesianGaussianMixture` on the same six data sets and splits; K = 5 and 20, full and diagonal. Nothing else is set; the default "
    "prior is the same. *No lower* is how often mixtura's bound on the evidence is at least that of scikit-learn's posterior, whose "
    "responsibilities are put into the same formula, to a millionth."
)
VARIATIONAL_SIZES, VARIATIONAL_STRUCTURES = (5, 20), ("full", "diag")
VARIATIONAL_MEDIAN, VARIATIONAL_SHARE = Target(1.5, at_least=False), Target(0.95, form="{:.0%}")
GROWTH = "Spherical clusters six to nine standard deviations apart, full covariances, nothing else set; one fit of each, in turn."


class Posteriors(NamedTuple):
    """Of one setting: times, mixtura's first, and whether its bound is no lower."""

    seconds: tuple[float, float]
    at_least: bool


class Found(NamedTuple):
    """Of one setting: times, and both log-likelihoods a row of either library, mixtura's first."""

    seconds: tuple[float, float]
    training: tuple[float, float]
    held_out: tuple[float, float]


def tables(quick: bool) -> list[Table]:
    """Everyday data, by both classes, and growth."""
    return [
        Table("Default fits of everyday data", EVERYDAY, list(_everyday(quick))),
        Table("Default variational fits", VARIATIONAL, list(_variational(quick))),
        Table("Default fits as data grow", GROWTH, list(_growth(quick))),
    ]


def _everyday(quick: bool) -> Iterator[Row]:
    together: list[Found] = []
    yield from _each(compared, DATA, quick, _summary, together)
    if together:
        middle, high, _ = np.quantile(_ratios(together), (0.5, 0.95, 1))
        yield {"data": "all: median", **_summary(together), **MEDIAN.cells(middle)}
        yield {"data": "all: 95 %", **MOST.cells(high)}


def _each(
    compare: Callable[[str, bool], list[T]],
    names: Iterable[str],
    quick: bool,
    summary: Callable[[list[T]], Row],
    together: list[T],
) -> Iterator[Row]:
    """A row for each data set, and all settings of all of them gathered."""
    for name in names:
        try:
            found: list[T] = alone(Task(compare, (name, quick)))
        except Failure as failure:
            yield {"data": name, "note": f"failed: {failure}"}
            continue
        together += found
        yield {"data": name, **summary(found)}


def _ratios(found: Sequence[Found | Posteriors]) -> list[float]:
    return [one.seconds[0] / one.seconds[1] for one in found]


def _summary(found: list[Found]) -> Row:
    middle, high, largest = np.quantile(_ratios(found), (0.5, 0.95, 1))
    training, held_out = (np.array([getattr(one, kind) for one in found]) for kind in ("training", "held_out"))
    ahead = held_out[:, 0] - held_out[:, 1]
    return {
        "settings": str(len(found)),
        "time": f"{middle:.2f}, {high:.2f}, {largest:.1f}",
        "lower": f"{np.mean(training[:, 0] < training[:, 1] - ALIKE):.0%}",
        "worse": f"{np.mean(ahead < -CLEAR):.0%}",
        "better": f"{np.mean(ahead > CLEAR):.0%}",
    }


def compared(name: str, quick: bool) -> list[Found]:
    """All settings of one data set."""
    return [
        _in_turn(k, structure, split, training, held_out)
        for split, training, held_out in _splits(name, quick)
        for k in (SIZES[:2] if quick else SIZES)
        for structure in (STRUCTURES[:1] if name.startswith("funnel") else STRUCTURES)
        if k <= len(training) // 2
    ]


def _splits(name: str, quick: bool) -> Iterator[tuple[int, Array, Array]]:
    """Training and held-out rows, standardised together."""
    from sklearn.model_selection import train_test_split

    rows, is_funnel = DATA[name](), name.startswith("funnel")
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    for split in range(1 if quick or is_funnel else SPLITS):
        yield split, *train_test_split(rows, test_size=0.5 if is_funnel else 0.3, random_state=split)


def _in_turn(k: int, structure: str, seed: int, training: Array, held_out: Array) -> Found:
    models, times = _timed(_kinds()[:2], k, structure, seed, training)
    training_scores, held_out_scores = ([model.score(rows) for model in models] for rows in (training, held_out))
    return Found(times, tuple(training_scores), tuple(held_out_scores))


def _timed(
    kinds: Sequence[Any], k: int, structure: str, seed: int, training: Array
) -> tuple[list[Any], tuple[float, float]]:
    """Fits by either library, and the seconds that each took."""
    times, models = [np.inf] * 2, [None] * 2
    for _ in range(2 if len(training) < SMALL else 1):
        for which in (0, 1) if (seed + k) % 2 else (1, 0):
            begun = time.perf_counter()
            models[which] = kinds[which](n_components=k, covariance_type=structure, random_state=seed).fit(training)
            times[which] = min(times[which], time.perf_counter() - begun)
    return models, (times[0], times[1])


def _variational(quick: bool) -> Iterator[Row]:
    together: list[Posteriors] = []
    names = [name for name in DATA if not name.startswith("funnel")]
    yield from _each(compared_posteriors, names, quick, _of_posteriors, together)
    if together:
        middle, share = np.median(_ratios(together)), np.mean([one.at_least for one in together])
        yield {"data": "all: median", **_of_posteriors(together), **VARIATIONAL_MEDIAN.cells(middle)}
        yield {"data": "all: no lower", **VARIATIONAL_SHARE.cells(share)}


def _of_posteriors(found: list[Posteriors]) -> Row:
    middle, high, largest = np.quantile(_ratios(found), (0.5, 0.95, 1))
    return {
        "settings": str(len(found)),
        "time": f"{middle:.2f}, {high:.2f}, {largest:.1f}",
        "no lower": f"{np.mean([one.at_least for one in found]):.0%}",
    }


def compared_posteriors(name: str, quick: bool) -> list[Posteriors]:
    """All variational settings of one data set."""
    return [
        _posteriors_in_turn(k, structure, split, training)
        for split, training, _ in _splits(name, quick)
        for k in (VARIATIONAL_SIZES[:1] if quick else VARIATIONAL_SIZES)
        for structure in VARIATIONAL_STRUCTURES
    ]


def _posteriors_in_turn(k: int, structure: str, seed: int, training: Array) -> Posteriors:
    from tests.concentration import SAME, bound_of

    (ours, theirs), times = _timed(_kinds()[2:], k, structure, seed, training)
    their_bound = bound_of(theirs.predict_proba(training), training, ours.algorithm_)
    return Posteriors(times, bool(ours.lower_bound_ >= their_bound - SAME * abs(their_bound)))


@cache
def _kinds() -> tuple[Any, Any, Any, Any]:
    """Both classes of mixtura and scikit-learn in turn, each of which has fitted something."""
    import sklearn.mixture

    import mixtura

    libraries = mixtura, sklearn.mixture
    kinds = [getattr(one, name) for name in ("GaussianMixture", "BayesianGaussianMixture") for one in libraries]
    rows = np.random.default_rng(0).normal(size=(200, 3))
    for kind in kinds:
        kind(n_components=2, random_state=0).fit(rows)
    return tuple(kinds)


GROWING = (
    *((n, 8, 8) for n in (300, 1000, 10_000, 100_000, 1_000_000)),
    *((50_000, 8, k) for k in (2, 32, 128, 512)),
    *((20_000, d, 5) for d in (1, 2, 8, 32, 64, 128, 300)),
    (60, 400, 2),
    (2000, 200, 2),
)
"""Rows, columns, components."""
GOALS = {(100_000, 8, 8): 1 / 4, (1_000_000, 8, 8): 1 / 8}
TOO_LONG_FOR_IT = 512
"""Components of which scikit-learn's fit is not waited for."""


def _growth(quick: bool) -> Iterator[Row]:
    for sizes in GROWING:
        n_rows, n_columns, k = sizes
        if quick and n_rows * n_columns * k > 500_000:
            continue
        row = {"rows": f"{n_rows:,}", "columns": str(n_columns), "components": str(k)}
        try:
            ours, theirs, ahead = alone(Task(grown, sizes))
        except Failure as failure:
            yield {**row, "note": f"failed: {failure}"}
            continue
        row["mixtura"] = seconds(ours)
        if np.isfinite(theirs):
            goal = Target(GOALS.get(sizes, 1.0), at_least=False)
            row |= {"scikit-learn": seconds(theirs), **goal.cells(ours / theirs), "likelihood": f"{ahead:+.4f}"}
        yield row


def grown(n_rows: int, n_columns: int, k: int) -> tuple[float, float, float]:
    """Seconds of both libraries, and by how much mixtura's log-likelihood a row is ahead."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(k, n_columns)) * 6 / np.sqrt(n_columns)
    rows = centres[rng.integers(k, size=n_rows)] + rng.normal(size=(n_rows, n_columns))
    times, scores = [], []
    for kind in _kinds()[: 1 if k >= TOO_LONG_FOR_IT else 2]:
        begun = time.perf_counter()
        model = kind(k, random_state=0).fit(rows)
        times.append(time.perf_counter() - begun)
        scores.append(model.score(rows))
    if len(times) == 1:
        return times[0], np.nan, np.nan
    return times[0], times[1], scores[0] - scores[1]


def _of_scikit_learn(name: str) -> Array:
    from sklearn import datasets

    found: Array = getattr(datasets, f"load_{name}")().data
    return found


def _digits(n_columns: int) -> Array:
    from sklearn.decomposition import PCA

    found: Array = PCA(n_columns, random_state=0).fit_transform(_of_scikit_learn("digits"))
    return found


def _funnel(n_rows: int, seed: int) -> Array:
    """Twelve groups along four directions, each row with a spread of its own."""
    rng = np.random.default_rng(seed)
    centres, spreads = 3 * rng.normal(size=(12, 14)), np.exp(0.5 * rng.normal(size=(n_rows, 1)))
    along = rng.normal(size=(n_rows, 4)) @ rng.normal(size=(4, 14))
    return centres[rng.integers(12, size=n_rows)] + along * spreads + 0.3 * spreads**2 * rng.normal(size=(n_rows, 14))


DATA: dict[str, Callable[[], Array]] = {
    "iris": lambda: _of_scikit_learn("iris"),
    "wine": lambda: _of_scikit_learn("wine"),
    "breast cancer": lambda: _of_scikit_learn("breast_cancer"),
    "diabetes": lambda: _of_scikit_learn("diabetes"),
    "digits, 10 principal components": lambda: _digits(10),
    "digits, 20 principal components": lambda: _digits(20),
    "funnel, 5,000 rows": lambda: _funnel(10_000, 0),
    "funnel, 20,000 rows": lambda: _funnel(40_000, 1),
}
