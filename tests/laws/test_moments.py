"""Moments form a vector space, and what they say of the data does not depend on the origin they are kept about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mixtura.model.moments import Moments

DIAGONAL = pytest.mark.parametrize("diagonal", [False, True], ids=["full", "diagonal"])
FIELDS = ("count", "first", "second", "origin")


def explicit(rows, shares, origin, diagonal):
    """Moments by their definition, a row and a component at a time."""
    (n_components, n_features), n_rows = origin.shape, len(rows)
    count, first = np.zeros(n_components), np.zeros((n_components, n_features))
    second = np.zeros((n_components, n_features, n_features))
    for k in range(n_components):
        for n in range(n_rows):
            offset = rows[n] - origin[k]
            count[k] += shares[n, k]
            first[k] += shares[n, k] * offset
            second[k] += shares[n, k] * np.outer(offset, offset)
    return Moments(count, first, np.einsum("kdd->kd", second) if diagonal else second, origin)


def assert_same(found, expected):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), err_msg=field)


@st.composite
def whole_numbers(draw, n_rows=6):
    """Rows, shares and three origins in small whole numbers, so that every sum and product is exact."""
    n_components, n_features = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def table(rows, columns, low, high):
        return draw(arrays(np.float64, (rows, columns), elements=st.integers(low, high)))

    return (
        table(n_rows, n_features, -1000, 1000),
        table(n_rows, n_components, 0, 9),
        [table(n_components, n_features, -1000, 1000) for _ in range(3)],
    )


@DIAGONAL
@settings(max_examples=25)
@given(case=whole_numbers())
def test_two_halves_merged_equal_one_pass(diagonal, case):
    rows, shares, (origin, other, _) = case
    left = explicit(rows[:2], shares[:2], origin, diagonal)
    right = explicit(rows[2:], shares[2:], other, diagonal)
    assert_same(left + right, explicit(rows, shares, origin, diagonal))
    assert_same(right + left, explicit(rows, shares, other, diagonal))


@DIAGONAL
@settings(max_examples=25)
@given(case=whole_numbers())
def test_a_block_that_was_added_can_be_taken_away(diagonal, case):
    rows, shares, (origin, other, _) = case
    left = explicit(rows[:2], shares[:2], origin, diagonal)
    right = explicit(rows[2:], shares[2:], other, diagonal)
    assert_same(left + right - right, left)
    assert_same(explicit(rows, shares, origin, diagonal) - right, left)


@DIAGONAL
@settings(max_examples=25)
@given(case=whole_numbers(), factor=st.integers(-4, 4))
def test_scaling_the_moments_is_scaling_the_weights(diagonal, case, factor):
    rows, shares, (origin, *_) = case
    moments, scaled = explicit(rows, shares, origin, diagonal), explicit(rows, factor * shares, origin, diagonal)
    assert_same(moments * factor, scaled)
    assert_same(factor * moments, scaled)
    assert_same(np.float64(factor) * moments, scaled)


@DIAGONAL
@settings(max_examples=25)
@given(case=whole_numbers())
def test_the_axioms_of_a_vector_space(diagonal, case):
    rows, shares, origins = case
    u, v, w = (explicit(rows[2 * i : 2 * i + 2], shares[2 * i : 2 * i + 2], origins[0], diagonal) for i in range(3))
    assert_same((u + v) + w, u + (v + w))
    assert_same(u + v, v + u)
    assert_same(u + 0 * v, u)
    assert_same(2 * (u + v), 2 * u + 2 * v)
    assert_same(5 * u, 2 * u + 3 * u)


@DIAGONAL
@settings(max_examples=25)
@given(case=whole_numbers())
def test_about_another_origin_is_what_the_rows_say_there(diagonal, case):
    rows, shares, (origin, other, third) = case
    moments = explicit(rows, shares, origin, diagonal)
    assert_same(moments.about(other), explicit(rows, shares, other, diagonal))
    assert_same(moments.about(other).about(origin), moments)
    assert_same(moments.about(other).about(third), moments.about(third))


@DIAGONAL
def test_about_accepts_one_point_for_all_components(diagonal):
    rng = np.random.default_rng(0)
    rows, shares, point = rng.integers(-9, 9, (5, 2)) * 1.0, rng.integers(0, 9, (5, 3)) * 1.0, np.array([3.0, -4.0])
    moments = explicit(rows, shares, np.zeros((3, 2)), diagonal)
    assert_same(moments.about(point), explicit(rows, shares, np.tile(point, (3, 1)), diagonal))
    assert_same(moments.about(point) + moments, 2 * moments.about(point))


@DIAGONAL
@settings(max_examples=25)
@given(case=whole_numbers())
def test_means_and_scatter_do_not_depend_on_the_origin(diagonal, case):
    rows, shares, origins = case
    shares = shares + 1
    means = np.stack([np.average(rows, axis=0, weights=share) for share in shares.T])
    centred = explicit(rows, shares, means, diagonal).second
    for origin in origins:
        moments = explicit(rows, shares, origin, diagonal)
        np.testing.assert_allclose(moments.means(), means, rtol=0, atol=1e-11)
        np.testing.assert_allclose(moments.scatter(), centred, rtol=0, atol=1e-6)


@settings(max_examples=25)
@given(case=whole_numbers())
def test_diagonal_moments_are_the_diagonals_of_full_ones(case):
    rows, shares, (origin, other, _) = case
    shares = shares + 1
    full, diagonal = (explicit(rows, shares, origin, kind) for kind in (False, True))
    assert diagonal.diagonal
    assert not full.diagonal
    for a, b in [(full, diagonal), (full.about(other), diagonal.about(other)), (full + full, diagonal + diagonal)]:
        np.testing.assert_array_equal(np.diagonal(a.second, axis1=1, axis2=2), b.second)
        np.testing.assert_array_equal(np.diagonal(a.scatter(), axis1=1, axis2=2), b.scatter())


@DIAGONAL
def test_a_slice_holds_the_moments_of_those_components(diagonal):
    rng = np.random.default_rng(1)
    rows, shares, origin = rng.normal(size=(9, 2)), rng.random((9, 4)), rng.normal(size=(4, 2))
    moments = explicit(rows, shares, origin, diagonal)
    assert_same(moments[1:3], explicit(rows, shares[:, 1:3], origin[1:3], diagonal))


@DIAGONAL
def test_data_a_million_standard_deviations_from_zero_lose_no_digits(diagonal):
    """About a point near the data the scatter keeps its digits; about zero, twelve of them would cancel."""
    rng = np.random.default_rng(2)
    rows = 1e6 + rng.normal(size=(60, 2))
    shares = rng.random((60, 3))
    exact = explicit(rows.astype(np.longdouble) - 1e6, shares, np.zeros((3, 2)), False)
    mean = exact.first / exact.count[:, None]
    scatter = exact.second - exact.count[:, None, None] * mean[:, :, None] * mean[:, None, :]
    expected = np.diagonal(scatter, axis1=1, axis2=2) if diagonal else scatter

    near = 1e6 + rng.normal(size=(2, 3, 2))
    one_pass = explicit(rows, shares, near[0], diagonal)
    merged = explicit(rows[:25], shares[:25], near[0], diagonal) + explicit(rows[25:], shares[25:], near[1], diagonal)
    for moments in (one_pass, merged, merged.about(near[1])):
        np.testing.assert_allclose(moments.means(), 1e6 + mean, rtol=1e-15)
        np.testing.assert_allclose(moments.scatter(), expected, rtol=1e-12, atol=1e-12)
