"""The program: its commands, and the one place where whatever goes wrong becomes one line and an exit code.

Exit codes: 0 done; 2 bad input, one line on standard error; 129, 130 and 143 ended by a signal (hung up, interrupted, terminated); 141 the
reader of a pipe went away.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import click

from mixtura.cli.describe import describe
from mixtura.cli.fit import fit
from mixtura.cli.outputs import STANDARD_OUTPUT
from mixtura.cli.plot import plot
from mixtura.cli.predict import predict
from mixtura.cli.sample import sample
from mixtura.cli.score import score
from mixtura.ground.errors import MixturaError
from mixtura.ground.files import named
from mixtura.ground.text import printable

BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141


class Ended(BaseException):
    """A signal asks the process to end; its number is the argument."""


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from mixtura.assess.versions import installed
        from mixtura.sweep.compiled import description

        click.echo(f"mixtura {installed('mixtura') or '(not installed)'} ({printable(description)})")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and the engine, and exit.",
)
def program() -> None:
    """Gaussian mixtures: find the clusters in a table, judge how many there are, and use them.

    \b
    A first round:
      mixtura fit faithful.csv
      mixtura describe faithful.mixture.json
      mixtura predict faithful.mixture.json faithful.csv | head

    DATA is a CSV or TSV file with column names in its first line, a NumPy .npy file, a Parquet file, any of these packed by gzip,
    bzip2, xz or zip, or - for standard input. It may also be a folder of Parquet, CSV or Arrow files, or a pattern of them in quotes,
    such as "data/*.parquet", which may be larger than memory. MODEL is a file that `mixtura fit` wrote.
    """


for command in (fit, predict, score, sample, describe, plot):
    program.add_command(command)


def main() -> None:
    """Entry point of the command ``mixtura``."""
    _prepare_streams()
    with _ending_in_order(), warnings.catch_warnings():
        warnings.showwarning = _say_warning
        code = run(sys.argv[1:])
    sys.exit(code)


def _prepare_streams() -> None:
    """On a terminal, a letter that its encoding lacks is shown escaped; into a file or a pipe goes UTF-8, which is also what is read."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed; no file of ours shall take its place
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:  # libraries take it for granted when they are imported
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="backslashreplace")
            else:
                stream.reconfigure(encoding="utf-8")


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Signals that end a process do so by way of ``finally``, where temporaries are removed; a second one does it at once."""

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Ended(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


def _say_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _complain(f"warning: {message}")


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str
        As after the program's name.

    Returns
    -------
    int
        The exit code.
    """
    try:
        return _invoke(arguments)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "mixtura"
        return _fail(f"{error.format_message().rstrip('.')}; see '{path} --help'.")
    except click.ClickException as error:
        return _fail(error.format_message())
    except BrokenPipeError:
        _abandon(sys.stdout)
        return BROKEN_PIPE
    except MixturaError as error:
        return _fail(str(error))
    except OSError as error:
        if error.filename is None and error.errno == errno.ENOSPC:  # files are named, help is not
            error.filename = STANDARD_OUTPUT
        if error.filename == STANDARD_OUTPUT:
            _abandon(sys.stdout)
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _fail(f"{where}{error.strerror or error}")
    except MemoryError:
        return _fail("there is not enough memory for this; try fewer rows, columns or components.")
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        return INTERRUPTED
    except Ended as ending:
        (number,) = ending.args
        _complain("terminated" if number == signal.SIGTERM else "the terminal has gone")
        return int(128 + number)


def _invoke(arguments: Sequence[str]) -> int:
    code = 0
    try:
        with program.make_context("mixtura", list(arguments) or ["--help"]) as context:
            program.invoke(context)
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    if sys.stdout is not None:
        with named(STANDARD_OUTPUT):
            sys.stdout.flush()
    return code


def _fail(message: str) -> int:
    _complain(f"error: {message}")
    return BAD_INPUT


def _complain(message: str) -> None:
    """One line on standard error, if anybody takes it."""
    try:
        click.echo(f"mixtura: {printable(' '.join(message.split()))}", err=True)
    except OSError:
        _abandon(sys.stderr)


def _abandon(stream: Any) -> None:
    """Nobody takes what is written here. Python would complain once more while flushing at exit, so give it somewhere to flush to."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
