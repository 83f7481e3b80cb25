"""How often intervals of posterior draws hold the truth: ``python -m bench.sampled_coverage [--sets N] [--sampler NAME] [--quick]``.

Each set has a truth of its own: two overlapping components, one of which holds a quarter to three quarters of the rows, two and a half to
four and a half standard deviations apart, of spreads within a factor of one and a half. ``SampledGaussianMixture(2)`` fits its rows, with
everything else at its default. A share of 95 % of the nominal 95 % intervals should hold the truth; over 200 sets, right intervals of
one number leave 92 to 98 % in one case in twenty.
"""

from __future__ import annotations

import argparse
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import mixtura as mx
from bench.machine import n_cores

N_SETS, N_ROWS = 200, 200
SHARES, DISTANCES, LOG_RATIOS = (0.25, 0.75), (2.5, 4.5), (-0.4, 0.4)
"""Of the truth: the first weight, the distance of the means in standard deviations, and the logarithm of the ratio of those."""


class Held(NamedTuple):
    """One set: which intervals hold the truth, of weights, means and variances of both components; ``None`` where labels fail."""

    intervals: np.ndarray | None
    sound: bool
    seconds: float


def truth_of(seed: int) -> mx.Mixture:
    """What the rows of a set are drawn from; the first component lies to the left."""
    rng = np.random.default_rng((N_ROWS, seed))
    share, distance, log_ratio = (rng.uniform(*limits) for limits in (SHARES, DISTANCES, LOG_RATIOS))
    variances = np.exp((-log_ratio, log_ratio))
    return mx.Mixture([share, 1 - share], [[0.0], [distance * np.sqrt(variances.mean())]], variances, "spherical")


def held(seed: int, sampler: str) -> Held:
    """Draw a set, sample its posterior, and look whether the intervals hold the truth."""
    truth = truth_of(seed)
    rows, _ = truth.sample(N_ROWS, random_state=seed)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = mx.SampledGaussianMixture(2, covariance_type="spherical", sampler=sampler, random_state=seed).fit(rows)
    taken = time.process_time() - began
    try:
        ends = fitted.relabelling_.interval(0.95)
    except ValueError:
        return Held(None, fitted.converged_, taken)
    order = fitted.means_[:, 0].argsort()
    parts = (truth.weights, truth.means, truth.covariances)
    inside = [
        np.ravel((low[order] <= true) & (true <= high[order]))
        for low, high, true in zip(ends.lower, ends.upper, parts, strict=True)
    ]
    return Held(np.stack(inside), fitted.converged_, taken)


def main() -> None:
    """Simulate and print a line for each sampler."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sampled_coverage", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--sets", type=int, default=N_SETS)
    parser.add_argument("--sampler", choices=["nuts", "gibbs"], help="by default both")
    parser.add_argument("--quick", action="store_true", help="two sets: does all of it work?")
    given = parser.parse_args()
    n_sets = 2 if given.quick else given.sets
    print("| sampler | sets | labels fail | sound | weights | means | variances | seconds of a processor |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for sampler in [given.sampler] if given.sampler else ["nuts", "gibbs"]:
        with ProcessPoolExecutor(n_cores(), get_context("spawn"), threadpool_limits, (1,)) as pool:
            found = list(pool.map(held, range(n_sets), repeat(sampler)))
        inside = np.array([one.intervals for one in found if one.intervals is not None])
        shares = " | ".join(f"{share:.1%}" for share in inside.mean(axis=(0, 2)))
        sound, seconds = np.mean([one.sound for one in found]), np.median([one.seconds for one in found])
        print(f"| {sampler} | {n_sets} | {n_sets - len(inside)} | {sound:.0%} | {shares} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
