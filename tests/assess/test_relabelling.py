"""Relabelling: known labels come back, orders are the best of all permutations, and failure is seen and refused."""

from itertools import permutations, product

import numpy as np
import pytest

import mixtura as mx
from mixtura.assess.draws.relabelling import METHODS, LabelSwitchingError, _disagreement, _non_permutation, relabel
from mixtura.model.alignment import component_distances
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.draws import Draws

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
every_method = pytest.mark.parametrize("method", METHODS)


def draws_about(truth, n_chains=2, n_draws=30, noise=0.1, seed=0):
    """Draws near a mixture, all in its order; ``noise`` is in units of means and log variances."""
    rng = np.random.default_rng(seed)
    shape = n_chains, n_draws
    weights = rng.dirichlet(truth.weights / noise**2, shape)
    means = truth.means + noise * rng.normal(size=(*shape, *truth.means.shape))
    scales = np.exp(noise * rng.normal(size=(*shape, truth.n_components, 1, 1)))
    flat = (truth.covariance_matrices * scales).reshape(-1, *truth.covariance_matrices.shape)
    covariances = [truth.structure.from_matrices(m, truth.weights) for m in flat]
    return Draws(truth.structure, weights, means, np.reshape(covariances, (*shape, *truth.covariances.shape)))


def shuffled(draws, seed=1):
    """The draws with their components in random orders, and those orders."""
    orders = np.broadcast_to(np.arange(draws.n_components), draws.weights.shape)
    orders = np.random.default_rng(seed).permuted(orders, axis=2)
    return draws.permuted(orders), orders


def separated(structure, n_components=4, n_features=2):
    rng = np.random.default_rng(3)
    half = rng.normal(size=(n_components, n_features, 4 * n_features))
    weights = np.array([0.1, 0.2, 0.3, 0.4])[:n_components]
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / (4 * n_features), weights / weights.sum())
    means = 6.0 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[:n_components, :n_features]
    return mx.Mixture(weights / weights.sum(), means, covariances, structure.name)


@every_structure
@every_method
def test_known_labels_come_back(structure, method):
    truth = separated(structure)
    X, _ = truth.sample(80, 0)
    draws, orders = shuffled(draws_about(truth))
    found = relabel(draws, X, method=method)
    # Which component was which is known: all draws must agree on it.
    names = np.take_along_axis(orders, found.orders, axis=2).reshape(-1, 4)
    assert (names == names[0]).all()
    assert sorted(names[0]) == [0, 1, 2, 3]
    assert found.failure_rate == 0
    original = draws_about(truth).permuted(np.broadcast_to(names[0], orders.shape))
    np.testing.assert_array_equal(found.draws.means, original.means)
    np.testing.assert_array_equal(found.draws.covariances, original.covariances)


@every_method
@pytest.mark.parametrize("apart_by", ["variance", "correlation"])
def test_components_with_one_mean_are_told_apart(method, apart_by):
    covariances = {
        "variance": [np.eye(2), 25 * np.eye(2)],
        "correlation": [[[1, 0.95], [0.95, 1]], [[1, -0.95], [-0.95, 1]]],
    }
    truth = mx.Mixture([0.5, 0.5], np.zeros((2, 2)), covariances[apart_by], "full")
    draws, orders = shuffled(draws_about(truth, noise=0.05))
    found = relabel(draws, truth.sample(200, 0)[0], method=method)
    names = np.take_along_axis(orders, found.orders, axis=2).reshape(-1, 2)
    assert (names == names[0]).all()
    assert found.failure_rate == 0


def overlapping(n_draws=40, noise=0.7):
    truth = mx.Mixture([0.3, 0.3, 0.4], [[0.0], [1.0], [2.0]], [1.0, 1.0, 1.0], "spherical")
    return shuffled(draws_about(truth, n_draws=n_draws, noise=noise))[0], truth.sample(50, 0)[0]


def gain(method, shares, reference):
    """What one order of the components, the rows of ``shares``, is worth beside probabilities of labels."""
    if method == "ecr":
        return sum(shares[label, n] for n, label in enumerate(reference.argmax(axis=0)))
    inside = np.maximum(shares, 1e-300)
    return -(shares * np.log(inside / np.maximum(reference, 1e-10))).sum()


@pytest.mark.parametrize("method", ["ecr", "stephens"])
def test_orders_are_the_best_of_all_permutations(method):
    draws, X = overlapping()
    found = relabel(draws, X, method=method)
    shares = [found.draws.mixture(c, s).responsibilities(X).T for c in range(2) for s in range(40)]
    reference = np.mean(shares, axis=0)
    for own in shares:
        best = max(gain(method, own[list(order)], reference) for order in permutations(range(3)))
        assert gain(method, own, reference) == pytest.approx(best, rel=1e-12)


