"""What an ascent has learnt of the curvature of the bound: limited-memory BFGS.

Each step and the fall of the gradient along it are a pair; pairs stand for the inverse of minus the Hessian where an ascent has been, and
nothing is known elsewhere. In whitened coordinates the eigenvalues lie between zero and one, and one is what complete data would give.

With steps ``S`` and falls ``Y`` as rows, each pair scaled to ``s·y = 1``, and ``R`` the upper triangle of ``S Yᵀ``, the inverse times a
gradient ``g`` is, where curvature elsewhere is ``1/γ``, and with ``w = R⁻¹ S g``,

    Sᵀ R⁻ᵀ w + γ (g − Yᵀ w − Sᵀ R⁻ᵀ Y (g − Yᵀ w)).

Source: Byrd, Nocedal and Schnabel (1994), "Representations of quasi-Newton matrices and their use in limited memory methods".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from mixtura.ground.linalg import Array
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture

MEMORY = 40
"""Pairs kept."""
CAUTION = 0.1
"""The gain that pairs promise counts as if they had learnt no more of the way than this."""
UNSEEN = 10.0
"""By how much estimates of what is still to come may be too small where an ascent has been along few directions yet."""
FLAT = 0.003
"""Whitened curvature of directions that nobody has been along, until flatter ones are seen: one minus EM's rate of convergence there."""
FLATTEST = 1e-4
"""With less, an ascent would not end: what is flatter than that is as good as flat."""


@dataclass(frozen=True, eq=False)
class Curvature:
    """Near one mixture.

    Attributes
    ----------
    reference : Mixture
        About which coordinates are taken.
    counts : (K,) array
        Effective counts, their scale.
    steps, falls : (n, p) arrays or None
        Pairs, the last one last: where a step leads, and how much the gradient falls along it.
    flattest : float
        The least curvature that is thought possible where nobody has been.
    is_of_part : bool
        Whether it was learnt on a part of the data, about the top there: of the directions that matter it has then seen most.
    """

    reference: Mixture
    counts: Array
    steps: Array | None = None
    falls: Array | None = None
    flattest: float = FLAT
    is_of_part: bool = False

    @property
    def n_pairs(self) -> int:
        """How many pairs it knows."""
        return 0 if self.steps is None else len(self.steps)

    def with_pair(self, step: Array, fall: Array) -> Curvature:
        """The same with one pair more, if the gradient fell at all; the oldest is forgotten."""
        product, square = float(step @ fall), float(step @ step)
        if not product > 1e-10 * math.sqrt(square * float(fall @ fall)):
            return self
        steps, falls = step[None] / math.sqrt(product), fall[None] / math.sqrt(product)
        if self.steps is not None and self.falls is not None:
            steps = np.concatenate([self.steps[1 - MEMORY :], steps])
            falls = np.concatenate([self.falls[1 - MEMORY :], falls])
        flattest = max(FLATTEST, min(self.flattest, product / square))
        return replace(self, steps=steps, falls=falls, flattest=flattest)

    def without_pairs(self) -> Curvature:
        """Nothing is known."""
        return replace(self, steps=None, falls=None, is_of_part=False)

    def on_all(self, counts_in_all: float) -> Curvature:
        """That of more data of the same kind: in whitened coordinates it is the same."""
        return replace(self, counts=self.counts * (counts_in_all / self.counts.sum()), is_of_part=True)

    @property
    def coordinates(self) -> Coordinates:
        """In which the pairs are."""
        return Coordinates(self.reference, self.counts)

    def ascent(self, gradient: Array) -> tuple[Array, float]:
        """The way to the top, elsewhere as curved as along the last pair, and a cautious estimate of the gain there.

        The gain is half the slope along the way, if elsewhere the bound is as flat as the flattest seen.
        """
        known, unseen, nearby = np.zeros_like(gradient), gradient, 1.0
        if self.steps is not None and self.falls is not None:
            known, unseen = self._parts(gradient, self.steps, self.falls)
            if not self.is_of_part:
                nearby = 1 / float(self.falls[-1] @ self.falls[-1])
        way, longest = known + nearby * unseen, known + unseen / self.flattest
        gain = 0.5 * float(max(gradient @ way / CAUTION, gradient @ longest))
        return way, gain * (1.0 if self.is_of_part else UNSEEN)

    def _parts(self, gradient: Array, steps: Array, falls: Array) -> tuple[Array, Array]:
        """The inverse times the gradient: what is known of it, and what counts ``γ`` times."""
        upper = np.triu(steps @ falls.T)
        along = solve_triangular(upper, steps @ gradient, check_finite=False)
        unseen = gradient - along @ falls
        both = solve_triangular(upper, np.stack([along, falls @ unseen], axis=1), trans="T", check_finite=False)
        known, seen = both.T @ steps
        return known, unseen - seen
