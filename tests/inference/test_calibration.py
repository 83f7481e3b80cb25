"""Simulation-based calibration in short: ranks of the truth are uniform, and are not if the sampler's prior has too wide components.

With so few replications only gross errors show; ``bench/calibration.py`` has more of them and longer chains. P-values are exact for draws
that are independent; those kept are nearly so, which in hundreds of replications could just be told and in these cannot.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import mixtura as mx
from calibration import FULL, ByGibbs, ByGibbsOfRounded, ByNuts, Length, Model, replicate
from chance import FAILURE, multinomial_p_value
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.scale_laws import LogNormal

N_KEPT, N_BINS, N_WRONG = 7, 4, 16


@dataclass(frozen=True, eq=False)
class Short:
    """A sampler, the same under a prior of wider components, few rows, short chains, and as many replications as time allows."""

    model: Model
    wrong: Model
    n_rows: int
    length: Length
    n_replications: int


def conjugate(spread: float) -> mx.NormalInverseWishart:
    return mx.NormalInverseWishart([0.0], 0.1, [[4 * spread**2]], 6.0)


def independent(spread: float) -> IndependentPrior:
    return IndependentPrior([0.0], [3.0], LogNormal(spread, 0.5), concentration=2.0)


def rounded(spread: float) -> mx.SemiConjugateComponents:
    return mx.SemiConjugateComponents(FULL, [0.0], [[9.0]], 6.0, [[4 / spread**2]], 4.0, resolution=[0.8 * spread])


GIBBS = Short(ByGibbs(conjugate(1), 2), ByGibbs(conjugate(4), 2), 10, Length(1, 20, 70), 60)
MOVES = Short(ByGibbs(conjugate(1), 2, moves=True), ByGibbs(conjugate(4), 2, moves=True), 10, Length(1, 10, 21), 30)
NUTS = Short(ByNuts(independent(1), 2), ByNuts(independent(6), 2), 5, Length(1, 20, 21), 16)
ROUNDED = Short(ByGibbsOfRounded(rounded(1), 2), ByGibbsOfRounded(rounded(4), 2), 10, Length(1, 10, 21), 30)
each_sampler = pytest.mark.parametrize(
    "short", [GIBBS, MOVES, ROUNDED, NUTS], ids=["gibbs", "gibbs with moves", "gibbs of rounded rows", "nuts"]
)


def smallest_p_value(short: Short, sampler: Model, n_replications: int, seed: int) -> float:
    """Of the ranks of all quantities, times how many these are."""
    if isinstance(sampler, ByNuts):
        pytest.importorskip("nutpie")
    streams = np.random.default_rng(seed).spawn(n_replications)
    done = [replicate(short.model, short.n_rows, short.length, N_KEPT, rng, sampler) for rng in streams]
    places = {name: np.array([one.ranks[name] for one in done]) * N_BINS // (N_KEPT + 1) for name in done[0].ranks}
    return len(places) * min(multinomial_p_value(np.bincount(own, minlength=N_BINS)) for own in places.values())


@each_sampler
def test_ranks_of_the_truth_are_uniform(short: Short, seed: int) -> None:
    assert smallest_p_value(short, short.model, short.n_replications, seed) > FAILURE


@each_sampler
def test_under_a_wrong_prior_they_are_not(short: Short, seed: int) -> None:
    """The truth is smaller than nearly all draws in at least 98.5 % of the replications, so in 11 of 16 but for one time in a million."""
    assert smallest_p_value(short, short.wrong, N_WRONG, seed) < 1e-2
