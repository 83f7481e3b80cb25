"""How a block of rows is shared among components."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp, softmax

from mixtura.sweep import hard, soft

FEW = settings(max_examples=50)
FINITE = st.floats(-1e6, 1e6) | st.floats(-1e300, 1e300)
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 6))


def log_joints(elements):
    return SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=elements))


def shared(assignment, log_joint):
    """Responsibilities and log-normaliser of a copy: an assignment works in place."""
    shares = log_joint.copy()
    normaliser = assignment(shares)
    return shares, normaliser


@FEW
@given(log_joint=log_joints(FINITE | st.just(-np.inf)))
def test_soft_is_scipys_softmax_and_logsumexp(log_joint):
    responsibilities, log_normaliser = shared(soft, log_joint)
    assert not np.isnan(responsibilities).any()
    np.testing.assert_allclose(responsibilities.sum(axis=0), 1, rtol=1e-14)
    reached = np.isfinite(log_joint.max(axis=0))
    expected = logsumexp(log_joint[:, reached], axis=0)
    np.testing.assert_allclose(log_normaliser[reached], expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(responsibilities[:, reached], softmax(log_joint[:, reached], axis=0), rtol=1e-12)
    assert (log_normaliser[~reached] == -np.inf).all()
    assert (responsibilities[:, ~reached] == 1 / len(log_joint)).all()


@FEW
@given(log_joint=log_joints(FINITE | st.just(-np.inf)))
def test_hard_gives_each_row_to_its_most_probable_component(log_joint):
    shares, peak = shared(hard, log_joint)
    np.testing.assert_array_equal(peak, log_joint.max(axis=0))
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-15)
    for row in range(log_joint.shape[1]):
        best = log_joint[:, row] == log_joint[:, row].max()
        np.testing.assert_array_equal(shares[:, row], best / best.sum())


@FEW
@given(log_joint=log_joints(st.floats(-700, 700)), shift=st.floats(-1e3, 1e3))
def test_a_constant_on_a_row_moves_the_normaliser_alone(log_joint, shift):
    (shares, normaliser), (moved_shares, moved) = shared(soft, log_joint), shared(soft, log_joint + shift)
    np.testing.assert_allclose(moved, normaliser + shift, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(moved_shares, shares, atol=1e-9)
    np.testing.assert_allclose(shared(hard, log_joint + shift)[1], shared(hard, log_joint)[1] + shift, atol=1e-9)


@FEW
@given(log_joint=log_joints(st.floats(-700, 700)))
def test_the_hard_bound_lies_below_the_soft_one_by_at_most_log_k(log_joint):
    soft_bound, hard_bound = shared(soft, log_joint)[1], shared(hard, log_joint)[1]
    assert (hard_bound <= soft_bound + 1e-12).all()
    assert (soft_bound <= hard_bound + np.log(len(log_joint)) + 1e-12).all()


@pytest.mark.parametrize("assignment", [soft, hard])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ties_are_shared_evenly_and_one_component_takes_all(assignment, dtype):
    shares, _ = shared(assignment, np.array([[0.0, -1.0], [0.0, -1.0], [0.0, -1.0]], dtype=dtype))
    assert shares.dtype == dtype
    np.testing.assert_allclose(shares, np.full((3, 2), 1 / 3), rtol=2 * np.finfo(dtype).eps)
    shares, normaliser = shared(assignment, np.array([[-5.0, 2.0]], dtype=dtype))
    np.testing.assert_array_equal(shares, np.ones((1, 2)))
    np.testing.assert_array_equal(normaliser, [-5.0, 2.0])


@pytest.mark.parametrize("assignment", [soft, hard])
def test_a_row_beyond_every_component_is_shared_evenly_and_its_normaliser_is_minus_infinity(assignment):
    shares, normaliser = shared(assignment, np.array([[-np.inf, 0.0], [-np.inf, -np.inf]]))
    np.testing.assert_array_equal(shares, [[0.5, 1.0], [0.5, 0.0]])
    np.testing.assert_array_equal(normaliser, [-np.inf, 0.0])


@pytest.mark.parametrize("assignment", [soft, hard])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounded_sharing_is_the_same_or_declines(assignment, dtype):
    rng = np.random.default_rng(0)
    near = -rng.exponential(5.0, size=(4, 50)).astype(dtype)
    expected = near.copy()
    normalisers = assignment(expected)
    got = near.copy()
    np.testing.assert_allclose(assignment.share_bounded(got), normalisers, atol=1e-6 if dtype is np.float32 else 1e-13)
    np.testing.assert_allclose(got, expected, rtol=1e-4 if dtype is np.float32 else 1e-12)
    far = near - dtype(2000.0)
    assert (assignment.share_bounded(far) is None) is (assignment is soft)


def test_no_subnormal_numbers_in_float32():
    log_joint = np.array([[0.0, -1.0, -3.0], [-86.0, -95.0, -102.0]], dtype=np.float32)
    soft.share_bounded(log_joint)
    assert log_joint.min() >= np.finfo(np.float32).tiny
    np.testing.assert_allclose(log_joint[1], 0, atol=1e-30)
