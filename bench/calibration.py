"""Simulation-based calibration of the samplers at length: ``python -m bench.calibration [--replications R] [--quick]``.

Parameters are drawn from the prior, rows from the parameters, draws from the posterior given the rows; the ranks of the truth must then be
uniform. What is ranked, and how, is in ``tests/calibration.py``; the suite has a short form of the same.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from tests.calibration import ByGibbs, ByNuts, Length, Model, Replication, replicate, uniformity
from threadpoolctl import threadpool_limits

import mixtura as mx
from bench.machine import n_cores
from bench.report import Row, Table, Target
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.scale_laws import HalfCauchy, LogNormal

N_REPLICATIONS = 50
"""Of each setting: about ten minutes on two cores."""
N_KEPT, N_BINS = 15, 8
LEVEL = 0.01
"""Probability that a right sampler fails any of all tests."""

ABOUT = (
    "{n} replications of each setting: a mixture from the prior, rows from it, and draws given the rows, of which {kept} evenly spaced "
    "ones are kept; under a right sampler the ranks of the truth among them are uniform. *Measured* is the p-value of that, by chi-square "
    "over {bins} bins; with {tests} tests right samplers fall below the target in at most one run of {runs:.0f}. *Effective size* is that "
    "of the draws before thinning: the fifth percentile and the median over replications. Kept draws count as independent, so effective "
    "sizes that are often below {kept} spoil the test."
)


class Setting(NamedTuple):
    """A prior with its sampler, how many rows it sees, and how long its chains are."""

    name: str
    model: Model
    n_rows: int
    length: Length


SETTINGS = (
    Setting(
        "Gibbs, D = 1, K = 2", ByGibbs(mx.NormalInverseWishart([0.0], 0.1, [[3.0]], 4.0), 2), 20, Length(4, 100, 200)
    ),
    Setting(
        "Gibbs with split–merge moves, D = 1, K = 2",
        ByGibbs(mx.NormalInverseWishart([0.0], 0.1, [[3.0]], 4.0), 2, moves=True),
        20,
        Length(2, 50, 150),
    ),
    Setting(
        "Gibbs, D = 2, K = 3",
        ByGibbs(mx.NormalInverseWishart([0.0, 1.0], 0.1, [[3.0, 1.0], [1.0, 2.0]], 5.0), 3, concentration=2.0),
        60,
        Length(4, 100, 300),
    ),
    Setting("NUTS, D = 1, K = 2", ByNuts(IndependentPrior([0.0], [4.0], HalfCauchy(1.0)), 2), 20, Length(2, 150, 150)),
    Setting(
        "NUTS, D = 2, K = 3",
        ByNuts(IndependentPrior([0.0, 1.0], [4.0, 3.0], LogNormal([1.0, 0.7], 0.5), concentration=2.0), 3),
        60,
        Length(2, 150, 150),
    ),
)


def table(n_replications: int, quick: bool = False) -> Table:
    """A row for each setting and quantity.

    Parameters
    ----------
    n_replications : int
        Of each setting.
    quick : bool, default=False
        Whether chains are so short that verdicts mean nothing.
    """
    settings = [s._replace(length=Length(1, 20, 30)) if quick else s for s in SETTINGS]
    done = simulate(settings, n_replications)
    n_tests = sum(len(replications[0].ranks) for replications in done.values())
    about = ABOUT.format(n=n_replications, kept=N_KEPT, bins=N_BINS, tests=n_tests, runs=1 / LEVEL)
    target = Target(LEVEL / n_tests, form="{:.2g}")
    rows = [row for name, replications in done.items() for row in _rows(name, replications, target)]
    return Table("Simulation-based calibration", about, rows)


def simulate(settings: list[Setting], n_replications: int, seed: int = 0) -> dict[str, list[Replication]]:
    """All replications of each setting, on all cores.

    Parameters
    ----------
    settings : list of Setting
    n_replications : int
    seed : int
    """
    with ProcessPoolExecutor(n_cores(), get_context("spawn"), _prepare) as pool:
        futures = {
            setting.name: [
                pool.submit(replicate, setting.model, setting.n_rows, setting.length, N_KEPT, stream)
                for stream in np.random.default_rng(seed).spawn(n_replications)
            ]
            for setting in settings
        }
        return {name: [future.result() for future in several] for name, several in futures.items()}


def _prepare() -> None:
    """Each process works alone on its core."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)


def _rows(name: str, replications: list[Replication], target: Target) -> Iterator[Row]:
    for quantity in replications[0].ranks:
        p_value = uniformity([one.ranks[quantity] for one in replications], N_KEPT, N_BINS)
        low, middle = np.quantile([one.sizes[quantity] for one in replications], [0.05, 0.5])
        yield {
            "setting": name,
            "quantity": quantity,
            "effective size": f"{low:.0f}, {middle:.0f}",
            **target.cells(p_value),
        }


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.calibration", description="Calibrate the samplers.")
    parser.add_argument("--replications", type=int, default=N_REPLICATIONS, help="of each setting; default %(default)s")
    parser.add_argument("--quick", action="store_true", help="four replications of short chains: does all of it work?")
    chosen = parser.parse_args()
    print(table(4 if chosen.quick else chosen.replications, chosen.quick))


if __name__ == "__main__":
    main()
