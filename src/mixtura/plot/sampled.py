"""What a picture of draws is made of: the quantities of each draw by name, which of them mean something, curves, rows of axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mixtura.assess.draws.relabelling import LARGEST_FAILURE_RATE
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.draws import Draws
from mixtura.plot.subject import feature_names, label_of, mixture_of

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import AxesGrid, Figure

N_PLACES = 300
N_BINS = 600
QUARTER_WIDTH = 0.6373
"""Length of the shortest interval that holds a quarter of a standard normal."""
MOST_BANDWIDTHS = 60
"""In the range of the draws: no finer, so that draws that stand still are still seen."""
ROUNDING = 1e-12
"""Draws that differ by less, relatively, are equal: weights of a single component add up to one."""
REACH = 3.0
"""Bandwidths by which a curve goes beyond the draws."""


def drawn(model: Any, attribute: str) -> Any:
    """What sampling has left on an estimator, or an error."""
    found = getattr(model, attribute, None)
    if found is None:
        raise InvalidParameterError(
            f"model must be an estimator fitted by sampling; got {type(model).__name__} without {attribute}. "
            "Fit a SampledGaussianMixture."
        )
    return found


def labelled_draws(model: Any) -> Draws:
    """Draws whose components keep their names from one to the next, or an error that says why there are none."""
    draws = drawn(model, "draws_")
    relabelling = getattr(model, "relabelling_", None)
    if relabelling is None:
        return cast(Draws, draws)
    relabelling.check()
    return cast(Draws, relabelling.draws)


def components_keep_names(model: Any) -> bool:
    """Whether component ``k`` is the same one in all draws: their number is known, and relabelling has not failed."""
    relabelling = getattr(model, "relabelling_", None)
    if relabelling is None:
        return True
    return relabelling.draws is model.draws_ and relabelling.failure_rate <= LARGEST_FAILURE_RATE


def is_shared(draws: Draws) -> bool:
    """Whether all components have one covariance."""
    return isinstance(draws.structure, SharedBlocks) and draws.structure.shared


def feature_suffixes(model: Any) -> list[str]:
    """What tells parameters of different features apart, ``", waiting"``; nothing for a single feature without a name."""
    mixture = mixture_of(model)
    if mixture.n_features == 1 and mixture.feature_names is None:
        return [""]
    return [f", {label_of(name)}" for name in feature_names(mixture)]


# ---- quantities ----------------------------------------------------------------------------------------------------------------


def quantities(model: Any) -> dict[str, Array]:
    """Every quantity of the draws by name, ``(C, S)`` each: first those that need no labels, then those of single components.

    Where components do not keep their names, weights by size stand for the latter.
    """
    draws: Draws = drawn(model, "draws_")
    found = of_whole_draws(model)
    if components_keep_names(model):
        return found | of_components(draws, feature_suffixes(model))
    weights = -np.sort(-draws.weights, axis=2)
    return found | {f"weight {k + 1} by size": weights[:, :, k] for k in range(draws.n_components)}


def of_whole_draws(model: Any) -> dict[str, Array]:
    """What the estimator knows of each draw as a whole."""
    n_filled = getattr(model, "sample_stats_", {}).get("n_filled")
    found = {
        "log posterior": getattr(model, "log_posterior_", None),
        "log-likelihood": getattr(model, "log_likelihood_", None),
        "filled components": None if n_filled is None or np.ptp(n_filled) == 0 else n_filled,
    }
    return {name: np.asarray(values, dtype=np.float64) for name, values in found.items() if values is not None}


def of_components(draws: Draws, suffixes: list[str]) -> dict[str, Array]:
    """Weights, means and standard deviations; a parameter that several share is there once."""
    found: dict[str, Array] = {}
    components = range(draws.n_components)
    if draws.n_components > 1:
        found |= {f"weight {k}": draws.weights[:, :, k] for k in components}
    found |= {f"mean {k}{suffixes[j]}": draws.means[:, :, k, j] for k, j in np.ndindex(draws.means.shape[2:])}
    deviations = np.sqrt(draws.variances)
    if not draws.structure.scales_by_feature:
        suffixes = [""]
    for k in range(1) if is_shared(draws) else components:
        name = "standard deviation" if is_shared(draws) else f"standard deviation {k}"
        found |= {f"{name}{suffix}": deviations[:, :, k, j] for j, suffix in enumerate(suffixes)}
    return found


# ---- curves --------------------------------------------------------------------------------------------------------------------


def bandwidth(values: Array) -> float:
    """``1.06 s n^(−1/5)`` for draws ``(S,)``: Silverman (1986), "Density estimation".

    With ``s`` the smaller of the standard deviation and of what the shortest quarter of the draws would say of it, were they normal, so
    that modes that lie far apart are not smeared.
    """
    ordered, n = np.sort(values), len(values)
    quarter = max(1, n // 4)
    shortest = (ordered[quarter:] - ordered[:-quarter]).min(initial=np.inf) / QUARTER_WIDTH
    return float(1.06 * min(ordered.std(), shortest) * n**-0.2)


def silhouette(values: Array, low: float = -np.inf, high: float = np.inf, width: float = 0.0) -> tuple[Array, Array]:
    """Density of draws, highest at one: places and heights ``(G,)``; a spike where all draws are equal.

    It is a sum of normal kernels, reflected at the ends of the range.

    Parameters
    ----------
    values : (S,) array
    low, high : float
        Range of the quantity.
    width : float
        Of the kernels, where it is not that of ``bandwidth``.
    """
    first, last = float(values.min()), float(values.max())
    if last - first <= ROUNDING * max(abs(first), abs(last)):
        return np.array([first, first]), np.array([0.0, 1.0])
    width = max(width or bandwidth(values), (last - first) / MOST_BANDWIDTHS)
    first, last = max(low, first - REACH * width), min(high, last + REACH * width)
    counts, edges = np.histogram(values, N_BINS, (first, last))
    middles, places = (edges[1:] + edges[:-1]) / 2, np.linspace(first, last, N_PLACES)
    mirrored = [middles, *(2 * end - middles for end in (low, high) if np.isfinite(end))]
    heights = sum(np.exp(-0.5 * ((places[:, None] - own) / width) ** 2) @ counts for own in mirrored)
    return places, heights / heights.max()


# ---- rows of axes --------------------------------------------------------------------------------------------------------------


def pairs_on(figure: Figure, n_rows: int, ratios: tuple[float, float]) -> AxesGrid:
    """Axes on a new figure, ``(n_rows, 2)``, of these relative widths."""
    from mixtura.plot._matplotlib import AxesGrid, add_axes

    axes = add_axes(figure, figure.add_gridspec(n_rows, 2, width_ratios=ratios))
    return np.array(axes, dtype=object).reshape(n_rows, 2).view(AxesGrid)


def given_pairs(ax: Any, n_rows: int, what: str) -> AxesGrid:
    """The axes that were given, or an error."""
    if np.shape(ax) != (n_rows, 2):
        raise InvalidParameterError(
            f"ax must be a ({n_rows}, 2) array of Axes, a row for {what}; got {type(ax).__name__} of shape {np.shape(ax)}."
        )
    return cast("AxesGrid", np.asarray(ax))
