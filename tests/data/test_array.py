"""Rows in memory as a stream of blocks."""

import numpy as np
import pytest

from mixtura.data.array import ArraySource
from mixtura.ground.errors import DataError

LAYOUTS = {
    "c": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "strided": lambda rows: np.repeat(rows, 3, axis=0)[::3],
    "float32": lambda rows: rows.astype(np.float32),
    "read-only": lambda rows: np.frombuffer(rows.tobytes()).reshape(rows.shape),
}


def random_rows(n_rows=23, n_features=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_rows, n_features)), rng.uniform(0.5, 2, n_rows)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("size", [1, 2, 7, 22, 23, 24, 1000])
def test_blocks_are_all_the_rows_once_and_in_order(layout, weighted, size):
    rows, weights = random_rows()
    rows, weights = LAYOUTS[layout](rows), weights if weighted else None
    source = ArraySource(rows, weights)
    blocks = list(source.blocks(size))
    np.testing.assert_array_equal(np.concatenate([block.rows for block in blocks]), rows)
    assert [block.position.stop - block.position.start for block in blocks] == [len(block.rows) for block in blocks]
    assert [block.position.start for block in blocks] == list(range(0, 23, size))
    assert all(len(block.rows) == size for block in blocks[:-1])
    for block in blocks:
        np.testing.assert_array_equal(block.rows, rows[block.position])
        assert np.shares_memory(block.rows, source.rows), "blocks are views"
        assert block.rows.flags.c_contiguous
        if weights is None:
            assert block.weights is None
        else:
            np.testing.assert_array_equal(block.weights, weights[block.position])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_copied_only_where_they_do_not_lie_one_after_another(layout):
    rows = LAYOUTS[layout](random_rows()[0])
    assert np.shares_memory(ArraySource(rows).rows, rows) is (layout not in ("fortran", "strided"))


def test_blocks_can_be_asked_for_again():
    rows, weights = random_rows()
    source = ArraySource(rows, weights)
    for one, other in zip(source.blocks(5), source.blocks(5), strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_a_memory_map_is_read_in_place(tmp_path):
    rows, _ = random_rows()
    np.save(tmp_path / "rows.npy", rows)
    source = ArraySource(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    np.testing.assert_array_equal(np.concatenate([block.rows for block in source.blocks(4)]), rows)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_source_says_of_itself(layout):
    rows, weights = random_rows()
    laid = LAYOUTS[layout](rows)
    source = ArraySource(laid, weights)
    assert (source.n_rows, source.n_features) == (23, 3)
    assert source.total_weight == pytest.approx(weights.sum(), rel=1e-15)
    assert ArraySource(laid).total_weight == 23
    assert source.facts.magnitude.dtype == np.float64
    np.testing.assert_array_equal(source.facts.magnitude, np.abs(laid).max(axis=0))


def test_the_magnitude_is_of_either_sign_and_each_column():
    source = ArraySource(np.array([[-5.0, 1.0, 0.0], [2.0, 3.0, -0.0]]))
    np.testing.assert_array_equal(source.facts.magnitude, [5.0, 3.0, 0.0])


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_ordinary_scales_pass(scale):
    ArraySource(scale * random_rows()[0]).check_squares_representable()


@pytest.mark.parametrize(("value", "word"), [(1e19, "overflow"), (1e-20, "underflow")])
def test_single_precision_has_narrower_limits(value, word):
    rows = np.full((10, 2), value)
    ArraySource(rows).check_squares_representable()
    with pytest.raises(DataError, match=f"{word} in float32"):
        ArraySource(rows.astype(np.float32)).check_squares_representable()


@pytest.mark.parametrize("value", [1e155, -1e160, 1e308])
def test_values_whose_squares_overflow_are_refused_and_the_column_named(value):
    rows = random_rows()[0]
    rows[4, 1] = value
    with pytest.raises(DataError, match=r"column 1 holds values as large as .*overflow"):
        ArraySource(rows).check_squares_representable()


def test_heavy_weights_count_as_many_rows():
    rows = np.full((10, 1), 1e150)
    ArraySource(rows, np.ones(10)).check_squares_representable()
    with pytest.raises(DataError, match="overflow"):
        ArraySource(rows, np.full(10, 1e10)).check_squares_representable()


@pytest.mark.parametrize("n_rows", [1, 10, 1000])
def test_what_passes_does_not_overflow(n_rows):
    """Just below the limit, sums of squares about any origin within the data are finite."""
    limit = np.sqrt(np.finfo(float).max / (16 * n_rows))
    rows = np.full((n_rows, 1), np.nextafter(limit, 0))
    rows[::2] *= -1
    ArraySource(rows).check_squares_representable()
    assert np.isfinite(np.sum((rows - rows[0]) ** 2))
    assert np.isfinite(np.sum((rows - rows[-1]) ** 2))
    with pytest.raises(DataError):
        ArraySource(rows * (1 + 1e-12)).check_squares_representable()
