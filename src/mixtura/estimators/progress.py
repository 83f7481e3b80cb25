"""Something to look at for whoever waits longer than a second."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from mixtura.inference.climb.loop import Climbing, Progress
from mixtura.inference.rules.stopping import Stopping, passes_left

PATIENCE = 1.0
"""Seconds before it appears."""
ON_TERMINALS, ELSEWHERE = 0.3, 30.0
"""Seconds between lines: on a terminal each takes the place of the one before."""
MINUS = "\N{MINUS SIGN}"


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, from the second second on; on a terminal the label alone, until it is known how much there is to do."""
    began, shown = time.monotonic(), 0
    with ExitStack() as stack:
        until_it_is_known = stack.enter_context(ExitStack())
        until_it_is_known.enter_context(waiting(label))
        bar: Any = None

        def advance(done: int, total: int) -> None:
            nonlocal bar, shown
            if bar is None and time.monotonic() - began > PATIENCE:
                import click

                until_it_is_known.close()
                bar = stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr))
            if bar is not None:
                bar.update(max(0, done - shown))
                shown = max(shown, done)

        yield advance


@contextmanager
def climb_line(label: str, n_rows: int, total_weight: float) -> Iterator[Progress]:
    """A line on standard error, from the second second on: passes, climbs, bound, rows a second, time left.

    Parameters
    ----------
    label : str
    n_rows : int
        Of a pass.
    total_weight : float
        Of all rows, which turns bounds into bounds a row.
    """
    began = before = time.monotonic()
    pace, width, terminal = Pace(n_rows), 0, _is_terminal()
    with ExitStack() as stack:
        until_it_is_known = stack.enter_context(ExitStack())
        until_it_is_known.enter_context(waiting(label))

        def say(found: Climbing) -> None:
            nonlocal before, width
            if sys.stderr is None:
                return
            now = time.monotonic()
            pace.count(found.n_passes, now)
            if now - began < PATIENCE or now - before < (ON_TERMINALS if terminal else ELSEWHERE) * min(1, PATIENCE):
                return
            until_it_is_known.close()
            bound = None if found.bound is None else found.bound / total_weight
            text = f"{label}: {described(found, bound)}{pace.said(found.passes_left)}"
            sys.stderr.write(f"\r{text:<{width}}" if terminal else f"{text}\n")
            sys.stderr.flush()
            before, width = now, len(text)

        yield say
        if terminal and width and sys.stderr is not None:
            sys.stderr.write(f"\r{' ' * width}\r")
            sys.stderr.flush()


def described(found: Climbing, bound: float | None) -> str:
    """How far climbs have come."""
    climbs = f", {found.n_ended} of {found.n_runs} climbs ended" if found.n_runs > 1 else ""
    reached = "" if bound is None else f", {bound:.6g} a row".replace("-", MINUS)
    return f"pass {found.n_passes}{climbs}{reached}"


class Pace:
    """How fast rows are read.

    Parameters
    ----------
    n_rows : int
        Of a pass.
    """

    def __init__(self, n_rows: int) -> None:
        self._n_rows, self._first, self._last = n_rows, (0, time.monotonic()), (0, 0.0)

    def count(self, n_passes: int, now: float | None = None) -> None:
        """So many passes have been made; where they are fewer than before, other climbs have begun."""
        now = time.monotonic() if now is None else now
        if n_passes < self._last[0]:
            self._first = (n_passes, now)
        self._last = (n_passes, now)

    def said(self, passes_left: float) -> str:
        """Rows a second, and the time that so many passes take."""
        passes, seconds = (last - first for last, first in zip(self._last, self._first, strict=True))
        if not passes or seconds <= 0:
            return ""
        left = f", about {in_words(passes_left * seconds / passes)} left" if math.isfinite(passes_left) else ""
        return f", {rounded(self._n_rows * passes / seconds)} rows a second{left}"


class Narration:
    """Prints the bound of each restart every so many iterations; of the first one also how fast rows are read, and about how long it takes.

    Parameters
    ----------
    every : int
    n_rows : int
        Of a pass.
    stopping : Stopping
    per : float
        What bounds are divided by.
    """

    def __init__(self, every: int, n_rows: int, stopping: Stopping, per: float = 1.0) -> None:
        self._every, self._stopping, self._per, self._pace = every, stopping.of(n_rows), per, Pace(n_rows)

    def __call__(self, index: int, bounds: Sequence[float]) -> None:
        n_iter = len(bounds) - 1
        if not index:
            self._pace.count(n_iter)
        if n_iter and n_iter % self._every == 0:
            left = min(passes_left(bounds, self._stopping.goal), self._stopping.max_iter - n_iter)
            pace = "" if index else self._pace.said(left)
            print(f"Restart {index}, iteration {n_iter}: lower bound {bounds[-1] / self._per:.8g}{pace}")


def rounded(number: float) -> str:
    """A large number as people say it."""
    for size, name in ((1e9, " billion"), (1e6, " million")):
        if number >= size:
            return f"{number / size:.2g}{name}"
    return f"{number:,.0f}"


def in_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """The label on standard error, if that is a terminal, from the second second to the end; then the line is empty again."""
    if not _is_terminal():
        yield
        return
    stream, text, is_shown = sys.stderr, f"{label} ...", threading.Event()

    def show() -> None:
        is_shown.set()
        stream.write(f"\r{text}")
        stream.flush()

    timer = threading.Timer(max(PATIENCE, 0.0), show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if is_shown.is_set():
            stream.write(f"\r{' ' * len(text)}\r")
            stream.flush()
