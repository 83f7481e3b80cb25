"""The density of a prior whose scale is integrated out, beside Bayes' rule at scales of one's own."""

import numpy as np
import pytest
from scipy import stats

import mixtura as mx
from mixtura.ground.linalg import Array
from mixtura.model.covariance import STRUCTURES
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.log_densities import SemiConjugatePrior, log_invariant_measure
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents

NU, G, ALPHA = 4.5, 2.7, 0.7
S = np.array([[0.3, 0.1, 0.0], [0.1, 0.2, -0.05], [0.0, -0.05, 0.5]])
RESOLUTION = np.array([0.2, 0.0, 0.3])


def density_by_bayes_rule(structure: SharedBlocks, latent: mx.Mixture, scale: Array) -> float:
    """``p(Σ | Ψ) p(Ψ) / p(Ψ | Σ)``, the same at any ``Ψ``, which is the law of a precision."""
    roots = structure.block_roots(structure.as_blocks(latent.covariances))
    factors, block = structure.factor_from_roots(roots), structure.prior_block(scale)
    given = structure.log_wishart(block, np.full(1, NU), factors, 3).sum()
    own, root = structure.prior_block(S), structure.block_roots(block)
    before = structure.log_wishart(own, np.full(1, G), root, 3)[0, 0]
    precisions = structure.block_precisions(factors)
    after = structure.log_wishart(
        own + precisions.sum(axis=0, keepdims=True), np.full(1, G + len(precisions) * NU), root, 3
    )[0, 0]
    return float(given + before - after + log_invariant_measure(structure, roots, 3).sum())


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
@pytest.mark.parametrize("resolution", [np.zeros(3), RESOLUTION], ids=["exact", "rounded"])
def test_the_density_of_a_learnt_scale_is_that_of_bayes_rule(structure: SharedBlocks, resolution: Array) -> None:
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(size=3), np.diag([4.0, 1.0, 9.0])
    half, weights = rng.normal(size=(2, 3, 9)), np.array([0.3, 0.7])
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / 6, weights)
    latent = mx.Mixture(weights, rng.normal(size=(2, 3)), covariances, structure)
    noise = structure.as_natural(
        np.broadcast_to(
            structure.prior_block(np.diag(resolution**2)), structure.as_blocks(np.asarray(covariances)).shape
        )
    )
    m = mx.Mixture(weights, latent.means, covariances + noise, structure)
    prior = SemiConjugatePrior(SemiConjugateComponents(structure, mean, spread, NU, S, G, resolution), ALPHA)
    others = (
        stats.dirichlet([ALPHA, ALPHA]).logpdf(weights) + stats.multivariate_normal(mean, spread).logpdf(m.means).sum()
    )
    for scale in (np.eye(3), S, np.diag([0.1, 2.0, 7.0])):
        expected = density_by_bayes_rule(structure, latent, scale) + others
        assert prior.value(m) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_each_wishart_law_at_its_own_block(structure: SharedBlocks) -> None:
    half = np.random.default_rng(0).normal(size=(8, 3, 9))
    matrices = half @ half.swapaxes(1, 2)
    scales, others = (
        np.concatenate([structure.prior_block(matrix) for matrix in part]) for part in (matrices[:4], matrices[4:])
    )
    degrees, factors = np.array([3.5, 4.0, 7.0, 30.0]), structure.factor_from_roots(structure.block_roots(others))
    every = structure.log_wishart(scales, degrees, factors, 3)
    found = structure.log_wishart_of_each(scales, degrees, factors, 3)
    np.testing.assert_allclose(found, np.diagonal(every), rtol=1e-12)
    np.testing.assert_allclose(structure.log_wishart_of_each(scales[:1], degrees[:1], factors, 3), every[0], rtol=1e-12)
