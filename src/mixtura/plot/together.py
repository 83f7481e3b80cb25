"""Who belongs together: the co-clustering matrix, its rows ordered so that groups are blocks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.assess.draws.partitions import as_similarity, best_cut, information_criterion
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.plot.palette import PALETTE
from mixtura.plot.sampled import drawn

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Axes

LEAST_LABELLED = 0.04
"""Share of the rows from which the size of a group is written beside it."""


def coclustering(model: Any, X: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the posterior probability that two rows belong to the same component, for all pairs of rows.

    Rows are in the order of a tree, by average linkage of one minus the probabilities. Of the cuts of that tree into at most twenty groups,
    the one is framed whose variation of information is expected to be least (by the bound of Wade and Ghahramani, 2018, "Bayesian cluster
    analysis"); beside the groups stand their sizes. Nothing here needs labels.

    Parameters
    ----------
    model : fitted SampledGaussianMixture, or (N, N) array-like
        Or a matrix of probabilities.
    X : (N, D) array-like, optional
        The rows that a fitted model is asked about.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import mixtura as mx
    >>> mx.plot.coclustering([[1.0, 0.1, 0.9], [0.1, 1.0, 0.2], [0.9, 0.2, 1.0]]).get_title()
    '3 rows in 2 groups'
    """
    from mixtura.plot._matplotlib import new_row

    matrix = as_similarity(model if np.ndim(model) else _of_rows(model, X))
    order, sizes = blocks(matrix)
    axes = new_row(1, 6.6, 5.2)[0] if ax is None else ax
    image = axes.imshow(matrix[np.ix_(order, order)], cmap="Blues", vmin=0.0, vmax=1.0)
    edges = np.concatenate([[0], np.cumsum(sizes)]) - 0.5
    for first, last in pairwise(edges.tolist()):
        corners = [first, last, last, first, first], [first, first, last, last, first]
        axes.plot(*corners, color=tuple(PALETTE[1]), linewidth=1.4, clip_on=False)
    labelled = sizes >= LEAST_LABELLED * len(matrix)
    middles = ((edges[1:] + edges[:-1]) / 2)[labelled]
    axes.set_xticks([])
    axes.set_yticks(middles, [f"{size}" for size in sizes[labelled]])
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, len(matrix) - 0.5)
    axes.set_ylim(len(matrix) - 0.5, -0.5)
    axes.set_ylabel("rows in each group")
    axes.set_title(f"{_count(len(matrix), 'row')} in {_count(len(sizes), 'group')}", fontsize="medium")
    axes.figure.colorbar(image, ax=axes, label="probability of belonging together")
    return axes


def _of_rows(model: Any, X: ArrayLike | None) -> Array:
    drawn(model, "draws_")
    if X is None:
        raise InvalidParameterError(
            "coclustering of a fitted model needs the rows it is asked about: coclustering(model, X)."
        )
    found: Array = model.coclustering(X)
    return found


def blocks(matrix: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """An order of the rows in which groups lie together, ``(N,)``, and the sizes of the groups in that order."""
    order, groups = best_cut(matrix, information_criterion)
    changes = np.flatnonzero(np.diff(groups[order])) + 1
    return order, np.diff(changes, prepend=0, append=len(matrix))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
