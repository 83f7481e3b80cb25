"""Draws in a file: NetCDF with all that ArviZ has, or NumPy's ``.npz`` with the draws alone. ``docs/draws.md`` says what is in them.

Neither is a pickle. A file appears whole or not at all, and what is read is checked: names, shapes, numbers.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from mixtura.assess.draws.arviz import SLOTS, netcdf_content, read_netcdf, to_arviz
from mixtura.assess.draws.diagnostics import STATISTICS, checked_statistics
from mixtura.assess.draws.swept import source_of
from mixtura.data.source import Source
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.files import atomic_path
from mixtura.ground.text import printable
from mixtura.model.covariance import covariance_structure
from mixtura.model.draws import Draws
from mixtura.model.rows import evenly_spaced

FORMAT = "mixtura.draws"
VERSION = 1
PARAMETERS = "weights", "means", "covariances"
OF_STATISTICS = "sample_stats."
"""What the names of statistics begin with in ``.npz``."""
MOST_NUMBERS = 2**25
"""Log-likelihoods that a file has: 256 MB; with more, those of some of the rows."""
ROUNDING = 1e-9
"""How far weights may sum to something else than one."""
FIRST_BYTES = {b"\x89HDF\r\n\x1a\n": ".nc", b"PK\x03\x04": ".npz"}


class SavedDraws(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    draws : Draws
    statistics : dict of (C, S) arrays
        What the sampler said of each draw.
    feature_names : tuple of str or None
    """

    draws: Draws
    statistics: dict[str, NDArray[Any]]
    feature_names: tuple[str, ...] | None


def save_draws(path: str | os.PathLike[str], draws: Draws, X: ArrayLike | Source, **settings: Any) -> None:
    """Write draws to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        Ends in ``.nc`` (NetCDF, which needs ArviZ and h5netcdf: the extra ``mcmc``) or in ``.npz``.
    draws : Draws
    X : (N, D) array-like or Source
        The rows that they were inferred from.
    **settings
        As for ``draws_content``.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mixtura.assess.draws.draws_file import load_draws, save_draws
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> draws = Draws(covariance_structure("spherical"), np.ones((2, 9, 1)), np.zeros((2, 9, 1, 1)), np.ones((2, 9, 1)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "draws.npz")
    ...     save_draws(path, draws, [[0.0], [1.0]], feature_names=["height"])
    ...     kept = load_draws(path)
    >>> kept.draws.means.shape, kept.feature_names
    ((2, 9, 1, 1), ('height',))
    """
    content = draws_content(Path(path).suffix, draws, X, **settings)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def draws_content(
    suffix: str,
    draws: Draws,
    X: ArrayLike | Source,
    *,
    statistics: Mapping[str, ArrayLike] | None = None,
    components: Draws | None = None,
    prior: Any = None,
    feature_names: Sequence[str] | None = None,
) -> bytes:
    """What ``save_draws`` writes, for whoever writes several files together.

    Parameters
    ----------
    suffix : {".nc", ".npz"}
    draws : Draws
    X : (N, D) array-like or Source
    statistics, components, prior, feature_names
        As for ``to_arviz``; ``.npz`` has neither rows, nor what can be computed from them again.

    Raises
    ------
    InvalidParameterError
        If the name ends in something else.
    MissingExtraError
        For NetCDF without ArviZ or h5netcdf.
    """
    suffix = suffix.lower()
    if suffix == ".npz":
        return _npz(draws, checked_statistics(draws, statistics), feature_names)
    if suffix != ".nc":
        raise InvalidParameterError(f"a file of draws must have a name that ends in .nc or .npz; got {suffix!r}.")
    names = (
        None if feature_names is None else [name.encode("utf-8", "backslashreplace").decode() for name in feature_names]
    )
    source = source_of(draws, X)
    rows = evenly_spaced(source.n_rows, max(1, MOST_NUMBERS // len(draws)))
    tree = to_arviz(draws, source, statistics, components=components, prior=prior, rows=rows, feature_names=names)
    tree.attrs |= {"format": FORMAT, "version": VERSION, "covariance_type": draws.structure.name}
    tree.attrs["named_columns"] = int(feature_names is not None)
    return netcdf_content(tree)


def load_draws(path: str | os.PathLike[str]) -> SavedDraws:
    """Read what ``save_draws`` has written.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    DataError
        If the file is something else, or damaged.
    OSError
        If it cannot be opened.
    MissingExtraError
        For NetCDF without ArviZ or h5netcdf.

    Examples
    --------
    >>> import os, tempfile
    >>> import mixtura as mx
    >>> X, _ = mx.Mixture([0.5, 0.5], [[0.0], [9.0]], [1.0, 1.0], "spherical").sample(50, random_state=0)
    >>> sm = mx.SampledGaussianMixture(1, sampler="gibbs", random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sm.save_draws(os.path.join(folder, "draws.npz"), X)
    ...     saved = mx.load_draws(os.path.join(folder, "draws.npz"))
    >>> bool((saved.draws.means == sm.draws_.means).all())
    True
    """
    where = printable(os.fspath(path))
    with Path(path).open("rb") as file:
        beginning = file.read(8)
    kind = next((suffix for first, suffix in FIRST_BYTES.items() if beginning.startswith(first)), None)
    if kind is None:
        raise DataError(f"{where} is not a file of draws: it is neither NetCDF nor .npz.")
    with _told(where):
        parts = _of_npz(path) if kind == ".npz" else _of_netcdf(path)
    if parts.get("format") != FORMAT:
        raise DataError(f"{where} is not a file of draws: it does not say that its format is {FORMAT!r}.")
    if parts.get("version") != VERSION:
        raise DataError(f"{where} has version {parts.get('version')!s:.60}; this mixtura reads version {VERSION}.")
    with _told(where):
        return _checked(parts)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Whatever goes wrong on the way through a foreign file is one sentence."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        own = isinstance(error, ValueError | OSError | zipfile.BadZipFile)
        reason = str(error).partition("\n")[0].strip(" .") if own else f"it cannot be read ({type(error).__name__})"
        raise DataError(f"{where} is damaged: {printable(reason)}.") from error


# ---- .npz ----------------------------------------------------------------------------------------------------------------------


def _npz(draws: Draws, statistics: Mapping[str, NDArray[Any]], feature_names: Sequence[str] | None) -> bytes:
    arrays: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "covariance_type": draws.structure.name,
        **{name: getattr(draws, name) for name in PARAMETERS},
        **{OF_STATISTICS + name: values for name, values in statistics.items()},
    }
    if feature_names is not None:
        arrays["feature_names"] = np.array(list(feature_names), dtype=np.str_)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _of_npz(path: str | os.PathLike[str]) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        arrays = {info.filename.removesuffix(".npy"): _member(archive, info) for info in archive.infolist()}
    parts: dict[str, Any] = {name: value.item() if value.ndim == 0 else value for name, value in arrays.items()}
    own = {name for name in parts if name.startswith(OF_STATISTICS)}
    parts["statistics"] = {name.removeprefix(OF_STATISTICS): parts.pop(name) for name in own}
    return parts


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, after a look at its size: a small file cannot ask for much memory."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename!r} is packed, as no file of draws is")
    with archive.open(info) as file:
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
        shape, by_columns, dtype = read(file)
        content = file.read()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{info.filename!r} is not an array of {'×'.join(map(str, shape))} numbers")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