def tiny(seed):
    """A few draws of components that can hardly be told apart, and a few rows."""
    rng = np.random.default_rng(seed)
    n_components = 2 + seed % 2
    n_draws = 8 if n_components == 2 else 5
    apart, noise = rng.uniform(0.3, 2.0), rng.uniform(0.3, 1.5)
    means = apart * np.arange(n_components)[:, None] + noise * rng.normal(size=(1, n_draws, n_components, 1))
    weights = rng.dirichlet(np.full(n_components, 3.0), (1, n_draws))
    variances = np.exp(0.4 * rng.normal(size=(1, n_draws, n_components)))
    rows = 1.5 * rng.normal(size=(6, 1)) + (n_components - 1) / 2
    return Draws(covariance_structure("spherical"), weights, means, variances), rows


def total_gain(method, shares):
    """What orders are worth together, from the shares ``(T, K, B)`` that they lead to, under the best reference for them."""
    mean = shares.mean(axis=0)
    return mean.max(axis=0).sum() if method == "ecr" else (mean * np.log(np.maximum(mean, 1e-10))).sum()


@pytest.mark.parametrize("method", ["ecr", "stephens"])
@pytest.mark.parametrize("seed", range(25))
def test_no_orders_of_all_draws_together_are_better(method, seed):
    draws, X = tiny(seed)
    shares = np.array([draws.mixture(0, s).responsibilities(X).T for s in range(draws.n_draws)])
    every_order = np.array(list(permutations(range(draws.n_components))))
    best = max(
        total_gain(method, np.take_along_axis(shares, np.vstack([every_order[:1], chosen])[:, :, None], axis=1))
        for chosen in product(every_order, repeat=draws.n_draws - 1)
    )
    found = relabel(draws, X, method=method).orders[0]
    assert total_gain(method, np.take_along_axis(shares, found[:, :, None], axis=1)) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("method", ["ecr", "stephens", "pivot"])
def test_labels_are_those_of_the_draw_of_the_highest_density(method):
    for seed in range(10):
        draws, X = tiny(seed)
        heights = np.random.default_rng(seed).normal(size=(1, draws.n_draws))
        orders = relabel(draws, X, method=method, log_posterior=heights).orders
        assert orders[0, heights.argmax()].tolist() == list(range(draws.n_components))


def test_pivot_orders_are_the_nearest_of_all_permutations():
    draws, X = overlapping()
    log_posterior = np.random.default_rng(5).normal(size=(2, 40))
    found = relabel(draws, X, method="pivot", log_posterior=log_posterior)
    pivot = draws.mixture(*divmod(int(log_posterior.argmax()), 40))
    for c, s in ((0, 0), (0, 7), (1, 39)):
        distances = component_distances(pivot, draws.mixture(c, s))
        costs = {order: sum(distances[label, k] for label, k in enumerate(order)) for order in permutations(range(3))}
        assert tuple(found.orders[c, s]) == min(costs, key=costs.__getitem__)


def test_the_first_reference_is_the_likeliest_draw_unless_told_otherwise():
    draws, X = overlapping()
    log_likelihoods = draws.log_pdfs(X).sum(axis=2)
    told, untold = (relabel(draws, X, method="pivot", log_posterior=p).orders for p in (log_likelihoods, None))
    np.testing.assert_array_equal(told, untold)
    assert (untold.reshape(-1, 3)[log_likelihoods.argmax()] == [0, 1, 2]).all()


@every_method
def test_overlapping_components_are_refused(method):
    draws, X = overlapping()
    found = relabel(draws, X, method=method)
    assert found.disagreement_rate > 0.1
    assert found.non_permutation_rate > 0.1
    assert found.failure_rate == max(found.disagreement_rate, found.non_permutation_rate)
    for summary in (found.check, found.expectations, found.interval):
        with pytest.raises(LabelSwitchingError, match=r"in \d+% of the draws .* co-clustering"):
            summary()


def test_a_few_failures_are_allowed():
    truth = separated(covariance_structure("tied_spherical"))
    draws = draws_about(truth, n_draws=50)
    means = draws.means.copy()
    for s in range(4):
        means[0, s, 1] = means[0, s, 0]  # two components at one place: 4 draws of 100
    spoilt, _ = shuffled(Draws(draws.structure, draws.weights, means, draws.covariances))
    found = relabel(spoilt, truth.sample(80, 0)[0])
    assert found.non_permutation_rate == 0.04
    found.check()


