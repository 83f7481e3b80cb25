"""The components of a mixture, and which rows they explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.mixture import Mixture
from mixtura.plot.contours import draw_histogram, draw_points, draw_rug, finish_curve
from mixtura.plot.palette import INK, blended, component_colours, readable_on
from mixtura.plot.regions import ellipse, grid_along, window
from mixtura.plot.subject import (
    Feature,
    Shown,
    feature_indices,
    feature_names,
    label_of,
    marginal,
    mixture_of,
    separation,
    shown,
)

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes, AxesGrid

RADII = (1.0, 2.0)
MOST_IN_LEGEND = 6
MOST_IN_GRID = 6


def components(
    model: Any,
    X: ArrayLike | None = None,
    *,
    features: Feature | Sequence[Feature] | None = None,
    max_points: int = 5000,
    ax: Any = None,
) -> Any:
    """Draw the components of a mixture, each in a colour of its own, and the rows in blends of these colours.

    A row's colour mixes the components' colours in the proportions of its responsibilities, so rows between two
    components look it. In one dimension, the weighted component densities ``π_k N(x; μ_k, σ_k²)`` and their sum, over a
    histogram. In two, ellipses at one and two standard deviations (they hold 39 % and 86 % of their component). In
    more, all pairs of features, with single features on the diagonal.

    Parameters
    ----------
    model : Mixture or fitted estimator
        In ``D`` dimensions.
    X : (N, D) array-like, optional
        Rows to show.
    features : sequence of features, by place or name, optional
        Draw these alone: one, a pair, or more for a grid. By default all, but of more than six only the six whose
        variance lies most between the components. Responsibilities are always those given all features.
    max_points : int
        With more rows than that, a fixed choice of them is drawn.
    ax : matplotlib Axes, or (F, F) array of them for a grid of F features, optional

    Returns
    -------
    matplotlib Axes, or (F, F) array of them
        The axes above the diagonal of a grid are empty.

    Examples
    --------
    >>> import mixtura as mx
    >>> m = mx.Mixture([0.4, 0.6], [[0.0, 0.0, 0.0], [4.0, 1.0, 2.0]], [1.0, 2.0], "spherical")
    >>> X, _ = m.sample(200, random_state=0)
    >>> mx.plot.components(m, X).shape
    (3, 3)
    >>> mx.plot.components(m, X, features=(0, 2)).get_ylabel()
    'x2'
    """
    from mixtura.plot._matplotlib import new_grid, new_row

    mixture = mixture_of(model)
    names = feature_names(mixture, X)
    rows = shown(X, mixture, max_points)
    colours = None if rows is None else blended(mixture.responsibilities(rows.rows[rows.points]))
    kept = most_telling(mixture) if features is None else feature_indices(features, names)
    if len(kept) <= 2:
        axes = new_row(1)[0] if ax is None else ax
        draw_components(axes, marginal(mixture, kept), rows and rows.take(kept), colours, [names[j] for j in kept])
        return axes
    grid = new_grid(len(kept)) if ax is None else _given_grid(ax, len(kept))
    draw_pairs(grid, mixture, rows, colours, names, kept)
    return grid


def most_telling(mixture: Mixture) -> list[int]:
    """Places of all features, or of the six whose variance lies most between the components."""
    if mixture.n_features <= MOST_IN_GRID:
        return list(range(mixture.n_features))
    order = np.argsort(-separation(mixture), kind="stable")
    return sorted(order[:MOST_IN_GRID].tolist())


def _given_grid(ax: Any, size: int) -> AxesGrid:
    if np.shape(ax) != (size, size):
        raise InvalidParameterError(
            f"ax must be a ({size}, {size}) array of Axes for {size} features; got {type(ax).__name__} of shape "
            f"{np.shape(ax)}. For one picture choose two features, features=(0, 1)."
        )
    return cast("AxesGrid", np.asarray(ax))


def draw_components(
    axes: Axes, mixture: Mixture, rows: Shown | None, colours: Array | None, names: Sequence[str]
) -> None:
    """The components of one or two features, with a legend."""
    limits = window(mixture, None if rows is None else rows.rows, 3.5 if len(names) == 1 else 2.1)
    few = mixture.n_components <= MOST_IN_LEGEND
    if len(names) == 1:
        draw_bells(axes, mixture, rows, colours, limits[0])
        finish_curve(axes, limits[0], names[0])
        handles, texts = axes.get_legend_handles_labels()
        parts = [(h, t) for h, t in zip(handles, texts, strict=True) if few or not t.startswith("component")]
        if parts:
            axes.legend(*zip(*parts, strict=True), fontsize="small", frameon=False)
        return
    draw_ellipses(axes, mixture, rows, colours)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    axes.set_xlabel(label_of(names[0]))
    axes.set_ylabel(label_of(names[1]))
    remark = f"; {rows.remark}" if rows is not None and rows.remark else ""
    axes.set_title(f"ellipses: 1 and 2 standard deviations{remark}", fontsize="medium")
    if few:
        axes.legend(fontsize="small")


def draw_ellipses(
    axes: Axes,
    mixture: Mixture,
    rows: Shown | None,
    colours: Array | None,
    *,
    badges: bool = True,
    size: float | None = None,
) -> None:
    """Ellipses at one and two standard deviations over the points of two features."""
    crowded = rows is not None and len(rows.points) > 500
    if rows is not None and colours is not None:
        draw_points(axes, rows, colours, size=size)
    for k, colour in enumerate(component_colours(mixture.n_components)):
        if not mixture.weights[k] > 0:
            continue
        for radius, width in zip(RADII, (1.8, 1.0), strict=True):
            outline = ellipse(mixture.means[k], mixture.covariances[k], radius)
            label = weight_label(mixture, k) if radius == RADII[0] else None
            if crowded:  # a pale rim, or the line would be lost among points of its own colour
                axes.plot(*outline.T, color="white", linewidth=width + 1.5, alpha=0.8, zorder=2)
            axes.plot(*outline.T, color=tuple(colour), linewidth=width, label=label, zorder=3)
        inside = ellipse(mixture.means[k], mixture.covariances[k], RADII[-1])
        axes.fill(*inside.T, color=tuple(colour), alpha=0.10, linewidth=0, zorder=0)
        if badges:
            draw_badge(axes, mixture.means[k], k, colour)


def draw_bells(
    axes: Axes, mixture: Mixture, rows: Shown | None, colours: Array | None, limits: Array, *, badges: bool = True
) -> None:
    """Weighted component densities of one feature and their sum, over a histogram."""
    if rows is not None and colours is not None:
        draw_histogram(axes, rows)
        draw_rug(axes, rows, colours)
    places = grid_along(mixture, 0, limits)
    parts = mixture.weights * np.exp(mixture.component_log_pdf(places[:, None]))
    peaks = mixture.weights * np.exp(np.diagonal(mixture.component_log_pdf(mixture.means)))
    for k, colour in enumerate(component_colours(mixture.n_components)):
        if not mixture.weights[k] > 0:
            continue
        axes.fill_between(places, parts[:, k], color=tuple(colour), alpha=0.20, linewidth=0)
        axes.plot(places, parts[:, k], color=tuple(colour), linewidth=1.5, label=weight_label(mixture, k))
        if badges:
            draw_badge(axes, (mixture.means[k, 0], peaks[k]), k, colour)
    if mixture.n_components > 1:
        axes.plot(places, parts.sum(axis=1), color=INK, linewidth=1.8, linestyle="--", label="sum")


def weight_label(mixture: Mixture, k: int) -> str:
    """A component's place and weight, for the legend."""
    return f"component {k}: {100 * mixture.weights[k]:.0f} %"


