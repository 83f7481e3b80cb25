"""Gibbs sampling of more rows than are held in memory: moves look at some, and the posterior is that of all."""

from dataclasses import replace

import numpy as np
import pytest

from chance import assert_shares
from enumeration import Exact, SemiConjugateMarginal, chinese_restaurant, finite_urn
from mixtura.data import source as sources
from mixtura.data.array import ArraySource
from mixtura.data.source import Rows
from mixtura.inference.sampling import gibbs
from mixtura.inference.sampling.all_rows import AllRows
from mixtura.inference.sampling.dirichlet_process import DirichletProcess
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.sampling.gibbs import Gibbs, sample
from mixtura.inference.sampling.split_merge import SplitMerge
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.components import ConjugateComponents
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.model.mixture import Mixture
from mixtura.sweep import accumulate

LINE = np.array([[0.0], [1.0], [4.0], [9.0], [10.0], [11.0]])
N = len(LINE)
PRIOR = NormalInverseWishart([6.0], 0.1, [[4.0]], 4.0)
LEARNT = SemiConjugateComponents(
    covariance_structure("spherical"), [6.0], [[30.0]], 4.0, [[2.0]], 3.0, resolution=[0.7]
)
LAW = ComponentCountLaw.beta_negative_binomial(most=12)
PARTITIONS = {
    "known": (FiniteMixtures(ComponentCountLaw.exactly(3), 0.5), {3: (1.0, finite_urn(3, 0.5))}),
    "open": (FiniteMixtures(LAW, 0.7), {k: (p, finite_urn(k, 0.7)) for k, p in enumerate(LAW.probabilities, 1)}),
    "process": (DirichletProcess(0.9), {"dp": (1.0, chinese_restaurant(0.9))}),
}


@pytest.fixture
def few(monkeypatch):
    """Four of six rows are looked at, and passes have strips of two."""
    monkeypatch.setattr(gibbs, "HELD", 0)
    monkeypatch.setattr(gibbs, "LOOKED_AT", 4)
    monkeypatch.setattr(sources, "LEAST_STRIP", 2)
    monkeypatch.setattr(sources, "STRIP_NUMBERS", 2)


def start_of(structure):
    covariances = covariance_structure(structure).from_matrices(np.ones((3, 1, 1)), np.ones(3))
    return Mixture(np.full(3, 1 / 3), [[1.0], [4.0], [10.0]], covariances, structure)


def run_of(components, partition, seed, **settings):
    start, rng = start_of(components.structure.name), np.random.default_rng(seed)
    return sample(ArraySource(LINE), [start] * 8, Gibbs(components, partition, 2), rng, n_warmup=50, **settings)


@pytest.mark.parametrize(
    ("name", "structure", "learnt"),
    [
        ("open", "spherical", False),
        ("process", "spherical", False),
        ("known", "full", True),
        ("open", "diag", True),
        ("process", "spherical", True),
        ("known", "tied", True),
    ],
)
def test_the_posterior_is_that_of_the_enumeration(few, name, structure, learnt, seed):
    partition, models = PARTITIONS[name]
    family = covariance_structure(structure)
    if learnt:
        components = replace(LEARNT, structure=family)
        marginal = SemiConjugateMarginal(LINE, structure == "tied", components)
        exact = Exact.of(LINE, structure, None, models, marginal)
    else:
        components, exact = ConjugateComponents(family, PRIOR), Exact.of(LINE, structure, PRIOR, models)
    run = run_of(components, partition, seed, n_draws=400)
    one, other = np.triu_indices(4, 1)
    rows = run.label_rows
    assert len(rows) == 4
    indicators = [run.n_filled[:, :, None] == np.arange(1, N + 1), run.labels[:, :, one] == run.labels[:, :, other]]
    expected = [exact.of_n_filled[1:], exact.coclustering[rows[one], rows[other]]]
    assert_shares(np.concatenate(indicators, axis=2), np.concatenate(expected), widest=0.3)
    assert (run.accepted > 0).any()


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
@pytest.mark.parametrize("name", PARTITIONS)
def test_what_is_known_of_rows_is_true_of_labels_that_are_drawn_again(few, monkeypatch, name, structure):
    """After every sweep and its moves, also where labels are those of a sweep before."""
    whole, n_steps, n_refused = SplitMerge.__call__, set(), []

    def checked(self, allocations, rng):
        found = whole(self, allocations, rng)
        assert isinstance(self.all_rows, AllRows)
        recipes = [allocation.recipe for allocation in found[0]]
        again = self.all_rows.sweep.again(recipes, lambda strip, labels: Rows([np.stack(labels, axis=1)], None))
        for allocation, labels in zip(found[0], again.joined()[0].T, strict=True):
            np.testing.assert_array_equal(allocation.labels, labels[self.all_rows.places])
            moments = allocation.moments
            fresh = accumulate(ArraySource(LINE), labels, len(moments.count), diagonal=structure.diagonal)
            np.testing.assert_array_equal(moments.count, fresh.count)
            moved = moments.about(fresh.origin)
            np.testing.assert_allclose(moved.first, fresh.first, atol=1e-9)
            np.testing.assert_allclose(moved.second, fresh.second, atol=1e-9)
        n_steps.update(len(recipe.steps) for recipe in recipes)
        n_refused.append(len({id(recipe.drawing) for recipe in recipes}) > 1)
        return found

    monkeypatch.setattr(SplitMerge, "__call__", checked)
    run = run_of(ConjugateComponents(structure, PRIOR), PARTITIONS[name][0], 0, n_draws=40)
    assert run.accepted.any()
    assert len(n_steps) > 2
    assert any(n_refused) == (name == "process")


def test_where_all_rows_are_held_passes_are_not_needed(monkeypatch):
    monkeypatch.setattr(gibbs, "HELD", N)
    monkeypatch.setattr(AllRows, "shared", None)
    run = run_of(ConjugateComponents(covariance_structure("spherical"), PRIOR), PARTITIONS["open"][0], 0, n_draws=5)
    np.testing.assert_array_equal(run.label_rows, np.arange(N))
