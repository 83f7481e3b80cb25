"""A search of nine sizes and six structures, side by side against one after another."""

from __future__ import annotations

import time
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.examples import overlapping
from bench.fresh import Failure, Task, alternate_all
from bench.report import Row, Table, Target, judged, seconds, spread

SIZES = range(1, 10)
STRUCTURES = ("full", "tied", "diag", "tied_diag", "spherical", "tied_spherical")
N_FEATURES, TRUE_SIZE, SEED = 4, 5, 7

ABOUT = (
    f"`GaussianMixtureSearch` over K = 1 … 9 and all six structures, against one `GaussianMixture` and its `bic` for each of the 54 "
    f"candidates, with the same `n_init=1` and `max_iter`, in turn, each in a process of its own; {TRUE_SIZE} seeded clusters in "
    f"{N_FEATURES} dimensions. *Measured* is the time of the search over that of the candidates one by one, with its lowest and highest "
    "round. *Best BIC* is how much lower the search's best one is, relative."
)


class Case(NamedTuple):
    """How many rows, how many iterations at most, how many rounds, and what is wanted."""

    n_rows: int
    max_iter: int
    rounds: int
    target: Target


CASES = (
    Case(2000, 300, 5, Target(1 / 3, at_least=False, form="{:.2f}")),
    Case(1_000_000, 10, 3, Target(0.7, at_least=False, form="{:.2f}")),
)


class Chosen(NamedTuple):
    """Seconds, and the choice."""

    seconds: float
    n_components: int
    covariance_type: str
    bic: float


def tables(quick: bool) -> list[Table]:
    """The one table."""
    cases = [case._replace(n_rows=max(2000, case.n_rows // 50), rounds=1) if quick else case for case in CASES]
    return [Table("Search", ABOUT, [_row(case) for case in cases])]


def _row(case: Case) -> Row:
    arguments = (case.n_rows, case.max_iter)
    tasks = {"search": Task(together, arguments), "one by one": Task(one_by_one, arguments)}
    row = {"data": f"{case.n_rows:,} × {N_FEATURES}", "max_iter": str(case.max_iter)}
    try:
        search, single = alternate_all(tasks, case.rounds)
    except Failure as failure:
        return {**row, "note": f"failed: {failure}"}
    for name, chosen in zip(tasks, (search, single), strict=True):
        row[name] = seconds(median(c.seconds for c in chosen))
    row |= judged(median(c.seconds for c in search) / median(c.seconds for c in single), case.target)
    row["rounds"] = spread((a.seconds / b.seconds for a, b in zip(search, single, strict=True)), "{:.2f}")
    row["chosen"] = f"K = {search[0].n_components}, {search[0].covariance_type}"
    row["best BIC"] = f"{1 - search[0].bic / single[0].bic:.0e}"
    if search[0][1:3] == single[0][1:3]:
        return row
    return {**row, "note": f"one by one: K = {single[0].n_components}, {single[0].covariance_type}"}


def together(n_rows: int, max_iter: int) -> Chosen:
    """All candidates side by side."""
    from mixtura import GaussianMixtureSearch

    rows = _rows(n_rows)
    search = GaussianMixtureSearch(SIZES, covariance_type="all", n_init=1, max_iter=max_iter, random_state=0)
    begun = time.perf_counter()
    search.fit(rows)
    taken = time.perf_counter() - begun
    best = search.best_params_
    return Chosen(taken, best["n_components"], best["covariance_type"], search.best_score_)


def one_by_one(n_rows: int, max_iter: int) -> Chosen:
    """A fit and its criterion for each candidate."""
    from mixtura import GaussianMixture

    rows = _rows(n_rows)
    found = []
    begun = time.perf_counter()
    for structure in STRUCTURES:
        for k in SIZES:
            estimator = GaussianMixture(k, covariance_type=structure, n_init=1, max_iter=max_iter, random_state=0)
            found.append((estimator.fit(rows).bic(rows), k, structure))
    bic, k, structure = min(found)
    return Chosen(time.perf_counter() - begun, k, structure, bic)


def _rows(n_rows: int) -> np.ndarray:
    """The data; the first time, after a small fit that warms up."""
    from mixtura import GaussianMixture

    GaussianMixture(2, random_state=0).fit(overlapping(2000, N_FEATURES, TRUE_SIZE, SEED))
    return overlapping(n_rows, N_FEATURES, TRUE_SIZE, SEED)
