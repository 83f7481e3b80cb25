"""Splits and mergers alone, without Gibbs: a Markov chain on partitions whose law is known by enumeration."""

import numpy as np
import pytest

from chance import assert_shares
from enumeration import Exact, chinese_restaurant, finite_urn, log_marginal
from mixtura.data.array import ArraySource
from mixtura.inference.sampling.dirichlet_process import DirichletProcess
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.sampling.split_merge import SplitMerge, Tally
from mixtura.inference.sampling.split_sites import Allocation
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.components import ConjugateComponents, own_blocks
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.sweep import accumulate
from mixtura.sweep.whole_rows import WholeRows

PRIOR_1D = NormalInverseWishart([6.0], 0.1, [[4.0]], 4.0)
PRIOR_2D = NormalInverseWishart([0.3, 0.1], 0.4, [[2.0, 0.5], [0.5, 1.0]], 3.5)
LINE = np.array([[4.0], [5.0], [5.5], [7.5], [8.0]])  # near enough for every partition to be visited often
PLANE = np.array([[0.0, 0.2], [1.0, 0.1], [2.5, 2.0], [3.0, 2.4], [-1.0, 0.5]])


def moments_of(rows, labels, diagonal):
    labels = np.asarray(labels, np.int32)
    return accumulate(ArraySource(rows), labels, labels.max() + 1, diagonal=diagonal)


def allocation_of(rows, labels, components, rng):
    """Labels, and parameters drawn given them."""
    moments = moments_of(rows, labels, components.structure.diagonal)
    scale = components.structure.prior_block(components.prior.scale)
    return Allocation(np.asarray(labels, np.int32), moments, components.propose(moments, scale, rng))


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 0], [0, 1, 1, 0, 2], [0, 1, 2, 3, 4]], ids=str)
def test_the_evidence_of_labels_is_the_closed_form(structure, labels):
    components, rng = ConjugateComponents(structure, PRIOR_2D), np.random.default_rng(0)
    expected = log_marginal(PLANE, labels, structure.name, PRIOR_2D)
    _, moments, drawn, _ = allocation_of(PLANE, labels, components, rng)
    assert components.log_evidence(moments) == pytest.approx(expected, abs=1e-9)
    # Bayes' rule at the draw: its law given rows is that of the proposal.
    weighed = drawn.scorer.expected(moments) + components.log_weights(moments, drawn).sum()
    assert weighed == pytest.approx(expected, abs=1e-9)


def test_structures_with_blocks_of_their_own():
    assert [own_blocks(s).name for s in STRUCTURES] == ["full", "full", "diag", "diag", "spherical", "spherical"]


def check_chains(rows, prior, name, partition, exact, seed, n_steps=150, n_warmup=10, n_chains=20):
    """How many components are filled, and which rows share one."""
    components, rng = ConjugateComponents(covariance_structure(name), prior), np.random.default_rng(seed)
    move = SplitMerge(WholeRows(rows, components.structure.diagonal), components, partition, 3)
    visited, n_tried, n_accepted = np.empty((n_chains, n_warmup + n_steps, len(rows)), int), 0, 0
    possible = np.flatnonzero(exact.of_n_filled > 0)[:3]
    begun = [np.arange(len(rows)) % possible[chain % len(possible)] for chain in range(n_chains)]
    allocations = [allocation_of(rows, labels, components, rng) for labels in begun]
    for step in range(n_warmup + n_steps):
        allocations, tried, accepted = move(allocations, rng)
        n_tried, n_accepted = n_tried + tried.sum(), n_accepted + accepted.sum()
        visited[:, step] = [allocation.labels for allocation in allocations]
    for allocation in allocations:
        fresh = moments_of(rows, allocation.labels, components.structure.diagonal)
        moved = allocation.moments.about(fresh.origin)
        np.testing.assert_allclose(moved.count, fresh.count)
        np.testing.assert_allclose(moved.first, fresh.first, atol=1e-9)
        np.testing.assert_allclose(moved.second, fresh.second, atol=1e-9)
    visited = visited[:, n_warmup:]
    one, other = np.triu_indices(len(rows), 1)
    together = visited[:, :, one] == visited[:, :, other]
    filled = visited.max(axis=2, keepdims=True) + 1 == np.arange(1, len(rows) + 1)
    indicators = np.concatenate([together, filled], axis=2)
    expected = np.concatenate([exact.coclustering[one, other], exact.of_n_filled[1:]])
    assert_shares(indicators, expected, widest=0.3)
    assert 0.03 < n_accepted / n_tried < 0.9  # of independent features, it is 0.05 in the long run


