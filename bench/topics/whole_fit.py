"""A whole fit of a small data set, from seeds to equal final log-likelihood."""

from __future__ import annotations

import time
from functools import cache
from statistics import median
from typing import Any

import numpy as np

from bench.examples import rows_of
from bench.fresh import Failure, Task, alone, alternate_all
from bench.report import Row, Table, Target, judged, seconds, spread

N_COMPONENTS = 2
WITHIN = 1e-6
"""Nats a row that scikit-learn may end below mixtura."""
SAME_OPTIMUM = 1e-4
"""Nats a row beyond which it has found another optimum."""
TOLERANCES = tuple(10.0**-i for i in range(3, 14))
TARGET = Target(3)
STARTS = ("one start for both", "each its own start")

Tolerances = dict[int, float]
"""scikit-learn's ``tol`` for each seed."""

ABOUT = (
    "Old Faithful, 272 × 2, K = 2, full covariances, from k-means++ seeds: once from one start for both, given as parameters, once with "
    f'each library\'s own `init_params="k-means++"`. mixtura stops by its default `tol`, scikit-learn by the largest power of ten with '
    f"which it ends no more than {WITHIN:g} nats a row below mixtura from that seed. Times are of one fit, the mean over seeds; "
    "*likelihoods* is the largest relative difference that is left."
)


def tables(quick: bool) -> list[Table]:
    """The one table."""
    rows = [_row(start, 3 if quick else 20, 2 if quick else 9) for start in STARTS]
    return [Table("A whole small fit", ABOUT, rows)]


def _row(start: str, n_seeds: int, rounds: int) -> Row:
    row = {"start": start, "peer": "scikit-learn"}
    try:
        matched: tuple[Tolerances, float] = alone(Task(matching_tolerances, (start, n_seeds)))
    except Failure as failure:
        return {**row, "note": f"failed: {failure}"}
    tolerances, difference = matched
    if not tolerances:
        return {**row, "note": "the two end in different optima from every seed"}
    tasks = {
        "mixtura": Task(our_seconds, (start, tolerances)),
        "scikit-learn": Task(their_seconds, (start, tolerances)),
    }
    try:
        ours, theirs = alternate_all(tasks, rounds)
    except Failure as failure:
        return {**row, "note": f"failed: {failure}"}
    row |= {"seeds": str(len(tolerances)), "mixtura": seconds(median(ours)), "the peer": seconds(median(theirs))}
    row |= judged(median(theirs) / median(ours), TARGET)
    row["rounds"] = spread(b / a for a, b in zip(ours, theirs, strict=True))
    row |= {"likelihoods": f"{difference:.0e}", "its tol": spread(tolerances.values(), "{:.0e}")}
    left_out = n_seeds - len(tolerances)
    return {**row, "note": f"{left_out} seeds left out: the two end in different optima"} if left_out else row


def matching_tolerances(start: str, n_seeds: int) -> tuple[Tolerances, float]:
    """scikit-learn's tolerance for each seed from which it can be as good, and the largest relative difference of likelihoods."""
    rows = rows_of("faithful")
    found: Tolerances = {}
    difference = 0.0
    for seed in range(n_seeds):
        ours = _ours(start, seed).fit(rows).lower_bound_
        for tol in TOLERANCES:
            theirs = float(_theirs(start, seed, tol).fit(rows).score(rows))
            if theirs >= ours - WITHIN:
                if theirs <= ours + SAME_OPTIMUM:
                    found[seed] = tol
                    difference = max(difference, abs(theirs / ours - 1))
                break
    return found, difference


def our_seconds(start: str, tolerances: Tolerances) -> float:
    """Of one of mixtura's fits."""
    return _seconds([_ours(start, seed) for seed in tolerances])


def their_seconds(start: str, tolerances: Tolerances) -> float:
    """Of one of scikit-learn's fits."""
    return _seconds([_theirs(start, seed, tol) for seed, tol in tolerances.items()])


def _seconds(estimators: list[Any]) -> float:
    rows = rows_of("faithful")
    for estimator in estimators[:3]:
        estimator.fit(rows)
    begun = time.perf_counter()
    for estimator in estimators:
        estimator.fit(rows)
    return (time.perf_counter() - begun) / len(estimators)


def _ours(start: str, seed: int) -> Any:
    from mixtura import GaussianMixture

    return GaussianMixture(N_COMPONENTS, **_begin(start, seed))


def _theirs(start: str, seed: int, tol: float) -> Any:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(N_COMPONENTS, tol=tol, max_iter=10_000, **_begin(start, seed))


def _begin(start: str, seed: int) -> dict[str, Any]:
    """Parameters that say where to start."""
    if start == "each its own start":
        return {"init_params": "k-means++", "random_state": seed}
    given = _given_start(seed)
    precisions = np.linalg.inv(given.covariances)
    return {"weights_init": given.weights, "means_init": given.means, "precisions_init": precisions, "reg_covar": 0}


@cache
def _given_start(seed: int) -> Any:
    from mixtura import GaussianMixture

    return (
        GaussianMixture(N_COMPONENTS, init_params="k-means++", max_iter=0, random_state=seed)
        .fit(rows_of("faithful"))
        .mixture_
    )
