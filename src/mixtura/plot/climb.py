"""How the fit was found: what it climbed, iteration by iteration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura.estimators.record import StreamFit, VariationalFit
from mixtura.ground.errors import InvalidParameterError
from mixtura.plot.palette import INK, PALETTE
from mixtura.plot.subject import best_run, climb_of
from mixtura.sweep import Truncated, among_all, hard

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes


def trace(model: Any, *, ax: Axes | None = None) -> Axes:
    """Draw what was climbed, at the start of the best run and after each of its updates.

    That is the log-likelihood; with a prior its log density is added, and with hard assignment it is the complete
    log-likelihood. Of a variational fit it is the evidence lower bound, and of one that learnt from batches the noisy
    loss of each batch, with its running mean.

    Parameters
    ----------
    model : fitted estimator
        One that remembers its climb, in ``restarts_``.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import mixtura as mx
    >>> X, _ = mx.Mixture([0.5, 0.5], [[0.0], [5.0]], [1.0, 1.0], "spherical").sample(200, random_state=0)
    >>> gm = mx.GaussianMixture(2, random_state=0).fit(X)
    >>> (line,) = mx.plot.trace(gm).lines
    >>> tuple(line.get_ydata()) == gm.restarts_.best.bounds
    True
    """
    from mixtura.plot._matplotlib import new_row

    axes = new_row(1, 6.4, 4.0)[0] if ax is None else ax
    record = getattr(model, "record_", None)
    if isinstance(record, StreamFit | VariationalFit) and record.losses:
        draw_losses(axes, record.losses)
        return axes
    run = best_run(model)
    draw_climb(axes, run.bounds, bound_name(model))
    axes.set_title(run.stop.sentence, fontsize="medium", wrap=True)
    return axes


def convergence(models: Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """Draw how far several fits of the same data were from the best of them, against reads of the data.

    Parameters
    ----------
    models : mapping of str to fitted estimator
        Each remembers its climb, in ``restarts_``; the names go into the legend.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import mixtura as mx
    >>> X, _ = mx.Mixture([0.5, 0.5], [[0.0], [2.0]], [1.0, 1.0], "spherical").sample(200, random_state=0)
    >>> fits = {s: mx.GaussianMixture(2, solver=s, max_iter=2000, random_state=0).fit(X) for s in ("em", "auto")}
    >>> [line.get_label() for line in mx.plot.convergence(fits).lines]
    ['em', 'auto']
    """
    from mixtura.plot._matplotlib import new_row

    runs = {name: best_run(model) for name, model in models.items()}
    if not runs:
        raise InvalidParameterError("convergence needs at least one fitted estimator; got none.")
    top = max(max(run.bounds) for run in runs.values())
    smallest = 1e-9 * max(1.0, abs(top))
    axes = new_row(1, 6.4, 4.4)[0] if ax is None else ax
    for i, (name, run) in enumerate(runs.items()):
        distances = [max(top - bound, smallest) for bound in run.bounds]
        width = 1.4 + 0.8 * (len(runs) - 1 - i)  # a climb that another one lies upon shows as its rim
        axes.plot(run.passes, distances, color=tuple(PALETTE[i % len(PALETTE)]), lw=width, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("reads of the data")
    axes.set_ylabel("log-likelihood below the best")
    axes.grid(True, color=INK, alpha=0.12)
    axes.set_axisbelow(True)
    axes.legend(fontsize="small")
    return axes


def draw_losses(axes: Axes, losses: Sequence[float]) -> None:
    """The loss of each batch, and the mean of a tenth of them around it."""
    values = np.asarray(losses)
    steps = np.arange(1, len(values) + 1)
    axes.plot(steps, values, color=tuple(PALETTE[0]), linewidth=0.8, alpha=0.5, label="each batch")
    width = max(1, len(values) // 10)
    if width > 1:
        means = np.convolve(values, np.full(width, 1 / width), mode="valid")
        middle = steps[: len(means)] + (width - 1) / 2
        axes.plot(middle, means, color=tuple(PALETTE[1]), linewidth=1.8, label=f"mean of {width}")
        axes.legend(fontsize="small", frameon=False)
    axes.set_xlabel("batch")
    axes.set_ylabel("loss per row")
    low, high = np.quantile(values, [0.0, 0.98])
    axes.set_ylim(low - 0.05 * (high - low) - 1e-12, high + 0.15 * (high - low) + 1e-12)
    axes.grid(True, axis="y", color=INK, alpha=0.12)
    axes.set_axisbelow(True)


def bound_name(model: Any) -> str:
    """What a fitted estimator climbed."""
    record = climb_of(model)
    if isinstance(record, VariationalFit):
        return "evidence lower bound"
    assignment = record.algorithm.assignment
    name = "complete log-likelihood" if among_all(assignment) is hard else "log-likelihood"
    name = f"{name} of candidates" if isinstance(assignment, Truncated) else name
    return f"{name} + log prior" if record.algorithm.prior is not None else name


def draw_climb(axes: Axes, bounds: Sequence[float], name: str) -> None:
    """Bounds against iterations, the start at zero."""
    marker = "o" if len(bounds) <= 60 else ""
    axes.plot(range(len(bounds)), bounds, color=tuple(PALETTE[0]), marker=marker, markersize=3.5, linewidth=1.5)
    axes.set_xlabel("iteration")
    axes.set_ylabel(name)
    axes.locator_params(axis="x", integer=True)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.margins(x=0.02)
    axes.grid(True, axis="y", color=INK, alpha=0.12)
    axes.set_axisbelow(True)
