"""What a belief about a mixture becomes when it travels to the data.

Per component a constant, a centre and a whitening factor, so that

    log ρ_nk = c_k − ½ ‖(x_n − μ_k) R_k‖²

A point model and a conjugate posterior give the same form, and several mixtures side by side are simply a longer list of components.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from mixtura.ground.linalg import Array


@dataclass(frozen=True, slots=True)
class Scorer:
    """A stack of mixtures, ready to score rows.

    Attributes
    ----------
    constants : (M,) array
        ``c``, the log weight included. ``M`` counts the components of all mixtures in the stack.
    centres : (M, D) array
        ``μ``.
    whitening : (M, D, D) array, or (M, D) array for diagonal factors
        ``R``.
    sizes : tuple of int
        Components of each mixture, summing to ``M``.
    """

    constants: Array
    centres: Array
    whitening: Array
    sizes: tuple[int, ...]

    @property
    def slices(self) -> list[slice]:
        """The components of each mixture."""
        ends = list(accumulate(self.sizes))
        return [slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True)]

    @staticmethod
    def stack(scorers: list[Scorer]) -> Scorer:
        """Several scorers as one; all of one form (matrix or diagonal)."""
        if len(scorers) == 1:
            return scorers[0]
        return Scorer(
            np.concatenate([s.constants for s in scorers]),
            np.concatenate([s.centres for s in scorers]),
            np.concatenate([s.whitening for s in scorers]),
            tuple(size for s in scorers for size in s.sizes),
        )

    def block_rows(self) -> int:
        """Rows to a block so that its working arrays stay in cache."""
        return max(64, 2**16 // self.centres.size)

    def residuals(self, rows: Array) -> Array:
        """``x_n − μ_k``, shape ``(M, B, D)``: subtracted before any product, so that no digits cancel later."""
        return rows - self.centres[:, None, :]

    def whitened(self, residuals: Array) -> Array:
        """``(x_n − μ_k) R_k``, shape ``(M, B, D)``."""
        if self.whitening.ndim == 2:
            return residuals * self.whitening[:, None, :]
        return np.matmul(residuals, self.whitening)

    def log_joint(self, residuals: Array) -> Array:
        """``log ρ``, shape ``(M, B)``; minus infinity where a squared distance overflows."""
        whitened = self.whitened(residuals)
        with np.errstate(over="ignore"):
            scores = np.einsum("mbd,mbd->mb", whitened, whitened)
        scores *= -0.5
        scores += self.constants[:, None]
        return scores


def normalise(log_joint: Array) -> tuple[Array, Array]:
    """Responsibilities and log-normalisers of one mixture's block.

    Parameters
    ----------
    log_joint : (K, B) array
        Not modified.

    Returns
    -------
    responsibilities : (K, B) array
    log_normaliser : (B,) array
        ``log Σ_k ρ_nk``; minus infinity, with equal responsibilities, for a row so far away that every ``ρ`` is.
    """
    peak = log_joint.max(axis=0)
    if not np.isfinite(peak).all():
        lost = ~np.isfinite(peak)
        log_joint = np.where(lost, 0.0, log_joint)
        responsibilities, log_normaliser = normalise(log_joint)
        log_normaliser[lost] = -np.inf
        return responsibilities, log_normaliser
    responsibilities = np.exp(log_joint - peak)
    total = responsibilities.sum(axis=0)
    responsibilities /= total
    return responsibilities, np.log(total) + peak
