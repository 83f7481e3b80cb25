"""What users hand in, at the door: rows, weights and starts become checked arrays, once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from mixtura.data.array import ArraySource
from mixtura.data.arrow import as_table
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.rules.stopping import Stop
from mixtura.inference.starts.floor import Floor, default_floor
from mixtura.inference.starts.sample import SeedingSample
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.covariance.structure import check_natural_shape
from mixtura.model.mixture import check_positive_definite, check_responsibilities

MOST_WEIGHT = 1e280
"""Of all rows together, and one over the least."""
LARGEST = 1e150
"""Numbers beyond this have no squares."""


def as_rows(X: Any) -> Any:
    """Rows as scikit-learn can check them; what it would read as numbers in silence is refused."""
    if np.ma.isMaskedArray(X):
        raise DataError(
            "X is a masked array, and what lies under its mask would be read. Leave those rows out, or fill them in."
        )
    table = as_table(X)
    kinds = [np.dtype(kind) for kind in _dtypes(table) if isinstance(kind, np.dtype | type)]
    if any(kind.kind in "mM" for kind in kinds):
        raise DataError("X holds dates or durations. Turn them into numbers first, such as days since a date.")
    return table


def _dtypes(table: Any) -> Iterable[Any]:
    kinds = getattr(table, "dtypes", None)
    return [getattr(table, "dtype", None)] if kinds is None else kinds


def as_source(X: Array, sample_weight: Any, n_components: int) -> tuple[ArraySource, Array | None]:
    """The rows that carry weight as a source of blocks, and which they are (``None``: all).

    Parameters
    ----------
    X : (N, D) float array
        Finite.
    sample_weight : array-like or None
    n_components : int
    """
    kept = weights = None
    if sample_weight is not None:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weights.all():
            kept = weights > 0
            X, weights = X[kept], weights[kept]
    if isinstance(n_components, bool | np.bool_):
        raise InvalidParameterError(f"n_components must be an integer; got {n_components!r}.")
    if len(X) < n_components:
        carrying = "" if kept is None else " of positive weight"
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, n_samples = {len(X)}{carrying}. "
            "Ask for fewer components."
        )
    if weights is not None and not 1 / MOST_WEIGHT <= weights.sum() <= MOST_WEIGHT:
        raise DataError(
            f"sample_weight sums to {weights.sum():.3g}, too near the end of the range of numbers. Multiply it by a constant first."
        )
    if weights is not None and X.dtype == np.float32 and not 1e-30 < weights.min() <= weights.max() < 1e30:
        extreme = weights.max() if weights.max() >= 1e30 else weights.min()
        raise DataError(
            f"sample_weight holds {extreme:.3g}, which float32 data have no room for. Multiply it by a constant, or use float64."
        )
    source = ArraySource(X, weights)
    source.check_squares_representable()
    return source, kept


def as_partition(given: Any, kept: Array | None, n_rows: int, n_components: int) -> Array:
    """Labels ``(N,)`` or responsibilities ``(N, K)`` to begin with, for the rows that carry weight."""
    try:
        partition = np.asarray(given)
    except ValueError as error:
        raise InvalidParameterError(f"init_params must be one array of labels or responsibilities; {error}.") from error
    if partition.ndim == 1:
        if partition.shape != (n_rows,) or partition.dtype.kind not in "iu":
            raise InvalidParameterError(
                f"labels in init_params must be {n_rows} integers, one for each row; got shape {partition.shape}, "
                f"dtype {partition.dtype}."
            )
        if partition.min() < 0 or partition.max() >= n_components:
            raise InvalidParameterError(
                f"labels in init_params must lie in 0 … {n_components - 1}; found {partition.min()} to {partition.max()}."
            )
    else:
        partition = check_responsibilities(partition, n_rows, n_components, "init_params, as responsibilities,")
    return partition if kept is None else partition[kept]


def given_weights(weights_init: Any, n_components: int) -> Array:
    """Checked ``weights_init``."""
    weights = as_numbers(weights_init, "weights_init")
    if weights.shape != (n_components,) or not (weights >= 0).all() or not abs(weights.sum() - 1) < 1e-6:
        raise InvalidParameterError(
            f"weights_init must be {n_components} non-negative numbers that sum to 1; got {shown(weights_init)}."
        )
    return weights / weights.sum()


def given_means(means_init: Any, n_components: int, n_features: int) -> Array:
    """Checked ``means_init``."""
    means = as_numbers(means_init, "means_init")
    if means.shape != (n_components, n_features) or not np.isfinite(means).all():
        raise InvalidParameterError(
            f"means_init must have shape ({n_components}, {n_features}) and be finite; got shape {means.shape}."
        )
    if np.abs(means).max() > LARGEST:
        raise InvalidParameterError(
            f"means_init holds values as large as {np.abs(means).max():.3g}, whose squares overflow."
        )
    return means


def covariances_from_precisions(
    given: Any, structure: CovarianceStructure, n_components: int, n_features: int, name: str = "precisions_init"
) -> Array:
    """Covariances (the structure's natural array) of checked precisions."""
    precisions = as_numbers(given, name)
    check_natural_shape(structure, precisions, n_components, n_features, name)
    factor = check_positive_definite(structure, precisions, (n_components, n_features), name)
    return structure.precisions(factor)


def shown(value: Any, most: int = 80) -> str:
    """What was given, on one line and not at any length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[:most]} …"


def as_numbers(given: Any, name: str) -> Array:
    """A parameter as a float64 array, or an error that names it."""
    try:
        if np.iscomplexobj(given) or np.ma.isMaskedArray(given):
            raise TypeError("complex and masked arrays are not")
        return np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidParameterError(f"{name} must be an array of real numbers; {error}.") from error


def variance_floor(reg_covar: str | float, source: ArraySource, sample: SeedingSample) -> Floor:
    """The floor that ``reg_covar`` stands for: one for each column by default, or a number for all of them."""
    precision = np.finfo(source.rows.dtype)
    if isinstance(reg_covar, str):
        return default_floor(sample, source.magnitude, float(precision.eps))
    if not reg_covar:
        return Floor(0.0, 0.0)
    # A number that rounding, or the range of numbers, leaves nothing of is raised to what they do leave.
    least = np.maximum((8 * float(precision.eps) * source.magnitude) ** 2, float(precision.tiny) ** 0.5)
    given = np.maximum(float(reg_covar), least)
    return Floor(given, given)


def remedy_of(stop: Stop) -> str:
    """What to try where a fit has not converged."""
    return " Increase max_iter, or try other starts." if stop.reason == "max_iter" else ""
