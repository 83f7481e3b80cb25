"""The program: its commands, and the one place where whatever goes wrong becomes one line and an exit code.

Exit codes: 0 done; 2 bad input, one line on standard error; 130 interrupted; 141 the reader of a pipe went away.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import sys
from collections.abc import Sequence

import click

from mixtura.cli.describe import describe
from mixtura.cli.fit import fit
from mixtura.cli.plot import plot
from mixtura.cli.predict import predict
from mixtura.cli.sample import sample
from mixtura.cli.score import score
from mixtura.ground.errors import MixturaError

BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        try:
            version = importlib.metadata.version("mixtura")
        except importlib.metadata.PackageNotFoundError:
            version = "(not installed)"
        click.echo(f"mixtura {version}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def program() -> None:
    """Gaussian mixtures: find the clusters in a table, judge how many there are, and use them.

    \b
    A first round:
      mixtura fit faithful.csv
      mixtura describe faithful.mixture.json
      mixtura predict faithful.mixture.json faithful.csv | head

    DATA is a CSV or TSV file with column names in its first line, a NumPy .npy file, a Parquet file, or - for CSV from standard
    input. MODEL is a file that `mixtura fit` wrote.
    """


for command in (fit, predict, score, sample, describe, plot):
    program.add_command(command)


def main() -> None:
    """Entry point of the command ``mixtura``."""
    # On a terminal, a letter that its encoding lacks is shown escaped; into a file or a pipe goes UTF-8, which is also what is read.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="backslashreplace")
            else:
                stream.reconfigure(encoding="utf-8")
    sys.exit(run(sys.argv[1:]))


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
        # Nobody reads any more. Python would complain once more while flushing at exit, so give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except MixturaError as error:
        return _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")
    except MemoryError:
        return _fail("there is not enough memory for this; try fewer rows, columns or components.")
    except (KeyboardInterrupt, click.Abort):
        click.echo("mixtura: interrupted", err=True)
        return INTERRUPTED


def _invoke(arguments: Sequence[str]) -> int:
    code = 0
    try:
        with program.make_context("mixtura", list(arguments) or ["--help"]) as context:
            program.invoke(context)
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    sys.stdout.flush()
    return code


def _fail(message: str) -> int:
    click.echo(f"mixtura: error: {' '.join(message.split())}", err=True)
    return BAD_INPUT
