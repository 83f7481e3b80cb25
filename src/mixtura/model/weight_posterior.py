"""What is believed of the weights: a Dirichlet, or a truncated stick-breaking (Dirichlet) process.

Both are conjugate to counts: hand them the effective counts and they hand back expectations and their divergence from the prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from mixtura.ground.linalg import Array


class WeightPosterior(Protocol):
    """A belief about ``K`` weights."""

    def updated(self, counts: Array) -> WeightPosterior:
        """The belief after effective counts ``(K,)`` under the same prior."""

    @property
    def expectations(self) -> Array:
        """``E π``, ``(K,)``."""

    @property
    def expected_logs(self) -> Array:
        """``E ln π``, ``(K,)``."""

    @property
    def divergence(self) -> float:
        """Kullback–Leibler divergence from the prior."""

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw, ``(K,)``."""


@dataclass(frozen=True, eq=False)
class Dirichlet:
    """A Dirichlet posterior under a symmetric Dirichlet prior.

    Attributes
    ----------
    prior : float
        ``α₀``, for each component.
    concentrations : (K,) array
        ``α``.
    """

    prior: float
    concentrations: Array

    def updated(self, counts: Array) -> Dirichlet:
        return Dirichlet(self.prior, self.prior + counts)

    @property
    def expectations(self) -> Array:
        return self.concentrations / self.concentrations.sum()

    @property
    def expected_logs(self) -> Array:
        return digamma(self.concentrations) - digamma(self.concentrations.sum())

    @property
    def divergence(self) -> float:
        a, n_components = self.concentrations, len(self.concentrations)
        normalisers = gammaln(a.sum()) - gammaln(a).sum() - gammaln(n_components * self.prior)
        return float(normalisers + n_components * gammaln(self.prior) + ((a - self.prior) * self.expected_logs).sum())

    def draw(self, rng: np.random.Generator) -> Array:
        return rng.dirichlet(self.concentrations)


@dataclass(frozen=True, eq=False)
class StickBreaking:
    """Beta posteriors of the sticks of a truncated Dirichlet process, the largest component breaking off the first.

    The last component takes all that is left, so the weights sum to one.

    Attributes
    ----------
    prior : float
        ``α``; sticks are ``Beta(1, α)`` a priori.
    sticks : (K, 2) array
        Both parameters of each stick, in the order in which they are broken; the last one is not.
    order : (K,) integer array
        The component that each stick is of.
    """

    prior: float
    sticks: Array
    order: NDArray[np.intp]

    def updated(self, counts: Array) -> StickBreaking:
        order = np.argsort(-counts, kind="stable")
        sorted_counts = counts[order]
        beyond = sorted_counts[::-1].cumsum()[::-1] - sorted_counts
        return StickBreaking(self.prior, np.stack([1 + sorted_counts, self.prior + beyond], axis=1), order)

    @property
    def expectations(self) -> Array:
        first, second = self.sticks[:-1].T
        return self._by_component(_stick_weights(first / (first + second)))

    @property
    def expected_logs(self) -> Array:
        broken, left = self._expected_log_parts()
        return self._by_component(np.append(broken, 0.0) + np.concatenate([[0.0], left.cumsum()]))

    @property
    def divergence(self) -> float:
        first, second = self.sticks[:-1].T
        broken, left = self._expected_log_parts()
        normalisers = gammaln(first + second) - gammaln(first) - gammaln(second) - np.log(self.prior)
        return float((normalisers + (first - 1) * broken + (second - self.prior) * left).sum())

    def draw(self, rng: np.random.Generator) -> Array:
        first, second = self.sticks[:-1].T
        return self._by_component(_stick_weights(np.asarray(rng.beta(first, second))))

    def _expected_log_parts(self) -> tuple[Array, Array]:
        """``E ln v`` and ``E ln(1 − v)`` of the sticks that are broken."""
        first, second = self.sticks[:-1].T
        total = digamma(first + second)
        return digamma(first) - total, digamma(second) - total

    def _by_component(self, by_stick: Array) -> Array:
        values = np.empty_like(by_stick)
        values[self.order] = by_stick
        return values


def _stick_weights(broken: Array) -> Array:
    """``v_j Π_{i<j} (1 − v_i)``, and what is left."""
    left = np.concatenate([[1.0], np.cumprod(1 - broken)])
    return np.append(broken, 1.0) * left
