"""Many components: a truncated pass beside the exact one, how its cost grows with the components, and where fits end."""

from __future__ import annotations

import time
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np

from bench.fresh import Task, alone
from bench.report import Row, Table, Target, judged, seconds
from mixtura import GaussianMixture, Mixture
from mixtura.data.array import ArraySource
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.model.covariance import covariance_structure
from mixtura.sweep import Sweep, Truncated, soft

MOST = 16
N_TRUNCATED, N_EXACT = 14, 5
CHEAPER = Target(10)
GROWTH = Target(3, at_least=False)
CLOSE = Target(0.1, at_least=False, form="{:.3f} %")

ABOUT = (
    f"Seconds of an E-step with {MOST} candidates a row (`max_responsibilities={MOST}`), and of the exact one, at the mixtures that EM "
    f"goes through from a start beside the truth: medians of {N_TRUNCATED} passes, those in which candidates are looked for left out, and "
    f"of {N_EXACT} exact ones. *Looking* is the mean of those passes: the first, second, third, fifth, ninth and so on of a climb. "
    "Means are `N(0, 1.5²)` in each column, standard deviations uniform on .5 to 1.5. *Measured* is the exact pass over the truncated one; "
    "in the last row, the truncated pass with most components over that with fewest."
)
ABOUT_FITS = (
    "From the same start (k-means on a sample, and its short race), with EM alone on both sides, up to 300 steps. *Exact end* is the "
    "log-likelihood a row of the exact fit; *below* how far that of the truncated one lies below it, all components counted, which is "
    "*measured* in per cent; *dropped* how far its bound lies below its own log-likelihood, and *estimate* what `dropped_` says."
)


class Case(NamedTuple):
    """Sizes, and the covariances that are fitted."""

    n_rows: int
    n_features: int
    n_components: int
    covariance_type: str

    def __str__(self) -> str:
        return f"{self.n_rows:,} × {self.n_features}, K = {self.n_components:,}, {self.covariance_type}"


DIAGONAL = [Case(200_000, 16, k, "diag") for k in (250, 1000, 4000)]
CASES = [*DIAGONAL, Case(200_000, 16, 1000, "full")]
FITS = [Case(200_000, 16, 1000, "diag"), Case(50_000, 16, 250, "full")]


def tables(quick: bool) -> list[Table]:
    """Passes and fits."""
    cases, fits = (
        [case._replace(n_rows=case.n_rows // 20) for case in group] if quick else group for group in (CASES, FITS)
    )
    found = {case: alone(Task(passes, (case,))) for case in cases}
    rows: list[Row] = []
    for case, (truncated, looking, exact) in found.items():
        numbers = {"truncated": seconds(truncated), "looking": seconds(looking), "exact": seconds(exact)}
        target = CHEAPER if case.n_components == 1000 else None
        rows.append({"case": str(case), **numbers, **judged(exact / truncated, target)})
    first, *_, last = (found[case][0] for case in cases if case.covariance_type == "diag")
    rows.append({"case": "from fewest to most components", **judged(last / first, GROWTH)})
    return [
        Table("Truncated passes", ABOUT, rows),
        Table("Truncated fits", ABOUT_FITS, [alone(Task(fits_beside, (case,))) for case in fits]),
    ]


def crowd(case: Case) -> tuple[np.ndarray, Mixture]:
    """Rows of many components that overlap somewhat, and the mixture that they are from."""
    rng = np.random.default_rng(0)
    shape = case.n_components, case.n_features
    weights, means = rng.dirichlet(np.full(case.n_components, 5.0)), 1.5 * rng.normal(size=shape)
    variances = rng.uniform(0.5, 1.5, shape) ** 2
    truth = Mixture(weights, means, variances, "diag")
    rows, _ = truth.sample(case.n_rows, random_state=0)
    if case.covariance_type == "full":
        truth = Mixture(weights, means, truth.covariance_matrices, "full")
    return rows, truth


def passes(case: Case) -> tuple[float, float, float]:
    """Seconds of a truncated pass, of one in which candidates are looked for, and of an exact one."""
    rows, truth = crowd(case)
    algorithm = ExpectationMaximization(covariance_structure(case.covariance_type, case.n_features), floor=1e-3)
    start = Mixture(truth.weights, truth.means + 0.1, truth.covariances, truth.structure)
    ordinary, looking, exact = list[float](), list[float](), list[float]()
    with Sweep(ArraySource(rows)) as sweep:
        for assignment, n_passes in ((soft, N_EXACT), (Truncated(MOST).over(len(rows)), N_TRUNCATED)):
            mixture: Any = start
            for _ in range(n_passes):
                begun = time.perf_counter()
                [swept] = sweep([mixture.scorer], assignment)
                taken = time.perf_counter() - begun
                if not isinstance(assignment, Truncated):
                    exact.append(taken)
                elif assignment.memory is not None and assignment.memory.neighbours is None:
                    ordinary.append(taken)
                else:
                    looking.append(taken)
                mixture = algorithm.maximise(swept.moments)
    return median(ordinary), mean(looking), median(exact)


def fits_beside(case: Case) -> Row:
    """An exact and a truncated fit from one start."""
    rows, _ = crowd(case)
    settings: dict[str, Any] = {
        "covariance_type": case.covariance_type,
        "solver": "em",
        "random_state": 0,
        "pilot": False,
    }
    start = GaussianMixture(case.n_components, max_iter=0, **settings).fit(rows).mixture_
    settings |= {
        "max_iter": 300,
        "weights_init": start.weights,
        "means_init": start.means,
        "precisions_init": start.precisions,
    }
    ends, taken = [], []
    for most in (None, MOST):
        begun = time.perf_counter()
        ends.append(GaussianMixture(case.n_components, max_responsibilities=most, **settings).fit(rows))
        taken.append(time.perf_counter() - begun)
    exact, truncated = ends
    reached = truncated.exact_bound(rows)
    below = exact.lower_bound_ - reached
    return {
        "case": str(case),
        "exact": f"{seconds(taken[0])}, {exact.n_iter_} steps",
        "truncated": f"{seconds(taken[1])}, {truncated.n_iter_} steps",
        "exact end": f"{exact.lower_bound_:.4f}",
        "below": f"{below:.4f}",
        "dropped": f"{reached - truncated.lower_bound_:.4f}",
        "estimate": f"{truncated.dropped_:.4f}",
        **judged(100 * below / abs(exact.lower_bound_), CLOSE, "{:.3f} %"),
    }
