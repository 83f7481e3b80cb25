"""Partitions: co-clustering against its definition, point estimates against all partitions there are, counts against enumeration."""

from itertools import combinations, product

import numpy as np
import pytest

import mixtura as mx
from chance import share_limits
from labellings import coclustering_of_labels, expected_losses
from mixtura.assess.draws import coclustering as coclusterings
from mixtura.assess.draws import partitions
from mixtura.assess.draws.coclustering import (
    MOST_ROWS,
    coclustering,
    n_components_posterior,
    n_filled,
)
from mixtura.assess.draws.partitions import (
    CRITERIA,
    binder_criterion,
    estimate_partition,
    information_criterion,
)
from mixtura.model import draws as all_draws
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.draws import Draws

every_loss = pytest.mark.parametrize("loss", CRITERIA)


def random_draws(structure, n_chains=2, n_draws=6, n_components=3, seed=0):
    rng = np.random.default_rng(seed)
    shape = n_chains, n_draws
    factors = rng.normal(size=(n_chains * n_draws, n_components, 2, 6))
    covariances = [structure.from_matrices(f @ f.swapaxes(1, 2) / 6, np.ones(n_components)) for f in factors]
    means = 2 * rng.normal(size=(*shape, n_components, 2))
    weights = rng.dirichlet(np.ones(n_components), shape)
    return Draws(structure, weights, means, np.reshape(covariances, (*shape, *np.shape(covariances)[1:])))


def repeated(mixture, n_chains, n_draws):
    """The same draw again and again."""
    parts = (mixture.weights, mixture.means, mixture.covariances)
    return Draws(mixture.structure, *(np.broadcast_to(p, (n_chains, n_draws, *p.shape)) for p in parts))


def all_partitions(n_rows):
    """Every partition of so many rows, labels by first appearance."""

    def extended(labels, n_clusters):
        if len(labels) == n_rows:
            yield np.array(labels)
            return
        for label in range(n_clusters + 1):
            yield from extended([*labels, label], max(n_clusters, label + 1))

    return extended([0], 1)


def test_partitions_are_counted_by_bell():
    assert [sum(1 for _ in all_partitions(n)) for n in range(1, 8)] == [1, 2, 5, 15, 52, 203, 877]


# ---- co-clustering -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_coclustering_is_the_mean_of_shared_labels(structure):
    draws = random_draws(structure)
    X = 2 * np.random.default_rng(1).normal(size=(6, 2))
    found = coclustering(draws, X)
    for n, m in combinations(range(6), 2):
        slow = np.mean(
            [draws.mixture(c, s).responsibilities(X)[[n, m]].prod(axis=0).sum() for c in (0, 1) for s in range(6)]
        )
        assert found[n, m] == found[m, n] == pytest.approx(slow, abs=1e-13)
    assert (np.diag(found) == 1).all()


def test_coclustering_does_not_depend_on_labels():
    draws = random_draws(covariance_structure("full"))
    X = np.random.default_rng(1).normal(size=(20, 2))
    orders = np.random.default_rng(2).permuted(np.broadcast_to(np.arange(3), (2, 6, 3)), axis=2)
    np.testing.assert_allclose(coclustering(draws.permuted(orders), X), coclustering(draws, X), atol=1e-13)


def test_many_draws_are_added_up_block_by_block_and_all_of_them_count(monkeypatch):
    draws = random_draws(covariance_structure("full"), n_draws=700)
    X = 2 * np.random.default_rng(1).normal(size=(5, 2))
    shares = np.array([draws.mixture(c, s).responsibilities(X) for c in (0, 1) for s in range(700)])
    expected = np.einsum("tnk,tmk->nm", shares, shares) / 1400
    np.fill_diagonal(expected, 1)
    for gathered, numbers in ((10**9, 2**18), (1, 2**18), (50, 100)):
        monkeypatch.setattr(coclusterings, "GATHERED", gathered)
        monkeypatch.setattr(all_draws, "NUMBERS", numbers)
        np.testing.assert_allclose(coclustering(draws, X), expected, atol=1e-13)


def test_too_many_rows_are_told():
    draws = random_draws(covariance_structure("full"))
    with pytest.raises(mx.DataError, match=r"5001 rows would take 0.2 GB; at most 5000"):
        coclustering(draws, np.zeros((MOST_ROWS + 1, 2)))


# ---- how many components hold rows ----------------------------------------------------------------------------------------------


