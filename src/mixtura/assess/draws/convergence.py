"""Whether chains agree on a number, and how many independent draws they are worth.

All of it on ranks turned into normal scores and on chains split in halves, so that heavy tails and drift are seen. Source: Vehtari, Gelman,
Simpson, Carpenter and Bürkner (2021), "Rank-normalization, folding, and localization: an improved R̂ for assessing convergence of MCMC".
Where all values are equal, chains agree and every draw counts; where one of them is NaN, nothing can be said, and the answer is NaN.
Infinite ones have a rank, but no mean.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from mixtura.ground.errors import DataError
from mixtura.ground.linalg import Array

LEAST_DRAWS = 4
TAILS = (0.05, 0.95)


def r_hat(values: Array) -> float:
    """Rank-normalised split R̂, the larger of that for location and that for scale; infinite where chains stand still apart.

    Parameters
    ----------
    values : (C, S) array

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.draws.convergence import r_hat
    >>> chains = np.random.default_rng(0).normal(size=(4, 500))
    >>> bool(r_hat(chains) < 1.01), bool(r_hat(chains + [[0], [0], [0], [2]]) > 1.1)
    (True, True)
    """
    halves = _split(values)
    with np.errstate(invalid="ignore"):
        centre = np.median(halves)
    if np.isnan(centre):
        return math.nan
    folded = np.abs(np.subtract(halves, centre, where=halves != centre, out=np.zeros_like(halves)))
    return max(_split_r_hat(_normal_scores(halves)), _split_r_hat(_normal_scores(folded)))


def bulk_size(values: Array) -> float:
    """Effective number of independent draws for the centre of the distribution.

    Parameters
    ----------
    values : (C, S) array
    """
    return math.nan if np.isnan(values).any() else _effective_size(_normal_scores(_split(values)))


def tail_size(values: Array) -> float:
    """Effective number of independent draws for the 5 % and 95 % quantiles, the smaller one.

    Parameters
    ----------
    values : (C, S) array
    """
    with np.errstate(invalid="ignore"):
        ends = np.quantile(values, TAILS)
    return math.nan if np.isnan(ends).any() else min(_effective_size(_split(values <= end)) for end in ends)


def mean_error(values: Array) -> float:
    """Monte Carlo standard error of the mean.

    Parameters
    ----------
    values : (C, S) array
    """
    if not np.isfinite(values).all():
        return math.nan
    return float(np.std(values, ddof=1) / math.sqrt(_effective_size(_split(values))))


def energy_fractions(energy: Array) -> Array:
    """Bayesian fraction of missing information of each chain, ``(C,)``: how far the energy moves in a step beside how far it spreads.

    Betancourt (2016), "Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte Carlo".

    Parameters
    ----------
    energy : (C, S) array
    """
    spread = energy.var(axis=1, ddof=1)
    steps = np.square(np.diff(energy, axis=1)).mean(axis=1)
    return steps / np.where(spread > 0, spread, 1.0)


def _split(values: Array) -> Array:
    """Both halves of each chain as chains, ``(2C, S/2)``."""
    half = values.shape[1] // 2
    if values.shape[1] < LEAST_DRAWS:
        raise DataError(f"diagnostics need at least {LEAST_DRAWS} draws in each chain; there are {values.shape[1]}.")
    return np.concatenate([values[:, :half], values[:, -half:]]).astype(np.float64)


def _normal_scores(values: Array) -> Array:
    """Normal quantiles of the ranks, ties shared."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[places].reshape(values.shape)
    return ndtri((ranks - 0.375) / (values.size + 0.25))


def _split_r_hat(chains: Array) -> float:
    n_draws = chains.shape[1]
    between, within = n_draws * chains.mean(axis=1).var(ddof=1), chains.var(axis=1, ddof=1).mean()
    if within == 0:
        return math.inf if between > 0 else 1.0
    return math.sqrt((between / within + n_draws - 1) / n_draws)


def _effective_size(chains: Array) -> float:
    """Draws divided by the integrated autocorrelation time, whose sum Geyer's (1992) initial monotone sequence of pairs ends."""
    n_chains, n_draws = chains.shape
    total = n_chains * n_draws
    if np.ptp(chains) < np.finfo(np.float64).resolution:
        return float(total)
    covariances = _autocovariances(chains).mean(axis=0)
    within = covariances[0] * n_draws / (n_draws - 1)
    correlations = 1 - (within - covariances) / (covariances[0] + chains.mean(axis=1).var(ddof=1))
    correlations[0] = 1.0
    n_pairs = (n_draws - 1) // 2
    pairs = correlations[: 2 * n_pairs].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0)
    last = int(negative[0]) if len(negative) else n_pairs - 1
    time = 2 * np.minimum.accumulate(pairs[:last]).sum() - 1 + max(float(correlations[2 * last]), 0.0)
    return total / max(time, 1 / math.log10(total))


def _autocovariances(chains: Array) -> Array:
    """Of each chain at each lag, by the fast Fourier transform of the padded chain."""
    n_draws = chains.shape[1]
    spectrum = np.fft.rfft(chains - chains.mean(axis=1, keepdims=True), 2 * n_draws)
    return np.fft.irfft(np.abs(spectrum) ** 2, 2 * n_draws)[:, :n_draws] / n_draws
