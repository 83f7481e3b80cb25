"""What users hand in, at the door: rows, weights and starts become checked arrays, once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, validate_data

from mixtura.data.array import ArraySource
from mixtura.data.arrow import as_table
from mixtura.data.scanning import as_scanned
from mixtura.data.source import Source
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


class Entered(NamedTuple):
    """Rows that carry weight, which of those that were given they are (``None``: all), and how many were given."""

    source: Source
    kept: Array | None
    n_rows: int


def entered(
    estimator: BaseEstimator, X: Any, sample_weight: Any, n_components: int, *, reset: bool, least: int = 1
) -> Entered:
    """Rows that an estimator is given, checked, in memory or to be gone over where they are.

    Parameters
    ----------
    estimator : BaseEstimator
    X : (N, D) array-like, or what ``mixtura.scan`` takes or returns
    sample_weight : array-like or None
    n_components : int
        There must be as many rows.
    reset : bool
        Whether the estimator learns what the columns are, or has them checked.
    least : int
        Rows without which nothing can be learnt.
    """
    source = as_scanned(X)
    if source is None:
        rows: Array = validate_data(
            estimator, as_rows(X), dtype=[np.float64, np.float32], ensure_min_samples=least, reset=reset
        )
        return Entered(*as_source(rows, sample_weight, n_components), len(rows))
    if sample_weight is not None:
        raise DataError("rows that are scanned have their weights in a column: mixtura.scan(…, sample_weight='name').")
    source.check_finite()
    check_columns(estimator, source.n_features, source.names, reset=reset)
    check_enough(source.n_rows, n_components)
    if source.n_rows < least:
        raise DataError(f"{least} rows are needed at least; there are {source.n_rows}.")
    source.check_squares_representable()
    return Entered(source, None, source.n_rows)


def check_columns(estimator: BaseEstimator, n_features: int, names: tuple[str, ...] | None, *, reset: bool) -> None:
    """What scikit-learn does of columns and their names in memory."""
    if reset:
        estimator.n_features_in_ = n_features
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
        return
    name, known = type(estimator).__name__, getattr(estimator, "feature_names_in_", None)
    if n_features != estimator.n_features_in_:
        raise DataError(
            f"X has {n_features} features, but {name} is expecting {estimator.n_features_in_} features as input."
        )
    if known is not None and names is not None and list(known) != list(names):
        raise DataError(
            f"the columns are {', '.join(map(repr, names))}; the fit is of {', '.join(map(repr, known))}. "
            "Name them in this order: mixtura.scan(…, columns=[…])."
        )


def check_enough(n_rows: int, n_components: int, carrying: str = "") -> None:
    """Raise if there are fewer rows than components."""
    if n_rows < n_components:
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, n_samples = {n_rows}{carrying}. "
            "Ask for fewer components."
        )


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
    check_enough(len(X), n_components, "" if kept is None else " of positive weight")
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


def variance_floor(reg_covar: str | float, source: Source, sample: SeedingSample) -> Floor:
    """The floor that ``reg_covar`` stands for: one for each column by default, or a number for all of them."""
    precision = np.finfo(source.dtype)
    if isinstance(reg_covar, str):
        return default_floor(sample, source.facts.magnitude, float(precision.eps))
    if not reg_covar:
        return Floor(0.0, 0.0)
    # A number that rounding, or the range of numbers, leaves nothing of is raised to what they do leave.
    least = np.maximum((8 * float(precision.eps) * source.facts.magnitude) ** 2, float(precision.tiny) ** 0.5)
    given = np.maximum(float(reg_covar), least)
    return Floor(given, given)


def remedy_of(stop: Stop) -> str:
    """What to try where a fit has not converged."""
    return " Increase max_iter, or try other starts." if stop.reason == "max_iter" else ""
