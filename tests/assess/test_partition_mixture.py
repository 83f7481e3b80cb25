"""The mixture of a partition: posterior means where components have an identity, moments that stay, and no label that matters."""

import numpy as np
import pytest

from mixtura.assess.draws.chains import judge
from mixtura.assess.draws.partition_mixture import partition_mixture
from mixtura.assess.draws.relabelling import LARGEST_FAILURE_RATE, relabel
from mixtura.data.array import ArraySource
from mixtura.inference.sampling.posterior_sample import PosteriorSample
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.draws import Draws

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)

CENTRES = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
LABELS = np.repeat([0, 1, 2], 30)
X = CENTRES[LABELS] + np.random.default_rng(9).normal(size=(90, 2))


def draws_about(centres, structure, n_chains=2, n_draws=40, seed=0):
    """Draws about some centres, each of which lists them in an order of its own."""
    rng = np.random.default_rng(seed)
    k, shape = len(centres), (n_chains, n_draws)
    factors = rng.normal(size=(n_chains * n_draws, k, 2, 60))
    covariances = [structure.from_matrices(f @ f.swapaxes(1, 2) / 60, np.ones(k)) for f in factors]
    means = centres + 0.2 * rng.normal(size=(*shape, k, 2))
    weights = rng.dirichlet(np.full(k, 30.0), shape)
    draws = Draws(structure, weights, means, np.reshape(covariances, (*shape, *np.shape(covariances)[1:])))
    return draws, draws.permuted(rng.permuted(np.broadcast_to(np.arange(k), (*shape, k)), axis=2))


def moments(mixture):
    """Mean and covariance of the whole."""
    mean = mixture.weights @ mixture.means
    offsets = mixture.means - mean
    about = mixture.covariance_matrices + offsets[:, :, None] * offsets[:, None, :]
    return mean, np.einsum("k,kij->ij", mixture.weights, about)


@every_structure
def test_where_components_have_an_identity_it_is_the_posterior_mean(structure):
    straight, mixed = draws_about(CENTRES, structure)
    found = partition_mixture(mixed, X, LABELS)
    np.testing.assert_allclose(found.weights, straight.weights.mean(axis=(0, 1)), atol=1e-12)
    np.testing.assert_allclose(found.means, straight.means.mean(axis=(0, 1)), atol=1e-12)
    np.testing.assert_allclose(found.covariance_matrices, straight.covariance_matrices.mean(axis=(0, 1)), atol=1e-12)
    assert found.covariance_type == structure.name


def test_components_of_one_cluster_are_merged_and_the_moments_of_the_draw_stay():
    """One draw: its components at the last two centres are one cluster; the whole mixture has the moments it had."""
    _, mixed = draws_about(CENTRES, covariance_structure("full"), 1, 1)
    found = partition_mixture(mixed, X, np.minimum(LABELS, 1))
    whole = mixed.mixture(0, 0)
    assert found.n_components == 2
    for one, other in zip(moments(found), moments(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_components_that_hold_no_row_are_left_out_and_rare_clusters_too():
    far = np.concatenate([CENTRES, [[500.0, 500.0]]])
    draws, _ = draws_about(far, covariance_structure("full"))
    found = partition_mixture(draws, X, LABELS)
    shares = draws.weights[..., :3] / draws.weights[..., :3].sum(axis=2, keepdims=True)
    np.testing.assert_allclose(found.weights, shares.mean(axis=(0, 1)), atol=1e-12)
    np.testing.assert_allclose(found.means, CENTRES, atol=0.3)
    odd = LABELS.copy()
    odd[4] = 3  # a cluster of one row, for which no draw has a component
    np.testing.assert_allclose(partition_mixture(draws, X, odd).weights, found.weights, atol=1e-12)
    one = partition_mixture(draws, X[:1], np.zeros(1, int))  # less than half a row each may be all there is
    assert np.isfinite(one.means).all()


def test_a_component_that_comes_and_goes_is_that_of_the_draws_that_have_it():
    """Two thirds of the draws split the last cluster off; in the others its rows belong to the second."""
    three, _ = draws_about(CENTRES, covariance_structure("full"), 1, 60)
    weights = three.weights.copy()
    weights[0, ::3, 2] = 0
    weights /= weights.sum(axis=2, keepdims=True)
    few = np.arange(
        70
    )  # of the last cluster ten rows, so that a component that holds it and another one is of the other
    found = partition_mixture(Draws(three.structure, weights, three.means, three.covariances), X[few], LABELS[few])
    np.testing.assert_allclose(found.weights, weights.mean(axis=(0, 1)), atol=1e-12)
    has = weights[0, :, 2] > 0
    np.testing.assert_allclose(found.means[2], three.means[0, has, 2].mean(axis=0), atol=1e-12)


def test_where_labels_fail_the_chains_speak_of_a_partition():
    """Two groups, and a third component that is now a double of one and now of the other."""
    rng = np.random.default_rng(3)
    draws, _ = draws_about(CENTRES[[0, 1, 1]], covariance_structure("full"))
    means = draws.means.copy()
    means[:, :, 2] = np.where(rng.random((2, 40, 1)) < 0.5, means[:, :, 0], means[:, :, 1]) + rng.normal(
        size=(2, 40, 2)
    )
    rows = X[LABELS < 2]
    lost = Draws(draws.structure, draws.weights, means, draws.covariances)
    heights = np.array([[lost.mixture(c, s).log_likelihood(rows) for s in range(40)] for c in range(2)])
    chains = judge(PosteriorSample(lost, heights, heights, {}, False, None), ArraySource(rows), method="ecr")
    assert chains.relabelling.failure_rate > LARGEST_FAILURE_RATE
    assert not chains.labels_are_straight
    assert chains.grouping.partition.labels.tolist() == LABELS[LABELS < 2].tolist()
    assert chains.point == partition_mixture(chains.draws, rows, chains.grouping.partition.labels)
    np.testing.assert_allclose(chains.point.means, CENTRES[:2], atol=0.5)
    apart, together = chains.grouping.together[0, 1], np.diag(chains.grouping.together)
    assert apart < 0.05 < 0.5 < together.min() <= together.max() <= 1
    straight, _ = draws_about(CENTRES, covariance_structure("full"))
    sample = PosteriorSample(straight, heights, heights, {}, False, None)
    kept = judge(sample, ArraySource(X), method="ecr")
    assert kept.labels_are_straight
    # That all components hold rows in all draws is no wonder where their number is known.
    counts, begun = np.full((2, 40), 3), {"n_begun": [3, 3], "accepted": [0.0, 0.0]}
    verdicts = [
        judge(sample, ArraySource(X), method="ecr", n_filled=counts, n_is_known=known, **begun).diagnostics.verdict
        for known in (True, False)
    ]
    assert ["no chain accepted a move" in verdict for verdict in verdicts] == [False, True]
    assert kept.point == relabel(straight, X, log_posterior=heights).expectations()
