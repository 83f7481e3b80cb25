"""How far chance may carry a right program: stochastic tests take their tolerances from here.

A stochastic test is one whose assertions depend on random draws. While the program is right it fails with a probability of at most
``FAILURE``, which all of its comparisons share equally (Bonferroni): that is safe however they depend on each other. A standard error that
is itself estimated costs degrees of freedom, so Student's law stands where the normal one would.
"""

from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FAILURE = 1e-6
"""Probability with which a right program may fail a stochastic test."""

SERIES = 50
"""Degrees of freedom of a standard error that an effective size or a sample of weights gives: it is known to ``√(1/(2·50))``, a tenth."""


def deviations(n_comparisons: int = 1, degrees: float = np.inf) -> float:
    """How many standard errors the farthest of so many estimates may lie off, on either side.

    Parameters
    ----------
    n_comparisons : int
    degrees : float
        Degrees of freedom of the standard errors.
    """
    return float(stats.t.isf(FAILURE / (2 * n_comparisons), degrees))


def kolmogorov(n_draws: int, n_comparisons: int = 1) -> float:
    """Largest Kolmogorov–Smirnov distance of independent draws from their law, exactly."""
    return float(stats.kstwo.isf(FAILURE / n_comparisons, n_draws))


def chi_square(degrees: float, n_comparisons: int = 1) -> float:
    """Largest Pearson statistic."""
    return float(stats.chi2.isf(FAILURE / n_comparisons, degrees))


def spread_limits(n_draws: float, n_comparisons: int = 1) -> tuple[float, float]:
    """Between which the standard deviation of so many normal draws, over the true one, stays."""
    tail = FAILURE / (2 * n_comparisons)
    degrees = n_draws - 1
    return float(np.sqrt(stats.chi2.ppf(tail, degrees) / degrees)), float(
        np.sqrt(stats.chi2.isf(tail, degrees) / degrees)
    )


def share_limits(shares: ArrayLike, n_draws: ArrayLike, n_comparisons: int) -> tuple[NDArray, NDArray]:
    """Between which probabilities lie, given the shares of so many independent draws: Clopper and Pearson.

    Exact, also for events so rare that no draw shows one; ``n_draws`` may be an effective size.
    """
    tail, hits = FAILURE / (2 * n_comparisons), np.asarray(shares) * n_draws
    misses, least = n_draws - hits, 1e-9  # a beta law has no parameter of zero
    low = np.where(hits > 0, stats.beta.ppf(tail, np.maximum(hits, least), misses + 1), 0.0)
    high = np.where(misses > 0, stats.beta.isf(tail, hits + 1, np.maximum(misses, least)), 1.0)
    return low, high


def batch_means(values: NDArray, n_batches: int) -> NDArray:
    """Means of consecutive parts of chains ``(C, S, …)``, ``(C · n_batches, …)``."""
    return np.concatenate([part.mean(axis=1) for part in np.array_split(values, n_batches, axis=1)])


def assert_means(values: NDArray, expected: ArrayLike, n_batches: int = 10, n_comparisons: int | None = None) -> None:
    """Means over chains ``(C, S, …)`` are what they should be, as far as batches of each chain vary."""
    batches = batch_means(np.asarray(values, float), n_batches)
    error = batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
    off = np.abs(batches.mean(axis=0) - expected) / error
    limit = deviations(n_comparisons or np.size(off), len(batches) - 1)
    assert np.max(off) < limit, f"{off} standard errors off; chance explains {limit:.1f}"


def assert_shares(indicators: NDArray, probabilities: NDArray, n_batches: int = 5, widest: float = 0.2) -> None:
    """Shares of draws ``(C, S, Q)`` are these probabilities ``(Q,)``, and known well enough for that to say something.

    Draws follow each other in chains, so fewer count: the means of batches vary more than those of independent draws. Indicators with few
    hits cannot tell by how much, and count like the slowest of the others. ``widest`` is half the longest interval allowed.
    """
    n_draws = indicators.shape[0] * indicators.shape[1]
    batches, spread = batch_means(indicators, n_batches), probabilities * (1 - probabilities)
    frequent = n_draws * spread > 300
    times = np.maximum(1.0, batches.var(axis=0, ddof=1) / len(batches) * n_draws / np.maximum(spread, 1e-300))
    times[~frequent] = times[frequent].max()
    tail = FAILURE / (2 * len(probabilities))
    doubt = (stats.t.isf(tail, len(batches) - 1) / stats.norm.isf(tail)) ** 2
    low, high = share_limits(indicators.mean(axis=(0, 1)), n_draws / (times * doubt), len(probabilities))
    outside = (probabilities < low) | (probabilities > high)
    assert not outside.any(), f"{probabilities[outside]} expected, between {low[outside]} and {high[outside]} found"
    assert (high - low).max() < 2 * widest, (
        f"too few draws to notice a sampler that is wrong: ±{(high - low).max() / 2:.3f}"
    )


def largest_r_hat(n_chains: int, size: float, n_comparisons: int) -> float:
    """Which R̂ chains of one law may have that are together worth ``size`` independent draws.

    R̂² is one plus the variance of the means of ``M`` half chains over that of the draws. The former is ``M/size`` of the latter, times
    chi-square over its ``M − 1`` degrees of freedom. Location and scale are two comparisons. The size, an estimate, counts
    two thirds.
    """
    degrees = 2 * n_chains - 1
    ratio = chi_square(degrees, 2 * n_comparisons) / degrees
    return float(np.sqrt(1 + 2 * n_chains * ratio / (size / 1.5)))


def multinomial_p_value(counts: ArrayLike) -> float:
    """Probability that so many balls in as many equal boxes are spread as unevenly, by Pearson's statistic and all ways there are."""
    counts = np.asarray(counts)
    ways, uneven = _ways_to_spread(int(counts.sum()), len(counts))
    return float(ways[uneven >= np.square(counts).sum()].sum())


@cache
def _ways_to_spread(n_balls: int, n_boxes: int) -> tuple[NDArray, NDArray]:
    """Probabilities of all counts in boxes, and their sums of squares."""
    bars = np.array(list(combinations(range(n_balls + n_boxes - 1), n_boxes - 1))).reshape(-1, n_boxes - 1)
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=(-1, n_balls + n_boxes - 1))
    counts = np.diff(edges, axis=1) - 1
    return stats.multinomial.pmf(counts, n_balls, np.full(n_boxes, 1 / n_boxes)), np.square(counts).sum(axis=1)