# ---- NetCDF --------------------------------------------------------------------------------------------------------------------


def _of_netcdf(path: str | os.PathLike[str]) -> dict[str, Any]:
    with read_netcdf(path) as tree:
        if tree.attrs.get("format") != FORMAT:
            return {}
        group = tree[SLOTS if SLOTS in tree.children else "posterior"]
        stats = tree["sample_stats"].data_vars if "sample_stats" in tree.children else {}
        return {
            **{name: tree.attrs.get(name) for name in ("format", "version", "covariance_type")},
            **{name: group[name].values for name in PARAMETERS if name in group},
            "statistics": {name: values.values for name, values in stats.items()},
            **({"feature_names": group["feature"].values.astype(np.str_)} if tree.attrs.get("named_columns") else {}),
        }


# ---- what is read is checked ---------------------------------------------------------------------------------------------------


def _checked(parts: Mapping[str, Any]) -> SavedDraws:
    missing = [name for name in ("covariance_type", *PARAMETERS) if parts.get(name) is None]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    structure = covariance_structure(parts["covariance_type"])
    weights, means, covariances = (np.asarray(parts[name]) for name in PARAMETERS)
    if weights.ndim != 3 or means.ndim != 4 or means.shape[:3] != weights.shape or not means.size:
        raise ValueError(f"weights of shape {weights.shape} do not go with means of shape {means.shape}")
    expected = (*weights.shape[:2], *structure.shape(*means.shape[2:]))
    if covariances.shape != expected:
        raise ValueError(f"covariances should have shape {expected} and have {covariances.shape}")
    for name, values in (("weights", weights), ("means", means), ("covariances", covariances)):
        if values.dtype != np.float64 or not np.isfinite(values).all():
            raise ValueError(f"{name} are not finite numbers in float64")
    if (weights < 0).any() or np.abs(weights.sum(axis=2) - 1).max() > ROUNDING:
        raise ValueError("weights are not positive numbers that sum to one")
    draws = Draws(structure, weights, means, covariances)
    _check_covariances(draws)
    unknown = [name for name in parts["statistics"] if name not in STATISTICS]
    if unknown:
        raise ValueError(f"it holds statistics of another kind: {', '.join(sorted(unknown))}")
    names = parts.get("feature_names")
    if names is not None and (np.shape(names) != (draws.n_features,) or names.dtype.kind != "U"):
        raise ValueError(f"feature_names are not {draws.n_features} names")
    return SavedDraws(
        draws,
        checked_statistics(draws, parts["statistics"]),
        None if names is None else tuple(names.tolist()),
    )


def _check_covariances(draws: Draws) -> None:
    """Raise unless all of them are positive definite."""
    matrices = draws.covariance_matrices.reshape(-1, draws.n_features, draws.n_features)
    if not np.array_equal(matrices, matrices.swapaxes(1, 2)):
        raise ValueError("covariances are not symmetric")
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError as error:
        raise ValueError("covariances are not positive definite") from error
