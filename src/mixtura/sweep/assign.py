"""How a block of rows is shared among the components of one mixture.

An assignment takes the log joint ``(K, B)`` and returns responsibilities ``(K, B)`` and the log-normaliser ``(B,)``: what the bound of
the algorithm sums over rows.
"""

from collections.abc import Callable

from mixtura.ground.linalg import Array
from mixtura.model.scorer import normalise

Assignment = Callable[[Array], tuple[Array, Array]]

soft: Assignment = normalise
"""Posterior probabilities; the bound is the log-likelihood."""


def hard(log_joint: Array) -> tuple[Array, Array]:
    """All of a row to its most probable component (exact ties are shared evenly); the bound is the complete log-likelihood."""
    peak = log_joint.max(axis=0)
    responsibilities = (log_joint == peak).astype(log_joint.dtype)
    responsibilities /= responsibilities.sum(axis=0)
    return responsibilities, peak
