"""Collapse: a component that shrinks onto repeated rows or a subspace, where the likelihood has no maximum.

It is seen in the covariance alone: a variance that cannot be told from rounding, a direction with nothing left in it, or one held at the
floor. The diagnosis names the component, how many rows it stands for, how ill-conditioned it is, and why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura.ground.linalg import EPS, Array
from mixtura.model.covariance import CovarianceStructure


@dataclass(frozen=True)
class Collapse:
    """What happened to one component.

    Attributes
    ----------
    component : int
    count : float
        Effective number of rows, ``n_k``.
    condition_number : float
        Largest over smallest eigenvalue of its covariance; infinite for a singular one.
    cause : str
        A clause: "its rows coincide", "its rows lie in a 1-dimensional subspace", "no row belongs to it".
    """

    component: int
    count: float
    condition_number: float
    cause: str

    def __str__(self) -> str:
        return (
            f"component {self.component} collapsed: {self.cause} "
            f"(effective count {self.count:.4g}, condition number {self.condition_number:.3g})"
        )


class Collapsed(Exception):
    """Raised by an M-step that cannot go on; the loop turns it into the end of that run."""

    def __init__(self, collapses: tuple[Collapse, ...]) -> None:
        super().__init__("; ".join(map(str, collapses)))
        self.collapses = collapses


def empty_components(counts: Array) -> tuple[Collapse, ...]:
    """A collapse for every component that has lost all its rows."""
    return tuple(Collapse(int(k), 0.0, float("nan"), "no row belongs to it") for k in np.flatnonzero(~(counts > 0)))


def rounding_variances(means: Array, floor: float) -> Array:
    """Variances ``(K, D)`` that cannot be told from zero: the squared spacing of numbers as large as the mean, unless a floor holds."""
    return np.zeros_like(means) if floor else (8 * EPS * means) ** 2


def flat_components(
    structure: CovarianceStructure, covariances: Array, counts: Array, least: Array
) -> tuple[Collapse, ...]:
    """A collapse for every component with a direction whose variance is no more than ``least`` or than rounding leaves.

    Parameters
    ----------
    structure : CovarianceStructure
    covariances : array
        Natural array.
    counts : (K,) array
    least : (K, D) array
        Variance of each feature that counts as none: rounding, or the floor.
    """
    shape = least.shape
    variances = structure.variances(covariances, *shape)
    if structure.diagonal:
        spectra = np.sort(variances, axis=1)
        flat = (variances <= least * (1 + 1e-6)).sum(axis=1)
    else:
        matrices = structure.matrices(covariances, *shape)
        spectra = np.linalg.eigvalsh(matrices)
        rounding = 8 * shape[1] * EPS * variances.max(axis=1)
        flat = np.zeros(shape[0], dtype=int)
        for k in np.flatnonzero(spectra[:, 0] <= np.maximum(rounding, least.max(axis=1) * (1 + 1e-6))):
            flat[k] = _flat_directions(matrices[k], least[k])
    return tuple(
        Collapse(int(k), float(counts[k]), _condition_number(spectra[k]), _cause(int(flat[k]), shape[1]))
        for k in np.flatnonzero(flat)
    )


def _condition_number(spectrum: Array) -> float:
    return float(spectrum[-1] / spectrum[0]) if spectrum[0] > 0 else float("inf")


def _flat_directions(matrix: Array, least: Array) -> int:
    """How many directions have no variance left: features that are constant, and combinations of the others."""
    variances = np.diagonal(matrix)
    varies = variances > least * (1 + 1e-6)
    if not varies.any():
        return len(least)
    remaining, scale = matrix[np.ix_(varies, varies)], np.sqrt(variances[varies])
    by_rounding = np.linalg.eigvalsh(remaining / np.outer(scale, scale)) <= 8 * len(least) * EPS
    by_least = np.linalg.eigvalsh(remaining) <= least.min() * (1 + 1e-6)
    return int((~varies).sum() + max(by_rounding.sum(), by_least.sum()))


def _cause(flat: int, n_features: int) -> str:
    if flat == n_features:
        return "its rows coincide"
    return f"its rows lie in a {n_features - flat}-dimensional subspace"
