"""Mixtures drawn from conjugate laws, and their densities under others, summed over all relabellings.

The likelihood does not care which component is called the first, so a posterior has ``K!`` copies of every mode, and a belief covers one of
them. Densities averaged over all orders of the components put that right without a single further draw. They are sums over permutations
of products of one factor for each place ``j`` and the component that takes it, a permanent whose terms are all positive. What weights add
depends, besides, on the *set* of components that took the places before; so the sum builds up over subsets ``A``, of which there are
``2^K`` and not ``K!``:

    f(A) = r(A)^t Σ_{k ∈ A} f(A − k) M[j, k],   j = |A| − 1,   with r(A) the weight that the components outside A have.

Source: Bellman (1962), "Dynamic programming treatment of the travelling salesman problem", for sums over subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixtura.data.source import Source
from mixtura.ground.linalg import Array
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import GeneralisedDirichlet
from mixtura.model.scorer import Scorer
from mixtura.sweep import log_likelihoods

MOST_COMPONENTS = 12
"""With 4096 subsets."""
NUMBERS = 2**22
"""Numbers in the largest array that draws made together need."""


def together(n_components: int, n_features: int) -> int:
    """How many draws are looked at in one piece."""
    return max(1, NUMBERS // max(2**n_components, n_components * n_features * max(n_components, n_features)))


@dataclass(frozen=True, eq=False)
class DrawnMixtures:
    """``S`` draws of ``K`` components with ``G`` covariance blocks each.

    Attributes
    ----------
    log_weights : (S, K) array
    factors : (S·G, ...) array
        Of the precisions.
    scorer : Scorer
        All ``S·K`` components.
    """

    log_weights: Array
    factors: Array
    scorer: Scorer

    @classmethod
    def of(cls, belief: Posterior, n_draws: int, rng: np.random.Generator) -> DrawnMixtures:
        structure, (n_components, n_features) = belief.structure, belief.means.shape
        log_weights, means, roots = belief.draw_parameters(n_draws, rng)
        factors = structure.factor_from_roots(roots.reshape(-1, *roots.shape[2:]))
        whitening = structure.block_whitening(factors, n_features)
        if structure.shared:
            whitening = np.repeat(whitening, n_components, axis=0)
        flat = Scorer.of(np.ones(log_weights.size), means.reshape(-1, n_features), whitening)
        return cls(log_weights, factors, Scorer(flat.constants + log_weights.ravel(), flat.centres, flat.whitening))

    @classmethod
    def joined(cls, parts: Sequence[DrawnMixtures]) -> DrawnMixtures:
        """All draws of several batches, of one structure and shape."""
        scorers = [part.scorer for part in parts]
        return cls(
            np.concatenate([part.log_weights for part in parts]),
            np.concatenate([part.factors for part in parts]),
            Scorer(
                np.concatenate([scorer.constants for scorer in scorers]),
                np.concatenate([scorer.centres for scorer in scorers]),
                np.concatenate([scorer.whitening for scorer in scorers]),
            ),
        )

    def __len__(self) -> int:
        return len(self.log_weights)

    def __getitem__(self, chosen: slice) -> DrawnMixtures:
        n_draws, n_components = self.log_weights.shape
        start, stop, _ = chosen.indices(n_draws)
        n_blocks = len(self.factors) // n_draws
        return DrawnMixtures(
            self.log_weights[chosen],
            self.factors[start * n_blocks : stop * n_blocks],
            self.scorer[start * n_components : stop * n_components],
        )

    def log_likelihoods(self, source: Source) -> Array:
        """Of all rows under each draw, ``(S,)``."""
        return log_likelihoods(source, self.scorer, self.log_weights.shape[1])

    def log_density(self, belief: Posterior) -> Array:
        """Log of the density of each draw under a belief, summed over all relabellings, ``(S,)``.

        Without what is the same for any belief of this form: the factors ``√|Λ_k|/(2π)^(D/2)`` of the means.
        """
        size = together(belief.n_components, belief.n_features)
        return np.concatenate([self[start : start + size]._of_few(belief) for start in range(0, len(self), size)])

    def _of_few(self, belief: Posterior) -> Array:
        """The sum over relabellings, for draws that fit in memory together."""
        structure, n_features = belief.structure, belief.n_features
        shape = (-1, *self.log_weights.shape)
        precisions = belief.mean_precisions[:, None]
        distances = np.square(self.scorer.whitened(self.scorer.residuals(belief.means))).sum(axis=2).T
        by_place = 0.5 * (n_features * np.log(precisions) - precisions * distances)
        scales = structure.as_blocks(belief.scales)
        on_blocks = structure.log_wishart(scales, belief.degrees_of_freedom, self.factors, n_features)
        if not structure.shared:
            by_place = by_place + on_blocks
        law = belief.weights.law
        factors = by_place.reshape(shape)[law.order].swapaxes(1, 2) + law.shares[:, None, None] * self.log_weights.T
        total = log_permutation_sum(factors, self.log_weights.T, law) - law.log_normaliser
        return total + on_blocks[0] if structure.shared else total


def log_permutation_sum(log_factors: Array, log_weights: Array, law: GeneralisedDirichlet) -> Array:
    """``ln Σ_σ Π_j M[j, σ_j] r_j^t_j``, over all permutations ``σ``, with ``r_j`` the weight left to components after ``σ_0 … σ_j``.

    Parameters
    ----------
    log_factors : (K, K, S) array
        ``ln M`` by place, component and draw.
    log_weights : (K, S) array
    law : GeneralisedDirichlet
        For the exponents ``t``.
    """
    n_components, n_draws = log_weights.shape
    everything = 2**n_components - 1
    sums = np.empty((everything + 1, n_draws))
    log_masses = np.empty((everything + 1, n_draws))
    sums[0], log_masses[0] = 0.0, -np.inf
    members = [[k for k in range(n_components) if subset >> k & 1] for subset in range(everything + 1)]
    for subset in range(1, everything + 1):
        lowest = members[subset][0]
        np.logaddexp(log_masses[subset ^ 1 << lowest], log_weights[lowest], out=log_masses[subset])
    for subset in range(1, everything + 1):
        inside = members[subset]
        place, before = len(inside) - 1, [subset ^ 1 << k for k in inside]
        sums[subset] = np.logaddexp.reduce(sums[before] + log_factors[place, inside], axis=0)
        if subset != everything:
            sums[subset] += law.remainders[place] * log_masses[everything ^ subset]
    return sums[everything]
