"""Draws: whatever is computed for all of them at once equals one mixture after another."""

import numpy as np
import pytest
from scipy.special import logsumexp

import mixtura as mx
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.draws import Draws
from mixtura.model.rows import evenly_spaced

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def random_draws(structure, n_chains=2, n_draws=5, n_components=3, n_features=2, seed=0):
    rng = np.random.default_rng(seed)
    shape = n_chains, n_draws
    half = rng.normal(size=(*shape, n_components, n_features, 3 * n_features))
    weights = rng.dirichlet(np.full(n_components, 3.0), shape)
    matrices = half @ half.swapaxes(-1, -2) / (3 * n_features)
    flat = [
        structure.from_matrices(m, w)
        for m, w in zip(matrices.reshape(-1, *matrices.shape[2:]), weights.reshape(-1, n_components), strict=True)
    ]
    means = 2 * rng.normal(size=(*shape, n_components, n_features))
    return Draws(structure, weights, means, np.reshape(flat, (*shape, *np.shape(flat)[1:])))


def all_mixtures(draws):
    return [draws.mixture(c, s) for c in range(draws.n_chains) for s in range(draws.n_draws)]


def with_an_empty_slot(draws):
    """Every draw loses a component, each another one."""
    weights = draws.weights.copy()
    for i, own in enumerate(weights.reshape(-1, draws.n_components)):
        own[i % draws.n_components] = 0
        own /= own.sum()
    return Draws(draws.structure, weights, draws.means, draws.covariances)


@every_structure
def test_a_draw_is_a_mixture_with_its_parts(structure):
    draws = random_draws(structure)
    assert (len(draws), draws.n_chains, draws.n_draws, draws.n_components, draws.n_features) == (10, 2, 5, 3, 2)
    one = draws.mixture(1, 3)
    assert one.structure is structure
    np.testing.assert_array_equal(one.means, draws.means[1, 3])
    np.testing.assert_array_equal(draws.covariance_matrices[1, 3], one.covariance_matrices)
    np.testing.assert_array_equal(draws.variances[1, 3], np.diagonal(one.covariance_matrices, axis1=1, axis2=2))


@every_structure
@pytest.mark.parametrize("empty", [False, True])
def test_densities_are_those_of_one_mixture_after_another(structure, empty):
    draws = random_draws(structure)
    draws = with_an_empty_slot(draws) if empty else draws
    X = 3 * np.random.default_rng(1).normal(size=(7, 2))
    slow = np.array([m.log_pdf(X) for m in all_mixtures(draws)])
    np.testing.assert_allclose(draws.log_pdfs(X).reshape(10, 7), slow, rtol=1e-12)
    np.testing.assert_allclose(draws.log_pdf(X), logsumexp(slow, axis=0) - np.log(10), rtol=1e-12)
    shares = np.mean([m.responsibilities(X) for m in all_mixtures(draws)], axis=0)
    np.testing.assert_allclose(draws.responsibilities(X), shares, atol=1e-14)


def test_blocks_of_rows_and_draws_do_not_show():
    draws = random_draws(covariance_structure("full"), n_draws=60)
    X = np.random.default_rng(1).normal(size=(5000, 2))
    some = [0, 2047, 2048, 4999]
    np.testing.assert_allclose(draws.log_pdf(X)[some], draws.log_pdf(X[some]), rtol=1e-12)
    np.testing.assert_allclose(draws.responsibilities(X)[some], draws.responsibilities(X[some]), atol=1e-14)
    np.testing.assert_allclose(draws.log_pdfs(X)[1, 50], draws.mixture(1, 50).log_pdf(X), rtol=1e-12)


def test_every_draw_counts_however_many_there_are():
    """One draw in 4,000 reaches the row: its density, over 4,000, is the predictive one, wherever in the chains the draw stands."""
    weights, means = np.ones((2, 2000, 1)), np.zeros((2, 2000, 1, 1))
    for c, s in ((0, 0), (0, 1001), (1, 7), (1, 1999)):
        moved = means.copy()
        moved[c, s] = 60.0
        draws = Draws(covariance_structure("spherical"), weights, moved, weights)
        assert draws.log_pdf([[60.0]])[0] == pytest.approx(-0.5 * np.log(2 * np.pi) - np.log(4000), rel=1e-12)


