"""``mixtura fit``: search, summary, model file, picture."""

from __future__ import annotations

import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mixtura.cli.arguments import (
    SEED,
    FiniteRange,
    parse_columns,
    parse_components,
    parse_covariances,
    reading_options,
    verbose_option,
)
from mixtura.cli.columns import option
from mixtura.cli.notes import note
from mixtura.cli.outputs import (
    can_draw,
    check_draws,
    check_output,
    check_picture,
    drawn,
    near,
    on_terminal,
    say,
    width,
)
from mixtura.cli.patterns import data_argument, stem
from mixtura.cli.posterior import POSTERIORS, fit_posterior, largest_first
from mixtura.ground.files import write_together

if TYPE_CHECKING:
    from mixtura.cli.given import Given
    from mixtura.cli.reading import Reading
    from mixtura.model.mixture import Mixture


OPTIONS_OF = {
    "criterion": ("em",),
    "max_iter": ("em", "cavi", "svi"),
    "draws": ("gibbs", "nuts"),
    "chains": ("gibbs", "nuts"),
    "target_accept": ("nuts",),
    "draws_out": ("gibbs", "nuts"),
    "reg_covar": ("em", "cavi", "svi"),
    "checkpoint": ("em", "cavi"),
    "resume": ("em", "cavi"),
}
"""Options that only some solvers know, and which those are."""
MOST_STEPS = 1_000_000
"""Of a run that somebody waits for."""


