"""Splits and mergers alone, without Gibbs: a Markov chain on partitions whose law is known by enumeration."""

import numpy as np
import pytest

from chance import assert_shares
from enumeration import Exact, chinese_restaurant, finite_urn, log_marginal
from mixtura.data.array import ArraySource
from mixtura.inference.dirichlet_process import DirichletProcess
from mixtura.inference.split_merge import Allocation, SplitMerge
from mixtura.inference.telescoping import ComponentCountLaw, FiniteMixtures
from mixtura.model.components import ConjugateComponents
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.prior import NormalInverseWishart
from mixtura.sweep import accumulate

PRIOR_1D = NormalInverseWishart([6.0], 0.1, [[4.0]], 4.0)
PRIOR_2D = NormalInverseWishart([0.3, 0.1], 0.4, [[2.0, 0.5], [0.5, 1.0]], 3.5)
LINE = np.array([[4.0], [5.0], [5.5], [7.5], [8.0]])  # near enough for every partition to be visited often
PLANE = np.array([[0.0, 0.2], [1.0, 0.1], [2.5, 2.0], [3.0, 2.4], [-1.0, 0.5]])


def allocation_of(rows, labels, diagonal):
    labels = np.asarray(labels, np.int32)
    return Allocation(labels, accumulate(ArraySource(rows), labels, labels.max() + 1, diagonal=diagonal))


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 0], [0, 1, 1, 0, 2], [0, 1, 2, 3, 4]], ids=str)
def test_the_evidence_of_labels_is_the_closed_form(structure, labels):
    components = ConjugateComponents(structure, PRIOR_2D)
    found = components.log_evidence(allocation_of(PLANE, labels, structure.diagonal).moments)
    assert found == pytest.approx(log_marginal(PLANE, labels, structure.name, PRIOR_2D), abs=1e-9)


def check_chain(rows, prior, name, partition, exact, seed, n_steps=500, n_warmup=50, n_chains=6):
    """How many components are filled, and which rows share one."""
    structure = covariance_structure(name)
    move = SplitMerge(ConjugateComponents(structure, prior), n_scans=2)
    visited, accepted = np.empty((n_chains, n_warmup + n_steps, len(rows)), int), 0
    for chain in range(n_chains):
        rng = np.random.default_rng(seed + chain)
        allocation = allocation_of(rows, np.arange(len(rows)) % (chain % 3 + 1), structure.diagonal)
        for step in range(n_warmup + n_steps):
            allocation, one = move(rows, allocation, partition, rng)
            accepted += one
            visited[chain, step] = allocation.labels
        fresh = allocation_of(rows, allocation.labels, structure.diagonal).moments
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
    assert 0.05 < accepted / (n_chains * (n_warmup + n_steps)) < 0.9


def test_under_a_dirichlet_process(seed):
    exact = Exact.of(LINE, "spherical", PRIOR_1D, {"dp": (1.0, chinese_restaurant(0.8))})
    check_chain(LINE, PRIOR_1D, "spherical", DirichletProcess(0.8), exact, seed)


def test_under_a_mixture_of_finite_mixtures(seed):
    law = ComponentCountLaw.poisson(2.0, most=8)
    models = {k: (p, finite_urn(k, 0.7)) for k, p in enumerate(law.probabilities, 1)}
    exact = Exact.of(PLANE, "full", PRIOR_2D, models)
    check_chain(PLANE, PRIOR_2D, "full", FiniteMixtures(law, 0.7), exact, seed)


def test_with_a_known_number_of_components_and_a_shared_covariance(seed):
    exact = Exact.of(LINE, "tied", PRIOR_1D, {3: (1.0, finite_urn(3, 1.5))})
    check_chain(LINE, PRIOR_1D, "tied", FiniteMixtures(ComponentCountLaw.exactly(3), 1.5), exact, seed)


def test_two_distant_clusters_that_gibbs_would_not_part(seed):
    """Half of all proposals begin with a row of each; that none of forty does has the probability 1e-12."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.normal(-8, 1, (100, 1)), rng.normal(8, 1, (100, 1))])
    components = ConjugateComponents(covariance_structure("full"), NormalInverseWishart([0.0], 0.01, [[1.0]], 3.0))
    move, partition = SplitMerge(components, n_proposals=40), DirichletProcess(1.0)
    allocation, _ = move(rows, allocation_of(rows, np.zeros(200), False), partition, rng)
    one, other = (np.bincount(own).argmax() for own in np.split(allocation.labels, 2))
    assert one != other  # a third component may hold some rows of both


def test_a_single_row_has_nothing_to_split():
    components = ConjugateComponents(covariance_structure("full"), PRIOR_1D)
    start = allocation_of(LINE[:1], [0], False)
    end, accepted = SplitMerge(components)(LINE[:1], start, DirichletProcess(1.0), np.random.default_rng(0))
    assert end is start
    assert accepted == 0
