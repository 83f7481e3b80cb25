"""A progress bar for whoever waits longer than a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from mixtura.inference.loop import Progress

PATIENCE = 1.0
"""Seconds before the bar appears."""


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A bar on standard error, from the second second on."""
    began, shown = time.monotonic(), 0
    with ExitStack() as stack:
        bar: Any = None

        def advance(done: int, total: int) -> None:
            nonlocal bar, shown
            if bar is None and time.monotonic() - began > PATIENCE:
                import sys

                import click

                bar = stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr))
            if bar is not None:
                bar.update(max(0, done - shown))
                shown = max(shown, done)

        yield advance