@click.command()
@data_argument
@click.option(
    "--components", default="1:9", show_default=True, metavar="K | LOW:HIGH", help="How many components to try."
)
@click.option(
    "--covariance",
    default="full",
    show_default=True,
    metavar="NAMES | all",
    help="Structures to try, separated by commas: full (VVV), tied (EEE), diag (VVI), tied_diag (EEI), spherical (VII), "
    "tied_spherical (EII).",
)
@click.option(
    "--criterion",
    type=click.Choice(["bic", "aic", "icl"]),
    default="bic",
    show_default=True,
    help="What chooses among the candidates; lower is better.",
)
@click.option(
    "--solver",
    type=click.Choice(["em", *POSTERIORS]),
    default="em",
    show_default=True,
    help="em finds the likeliest mixture, and the criterion chooses among the candidates. The others find a posterior of one structure: "
    "cavi and svi with the largest number of components, leaving empty what the data do not need; nuts with that number; gibbs with every "
    "number in the range, equally probable to begin with.",
)
@click.option(
    "--draws",
    type=click.IntRange(100, MOST_STEPS),
    default=1000,
    show_default=True,
    help="Of each chain, with gibbs and nuts.",
)
@click.option("--chains", type=click.IntRange(1, 100), default=4, show_default=True, help="With gibbs and nuts.")
@click.option(
    "--target-accept",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="With nuts: nearer to one, steps are shorter and fewer trajectories diverge.",
)
@click.option(
    "--restarts",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Restarts of each candidate; twice as many starts are looked at.",
)
@click.option(
    "--draws-out",
    metavar="FILE",
    help="With gibbs and nuts: a file for all draws, .nc (NetCDF, for ArviZ) or .npz (NumPy).",
)
@click.option("--columns", metavar="NAMES", help="Columns to use, separated by commas.  [default: every numeric one]")
@reading_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="The same seed gives the same fit.")
@click.option(
    "--max-iter",
    type=click.IntRange(1, MOST_STEPS),
    default=300,
    show_default=True,
    help="Most iterations of one start.",
)
@click.option(
    "--reg-covar",
    type=FiniteRange(0),
    help="Floor on variances, which keeps components from collapsing onto repeated rows.  [default: one in each column's unit]",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="The scheduler of a Dask cluster, such as tcp://host:8786, whose workers go over the rows. They read Parquet files and what "
    "names many files themselves, under the same names.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1000),
    help="So many processes of this machine go over the rows, as a Dask cluster of its own.",
)
@click.option(
    "--checkpoint",
    metavar="FILE",
    help="With em and cavi: a file in which is written down what each pass over the rows has come to, for --resume.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on from the checkpoint of a fit that was broken off, to the same model; where there is none yet, begin.",
)
@click.option("--out", "-o", metavar="FILE", help="Model file.  [default: <name of DATA>.mixture.json here]")
@click.option("--plot", metavar="FILE", help="Picture, .png, .pdf or .svg.  [default: <name of DATA>.mixture.png here]")
@verbose_option
def fit(
    data: str,
    components: str,
    covariance: str,
    criterion: str,
    solver: str,
    draws: int,
    chains: int,
    target_accept: float,
    restarts: int,
    draws_out: str | None,
    columns: str | None,
    how: Reading,
    seed: int,
    max_iter: int,
    reg_covar: float | None,
    dask: str | None,
    workers: int | None,
    checkpoint: str | None,
    resume: bool,
    out: str | None,
    plot: str | None,
    verbose: bool,
) -> None:
    """Fit mixtures to DATA and choose the best.

    Every number of components is tried with every structure, each from several starts. A summary is printed; the chosen model
    and a picture of it go into files. Components are numbered from 0, the largest first.

    A single file is read into memory. A folder, or a pattern in quotes, names many (Parquet, CSV or Arrow): they are gone over where they
    are, as often as the fit needs, and may be larger than memory.

    \b
    Examples:
      mixtura fit faithful.csv
      mixtura fit faithful.csv --components 2
      mixtura fit iris.csv --covariance all --out iris.json --plot iris.png
      mixtura fit faithful.csv --components 6 --solver cavi
      mixtura fit faithful.csv --components 2 --solver nuts --draws-out draws.nc
      mixtura fit big.parquet --columns height,weight --covariance full,tied
      mixtura fit "plants/*.parquet" --workers 4
      mixtura fit plants/ --dask tcp://host:8786
      mixtura fit plants/ --checkpoint plants.checkpoint --resume
      mixtura fit plants.csv --separator semicolon --decimal , --missing -999,NA
    """
    _check_options(solver, dask, workers)
    if resume and checkpoint is None:
        raise click.ClickException("--resume goes on from a checkpoint. Name its file: --checkpoint fit.checkpoint")
    sizes, structures, names = parse_components(components), parse_covariances(covariance), parse_columns(columns)
    model_file, picture_file, draws_file, checkpoint_file = _targets(data, out, plot, draws_out, checkpoint)

    from mixtura.assess.describe import describe
    from mixtura.cli.given import given
    from mixtura.cli.wide import check_wide
    from mixtura.estimators.progress import waiting
    from mixtura.model.document import Document, to_json

    drawn_content: bytes | None = None
    with _cluster(dask, workers) as client:
        rows = given(data, names, how, client)
        _check_fit(rows, sizes, default=components == "1:9")
        check_wide(rows.called, rows.source, structures, sizes, solver)
        _note_hints(rows)
        settings: dict[str, Any] = {"n_init": restarts} | ({} if reg_covar is None else {"reg_covar": reg_covar})
        if solver in ("em", "cavi", "svi"):
            settings |= {"max_iter": max_iter, "checkpoint": checkpoint_file}
        if solver == "em":
            settings["criterion"] = criterion
            with waiting("Fitting"):
                mixture, facts = _likeliest(rows, sizes, structures, seed, settings, resume)
        else:
            if solver in ("gibbs", "nuts"):
                settings |= {"n_draws": draws, "n_chains": chains, "verbose": int(on_terminal(sys.stderr))}
            if solver == "nuts":
                settings["target_accept"] = target_accept
            settings["random_state"] = seed
            with waiting("Fitting"):
                mixture, facts, drawn_content = fit_posterior(
                    rows, solver, sizes, structures, settings, draws_file, resume
                )
        files = {model_file: to_json(Document(mixture, facts)).encode()}
        if draws_file is not None and drawn_content is not None:
            files[draws_file] = drawn_content
        if picture_file is not None:
            from mixtura.plot import picture

            with waiting("Drawing"):
                files[picture_file] = drawn(picture(mixture, rows.source), picture_file)
    summary = describe(mixture, facts, width(), verbose=verbose)
    try:
        write_together(files)
    except OSError:
        say(summary)  # of the work, what can be kept
        raise
    say(f"{summary}\n\nModel in {near(model_file)}")
    if draws_file is not None:
        say(f"Draws in {near(draws_file)}")
    if picture_file is not None:
        say(f"Picture in {near(picture_file)}")
    else:
        say('No picture: that needs matplotlib, pip install "mixtura[plot]"')


