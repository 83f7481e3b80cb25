"""Draws for ArviZ, and leave-one-out cross-validation by it. The one file of the house that imports ``arviz_base`` and ``arviz_stats``.

The small libraries are asked. What ``arviz_base`` makes is an ``xarray.DataTree``, which ``arviz_stats``, ``arviz_plots`` and the package
``arviz`` from 1.0 read. An ``arviz`` before that knows only its own ``InferenceData``; where there is one, ``for_installed`` asks it for
that, which the others read too.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.assess.draws.convergence import bulk_size
from mixtura.assess.draws.diagnostics import checked_statistics
from mixtura.assess.draws.swept import source_of
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError, MissingExtraError, missing_extra
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState, as_generator
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.draws import Draws
from mixtura.model.mixture import Mixture
from mixtura.model.rows import default_names, evenly_spaced

MOST_NUMBERS = 2**28
"""Densities of rows under draws that are kept: 2 GB."""
MOST_REPLICATED = 2**25
"""Numbers in rows drawn anew that are kept: 256 MB."""
N_PRIOR_DRAWS = 1000
ENGINE = "h5netcdf"
"""What reads and writes NetCDF."""
COMPONENTS, SLOTS = "components", "slots"
"""The groups that are not of ArviZ's schema."""


class DrawablePrior(Protocol):
    """A prior of all parameters of a mixture that can be drawn from."""

    def draw(self, n_components: int, structure: CovarianceStructure, rng: np.random.Generator) -> Mixture:
        """One mixture."""


def to_arviz(
    draws: Draws,
    X: ArrayLike | Source,
    statistics: Mapping[str, ArrayLike] | None = None,
    *,
    components: Draws | None = None,
    prior: DrawablePrior | None = None,
    rows: ArrayLike | None = None,
    log_likelihood: bool = True,
    n_replicates: int = 400,
    feature_names: Sequence[str] | None = None,
    random_state: RandomState = 0,
) -> Any:
    """All that is known from draws as an ``xarray.DataTree``, for ArviZ.

    Groups, over the dimensions ``chain`` and ``draw`` and those named here:

    - ``posterior``: ``weights`` (component), ``means`` (component × feature), ``scales``, the standard deviations, and ``covariances`` in
      the shape of the structure (component × feature × other_feature, or fewer); and what needs no labels: ``weights_by_size`` (rank),
      ``overall_mean`` and ``overall_scale`` (feature), mean and standard deviations of the mixture as a whole. Parameters of single
      components mean something only where labels are straight: pass the draws of a ``Relabelling``.
    - ``slots``, where the number of components differs among draws: the parameters of all of them; those of a component without weight
      mean nothing. The posterior then has what needs no labels alone, with ``n_filled``.
    - ``components``, in that case: the parameters of those draws that have the likeliest number, as one chain, if they are given.
    - ``sample_stats``: what the sampler says of each draw.
    - ``prior``: 1000 draws of the parameters.
    - ``posterior_predictive``: ``x`` (row × feature), a set of new rows, as many as the data have, under each of some draws, evenly
      spaced in each chain.
    - ``log_likelihood``: ``x`` (row), labels summed out.
    - ``observed_data``: ``x`` (row × feature).

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like or Source
        The rows that they were inferred from.
    statistics : mapping of str to (C, S) array-like, optional
        Some of ``diagnostics.STATISTICS``.
    components : Draws, optional
        Relabelled draws of the likeliest number of components, where the number differs among draws.
    prior : object with ``draw(n_components, structure, rng)``, optional
        Such as ``IndependentPrior``; it gives one ``Mixture``. Only where the number of components is known.
    rows : (M,) integer array-like, optional
        Log-likelihood, new rows and data are of these rows, which takes ``8·C·S·M`` bytes; of all of them by default.
    log_likelihood : bool
        Whether there is such a group.
    n_replicates : int, default=400
        Most sets of new rows; fewer where they would take more than 256 MB; none for zero.
    feature_names : sequence of str, optional
        By default ``x0``, ``x1`` …
    random_state : None, int, numpy Generator or RandomState, default=0
        For new rows and draws from the prior.

    Returns
    -------
    xarray.DataTree

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.draws.arviz import to_arviz
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> rng = np.random.default_rng(0)
    >>> means = np.array([0.0, 5.0])[:, None] + rng.normal(size=(4, 100, 2, 1))
    >>> draws = Draws(covariance_structure("spherical"), np.full((4, 100, 2), 0.5), means, np.ones((4, 100, 2)))
    >>> tree = to_arviz(draws, [[0.0], [4.0], [5.0]])
    >>> list(tree.children)
    ['posterior', 'posterior_predictive', 'log_likelihood', 'observed_data']
    >>> tree["posterior_predictive"]["x"].sizes
    Frozen({'chain': 4, 'draw': 100, 'row': 3, 'feature': 1})
    """
    try:
        import arviz_base
    except ImportError as error:
        raise missing_extra("ArviZ containers", "mcmc") from error
    given, source, rng = checked_statistics(draws, statistics), source_of(draws, X), as_generator(random_state)
    chosen = _chosen(rows, source.n_rows)
    data = draws.as_rows(source.take(chosen)[0])
    groups: dict[str, dict[str, Array]] = {"posterior": _of_the_whole(draws)}
    if components is None and (draws.weights > 0).all():
        groups["posterior"] = _of_components(draws) | groups["posterior"]
    else:
        groups["posterior"] |= {name: given[name] for name in ("n_filled",) if name in given}
        groups[SLOTS] = _of_components(draws)
    if components is not None:
        groups[COMPONENTS] = _of_components(components)
    if given:
        groups["sample_stats"] = given
    if prior is not None:
        if SLOTS in groups:
            raise InvalidParameterError(
                "draws from the prior need a number of components; here it differs among draws."
            )
        groups["prior"] = _prior_draws(prior, draws, rng)
    places = _replicated(draws, n_replicates, data.size)
    if len(places):
        groups["posterior_predictive"] = {"x": _new_rows(draws, places, len(chosen), rng)}
    if log_likelihood:
        groups["log_likelihood"] = {"x": _log_pdfs(draws, data)}
    groups["observed_data"] = {"x": data}
    names = list(feature_names or default_names(draws.n_features))
    tree = arviz_base.from_dict(
        groups,
        dims=_dimensions(draws.structure),
        coords={"feature": names, "other_feature": names, "row": chosen},
        check_conventions=False,  # which warns of more chains than draws
        attrs={"/": {"inference_library": "mixtura"}},
    )
    if len(places):
        predictive = tree["posterior_predictive"]
        predictive.dataset = predictive.to_dataset().assign_coords(draw=places)
    return tree


