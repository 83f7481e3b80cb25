"""What is known of each parameter once components keep their names: posterior densities, a colour for each component."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.plot.clusters import MOST_IN_LEGEND, most_telling
from mixtura.plot.palette import INK, component_colours
from mixtura.plot.regions import standard_deviations
from mixtura.plot.sampled import feature_suffixes, given_pairs, is_shared, labelled_draws, pairs_on, silhouette
from mixtura.plot.subject import Feature, feature_indices, feature_names, mixture_of

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes, AxesGrid


def parameters(model: Any, *, features: Feature | Sequence[Feature] | None = None, ax: Any = None) -> AxesGrid:
    """Draw the posterior density of each parameter after relabelling, a curve for each component in its colour.

    The first row has the weights, and beside them what the colours mean; then each feature has a row, with the means of the components and
    their standard deviations. All curves are drawn to the same height, so that narrow ones do not flatten the others. Dashed lines are the
    point estimates, those of ``model.mixture_``. Where the number of components is unknown, draws are those of the most probable one.

    Parameters
    ----------
    model : fitted SampledGaussianMixture
    features : features, by place or name, optional
        Those that get a row; by default all, but of more than six those whose variance lies most between the components.
    ax : (1 + F, 2) array of matplotlib Axes, optional
        For ``F`` features.

    Returns
    -------
    (1 + F, 2) array of matplotlib Axes

    Raises
    ------
    LabelSwitchingError
        If components cannot be told apart.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> rng = np.random.default_rng(0)
    >>> means = np.array([0.0, 5.0])[:, None] + 0.1 * rng.normal(size=(4, 250, 2, 1))
    >>> draws = Draws(covariance_structure("spherical"), rng.dirichlet([9, 9], (4, 250)), means, np.ones((4, 250, 2)))
    >>> point = mx.Mixture([0.5, 0.5], [[0.0], [5.0]], [1.0, 1.0], "spherical")
    >>> grid = mx.plot.parameters(SimpleNamespace(draws_=draws, mixture_=point))
    >>> grid.shape, grid[1, 0].get_xlabel(), grid[1, 1].get_xlabel()
    ((2, 2), 'mean', 'standard deviation')
    """
    from mixtura.plot._matplotlib import new_figure

    draws, mixture = labelled_draws(model), mixture_of(model)
    names, suffixes = feature_names(mixture), feature_suffixes(model)
    kept = most_telling(mixture) if features is None else feature_indices(features, names)
    if ax is None:
        grid = pairs_on(new_figure(8.6, 1.9 * (1 + len(kept)) + 0.4, layout="constrained"), 1 + len(kept), (1.0, 1.0))
    else:
        grid = given_pairs(ax, 1 + len(kept), "the weights and one for each feature")
    drawn_weights, drawn_means, drawn_deviations = (
        values.reshape(-1, *values.shape[2:]) for values in (draws.weights, draws.means, np.sqrt(draws.variances))
    )
    deviations, colours = standard_deviations(mixture), component_colours(mixture.n_components)
    draw_marginals(grid[0, 0], drawn_weights, mixture.weights, colours, (0.0, 1.0))
    grid[0, 0].set_xlabel("weight")
    for (left, right), j in zip(grid[1:], kept, strict=True):
        draw_marginals(left, drawn_means[:, :, j], mixture.means[:, j], colours)
        left.set_xlabel(f"mean{suffixes[j]}")
        if is_shared(draws):
            draw_marginals(right, drawn_deviations[:, :1, j], deviations[:1, j], [INK], (0.0, np.inf))
            right.set_xlabel(f"standard deviation{suffixes[j]}, of all components")
        else:
            draw_marginals(right, drawn_deviations[:, :, j], deviations[:, j], colours, (0.0, np.inf))
            right.set_xlabel(f"standard deviation{suffixes[j]}")
    some = "" if len(draws) == len(model.draws_) else f" of {len(model.draws_):,}"
    remarks = [f"densities of {len(draws):,}{some} draws,", "all to the same height;", "dashed: point estimates"]
    if len(kept) < len(names):
        remarks.append(f"{len(kept)} of {len(names)} features")
    draw_key(grid[0, 1], grid[0, 0], remarks)
    return grid


def draw_marginals(
    axes: Axes,
    drawn: Array,
    points: Array,
    colours: Iterable[Any],
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    """Posterior densities of one parameter of each component: draws ``(S, K)``, point estimates ``(K,)``, colours ``(K,)``."""
    for k, (own, point, colour) in enumerate(zip(drawn.T, points, colours, strict=True)):
        places, heights = silhouette(own, *limits)
        if len(points) <= MOST_IN_LEGEND:  # more of them would be mud
            axes.fill_between(places, heights, color=colour, alpha=0.18, linewidth=0)
        axes.plot(places, heights, color=colour, linewidth=1.5, label=f"component {k}")
        axes.plot([point, point], [0.0, 1.0], color=colour, linewidth=1.2, linestyle="--")
    axes.set_ylim(0.0, 1.15)
    axes.set_yticks([])


def draw_key(axes: Axes, weights: Axes, remarks: Sequence[str]) -> None:
    """A legend in place of a picture."""
    handles, labels = weights.get_legend_handles_labels()
    axes.set_axis_off()
    axes.legend(
        handles,
        labels,
        title="\n".join(remarks),
        loc="center",
        ncols=1 + (len(labels) > 5) + (len(labels) > 10),
        fontsize="small",
        title_fontsize="small",
        frameon=False,
    )
