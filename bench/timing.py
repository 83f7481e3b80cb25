"""Seconds of one EM iteration: what a fit of several iterations takes beyond a fit of one, from the same start, for each of them.

The difference leaves out, for every contender alike, what comes before the first iteration (checks of the input, conversions) and what
comes after the last (a final E-step, where there is one). Clusters overlap, so that nobody is at the maximum to the last bit by then.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import cache
from statistics import median
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from bench.data import Problem
from bench.peers import Contender

FEW, MANY = 1, 5
"""Iterations of the two fits."""


class Turn(NamedTuple):
    """What a turn brings back.

    Attributes
    ----------
    seconds : float
        Of one iteration: the median over fits in pairs.
    log_likelihood : float
        Over all rows, after ``MANY`` iterations.
    digest : str
        Of the parameters to the last bit, where the contender gives one.
    """

    seconds: float
    log_likelihood: float
    digest: str


def turn(kind: type[Contender], problem: Problem, budget: float, threads: int | None = None) -> Turn:
    """Time pairs of fits for about ``budget`` seconds; in a process's first turn, after a warm-up.

    Parameters
    ----------
    kind : type of Contender
    problem : Problem
    budget : float
    threads : int, optional
        What BLAS is limited to; ``None`` leaves it alone.
    """
    with nullcontext() if threads is None else threadpool_limits(threads, "blas"):
        contender, log_likelihood, digest = _warm(kind, problem)
        differences: list[float] = []
        begun = time.perf_counter()
        while not differences or time.perf_counter() - begun < budget:
            few, many = _seconds(contender, FEW), _seconds(contender, MANY)
            differences.append((many - few) / (MANY - FEW))
    return Turn(median(differences), log_likelihood, digest)


@cache
def _warm(kind: type[Contender], problem: Problem) -> tuple[Contender, float, str]:
    contender = kind(problem)
    for n_iter in (FEW, MANY):
        contender.fit(n_iter)
    return contender, contender.log_likelihood(), contender.digest()


def _seconds(contender: Contender, n_iter: int) -> float:
    begun = time.perf_counter()
    contender.fit(n_iter)
    return time.perf_counter() - begun