def test_some_of_the_draws():
    draws = random_draws(covariance_structure("diag"))
    X = np.zeros((1, 2))
    kept = [0, 4, 9]
    expected = logsumexp([all_mixtures(draws)[i].log_pdf(X)[0] for i in kept]) - np.log(3)
    assert draws.subset(3).log_pdf(X)[0] == pytest.approx(expected, rel=1e-12)
    assert list(draws.thinned(3)) == [all_mixtures(draws)[i] for i in kept]
    assert (draws.subset(3).n_chains, draws.subset(3).n_draws) == (1, 3)
    assert len(draws.subset(100)) == 10


def test_evenly_spaced_places_go_from_end_to_end_without_repetition():
    for total in (1, 2, 7, 100):
        for most in (1, 2, 3, 50, 1000):
            places = evenly_spaced(total, most)
            assert len(set(places.tolist())) == min(total, most)
            assert places[0] == 0
            assert places[-1] == total - 1 or most == 1


def test_rows_far_away_have_no_nan():
    draws = random_draws(covariance_structure("full"))
    X = np.array([[1e200, 0.0], [0.0, 1e30]])
    assert draws.log_pdf(X)[0] == -np.inf
    assert np.isfinite(draws.log_pdf(X)[1])
    np.testing.assert_allclose(draws.responsibilities(X).sum(axis=1), 1)


@every_structure
def test_another_order_is_the_same_mixture(structure):
    draws = random_draws(structure)
    orders = np.random.default_rng(2).permuted(np.broadcast_to(np.arange(3), (2, 5, 3)), axis=2)
    permuted = draws.permuted(orders)
    assert permuted.mixture(1, 2) == draws.mixture(1, 2).reorder(orders[1, 2])
    X = np.random.default_rng(1).normal(size=(7, 2))
    np.testing.assert_allclose(permuted.log_pdfs(X), draws.log_pdfs(X), rtol=1e-12)
    again = permuted.permuted(orders.argsort(axis=2))
    np.testing.assert_array_equal(again.means, draws.means)
    np.testing.assert_array_equal(again.covariances, draws.covariances)


@pytest.mark.parametrize("orders", [np.zeros((2, 5, 3), int), np.zeros((2, 5, 2), int), np.full((2, 5, 3), [1, 2, 3])])
def test_an_order_is_a_permutation(orders):
    with pytest.raises(mx.InvalidParameterError, match=r"permutation of 0 … 2"):
        random_draws(covariance_structure("full")).permuted(orders)


@every_structure
def test_draws_that_use_so_many_components(structure):
    draws = random_draws(structure)
    weights = draws.weights.copy()
    for c, s, k in ((0, 1, 0), (0, 3, 2), (1, 4, 1)):
        weights[c, s, k] = 0
        weights[c, s] /= weights[c, s].sum()
    mixed = Draws(structure, weights, draws.means, draws.covariances)
    two = mixed.using(2)
    assert (two.n_chains, two.n_draws, two.n_components) == (1, 3, 2)
    assert (two.weights > 0).all()
    X = np.random.default_rng(1).normal(size=(7, 2))
    for i, place in enumerate(((0, 1), (0, 3), (1, 4))):
        np.testing.assert_allclose(two.mixture(0, i).log_pdf(X), mixed.mixture(*place).log_pdf(X), rtol=1e-12)
    assert len(mixed.using(3)) == 7
    with pytest.raises(mx.InvalidParameterError, match=r"no draw uses 1 components; they use \[2, 3\]"):
        mixed.using(1)


def test_bad_rows_are_told():
    with pytest.raises(mx.DataError, match="must have shape"):
        random_draws(covariance_structure("full")).log_pdf(np.zeros((3, 5)))
    with pytest.raises(mx.DataError, match="finite"):
        random_draws(covariance_structure("full")).log_pdfs([[np.nan, 0]])
