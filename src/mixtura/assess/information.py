"""What the data say about each direction of a mixture's parameters: observed information, the scores of rows, and Jacobians.

All in the unconstrained coordinates of ``model/coordinates.py`` about the mixture itself, where the complete-data information is the
identity. So an eigenvalue of the observed information is the share of the information that is left when labels are not seen, and one minus
it the rate at which expectation–maximisation converges: Louis (1982), "Finding the observed information matrix when using the EM
algorithm"; Dempster, Laird and Rubin (1977).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import COMPLEX_STEP, EPS, Array, outer
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture
from mixtura.model.scorer import normalise
from mixtura.sweep import Sweep

LEAST_EIGENVALUE = EPS**0.5
"""Below this nothing but rounding may be left of the information in a direction."""
FARTHEST = 1.0
"""In joint standard errors: farther from the maximum, curvature may be another."""
NUMBERS = 2**22
"""Numbers in the coefficients of directions that are swept together."""


class Information(NamedTuple):
    """Information about ``p`` coordinates.

    Attributes
    ----------
    coordinates : Coordinates
        About the mixture.
    gradient : (p,) array
        Of the log-likelihood.
    observed : (p, p) array
        ``J``, minus the Hessian. The weights sum to one, so ``J g = 0`` in one direction ``g``.
    gauge : (p,) array
        That direction, of length one: all ``log π_k`` grow together.
    """

    coordinates: Coordinates
    gradient: Array
    observed: Array
    gauge: Array

    def inverse_root(self) -> Array:
        """``C`` with ``C Cᵀ = (J + g gᵀ)⁻¹``: the inverse of ``J`` on the complement of ``g``, and one on ``g``, where nothing moves.

        Raises
        ------
        InvalidParameterError
            If the mixture is not at a maximum of the likelihood.
        """
        eigenvalues, vectors = np.linalg.eigh(self.observed + np.outer(self.gauge, self.gauge))
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


def information(mixture: Mixture, source: ArraySource) -> Information:
    """Gradient and observed information, in one visit of the data for all directions that fit in memory together.

    Parameters
    ----------
    mixture : Mixture
    source : ArraySource

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.information import information
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
        coordinates = Coordinates(mixture, counts)
        origin, observed = np.zeros(coordinates.size), np.empty((coordinates.size, coordinates.size))
        directions = np.eye(coordinates.size)
        step = max(1, NUMBERS // (mixture.n_components * (mixture.n_features + 1) ** 2))
        for start in range(0, coordinates.size, step):
            several = directions[start : start + step]
            changes = sweep.along([mixture.scorer] * len(several), [coordinates.tangent(origin, v) for v in several])
            for row, (v, change) in enumerate(zip(several, changes, strict=True), start):
                observed[row] = -coordinates.hessian_times(origin, v, swept.moments, change)
    gauge = np.zeros(coordinates.size)
    gauge[: len(counts)] = np.sqrt(counts / counts.sum())
    gradient = coordinates.gradient(origin, swept.moments)
    return Information(coordinates, gradient, 0.5 * (observed + observed.T), gauge)


def scores(about: Coordinates, source: ArraySource) -> Iterator[tuple[Array, Array | None]]:
    """The gradient of each row's log density, by blocks of rows: ``(B, p)``, with their weights.

    For component ``k``, with ``z = L_k⁻¹(x − μ_k)``, it is ``r_k − π_k`` in the log weight, ``r_k z`` in the mean and what the structure
    makes of ``r_k (z zᵀ − I)`` in the covariance, each in the unit of its coordinate.

    Parameters
    ----------
    about : Coordinates
    source : ArraySource
    """
    mixture, structure = about.reference, about.structure
    scorer, (on_second, on_count) = mixture.scorer, _on_blocks(about)
    for _, rows, weights in source.blocks(max(16, 2**20 // (about.size + 3 * mixture.n_components * len(on_second)))):
        whitened = scorer.whitened(scorer.residuals(rows))
        shares = scorer.log_joint(whitened)
        normalise(shares)
        first = shares[:, :, None] * whitened
        second = first * whitened if structure.diagonal else outer(first, whitened)
        counts = shares
        if structure.shared:
            second, counts = second.sum(axis=0, keepdims=True), shares.sum(axis=0, keepdims=True)
        blocks = second.reshape(*counts.shape, -1) @ on_second + counts[:, :, None] * on_count
        by_row = (part.swapaxes(0, 1).reshape(len(rows), -1) for part in (first, blocks))
        yield np.concatenate([shares.T - mixture.weights, *by_row], axis=1) / about.unit, weights


def _on_blocks(about: Coordinates) -> tuple[Array, Array]:
    """The gradient in a block's coordinates at the mixture is linear in whitened second moments and in the count: both matrices."""
    structure, n_features = about.structure, about.reference.n_features
    n_coordinates = len(structure.block_information(n_features))
    relative = structure.relative_roots(np.zeros((1, n_coordinates)), n_features)
    identity = structure.factor_from_roots(relative)
    units = np.eye(n_features)
    several = [units] if structure.diagonal else [outer(np.broadcast_to(unit, units.shape), units) for unit in units]
    on_second = [structure.pull_back(second, np.zeros(n_features), identity, relative) for second in several]
    nothing = np.zeros_like(several[0][:1])
    return np.concatenate(on_second), structure.pull_back(nothing, np.ones(1), identity, relative)


def jacobian(about: Coordinates) -> Array:
    """Derivatives of weights, means and covariances (all entries, flattened, one after another) in the coordinates, ``(P, p)``.

    By a complex step, which is exact to rounding.

    Parameters
    ----------
    about : Coordinates
    """
    steps = 1j * COMPLEX_STEP * np.eye(about.size)
    return np.array([flattened(about.mixture(step)).imag for step in steps]).T / COMPLEX_STEP


def flattened(mixture: Mixture) -> Array:
    """Weights, means and covariances as one vector, ``(P,)``."""
    return np.concatenate([mixture.weights, mixture.means.ravel(), mixture.covariances.ravel()])