def _likeliest(
    rows: Given, sizes: range, structures: list[str], seed: int, settings: dict[str, Any], resume: bool
) -> tuple[Mixture, dict[str, Any]]:
    """The mixture that the criterion chooses, and what is to be remembered of the search."""
    from mixtura.assess.describe import fit_facts
    from mixtura.estimators.search import GaussianMixtureSearch
    from mixtura.ground.errors import CollapseWarning

    found = GaussianMixtureSearch(
        sizes, covariance_type=structures, random_state=seed, verbose=int(on_terminal(sys.stderr)), **settings
    )
    with warnings.catch_warnings():  # the summary says both
        warnings.simplefilter("ignore", CollapseWarning)
        warnings.filterwarnings("ignore", ".* did not converge")
        (found.resume if resume else found.fit)(rows.source)
    facts = fit_facts(
        found.search_,
        rows.source.n_rows,
        data=rows.name,
        left_out=rows.left_out,
        seed=seed,
        certificate=str(found.best_estimator_.certificate(rows.source)),
    )
    return largest_first(found.mixture_).with_feature_names(rows.columns), facts


def _cluster(dask: str | None, workers: int | None) -> AbstractContextManager[Any]:
    """The client of the cluster that was asked for, or none."""
    if dask is None and workers is None:
        return nullcontext()
    from mixtura.data.dask import connected, workers_here

    return workers_here(workers) if dask is None and workers is not None else connected(str(dask))


def _note_hints(rows: Given) -> None:
    from mixtura.cli.hints import hints

    looked_at = rows.looked_at()
    where = "" if len(looked_at) == rows.source.n_rows else f"of a sample of {len(looked_at):,} rows: "
    for hint in hints(looked_at, rows.columns):
        note(where + hint)


def _check_options(solver: str, dask: str | None, workers: int | None) -> None:
    """Raise if options were given that the solver, or each other, know nothing of."""
    if dask is not None and workers is not None:
        raise click.ClickException("--dask names a cluster and --workers makes one; give one of them.")
    given = click.get_current_context().get_parameter_source
    for name, solvers in OPTIONS_OF.items():
        if solver not in solvers and given(name) is ParameterSource.COMMANDLINE:
            raise click.ClickException(
                f"--{name.replace('_', '-')} is nothing that --solver {solver} knows; leave it out, or use --solver {' or '.join(solvers)}."
            )


def _targets(
    data: str, out: str | None, plot: str | None, draws_out: str | None, checkpoint: str | None
) -> tuple[Path, Path | None, Path | None, Path | None]:
    """The files to be written, checked; no picture where matplotlib is missing and none was asked for."""
    name = stem(data)
    model_file = check_output(out or f"{name}.mixture.json", [data])
    draws_file = None if draws_out is None else check_draws(draws_out, [data])
    picture_file = None
    if plot is not None or can_draw():
        picture_file = check_picture(plot or f"{name}.mixture.png", [data])
    kept = None if checkpoint is None else check_output(checkpoint, [data], "--checkpoint")
    targets = {"--out": model_file, "--plot": picture_file, "--draws-out": draws_file, "--checkpoint": kept}
    for (one, file), (other, same) in combinations(targets.items(), 2):
        if file is not None and file == same:
            raise click.ClickException(f"{one} and {other} are the same file {file.name!r}; give them different names.")
    return model_file, picture_file, draws_file, kept


def _check_fit(rows: Given, sizes: range, default: bool) -> None:
    """Rows enough, and something to see in every column."""
    n_rows, lowest = rows.source.n_rows, rows.source.facts.lowest
    if n_rows < sizes[-1]:
        raise click.ClickException(
            f"{rows.called} has {n_rows} {'row' if n_rows == 1 else 'rows'}, too few for {sizes[-1]} components"
            + (" (the default tries 1:9)" if default else "")
            + f"; try --components 1:{max(1, n_rows // 2)}."
        )
    varies = lowest < rows.source.facts.highest
    if not varies.all():
        first = int(varies.argmin())
        varying = [name for name, does in zip(rows.columns, varies, strict=True) if does]
        advice = f"leave it out with {option(varying)}" if varying else "there is nothing to fit"
        raise click.ClickException(
            f"{rows.called}: column {rows.columns[first]!r} is constant, {lowest[first]:g} in every row; {advice}."
        )