def draw_badge(axes: Axes, place: Sequence[float] | Array, k: int, colour: Array) -> None:
    """A component's place, at its mean."""
    box = {"boxstyle": "circle,pad=0.2", "facecolor": tuple(colour), "edgecolor": "white"}
    axes.text(
        float(place[0]),
        float(place[1]),
        str(k),
        color=readable_on(colour),
        fontsize=8,
        horizontalalignment="center",
        verticalalignment="center",
        bbox=box,
        clip_on=True,
        zorder=4,
    )


def draw_pairs(
    grid: AxesGrid,
    mixture: Mixture,
    rows: Shown | None,
    colours: Array | None,
    names: Sequence[str],
    kept: Sequence[int],
) -> None:
    """All pairs of the kept features below the diagonal, single features on it, the legend above."""
    limits = window(mixture, None if rows is None else rows.rows, 2.5)
    last = len(kept) - 1
    for i, j in np.ndindex(len(kept), len(kept)):
        axes = cast("Axes", grid[i, j])
        if j > i:
            axes.set_axis_off()
            continue
        pair = [kept[j]] if i == j else [kept[j], kept[i]]
        part, seen = marginal(mixture, pair), rows and rows.take(pair)
        if i == j:
            draw_bells(axes, part, seen, colours, limits[kept[j]], badges=False)
            axes.set_ylim(bottom=0)
            axes.set_yticks([])
        else:
            draw_ellipses(axes, part, seen, colours, badges=False, size=6 if rows and len(rows.points) <= 500 else 3)
            axes.set_ylim(*limits[kept[i]])
        axes.set_xlim(*limits[kept[j]])
        axes.tick_params(labelbottom=i == last, labelleft=j == 0 and i > 0, labelsize="small")
        if i == last:
            axes.set_xlabel(label_of(names[kept[j]]))
        if j == 0:
            axes.set_ylabel(label_of(names[kept[i]]))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    remarks = ["ellipses: 1 and 2 standard deviations"]
    if rows is not None and rows.remark:
        remarks.append(rows.remark)
    if len(kept) < len(names):
        remarks.append(f"{len(kept)} of {len(names)} features")
    legend = {"fontsize": "small", "title_fontsize": "small", "frameon": False, "loc": "upper right"}
    grid[0, last].legend(handles, labels, title="\n".join(remarks), **legend).set_in_layout(False)
