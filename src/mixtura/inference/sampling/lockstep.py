"""Calls of several threads answered together: each waits until all have asked, and one call answers them as a stack.

Where a call for many costs little more than a call for one, as a read of the data does, threads that need one answer after another get
theirs almost for nothing. Who asks together depends only on who has not left, so answers do not depend on how the threads happen to run.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.sweep.densities import Counted

Answer = tuple[Array, Array]


class Lockstep:
    """One function of stacks for ``n`` threads that call it with single vectors.

    Parameters
    ----------
    function : callable
        From vectors ``(M, size)`` to values ``(M,)`` and gradients ``(M, size)``; never called by two threads at once.
    n : int

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> from mixtura.inference.sampling.lockstep import Lockstep
    >>> sizes = []
    >>> def squares(q):
    ...     sizes.append(len(q))
    ...     return (q**2).sum(axis=1), 2 * q
    >>> together = Lockstep(squares, 2)
    >>> def climb(i):
    ...     value, gradient = together(i, np.array([1.0, float(i)]))
    ...     together.leave(i)
    ...     return float(value)
    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(pool.map(climb, range(2)))
    [1.0, 2.0]
    >>> sizes
    [2]
    """

    def __init__(self, function: Callable[[Array], Answer], n: int) -> None:
        self._function, self._members = function, set(range(n))
        self._door, self._at_work = Lock(), Lock()
        self._questions: dict[int, Array] = {}
        self._answers: dict[int, Answer | BaseException] = {}
        self._gates = [Lock() for _ in range(n)]
        for gate in self._gates:
            gate.acquire()
        self._dissolved = False

    def __call__(self, i: int, q: Array) -> Answer:
        """The answer for thread ``i``, once all that have not left have asked; an error is raised in all of them."""
        with self._door:
            self._questions[i] = q
        while i not in self._answers:
            if questions := self._complete():
                self._answer(questions)
            else:
                self._gates[i].acquire()
        answer = self._answers.pop(i)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def seat(self, i: int) -> Counted:
        """The function as thread ``i`` asks it, which leaves when that is closed."""
        return _Seat(self, i)

    def leave(self, i: int) -> None:
        """Thread ``i`` will not ask again."""
        with self._door:
            self._members.discard(i)
            self._wake_one()

    def dissolve(self) -> None:
        """From now on nobody waits for others."""
        with self._door:
            self._dissolved = True
            self._wake_one()

    def _wake_one(self) -> None:
        """Let one of those who wait look again whether all have asked."""
        if self._questions:
            self._open(next(iter(self._questions)))

    def _complete(self) -> dict[int, Array]:
        """All questions, to be answered now; none while somebody has not asked."""
        with self._door:
            if not self._dissolved and not self._questions.keys() >= self._members:
                return {}
            questions, self._questions = self._questions, {}
            return dict(sorted(questions.items()))

    def _answer(self, questions: dict[int, Array]) -> None:
        answers: dict[int, Answer | BaseException]
        with self._at_work:
            try:
                values, gradients = self._function(np.stack(list(questions.values())))
                answers = dict(zip(questions, zip(values, gradients, strict=True), strict=True))
            except BaseException as error:
                answers = dict.fromkeys(questions, error)
        with self._door:
            self._answers.update(answers)
            for i in questions:
                self._open(i)

    def _open(self, i: int) -> None:
        if self._gates[i].locked():
            self._gates[i].release()


class _Seat:
    """That of one thread."""

    def __init__(self, together: Lockstep, i: int) -> None:
        self._together, self._i, self._closed = together, i, False
        self.n_asked = 0

    def __call__(self, q: Array) -> Answer:
        if self._closed:
            return np.array(-np.inf), np.zeros(len(q))
        self.n_asked += 1
        return self._together(self._i, q)

    def close(self) -> None:
        self._closed = True
        self._together.leave(self._i)
