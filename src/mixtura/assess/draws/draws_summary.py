"""Draws in words: what a sampler has found, as plain values to be remembered, and the text for people that is made of them.

Where labels are straight, each component has a weight, a mean and a scale (the standard deviation of each column) with an interval. Where
they are not, the text has what needs no labels: how many components hold rows, weights by size, mean and scale of the whole, and which rows
belong together. Whether chains agree is two lines, and a table on demand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixtura.assess.draws.chains import Chains, Grouping
from mixtura.assess.layout import WIDTH, aligned, count, in_columns, labelled, short_name, wrapped
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.rows import default_names

LEAST_SHARE = 0.005
"""Numbers of components less probable than this, and smaller weights, are not mentioned."""
MOST_ENTRIES = 8
"""Numbers, weights and groups that are listed."""
MOST_COLUMNS = 12
"""Columns of which means and scales are shown."""


def draws_facts(chains: Chains, *, order: Sequence[int] | None = None, level: float = 0.95) -> dict[str, Any]:
    """What is worth remembering of draws, as plain JSON values.

    Parameters
    ----------
    chains : Chains
    order : sequence of int, optional
        In which components are listed: ``order[k]`` of the point becomes ``k``. As they are, by default.
    level : float, default=0.95
        Of the intervals.

    Returns
    -------
    dict
        ``chains``, ``draws`` (of each), ``level``, ``verdict``, ``extremes``, ``table``, ``failure_rate`` (of labels), ``n_components``
        (``{number: probability}``), ``overall`` (``mean`` and ``scale`` of the whole, ``[estimates, lower, upper]`` for each column),
        and either ``components`` (``weights``, ``means``, ``scales``, each ``[estimates, lower, upper]``, of as many ``draws``) or
        ``weights_by_size`` and ``groups`` (``rows``, ``together``, ``nearest``, ``nearest_together``).
    """
    if not 0 < level < 1:
        raise InvalidParameterError(f"level must lie between 0 and 1; got {level!r}.")
    draws, diagnostics, shares = chains.draws, chains.diagnostics, chains.n_components_posterior
    found: dict[str, Any] = {
        "chains": draws.n_chains,
        "draws": draws.n_draws,
        "level": level,
        "verdict": diagnostics.verdict,
        "extremes": diagnostics.extremes,
        "table": diagnostics.table(),
        "failure_rate": chains.relabelling.failure_rate,
        "n_components": {str(k): float(share) for k, share in enumerate(shares) if share > 0},
        "overall": {
            "mean": _interval(draws.overall_means, level),
            "scale": _interval(draws.overall_deviations, level),
        },
    }
    if chains.grouping is not None:
        by_size = -np.sort(-draws.weights, axis=2)
        return found | {"weights_by_size": _interval(by_size, level), "groups": _groups(chains.grouping)}
    own = chains.relabelling.draws
    places = np.arange(own.n_components) if order is None else np.asarray(order)
    components = {
        "draws": len(own),
        "weights": _interval(own.weights[:, :, places], level),
        "means": _interval(own.means[:, :, places], level),
        "scales": _interval(np.sqrt(own.variances)[:, :, places], level),
    }
    return found | {"components": components}


def _interval(values: Array, level: float) -> list[Any]:
    """Mean and both ends over all draws."""
    low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=(0, 1))
    return [values.mean(axis=(0, 1)).tolist(), low.tolist(), high.tolist()]


def _groups(grouping: Grouping) -> list[dict[str, Any]]:
    """The clusters of the partition, largest first: their rows, how surely these belong together, and with which others they might."""
    sizes, together = np.bincount(grouping.partition.labels), grouping.together
    order = np.argsort(-sizes, kind="stable")
    apart = together[np.ix_(order, order)]
    others = np.where(np.eye(len(order), dtype=bool), -1.0, apart)
    alone = len(order) == 1
    return [
        {
            "rows": int(sizes[g]),
            "together": float(apart[i, i]),
            "nearest": None if alone else int(others[i].argmax()),
            "nearest_together": None if alone else float(others[i].max()),
        }
        for i, g in enumerate(order.tolist())
    ]


def describe_draws(
    found: Mapping[str, Any],
    feature_names: Sequence[str] | None = None,
    *,
    width: int = WIDTH,
    verbose: bool = False,
) -> str:
    """The plain text for people.

    Parameters
    ----------
    found : mapping
        As ``draws_facts`` made it.
    feature_names : sequence of str, optional
    width : int, default=100
        The most characters that a line may have, unless a single column of a table needs more.
    verbose : bool
        Whether the table of all quantities on which chains are compared is there.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.draws.chains import judge
    >>> from mixtura.assess.draws.draws_summary import describe_draws, draws_facts
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.sampling.posterior_sample import PosteriorSample
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> rng = np.random.default_rng(0)
    >>> means = np.array([0.0, 5.0])[:, None] + 0.1 * rng.normal(size=(4, 500, 2, 1))
    >>> draws = Draws(covariance_structure("spherical"), rng.dirichlet([90, 90], (4, 500)), means, np.ones((4, 500, 2)))
    >>> sample = PosteriorSample(draws, means.sum((2, 3)), means.sum((2, 3)), {}, interrupted=False, trouble=None)
    >>> chains = judge(sample, ArraySource(np.array([[0.0], [1.0], [4.5], [5.0]])), method="ecr")
    >>> print(describe_draws(draws_facts(chains), ["height"]))
    Chains          4 chains agree: largest R̂ 1.002, smallest effective size 1793.
                    Worst: entropy of the weights, R̂ 1.002. Slowest: log density at row 0, worth 1793 of
                    2000 draws.
    With rows       2 components (100 %)
    <BLANKLINE>
    Components, with 95 % intervals; scales are standard deviations
      component                  weight            mean of height       scale of height
      0          0.500 (0.430 .. 0.573)  -0.002 (-0.200 .. 0.192)  1.00 (1.00 .. 1.00)
      1          0.500 (0.427 .. 0.570)    4.999 (4.812 .. 5.200)  1.00 (1.00 .. 1.00)
    """
    overall = found["overall"]["mean"][0]
    names = [short_name(name) for name in (feature_names or default_names(len(overall)))]
    entries = [labelled("Chains", found["verdict"], width), labelled("", found["extremes"], width)]
    entries.append(labelled("With rows", _numbers(found["n_components"]), width))
    parts = ["\n".join(entries)]
    if "components" in found:
        parts.append(_components(found, names, width))
    else:
        parts += [_without_labels(found, names, width), _grouped(found["groups"], width)]
    if verbose:
        parts.append("Agreement of the chains\n" + "\n".join(f"  {line}" for line in found["table"].split("\n")))
    return "\n\n".join(parts)


def _numbers(shares: Mapping[str, float]) -> str:
    """Probabilities of the numbers of components that hold rows, the likeliest first."""
    likeliest = sorted(shares.items(), key=lambda item: -item[1])[:MOST_ENTRIES]
    (first, share), *others = [item for item in likeliest if item[1] >= LEAST_SHARE] or likeliest[:1]
    listed = [f"{count(int(first), 'component')} ({100 * share:.0f} %)", *(f"{k} ({100 * p:.0f} %)" for k, p in others)]
    return ", ".join(listed)


def _components(found: Mapping[str, Any], names: Sequence[str], width: int) -> str:
    """A line for each component."""
    own, total = found["components"], found["chains"] * found["draws"]
    weights, means, scales = (np.array(own[name]) for name in ("weights", "means", "scales"))
    header, cells = ["component", "weight"], [_shares(weights)]
    for d, name in enumerate(names[:MOST_COLUMNS]):
        header += [f"mean of {name}", f"scale of {name}"]
        cells += [_cells(means[:, :, d]), _cells(scales[:, :, d])]
    rows = [[str(k), *row] for k, row in enumerate(zip(*cells, strict=True))]
    title = f"Components, with {100 * found['level']:g} % intervals; scales are standard deviations"
    if own["draws"] < total:
        title += f", of the {own['draws']} of {total} draws that have so many"
    lines = [title, in_columns(header, rows, width)]
    if len(names) > MOST_COLUMNS:
        lines += wrapped(
            f"{len(names) - MOST_COLUMNS} more columns; a file of draws holds them in full.", width, "  ", "  "
        )
    return "\n".join(lines)


def _without_labels(found: Mapping[str, Any], names: Sequence[str], width: int) -> str:
    """What can be said where components have no identity."""
    reason = (
        f"In {found['failure_rate']:.0%} of the draws components cannot be told apart, so single ones have no summary. "
        f"What needs no labels, with {100 * found['level']:g} % intervals:"
    )
    weights = np.array(found["weights_by_size"])
    listed = _shares(weights[:, weights[0] >= LEAST_SHARE][:, :MOST_ENTRIES])
    lines = [*wrapped(reason, width, "", ""), labelled("Weights by size", ", ".join(listed), width)]
    overall = found["overall"]
    cells = [_cells(np.array(overall[name])[:, None, d])[0] for d in range(len(names)) for name in ("mean", "scale")]
    rows = [[name, *cells[2 * d : 2 * d + 2]] for d, name in enumerate(names[:MOST_COLUMNS])]
    return "\n".join([*lines, in_columns(["all rows", "mean", "standard deviation"], rows, width)])


def _grouped(groups: Sequence[Mapping[str, Any]], width: int) -> str:
    """The partition that the model stands for."""
    title = "Groups of rows that belong together"
    rows = []
    for g, group in enumerate(groups[:MOST_ENTRIES]):
        near = "" if group["nearest"] is None else f"{group['nearest']} ({100 * group['nearest_together']:.0f} %)"
        rows.append([str(g), str(group["rows"]), f"{100 * group['together']:.0f} %", near])
    lines = [title, in_columns(["group", "rows", "together", "nearest group"], rows, width)]
    if len(groups) > MOST_ENTRIES:
        lines.append(f"  {len(groups) - MOST_ENTRIES} smaller groups")
    return "\n".join(lines)


def _shares(values: Array) -> list[str]:
    return [f"{one:.3f} ({low:.3f} .. {high:.3f})" for one, low, high in values.T]


def _cells(values: Array) -> list[str]:
    """Estimates with their intervals, ``(3, K)``, each to the digits that the narrowest interval can show."""
    spans = (values[2] - values[1])[values[2] > values[1]]
    size = float(np.abs(values).max()) or 1.0
    texts = aligned(values.ravel(), max(float(spans.min(initial=math.inf)) if len(spans) else size, 1e-12 * size))
    estimates, low, high = (texts[i * values.shape[1] : (i + 1) * values.shape[1]] for i in range(3))
    return [f"{one} ({a} .. {b})" for one, a, b in zip(estimates, low, high, strict=True)]
