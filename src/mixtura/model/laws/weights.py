"""What is believed of the weights: a Dirichlet, or a truncated stick-breaking (Dirichlet) process.

Both are conjugate to counts: hand them the effective counts and they hand back expectations and their divergence from the prior. Both are
generalised Dirichlet laws: Connor and Mosimann (1969), "Concepts of independence for proportions with a generalization of the Dirichlet
distribution".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import EPS, Array
from mixtura.ground.special import beta_quantiles, digamma, log_gamma_draws, log_gamma_excess, trigamma


class GeneralisedDirichlet(NamedTuple):
    """The density ``Π_j π_j^s_j r_j^t_j / Z`` of weights that are taken one after another, ``r_j`` being what the first ``j`` leave.

    Attributes
    ----------
    order : (K,) integer array
        The component that is taken first, second …
    shares : (K,) array
        ``s``.
    remainders : (K − 1,) array
        ``t``; the last component takes all that is left.
    log_normaliser : float
        ``ln Z``.
    """

    order: NDArray[np.intp]
    shares: Array
    remainders: Array
    log_normaliser: float


class WeightPosterior(Protocol):
    """A belief about ``K`` weights."""

    def updated(self, counts: Array) -> WeightPosterior:
        """The belief after effective counts ``(K,)`` under the same prior."""

    @property
    def expectations(self) -> Array:
        """``E π``, ``(K,)``."""

    @property
    def log_expectations(self) -> Array:
        """``ln E π``, ``(K,)``; finite also where ``E π`` itself is too small for a number."""

    @property
    def expected_logs(self) -> Array:
        """``E ln π``, ``(K,)``."""

    @property
    def covariance_of_logs(self) -> Array:
        """``Cov ln π``, ``(K, K)``."""

    @property
    def mode(self) -> Array:
        """Where the density is largest, ``(K,)``; a component that it draws towards zero has none of the weight."""

    @property
    def divergence(self) -> float:
        """Kullback–Leibler divergence from the prior."""

    @property
    def law(self) -> GeneralisedDirichlet:
        """The density."""

    def log_evidences(self, counts: Array) -> Array:
        """Log probabilities ``(P,)`` of labels with these counts ``(P, K)``, weights integrated out, up to a constant."""

    def quantiles(self, probabilities: Array, n_draws: int, rng: np.random.Generator) -> Array:
        """Of each weight, ``(P, K)``: exact where they have a formula, else those of draws."""

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw, ``(K,)``."""

    def draw_logs(self, n_draws: int, rng: np.random.Generator) -> Array:
        """``ln π`` of ``S`` draws, ``(S, K)``; finite also where ``π`` itself is too small for a number."""


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

    @property
    def parameters(self) -> Array:
        """The concentrations."""
        return self.concentrations

    def updated(self, counts: Array) -> Dirichlet:
        return Dirichlet(self.prior, self.prior + counts)

    @property
    def expectations(self) -> Array:
        return self.concentrations / self.concentrations.sum()

    @property
    def log_expectations(self) -> Array:
        return np.log(self.concentrations) - np.log(self.concentrations.sum())

    @property
    def expected_logs(self) -> Array:
        return digamma(self.concentrations) - digamma(self.concentrations.sum())

    @property
    def covariance_of_logs(self) -> Array:
        return np.diag(trigamma(self.concentrations)) - trigamma(self.concentrations.sum())

    @property
    def mode(self) -> Array:
        excess = np.maximum(self.concentrations - 1, 0.0)
        if not excess.any():
            raise InvalidParameterError(
                f"a Dirichlet law with no concentration above one has no mode; the largest is {self.concentrations.max():.3g}. "
                "Use the expectations."
            )
        return excess / excess.sum()

    @property
    def divergence(self) -> float:
        a = self.concentrations
        each = log_gamma_excess(np.append(np.full(len(a), self.prior), len(a) * self.prior), np.append(a, a.sum()))
        return float(each[:-1].sum() - each[-1])

    @property
    def law(self) -> GeneralisedDirichlet:
        a, n_components = self.concentrations, len(self.concentrations)
        log_normaliser = float(gammaln(a).sum() - gammaln(a.sum()))
        return GeneralisedDirichlet(np.arange(n_components), a - 1, np.zeros(n_components - 1), log_normaliser)

    def log_evidences(self, counts: Array) -> Array:
        after = self.prior + counts
        return np.asarray(gammaln(after).sum(axis=1) - gammaln(after.sum(axis=1)))

    def quantiles(self, probabilities: Array, n_draws: int, rng: np.random.Generator) -> Array:
        a = self.concentrations
        others = (1 - np.eye(len(a))) @ a
        return beta_quantiles(a, others, probabilities[:, None]) if len(a) > 1 else np.ones((len(probabilities), 1))

    def draw(self, rng: np.random.Generator) -> Array:
        return np.exp(self.draw_logs(1, rng)[0])

    def draw_logs(self, n_draws: int, rng: np.random.Generator) -> Array:
        logs = log_gamma_draws(np.broadcast_to(self.concentrations, (n_draws, len(self.concentrations))), rng)
        return logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class StickBreaking:
    """Beta posteriors of the sticks of a truncated Dirichlet process, in the order in which the counts are most probable.

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

    @property
    def parameters(self) -> tuple[Array, Array]:
        """The first parameters of all sticks, and the second ones."""
        first, second = self.sticks.T
        return first, second

    def updated(self, counts: Array) -> StickBreaking:
        order = best_order(counts, self.prior)
        taken = counts[order]
        beyond = np.append(taken[:0:-1].cumsum()[::-1], 0.0)
        return StickBreaking(self.prior, np.stack([1 + taken, self.prior + beyond], axis=1), order)

    @property
    def expectations(self) -> Array:
        first, second = self.sticks[:-1].T
        return self._by_component(_stick_weights(first / (first + second)))

    @property
    def log_expectations(self) -> Array:
        first, second = self.sticks[:-1].T
        whole = np.log(first + second)
        return self._by_component(_log_stick_weights(np.log(first) - whole, np.log(second) - whole))

    @property
    def expected_logs(self) -> Array:
        return self._by_component(_log_stick_weights(*self._expected_log_parts()))

    @property
    def covariance_of_logs(self) -> Array:
        first, second = self.sticks[:-1].T
        whole = trigamma(first + second)
        n_components = len(self.order)
        # ln π_j = ln v_j + Σ_{i<j} ln(1 − v_i): what the logs of a stick and of the rest add to each component, in the order of sticks.
        broken = np.eye(n_components, n_components - 1)
        left = np.tri(n_components, n_components - 1, -1)
        both = (broken + left) * whole @ (broken + left).T
        by_stick = broken * trigamma(first) @ broken.T + left * trigamma(second) @ left.T - both
        covariance = np.empty_like(by_stick)
        covariance[np.ix_(self.order, self.order)] = by_stick
        return covariance

    @property
    def mode(self) -> Array:
        first, second = self.sticks[:-1].T - 1
        all_of_it = second <= 0
        return self._by_component(
            _stick_weights(np.where(all_of_it, 1.0, first / np.where(all_of_it, 1.0, first + second)))
        )

    @property
    def divergence(self) -> float:
        first, second = self.sticks[:-1].T
        before = np.array([[1.0], [self.prior], [1 + self.prior]])
        of_first, of_second, of_both = log_gamma_excess(before, np.stack([first, second, first + second]))
        return float((of_first + of_second - of_both).sum())

    @property
    def law(self) -> GeneralisedDirichlet:
        first, second = self.sticks[:-1].T
        remainders = second - np.append((first + second)[1:], 1.0)[: len(second)]
        return GeneralisedDirichlet(
            self.order, np.append(first - 1, 0.0), remainders, float(betaln(first, second).sum())
        )

    def log_evidences(self, counts: Array) -> Array:
        taken = np.stack([row[best_order(row, self.prior)] for row in counts])
        beyond = taken[:, :0:-1].cumsum(axis=1)[:, ::-1]
        return np.asarray(betaln(1 + taken[:, :-1], self.prior + beyond).sum(axis=1))

    def quantiles(self, probabilities: Array, n_draws: int, rng: np.random.Generator) -> Array:
        return np.quantile(np.exp(self.draw_logs(n_draws, rng)), probabilities, axis=0)

    def draw(self, rng: np.random.Generator) -> Array:
        return np.exp(self.draw_logs(1, rng)[0])

    def draw_logs(self, n_draws: int, rng: np.random.Generator) -> Array:
        gammas = log_gamma_draws(np.broadcast_to(self.sticks[:-1], (n_draws, len(self.order) - 1, 2)), rng)
        broken, left = np.moveaxis(gammas - np.logaddexp.reduce(gammas, axis=2, keepdims=True), 2, 0)
        nothing = np.zeros((n_draws, 1))
        logs = np.empty((n_draws, len(self.order)))
        logs[:, self.order] = np.hstack([broken, nothing]) + np.hstack([nothing, left.cumsum(axis=1)])
        return logs

    def _expected_log_parts(self) -> tuple[Array, Array]:
        """``E ln v`` and ``E ln(1 − v)`` of the sticks that are broken."""
        first, second = self.sticks[:-1].T
        of_first, of_second, total = digamma(np.stack([first, second, first + second]))
        return of_first - total, of_second - total

    def _by_component(self, by_stick: Array) -> Array:
        values = np.empty_like(by_stick)
        values[self.order] = by_stick
        return values


def best_order(counts: Array, prior: float) -> NDArray[np.intp]:
    """The order of sticks under which the counts are most probable, ``(K,)``: what coordinate ascent maximises over.

    With ``b_j`` for what counts beyond the ``j``-th stick, and ``ℓ`` for the component that takes what is left,

        Π_j B(1 + n_j, α + b_j)/B(1, α) = c · Γ(α + n_ℓ)/Γ(1 + n_ℓ) · Π_{j ≤ K−2} 1/(α + b_j),

    where ``c`` knows no order. So whatever comes last, the others come largest first, which makes every ``b_j`` as small as it can be. For
    ``α ≤ 1`` the smallest comes last; a larger ``α`` expects much beyond the last stick, and each is tried there.

    Parameters
    ----------
    counts : (K,) array
    prior : float
        ``α``.
    """
    order = np.argsort(-counts, kind="stable")
    if prior <= 1:
        return order
    last, n_components = counts[order], len(order)
    beyond = last[::-1].cumsum()[::-1]
    # What is beyond stick j with ℓ put last: before ℓ's own place that of the whole order, from there on one place further and ℓ itself.
    place, stick = np.arange(n_components)[:, None], np.arange(1, n_components - 1)
    left = np.where(stick <= place, beyond[1:-1], beyond[2:] + last[:, None])
    gains = last * (digamma(prior + last) - digamma(1 + last)) - np.log1p(left / prior).sum(axis=1)
    gains += log_gamma_excess(1.0, 1 + last) - log_gamma_excess(prior, prior + last)
    # Of those that only rounding tells apart the smallest, so that equal counts stay in their order.
    rounding = 8 * EPS * (n_components + beyond[0] * np.log(prior + beyond[0]))
    chosen = np.flatnonzero(gains >= gains.max() - rounding)[-1]
    return np.append(np.delete(order, chosen), order[chosen])


def _log_stick_weights(broken: Array, left: Array) -> Array:
    """Logs of weights from those of what is broken off each stick and of what is left of it."""
    return np.append(broken, 0.0) + np.concatenate([[0.0], left.cumsum()])


def _stick_weights(broken: Array) -> Array:
    """``v_j Π_{i<j} (1 − v_i)``, and what is left."""
    left = np.concatenate([[1.0], np.cumprod(1 - broken)])
    return np.append(broken, 1.0) * left
