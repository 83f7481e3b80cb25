"""Final bounds of variational Bayes beside scikit-learn's, over concentrations: ``python -m bench.concentration [--quick]``.

What is compared, and how, is in ``tests/concentration.py``; the suite has a short form of the same. *At least* is the share of seeds in
which ours is no lower; least, median and most are nats by which it is higher.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import numpy as np
from tests.concentration import COMPONENTS, CONCENTRATIONS, SEEDS, Bounds, Case, compared
from threadpoolctl import threadpool_limits

from bench.examples import rows_of
from bench.machine import n_cores

DATA = ("faithful", "iris", "acidity")


def main() -> None:
    """Compare and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.concentration", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds of three concentrations: does all of it work?")
    quick = parser.parse_args().quick
    concentrations, seeds = (CONCENTRATIONS[::4], SEEDS[:2]) if quick else (CONCENTRATIONS, SEEDS)
    rows = {name: rows_of(name) for name in DATA}
    settings = list(product(DATA, COMPONENTS, concentrations))
    cases = [Case(rows[name], k, alpha, seed) for name, k, alpha in settings for seed in seeds]
    with ProcessPoolExecutor(n_cores(), get_context("spawn"), threadpool_limits, (1,)) as pool:
        found = list(pool.map(compared, cases, chunksize=4))
    print("| data | K | α | at least | without moves | least | median | most |\n|---|--:|--:|--:|--:|--:|--:|--:|")
    for place, (name, k, alpha) in enumerate(settings):
        several = found[place * len(seeds) : (place + 1) * len(seeds)]
        gains = np.array([bounds.ours - bounds.theirs for bounds in several])
        spread = " | ".join(f"{value:.2f}" for value in np.quantile(gains, [0.0, 0.5, 1.0]))
        print(f"| {name} | {k} | {alpha:g} | {_share(several):.0%} | {_share_without(several):.0%} | {spread} |")
    print(
        f"\nOurs is at least theirs in {_share(found):.1%} of {len(found)} fits, without moves in {_share_without(found):.1%}."
    )


def _share(found: list[Bounds]) -> float:
    return float(np.mean([bounds.at_least for bounds in found]))


def _share_without(found: list[Bounds]) -> float:
    return _share([bounds._replace(ours=bounds.without_moves) for bounds in found])


if __name__ == "__main__":
    main()
