"""What a Gibbs sampler asks of the prior of the weights, which is also a prior of partitions of the rows.

Given how many rows each filled component has, the weights are drawn anew, those of further components without rows included. Given
nothing, the number of filled components among ``N`` rows has a law of its own, the *induced* prior: it belongs beside every posterior of
that number, because it is seldom what the prior of the weights seems to say. Source: Greve, Grün, Malsiner-Walli and Frühwirth-Schnatter
(2022), "Spying on the prior of the number of data clusters and the partition distribution in Bayesian cluster analysis".
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from mixtura.ground.linalg import Array

LEAST_PROBABILITY = 1e-18
"""Probabilities of numbers of filled components below this are left out."""


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
    filled = np.ones((len(added), 1))
    for n in range(n_rows):
        t = np.arange(filled.shape[1])
        opens = np.maximum(0.0, opening[:, None] + opening_slope[:, None] * t) / (added[:, None] + n)
        moving = filled * opens
        grown = np.zeros((len(added), len(t) + 1))
        grown[:, :-1] = filled - moving
        grown[:, 1:] += moving
        filled = grown if grown[:, -1].max() > LEAST_PROBABILITY else grown[:, :-1]
    return filled
