"""How a block of rows is shared among the components of one mixture.

An assignment turns the log joint ``(K, B)`` into responsibilities, in place, and returns the log-normaliser ``(B,)``: what the bound of
the algorithm sums over rows.
"""

from collections.abc import Callable

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.model.scorer import normalise

Assignment = Callable[[Array], Array]

soft: Assignment = normalise
"""Posterior probabilities; the bound is the log-likelihood."""


def hard(log_joint: Array) -> Array:
    """All of a row to its most probable component (exact ties are shared evenly); the bound is the complete log-likelihood."""
    peak: Array = log_joint.max(axis=0)
    np.equal(log_joint, peak, out=log_joint)
    log_joint /= log_joint.sum(axis=0)
    return peak
