"""The chains of a sampler: where each has been, draw by draw, and whether all have been in the same places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura.assess.draws.convergence import LEAST_DRAWS, r_hat
from mixtura.assess.draws.diagnostics import LARGEST_R_HAT
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.plot.palette import INK, PALETTE, component_colours
from mixtura.plot.sampled import (
    bandwidth,
    components_keep_names,
    given_pairs,
    of_whole_draws,
    pairs_on,
    quantities,
    silhouette,
)

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes, AxesGrid

MOST_ROWS = 12
MOST_POINTS = 2000
"""Draws of a chain that its line goes through."""
MOST_IN_LEGEND = 5


def chains(model: Any, *, parameters: str | Sequence[str] | None = None, ax: Any = None) -> AxesGrid:
    """Draw each chain, draw by draw, and beside it how its draws are distributed; a row of axes for each quantity.

    Chains that agree cover each other, and their curves coincide; R̂ says how nearly, in another colour where it is above 1.01. All curves
    are drawn to the same height.

    Parameters
    ----------
    model : fitted SampledGaussianMixture
    parameters : str or sequence of str, optional
        Names as the picture has them, such as ``"weight 0"`` or ``"mean 1, waiting"``, or their first words: ``"mean"``, ``"mean 1"``.
        By default the densities of posterior and data and the number of filled components, then weights, means and standard deviations
        of single components; of more than twelve quantities, those on which the chains agree least. Where single components mean nothing
        because labels could not be straightened, there are weights by size.
    ax : (R, 2) array of matplotlib Axes, optional
        For ``R`` quantities.

    Returns
    -------
    (R, 2) array of matplotlib Axes

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
    >>> fitted = SimpleNamespace(draws_=draws, mixture_=draws.mixture(0, 0))
    >>> grid = mx.plot.chains(fitted, parameters=["weight", "mean 1"])
    >>> [left.get_title(loc="left") for left, right in grid]
    ['weight 0', 'weight 1', 'mean 1']
    """
    from mixtura.plot._matplotlib import new_figure

    every = quantities(model)
    chosen = _named(every, parameters) if parameters is not None else _least_agreed(every, len(of_whole_draws(model)))
    if ax is None:
        grid = pairs_on(new_figure(8.6, 1.15 * len(chosen) + 0.8, layout="constrained"), len(chosen), (4.0, 1.0))
    else:
        grid = given_pairs(ax, len(chosen), "each quantity")
    for (left, right), name in zip(grid, chosen, strict=True):
        draw_traces(left, every[name])
        draw_silhouettes(right, every[name])
        left.set_title(name, loc="left", fontsize="medium")
        left.tick_params(labelbottom=left is grid[-1, 0])
        right.set_ylim(left.get_ylim())
    n_chains, n_draws = every[chosen[0]].shape
    named = 1 < n_chains <= MOST_IN_LEGEND
    if named:
        _add_legend(grid[0, 0], n_chains)
    step = f", 1 in {_step(n_draws)} shown" if _step(n_draws) > 1 else ""
    remarks = [f"draw{step}" if named else f"draw of {n_chains} chain{'s' if n_chains > 1 else ''}{step}"]
    if parameters is None and len(chosen) < len(every):
        remarks.append(f"{len(chosen)} of {len(every)} quantities, those on which the chains agree least")
    if not components_keep_names(model):
        remarks.append("components cannot be followed from draw to draw: weights by size")
    grid[-1, 0].set_xlabel("\n".join(remarks))
    return grid


def draw_traces(axes: Axes, values: Array) -> None:
    """A thin line for each chain ``(C, S)``."""
    n_chains, n_draws = values.shape
    places = np.arange(0, n_draws, _step(n_draws))
    for c, colour in enumerate(component_colours(n_chains)):
        axes.plot(places, values[c, places], color=tuple(colour), linewidth=0.7, alpha=0.8, label=f"chain {c}")
    axes.margins(x=0.01)
    axes.locator_params(axis="y", nbins=4)
    axes.ticklabel_format(axis="y", useOffset=False)


def draw_silhouettes(axes: Axes, values: Array) -> None:
    """How the draws of each chain are distributed, smoothed alike, and R̂; draws that are no numbers have no place."""
    finite = [own[np.isfinite(own)] for own in values]
    width = float(np.mean([bandwidth(own) for own in finite if len(own) > 1] or [0.0]))
    for own, colour in zip(finite, component_colours(len(values)), strict=True):
        if not len(own):
            continue
        places, heights = silhouette(own, width=width)
        axes.plot(heights, places, color=tuple(colour), linewidth=1.3)
    axes.set_xlim(0.0, 1.1)
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    if values.shape[1] >= LEAST_DRAWS:
        found = r_hat(values)
        colour = INK if found <= LARGEST_R_HAT else tuple(PALETTE[1])
        weight = "normal" if found <= LARGEST_R_HAT else "bold"
        text = rf"$\hat{{R}}$ {found:.3f}" if found < 1.1 else rf"$\hat{{R}}$ {found:.2f}"
        axes.set_title(text, loc="right", fontsize="medium", color=colour, fontweight=weight)


def _agreement(values: Array) -> float:
    """Less where chains agree less, and least where there is a NaN, of which nothing can be said."""
    found = r_hat(values)
    return -np.inf if np.isnan(found) else -found


def _step(n_draws: int) -> int:
    """One draw in so many is shown."""
    return -(-n_draws // MOST_POINTS)


def _add_legend(axes: Axes, n_chains: int) -> None:
    """Which colour is which chain, above the axes, at the right."""
    legend = axes.legend(
        ncols=n_chains,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        fontsize="small",
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0.1,
    )
    for line in legend.get_lines():
        line.set(linewidth=2.5, alpha=1.0)


def _named(every: Mapping[str, Array], wanted: str | Sequence[str]) -> list[str]:
    """The quantities whose names are, or begin with, the wanted words."""
    found: list[str] = []
    for words in [wanted] if isinstance(wanted, str) else wanted:
        own = [name for name in every if name == words or name.startswith((f"{words} ", f"{words},"))]
        if not own:
            raise InvalidParameterError(
                f"parameters must be names of quantities, or their first words; got {words!r}. There are {_listed(every)}."
            )
        found += own
    if not found:
        raise InvalidParameterError("parameters must name at least one quantity; got none.")
    return list(dict.fromkeys(found))


def _listed(every: Mapping[str, Array]) -> str:
    """Some names, for a message."""
    names = list(every)
    return ", ".join(names) if len(names) <= MOST_ROWS else f"{', '.join(names[: MOST_ROWS - 1])}, … {names[-1]}"


def _least_agreed(every: Mapping[str, Array], n_first: int) -> list[str]:
    """All quantities, or the first few and those of the largest R̂, in their order."""
    names = list(every)
    if len(names) <= MOST_ROWS:
        return names
    others = names[n_first:]
    if every[names[0]].shape[1] >= LEAST_DRAWS:
        others = sorted(others, key=lambda name: _agreement(every[name]))
    kept = {*names[:n_first], *others[: MOST_ROWS - n_first]}
    return [name for name in names if name in kept]
