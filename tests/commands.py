"""Commands run in this process, what they leave behind, and the law that each of them keeps.

A command ends with 0, or with 1 or 2 and one line on standard error that says why; never in a traceback, a warning of NumPy's or a control
character. Where it does not end with 0, no file has changed.
"""

import io
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from mixtura.cli import run

PLAIN = "\n"
"""The one control character that belongs into what people read."""


@dataclass(frozen=True)
class Ran:
    """What a command left behind; ``error`` is what ended it where it is none of its own errors."""

    code: int | None
    out: str
    err: str
    warned: tuple[str, ...]
    error: BaseException | None = None


class Finding(NamedTuple):
    """How the law was broken, and where."""

    what: str
    place: str
    said: str


def run_here(arguments: Sequence[str], stdin: bytes = b"") -> Ran:
    """Run a command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    warned: list[warnings.WarningMessage]
    code, error = None, None
    with ExitStack() as stack:
        given = stack.enter_context(tempfile.TemporaryFile())
        given.write(stdin)
        given.seek(0)
        for name, stream in (("stdin", stack.enter_context(io.TextIOWrapper(given))), ("stdout", out), ("stderr", err)):
            stack.enter_context(patch.object(sys, name, stream))
        warned = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        try:
            code = run(list(arguments))
        except BaseException as caught:
            if isinstance(caught, KeyboardInterrupt):
                raise
            error = caught
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    said = tuple(f"{w.category.__name__} at {Path(w.filename).name}:{w.lineno}: {w.message}" for w in warned)
    return Ran(code, *texts, said, error)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Make a folder the current one."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def broken(ran: Ran, *, is_table: bool = False) -> Iterator[Finding]:
    """How a command broke the law.

    Parameters
    ----------
    ran : Ran
    is_table : bool
        Whether it wrote CSV on standard output, where names stand as they are.
    """
    if ran.error is not None:
        place = traceback.extract_tb(ran.error.__traceback__)[-1]
        ours = [f for f in traceback.extract_tb(ran.error.__traceback__) if "mixtura" in f.filename] or [place]
        yield Finding(type(ran.error).__name__, f"{Path(ours[-1].filename).name}:{ours[-1].lineno}", str(ran.error))
        return
    for warning in ran.warned:
        if not warning.startswith(("ConvergenceWarning", "CollapseWarning")):
            yield Finding("warning", warning.partition(": ")[0], warning)
    if ran.code not in (0, 1, 2):
        yield Finding("exit code", str(ran.code), ran.err)
    if ran.code:
        lines = ran.err.splitlines()
        if len(lines) != 1 or not lines[0].startswith("mixtura: error: ") or len(lines[0]) < 30:
            yield Finding("not one sentence", f"{len(lines)} lines", ran.err[:300])
    elif ran.err:
        yield Finding("standard error", "after success", ran.err[:300])
    for name, text in (("stdout", "" if is_table else ran.out), ("stderr", ran.err)):
        if not all(c.isprintable() or c in PLAIN for c in text):
            yield Finding("control character", name, ascii(text)[:300])


def state_of(folder: Path) -> dict[str, Any]:
    """Every file below a folder: its bytes, permissions and kind."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content: Any = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (status.st_mode, content)
    return found
