"""The density of a mixture, over the data it should explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.mixture import Mixture
from mixtura.plot.palette import INK, PAPER, shades
from mixtura.plot.regions import grid_along, highest_density_levels, histogram_edges, window
from mixtura.plot.subject import Feature, Shown, feature_indices, feature_names, label_of, marginal, mixture_of, shown

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes

MASS = (0.5, 0.8, 0.95, 0.99)
RUG_POINTS = 1000

Corner = Literal["upper left", "upper right", "lower right", "lower left"]


def density(
    model: Any,
    X: ArrayLike | None = None,
    *,
    features: Feature | Sequence[Feature] | None = None,
    mass: Sequence[float] = MASS,
    max_points: int = 5000,
    ax: Axes | None = None,
) -> Axes:
    """Draw the density of a mixture.

    In two dimensions, the smallest regions that hold 50, 80, 95 and 99 % of the mixture's mass (highest-density
    regions; their levels are quantiles of the log density over 100,000 seeded draws), under the points. In one, the
    density curve over a histogram.

    Parameters
    ----------
    model : Mixture or fitted estimator
        In ``D`` dimensions.
    X : (N, D) array-like, optional
        Rows to show.
    features : one or two features, by place or name, optional
        Draw the density of these features alone (a marginal of the mixture). Needed when ``D > 2``.
    mass : sequence of float
        Shares of the mass, in two dimensions.
    max_points : int
        With more rows than that, a fixed choice of them is drawn.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import mixtura as mx
    >>> m = mx.Mixture([0.4, 0.6], [[0.0, 0.0], [4.0, 1.0]], [[[1.0, 0.5], [0.5, 1.0]], [[2.0, 0.0], [0.0, 0.5]]])
    >>> X, _ = m.sample(200, random_state=0)
    >>> ax = mx.plot.density(m, X)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('x0', 'x1')
    """
    from mixtura.plot._matplotlib import new_row

    mixture = mixture_of(model)
    names = feature_names(mixture, X)
    rows = shown(X, mixture, max_points)
    if features is None and mixture.n_features > 2:
        raise InvalidParameterError(
            f"a density in {mixture.n_features} dimensions cannot be drawn. Choose two features, features=(0, 1), "
            "or draw all pairs with mixtura.plot.components(model, X)."
        )
    if features is not None:
        kept = feature_indices(features, names)
        if len(kept) > 2:
            raise InvalidParameterError(f"features must be one or two features; got {len(kept)}.")
        mixture, names = marginal(mixture, kept), tuple(names[j] for j in kept)
        rows = rows and rows.take(kept)
    axes = new_row(1)[0] if ax is None else ax
    if mixture.n_features == 1:
        draw_curve(axes, mixture, rows, names[0])
    else:
        draw_regions(axes, mixture, rows, names, mass)
    return axes


def draw_curve(axes: Axes, mixture: Mixture, rows: Shown | None, name: str) -> None:
    """The density of one feature over a histogram and a rug."""
    (limits,) = window(mixture, None if rows is None else rows.rows, 3.5)
    if rows is not None:
        draw_histogram(axes, rows)
        draw_rug(axes, rows, INK)
    places = grid_along(mixture, 0, limits)
    axes.plot(places, mixture.pdf(places[:, None]), color=INK, linewidth=2, label="mixture")
    finish_curve(axes, limits, name)
    if rows is not None:
        axes.legend(frameon=False)


def finish_curve(axes: Axes, limits: Array, name: str) -> None:
    """Limits and labels of a picture of one feature."""
    axes.set_xlim(*limits)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label_of(name))
    axes.set_ylabel("density")


def draw_histogram(axes: Axes, rows: Shown) -> None:
    """The rows as a histogram of unit area."""
    values = rows.rows[:, 0]
    label = f"data ({len(values):,} rows)"
    edges = histogram_edges(values).tolist()
    axes.hist(values, bins=edges, density=True, histtype="stepfilled", color=PAPER, label=label)


def draw_rug(axes: Axes, rows: Shown, colours: str | Array) -> None:
    """A tick for each of at most 1000 rows, in one colour or in its own ``(n, 3)``."""
    step = -(-len(rows.points) // RUG_POINTS)
    values = rows.rows[rows.points[::step], 0]
    axes.vlines(
        values,
        0,
        0.025,
        colors=colours if isinstance(colours, str) else list(map(tuple, colours[::step])),
        linewidth=0.8,
        alpha=0.8,
        transform=axes.get_xaxis_transform(),
        zorder=3,
    )


def draw_regions(axes: Axes, mixture: Mixture, rows: Shown | None, names: Sequence[str], mass: Sequence[float]) -> None:
    """Highest-density regions of two features, under the points."""
    shares = sorted(mass, reverse=True)
    levels = highest_density_levels(mixture, shares)
    for i in range(1, len(levels)):  # equal ones where a component is narrower than its place has digits
        levels[i] = max(levels[i], np.nextafter(levels[i - 1], np.inf))
    limits = window(mixture, None if rows is None else rows.rows, 3.2)
    across, up = (grid_along(mixture, j, limits[j]) for j in range(2))
    points = np.stack(np.meshgrid(across, up), axis=-1)
    log_pdf = mixture.log_pdf(points.reshape(-1, 2)).reshape(points.shape[:2])
    top = max(float(log_pdf.max()), float(levels[-1])) + 1.0
    colours = shades(len(shares))
    filled = axes.contourf(across, up, log_pdf, [*levels, top], colors=list(map(tuple, colours)), zorder=0)
    axes.contour(across, up, log_pdf, levels, colors="white", linewidths=0.8, linestyles="solid", zorder=0)
    if rows is not None:
        draw_points(axes, rows, INK, alpha=0.5)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    axes.set_xlabel(label_of(names[0]))
    axes.set_ylabel(label_of(names[1]))
    patches, _ = filled.legend_elements()
    labels = [f"{100 * share:g} %" for share in shares]
    corner = emptiest_corner(across, up, log_pdf)
    axes.legend(patches[::-1], labels[::-1], title="mass inside", loc=corner, fontsize="small", title_fontsize="small")
    remark = f"; {rows.remark}" if rows is not None and rows.remark else ""
    axes.set_title(f"regions of highest density{remark}", fontsize="medium")


def emptiest_corner(across: Array, up: Array, values: Array) -> Corner:
    """The corner whose largest value is smallest: matplotlib's ``"best"`` place does not see contours."""
    left, lower = across < across[0] + np.ptp(across) / 3, up < up[0] + np.ptp(up) / 3
    right, upper = across > across[-1] - np.ptp(across) / 3, up > up[-1] - np.ptp(up) / 3
    corners: dict[Corner, Array] = {
        "upper left": values[np.ix_(upper, left)],
        "upper right": values[np.ix_(upper, right)],
        "lower right": values[np.ix_(lower, right)],
        "lower left": values[np.ix_(lower, left)],
    }
    return min(corners, key=lambda corner: float(corners[corner].max()))


def draw_points(axes: Axes, rows: Shown, colours: str | Array, alpha: float = 0.8, size: float | None = None) -> None:
    """The points of two features; many of them as an image, so that a PDF or SVG stays small."""
    points = rows.rows[rows.points]
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=size or (16 if len(points) <= 500 else 9 if len(points) <= 2000 else 4),
        c=colours,
        alpha=alpha if len(points) <= 2000 else 0.5 * alpha,
        linewidths=0,
        rasterized=len(points) > 2000,
        zorder=1,
    )
