"""What a posterior leaves open: the predictive density with a band of draws, and the weights with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mixtura.estimators.record import DrawsFit, StreamFit, VariationalFit
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.laws.posterior import Posterior
from mixtura.model.mixture import Mixture
from mixtura.model.parameters import central
from mixtura.plot.clusters import most_telling
from mixtura.plot.contours import draw_histogram, draw_rug, finish_curve
from mixtura.plot.palette import INK, PALETTE, component_colours
from mixtura.plot.regions import grid_along, window
from mixtura.plot.subject import Feature, feature_indices, feature_names, marginal, mixture_of, shown

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes

BAND_DRAWS = 200
WEIGHT_DRAWS = 2000
FAINT_DRAWS = 20
"""Draws that are shown one by one."""
EMPTY_ROWS = 1.0
"""A component that is expected to hold fewer rows counts as pruned."""


def predictive(
    model: Any,
    X: ArrayLike | None = None,
    *,
    features: Feature | Sequence[Feature] | None = None,
    level: float = 0.9,
    ax: Any = None,
) -> Any:
    """Draw the posterior predictive density of each feature, within a band that holds the densities of most posterior draws.

    The line is the mean of the densities of 200 draws; the band holds, at each place, a share ``level`` of them; a few are drawn
    faintly.

    Parameters
    ----------
    model : fitted BayesianGaussianMixture or SampledGaussianMixture
    X : (N, D) array-like, optional
        Rows to show as a histogram.
    features : features, by place or name, optional
        Those that get a panel; by default all, but of more than six those whose variance lies most between the components.
    level : float, default=0.9
    ax : matplotlib Axes, or sequence of them for several features, optional

    Returns
    -------
    matplotlib Axes, or list of them

    Examples
    --------
    >>> import mixtura as mx
    >>> X, _ = mx.Mixture([0.5, 0.5], [[0.0], [5.0]], [1.0, 1.0], "spherical").sample(60, random_state=0)
    >>> gm = mx.BayesianGaussianMixture(3, random_state=0).fit(X)
    >>> mx.plot.predictive(gm, X).get_ylabel()
    'density'
    """
    from mixtura.plot._matplotlib import new_row

    ends = central(level)
    mixture, draws = mixture_of(model), posterior_draws(model, BAND_DRAWS)
    names = feature_names(mixture, X)
    kept = most_telling(mixture) if features is None else feature_indices(features, names)
    rows = shown(X, mixture, 5000)
    panels: list[Axes]
    panels = new_row(len(kept), 6.4 if len(kept) == 1 else 4.2) if ax is None else list(np.atleast_1d(ax))
    if len(panels) != len(kept):
        raise InvalidParameterError(f"ax must be {len(kept)} Axes for {len(kept)} features; got {len(panels)}.")
    for axes, j in zip(panels, kept, strict=True):
        own = rows and rows.take([j])
        (limits,) = window(marginal(mixture, [j]), None if own is None else own.rows, 3.5)
        if own is not None:
            draw_histogram(axes, own)
            draw_rug(axes, own, INK)
        places = grid_along(marginal(mixture, [j]), 0, limits)
        _draw_band(axes, places, np.stack([marginal(m, [j]).pdf(places[:, None]) for m in draws]), ends)
        finish_curve(axes, limits, names[j])
    panels[0].legend(frameon=False, fontsize="small")
    for axes in panels[1:]:
        axes.set_ylabel("")
    return panels[0] if len(panels) == 1 else panels


def _draw_band(axes: Axes, places: Array, densities: Array, ends: Array) -> None:
    low, high = np.quantile(densities, ends, axis=0)
    colour = tuple(PALETTE[0])
    axes.fill_between(
        places, low, high, color=colour, alpha=0.25, linewidth=0, label=f"{100 * np.ptp(ends):g} % of draws"
    )
    for density in densities[:: max(1, len(densities) // FAINT_DRAWS)]:
        axes.plot(places, density, color=colour, alpha=0.15, linewidth=0.7)
    axes.plot(places, densities.mean(axis=0), color=INK, linewidth=2, label="predictive")


def weights(model: Any, *, level: float = 0.95, ax: Axes | None = None) -> Axes:
    """Draw the posterior weights, the largest first, each with an interval; those of components without rows are marked.

    Parameters
    ----------
    model : fitted BayesianGaussianMixture or SampledGaussianMixture
    level : float, default=0.95
        Of the central credible intervals, from 2000 draws.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import mixtura as mx
    >>> X, _ = mx.Mixture([0.5, 0.5], [[0.0], [5.0]], [1.0, 1.0], "spherical").sample(60, random_state=0)
    >>> gm = mx.BayesianGaussianMixture(4, random_state=0).fit(X)
    >>> mx.plot.weights(gm).get_title()
    '2 of 4 components hold rows'
    """
    from mixtura.plot._matplotlib import new_row

    ends = central(level)
    drawn = _weight_draws(model)
    means = drawn.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    low, high = np.quantile(drawn, ends, axis=0)[:, order]
    holds_rows = _filled(model, drawn)[order]
    colours = component_colours(len(order))[order]
    axes = new_row(1, max(4.0, 0.55 * len(order) + 1.6), 4.0)[0] if ax is None else ax
    places = list(range(len(order)))
    for place, colour, holds in zip(places, colours, holds_rows, strict=True):
        axes.bar(place, means[order][place], color=tuple(colour), alpha=0.85 if holds else 0.25, width=0.7)
        if not holds:
            axes.text(place, high.max() / 40, "empty", rotation=90, ha="center", va="bottom", color=INK, alpha=0.5)
    axes.vlines(places, low, high, color=INK, linewidth=1.6)
    axes.set_xticks(places, [str(k) for k in order])
    axes.set_xlabel("component")
    axes.set_ylabel(f"weight, {100 * level:g} % interval")
    axes.set_ylim(bottom=0)
    axes.set_title(f"{holds_rows.sum()} of {len(order)} components hold rows", fontsize="medium")
    axes.grid(True, axis="y", color=INK, alpha=0.12)
    axes.set_axisbelow(True)
    return axes


def posterior_draws(model: Any, n: int) -> list[Mixture]:
    """Mixtures drawn from the posterior of a fitted estimator, always the same ones."""
    record, rng = _record(model), np.random.default_rng(0)
    if isinstance(record, DrawsFit):
        return list(record.chains.draws.thinned(n))
    return [record.posterior.draw(rng) for _ in range(n)]


def _weight_draws(model: Any) -> Array:
    """Weights ``(S, K)``, of draws with straight labels where there are such."""
    record, rng = _record(model), np.random.default_rng(0)
    if isinstance(record, DrawsFit):
        relabelling = record.chains.relabelling
        relabelling.check()
        return relabelling.draws.weights.reshape(-1, relabelling.draws.n_components)
    return np.stack([record.posterior.weights.draw(rng) for _ in range(WEIGHT_DRAWS)])


def _filled(model: Any, drawn: Array) -> Array:
    """Which components hold rows."""
    record = _record(model)
    if isinstance(record, DrawsFit):
        return np.asarray(np.median(drawn, axis=0) > 1e-3)
    return np.asarray(record.posterior.effective_counts > EMPTY_ROWS)


def _record(model: Any) -> DrawsFit | VariationalFit | StreamFit:
    """That of a fitted estimator with a posterior."""
    record = getattr(model, "record_", None)
    if isinstance(record, StreamFit) and not isinstance(record.belief, Posterior):
        record = None
    if not isinstance(record, DrawsFit | VariationalFit | StreamFit):
        raise InvalidParameterError(
            f"model must be a fitted estimator with a posterior; got {type(model).__name__} without one. "
            "Fit a BayesianGaussianMixture or a SampledGaussianMixture."
        )
    return record
