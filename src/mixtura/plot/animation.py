"""Expectation–maximisation at work: the climb of a fitted model, replayed from its own start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mixtura.data.array import ArraySource
from mixtura.estimators.record import PointFit
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.climb.loop import climb
from mixtura.inference.climb.solvers import solver_for
from mixtura.inference.rules.stopping import Stopping
from mixtura.model.mixture import Mixture
from mixtura.model.rows import carrying_rows
from mixtura.plot.climb import bound_name, draw_climb
from mixtura.plot.clusters import draw_bells, draw_ellipses
from mixtura.plot.palette import PALETTE, blended
from mixtura.plot.regions import histogram_edges, window
from mixtura.plot.subject import (
    Feature,
    Shown,
    all_rows,
    climb_of,
    feature_indices,
    feature_names,
    label_of,
    marginal,
    mixture_of,
    thinned,
)

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes

HOLD_MILLISECONDS = 2000


def animate(
    model: Any,
    X: ArrayLike,
    path: str | PathLike[str],
    *,
    features: Feature | Sequence[Feature] | None = None,
    sample_weight: ArrayLike | None = None,
    fps: float | None = None,
    max_frames: int = 60,
    max_points: int = 3000,
    dpi: int = 100,
) -> Path:
    """Write a GIF of the components moving, iteration by iteration, from the best run's start to the fitted mixture.

    EM is run again from the same start on the same rows, so the pictures are of the climb that the estimator reports.

    Parameters
    ----------
    model : fitted estimator
        One that keeps its climb (``restarts_``) and its algorithm (``algorithm_``).
    X : (N, D) array-like
        The rows it was fitted to.
    path : path-like
        Ends in ``.gif``; replaced whole or not at all.
    features : one or two features, by place or name, optional
        What to look at; needed when ``D > 2``.
    sample_weight : (N,) array-like, optional
        As given to ``fit``.
    fps : float, optional
        Frames per second; by default 2 to 8, so that the climb takes about eight seconds. The last frame stays for two more.
    max_frames : int
        A longer climb keeps its first and last iteration and ever fewer in between, because the first steps are the
        largest.
    max_points : int
        With more rows than that, a fixed choice of them is drawn.
    dpi : int
        Dots per inch; the picture is 6.4 by 6 inches.

    Returns
    -------
    Path
        Where the GIF is.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import mixtura as mx
    >>> X, _ = mx.Mixture([0.5, 0.5], [[0.0], [3.0]], [1.0, 1.0], "spherical").sample(100, random_state=0)
    >>> gm = mx.GaussianMixture(2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     movie = mx.plot.animate(gm, X, Path(folder) / "climb.gif", max_frames=3)
    ...     movie.read_bytes()[:6]
    b'GIF89a'
    """
    from mixtura.plot._matplotlib import add_axes, new_figure, write_gif

    if Path(path).suffix.lower() != ".gif":
        raise InvalidParameterError(f"path must end in .gif; got {str(path)!r}.")
    if max_frames < 2 or (fps is not None and not fps > 0):
        raise InvalidParameterError(f"max_frames must be at least 2 and fps positive; got {max_frames!r} and {fps!r}.")
    mixture = mixture_of(model)
    names = feature_names(mixture, X)
    kept = feature_indices(range(mixture.n_features) if features is None else features, names)
    if len(kept) > 2:
        raise InvalidParameterError(
            f"an animation shows one or two features, not {len(kept)}; choose them, features=(0, 1)."
        )
    rows = all_rows(X, mixture)
    mixtures, bounds = replay(model, rows, sample_weight)
    seen = Shown(rows, thinned(len(rows), max_points), len(rows))
    chosen = chosen_iterations(len(bounds), max_frames)

    figure = new_figure(6.4, 6.0)
    spaces = figure.add_gridspec(2, 1, height_ratios=(4, 1), left=0.12, right=0.97, top=0.94, bottom=0.09, hspace=0.28)
    scene, below = add_axes(figure, spaces)
    draw_climb(below, bounds, bound_name(model))
    (line,) = below.lines
    line.set(color="0.8", marker="")
    below.set_ylabel("")
    below.margins(y=0.15)
    (dot,) = below.plot([], [], "o", color=tuple(PALETTE[1]), markersize=6, clip_on=False)
    limits = window(marginal(mixture, kept), rows[:, kept], 2.5)
    labels = [names[j] for j in kept]
    top = curve_top(marginal(mixture, kept), rows[:, kept]) if len(kept) == 1 else 0.0

    def frames() -> Iterator[int]:
        for i in chosen:
            scene.clear()
            draw_scene(scene, mixtures[i], seen, kept, labels, limits, top)
            scene.set_title(f"iteration {i} of {len(bounds) - 1}", loc="left", fontsize="medium")
            value = f"{bounds[i]:,.2f}".replace("-", "\N{MINUS SIGN}")
            scene.set_title(f"{bound_name(model)} {value}", loc="right", fontsize="medium")
            dot.set_data([i], [bounds[i]])
            yield i

    speed = fps or min(max(len(chosen) / 8, 2.0), 8.0)
    durations = [round(1000 / speed)] * (len(chosen) - 1) + [HOLD_MILLISECONDS]
    write_gif(path, figure, frames(), durations, dpi)
    return Path(path)


def draw_scene(
    axes: Axes, mixture: Mixture, rows: Shown, kept: Sequence[int], names: Sequence[str], limits: Array, top: float
) -> None:
    """One frame: the components in one or two features, in a window that does not move."""
    colours = blended(mixture.responsibilities(rows.rows[rows.points]))
    part, seen = marginal(mixture, kept), rows.take(kept)
    if len(kept) == 1:
        draw_bells(axes, part, seen, colours, limits[0])
        axes.set_ylim(0, top)
        axes.set_ylabel("density")
    else:
        draw_ellipses(axes, part, seen, colours)
        axes.set_ylim(*limits[1])
        axes.set_ylabel(label_of(names[1]))
    axes.set_xlim(*limits[0])
    axes.set_xlabel(label_of(names[0]))


def curve_top(mixture: Mixture, rows: Array) -> float:
    """Height that holds both the histogram and the final density of one feature."""
    heights, _ = np.histogram(rows[:, 0], histogram_edges(rows[:, 0]), density=True)
    return 1.15 * max(float(heights.max()), float(mixture.pdf(mixture.means).max()))


def chosen_iterations(n_iterations: int, most: int) -> list[int]:
    """At most ``most`` of ``0 … n_iterations − 1``: both ends, and in between ever wider steps."""
    if n_iterations <= most:
        return list(range(n_iterations))
    return sorted({round(step) - 1 for step in np.geomspace(1, n_iterations, most).tolist()})


def replay(model: Any, rows: Array, sample_weight: ArrayLike | None = None) -> tuple[list[Mixture], tuple[float, ...]]:
    """The mixtures of the best run, from its start on, and their bounds.

    Parameters
    ----------
    model : fitted estimator
    rows : (N, D) array
    sample_weight : (N,) array-like, optional

    Raises
    ------
    DataError
        If the bound of the start is not the recorded one: then these are not the rows of the fit.
    """
    record = climb_of(model)
    if not isinstance(record, PointFit):
        raise InvalidParameterError(
            f"model must be an estimator fitted by expectation–maximisation; got {type(model).__name__}."
        )
    run, algorithm = record.restarts.best, record.algorithm
    mixtures: list[Mixture] = []

    def remember(_: int, mixture: Mixture, bounds: tuple[float, ...]) -> bool:
        mixtures.append(mixture)
        if len(bounds) == 1 and not np.isclose(bounds[0], run.bounds[0], rtol=1e-6, atol=1e-6):
            raise DataError(
                f"X are not the rows of the fit: there the start has a {bound_name(model)} of {run.bounds[0]:.6g}, "
                f"here {bounds[0]:.6g}. Pass what was passed to fit, sample_weight included."
            )
        return False

    source = ArraySource(*carrying_rows(rows, sample_weight))
    stopping, solver = Stopping(model.tol, model.max_iter, source.total_weight), solver_for(model.solver, algorithm)
    (again,) = climb(source, [run.start], algorithm, stopping, remember, solver=solver)
    return mixtures, again.bounds
