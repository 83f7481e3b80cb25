"""Streams through ``partial_fit``: where they end by the size of batches, how long they take, and what sorted and drifting ones do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import mean
from typing import Any

import numpy as np
from sklearn.base import clone

from bench.report import Row, Table, Target, seconds
from mixtura import BayesianGaussianMixture, GaussianMixture, Mixture
from mixtura.model.covariance import STRUCTURES

N_ROWS = 10_000
N_HELD_OUT = 50_000
BATCHES = (1, 5, 20, 100, 400)
WITHIN = Target(0.01, at_least=False, form="{:.4f}")
"""Nats a row below a fit of all rows."""
N_BATCHES = 100_000
PARTS = 5
LINEAR = Target(1.2, at_least=False)
"""Of the last part over the first."""
LAST_ROWS = 2000

ABOUT = (
    f"{N_ROWS:,} rows in random order, learnt by one read in batches of so many rows, the first included. Each number is how many nats a "
    f"row the log-likelihood of {N_HELD_OUT:,} other rows is below that of an ordinary fit of all rows (`GaussianMixture`, or "
    '`BayesianGaussianMixture` with `solver="cavi"` and moves): the worst of three mixtures, well separated in one dimension (K = 3; the '
    "spherical structures only) and moderately in two (K = 3) and four (K = 4). *Measured* is the worst of the row."
)
ABOUT_TIME = (
    f"{N_BATCHES:,} batches of one row, two dimensions, K = 3, full covariances: processor seconds of each fifth of them, one after "
    "another. *Measured* is the last fifth over the first: a batch costs no more because others came before it."
)
ABOUT_OTHERS = (
    f"{N_ROWS:,} rows of the two-dimensional mixture in batches of 100, full covariances. *Sorted*: all rows of one component, then all of "
    "the next. *Drifting*: both coordinates of all means move by four from the first row to the last. *Jump*: they do so at half time. How "
    "many nats a row what is believed at the end is below the truth: of all rows, where they are sorted, and else of the law at the end; "
    f"and the same for a fit of the last {LAST_ROWS:,} rows with `warm_start=True`, which begins where the stream has ended."
)

SOLVERS = {"gradient": (GaussianMixture, "auto"), "svi": (BayesianGaussianMixture, "cavi")}
"""Who learns from streams, and by which solver the same class fits all rows."""


def mixtures() -> dict[str, Mixture]:
    """By their dimensions."""
    rng = np.random.default_rng(5)
    means, factors = rng.normal(0, 2.2, (4, 4)), rng.normal(size=(4, 4, 10))
    two = [[0.0, 0.0], [3.0, 1.0], [-2.0, 4.0]]
    return {
        "one": Mixture([0.7, 0.2, 0.1], [[-6.0], [0.0], [6.0]], [1.0, 1.0, 1.0], "spherical"),
        "two": Mixture([0.2, 0.3, 0.5], two, [np.eye(2), 2 * np.eye(2), 0.5 * np.eye(2)]),
        "four": Mixture([0.4, 0.3, 0.2, 0.1], means, factors @ factors.swapaxes(1, 2) / 10),
    }


def learner(solver: str, n_components: int, structure: str = "full") -> Any:
    """An estimator that learns from streams."""
    kind, _ = SOLVERS[solver]
    return kind(n_components, covariance_type=structure, solver=solver, random_state=0)


def batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The rows as they come, in batches."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def tables(quick: bool) -> list[Table]:
    """The three tables."""
    shrink = 10 if quick else 1
    ends = [_ends(solver, structure.name, N_ROWS // shrink) for solver in SOLVERS for structure in STRUCTURES]
    return [
        Table("Streams: where they end", ABOUT, ends),
        Table("Streams: time", ABOUT_TIME, [_time(solver, N_BATCHES // shrink) for solver in SOLVERS]),
        Table("Streams: sorted and drifting", ABOUT_OTHERS, _others(N_ROWS // shrink)),
    ]


def _ends(solver: str, structure: str, n_rows: int) -> Row:
    """Of one solver and one structure, the worst mixture for each size of batch."""
    below: dict[int, list[float]] = {size: [] for size in BATCHES}
    for truth in mixtures().values():
        if truth.n_features == 1 and "spherical" not in structure:
            continue  # there are but two in one dimension
        rows, _ = truth.sample(n_rows, random_state=1)
        held_out, _ = truth.sample(N_HELD_OUT, random_state=2)
        gm = learner(solver, truth.n_components, structure)
        whole = clone(gm).set_params(solver=SOLVERS[solver][1], max_iter=1000).fit(rows)
        for size in BATCHES:
            learnt = clone(gm)
            for batch in batches(rows, size):
                learnt.partial_fit(batch)
            below[size].append(whole.score(held_out) - learnt.score(held_out))
    worst = {size: max(found) for size, found in below.items()}
    cells = {f"{size}": WITHIN.form.format(value) for size, value in worst.items()}
    return {"solver": solver, "structure": structure, **cells, **WITHIN.cells(max(worst.values()))}


def _time(solver: str, n_batches: int) -> Row:
    rows, _ = mixtures()["two"].sample(n_batches, random_state=1)
    gm, parts = learner(solver, 3), []
    for part in np.array_split(rows, PARTS):
        begun = time.process_time()
        for batch in batches(part, 1):
            gm.partial_fit(batch)
        parts.append(time.process_time() - begun)
    cells = {f"{i + 1}": seconds(part) for i, part in enumerate(parts)}
    each = seconds(mean(parts) * PARTS / n_batches)
    return {"solver": solver, **cells, "a batch": each, **LINEAR.cells(parts[-1] / parts[0])}


def _others(n_rows: int) -> list[Row]:
    truth = mixtures()["two"]
    rows, labels = truth.sample(n_rows, random_state=1)
    moved = Mixture(truth.weights, truth.means + 4, truth.covariances)
    along = np.linspace(0, 4, n_rows)[:, None]
    streams = {
        "in random order": (rows, truth),
        "sorted": (rows[np.argsort(labels, kind="stable")], truth),
        "drifting": (rows + along, moved),
        "jump": (rows + np.where(along < 2, 0, 4), moved),
    }
    return [_other(name, solver, *stream) for name, stream in streams.items() for solver in SOLVERS]


def _other(name: str, solver: str, rows: np.ndarray, law: Mixture) -> Row:
    held_out, _ = law.sample(N_HELD_OUT, random_state=2)
    truth = float(law.log_pdf(held_out).mean())
    gm = learner(solver, 3)
    for batch in batches(rows, 100):
        gm.partial_fit(batch)
    below = truth - gm.score(held_out)
    gm.set_params(solver=SOLVERS[solver][1], warm_start=True, max_iter=1000).fit(rows[-LAST_ROWS:])
    return {
        "stream": name,
        "solver": solver,
        "below the truth": f"{below:.3f}",
        f"a fit of the last {LAST_ROWS:,}": f"{truth - gm.score(held_out):.3f}",
    }
