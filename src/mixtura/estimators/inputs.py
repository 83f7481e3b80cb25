"""What users hand in, at the door: rows, weights and starts become checked arrays, once."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from mixtura.data.array import ArraySource
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.covariance.structure import check_natural_shape
from mixtura.model.mixture import Mixture, check_positive_definite, check_responsibilities


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
    if len(X) < n_components:
        carrying = "" if kept is None else " of positive weight"
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, n_samples = {len(X)}{carrying}. "
            "Ask for fewer components."
        )
    source = ArraySource(X, weights)
    source.check_squares_representable()
    return source, kept


def as_partition(given: Any, kept: Array | None, n_rows: int, n_components: int) -> Array:
    """Labels ``(N,)`` or responsibilities ``(N, K)`` to begin with, for the rows that carry weight."""
    partition = np.asarray(given)
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
        partition = check_responsibilities(partition, n_rows, n_components)
    return partition if kept is None else partition[kept]


def given_weights(weights_init: Any, n_components: int) -> Array:
    """Checked ``weights_init``."""
    weights = np.asarray(weights_init, dtype=np.float64)
    if weights.shape != (n_components,) or (weights < 0).any() or not abs(weights.sum() - 1) < 1e-6:
        raise InvalidParameterError(
            f"weights_init must be {n_components} non-negative numbers that sum to 1; got {weights_init!r}."
        )
    return weights / weights.sum()


def given_means(means_init: Any, n_components: int, n_features: int) -> Array:
    """Checked ``means_init``."""
    means = np.array(means_init, dtype=np.float64)
    if means.shape != (n_components, n_features) or not np.isfinite(means).all():
        raise InvalidParameterError(
            f"means_init must have shape ({n_components}, {n_features}) and be finite; got shape {means.shape}."
        )
    return means


def covariances_from_precisions(
    precisions_init: Any, structure: CovarianceStructure, n_components: int, n_features: int
) -> Array:
    """Covariances (the structure's natural array) of checked ``precisions_init``."""
    precisions = np.array(precisions_init, dtype=np.float64)
    check_natural_shape(structure, precisions, n_components, n_features, "precisions_init")
    factor = check_positive_definite(structure, precisions, (n_components, n_features), "precisions_init")
    return structure.precisions(factor)


def replace_parts(base: Mixture, weights: Array | None, means: Array | None, covariances: Array | None) -> Mixture:
    """A start with the parts that the user gave."""
    return Mixture(
        base.weights if weights is None else weights,
        base.means if means is None else means,
        base.covariances if covariances is None else covariances,
        base.covariance_type,
    )