def test_number_of_filled_components_has_its_exact_distribution(seed):
    mixture = mx.Mixture([0.5, 0.4, 0.1], [[0.0], [1.0], [2.0]], [1.0, 1.0, 1.0], "spherical")
    X = np.array([[0.0], [0.5], [2.0], [1.0]])
    shares = mixture.responsibilities(X)
    exact = np.zeros(4)
    for labels in product(range(3), repeat=4):
        exact[len(set(labels))] += shares[range(4), labels].prod()
    n_draws = 20_000
    found = n_components_posterior(repeated(mixture, 2, n_draws // 2), X, random_state=seed)
    assert found.shape == (4,)
    low, high = share_limits(found, n_draws, 4)
    assert ((low <= exact) & (exact <= high)).all()


def test_filled_components_are_counted_over_all_blocks_of_rows():
    mixture = mx.Mixture([0.5, 0.5], [[0.0], [90.0]], [1.0, 1.0], "spherical")
    X = np.zeros((5000, 1))
    X[0] = 90
    assert n_filled(repeated(mixture, 1, 2), X, 0).tolist() == [[2, 2]]
    assert n_filled(repeated(mixture, 1, 2), X[1:], 0).tolist() == [[1, 1]]


def test_counts_of_the_sampler_are_taken_as_they_are():
    draws = random_draws(covariance_structure("full"))
    filled = [[1, 1, 2, 2, 2, 3], [2, 2, 2, 2, 3, 3]]
    np.testing.assert_allclose(n_components_posterior(draws, np.zeros((3, 2)), filled), np.array([0, 2, 7, 3]) / 12)
    for bad in ([[0]], [[4]], [[1.5]]):
        with pytest.raises(mx.InvalidParameterError, match=r"integers in 1 … 3"):
            n_components_posterior(draws, np.zeros((3, 2)), bad)


# ---- losses --------------------------------------------------------------------------------------------------------------------


def test_the_criterion_of_binder_is_the_expected_loss():
    rng = np.random.default_rng(0)
    labels, drawn = rng.integers(0, 3, 9), rng.integers(0, 4, (5, 9))
    expected = expected_losses(labels, drawn)["binder"]
    assert binder_criterion(labels, coclustering_of_labels(drawn)) == pytest.approx(expected, rel=1e-12)


def test_the_criterion_of_information_is_a_bound():
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels, drawn = rng.integers(0, 3, 9), rng.integers(0, 4, (5, 9))
        together = coclustering_of_labels(drawn)
        sizes = np.mean([np.log((z[:, None] == z).sum(axis=1)).mean() for z in drawn])
        bound = information_criterion(labels, together) - np.log(together.sum(axis=1)).mean() + sizes
        assert bound <= expected_losses(labels, drawn)["variation_of_information"] + 1e-12
    # Without uncertainty it is the variation of information itself.
    alone = information_criterion(labels, coclustering_of_labels(drawn[:1]))
    assert alone == pytest.approx(expected_losses(labels, drawn[:1])["variation_of_information"], abs=1e-12)


def similarities():
    """Co-clustering matrices of few rows: of labels drawn at random, of labels that agree more or less, and of no labels at all."""
    rng = np.random.default_rng(7)
    for i in range(60):
        n_rows = int(rng.integers(1, 8))
        if i % 3 == 2:
            half = rng.random((n_rows, n_rows))
            matrix = 0.5 * (half + half.T)
            np.fill_diagonal(matrix, 1)
            yield matrix
            continue
        drawn = rng.integers(0, rng.integers(2, 5), (int(rng.integers(1, 12)), n_rows))
        kept = rng.random(drawn.shape) < (0.7 if i % 3 else 0)
        yield coclustering_of_labels(np.where(kept, drawn[0], drawn))


@every_loss
def test_the_estimate_is_the_best_of_all_partitions(loss):
    _, criterion = CRITERIA[loss]
    for matrix in similarities():
        best = min(criterion(labels, matrix) for labels in all_partitions(len(matrix)))
        found = estimate_partition(matrix, loss)
        assert found.criterion == pytest.approx(best, abs=1e-12)
        assert found.criterion == criterion(found.labels, matrix)


@every_loss
def test_clear_clusters_are_found_and_numbered_by_appearance(loss):
    labels = np.array([2, 2, 0, 1, 1, 0, 2] * 10)
    rng = np.random.default_rng(0)
    drawn = np.where(rng.random((50, 70)) < 0.1, rng.integers(0, 3, (50, 70)), labels)
    found = estimate_partition(coclustering_of_labels(drawn), loss)
    assert found.labels.tolist() == [0, 0, 1, 2, 2, 1, 0] * 10
    assert (found.n_clusters, found.loss) == (3, loss)
    # Neither rows nor their numbers matter, nor do seeds where clusters are clear.
    again = estimate_partition(coclustering_of_labels(drawn[:, ::-1]), loss, random_state=5)
    assert again.criterion == pytest.approx(found.criterion, rel=1e-12)


def test_dissolving_clusters_finds_what_moving_rows_does_not(monkeypatch):
    rng = np.random.default_rng(36)
    labels = rng.integers(0, 5, 40)
    matrix = coclustering_of_labels(np.where(rng.random((20, 40)) < 0.5, rng.integers(0, 5, (20, 40)), labels))
    found = estimate_partition(matrix, "binder")
    monkeypatch.setattr(partitions, "_dissolve", lambda similarity, labels, *_: labels)
    assert found.criterion < estimate_partition(matrix, "binder").criterion - 0.05
    monkeypatch.setattr(partitions, "N_RUNS", 60)
    assert found.criterion == pytest.approx(estimate_partition(matrix, "binder").criterion, rel=1e-12)


@every_loss
def test_no_row_gains_by_moving(loss):
    _, criterion = CRITERIA[loss]
    rng = np.random.default_rng(1)
    drawn = np.where(rng.random((20, 40)) < 0.4, rng.integers(0, 5, (20, 40)), rng.integers(0, 5, 40))
    matrix = coclustering_of_labels(drawn)
    found = estimate_partition(matrix, loss)
    for n, label in product(range(40), range(found.n_clusters + 1)):
        moved = found.labels.copy()
        moved[n] = label
        assert criterion(moved, matrix) >= found.criterion - 1e-9


def test_what_is_no_coclustering_matrix_is_told():
    with pytest.raises(mx.InvalidParameterError, match=r"binder, variation_of_information; got 'vi'"):
        estimate_partition(np.eye(2), "vi")
    for bad in (np.zeros((2, 3)), [[1, 2], [2, 1]], [[1, 0.5], [0.1, 1]], [[1, np.nan], [np.nan, 1]]):
        with pytest.raises(mx.DataError, match="a co-clustering matrix must"):
            estimate_partition(bad)
