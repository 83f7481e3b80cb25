"""What a pass asks of data: strips of rows, and a task done on each of them.

Answers of consecutive strips are added up along a binary tree over the places of the strips. So a sum is the same to the last bit whoever
computes its parts, in whatever order they come, and wherever the rows are cut into files, batches or chunks of a cluster.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixtura.data.facts import FIRST_STRIP, Facts
from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array
from mixtura.ground.threads import hold_own_blas, n_threads, single_threaded_blas

LEAST_STRIP = 256
STRIP_NUMBERS = 2**16
"""Rows, and numbers in them, from which data are worth a second strip."""
MOST_STRIPS = 64
MOST_ROWS = 2**16
"""Rows to a strip of very large data, which are more strips then: some sources hold a few of them in memory."""
ROWS_AT_A_TIME = 2**16
"""Of what is labelled and scored row by row."""
MOST_SHOWN = 5
"""Columns that an error lists."""


class Block(NamedTuple):
    """Some consecutive rows: where they stand, the ``(B, D)`` rows, and their ``(B,)`` weights (``None``: all one)."""

    position: slice
    rows: Array
    weights: Array | None

    def cut(self, size: int) -> Iterable[Block]:
        """The same in shorter ones of ``size`` rows, the last one shorter still."""
        start, stop = self.position.start, self.position.stop
        for first in range(0, stop - start, size):
            part = slice(first, first + size)
            position = slice(start + first, min(start + first + size, stop))
            yield Block(position, self.rows[part], None if self.weights is None else self.weights[part])

    def own(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of some places, which ascend, at which its rows stand, counted from the first of these."""
        start, stop = self.position.start, self.position.stop
        return places[slice(*np.searchsorted(places, (start, stop)))] - start


class Sum(Protocol):
    """What a task answers."""

    def __iadd__(self, other: Self) -> Self:
        """Add the answer for the rows that follow."""


S = TypeVar("S", bound=Sum)


class Mapped(Protocol):
    """``map``, or what takes its place."""

    def __call__(self, task: Callable[[Block], S], strips: Iterable[Block], /) -> Iterable[S]:
        """The answers, in the order of the strips."""


class InOneGo(ABC):
    """A task that cuts rows in memory into strips itself, faster than it would be handed them."""

    @abstractmethod
    def __call__(self, strip: Block) -> Any:
        """The answer for a strip."""

    @abstractmethod
    def over(self, rows: Block, size: int) -> Any:
        """The sum of the answers for strips of ``size`` rows, to the same bits."""


@dataclass(eq=False)
class Arrays:
    """Arrays that are added up place by place."""

    parts: list[Array]

    def __iadd__(self, other: Arrays) -> Self:
        for total, addend in zip(self.parts, other.parts, strict=True):
            total += addend
        return self


@dataclass(eq=False)
class Rows:
    """Rows and weights from one strip after another."""

    rows: list[Array]
    weights: list[Array] | None

    def __iadd__(self, other: Rows) -> Self:
        self.rows += other.rows
        if self.weights is not None and other.weights is not None:
            self.weights += other.weights
        return self

    def joined(self) -> tuple[Array, Array | None]:
        """All of them."""
        return np.concatenate(self.rows), None if self.weights is None else np.concatenate(self.weights)


@dataclass(frozen=True, eq=False)
class RowsAt:
    """The task of taking the rows at certain places, which ascend."""

    places: NDArray[np.intp]

    def __call__(self, strip: Block) -> Rows:
        here = strip.own(self.places)
        return Rows([strip.rows[here]], None if strip.weights is None else [strip.weights[here]])


class TreeSum:
    """A sum of answers for places ``0, 1, 2 …``, which may come in any order.

    A node at level ``l`` holds the sum over ``2^l`` places, those of both of its halves; what is left when all have come is added from the
    right.
    """

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], Sum] = {}

    def put(self, place: int, answer: Sum) -> None:
        """Take an answer, which is changed."""
        self._put(0, place, answer)

    def join(self, other: TreeSum) -> None:
        """Take all that another one has, which is changed."""
        for (level, place), answer in other._nodes.items():
            self._put(level, place, answer)

    def _put(self, level: int, place: int, answer: Sum) -> None:
        while (sibling := self._nodes.pop((level, place ^ 1), None)) is not None:
            left, right = (answer, sibling) if place % 2 == 0 else (sibling, answer)
            left += right
            level, place, answer = level + 1, place // 2, left
        self._nodes[level, place] = answer

    def total(self) -> Sum:
        """The sum over all places up to the last."""
        _, *others = nodes = [
            self._nodes[at] for at in sorted(self._nodes, key=lambda at: at[1] << at[0], reverse=True)
        ]
        total = nodes[0]
        for left in others:
            left += total
            total = left
        return total


def added_up(answers: Iterable[S]) -> S:
    """The sum of answers for consecutive places."""
    tree = TreeSum()
    for place, answer in enumerate(answers):
        tree.put(place, answer)
    return tree.total()  # type: ignore[return-value]


