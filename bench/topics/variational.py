"""Variational Bayes: an iteration beside EM's and beside scikit-learn's, and stochastic steps beside coordinate ascent."""

from __future__ import annotations

import time
from statistics import median
from typing import Any, NamedTuple

from bench.data import Problem
from bench.examples import overlapping
from bench.fresh import Failure, Task, alone, alternate
from bench.peers import Contender, Mixtura
from bench.report import Row, Table, Target, judged, seconds, spread
from bench.timing import Turn, turn

CASES = (Problem(1_000_000, 10, 10), Problem(100_000, 32, 16), Problem(1_000_000, 2, 5))
TARGETS = {"mixtura, EM": Target(1.2, at_least=False), "scikit-learn": Target(15)}
"""Of the first case."""
LARGE = (1_000_000, 10, 10)
OVERLAPS = {"much": 1.0, "little": 4.0}

ABOUT = (
    "Seconds of one iteration of coordinate ascent, timed as the iterations of EM above: finite Dirichlet weights, full covariances, the "
    "same default priors, means at random rows. *Measured* is our own time over that of our EM, and scikit-learn's over ours."
)
ABOUT_BATCHES = (
    f'`solver="svi", max_iter=1` on {LARGE[0]:,} × {LARGE[1]}, K = {LARGE[2]}: one read of the data in batches of 4096 rows and one '
    "more for the exact bound. *Below* is how far its bound is below that of coordinate ascent run to convergence from the same start."
)


class _Bayesian(Contender):
    """scikit-learn's parameters, which mixtura shares."""

    estimator: Any

    def parameters(self, n_iter: int) -> dict[str, Any]:
        """Those of a fit that nothing stops early."""
        return {
            "n_components": self.problem.n_components,
            "covariance_type": self.problem.covariance_type,
            "weight_concentration_prior_type": "dirichlet_distribution",
            "init_params": "random_from_data",
            "random_state": 0,
            "max_iter": n_iter,
            "tol": 0.0,
        }

    def log_likelihood(self) -> float:
        return float(self.estimator.lower_bound_)


class MixturaBayesian(_Bayesian):
    """mixtura's ``BayesianGaussianMixture``."""

    name = needs = "mixtura"

    def fit(self, n_iter: int) -> None:
        from mixtura import BayesianGaussianMixture, Cavi

        self.estimator = BayesianGaussianMixture(**self.parameters(n_iter), solver=Cavi(moves=False)).fit(self.rows)


class ScikitLearnBayesian(_Bayesian):
    """scikit-learn's ``BayesianGaussianMixture``."""

    name = needs = "scikit-learn"

    def fit(self, n_iter: int) -> None:
        from sklearn.mixture import BayesianGaussianMixture

        self.estimator = BayesianGaussianMixture(**self.parameters(n_iter)).fit(self.rows)


def tables(quick: bool) -> list[Table]:
    """Iterations, and stochastic steps."""
    rows: list[Row] = []
    for problem in CASES:
        rows += _iterations(problem.shrunk(50) if quick else problem, quick)
    return [
        Table("Variational Bayes: one iteration", ABOUT, rows),
        Table("Variational Bayes: stochastic steps", ABOUT_BATCHES, [_batches(overlap, quick) for overlap in OVERLAPS]),
    ]


def _iterations(problem: Problem, quick: bool) -> list[Row]:
    budget = 0.2 if quick else 3.0
    kinds: dict[str, type[Contender]] = {
        "mixtura": MixturaBayesian,
        "mixtura, EM": Mixtura,
        "scikit-learn": ScikitLearnBayesian,
    }
    tasks = {name: Task(turn, (kind, problem, budget)) for name, kind in kinds.items()}
    results = alternate(tasks, rounds=2 if quick else 3)
    ours = results.pop("mixtura")
    if isinstance(ours, Failure):
        return [{"case": str(problem), "note": f"failed: {ours}"}]
    return [_beside(problem, ours, name, theirs) for name, theirs in results.items()]


def _beside(problem: Problem, ours: list[Turn], name: str, theirs: list[Turn] | Failure) -> Row:
    row = {"case": str(problem), "beside": name}
    if isinstance(theirs, Failure):
        return {**row, "note": f"failed: {theirs}"}
    mine, other = (median(t.seconds for t in turns) for turns in (ours, theirs))
    if min(mine, other) <= 0:
        return {**row, "note": "too short to be timed here"}
    em = name == "mixtura, EM"
    ratios = [a.seconds / b.seconds if em else b.seconds / a.seconds for a, b in zip(ours, theirs, strict=True)]
    row |= {"mixtura": seconds(mine), "the other": seconds(other)}
    target = TARGETS[name] if problem._replace(n_rows=0) == CASES[0]._replace(n_rows=0) else None
    return {**row, **judged(mine / other if em else other / mine, target), "rounds": spread(ratios)}


class Ends(NamedTuple):
    """Bounds, reads and seconds of stochastic steps and of coordinate ascent."""

    bounds: tuple[float, float]
    reads: tuple[int, int]
    seconds: tuple[float, float]


def _batches(overlap: str, quick: bool) -> Row:
    sizes = (50_000, 4, 5) if quick else LARGE
    row = {"overlap": overlap}
    try:
        ends: Ends = alone(Task(both_ends, (sizes, OVERLAPS[overlap])))
    except Failure as failure:
        return {**row, "note": f"failed: {failure}"}
    below = (ends.bounds[1] - ends.bounds[0]) / abs(ends.bounds[1])
    return {
        **row,
        "reads": str(ends.reads[0]),
        "seconds": seconds(ends.seconds[0]),
        "coordinate ascent, reads": str(ends.reads[1]),
        "coordinate ascent, seconds": seconds(ends.seconds[1]),
        "below": f"{below:.1e}",
        **Target(0.1, at_least=False, form="{:.4f} %").cells(100 * below),
    }


def both_ends(sizes: tuple[int, int, int], overlap: float) -> Ends:
    """Fit the same rows both ways."""
    from mixtura import BayesianGaussianMixture, Cavi

    rows = overlapping(*sizes, 7, overlap)
    found = []
    for settings in ({"solver": "svi", "max_iter": 1}, {"max_iter": 2000, "solver": Cavi(moves=False)}):
        estimator = BayesianGaussianMixture(
            sizes[2], weight_concentration_prior_type="dirichlet_distribution", random_state=0, **settings
        )
        begun = time.perf_counter()
        estimator.fit(rows)
        found.append((estimator.lower_bound_, estimator.restarts_.best.n_passes, time.perf_counter() - begun))
    first, second = found
    return Ends(*zip(first, second, strict=True))
