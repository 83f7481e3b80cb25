"""What a belief about a mixture becomes when it travels to the data.

Per component a constant, a centre and a whitening factor, so that

    log ρ_nk = c_k − ½ ‖(x_n − μ_k) R_k‖²

A point model and a conjugate posterior give the same form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array, read_only, triangular_inverses
from mixtura.model.moments import Moments

LOG_2_PI = math.log(2 * math.pi)


class Scored(Protocol):
    """What scores rows: a point, or a belief."""

    @property
    def scorer(self) -> Scorer:
        """Its scorer."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """One mixture, ready to score rows.

    Attributes
    ----------
    constants : (K,) array
        ``c``, the log weight included.
    centres : (K, D) array
        ``μ``.
    whitening : (K, D, D) array, or (K, D) array for diagonal factors
        ``R``.
    """

    constants: Array
    centres: Array
    whitening: Array

    @classmethod
    def of(cls, weights: Array, means: Array, whitening: Array) -> Scorer:
        """The scorer of a point mixture: ``c_k = log π_k + log |R_k| − (D/2) log 2π``."""
        diagonals = whitening if whitening.ndim == 2 else np.diagonal(whitening, axis1=-2, axis2=-1)
        with np.errstate(divide="ignore"):
            constants = np.log(weights) + np.log(diagonals).sum(axis=-1) - 0.5 * means.shape[1] * LOG_2_PI
        read_only(constants, whitening)
        return cls(constants, means, whitening)

    @classmethod
    def stacked(cls, scorers: Sequence[Scorer]) -> Scorer:
        """The components of several mixtures, all diagonal or none, one after another."""
        if len(scorers) == 1:
            return scorers[0]
        return cls(
            np.concatenate([s.constants for s in scorers]),
            np.concatenate([s.centres for s in scorers]),
            np.concatenate([s.whitening for s in scorers]),
        )

    def __getitem__(self, components: slice) -> Scorer:
        return Scorer(self.constants[components], self.centres[components], self.whitening[components])

    def among(self, components: NDArray[np.intp]) -> Scorer:
        """These of the components alone."""
        return Scorer(self.constants[components], self.centres[components], self.whitening[components])

    def with_matrices(self) -> Scorer:
        """The same with factors that are matrices."""
        if not self.diagonal:
            return self
        return Scorer(self.constants, self.centres, self.whitening[:, :, None] * np.eye(self.whitening.shape[1]))

    @property
    def diagonal(self) -> bool:
        """Whether the factors are diagonal."""
        return self.whitening.ndim == 2

    @property
    def precision_diagonals(self) -> Array:
        """Diagonals of ``R Rᵀ``, shape ``(K, D)``."""
        squares = self.whitening**2
        return squares if self.diagonal else squares.sum(axis=2)

    @property
    def blow_up(self) -> float:
        """About how many times its own size rounding is in squared distances.

        That is the condition number of a component's matrix of correlations, or its distance from the others in units of its spread.
        """
        precisions = self.precision_diagonals
        distances = np.sqrt((precisions * np.square(self.centres - self.centres.mean(axis=0))).sum(axis=1))
        if self.diagonal:
            return float(distances.max())
        roots = triangular_inverses(self.whitening)  # of Σ = R⁻ᵀ R⁻¹
        conditions = (precisions * np.square(roots).sum(axis=1)).sum(axis=1)
        return float(max(distances.max(), conditions.max()))

    def expected(self, moments: Moments) -> float:
        """``Σ_k Σ_n w_n r_nk log ρ_nk`` from the moments of the rows.

        With the responsibilities' own scorer it is the log-normaliser less their entropy.
        """
        return float(self.expected_of_each(moments).sum())

    def expected_of_each(self, moments: Moments) -> Array:
        """The terms of ``expected``, ``(K,)``."""
        second = moments.about(self.centres).second
        if self.diagonal:
            squares = (self.whitening**2 * second).sum(axis=1)
        else:
            squares = np.einsum("kjl,kjl->k", self.whitening, second @ self.whitening)
        expected: Array = np.where(moments.count > 0, self.constants, 0.0) * moments.count - 0.5 * squares
        return expected

    def block_rows(self) -> int:
        """Rows to a block so that the whitened residuals stay in cache."""
        return max(64, 2**17 // self.centres.size)

    def residuals(self, rows: Array, out: Array | None = None) -> Array:
        """``x_n − μ_k``, shape ``(K, B, D)``: subtracted before any product, so that no digits cancel later."""
        return np.subtract(rows, self.centres[:, None, :], out=out)

    def whitened(self, residuals: Array, out: Array | None = None) -> Array:
        """``(x_n − μ_k) R_k``, shape ``(K, B, D)``."""
        if self.diagonal:
            return np.multiply(residuals, self.whitening[:, None, :], out=out)
        return np.matmul(residuals, self.whitening, out=out)

    def log_joint(self, whitened: Array) -> Array:
        """``log ρ`` from whitened residuals, shape ``(K, B)``; minus infinity where a squared distance overflows."""
        with np.errstate(over="ignore"):
            scores = np.einsum("kbd,kbd->kb", whitened, whitened)
        scores *= -0.5
        scores += self.constants[:, None]
        return scores

    def log_joint_of(self, rows: Array) -> Array:
        """``log ρ`` of any rows, ``(K, B)``; minus infinity at the end of the number range too, where differences overflow."""
        with np.errstate(over="ignore", invalid="ignore"):
            scores = self.log_joint(self.whitened(self.residuals(rows)))
        scores[np.isnan(scores)] = -np.inf
        return scores


def normalise(log_joint: Array) -> Array:
    """Turn a block of log joints into responsibilities, in place.

    Parameters
    ----------
    log_joint : (..., K, B) array
        Of one mixture or of several. Overwritten with responsibilities: equal ones for a row so far away that every ``ρ`` is zero.

    Returns
    -------
    (..., B) array
        The log-normaliser ``log Σ_k ρ_nk``; minus infinity for such a row.
    """
    peak = log_joint.max(axis=-2, keepdims=True)
    lost = np.isneginf(peak) if np.isneginf(peak.min()) else None
    if lost is not None:
        np.copyto(log_joint, 0.0, where=lost)
        peak[lost] = 0.0
    log_joint -= peak
    with np.errstate(under="ignore"):  # a share of nothing is nothing, whatever users have NumPy do
        np.exp(log_joint, out=log_joint)
        total: Array = log_joint.sum(axis=-2, keepdims=True)
        log_joint *= 1 / total
    np.log(total, out=total)
    total += peak
    if lost is not None:
        total[lost] = -np.inf
    return total[..., 0, :]
