"""The conjugate prior of ``BayesianGaussianMixture``: scikit-learn's parameters, and what stands for those that are not given."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import EPS, raise_eigenvalues
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.weight_posterior import Dirichlet, StickBreaking, WeightPosterior
from mixtura.sweep import moments_of_all

TINY = float(np.finfo(np.float64).tiny) ** 0.5


def conjugate_prior(
    source: ArraySource,
    structure: SharedBlocks,
    *,
    mean: ArrayLike | None,
    mean_precision: float | None,
    covariance: ArrayLike | None,
    degrees_of_freedom: float | None,
    floor: float,
) -> NormalInverseWishart:
    """The prior of means and covariances; the default covariance, that of the data, has no eigenvalue below ``floor``."""
    n_features = source.n_features
    moments = moments_of_all(source, diagonal=structure.diagonal)
    location = moments.means()[0] if mean is None else np.asarray(mean, dtype=np.float64)
    if location.shape != (n_features,):
        raise InvalidParameterError(f"mean_prior must have shape ({n_features},); got {location.shape}.")
    if covariance is None:
        # scikit-learn's default: the unbiased covariance, its diagonal or the mean of that.
        spread = moments.scatter()[0] / max(moments.count[0] - 1, 1)
        spread = spread if spread.ndim == 2 else np.diag(spread)
        rounding = 64 * n_features * EPS * np.diagonal(spread).max()
        given = structure.prior_block(raise_eigenvalues(spread[None], max(floor, rounding, TINY))[0])[0]
    else:
        given = np.asarray(covariance, dtype=np.float64)
        expected = structure.block_shape(n_features)
        if given.shape != expected:
            raise InvalidParameterError(
                f"covariance_prior of covariance type {structure.name!r} must have shape {expected}; got {given.shape}."
            )
    scale = given if given.ndim == 2 else np.eye(n_features) * given
    degrees = float(n_features if degrees_of_freedom is None else degrees_of_freedom)
    if not degrees > n_features - 1:
        raise InvalidParameterError(
            f"degrees_of_freedom_prior must exceed D − 1 = {n_features - 1}; got {degrees_of_freedom!r}."
        )
    return NormalInverseWishart(location, 1.0 if mean_precision is None else float(mean_precision), scale, degrees)


def weight_prior(n_components: int, concentration: float, process: bool) -> WeightPosterior:
    """Stick-breaking weights of a Dirichlet process, or symmetric Dirichlet ones, before any data."""
    nothing = np.zeros(n_components)
    if process:
        sticks = np.stack([nothing + 1, nothing + concentration], axis=1)
        return StickBreaking(concentration, sticks, np.arange(n_components))
    return Dirichlet(concentration, nothing + concentration)
