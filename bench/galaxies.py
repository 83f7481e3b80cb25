"""Posterior of the number of components of the galaxies: ``python -m bench.galaxies [--draws S] [--quick]``.

Richardson and Green (1997), "On Bayesian analysis of mixtures with an unknown number of components", published it for their weak prior.
Their copy of the data has 26.960 as its 78th velocity where ``examples/galaxies.csv`` has 26.690, which is changed here. Chains keep few
components for hundreds of sweeps: only long chains know these probabilities to a hundredth.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.examples import rows_of
from bench.report import Row, Table, Target
from mixtura import Mixture
from mixtura.data.array import ArraySource
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.sampling.gibbs import Gibbs, sample
from mixtura.model.covariance import covariance_structure
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents

PUBLISHED = {3: 0.061, 4: 0.128, 5: 0.182, 6: 0.199, 7: 0.160, 8: 0.109}
PLACE, LISTED, THEIRS = 77, 26.690, 26.960
TARGET = Target(0.03, at_least=False, form="{:.3f}")
N_PROCESSES, N_CHAINS = 2, 8
"""Chains are those of each process, which share the passes over the data."""
N_WARMUP, N_DRAWS, THIN = 1000, 4000, 4
"""Of each chain: about five minutes on two cores."""

ABOUT = (
    "82 velocities in 1000 km/s, the 78th of them 26.96; K uniform on 1 to 30, flat weights, and Richardson and Green's (1997) weak prior "
    "of means and variances. Telescoping sampler, {chains} chains of {draws:,} draws, {thin} sweeps for each, after {warmup:,} sweeps. "
    "*Standard error* is that of the mean over chains."
)


def table(n_draws: int, n_warmup: int = N_WARMUP) -> Table:
    """A row for each published probability, and the largest difference.

    Parameters
    ----------
    n_draws : int
        Of each chain.
    n_warmup : int
        Sweeps of each chain before them.
    """
    chains = numbers_of_components(n_draws, n_warmup)
    rows, differences = list[Row](), list[float]()
    for k, published in PUBLISHED.items():
        shares = (chains == k).mean(axis=1)
        differences.append(float(shares.mean()) - published)
        rows.append(
            {
                "K": str(k),
                "published": f"{published:.3f}",
                "found": f"{shares.mean():.3f}",
                "standard error": f"{shares.std(ddof=1) / len(shares) ** 0.5:.3f}",
                "difference": f"{differences[-1]:+.3f}",
            }
        )
    rows.append({"K": "largest difference", **TARGET.cells(max(map(abs, differences)))})
    about = ABOUT.format(chains=len(chains), draws=n_draws, thin=THIN, warmup=n_warmup)
    return Table("Galaxies: posterior of the number of components", about, rows)


def numbers_of_components(n_draws: int, n_warmup: int, seed: int = 0) -> NDArray[np.int64]:
    """The number of components in every draw of all chains, ``(C, S)``."""
    streams = np.random.default_rng(seed).spawn(N_PROCESSES)
    with ProcessPoolExecutor(N_PROCESSES, get_context("spawn")) as pool:
        return np.concatenate(list(pool.map(chains, streams, [n_draws] * N_PROCESSES, [n_warmup] * N_PROCESSES)))


def chains(rng: np.random.Generator, n_draws: int, n_warmup: int) -> NDArray[np.int64]:
    """The chains of one process, all from a single component."""
    rows = rows_of("galaxies").copy()
    assert rows[PLACE, 0] == LISTED, f"the 78th velocity is {rows[PLACE, 0]}, not {LISTED}"
    rows[PLACE, 0] = THEIRS
    structure = covariance_structure("spherical")
    components = SemiConjugateComponents.of_ranges(structure, rows.min(axis=0), rows.max(axis=0))
    sampler = Gibbs(components, FiniteMixtures(ComponentCountLaw.uniform(30), 1.0))
    start = Mixture([1.0], [rows.mean(axis=0)], [rows.var()], "spherical")
    with threadpool_limits(1):
        run = sample(ArraySource(rows), [start] * N_CHAINS, sampler, rng, n_draws=n_draws, n_warmup=n_warmup, thin=THIN)
    return run.n_components


def main() -> None:
    """Draw and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.galaxies", description="Count the components of the galaxies."
    )
    parser.add_argument("--draws", type=int, default=N_DRAWS, help="of each chain; default %(default)s")
    parser.add_argument("--quick", action="store_true", help="30 draws, to see that all of it works")
    chosen = parser.parse_args()
    print(table(30, 30) if chosen.quick else table(chosen.draws))


if __name__ == "__main__":
    main()
