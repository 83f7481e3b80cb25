"""Draws from the priors of a known number of components have the laws that their densities say."""

import numpy as np
import pytest
from scipy import stats

import mixtura as mx
from chance import kolmogorov
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.components import ConjugateComponents
from mixtura.model.laws.log_densities import ConjugatePrior, SemiConjugatePrior

N_DRAWS = 800
MEAN, SCALE = np.array([1.0, -2.0]), np.array([[3.0, 1.0], [1.0, 2.0]])
LIMIT = kolmogorov(N_DRAWS, 40)
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def drawn(prior, structure, seed):
    rng = np.random.default_rng(seed)
    return [prior.draw(3, structure, rng) for _ in range(N_DRAWS)]


def distance(values, law):
    return stats.kstest(values, law.cdf).statistic


@every_structure
def test_conjugate_components(structure, seed):
    niw = mx.NormalInverseWishart(MEAN, 0.5, SCALE, 7.0)
    mixtures = drawn(ConjugatePrior(ConjugateComponents(structure, niw), 2.0), structure, seed)
    assert all(m.structure is structure for m in mixtures)
    offsets = np.array([m.means[1] - MEAN for m in mixtures])
    matrices = np.array([m.covariance_matrices[1] for m in mixtures])
    squares = 0.5 * np.einsum("td,td->t", offsets, np.linalg.solve(matrices, offsets[:, :, None])[:, :, 0])
    assert distance(squares, stats.chi2(2)) < LIMIT
    assert distance([m.weights[2] for m in mixtures], stats.beta(2, 4)) < LIMIT
    degrees, scales = structure.variance_laws(structure.prior_block(niw.scale), np.array([7.0]), 2)
    assert distance(scales[0, 1] / matrices[:, 1, 1], stats.chi2(degrees[0])) < LIMIT


@every_structure
def test_semi_conjugate_components(structure, seed):
    components = mx.SemiConjugateComponents(structure, MEAN, 4 * SCALE, 5.0, SCALE, 3.0)
    mixtures = drawn(SemiConjugatePrior(components, 0.5), structure, seed)
    offsets = np.array([m.means[0] - MEAN for m in mixtures])
    squares = np.einsum("td,de,te->t", offsets, np.linalg.inv(4 * SCALE), offsets)
    assert distance(squares, stats.chi2(2)) < LIMIT
    assert distance([m.weights[0] for m in mixtures], stats.beta(0.5, 1.0)) < LIMIT
    blocks = {len(np.unique(m.covariance_matrices.round(12), axis=0)) for m in mixtures[:9]}
    assert blocks == {1 if structure.shared else 3}


@pytest.mark.parametrize("name", ["full", "spherical", "tied"])
def test_the_scale_that_is_learnt_is_drawn_too(name, seed):
    """In one dimension ``1/σ²`` given ``Ψ`` is gamma, and so is ``Ψ``: their ratio is beta prime."""
    structure = covariance_structure(name)
    components = mx.SemiConjugateComponents(structure, [0.0], [[1.0]], 5.0, [[2.0]], 3.0)
    mixtures = drawn(SemiConjugatePrior(components, 1.0), structure, seed)
    precisions = [1 / m.variances[0, 0] for m in mixtures]
    assert distance(precisions, stats.betaprime(2.5, 1.5, scale=2.0)) < LIMIT
