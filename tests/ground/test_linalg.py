"""Linear algebra on stacks, beside NumPy a matrix at a time."""

import numpy as np
import pytest

from mixtura.ground.linalg import cholesky, outer, precision_factors, raise_eigenvalues

SIZES = pytest.mark.parametrize(("n_matrices", "n_features"), [(1, 1), (4, 1), (1, 3), (5, 4), (2, 20)])


def positive_definite(n_matrices, n_features, seed=0):
    half = np.random.default_rng(seed).normal(size=(n_matrices, n_features, n_features + 2))
    return half @ half.swapaxes(1, 2)


def with_spectrum(spectrum, seed=0):
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(spectrum), len(spectrum))))
    matrix = (basis * spectrum) @ basis.T
    return 0.5 * (matrix + matrix.T)


@SIZES
def test_cholesky_is_numpys(n_matrices, n_features):
    matrices = positive_definite(n_matrices, n_features)
    kept = matrices.copy()
    factors, singular = cholesky(matrices)
    for matrix, factor in zip(matrices, factors, strict=True):
        np.testing.assert_allclose(factor, np.linalg.cholesky(matrix), rtol=1e-15)
    assert singular.shape == (n_matrices,)
    assert not singular.any()
    np.testing.assert_array_equal(matrices, kept)


SINGULAR = {
    "zero": np.zeros((2, 2)),
    "rank one": np.ones((2, 2)),
    "indefinite": np.diag([1.0, -1.0]),
    "a rounding away from rank one": np.array([[1.0, 1.0], [1.0, 1.0 + 4e-16]]),
    "rank one, scaled": np.outer([1e-8, 1e8], [1e-8, 1e8]),
    "not a number": np.full((2, 2), np.nan),
}
SOUND = {
    "unit": np.eye(2),
    "tiny": 1e-300 * np.array([[2.0, 1.0], [1.0, 2.0]]),
    "huge": 1e300 * np.array([[2.0, 1.0], [1.0, 2.0]]),
    "uneven": np.diag([1e-300, 1e300]),
    "correlated": np.array([[1.0, 1 - 1e-9], [1 - 1e-9, 1.0]]),
    "correlated and uneven": np.outer([1e-9, 1e9], [1e-9, 1e9]) * [[1.0, 0.999], [0.999, 1.0]],
}


@pytest.mark.parametrize("kind", SINGULAR)
def test_what_is_singular_is_marked_without_touching_its_neighbours(kind):
    sound = positive_definite(1, 2)[0]
    factors, singular = cholesky(np.stack([sound, SINGULAR[kind], sound]))
    assert singular.tolist() == [False, True, False]
    np.testing.assert_allclose(factors[0], np.linalg.cholesky(sound), rtol=1e-15)
    np.testing.assert_allclose(factors[2], np.linalg.cholesky(sound), rtol=1e-15)


@pytest.mark.parametrize("kind", SOUND)
def test_small_large_and_uneven_are_not_singular(kind):
    factors, singular = cholesky(SOUND[kind][None])
    assert not singular[0]
    np.testing.assert_allclose(factors[0] @ factors[0].T, SOUND[kind], rtol=1e-14)


@SIZES
def test_precision_factors_invert(n_matrices, n_features):
    matrices = positive_definite(n_matrices, n_features)
    factors = precision_factors(np.linalg.cholesky(matrices))
    np.testing.assert_array_equal(factors, np.triu(factors))
    assert factors.flags.c_contiguous
    for matrix, factor in zip(matrices, factors, strict=True):
        inverse = np.linalg.inv(matrix)
        np.testing.assert_allclose(factor @ factor.T, inverse, rtol=1e-9, atol=1e-12 * np.abs(inverse).max())


def test_precision_factors_take_any_layout():
    lower = np.linalg.cholesky(positive_definite(3, 4))
    expected = precision_factors(lower)
    np.testing.assert_array_equal(precision_factors(np.asfortranarray(lower)), expected)
    np.testing.assert_array_equal(precision_factors(np.repeat(lower, 2, axis=0)[::2]), expected)
    frozen = lower.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(precision_factors(frozen), expected)


def test_precision_factors_keep_small_rows_accurate():
    scale = np.array([1e-100, 1.0, 1e100])
    matrix = np.array([[2.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 1.5]])
    plain = precision_factors(np.linalg.cholesky(matrix)[None])[0]
    scaled = precision_factors((scale[:, None] * np.linalg.cholesky(matrix))[None])[0]
    np.testing.assert_allclose(scaled, plain / scale[:, None], rtol=1e-14)


def test_outer_products_along_the_last_axis():
    rng = np.random.default_rng(1)
    vectors, others = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    np.testing.assert_array_equal(outer(vectors), np.stack([np.outer(v, v) for v in vectors]))
    np.testing.assert_array_equal(
        outer(vectors, others), np.stack([np.outer(v, u) for v, u in zip(vectors, others, strict=True)])
    )


def test_raised_eigenvalues_are_numpys_clipped_ones():
    matrices = np.stack([with_spectrum(s, seed) for seed, s in enumerate([[0.1, 1, 2], [-3, 0.2, 0.4], [0.6, 1, 5]])])
    raised = raise_eigenvalues(matrices, 0.5)
    for before, after in zip(matrices, raised, strict=True):
        values, vectors = np.linalg.eigh(before)
        expected = vectors @ np.diag(np.maximum(values, 0.5)) @ vectors.T
        np.testing.assert_allclose(after, expected, rtol=1e-13, atol=1e-14)
        np.testing.assert_array_equal(after, after.T)
    np.testing.assert_array_equal(raised[2], matrices[2])


@pytest.mark.parametrize("rank", [0, 1, 7, 20, 39])
@pytest.mark.parametrize("floor", [1e-3, 2.0])
def test_raised_eigenvalues_of_large_matrices_are_the_same_whatever_their_rank(rank, floor):
    """From 32 columns on a matrix of low rank goes by its thin factor; some directions of it are below the floor, others above."""
    rng = np.random.default_rng(rank)
    factor = rng.normal(size=(40, rank)) * np.geomspace(0.01, 3, rank)
    matrix = factor @ factor.T
    values, vectors = np.linalg.eigh(matrix)
    expected = (vectors * np.maximum(values, floor)) @ vectors.T
    (raised,) = raise_eigenvalues(matrix[None], floor)
    np.testing.assert_allclose(raised, expected, rtol=0, atol=1e-12 * max(floor, values.max()))
    np.testing.assert_array_equal(raised, raised.T)


def test_matrices_above_the_floor_are_left_bit_for_bit():
    matrices = positive_definite(3, 4)
    low = np.linalg.eigvalsh(matrices).min()
    np.testing.assert_array_equal(raise_eigenvalues(matrices, 0.999 * low), matrices)
    assert not np.array_equal(raise_eigenvalues(matrices, 1.001 * low), matrices)


@pytest.mark.parametrize("floor", [1e-6, 1e-2])
@pytest.mark.parametrize("largest", [1e-9, 1.0, 1e3, 1e6])
def test_no_eigenvalue_stays_below_the_floor_beyond_rounding(largest, floor):
    matrix = with_spectrum(np.array([0.0, 1e-3 * largest, largest]))
    lowest = np.linalg.eigvalsh(raise_eigenvalues(matrix[None], floor))[0, 0]
    assert lowest >= floor - 20 * np.finfo(float).eps * max(largest, floor)
