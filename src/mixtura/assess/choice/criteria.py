"""Information criteria, all as ``−2 log L + penalty``: lower is better (mclust reports the negative)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mixtura.data.source import Source
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep

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


def criteria(mixture: Mixture, source: Source) -> Criteria:
    """Evaluate every criterion; ``n`` is the total weight of the rows.

    Parameters
    ----------
    mixture : Mixture
    source : Source
    """
    (found,) = criteria_of_all([mixture], source)
    return found


def criteria_of_all(mixtures: Sequence[Mixture], source: Source) -> list[Criteria]:
    """The same of several mixtures, by one read of the rows."""
    found = []
    with Sweep(source) as sweep:
        fits = sweep.fits([mixture.scorer for mixture in mixtures])
    for mixture, (log_likelihood, certainty) in zip(mixtures, fits, strict=True):
        n_parameters = mixture.n_parameters
        bic = -2 * log_likelihood + n_parameters * math.log(source.total_weight)
        aic = -2 * log_likelihood + 2 * n_parameters
        found.append(Criteria(log_likelihood, n_parameters, bic, aic, bic - 2 * certainty))
    return found
