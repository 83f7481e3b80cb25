"""Draws for ArviZ, and leave-one-out cross-validation by it. The one file of the house that imports ``arviz_base`` and ``arviz_stats``.

The small libraries are asked. What ``arviz_base`` makes is an ``xarray.DataTree``, which ``arviz_stats``, ``arviz_plots`` and the package
``arviz`` from 1.0 read. An ``arviz`` before that knows only its own ``InferenceData``; where there is one, ``for_installed`` asks it for
that, which the others read too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.assess.convergence import bulk_size
from mixtura.assess.diagnostics import checked_statistics
from mixtura.ground.errors import InvalidParameterError, missing_extra
from mixtura.ground.linalg import Array
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.draws import Draws

MOST_NUMBERS = 2**28
"""Densities of rows under draws that are kept: 2 GB."""


def to_arviz(
    draws: Draws,
    X: ArrayLike,
    statistics: Mapping[str, ArrayLike] | None = None,
    *,
    rows: ArrayLike | None = None,
    log_likelihood: bool = True,
    feature_names: Sequence[str] | None = None,
) -> Any:
    """Draws, what the sampler says of them, pointwise log-likelihood and data as an ``xarray.DataTree``.

    Groups: ``posterior`` with ``weights``, ``means`` and ``covariances`` in the shape of the structure, over the dimensions ``component``,
    ``feature`` and ``other_feature``; ``sample_stats``; ``log_likelihood``, labels summed out, over ``row``; ``observed_data``. Parameters
    of single components mean something only where labels are straight: pass the draws of a ``Relabelling``.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like
        The rows that they were inferred from.
    statistics : mapping of str to (C, S) array-like, optional
        Some of ``diagnostics.STATISTICS``.
    rows : (M,) integer array-like, optional
        The log-likelihood is that of these rows, which takes ``8·C·S·M`` bytes; of all of them by default.
    log_likelihood : bool
        Whether there is such a group.
    feature_names : sequence of str, optional

    Returns
    -------
    xarray.DataTree

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.arviz import to_arviz
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> rng = np.random.default_rng(0)
    >>> means = np.array([0.0, 5.0])[:, None] + rng.normal(size=(4, 100, 2, 1))
    >>> draws = Draws(covariance_structure("spherical"), np.full((4, 100, 2), 0.5), means, np.ones((4, 100, 2)))
    >>> tree = to_arviz(draws, [[0.0], [4.0], [5.0]])
    >>> list(tree.children)
    ['posterior', 'log_likelihood', 'observed_data']
    >>> tree["log_likelihood"]["x"].dims
    ('chain', 'draw', 'row')
    """
    try:
        import arviz_base
    except ImportError as error:
        raise missing_extra("ArviZ containers", "mcmc") from error
    given, data = checked_statistics(draws, statistics), draws.as_rows(X)
    groups: dict[str, dict[str, Array]] = {
        "posterior": {"weights": draws.weights, "means": draws.means, "covariances": draws.covariances}
    }
    if given:
        groups["sample_stats"] = given
    chosen = _chosen(rows, len(data))
    if log_likelihood:
        groups["log_likelihood"] = {"x": _log_pdfs(draws, data[chosen])}
    groups["observed_data"] = {"x": data[chosen]}
    names = list(range(draws.n_features)) if feature_names is None else list(feature_names)
    return arviz_base.from_dict(
        groups,
        dims={
            "weights": ["component"],
            "means": ["component", "feature"],
            "covariances": _covariance_dimensions(draws.structure),
            "x": ["row", "feature"],
        },
        coords={"component": range(draws.n_components), "feature": names, "other_feature": names, "row": chosen},
        attrs={"/": {"inference_library": "mixtura"}},
    )


def for_installed(tree: Any) -> Any:
    """What ``to_arviz`` made as the installed ArviZ has it: ``arviz.InferenceData`` where ``arviz`` is there and before 1.0.

    Parameters
    ----------
    tree : xarray.DataTree

    Returns
    -------
    xarray.DataTree or arviz.InferenceData
    """
    try:
        generation = int(version("arviz").partition(".")[0])
    except PackageNotFoundError:
        return tree
    if generation > 0:
        return tree
    import arviz

    container: Any = arviz.InferenceData  # whose methods have no types
    return container.from_datatree(tree)


def loo(draws: Draws, X: ArrayLike, rows: ArrayLike | None = None) -> Any:
    """Expected log predictive density of rows left out one by one, by Pareto-smoothed importance sampling.

    Labels are summed out of the densities, and the draws' efficiency is that of the log-likelihood, so labels have no influence. Vehtari,
    Gelman and Gabry (2017), "Practical Bayesian model evaluation using leave-one-out cross-validation and WAIC". ArviZ warns where a row
    has so much influence (``pareto_k``) that the estimate cannot be trusted.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like
        The rows that they were inferred from.
    rows : (M,) integer array-like, optional
        Leave out these only, which takes ``8·C·S·M`` bytes; all of them by default. The result is their sum.

    Returns
    -------
    arviz_stats.ELPDData
        With ``elpd``, ``se``, ``p``, and for each row ``elpd_i`` and ``pareto_k``.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.arviz import loo
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> rng = np.random.default_rng(0)
    >>> means = np.array([0.0, 5.0])[:, None] + 0.1 * rng.normal(size=(4, 100, 2, 1))
    >>> draws = Draws(covariance_structure("spherical"), np.full((4, 100, 2), 0.5), means, np.ones((4, 100, 2)))
    >>> found = loo(draws, [[0.0], [1.0], [4.5], [5.0]])
    >>> bool(np.isclose(found.elpd, draws.log_pdf([[0.0], [1.0], [4.5], [5.0]]).sum(), atol=0.05))
    True
    """
    try:
        import arviz_stats
    except ImportError as error:
        raise missing_extra("Leave-one-out estimates", "mcmc") from error
    tree = to_arviz(draws, X, rows=rows)
    total = tree["log_likelihood"]["x"].values.sum(axis=2)
    stats: Any = arviz_stats  # whose types do not name what it exports
    return stats.loo(tree, pointwise=True, reff=bulk_size(total) / total.size)


def _chosen(rows: ArrayLike | None, n_rows: int) -> NDArray[np.intp]:
    if rows is None:
        return np.arange(n_rows)
    chosen = np.asarray(rows)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not ((chosen >= 0) & (chosen < n_rows)).all():
        raise InvalidParameterError(f"rows must be places of rows, integers in 0 … {n_rows - 1}; got {rows!r}.")
    return chosen.astype(np.intp)


def _log_pdfs(draws: Draws, rows: Array) -> Array:
    n_numbers = len(draws) * len(rows)
    if n_numbers > MOST_NUMBERS:
        raise InvalidParameterError(
            f"the log-likelihood of {len(rows)} rows under {len(draws)} draws would take {8e-9 * n_numbers:.1f} GB; pass some rows, "
            f"for example rows=range(0, {len(rows)}, {-(-n_numbers // MOST_NUMBERS)}), or log_likelihood=False."
        )
    return draws.log_pdfs(rows)


def _covariance_dimensions(structure: CovarianceStructure) -> list[str]:
    """Names of the axes of a natural array: its shape for sizes that tell them apart."""
    names = {2: "component", 3: "feature"}
    axes = [names[size] for size in structure.shape(2, 3)]
    return [*axes[:-1], "other_feature"] if axes.count("feature") == 2 else axes
