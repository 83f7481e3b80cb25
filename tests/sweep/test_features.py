"""Features against their definition, one row and one product at a time."""

import numpy as np
import pytest

from mixtura.model.scorer import Scorer
from mixtura.sweep.features import Features, as_moments, coefficients, product_pairs
from mixtura.sweep.scratch import Scratch

every_dimension = pytest.mark.parametrize("n_features", [1, 2, 3, 4, 5, 8, 11])
diagonal_or_not = pytest.mark.parametrize("diagonal", [False, True], ids=["matrix", "diagonal"])


def filled(rows, pivot, diagonal, room=None):
    return Features(pivot, rows.dtype, diagonal, room or len(rows), Scratch()).fill(rows)


@every_dimension
def test_every_product_is_there_once(n_features):
    pairs = sorted(tuple(sorted(pair)) for pair in zip(*(p.tolist() for p in product_pairs(n_features)), strict=True))
    assert pairs == [(i, j) for i in range(n_features) for j in range(i, n_features)]


@every_dimension
@diagonal_or_not
def test_features_are_products_one_and_the_row_itself(n_features, diagonal):
    rng = np.random.default_rng(n_features)
    rows, pivot = rng.normal(size=(7, n_features)), rng.normal(size=n_features)
    left, right = product_pairs(n_features)
    if diagonal:
        left = right = np.arange(n_features)
    found = filled(rows, pivot, diagonal)
    for column, z in zip(found.T, rows - pivot, strict=True):
        np.testing.assert_array_equal(column, [*(z[i] * z[j] for i, j in zip(left, right, strict=True)), 1.0, *z])


@every_dimension
def test_diagonal_features_are_the_tail_of_the_others(n_features):
    rows, pivot = np.random.default_rng(1).normal(size=(5, n_features)), np.ones(n_features)
    tail = filled(rows, pivot, False)[-2 * n_features - 1 :]
    np.testing.assert_array_equal(tail, filled(rows, pivot, True))


def test_a_shorter_block_fits_the_same_room():
    rows, pivot = np.random.default_rng(2).normal(size=(9, 4)), np.zeros(4)
    room = Features(pivot, rows.dtype, False, 9, Scratch())
    room.fill(rows)
    np.testing.assert_array_equal(room.fill(rows[3:7]), filled(rows[3:7], pivot, False))


@every_dimension
@diagonal_or_not
def test_the_log_joint_is_linear_in_them_and_so_are_the_moments(n_features, diagonal):
    rng = np.random.default_rng(n_features)
    shape = (3, n_features) if diagonal else (3, n_features, n_features)
    scorer = Scorer(rng.normal(size=3), rng.normal(size=(3, n_features)), rng.normal(size=shape))
    rows, pivot, shares = rng.normal(size=(20, n_features)), rng.normal(size=n_features), rng.uniform(size=(3, 20))
    phi = filled(rows, pivot, diagonal)
    expected = scorer.log_joint(scorer.whitened(scorer.residuals(rows)))
    np.testing.assert_allclose(coefficients(scorer, pivot) @ phi, expected, rtol=1e-9, atol=1e-9)
    moments = as_moments(shares @ phi.T, pivot, diagonal)
    z = rows - pivot
    second = np.einsum("kn,ni,nj->kij", shares, z, z)
    np.testing.assert_allclose(moments.count, shares.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(moments.first, shares @ z, rtol=1e-9, atol=1e-12)
    expected = np.diagonal(second, axis1=1, axis2=2) if diagonal else second
    np.testing.assert_allclose(moments.second, expected, rtol=1e-9, atol=1e-12)
