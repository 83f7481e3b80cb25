"""Evidences of posteriors with several optima: enumerated cases by all methods, what looks for further optima, and refusals."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import norm

import mixtura as mx
from chance import SERIES, deviations
from enumerable import METHODS, Case, fitted, judged
from mixtura.assess.evidence import bridge_sampling, importance
from mixtura.assess.evidence.allocations import annealed, flattened
from mixtura.assess.evidence.importance import importance_sampling
from mixtura.assess.evidence.optima import Optima, distinct, optima
from mixtura.assess.evidence.population import MOST_MISSED, N_CHAINS, cover, learn, nearest_shares, truncated, trusted
from mixtura.data.array import ArraySource
from mixtura.ground.errors import UnknownEvidenceError
from mixtura.sweep import Sweep

SOME = [(1, "importance, sticks"), *((80, method) for method in METHODS)]
"""Three groups for two components, and isolated partitions; ``python -m bench.evidence`` takes all 200 cases."""


@pytest.mark.parametrize(("number", "method"), SOME)
def test_enumerated_cases(number, method, seed):
    found = judged(Case.of(number), method, seed)
    assert abs(found.errors) < deviations(1, SERIES)
    assert found.found.standard_error < 0.12


# ---- what looks for further optima ---------------------------------------------------------------------------------------------


def three_groups():
    """Two components for three tight groups: each of three ways to put two together is an optimum."""
    case = Case.of(1)
    rows = np.array([[0.0], [0.2], [5.0], [5.2], [10.0], [10.2]])
    return Case(0, "three groups", rows, 2, "full", type(case.prior)([5.0], 0.05, [[3.0]], 4.0), 1.0)


def partition(belief, rows):
    labels = belief.predict(rows)
    return tuple(labels == labels[0])


def test_further_optima_are_found():
    case = three_groups()
    known = fitted(case, "dirichlet_distribution")
    found = optima([known], ArraySource(case.rows), np.random.default_rng(0))
    partitions = {partition(belief, case.rows) for belief in found.beliefs}
    ways = {(True, True, a, a, b, b) for a, b in ((True, False), (False, True), (False, False))} - {(True,) * 6}
    assert len(partitions & ways) >= 2
    assert len(partitions) == len(found.beliefs)
    assert found.bound < case.with_dirichlet


def test_optima_that_label_rows_alike_are_one():
    case = three_groups()
    belief = fitted(case, "dirichlet_distribution")
    assert distinct([belief, flattened(belief, 0.5), belief], case.rows)[0] is belief


@pytest.mark.parametrize("weights", ["dirichlet_distribution", "dirichlet_process"])
def test_chains_find_what_no_proposal_knows(weights, seed, monkeypatch):
    """The posterior of one optimum alone, told that there is no other; as the middle group may go either way, it has half of all."""
    rows = 10 * three_groups().rows
    case = replace(three_groups(), rows=rows, prior=mx.NormalInverseWishart([rows.mean()], 1e-3, [[2.0]], 4.0))
    known = fitted(case, weights)
    monkeypatch.setattr(importance, "optima", lambda *_: Optima([known], -np.inf))
    monkeypatch.setattr(importance, "with_flattened", list)
    found = importance_sampling([known], ArraySource(case.rows), np.random.default_rng(seed))
    exact = case.with_sticks if weights == "dirichlet_process" else case.with_dirichlet
    assert abs(found.value - exact) < deviations(1, SERIES) * found.standard_error < 0.6


def test_annealed_chains_end_in_every_partition_that_counts(seed):
    """Of 150 chains more than one ends in each of three partitions that have a sixth of the posterior and more: but for 1e-10."""
    case = three_groups()
    known = fitted(case, "dirichlet_distribution")
    with Sweep(ArraySource(case.rows)) as sweep:
        ends = annealed(sweep, known.before, 150, np.random.default_rng(seed))
    counts = {}
    for belief in ends:
        at = partition(belief, case.rows)
        counts[at] = counts.get(at, 0) + 1
    for at in ((True, True, True, True, False, False), (True, True, False, False, False, False)):
        assert counts[at] > 1


# ---- learning, on a line --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Normal:
    """A law of one number."""

    mean: float
    deviation: float

    def draw(self, n_draws, rng):
        return rng.normal(self.mean, self.deviation, n_draws)

    def log_densities(self, draws):
        return norm.logpdf(draws, self.mean, self.deviation)


@dataclass(frozen=True)
class Line:
    """Normal laws with masses, of which a share is where only chains go."""

    laws: tuple
    masses: tuple
    ends: tuple = (Normal(0.0, 1.0),)

    def joined(self, parts):
        return np.concatenate(parts)

    def log_joint(self, draws):
        each = [np.log(mass) + law.log_densities(draws) for mass, law in zip(self.masses, self.laws, strict=True)]
        return np.logaddexp.reduce(each, axis=0)

    def learnt(self, draws, chosen, rng):
        return [Normal(draws[i], 0.7) for i in chosen]

    def explored(self, n_chains, rng):
        return [self.ends[i % len(self.ends)] for i in range(n_chains)]


def test_learning_finds_a_law_and_its_mass(seed):
    target = Line((Normal(0.0, 1.0), Normal(3.0, 0.3)), (2.0, 1.0))
    found = trusted(learn([Normal(1.0, 4.0)], target, 2, 1000, np.random.default_rng(seed)))
    assert abs(found.value - np.log(3)) < deviations(1, SERIES) * found.standard_error < 0.4


def test_what_chains_find_joins_the_proposal(seed):
    """The far law has a third of the mass, and no draw of the near one ever comes there."""
    near, far = Normal(0.0, 1.0), Normal(100.0, 1.0)
    target = Line((near, far), (2.0, 1.0), ends=(near, near, far))
    rng = np.random.default_rng(seed)
    alone = learn([Normal(0.0, 1.5)], target, 2, 1000, rng).evidence
    assert alone.value < np.log(2) + 0.2
    found = trusted(cover([Normal(0.0, 1.5)], target, 2, 1000, rng))
    assert abs(found.value - np.log(3)) < deviations(1, SERIES) * found.standard_error < 0.4
    assert found.standard_error > 1 / (N_CHAINS + 2)


class Anywhere(Line):
    """Chains always end in another place, and the density is the same wherever that is; of those nothing is learnt."""

    def log_joint(self, draws):
        return np.where(np.abs(draws) < 5, norm.logpdf(draws), 0.0)

    def learnt(self, draws, chosen, rng):
        return []

    def explored(self, n_chains, rng):
        return [Normal(mean, 1e-3) for mean in rng.uniform(10, 1e9, n_chains)]


def test_chains_that_always_end_elsewhere_leave_no_estimate():
    population = cover([Normal(0.0, 1.2)], Anywhere((), ()), 2, 200, np.random.default_rng(0))
    with pytest.raises(UnknownEvidenceError, match=r"of 64 chains from random labels end|count"):
        trusted(population)
    assert population.missed > MOST_MISSED


class Stubborn(Line):
    """Nothing is ever learnt."""

    def learnt(self, draws, chosen, rng):
        return []


def test_weights_that_rest_on_few_draws_leave_no_estimate(seed):
    target = Stubborn((Normal(0.0, 1.0),), (1.0,))
    with pytest.raises(UnknownEvidenceError, match=r"of 400000 draws [\d.]+ count"):
        trusted(learn([Normal(0.0, 0.02)], target, 2, 400_000, np.random.default_rng(seed)))


def test_shares_near_to_weighted_draws():
    laws, rng = (Normal(0.0, 1.0), Normal(8.0, 1.0), Normal(30.0, 1.0)), np.random.default_rng(1)
    draws = np.concatenate([law.draw(500, rng) for law in laws[:2]])
    weights = np.repeat([0.8 / 500, 0.2 / 500], 500)
    shares = nearest_shares(np.array([law.log_densities(draws) for law in laws]), weights)
    np.testing.assert_allclose(shares, [0.7 * 0.8 + 0.1, 0.7 * 0.2 + 0.1, 0.1], atol=1e-3)


def test_one_weight_counts_no_more_than_many():
    weights = truncated(np.array([0.0] * 99 + [np.log(1000)]))
    largest = 10 * (99 + 1000) / 100
    np.testing.assert_allclose(weights, np.append(np.ones(99), largest) / (99 + largest))


# ---- what must agree ------------------------------------------------------------------------------------------------------------


def test_an_estimate_below_the_lower_bound_is_refused(monkeypatch):
    case = three_groups()
    known = fitted(case, "dirichlet_distribution")
    monkeypatch.setattr(importance, "optima", lambda *_: Optima([known], case.with_dirichlet + 3.0))
    with pytest.raises(UnknownEvidenceError, match="lies below the lower bound"):
        importance_sampling([known], ArraySource(case.rows), np.random.default_rng(2))


def test_a_bridge_that_disagrees_with_its_own_proposal_is_refused(monkeypatch):
    def shifted(*arguments):
        population = cover(*arguments)
        return type(population)(
            population.laws,
            population.shares,
            population.log_weights,
            population.evidence._replace(value=population.evidence.value + 2.0),
            True,
        )

    monkeypatch.setattr(bridge_sampling, "cover", shifted)
    found = judged(Case.of(1), "bridge")
    assert found.found is None
    assert "bridge sampling gives" in found.reason
    assert "n_chains" in found.reason
