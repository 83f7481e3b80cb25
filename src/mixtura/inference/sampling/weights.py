"""What a Gibbs sampler asks of the prior of the weights, which is also a prior of partitions of the rows.

Given how many rows each filled component has, the weights are drawn anew, those of further components without rows included. Given
nothing, the number of filled components among ``N`` rows has a law of its own, the *induced* prior: it belongs beside every posterior of
that number, because it is seldom what the prior of the weights seems to say. Source: Greve, Grün, Malsiner-Walli and Frühwirth-Schnatter
(2022), "Spying on the prior of the number of data clusters and the partition distribution in Bayesian cluster analysis".
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from scipy.linalg import expm
from scipy.special import digamma, zeta

from mixtura.ground.linalg import Array

LEAST_PROBABILITY = 1e-18
"""Probabilities of numbers of filled components below this are left out."""
LEAST_STEPS, STEPS, N_POWERS = 4096, 64, 12
"""Rows that are gone through one by one: so many, and so many for each component that the first of them would open. For those after them so
many powers of the matrix of a step are enough."""


class Slice(NamedTuple):
    """What lets rows have finitely many of infinitely many components.

    Attributes
    ----------
    n_open : int
        The first so many components are those that rows may have.
    lightest : float
        Log weight of the lightest component with rows when the slice was drawn.
    power : float
        ``β``: the log of the slice lies an exponential draw over ``β`` below that.
    """

    n_open: int
    lightest: float
    power: float

    def log_acceptance(self, log_weights: Array) -> float:
        """Log of the probability with which labels are accepted that fill components with these weights; any number from zero on is one."""
        return self.power * (self.lightest - float(log_weights.min()))


class Weights(NamedTuple):
    """Log weights of the filled components and then of those without rows, ``(K,)``, and what bars rows from some of them."""

    logs: Array
    slice: Slice | None = None


class PartitionPrior(Protocol):
    """A prior of weights under which components are exchangeable."""

    def draw_weights(self, counts: Array, rng: np.random.Generator) -> Weights:
        """Weights given the rows of the ``t`` filled components, ``(t,)``."""

    def log_probability(self, counts: Array) -> Array:
        """Log prior probability of any one partition of the rows into sets of these sizes, or of many, ``(…, T)``; zeros are no sets."""

    def n_filled_prior(self, n_rows: int) -> Array:
        """Prior probabilities that so many rows fill 0, 1, 2, … components."""


def draw_log_dirichlet(concentrations: Array, rng: np.random.Generator) -> Array:
    """Logs of a draw; finite also where the draw itself is too small for a number."""
    logs = (
        np.log(rng.standard_gamma(concentrations + 1)) - rng.standard_exponential(len(concentrations)) / concentrations
    )
    return logs - np.logaddexp.reduce(logs)


def urn(n_rows: int, opening: Array, opening_slope: Array, added: Array) -> Array:
    """How many components rows fill that come one by one, ``(J, T)``, under ``J`` laws.

    Row ``n`` (from 0), with ``t`` components filled, opens another with probability ``max(0, a + b t)/(c + n)``.

    Parameters
    ----------
    n_rows : int
    opening, opening_slope, added : (J,) arrays
        ``a``, ``b`` and ``c``.
    """
    one_by_one = min(n_rows, max(LEAST_STEPS, int(STEPS * opening.max())))
    filled = np.ones((len(added), 1))
    for n in range(one_by_one):
        t = np.arange(filled.shape[1])
        opens = np.maximum(0.0, opening[:, None] + opening_slope[:, None] * t) / (added[:, None] + n)
        moving = filled * opens
        grown = np.zeros((len(added), len(t) + 1))
        grown[:, :-1] = filled - moving
        grown[:, 1:] += moving
        filled = grown if grown[:, -1].max() > LEAST_PROBABILITY else grown[:, :-1]
    if one_by_one == n_rows:
        return filled
    laws = zip(filled, opening.tolist(), opening_slope.tolist(), added.tolist(), strict=True)
    later = [_later(own, a, b, c + one_by_one, c + n_rows) for own, a, b, c in laws]
    size = max(map(len, later))
    return np.array([np.pad(own, (0, size - len(own))) for own in later])


def _later(filled: Array, a: float, b: float, start: float, stop: float) -> Array:
    """Probabilities ``(T,)`` of so many filled components once the number of rows plus ``c`` has come from ``start`` to ``stop``.

    A row takes them to ``p (I + A/(c + n))`` with one matrix ``A`` for all rows. These commute, so all of them together are the exponential
    of the sum of their logarithms, of which few powers of ``A`` are needed where ``c + n`` is large beside it.
    """
    expected = a * np.log(stop / start)
    size = len(filled) + int(expected + 12 * np.sqrt(expected)) + 40  # beyond which no probability is left
    if b < 0:
        size = min(size, max(len(filled), 1 + int(np.ceil(-a / b))))
    rates = np.maximum(0.0, a + b * np.arange(size))
    rates[-1] = 0.0
    step = np.diag(rates[:-1], 1) - np.diag(rates)
    exponent = step * (digamma(stop) - digamma(start))
    power = step
    for k in range(2, N_POWERS + 1):
        power = power @ step
        exponent -= (-1) ** k / k * (zeta(k, start) - zeta(k, stop)) * power
    later = np.pad(filled, (0, size - len(filled))) @ expm(exponent)
    return np.asarray(np.maximum(later, 0.0))
