"""A function in a process of its own, which stays ready between calls; and several such processes taking turns."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self

LONGEST_TURN = 900.0
"""Seconds."""
PAUSE = 0.15
"""Seconds between turns, in which waiting threads of the process before fall asleep."""


class Failure(Exception):
    """What went wrong in another process, in one line."""


class Task(NamedTuple):
    """A function that can be pickled, and what it is called with."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


class Fresh:
    """A fresh process; used as a context."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, task: Task) -> Any:
        """Run a task there and return its result.

        Raises
        ------
        Failure
            If it raises, dies or takes too long; the process may be gone afterwards.
        """
        try:
            self._pipe.send(task)
            if not self._pipe.poll(LONGEST_TURN):
                raise Failure(f"took more than {LONGEST_TURN:.0f} seconds")
            result, failure = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(1)
            raise Failure(f"the process ended with code {self._process.exitcode}") from None
        if failure:
            raise Failure(failure)
        return result

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection) -> None:
    warnings.simplefilter("ignore")
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        try:
            answer = (task.function(*task.arguments), None)
        except Exception as error:
            answer = (None, " ".join(f"{type(error).__name__}: {error}".split())[:200])
        pipe.send(answer)


def alone(task: Task) -> Any:
    """The result of one task in a fresh process."""
    with Fresh() as process:
        return process(task)


def alternate(tasks: Mapping[str, Task], rounds: int) -> dict[str, list[Any] | Failure]:
    """Results of tasks that take turns, A B A B, each in a fresh process that stays warm; one that fails drops out.

    Parameters
    ----------
    tasks : mapping of str to Task
    rounds : int
    """
    results: dict[str, list[Any] | Failure] = {name: [] for name in tasks}
    processes: dict[str, Fresh] = {}
    try:
        processes.update((name, Fresh()) for name in tasks)
        for _ in range(rounds):
            for name, task in tasks.items():
                done = results[name]
                if isinstance(done, Failure):
                    continue
                time.sleep(PAUSE)
                try:
                    done.append(processes[name](task))
                except Failure as failure:
                    results[name] = failure
                    processes[name].close()
    finally:
        for process in processes.values():
            process.close()
    return results


def alternate_all(tasks: Mapping[str, Task], rounds: int) -> list[list[Any]]:
    """The same where none may fail: results in the order of the tasks.

    Raises
    ------
    Failure
        Of the first that does.
    """
    done: list[list[Any]] = []
    for name, result in alternate(tasks, rounds).items():
        if isinstance(result, Failure):
            raise Failure(f"{name}: {result}")
        done.append(result)
    return done
