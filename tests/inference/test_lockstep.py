"""Calls of several threads answered together: the same answers, who asks with whom, errors, leaving, and nobody left waiting."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from mixtura.ground.linalg import Array
from mixtura.inference.sampling.lockstep import Answer, Lockstep

PATIENCE = 10.0
"""Seconds after which a thread counts as left waiting."""


def norms(q: Array) -> Answer:
    return (q**2).sum(axis=1), 2 * q


class Recorded:
    """A function that remembers what it was asked."""

    def __init__(self) -> None:
        self.stacks: list[Array] = []

    def __call__(self, q: Array) -> Answer:
        self.stacks.append(q)
        return norms(q)


def asking(together: Lockstep, i: int, n_calls: int) -> list[float]:
    """What thread ``i`` is told in so many calls, each of which depends on the answer before."""
    q, told = np.array([1.0 + i, 0.5]), []
    for _ in range(n_calls):
        value, gradient = together(i, q)
        told.append(float(value))
        q = q - 0.1 * gradient
    together.leave(i)
    return told


def run(together: Lockstep, lengths: list[int], work: Callable[..., list[float]] = asking) -> list[list[float]]:
    with ThreadPoolExecutor(len(lengths)) as pool:
        futures: list[Future[list[float]]] = [pool.submit(work, together, i, n) for i, n in enumerate(lengths)]
        try:
            return [future.result(PATIENCE) for future in futures]
        finally:
            together.dissolve()  # so that a thread left waiting fails the test and does not hold it


@pytest.mark.parametrize("lengths", [[1], [5, 5], [3, 7, 1], [0, 40, 20, 40]])
def test_each_is_told_what_it_would_be_told_alone(lengths: list[int]) -> None:
    told = run(Lockstep(norms, len(lengths)), lengths)
    for i, n in enumerate(lengths):
        q, expected = np.array([1.0 + i, 0.5]), []
        for _ in range(n):
            expected.append(float((q**2).sum()))
            q = q - 0.2 * q
        np.testing.assert_allclose(told[i], expected, rtol=1e-14)


def test_all_who_have_not_left_ask_together_in_their_order() -> None:
    """So the stacks, and with them every last bit of the answers, do not depend on which thread is faster."""
    recorded = Recorded()
    run(Lockstep(recorded, 3), [3, 7, 5])
    assert [len(stack) for stack in recorded.stacks] == [3, 3, 3, 2, 2, 1, 1]
    for stack in recorded.stacks:
        assert (np.diff(stack[:, 0]) > 0).all()  # each thread stays below the next


def test_an_error_reaches_all_who_asked() -> None:
    def refuse(q: Array) -> Answer:
        raise ValueError("no answer")

    def ask(together: Lockstep, i: int, _: int) -> list[float]:
        with pytest.raises(ValueError, match="no answer"):
            together(i, np.zeros(1))
        return [1.0]

    assert run(Lockstep(refuse, 3), [1, 1, 1], ask) == [[1.0]] * 3


def test_once_dissolved_nobody_waits() -> None:
    recorded = Recorded()
    together = Lockstep(recorded, 3)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(together, 1, np.array([3.0]))
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        together.dissolve()
        assert waiting.result(PATIENCE)[0] == 9
    assert together(0, np.array([2.0]))[0] == 4
    assert [len(stack) for stack in recorded.stacks] == [1, 1]
