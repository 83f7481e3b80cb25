"""What the data say about each direction of a mixture's parameters: observed information and Jacobians.

All in the unconstrained coordinates of ``model/coordinates.py`` about the mixture itself, where the complete-data information is the
identity. So an eigenvalue of the observed information is the share of the information that is left when labels are not seen, and one minus
it the rate at which expectation–maximisation converges: Louis (1982), "Finding the observed information matrix when using the EM
algorithm"; Dempster, Laird and Rubin (1977).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import COMPLEX_STEP, EPS, Array
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep
from mixtura.sweep.row_scores import missing_information

LEAST_EIGENVALUE = EPS**0.5
"""Below this nothing but rounding may be left of the information in a direction."""
FARTHEST = 1.0
"""In joint standard errors: farther from the maximum, curvature may be another."""


class Information(NamedTuple):
    """Information about ``p`` coordinates.

    Attributes
    ----------
    coordinates : Coordinates
        About the mixture.
    gradient : (p,) array
        Of the log-likelihood.
    observed : (p, p) array
        ``J``, minus the Hessian. The weights sum to one, so ``J g = 0`` along ``coordinates.gauge``.
    """

    coordinates: Coordinates
    gradient: Array
    observed: Array

    def inverse_root(self) -> Array:
        """``C`` with ``C Cᵀ = (J + g gᵀ)⁻¹``: the inverse of ``J`` on the complement of ``g``, and one on ``g``, where nothing moves.

        Raises
        ------
        InvalidParameterError
            If the mixture is not at a maximum of the likelihood.
        """
        gauge = self.coordinates.gauge
        eigenvalues, vectors = np.linalg.eigh(self.observed + np.outer(gauge, gauge))
        if not eigenvalues[0] > LEAST_EIGENVALUE:
            raise InvalidParameterError(
                "the mixture is not at a maximum of the likelihood of these rows: the information about its parameters has the "
                f"eigenvalue {eigenvalues[0]:.2g} in units of what labelled rows would give. Fit to convergence, to these rows and "
                "weights, or with fewer components; method='bootstrap' needs no curvature."
            )
        root = vectors / np.sqrt(eigenvalues)
        distance = float(np.linalg.norm(root.T @ self.gradient))
        if not distance <= FARTHEST:
            raise InvalidParameterError(
                f"the mixture is {distance:.2g} standard errors away from the maximum of the likelihood of these rows. Fit to "
                "convergence (a smaller tol, a larger max_iter), to these rows and weights, with no prior and no component at the floor."
            )
        return root


def information(mixture: Mixture, source: Source) -> Information:
    """Gradient and observed information, in two visits of the data.

    Complete-data information less what labels would add, ``Σ_n w_n Cov(complete-data score | x_n)``: Louis (1982).

    Parameters
    ----------
    mixture : Mixture
    source : Source

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.uncertainty.information import information
    >>> from mixtura.data.array import ArraySource
    >>> x = np.random.default_rng(0).normal(size=(100, 1))
    >>> one = mx.Mixture([1.0], [x.mean(axis=0)], [x.var()], "spherical")
    >>> np.allclose(information(one, ArraySource(x)).observed, np.diag([0, 1, 1]))  # no labels, so nothing is missing
    True
    """
    with Sweep(source) as sweep:
        (swept,) = sweep([mixture.scorer])
    counts = swept.moments.count
    if not (mixture.weights > 0).all() or not (counts > 0).all():
        empty = int(np.minimum(mixture.weights, counts).argmin())
        raise InvalidParameterError(f"no row belongs to component {empty}. Fit fewer components.")
    about = Coordinates(mixture, counts)
    origin, unchanged = np.zeros(about.size), swept.moments * 0.0
    complete = np.array([-about.hessian_times(origin, v, swept.moments, unchanged) for v in np.eye(about.size)])
    gradient = about.gradient(origin, swept.moments)
    return Information(about, gradient, 0.5 * (complete + complete.T) - missing_information(about, source))


def jacobian(about: Coordinates) -> Array:
    """Derivatives of weights, means and covariances (all entries, flattened, one after another) in the coordinates, ``(P, p)``.

    By a complex step, which is exact to rounding.

    Parameters
    ----------
    about : Coordinates
    """
    steps = 1j * COMPLEX_STEP * np.eye(about.size)
    with np.errstate(under="ignore"):
        return np.array([flattened(about.mixture(step)).imag for step in steps]).T / COMPLEX_STEP


def flattened(mixture: Mixture) -> Array:
    """Weights, means and covariances as one vector, ``(P,)``."""
    return np.concatenate([mixture.weights, mixture.means.ravel(), mixture.covariances.ravel()])