def _dimensions(structure: CovarianceStructure) -> dict[str, list[str]]:
    return {
        "weights": ["component"],
        "means": ["component", "feature"],
        "scales": [axis for axis in ("component", "feature") if axis in _axes_of_scales(structure)],
        "covariances": _covariance_dimensions(structure),
        "weights_by_size": ["rank"],
        "overall_mean": ["feature"],
        "overall_scale": ["feature"],
        "x": ["row", "feature"],
    }


def _axes_of_scales(structure: CovarianceStructure) -> set[str]:
    """In which directions standard deviations differ."""
    axes = {"component"} & set(_covariance_dimensions(structure))
    return axes | {"feature"} if structure.scales_by_feature else axes


def _of_components(draws: Draws) -> dict[str, Array]:
    axes, scales = _axes_of_scales(draws.structure), np.sqrt(draws.variances)
    scales = scales if "feature" in axes else scales[..., 0]
    scales = scales if "component" in axes else scales[:, :, 0]
    return {"weights": draws.weights, "means": draws.means, "scales": scales, "covariances": draws.covariances}


def _of_the_whole(draws: Draws) -> dict[str, Array]:
    """What labels cannot move."""
    by_size = -np.sort(-draws.weights, axis=2)
    return {"weights_by_size": by_size, "overall_mean": draws.overall_means, "overall_scale": draws.overall_deviations}


def _prior_draws(prior: DrawablePrior, draws: Draws, rng: np.random.Generator) -> dict[str, Array]:
    drawn = [prior.draw(draws.n_components, draws.structure, rng) for _ in range(N_PRIOR_DRAWS)]
    parts = (np.array([[getattr(one, name) for one in drawn]]) for name in ("weights", "means", "covariances"))
    own = Draws(draws.structure, *parts)
    return _of_components(own) | _of_the_whole(own)


def _replicated(draws: Draws, most: int, size: int) -> NDArray[np.intp]:
    """Draws of each chain, evenly spaced, under which rows are drawn anew; ``size`` numbers for each."""
    if most < 0:
        raise InvalidParameterError(f"n_replicates must be zero or positive; got {most!r}.")
    n_sets = min(most, max(1, MOST_REPLICATED // size))
    return evenly_spaced(draws.n_draws, n_sets // draws.n_chains or min(n_sets, 1))


def _new_rows(draws: Draws, places: NDArray[np.intp], n_rows: int, rng: np.random.Generator) -> Array:
    return np.array(
        [
            [draws.mixture(c, s).sample(n_rows, random_state=rng)[0] for s in places.tolist()]
            for c in range(draws.n_chains)
        ]
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
    found = container.from_datatree(tree.filter(lambda node: node.name not in (COMPONENTS, SLOTS)))
    ours = {name: tree[name].to_dataset() for name in (COMPONENTS, SLOTS) if name in tree.children}
    if ours:
        found.add_groups(ours)  # without a warning that these names are our own
    return found


def netcdf_content(tree: Any) -> bytes:
    """What ``to_arviz`` made as the bytes of a NetCDF file.

    Parameters
    ----------
    tree : xarray.DataTree

    Raises
    ------
    MissingExtraError
        Without h5netcdf.
    """
    _check_netcdf()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "draws.nc")
        tree.to_netcdf(path, engine=ENGINE)
        return path.read_bytes()


def read_netcdf(path: str | os.PathLike[str]) -> Any:
    """An ``xarray.DataTree``, still to be read and to be closed.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    MissingExtraError
        Without ArviZ or h5netcdf.
    """
    _check_netcdf()
    import arviz_base

    return arviz_base.convert_to_datatree(os.fspath(path), engine=ENGINE)


def _check_netcdf() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("arviz_base", ENGINE)):
        error = missing_extra("NetCDF files", "mcmc")
        raise MissingExtraError(f"{error}; files whose names end in .npz need none")


def loo(draws: Draws, X: ArrayLike | Source, rows: ArrayLike | None = None) -> Any:
    """Expected log predictive density of rows left out one by one, by Pareto-smoothed importance sampling.

    Labels are summed out of the densities, and the draws' efficiency is that of the log-likelihood, so labels have no influence. Vehtari,
    Gelman and Gabry (2017), "Practical Bayesian model evaluation using leave-one-out cross-validation and WAIC". ArviZ warns where a row
    has so much influence (``pareto_k``) that the estimate cannot be trusted.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like or Source
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
    >>> from mixtura.assess.draws.arviz import loo
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
    tree = to_arviz(draws, X, rows=rows, n_replicates=0)
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
