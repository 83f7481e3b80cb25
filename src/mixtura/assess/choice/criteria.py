"""Information criteria, all as ``−2 log L + penalty``: lower is better (mclust reports the negative)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.model.mixture import Mixture

CRITERIA = ("bic", "aic", "icl")


@dataclass(frozen=True)
class Criteria:
    """Criteria of one mixture on one data set.

    Attributes
    ----------
    log_likelihood : float
    n_parameters : int
    bic : float
        ``−2ℓ + p log n`` (Schwarz 1978).
    aic : float
        ``−2ℓ + 2p`` (Akaike 1974).
    icl : float
        ``bic − 2 Σ_n w_n log max_k r_nk`` (Biernacki, Celeux and Govaert 2000, in mclust's form): bic, and a price on overlap.
    """

    log_likelihood: float
    n_parameters: int
    bic: float
    aic: float
    icl: float


def criteria(mixture: Mixture, source: ArraySource) -> Criteria:
    """Evaluate every criterion; ``n`` is the total weight of the rows.

    Parameters
    ----------
    mixture : Mixture
    source : ArraySource
    """
    log_likelihood = certainty = 0.0
    for _, rows, weights in source.blocks(max(1000, mixture.scorer.block_rows())):
        responsibilities = mixture.responsibilities(rows)
        log_likelihood += mixture.log_likelihood(rows, weights)
        largest = np.log(responsibilities.max(axis=1))
        certainty += float(largest.sum() if weights is None else weights @ largest)
    n_parameters = mixture.n_parameters
    bic = -2 * log_likelihood + n_parameters * math.log(source.total_weight)
    return Criteria(log_likelihood, n_parameters, bic, -2 * log_likelihood + 2 * n_parameters, bic - 2 * certainty)