def side_by_side(executor: Executor, ahead: int, task: Callable[[Block], S], strips: Iterable[Block]) -> Iterator[S]:
    """Answers in the order of the strips, of which no more than so many are begun before they are needed."""
    begun: deque[Future[S]] = deque()
    for strip in strips:
        begun.append(executor.submit(task, strip))
        if len(begun) > ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def in_threads(task: Callable[[Block], S], strips: Iterable[Block]) -> Iterator[S]:
    """The same by as many threads as BLAS may use, which is held to one in each of them."""
    with single_threaded_blas(), ThreadPoolExecutor(n_threads(), initializer=hold_own_blas) as executor:
        yield from side_by_side(executor, 2 * n_threads(), task, strips)


class Source(ABC):
    """Rows, wherever they are. A container of another kind says what its columns are, and hands out its rows in order."""

    names: tuple[str, ...] | None = None
    """What the columns are called, where they have names."""
    n_dropped = 0
    """Rows with a missing value that were left out by the last going over all of them."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """``D``."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype:
        """Of the rows: float32 or float64."""

    @abstractmethod
    def blocks(self, size: int) -> Iterator[Block]:
        """All rows in order, ``size`` at a time, the last time fewer."""

    @cached_property
    def facts(self) -> Facts:
        """What one read of all rows says of them."""
        return self.reduce(_facts_of, FIRST_STRIP)

    @property
    def n_rows(self) -> int:
        """``N``."""
        return self.facts.n_rows

    @property
    def total_weight(self) -> float:
        """``Σ_n w_n``, or ``N`` without weights."""
        return self.facts.total_weight

    @cached_property
    def strip_rows(self) -> int:
        """Rows to a strip of a pass: how its sums are cut follows from the size of the data alone, not from mixtures, threads or files."""
        least = max(LEAST_STRIP, STRIP_NUMBERS // self.n_features)
        n_strips = max(1, min(MOST_STRIPS, self.n_rows // least), -(-self.n_rows // MOST_ROWS))
        return -(-self.n_rows // n_strips)

    def reduce(self, task: Callable[[Block], S], size: int, mapped: Mapped = in_threads) -> S:
        """The sum of what a task answers for each strip of ``size`` rows; whoever calls may say how the strips are worked on."""
        strips = self.blocks(size)
        first, second = next(strips), next(strips, None)
        if second is None:
            return task(first)
        return added_up(mapped(task, chain((first, second), strips)))

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array | None]]:
        """All rows once, about ``size`` at a time, in random order if they can be had so, with their weights."""
        for _, rows, weights in self.blocks(size):
            yield rows, weights

    def take(self, places: NDArray[np.intp]) -> tuple[Array, Array | None]:
        """The rows at some places, in the order asked for, and their weights."""
        distinct, back = np.unique(places, return_inverse=True)
        rows, weights = self.reduce(RowsAt(distinct), FIRST_STRIP).joined()
        return rows[back], None if weights is None else weights[back]

    def everything(self) -> tuple[Array, Array | None]:
        """All rows and their weights, which have to fit in memory."""
        return self.take(np.arange(self.n_rows))

    def row_wise(self, function: Callable[[Array], NDArray[Any]]) -> Any:
        """What a function of rows says of each, some rows after others."""
        return (function(block.rows) for block in self.blocks(ROWS_AT_A_TIME))

    def check_finite(self) -> None:
        """Raise if values are missing, with a count for each column."""
        counts = self.facts.n_missing
        if counts.any():
            names = self.names or tuple(f"x{j}" for j in range(len(counts)))
            worst = [f"{counts[j]} in column {names[j]!r}" for j in np.argsort(-counts, kind="stable") if counts[j]]
            others = f" and {len(worst) - MOST_SHOWN} more columns" if len(worst) > MOST_SHOWN else ""
            raise DataError(
                f"values are missing or infinite: {', '.join(worst[:MOST_SHOWN])}{others}. Leave those rows out with "
                "mixtura.scan(…, missing='drop'), or fill them in."
            )

    def check_squares_representable(self) -> None:
        """Raise if squares of the values overflow, alone in the rows' precision or in their float64 sum, or underflow."""
        largest, own, double = self.facts.magnitude.max(), np.finfo(self.dtype), np.finfo(np.float64)
        if 0 < largest < math.sqrt(float(own.tiny)):
            raise DataError(
                f"no value is larger than {largest:.3g}, and the squares of such values underflow in {own.dtype}. "
                "Multiply the data by a constant first."
            )
        n_terms = 16 * max(self.total_weight, self.n_rows)
        limit = math.sqrt(min(float(own.max) / 16, float(double.max) / n_terms))
        if not largest < limit:
            raise DataError(
                f"column {int(self.facts.magnitude.argmax())} holds values as large as {largest:.3g}, whose squares overflow in "
                f"{own.dtype}. Divide the data by a constant first, or use float64."
            )


def _facts_of(strip: Block) -> Facts:
    return Facts.of(strip.rows, strip.weights)