def test_under_a_dirichlet_process(seed):
    exact = Exact.of(LINE, "spherical", PRIOR_1D, {"dp": (1.0, chinese_restaurant(0.8))})
    check_chains(LINE, PRIOR_1D, "spherical", DirichletProcess(0.8), exact, seed)


def test_under_a_mixture_of_finite_mixtures(seed):
    law = ComponentCountLaw.poisson(2.0, most=8)
    models = {k: (p, finite_urn(k, 0.7)) for k, p in enumerate(law.probabilities, 1)}
    exact = Exact.of(PLANE, "full", PRIOR_2D, models)
    check_chains(PLANE, PRIOR_2D, "full", FiniteMixtures(law, 0.7), exact, seed)


@pytest.mark.parametrize("name", ["diag", "tied_diag"])
def test_under_a_known_number_of_independent_features(name, seed):
    exact = Exact.of(PLANE, name, PRIOR_2D, {2: (1.0, finite_urn(2, 0.7))})
    check_chains(PLANE, PRIOR_2D, name, FiniteMixtures(ComponentCountLaw.exactly(2), 0.7), exact, seed)


def test_with_a_known_number_of_components_and_a_shared_covariance(seed):
    exact = Exact.of(LINE, "tied", PRIOR_1D, {3: (1.0, finite_urn(3, 1.5))})
    check_chains(LINE, PRIOR_1D, "tied", FiniteMixtures(ComponentCountLaw.exactly(3), 1.5), exact, seed)


def test_two_distant_clusters_that_gibbs_would_not_part(seed):
    """Half of all proposals begin with a row of each; that none of forty does has the probability 1e-12."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.normal(-8, 1, (100, 1)), rng.normal(8, 1, (100, 1))])
    components = ConjugateComponents(covariance_structure("full"), NormalInverseWishart([0.0], 0.01, [[1.0]], 3.0))
    move = SplitMerge(WholeRows(rows, False), components, DirichletProcess(1.0), 40)
    (allocation,), _, _ = move([allocation_of(rows, np.zeros(200, int), components, rng)], rng)
    one, other = (np.bincount(own).argmax() for own in np.split(allocation.labels, 2))
    assert one != other  # a third component may hold some rows of both


def test_a_single_row_has_nothing_to_split():
    components, rng = ConjugateComponents(covariance_structure("full"), PRIOR_1D), np.random.default_rng(0)
    start = allocation_of(LINE[:1], [0], components, rng)
    (end,), tried, _ = SplitMerge(WholeRows(LINE[:1], False), components, DirichletProcess(1.0), 4)([start], rng)
    assert end is start
    assert tried.tolist() == [0]


def test_no_more_components_than_can_be():
    components, rng = ConjugateComponents(covariance_structure("full"), PRIOR_1D), np.random.default_rng(0)
    move = SplitMerge(WholeRows(LINE, False), components, FiniteMixtures(ComponentCountLaw.exactly(1), 1.0), 4)
    allocations, tried, accepted = move([allocation_of(LINE, np.zeros(5, int), components, rng)], rng)
    assert not allocations[0].labels.any()
    assert (tried > 0).all()
    assert not accepted.any()


def test_as_many_moves_as_are_of_use():
    """Few where most succeed or rows are many; once settled, whatever happens later."""
    assert Tally(1000, 600).moves(40, 100) == 2
    assert Tally(1000, 1).moves(40, 100) == 40
    assert Tally(1000, 1).moves(40, 10**6) == 1
    tally = Tally(1000, 600)
    tally.settle()
    tally.tried += 10**6
    assert tally.moves(40, 100) == 2
