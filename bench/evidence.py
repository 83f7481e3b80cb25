"""Evidences beside exact ones: ``python -m bench.evidence [--cases N]``.

Two hundred mixtures of five to seven rows, most of whose posteriors have several optima, are enumerated (``tests/enumerable.py``; the suite
takes a few of them). *Errors* are differences to the exact value in standard errors. Then real data, where the methods have each other.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from bench.examples import rows_of
from bench.machine import n_cores

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its files import each other by their bare names

import mixtura as mx
from enumerable import METHODS, N_CASES, Case, Judged, estimated, judged

MOST_ERRORS = 4.0
DATA = ("acidity", "galaxies", "faithful")


class Timed(NamedTuple):
    """An estimate and the seconds of processor time that the fit, the chains and the estimate took."""

    judged: Judged
    seconds: float


def main() -> None:
    """Enumerate, estimate and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.evidence", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=N_CASES, help="of those that are enumerated; default %(default)s")
    cases = [Case.of(seed) for seed in range(parser.parse_args().cases)]
    with ProcessPoolExecutor(n_cores(), get_context("spawn"), _prepare) as pool:
        by_case = list(pool.map(_judge, cases))
        print(
            "| method | cases | refused | beyond 4 errors | largest | root mean square | error: median | most | k̂ > 0.7 | s |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for place, method in enumerate(METHODS):
            _print_row(method, [done[place] for done in by_case])
        print("\n" + "\n".join(_exceptions(cases, by_case)) + "\n")
        print("| data | K | " + " | ".join(METHODS) + " |\n|---|--:|" + "--:|" * len(METHODS))
        for name in DATA:
            for n_components in (2, 3):
                case = _real(name, n_components)
                cells = pool.map(_cell, [(case, method) for method in METHODS])
                print(f"| {name} | {n_components} | {' | '.join(cells)} |", flush=True)


def _prepare() -> None:
    """Each process works alone on its core."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)


def _judge(case: Case) -> list[Timed]:
    done = []
    for method in METHODS:
        begun = time.process_time()
        done.append(Timed(judged(case, method), time.process_time() - begun))
    return done


def _print_row(method: str, done: list[Timed]) -> None:
    found = [one.judged for one in done if one.judged.found]
    errors = np.abs([one.errors for one in found])
    widths, shapes = (np.array([getattr(one.found, name) for one in found]) for name in ("standard_error", "pareto_k"))
    print(
        f"| {method} | {len(done)} | {len(done) - len(found)} | {(errors > MOST_ERRORS).sum()} | {errors.max():.2f} | "
        f"{np.sqrt(np.mean(errors**2)):.2f} | {np.median(widths):.3f} | {widths.max():.3f} | {(shapes > 0.7).sum()} | "
        f"{np.median([one.seconds for one in done]):.1f} |"
    )


def _exceptions(cases: list[Case], by_case: list[list[Timed]]) -> list[str]:
    lines = []
    for case, done in zip(cases, by_case, strict=True):
        where = f"case {case.seed} ({case.shape}, {case.structure}, K = {case.n_components})"
        for one, _ in done:
            if one.found is None:
                lines.append(f"{where}, {one.method}, exact {one.exact:.3f}: refused; {one.reason}")
            elif abs(one.errors) > MOST_ERRORS:
                lines.append(f"{where}, {one.method}, exact {one.exact:.3f}: {one.found}, {one.errors:.1f} errors off")
    return lines


def _real(name: str, n_components: int) -> Case:
    """Data under the default prior of ``BayesianGaussianMixture``, in the form of a case."""
    rows = rows_of(name)
    prior = mx.BayesianGaussianMixture(n_components, random_state=0).fit(rows).posterior_.prior
    return Case(n_components, name, rows, n_components, "full", prior, 1 / n_components)


def _cell(pair: tuple[Case, str]) -> str:
    case, method = pair
    try:
        found = estimated(case, method, 0)
    except ArithmeticError as error:
        return str(error)
    return f"{found.value:.3f} ± {found.standard_error:.3f}, k̂ {found.pareto_k:.2f}"


if __name__ == "__main__":
    main()
