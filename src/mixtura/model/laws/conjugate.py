"""The conjugate prior of a Gaussian mixture's components, for posterior modes (MAP) and for posteriors alike.

    μ_k | Σ_k ~ N(m₀, Σ_k / κ₀),   Σ_k ~ InverseWishart(Ψ₀, ν₀)

with the natural analogues for the other structures, and one prior for a block that components share. A prior counts as ``ν₀`` rows in all
of them: each variance of a diagonal has an inverse gamma law of shape ``ν₀/2`` and rate ``ψ_d/2``, and a sphere is ``D`` equal variances,
so its one variance has shape ``Dν₀/2`` and rate ``tr Ψ₀/2``. Source: Fraley and Raftery (2007), "Bayesian regularization for normal mixture
estimation and model-based clustering"; they count single coordinates for a sphere, so that their ``ν`` is ``Dν₀`` there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, outer
from mixtura.ground.special import LEAST
from mixtura.model.covariance import InverseWishartPenalty
from mixtura.model.mixture import Mixture


@dataclass(frozen=True, eq=False)
class NormalInverseWishart:
    """Conjugate prior of the components' means and covariances.

    Parameters
    ----------
    mean : (D,) array-like
        ``m₀``.
    mean_precision : float
        ``κ₀ > 0``, in units of observations.
    scale : (D, D) array-like
        ``Ψ₀``, symmetric positive definite.
    degrees_of_freedom : float
        ``ν₀ > D − 1``, in units of observations.

    Examples
    --------
    A prior keeps a component on repeated rows from collapsing:

    >>> import numpy as np
    >>> import mixtura as mx
    >>> X = np.r_[np.zeros((5, 1)), np.arange(10.0, 20.0)[:, None]]
    >>> prior = mx.NormalInverseWishart(mean=[9.0], mean_precision=0.01, scale=[[4.0]], degrees_of_freedom=3)
    >>> gm = mx.GaussianMixture(2, covariance_prior=prior, reg_covar=0, random_state=0).fit(X)
    >>> bool(gm.covariances_.min() > 0.3)
    True
    """

    mean: Array
    mean_precision: float
    scale: Array
    degrees_of_freedom: float

    def __init__(self, mean: ArrayLike, mean_precision: float, scale: ArrayLike, degrees_of_freedom: float) -> None:
        try:
            m0, psi = np.array(mean, dtype=np.float64), np.array(scale, dtype=np.float64)
            precision, degrees = float(mean_precision), float(degrees_of_freedom)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidParameterError(
                f"the prior's mean, mean_precision, scale and degrees_of_freedom must be real numbers; {error}."
            ) from error
        n_features = m0.size
        if m0.ndim != 1 or not n_features or not np.isfinite(m0).all():
            raise InvalidParameterError(f"the prior's mean must be D finite numbers; got {mean!r}.")
        if psi.shape != (n_features, n_features) or not np.isfinite(psi).all():
            raise InvalidParameterError(
                f"the prior's scale must be a finite ({n_features}, {n_features}) matrix; got shape {psi.shape}: {scale!r}."
            )
        deviations = np.sqrt(np.abs(np.diagonal(psi)))
        if (np.abs(psi - psi.T) > 1e-8 * outer(deviations)).any():
            raise InvalidParameterError(f"the prior's scale must be symmetric; got {scale!r}.")
        variances = np.diagonal(psi)
        # Of the correlations: in mixed units the eigenvalues of the matrix itself are lost in rounding.
        smallest = variances.min() if variances.min() <= 0 else np.linalg.eigvalsh(psi / outer(np.sqrt(variances)))[0]
        if smallest <= 0:
            raise InvalidParameterError(
                f"the prior's scale must be positive definite; the smallest eigenvalue of its correlations is {smallest:.3g}."
            )
        if not LEAST <= precision < np.inf:
            raise InvalidParameterError(
                f"the prior's mean_precision must be positive, {LEAST} at least; got {mean_precision!r}."
            )
        if not LEAST <= degrees - (n_features - 1) < np.inf:
            raise InvalidParameterError(
                f"the prior's degrees_of_freedom must exceed D − 1 = {n_features - 1}, by {LEAST} at least; "
                f"got {degrees_of_freedom!r}."
            )
        for array in (m0, psi):
            array.setflags(write=False)
        object.__setattr__(self, "mean", m0)
        object.__setattr__(self, "mean_precision", precision)
        object.__setattr__(self, "scale", psi)
        object.__setattr__(self, "degrees_of_freedom", degrees)

    @classmethod
    def from_data_moments(cls, mean: Array, covariance: Array, n_components: int) -> NormalInverseWishart:
        """The weak prior of Fraley and Raftery: ``κ₀ = 0.01``, ``ν₀ = D + 2``, ``Ψ₀ = S / K^(2/D)`` with ``S`` the data's covariance.

        In a sphere that counts as much as in the other structures, as ``D + 2`` rows; with them, as ``D + 2`` coordinates.
        """
        n_features = len(mean)
        return cls(mean, 0.01, covariance / n_components ** (2 / n_features), n_features + 2)

    @property
    def penalty(self) -> InverseWishartPenalty:
        """The part that falls on the covariances alone."""
        return InverseWishartPenalty(self.scale, self.degrees_of_freedom)

    def posterior_means(self, counts: Array, means: Array) -> Array:
        """``(κ₀ m₀ + n_k x̄_k) / (κ₀ + n_k)``, shape ``(K, D)``."""
        share = counts / (self.mean_precision + counts)
        return self.mean + share[:, None] * (means - self.mean)

    def shrinkage_scatter(self, counts: Array, means: Array, diagonal: bool) -> Array:
        """``κ₀ n_k / (κ₀ + n_k) (x̄_k − m₀)(x̄_k − m₀)ᵀ``: what pulling the mean adds to the scatter."""
        factor = self.mean_precision * counts / (self.mean_precision + counts)
        offset = means - self.mean
        if diagonal:
            return factor[:, None] * offset**2
        return factor[:, None, None] * outer(offset)

    def log_density(self, mixture: Mixture) -> float:
        """Log prior density of a mixture's means and covariances, without constants."""
        whitened = mixture.scorer.whitened((self.mean - mixture.means)[:, None, :])
        whitening = mixture.scorer.whitening
        diagonals = whitening if whitening.ndim == 2 else np.diagonal(whitening, axis1=-2, axis2=-1)
        on_means = np.log(diagonals).sum() - 0.5 * self.mean_precision * np.sum(whitened**2)
        return float(on_means + mixture.structure.log_penalty(mixture.covariances, self.penalty))
