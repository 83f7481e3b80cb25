"""The conjugate prior of ``BayesianGaussianMixture``: scikit-learn's parameters, and what stands for those that are not given."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mixtura.data.source import Source
from mixtura.estimators.inputs import as_numbers, shown
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import EPS, Array, outer, raise_correlations, raise_eigenvalues
from mixtura.inference.starts.empirical import CORRELATION
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.weights import Dirichlet, StickBreaking, WeightPosterior
from mixtura.model.moments import Moments
from mixtura.sweep import moments_of_all

FARTHEST = 1e7
"""Prior standard deviations from the data at which a prior mean may lie."""
TINY = float(np.finfo(np.float64).tiny) ** 0.5
"""What stands for the variance of a column of zeros, where there is no floor."""


PRIORS = ("data", "weakly-informative")
"""What stands for parameters that are not given."""
FRACTION = 0.02
"""Of the squared range, the expectation of ``β``, the half of the scale of a variance, in Richardson and Green's prior."""


def conjugate_prior(
    source: Source,
    structure: SharedBlocks,
    prior: str | NormalInverseWishart,
    *,
    mean: ArrayLike | None,
    mean_precision: float | None,
    covariance: ArrayLike | None,
    degrees_of_freedom: float | None,
    floor: Array | float,
) -> NormalInverseWishart:
    """The prior of means and covariances; where ``prior`` is a name, no variance of its covariance is below ``floor``."""
    n_features, moments = source.n_features, moments_of_all(source, diagonal=structure.diagonal)
    if isinstance(prior, str):
        base = _DEFAULTS[prior](source, structure, moments, floor)
    elif len(prior.mean) == n_features:
        base = prior
    else:
        raise InvalidParameterError(f"prior is for {len(prior.mean)} features; the data have {n_features}.")
    location = base.mean if mean is None else as_numbers(mean, "mean_prior")
    if location.shape != (n_features,) or not np.isfinite(location).all():
        raise InvalidParameterError(f"mean_prior must be {n_features} finite numbers; got {shown(mean)}.")
    scale = base.scale
    if covariance is not None:
        given, expected = as_numbers(covariance, "covariance_prior"), structure.block_shape(n_features)
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
    degrees = base.degrees_of_freedom if degrees_of_freedom is None else float(degrees_of_freedom)
    if not degrees > n_features - 1:
        raise InvalidParameterError(
            f"degrees_of_freedom_prior must exceed D − 1 = {n_features - 1}; got {degrees_of_freedom!r}."
        )
    precision = base.mean_precision if mean_precision is None else float(mean_precision)
    return NormalInverseWishart(location, precision, scale, degrees)


def _of_data(source: Source, structure: SharedBlocks, moments: Moments, floor: Array | float) -> NormalInverseWishart:
    """scikit-learn's default: about the mean, the unbiased covariance, its diagonal or the mean of that, worth as many rows as columns."""
    count = max(moments.count[0], source.n_rows, 2.0)  # weights below one are no fraction of a row
    spread = moments.scatter()[0] / moments.count[0] * (count / (count - 1))
    spread = spread if spread.ndim == 2 else np.diag(spread)
    raised = raise_correlations(raise_eigenvalues(spread[None], _least(source, floor)), CORRELATION)
    return NormalInverseWishart(moments.means()[0], 1.0, _as_structured(structure, raised[0]), float(source.n_features))


def _weakly_informative(
    source: Source, structure: SharedBlocks, moments: Moments, floor: Array | float
) -> NormalInverseWishart:
    """In the manner of Richardson and Green (1997), with ``β`` at its expectation: means of the spread of the range about its middle."""
    squares = np.maximum((source.facts.highest - source.facts.lowest) ** 2, _least(source, floor) / (2 * FRACTION))
    scale = _as_structured(structure, np.diag(2 * FRACTION * squares))
    middle = source.facts.lowest + 0.5 * (source.facts.highest - source.facts.lowest)
    # A variance of a matrix or of a diagonal then has a law of shape two; a sphere counts its rows once for each column.
    degrees = source.n_features + 3.0 if len(structure.block_shape(source.n_features)) == 2 else 4.0
    return NormalInverseWishart(middle, FRACTION, scale, max(degrees, float(source.n_features)))


def _least(source: Source, floor: Array | float) -> Array:
    return np.asarray(np.maximum(np.maximum(floor, (8 * EPS * source.facts.magnitude) ** 2), TINY))


def _as_structured(structure: SharedBlocks, covariance: Array) -> Array:
    block = structure.prior_block(covariance)[0]
    return block if block.ndim == 2 else np.eye(len(covariance)) * block


_DEFAULTS = dict(zip(PRIORS, (_of_data, _weakly_informative), strict=True))


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
