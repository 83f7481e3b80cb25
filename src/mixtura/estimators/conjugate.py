"""The conjugate prior of ``BayesianGaussianMixture``: scikit-learn's parameters, and what stands for those that are not given."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mixtura.data.array import ArraySource
from mixtura.estimators.inputs import as_numbers, shown
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import EPS, Array, outer, raise_correlations, raise_eigenvalues
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.weight_posterior import Dirichlet, StickBreaking, WeightPosterior
from mixtura.sweep import moments_of_all

FARTHEST = 1e7
"""Prior standard deviations from the data at which a prior mean may lie."""
CORRELATION = 1e-5
"""Smallest eigenvalue of the correlations of the default prior: it keeps components that lie in a subspace clear of rounding."""
TINY = float(np.finfo(np.float64).tiny) ** 0.5
"""What stands for the variance of a column of zeros, where there is no floor."""


def conjugate_prior(
    source: ArraySource,
    structure: SharedBlocks,
    *,
    mean: ArrayLike | None,
    mean_precision: float | None,
    covariance: ArrayLike | None,
    degrees_of_freedom: float | None,
    floor: Array | float,
) -> NormalInverseWishart:
    """The prior of means and covariances; the default covariance, that of the data, has no variance below ``floor``."""
    n_features = source.n_features
    moments = moments_of_all(source, diagonal=structure.diagonal)
    location = moments.means()[0] if mean is None else as_numbers(mean, "mean_prior")
    if location.shape != (n_features,) or not np.isfinite(location).all():
        raise InvalidParameterError(f"mean_prior must be {n_features} finite numbers; got {shown(mean)}.")
    if covariance is None:
        # scikit-learn's default: the unbiased covariance, its diagonal or the mean of that. Weights below one are no fraction of a row.
        count = max(moments.count[0], source.n_rows, 2.0)
        spread = moments.scatter()[0] / moments.count[0] * (count / (count - 1))
        spread = spread if spread.ndim == 2 else np.diag(spread)
        least = np.maximum(np.maximum(floor, (8 * EPS * source.magnitude) ** 2), TINY)
        spread = raise_correlations(raise_eigenvalues(spread[None], least), CORRELATION)
        given = structure.prior_block(spread[0])[0]
    else:
        given = as_numbers(covariance, "covariance_prior")
        expected = structure.block_shape(n_features)
        if given.shape != expected:
            raise InvalidParameterError(
                f"covariance_prior of covariance type {structure.name!r} must have shape {expected}; got {given.shape}."
            )
        check_covariance_prior(given)
    scale = given if given.ndim == 2 else np.eye(n_features) * given
    away = np.abs(location - moments.means()[0]) / np.sqrt(np.diagonal(scale))
    if away.max() > FARTHEST:
        raise InvalidParameterError(
            f"mean_prior lies {away.max():.3g} prior standard deviations from the data in column {int(away.argmax())}, "
            "which no digits are left of. Give one that is nearer."
        )
    degrees = float(n_features if degrees_of_freedom is None else degrees_of_freedom)
    if not degrees > n_features - 1:
        raise InvalidParameterError(
            f"degrees_of_freedom_prior must exceed D − 1 = {n_features - 1}; got {degrees_of_freedom!r}."
        )
    return NormalInverseWishart(location, 1.0 if mean_precision is None else float(mean_precision), scale, degrees)


def check_covariance_prior(given: Array) -> None:
    """Raise if the covariance that a prior was given is none."""
    variances = np.diagonal(given) if given.ndim == 2 else given
    if not np.isfinite(given).all() or not (variances > 0).all():
        raise InvalidParameterError(f"covariance_prior must be finite, with positive variances; got {shown(given)}.")
    if given.ndim == 2 and not (
        np.allclose(given, given.T, rtol=1e-8, atol=0.0)
        and np.linalg.eigvalsh(given / outer(np.sqrt(variances)))[0] > 0
    ):
        raise InvalidParameterError(f"covariance_prior must be symmetric and positive definite; got {shown(given)}.")


def weight_prior(n_components: int, concentration: float, process: bool) -> WeightPosterior:
    """Stick-breaking weights of a Dirichlet process, or symmetric Dirichlet ones, before any data."""
    if not 1e-300 <= concentration <= 1e300:
        raise InvalidParameterError(
            f"weight_concentration_prior must lie between 1e-300 and 1e300; got {concentration!r}."
        )
    nothing = np.zeros(n_components)
    if process:
        sticks = np.stack([nothing + 1, nothing + concentration], axis=1)
        return StickBreaking(concentration, sticks, np.arange(n_components))
    return Dirichlet(concentration, nothing + concentration)
