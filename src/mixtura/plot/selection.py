"""How many components, and which covariances: the criterion of every candidate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mixtura.assess.choice.criteria import CRITERIA
from mixtura.ground.errors import InvalidParameterError
from mixtura.plot.palette import INK, MARKERS, component_colours

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes


def criterion(search: Any, *, criterion: str = "bic", ax: Axes | None = None) -> Axes:
    """Draw a criterion against the number of components, one line for each covariance structure. Lower is better.

    Parameters
    ----------
    search : fitted GaussianMixtureSearch, or its ``search_``
        A candidate that failed, or has a component that collapsed, leaves a gap.
    criterion : {"bic", "aic", "icl"}
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import mixtura as mx
    >>> X, _ = mx.Mixture([0.5, 0.5], [[0.0], [9.0]], [1.0, 1.0], "spherical").sample(100, random_state=0)
    >>> ax = mx.plot.criterion(mx.GaussianMixtureSearch([1, 2], random_state=0).fit(X))
    >>> [line.get_label() for line in ax.lines][-1]
    'best: full, K = 2'
    """
    from mixtura.plot._matplotlib import new_row

    search = getattr(search, "search_", search)
    if not hasattr(search, "candidates"):
        raise InvalidParameterError(
            f"search must be a fitted GaussianMixtureSearch; got {type(search).__name__}, which has no candidates to compare."
        )
    if criterion not in CRITERIA:
        raise InvalidParameterError(f"criterion must be one of {', '.join(CRITERIA)}; got {criterion!r}.")
    curves = criterion_curves(search, criterion)
    axes = new_row(1)[0] if ax is None else ax
    colours = component_colours(len(curves))
    for i, (name, curve) in enumerate(curves.items()):
        axes.plot(
            list(curve),
            list(curve.values()),
            color=tuple(colours[i]),
            marker=MARKERS[i % len(MARKERS)],
            markersize=5,
            linewidth=1.4,
            linestyle="-" if i < len(MARKERS) // 2 else "--",
            label=name,
        )
    best = search.best
    value = getattr(best.criteria, criterion, None)
    if value is not None:
        lowest = min(v for curve in curves.values() for v in curve.values() if math.isfinite(v))
        word = "best" if value <= lowest else "chosen"
        label = f"{word}: {best.covariance_type}, K = {best.n_components}"
        axes.plot(
            [best.n_components], [value], "o", markersize=14, markerfacecolor="none", markeredgecolor=INK, label=label
        )
    axes.set_xlabel("number of components K")
    axes.set_ylabel(f"{criterion.upper()} (lower is better)")
    axes.locator_params(axis="x", integer=True)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.legend(fontsize="small", ncols=1 + (len(curves) > 6))
    return axes


def criterion_curves(search: Any, criterion: str) -> dict[str, dict[int, float]]:
    """For each structure, in the order of the search, the criterion by number of components.

    It is NaN where the fit failed or collapsed.

    Raises
    ------
    InvalidParameterError
        If no candidate has the criterion.
    """
    curves: dict[str, dict[int, float]] = {}
    for candidate in sorted(search.candidates, key=lambda candidate: candidate.n_components):
        value = getattr(candidate.criteria, criterion, None) if candidate.sound else None
        curves.setdefault(candidate.covariance_type, {})[candidate.n_components] = math.nan if value is None else value
    curves = {name: curves[name] for name in dict.fromkeys(c.covariance_type for c in search.candidates)}
    if not any(math.isfinite(value) for curve in curves.values() for value in curve.values()):
        raise InvalidParameterError(
            f"no candidate of the search has a value of {criterion.upper()}; see candidate.error of each."
        )
    return curves
