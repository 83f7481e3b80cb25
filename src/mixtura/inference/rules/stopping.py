"""When to stop climbing: by the gain still to come, not by the last step alone.

A linearly converging bound approaches its limit geometrically, so three values give an estimate of everything still to come (Aitken):
with ``a = (ℓ₂ − ℓ₁)/(ℓ₁ − ℓ₀)``, ``ℓ_∞ − ℓ₂ ≈ (ℓ₂ − ℓ₁) a/(1 − a)``. Source: McLachlan and Krishnan (2008), "The EM algorithm and
extensions", section 4.9.

``tol`` keeps scikit-learn's unit, log-likelihood per row, and its promise. There, a last step below ``tol`` stops the fit, though a slow
ascent may still have a hundred such steps ahead. Here the fit goes on until a hundredth of ``tol`` is still to come (by default 1e-5 nats a
row, but no more than one nat in all; a hundredth of that for bounds on an evidence), as long as ``max_iter`` allows; it counts as converged
when no more than ``tol`` is.

No step of these algorithms lowers the bound. One that does by more than rounding is a fault of the program: it ends the run, and is said.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mixtura.ground.linalg import EPS
from mixtura.model.scorer import Scored

SHARE_OF_TOL = 1e-2
FINE_SHARE = 1e-4
"""The same for bounds on an evidence, whose ``tol`` scikit-learn means in nats and not in nats a row."""
ROUNDING = (1e-6, 1e-2)
"""Share of the bound, and nats a row, that rounding may take from it in one step. In float64 that is some 1e-11 of the bound, but float32
data were seen to lose 8e-8; the score of a row in a component that is all but singular to working precision is known to some 1e-2."""
LARGEST_BLOW_UP = 1e9
"""Of rounding: beyond it, squared distances are known to so few digits that bounds may fall."""
MANY_ROWS = 100_000
"""Of more rows than that no more is left than of so many: by default one nat."""
LEAST_PASSES = 10
"""Passes of EM before anything else may take over."""
SHARE_FOR_EM = 0.5
"""Of the passes that are allowed, before a solver takes over from an EM whose end is not in sight."""
PATIENCE = 10
"""Further passes that EM may take at any time before it counts as slow."""


@dataclass(frozen=True)
class Stop:
    """Why a run ended.

    Attributes
    ----------
    reason : {"converged", "max_iter", "callback", "collapse", "fell", "stuck", "batches"}
        ``"batches"`` of what was learnt by ``partial_fit``, which has no end of its own.
    converged : bool
        Whether no more than ``tol`` per row is still to come.
    remaining : float
        Estimated gain still to come, in nats over all rows.
    sentence : str
        The same for a reader.
    """

    reason: str
    converged: bool
    remaining: float
    sentence: str

    @classmethod
    def at_top(cls, remaining: float) -> Stop:
        """So little is still to come that it has converged."""
        return cls("converged", True, remaining, f"converged: an estimated {remaining:.1g} nats still to come")


BY_CALLBACK = Stop("callback", False, math.nan, "stopped by a callback")


@dataclass(frozen=True)
class Stopping:
    """The rule.

    Attributes
    ----------
    tol : float
        Gain per row.
    max_iter : int
    total_weight : float
        ``Σ_n w_n``, which turns gain per row into gain.
    share : float
        Of ``tol``: what is to be left of it.
    """

    tol: float
    max_iter: int
    total_weight: float
    share: float = SHARE_OF_TOL

    def of(self, n_rows: int) -> Stopping:
        """The rule for so many rows, whatever their weights are counted in."""
        return replace(self, share=min(self.share, SHARE_OF_TOL * MANY_ROWS / n_rows)) if n_rows > MANY_ROWS else self

    @property
    def goal(self) -> float:
        """The gain still to come at which a run stops."""
        return self.tol * self.share * self.total_weight

    def __call__(self, bounds: Sequence[float], n_passes: int, belief: Scored | None = None) -> Stop | None:
        """Whether to stop after these bounds (the start's first, then one after each step) and so many reads of the data.

        The belief, or mixture, is that of the last bound. Where one of its covariances is all but singular, or a component tiny beside its
        distance from the others, the bound is known to few digits, and a fall is no more than that.
        """
        fall = bounds[-2] - bounds[-1] if len(bounds) > 1 else 0.0
        if fall > ROUNDING[0] * max(abs(bounds[-1]), 1.0) + ROUNDING[1] * self.total_weight:
            if belief is not None and not belief.scorer.blow_up < LARGEST_BLOW_UP:
                return Stop("converged", True, 0.0, "converged: what is still to come is lost in rounding")
            fault = f"the bound fell by {fall:.2g} nats, a fault of mixtura and not of the data: please report it"
            warnings.warn(fault, RuntimeWarning, stacklevel=2)
            return Stop("fell", False, math.inf, f"stopped: {fault}")
        return self.at(remaining_gain(bounds), n_passes)

    @property
    def at_last(self) -> int:
        """Passes after which EM is waited for only where its end is near for certain."""
        return int(SHARE_FOR_EM * self.max_iter)

    def is_slow(self, bounds: Sequence[float], steadiness: float, patience: int = 0) -> bool:
        """Whether EM is known to leave more than ``PATIENCE`` passes to the goal, and more than ``patience`` with those it has taken.

        Its rate of convergence ``a`` is known once it changes from pass to pass by less than a share ``steadiness`` of ``1 − a``. On a
        plateau gains do not shrink, and nothing is known: there it counts as slow ``at_last``.
        """
        n = len(bounds)
        remaining = remaining_gain(bounds)
        if n < LEAST_PASSES or not remaining > self.goal > 0:
            return False
        a, b, c = (bounds[i + 1] - bounds[i] for i in (-4, -3, -2))
        if not (a > b > c > 0):
            return n >= self.at_last
        before, rate = b / a, c / b
        if abs(rate - before) > steadiness * (1 - rate):
            return n >= self.at_last
        return math.log(self.goal / remaining) / math.log(rate) > max(PATIENCE, patience - n)

    def at(self, remaining: float, n_passes: int) -> Stop | None:
        """Whether to stop with so much estimated to be still to come."""
        if remaining <= self.goal:
            return Stop.at_top(remaining)
        if n_passes > self.max_iter:
            return Stop(
                "max_iter",
                remaining <= self.tol * self.total_weight,
                remaining,
                f"stopped at max_iter={self.max_iter}: "
                + (f"an estimated {remaining:.2g} nats" if math.isfinite(remaining) else "an unknown gain")
                + " still to come",
            )
        return None


def passes_left(bounds: Sequence[float], goal: float) -> float:
    """Estimate of the passes to where no more than the goal is still to come; infinite where that is not known."""
    remaining = remaining_gain(bounds)
    if remaining <= goal:
        return 0.0
    if not math.isfinite(remaining) or goal <= 0:
        return math.inf
    rate = remaining / (remaining + bounds[-1] - bounds[-2])
    return math.log(goal / remaining) / math.log(rate)


def remaining_gain(bounds: Sequence[float]) -> float:
    """Aitken's estimate of the gain still to come; zero once steps are rounding, infinite while they grow.

    By the larger of the last two rates, where there are two: when a component has just emptied, the last step is far smaller than the one
    before, and what other components have still to gain goes on at their own rate.
    """
    if len(bounds) < 2:
        return math.inf
    step = bounds[-1] - bounds[-2]
    if step <= 4 * EPS * abs(bounds[-1]):
        return 0.0
    if len(bounds) < 3 or step >= bounds[-2] - bounds[-3]:
        return math.inf
    before = bounds[-2] - bounds[-3]
    rate = step / before
    if len(bounds) > 3 and bounds[-3] > bounds[-4]:
        rate = max(rate, before / (bounds[-3] - bounds[-4]))
    return step * rate / (1 - rate) if rate < 1 else math.inf
