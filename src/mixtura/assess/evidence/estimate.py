"""An estimate of a log evidence, how well it is known, and when it is not known at all."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mixtura.assess.evidence.pareto import pareto_shape
from mixtura.ground.linalg import Array


class LogEvidence(NamedTuple):
    """An estimate of the log evidence.

    Attributes
    ----------
    value : float
    standard_error : float
        To first order, from the spread of the importance weights.
    pareto_k : float
        Shape of their tail: above 0.7 further draws would help little, however large their number; minus infinity where all weights are
        equal. An evidence of which a few draws are all is refused.
    """

    value: float
    standard_error: float
    pareto_k: float


def averaged(log_weights: Array) -> LogEvidence:
    """The log of the mean of importance weights, and how well it is known."""
    peak = float(log_weights.max())
    weights = np.exp(log_weights - peak)
    mean = float(weights.mean())
    error = float(weights.std(ddof=1)) / (mean * math.sqrt(len(weights)))
    return LogEvidence(peak + math.log(mean), error, pareto_shape(log_weights))


def effective_size(log_weights: Array) -> float:
    """``(Σ w)²/Σ w²``: how many equal weights would be as good."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / np.square(weights).sum())


def agree(one: LogEvidence, other: LogEvidence) -> bool:
    """Whether two independent estimates may be of one number."""
    return abs(one.value - other.value) <= SLACK + MOST_ERRORS * math.hypot(one.standard_error, other.standard_error)


MOST_ERRORS, SLACK = 4.0, 0.1
"""Standard errors, which are estimates too, and nats that two estimates may differ by."""
