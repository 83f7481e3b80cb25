"""One picture for a reader who has not met the model: what the command line saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from numpy.typing import ArrayLike

from mixtura.plot.clusters import components
from mixtura.plot.contours import density
from mixtura.plot.subject import mixture_of

if TYPE_CHECKING:
    from mixtura.plot._matplotlib import Figure


def picture(model: Any, X: ArrayLike | None = None) -> Figure:
    """Draw a fitted model with its data.

    One feature: the component densities and their sum over a histogram. Two: the components, and beside them the
    density. More: all pairs of features (of more than six, those that tell the components apart best).

    Parameters
    ----------
    model : Mixture or fitted estimator
        In ``D`` dimensions.
    X : (N, D) array-like
        Of rows that are scanned a sample is shown.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> import mixtura as mx
    >>> m = mx.Mixture([0.4, 0.6], [[0.0, 0.0], [4.0, 1.0]], [1.0, 2.0], "spherical")
    >>> X, _ = m.sample(200, random_state=0)
    >>> [ax.get_xlabel() for ax in mx.plot.picture(m, X).axes]
    ['x0', 'x0']
    """
    from mixtura.plot._matplotlib import new_row

    n_features = mixture_of(model).n_features
    if n_features > 2:
        return cast("Figure", components(model, X)[0, 0].get_figure(root=True))
    panels = new_row(n_features, 6.4 if n_features == 1 else 5.6)
    components(model, X, ax=panels[0])
    if n_features == 2:
        density(model, X, ax=panels[1])
        panels[0].set(xlim=panels[1].get_xlim(), ylim=panels[1].get_ylim())
    return cast("Figure", panels[0].get_figure(root=True))
