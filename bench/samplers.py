"""Whether samplers end, at their defaults, and what they say: data sets of all kinds, small, rounded, with more components than rows allow.

    python -m bench.samplers                   # NUTS, one seed
    python -m bench.samplers --sampler gibbs --open --seeds 5 --only galaxies acidity faithful iris

Each line says how long a fit took, how much work it was, and its verdict; of the galaxies also which share of the predictive density lies
below 15, where 8.5 % of them are.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.inference.starts.floor import default_floor
from mixtura.inference.starts.sample import seeding_sample

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> Array:
    """The numeric columns of a data set of ours."""
    names = (EXAMPLES / f"{name}.csv").read_text().partition("\n")[0].split(",")
    columns = range(len(names) - ("class" in names))
    return np.loadtxt(EXAMPLES / f"{name}.csv", delimiter=",", skiprows=1, ndmin=2, usecols=columns)


def zero_inflated() -> Array:
    """A hundred rows of one column, half of them zero."""
    return np.concatenate([np.zeros(50), np.random.default_rng(100).lognormal(0, 0.5, 50)])[:, None]


CASES: dict[str, tuple[Callable[[], Array], int]] = {
    "iris": (lambda: example("iris"), 3),
    "faithful": (lambda: example("faithful"), 2),
    "acidity": (lambda: example("acidity"), 2),
    "galaxies": (lambda: example("galaxies"), 3),
    "zero-inflated": (zero_inflated, 2),
    "7 rows, 5 columns": (lambda: np.random.default_rng(1).normal(size=(7, 5)), 2),
    "20 rows, K = 8": (lambda: np.random.default_rng(2).normal(size=(20, 1)), 8),
}


def half_cauchy(rows: Array, n_components: int) -> mx.IndependentPrior:
    """The prior of independent parts, with what rounding adds."""
    source = ArraySource(rows)
    floor = default_floor(seeding_sample(source, n_components), source.facts.magnitude, float(np.finfo(np.float64).eps))
    resolution = np.sqrt(floor.variances)
    return mx.IndependentPrior.from_data_moments(rows.mean(axis=0), rows.var(axis=0), n_components, resolution)


PRIORS: dict[str, Callable[[Array, int], Any]] = {
    "weakly-informative": lambda rows, n_components: "weakly-informative",
    "half-Cauchy": half_cauchy,
}


def line(name: str, prior: str, sampler: str, is_open: bool, seed: int) -> str:
    """What came of one fit."""
    rows, n_components = CASES[name][0](), CASES[name][1]
    gm = mx.SampledGaussianMixture(
        mx.ComponentCountLaw.beta_negative_binomial() if is_open else n_components,
        sampler=sampler,
        prior=PRIORS[prior](rows, n_components),
        random_state=seed,
    )
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gm.fit(rows)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    steps = gm.sample_stats_.get("n_steps")
    work = "" if steps is None else f", {steps.mean():.0f} gradients a draw"
    below = f" Below 15: {share_below(gm, 15.0):.3f}." if name == "galaxies" else ""
    return f"{name}, {prior}, seed {seed}: {wall:.0f} s, CPU {cpu:.0f} s{work}. {gm.diagnostics_.verdict}{below}"


def share_below(gm: mx.SampledGaussianMixture, value: float) -> float:
    """Of the predictive density of one column."""
    draws = gm.draws_
    below = ndtr((value - draws.means[..., 0]) / np.sqrt(draws.variances[..., 0]))
    return float((draws.weights * below).sum(axis=-1).mean())


def main() -> None:
    """Fit all that is asked for, a line each."""
    parser = argparse.ArgumentParser(prog="python -m bench.samplers")
    parser.add_argument("--sampler", choices=("nuts", "gibbs"), default="nuts")
    parser.add_argument("--open", action="store_true", help="the number of components is (gibbs)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--priors", choices=PRIORS, nargs="+", default=list(PRIORS))
    given = parser.parse_args()
    for name in given.only:
        for prior in given.priors if given.sampler == "nuts" else ["weakly-informative"]:
            for seed in range(given.seeds):
                print(line(name, prior, given.sampler, given.open, seed), flush=True)


if __name__ == "__main__":
    main()
