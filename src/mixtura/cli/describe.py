"""``mixtura describe``: the summary of a model file."""

from __future__ import annotations

import click

from mixtura.cli.arguments import read_model, verbose_option
from mixtura.cli.outputs import check_standard_output, say, width
from mixtura.ground.errors import ModelFileError


@click.command(short_help="Print the summary of MODEL.")
@click.argument("model")
@verbose_option
def describe(model: str, verbose: bool) -> None:
    """Print the summary of MODEL: its parameters, and what is known of the fit that made it.

    \b
    Example:
      mixtura describe faithful.mixture.json
    """
    check_standard_output()
    document = read_model(model)

    from mixtura.assess import describe as words

    try:
        say(words.describe(document.mixture, document.fit, width(), verbose=verbose))
    except ModelFileError as error:
        raise ModelFileError(f"{model} is damaged: {error}") from error
