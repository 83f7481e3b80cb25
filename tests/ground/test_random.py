"""Every kind of ``random_state`` becomes a generator."""

import numpy as np
import pytest

from chance import deviations
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.random import as_generator, child_streams


@pytest.mark.parametrize("seed", [0, 3, 2**40, np.int64(3), np.uint8(3)])
def test_an_integer_fixes_the_stream(seed):
    np.testing.assert_array_equal(as_generator(seed).random(5), as_generator(int(seed)).random(5))
    np.testing.assert_array_equal(as_generator(seed).random(5), np.random.default_rng(int(seed)).random(5))


def test_none_gives_a_new_stream_each_time():
    assert not np.array_equal(as_generator(None).random(5), as_generator(None).random(5))


def test_a_generator_is_used_as_it_is():
    rng = np.random.default_rng(1)
    assert as_generator(rng) is rng


def test_a_random_state_moves_on_and_is_repeatable():
    state, twin = np.random.RandomState(1), np.random.RandomState(1)
    first, second = as_generator(state).random(5), as_generator(state).random(5)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(as_generator(twin).random(5), first)
    np.testing.assert_array_equal(as_generator(twin).random(5), second)


@pytest.mark.parametrize("state", [-1, np.int64(-5), 1.0, "1", [1, 2], np.random])
def test_anything_else_is_refused_with_the_value_seen(state):
    with pytest.raises(InvalidParameterError, match="random_state must be None, a non-negative integer") as caught:
        as_generator(state)
    assert repr(state) in str(caught.value)


def test_the_legacy_global_stream_is_left_alone():
    before = np.random.get_state()[1].copy()
    as_generator(None).random(3)
    as_generator(5).random(3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_child_streams_are_fixed_by_the_parent_and_differ_from_each_other():
    first = [rng.random(4) for rng in child_streams(np.random.default_rng(2), 6)]
    again = [rng.random(4) for rng in child_streams(np.random.default_rng(2), 6)]
    np.testing.assert_array_equal(first, again)
    assert len({row.tobytes() for row in first}) == 6
    assert child_streams(np.random.default_rng(2), 0) == []


def test_more_children_begin_like_fewer():
    few, many = (child_streams(np.random.default_rng(2), n) for n in (2, 5))
    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a.random(3), b.random(3))


def test_child_streams_are_uncorrelated(seed):
    draws = np.array([rng.standard_normal(2000) for rng in child_streams(np.random.default_rng(seed + 3), 8)])
    correlation = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlation).max() < deviations(28) / np.sqrt(2000)
