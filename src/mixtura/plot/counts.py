"""How many components hold rows: what the draws say, beside what was believed before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.plot.palette import INK, PALETTE
from mixtura.plot.sampled import drawn

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes

LEAST_POSTERIOR, LEAST_PRIOR = 1e-3, 1e-2
"""Probabilities from which a number is shown."""
MOST_BARS = 30


def n_components(model: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the posterior probabilities of the number of filled components, beside those that the prior induces, where these are known.

    A component is filled if at least one row belongs to it. The prior of that number is seldom what the prior of the weights seems to say.

    Parameters
    ----------
    model : fitted SampledGaussianMixture
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import mixtura as mx
    >>> fitted = SimpleNamespace(n_components_posterior_=[0.0, 0.0, 0.7, 0.3], n_components_prior_=[0.0, 0.5, 0.3, 0.2])
    >>> mx.plot.n_components(fitted).get_title()
    'most probable: 2 (70 %)'
    """
    from mixtura.plot._matplotlib import new_row

    posterior = np.asarray(drawn(model, "n_components_posterior_"), dtype=np.float64)
    prior = getattr(model, "n_components_prior_", None)
    laws = {"posterior": posterior} | ({} if prior is None else {"prior": np.asarray(prior, dtype=np.float64)})
    last = last_shown(laws)
    axes = new_row(1, min(12.0, max(4.8, 0.45 * last + 2.0)), 4.0)[0] if ax is None else ax
    width = 0.8 / len(laws)
    for i, (name, law) in enumerate(laws.items()):
        numbers = np.arange(1, min(last + 1, len(law)))
        beyond = law[last + 1 :].sum()
        label = f"{name} ({100 * beyond:.0f} % beyond {last})" if beyond >= LEAST_PRIOR else name
        colour = tuple(PALETTE[0]) if name == "posterior" else INK
        shift = width * (i - (len(laws) - 1) / 2)
        axes.bar(numbers + shift, law[numbers], width, color=colour, alpha=0.85 if i == 0 else 0.3, label=label)
    best = int(posterior.argmax())
    axes.set_title(f"most probable: {best} ({100 * posterior[best]:.0f} %)", fontsize="medium")
    axes.set_xlim(0.4, last + 0.6)
    axes.set_ylim(bottom=0)
    step = 1 + last // (MOST_BARS + 1)
    axes.set_xticks(range(step, last + 1, step))
    axes.set_xlabel("number of filled components")
    axes.set_ylabel("probability")
    axes.grid(True, axis="y", color=INK, alpha=0.12)
    axes.set_axisbelow(True)
    if len(laws) > 1:
        axes.legend(frameon=False)
    return axes


def last_shown(laws: Mapping[str, Array]) -> int:
    """The largest number with a bar that can be seen."""
    least = {"posterior": LEAST_POSTERIOR, "prior": LEAST_PRIOR}
    ends = {name: int(np.flatnonzero(law >= least[name])[-1]) for name, law in laws.items()}
    return max(ends["posterior"], min(max(ends.values()), MOST_BARS))
