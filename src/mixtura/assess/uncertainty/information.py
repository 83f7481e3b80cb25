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
from numpy.typing import NDArray

from mixtura.data.source import Source
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
    return Information(about, gradient, 0.5 * (complete + complete.T) - _missing(about, source))


def _missing(about: Coordinates, source: Source) -> Array:
    """``Σ_n w_n Cov(complete-data score | x_n)`` over the labels that row ``n`` may have, ``(p, p)``."""
    n_components, place = about.reference.n_components, _places(about)
    size = len(place) // n_components
    within, between = np.zeros((n_components, size, size)), np.zeros((len(place), len(place)))
    with np.errstate(under="ignore"):
        for shares, by_label, weights in _complete_scores(about, source):
            roots = np.sqrt(shares if weights is None else shares * weights)[:, :, None]
            weighted = by_label * roots
            within += weighted.swapaxes(1, 2) @ weighted
            weighted *= np.sqrt(shares)[:, :, None]
            by_row = weighted.swapaxes(0, 1).reshape(-1, len(place))
            between += by_row.T @ by_row
    missing = -between.reshape(n_components, size, n_components, size)
    for k in range(n_components):
        missing[k, :, k] += within[k]
    total = np.zeros((about.size, about.size))
    np.add.at(total, (place[:, None], place), missing.reshape(len(place), -1))
    return total / outer(about.unit)


def scores(about: Coordinates, source: Source) -> Iterator[tuple[Array, Array | None]]:
    """The gradient of each row's log density, by blocks of rows: ``(B, p)``, with their weights.

    Parameters
    ----------
    about : Coordinates
    source : Source
    """
    place, mixture = _places(about), about.reference
    for shares, by_label, weights in _complete_scores(about, source):
        score = np.zeros((shares.shape[1], about.size))
        for columns, share, alone in zip(place.reshape(len(shares), -1), shares, by_label, strict=True):
            score[:, columns] += share[:, None] * alone
        score[:, : mixture.n_components] -= mixture.weights
        yield score / about.unit, weights


def _complete_scores(about: Coordinates, source: Source) -> Iterator[tuple[Array, Array, Array | None]]:
    """Responsibilities ``(K, B)``, and the scores ``(K, B, ·)`` that rows would have were they known to be of each component.

    Those are, up to what is the same for all components, one in the component's log weight, ``z = L_k⁻¹(x − μ_k)`` in its mean and what
    the structure makes of ``z zᵀ − I`` in its covariance, not yet in units of the coordinates.
    """
    mixture, structure = about.reference, about.structure
    scorer, (on_second, on_count) = mixture.scorer, _on_blocks(about)
    for _, rows, weights in source.blocks(max(16, 2**20 // (about.size + 3 * mixture.n_components * len(on_second)))):
        whitened = scorer.whitened(scorer.residuals(rows))
        shares = scorer.log_joint(whitened)
        normalise(shares)
        second = np.square(whitened) if structure.diagonal else outer(whitened)
        blocks = second.reshape(*shares.shape, -1) @ on_second + on_count
        yield shares, np.concatenate([np.ones((*shares.shape, 1)), whitened, blocks], axis=2), weights


def _places(about: Coordinates) -> NDArray[np.intp]:
    """Which coordinates are those of each component in turn: of its weight, its mean and its covariance, which may be that of all."""
    n_components, n_features = about.reference.n_components, about.reference.n_features
    n_coordinates = len(about.structure.block_information(n_features))
    components = np.arange(n_components)[:, None]
    blocks = 0 if about.structure.shared else components
    on_means = n_components + components * n_features + np.arange(n_features)
    on_blocks = n_components * (1 + n_features) + blocks * n_coordinates + np.arange(n_coordinates)
    return np.concatenate(
        [components, on_means, np.broadcast_to(on_blocks, (n_components, n_coordinates))], axis=1
    ).ravel()


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
    with np.errstate(under="ignore"):
        return np.array([flattened(about.mixture(step)).imag for step in steps]).T / COMPLEX_STEP


def flattened(mixture: Mixture) -> Array:
    """Weights, means and covariances as one vector, ``(P,)``."""
    return np.concatenate([mixture.weights, mixture.means.ravel(), mixture.covariances.ravel()])
