"""Collapse: a component that shrinks onto repeated rows or a subspace, where the likelihood has no maximum.

It is seen in the covariance alone: a variance that cannot be told from rounding, a direction with nothing left in it, or one held at the
floor. The diagnosis names the component, how many rows it stands for, how ill-conditioned it is, and why.

A component that is held at the floor may still be what its rows are like: all rows of one sex, all days without rain. It is a *spike*, and
no group, where other than single columns have stopped to vary, or where any few rows would do: no more than ``D + 1`` of them, which lie in
a subspace always, or less than a fifth of an even share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import EPS, Array
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments

LEAST_SHARE = 0.2
"""Of an even share of the rows: what a component at the floor must hold to count as a group."""
MOST_LISTED = 3
"""Components that a sentence lists."""
AT_THE_FLOOR = 1 + 1e-6
"""Variances up to so many times the floor are held by it."""


@dataclass(frozen=True)
class Collapse:
    """What happened to one component.

    Attributes
    ----------
    component : int
    count : float
        Effective number of rows, ``n_k``.
    condition_number : float
        Largest over smallest eigenvalue of its covariance, in units of the floor; infinite for a singular one.
    cause : str
        A clause: "its rows coincide", "its rows lie in a 1-dimensional subspace".
    is_spike : bool
        Whether it is no group of rows that agree in some columns, but a coincidence.
    """

    component: int
    count: float
    condition_number: float
    cause: str
    is_spike: bool = True

    def __str__(self) -> str:
        return (
            f"component {self.component} collapsed: {self.cause} "
            f"(effective count {self.count:.4g}, condition number {self.condition_number:.3g})"
        )


def listed(collapses: Sequence[Collapse]) -> str:
    """A clause for the largest few of some collapses, and how many more there are."""
    if not collapses:
        return "a covariance is singular to working precision"
    largest = sorted(collapses, key=lambda collapse: -collapse.count)[:MOST_LISTED]
    others = len(collapses) - len(largest)
    return "; ".join(map(str, largest)) + (f"; and {others} more" if others else "")


class Collapsed(Exception):
    """Raised by an M-step that cannot go on; the loop turns it into the end of that run."""

    def __init__(self, collapses: tuple[Collapse, ...]) -> None:
        super().__init__(listed(collapses))
        self.collapses = collapses


def held_components(
    mixture: Mixture, moments: Moments, floor: Array | float, collapsed: Array | float
) -> tuple[Collapse, ...]:
    """A collapse for every component that the floor, or rounding, holds up, and whose rows have next to no variance of their own.

    Parameters
    ----------
    mixture : Mixture
    moments : Moments
        At it.
    floor : float or (D,) array
    collapsed : float or (D,) array
        Variance that counts as next to none; no more than the floor.
    """
    shape, structure = mixture.means.shape, mixture.structure
    precisions, variances = mixture.scorer.precision_diagonals, structure.variances(mixture.covariances, *shape)
    # tr F Σ⁻¹ is at least one where a direction is at the floor: most mixtures need no second look.
    suspected = (precisions * floor).sum(axis=1) * AT_THE_FLOOR >= 1
    suspected |= (precisions * variances).sum(axis=1) * _rounding(shape[1]) >= 1
    if not suspected.any():
        return ()
    own = structure.maximise(moments.scatter(), moments.count, 0.0, None)
    least = np.broadcast_to(np.asarray(collapsed, dtype=float), shape)
    return flat_components(structure, own, moments.count, least, mixture.covariances, suspected)


def flat_components(
    structure: CovarianceStructure,
    own: Array,
    counts: Array,
    least: Array,
    covariances: Array | None = None,
    suspected: NDArray[np.bool_] | None = None,
) -> tuple[Collapse, ...]:
    """A collapse for every component with a direction whose variance is no more than ``least`` or than rounding leaves.

    Parameters
    ----------
    structure : CovarianceStructure
    own : array
        Natural array: covariances of the rows.
    counts : (K,) array
    least : (K, D) array
        Variance of each feature that counts as none.
    covariances : array, optional
        Those that something holds up, for their condition numbers.
    suspected : (K,) bool array, optional
        The others are known to have none.
    """
    n_components, n_features = least.shape
    if not structure.scales_by_feature:
        least = np.repeat(least.mean(axis=1, keepdims=True), n_features, axis=1)
    constant = structure.variances(own, *least.shape) <= least * AT_THE_FLOOR
    flat = constant.sum(axis=1)
    examined = counts > 0 if suspected is None else suspected & (counts > 0)
    if not structure.diagonal:
        matrices = structure.matrices(own, *least.shape)
        for k in np.flatnonzero(examined):
            flat[k] = _flat_directions(matrices[k], constant[k], least[k])
    found = np.flatnonzero(examined & (flat > 0))
    if not len(found):
        return ()
    spectra = dict(
        zip(found, _spectra(structure, own if covariances is None else covariances, least, found), strict=True)
    )
    # A covariance that is shared stands for all rows.
    standing = np.full(n_components, counts.sum()) if structure.shared else counts
    too_few = max(n_features + 1.0, LEAST_SHARE * float(counts.sum()) / n_components)
    return tuple(
        Collapse(
            int(k),
            float(counts[k]),
            _condition_number(spectra[k]),
            _cause(int(flat[k]), np.flatnonzero(constant[k]), n_features),
            bool(standing[k] <= too_few or constant[k].sum() < flat[k]),
        )
        for k in found
    )


def _spectra(structure: CovarianceStructure, covariances: Array, least: Array, components: NDArray[np.intp]) -> Array:
    """Eigenvalues of components in units of what counts as no variance, or of their own variances where nothing does, one row for each."""
    variances = structure.variances(covariances, *least.shape)[components]
    units = np.where(least[components] > 0, least[components], np.where(variances > 0, variances, 1.0))
    if structure.diagonal:
        return np.sort(variances / units, axis=1)
    roots = np.sqrt(units)
    scaled: Array = structure.matrices(covariances, *least.shape)[components] / (roots[:, :, None] * roots[:, None, :])
    return np.linalg.eigvalsh(scaled)


def _rounding(n_features: int) -> float:
    """Eigenvalue of a matrix of correlations that is nothing but rounding, or was raised just above that."""
    return 65 * n_features * EPS


def _condition_number(spectrum: Array) -> float:
    return float(spectrum[-1] / spectrum[0]) if spectrum[0] > 0 else float("inf")


def _flat_directions(matrix: Array, constant: NDArray[np.bool_], least: Array) -> int:
    """How many directions have no variance left: features that are constant, and combinations of the others."""
    varies = ~constant
    remaining = matrix[np.ix_(varies, varies)]
    flat = int(constant.sum())
    if not varies.any():
        return flat
    scale = np.sqrt(np.diagonal(remaining))
    by_rounding = np.linalg.eigvalsh(remaining / np.outer(scale, scale)) <= _rounding(len(least))
    if not least[varies].all():
        return flat + int(by_rounding.sum())
    units = np.sqrt(least[varies])
    by_least = np.linalg.eigvalsh(remaining / np.outer(units, units)) <= AT_THE_FLOOR
    return flat + int(max(by_rounding.sum(), by_least.sum()))


def _cause(flat: int, constant: NDArray[np.intp], n_features: int) -> str:
    if flat == n_features:
        return "its rows coincide"
    cause = f"its rows lie in a {n_features - flat}-dimensional subspace"
    if len(constant) != flat:
        return cause
    columns = ", ".join(map(str, constant[:MOST_LISTED])) + (", …" if flat > MOST_LISTED else "")
    return f"{cause}, for column{'s' if flat > 1 else ''} {columns} {'do' if flat > 1 else 'does'} not vary"