@every_method
@pytest.mark.parametrize("n_unused", [1, 2])
def test_unused_slots_do_not_disturb_the_others(method, n_unused):
    structure = covariance_structure("full")
    truth = separated(structure, n_components=3)
    draws = draws_about(truth)
    shape = 2, 30, n_unused
    means = 9 * np.random.default_rng(4).normal(size=(*shape, 2))
    padded = Draws(
        structure,
        np.concatenate([draws.weights, np.zeros(shape)], axis=2),
        np.concatenate([draws.means, means], axis=2),
        np.concatenate([draws.covariances, np.broadcast_to(np.eye(2), (*shape, 2, 2))], axis=2),
    )
    mixed, orders = shuffled(padded)
    X = truth.sample(80, 0)[0]
    found = relabel(mixed, X, method=method)
    names = np.take_along_axis(orders, found.orders, axis=2).reshape(-1, 3 + n_unused)
    in_use = names[0] < 3
    assert (names[:, in_use] == names[0, in_use]).all()
    assert found.disagreement_rate == 0
    assert found.non_permutation_rate == 1  # a slot that nobody uses is no component
    assert relabel(mixed.using(3), X, method=method).failure_rate == 0


def test_summaries_are_those_of_the_relabelled_draws():
    truth = separated(covariance_structure("full"))
    found = relabel(shuffled(draws_about(truth))[0], truth.sample(80, 0)[0])
    mean, (lower, upper) = found.expectations(), found.interval(0.8)
    for name in ("weights", "means", "covariances"):
        values = getattr(found.draws, name).reshape(60, *getattr(mean, name).shape)
        np.testing.assert_allclose(getattr(mean, name), values.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(getattr(lower, name), np.quantile(values, 0.1, axis=0), rtol=1e-12)
        np.testing.assert_allclose(getattr(upper, name), np.quantile(values, 0.9, axis=0), rtol=1e-12)


def test_one_component_needs_no_labels():
    truth = mx.Mixture([1.0], [[0.0]], [1.0], "spherical")
    assert relabel(draws_about(truth), truth.sample(10, 0)[0]).failure_rate == 0


def test_many_rows_are_thinned_not_cut():
    # Two of the components differ in the last rows only.
    truth = mx.Mixture([0.4, 0.3, 0.3], [[0.0], [50.0], [90.0]], [1.0, 1.0, 1.0], "spherical")
    X = np.repeat([[0.0], [50.0], [90.0]], [4000, 50, 50], axis=0)
    draws, orders = shuffled(draws_about(truth))
    names = np.take_along_axis(orders, relabel(draws, X).orders, axis=2).reshape(-1, 3)
    assert (names == names[0]).all()


def test_what_cannot_be_is_told():
    draws, X = overlapping()
    with pytest.raises(mx.InvalidParameterError, match=r"ecr, stephens, pivot; got 'best'"):
        relabel(draws, X, method="best")
    with pytest.raises(mx.InvalidParameterError, match=r"each of 2 × 40 draws; got shape \(80,\)"):
        relabel(draws, X, log_posterior=np.zeros(80))
    with pytest.raises(mx.InvalidParameterError, match="some of them NaN"):
        relabel(draws, X, log_posterior=np.full((2, 40), np.nan))
    with pytest.raises(mx.InvalidParameterError, match=r"between 0 and 1; got 2"):
        relabel(draws, X).interval(2)


def test_methods_may_call_all_labels_otherwise():
    orders, used = np.array([[0, 1], [1, 0], [0, 1], [0, 1]]), np.ones((4, 2), bool)
    assert _disagreement(orders, orders[:, ::-1], used) == 0
    assert _disagreement(orders, np.array([[1, 0], [0, 1], [1, 0], [0, 1]]), used) == 0.25


def test_a_few_components_far_away_have_no_cluster_of_their_own():
    """In one draw of fifty the second component has hardly a row, and lies anywhere."""
    rng = np.random.default_rng(0)
    means = np.array([0.0, 8.0])[:, None] + 0.3 * rng.normal(size=(1, 200, 2, 1))
    weights = np.repeat([[[0.5, 0.5]]], 200, axis=1)
    means[0, ::50, 1], weights[0, ::50] = 500.0, [0.999, 0.001]
    assert _non_permutation(Draws(covariance_structure("spherical"), weights, means, np.ones((1, 200, 2)))) < 0.05
