"""How a block of rows is shared among the components of a mixture.

An assignment turns the log joint ``(..., K, B)`` of one mixture, or of several of one size, into responsibilities, in place, and
returns the log-normaliser ``(..., B)``: what the bound of the algorithm sums over rows.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.model.scorer import normalise

LEAST_TOTAL = 1e-30
"""Below this a sum of exponentials may have lost digits to underflow, in float32 too."""

LEAST_FLOAT32 = np.float32(-80.0)
"""Lower exponents would give subnormal numbers in float32, on which arithmetic is many times slower; ``exp(−80)`` is nothing beside one."""


class Assignment(Protocol):
    """What a sweep asks of an assignment."""

    def __call__(self, log_joint: Array) -> Array:
        """Turn log joints into responsibilities, in place; return the log-normalisers."""

    def share_bounded(self, log_joint: Array) -> Array | None:
        """The same where no log joint is far above zero, or ``None``, with ``log_joint`` spoilt, if that cannot be done exactly."""


class Soft:
    """Posterior probabilities; the bound is the log-likelihood."""

    def __call__(self, log_joint: Array) -> Array:
        return normalise(log_joint)

    def share_bounded(self, log_joint: Array) -> Array | None:
        if log_joint.dtype == np.float32:
            np.maximum(log_joint, LEAST_FLOAT32, out=log_joint)
        np.exp(log_joint, out=log_joint)
        total: Array = log_joint.sum(axis=-2)
        if not total.min() > LEAST_TOTAL:
            return None
        log_joint *= (1 / total)[..., None, :]
        return np.log(total, out=total)


class Hard:
    """All of a row to its most probable component (exact ties are shared evenly); the bound is the complete log-likelihood."""

    def __call__(self, log_joint: Array) -> Array:
        peak: Array = log_joint.max(axis=-2, keepdims=True)
        np.equal(log_joint, peak, out=log_joint)
        log_joint /= log_joint.sum(axis=-2, keepdims=True)
        return peak[..., 0, :]

    def share_bounded(self, log_joint: Array) -> Array | None:
        return self(log_joint)


soft = Soft()
hard = Hard()
