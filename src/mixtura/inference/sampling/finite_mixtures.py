"""Mixtures of finite mixtures: the number of components ``K`` has a prior, weights are Dirichlet given it.

The telescoping sampler draws ``K`` given the partition of the rows into ``t`` filled components, adds ``K − t`` components without rows,
and draws the weights of all:

    p(K | partition) ∝ p(K) K!/(K − t)! Γ(γ K)/Γ(γ K + N) Π_k Γ(N_k + γ)/Γ(γ),   γ = γ_K.

A *static* mixture has the same ``γ`` for all ``K``, a *dynamic* one ``γ = α/K``. With one ``K`` possible it is the plain Gibbs sampler of a
finite mixture. Source: Frühwirth-Schnatter, Malsiner-Walli and Grün (2021), "Generalized mixtures of finite mixtures and telescoping
sampling".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, gammaln

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, read_only
from mixtura.inference.sampling.weights import Weights, draw_log_dirichlet, urn


@dataclass(frozen=True, eq=False)
class ComponentCountLaw:
    """A prior of the number of components, on ``1 … most``.

    Parameters
    ----------
    log_probabilities : (most,) array-like
        Of ``K = 1, 2, …``, up to a constant; minus infinity for those that cannot be.

    Examples
    --------
    >>> from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw
    >>> law = ComponentCountLaw.beta_negative_binomial()
    >>> [float(p.round(4)) for p in law.probabilities[:3]]
    [0.5714, 0.2143, 0.0952]
    """

    log_probabilities: Array

    def __init__(self, log_probabilities: ArrayLike) -> None:
        logs = np.array(log_probabilities, dtype=np.float64)
        if logs.ndim != 1 or not len(logs) or np.isnan(logs).any() or not np.isfinite(logs.max()):
            raise InvalidParameterError(
                f"a law of the number of components needs a log probability for each of 1 … most; got {log_probabilities!r}."
            )
        logs = logs - np.logaddexp.reduce(logs)
        read_only(logs)
        object.__setattr__(self, "log_probabilities", logs)

    @classmethod
    def exactly(cls, n_components: int) -> ComponentCountLaw:
        """``K`` is known."""
        return cls(np.append(np.full(n_components - 1, -np.inf), 0.0))

    @classmethod
    def uniform(cls, most: int = 30) -> ComponentCountLaw:
        """All numbers up to ``most`` alike."""
        return cls(np.zeros(most))

    @classmethod
    def beta_negative_binomial(
        cls, shape: float = 1.0, a: float = 4.0, b: float = 3.0, most: int = 100
    ) -> ComponentCountLaw:
        """``K − 1 ~ BNB(shape, a, b)``, cut off: with the defaults of mean two and a heavy tail."""
        others = np.arange(most)
        return cls(
            gammaln(shape + others)
            - gammaln(others + 1)
            + betaln(shape + a, others + b)
            - gammaln(shape)
            - betaln(a, b)
        )

    @classmethod
    def poisson(cls, mean: float = 1.0, most: int = 100) -> ComponentCountLaw:
        """``K − 1 ~ Poisson(mean)``, cut off."""
        others = np.arange(most)
        return cls(others * np.log(mean) - gammaln(others + 1))

    @classmethod
    def geometric(cls, stop: float = 0.1, most: int = 200) -> ComponentCountLaw:
        """``K − 1`` geometric with success probability ``stop``, cut off."""
        return cls(np.arange(most) * np.log1p(-stop))

    @property
    def most(self) -> int:
        """The largest number of components that may be."""
        return len(self.log_probabilities)

    @property
    def is_open(self) -> bool:
        """Whether more than one number may be."""
        return int(np.isfinite(self.log_probabilities).sum()) > 1

    @property
    def probabilities(self) -> Array:
        """Of ``1 … most``."""
        return np.exp(self.log_probabilities)


class _Number(NamedTuple):
    """Of ``K = t … most``: log probability of each, and of all, but for the sizes of the sets."""

    log_joint: Array
    log_total: float


@dataclass(frozen=True, eq=False)
class FiniteMixtures:
    """A mixture of finite mixtures.

    Parameters
    ----------
    law : ComponentCountLaw
        Prior of ``K``.
    concentration : float
        ``γ``, or ``α`` where ``dynamic``.
    dynamic : bool, default=False
        Whether the concentration of each weight is ``α/K``.

    Examples
    --------
    Ten rows, up to thirty components and flat weights: how many are filled, a priori?

    >>> from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
    >>> prior = FiniteMixtures(ComponentCountLaw.uniform(30), concentration=1.0)
    >>> prior.n_filled_prior(10).round(3).tolist()
    [0.0, 0.042, 0.054, 0.071, 0.099, 0.14, 0.185, 0.196, 0.143, 0.059, 0.01]
    """

    law: ComponentCountLaw
    concentration: float
    dynamic: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.concentration < np.inf:
            raise InvalidParameterError(f"the concentration must be positive; got {self.concentration!r}.")

    @cached_property
    def concentrations(self) -> Array:
        """``γ_K`` for ``K = 1 … most``."""
        n_components = np.arange(1, self.law.most + 1)
        return self.concentration / (n_components if self.dynamic else np.ones(self.law.most))

    def log_joint(self, counts: Array) -> Array:
        """Log probability of ``K = 1 … most`` and of any one partition of the rows into sets of these sizes."""
        t = len(counts)
        joint = np.full(self.law.most, -np.inf)
        joint[t - 1 :] = self._number(t, float(counts.sum())).log_joint + self._log_sizes(counts)
        return joint

    def log_probability(self, counts: Array) -> Array:
        if self.dynamic and counts.ndim > 1:
            return np.array([self.log_probability(own) for own in counts])
        filled = (counts > 0).sum(axis=-1)
        if self.dynamic:
            return (
                np.logaddexp.reduce(self.log_joint(counts[counts > 0]))
                if filled <= self.law.most
                else np.array(-np.inf)
            )
        n_rows, gamma = float(np.max(counts.sum(axis=-1))), self.concentrations[0]
        known = {
            t: self._number(t, n_rows).log_total if t <= self.law.most else -np.inf for t in np.unique(filled).tolist()
        }
        of_numbers = np.array([known[t] for t in filled.ravel().tolist()]).reshape(filled.shape)
        return np.asarray(of_numbers + (gammaln(counts + gamma) - gammaln(gamma)).sum(axis=-1))

    def _log_sizes(self, counts: Array) -> Array:
        """``Σ_k log Γ(N_k + γ)/Γ(γ)`` for ``K = t … most``; once where that is the same for all."""
        gamma = self.concentrations[len(counts) - 1 :] if self.dynamic else self.concentrations[:1]
        return np.asarray((gammaln(counts[:, None] + gamma) - gammaln(gamma)).sum(axis=0))

    def _number(self, t: int, n_rows: float) -> _Number:
        """What depends on the number of sets and of rows alone."""
        if (t, n_rows) not in self._numbers:
            n_components, gamma = np.arange(t, self.law.most + 1), self.concentrations[t - 1 :]
            whole = gammaln(gamma * n_components) - gammaln(gamma * n_components + n_rows)
            orders = gammaln(n_components + 1) - gammaln(n_components - t + 1)
            log_joint = self.law.log_probabilities[t - 1 :] + orders + whole
            self._numbers[t, n_rows] = _Number(log_joint, float(np.logaddexp.reduce(log_joint)))
        return self._numbers[t, n_rows]

    @cached_property
    def _numbers(self) -> dict[tuple[int, float], _Number]:
        return {}

    def draw_weights(self, counts: Array, rng: np.random.Generator) -> Weights:
        joint = self.log_joint(counts)
        cumulative = np.exp(joint - joint.max()).cumsum()
        n_components = 1 + int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
        concentrations = np.full(n_components, self.concentrations[n_components - 1])
        concentrations[: len(counts)] += counts
        return Weights(draw_log_dirichlet(concentrations, rng))

    def n_filled_prior(self, n_rows: int) -> Array:
        n_components, gamma = np.arange(1, self.law.most + 1), self.concentrations
        return self.law.probabilities @ urn(n_rows, n_components * gamma, -gamma, n_components * gamma)
