"""Something to look at for whoever waits longer than a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from mixtura.inference.climb.loop import Progress

PATIENCE = 1.0
"""Seconds before it appears."""


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
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
def waiting(label: str) -> Iterator[None]:
    """The label on standard error, if that is a terminal, from the second second to the end; then the line is empty again."""
    if sys.stderr is None or not sys.stderr.isatty():
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
