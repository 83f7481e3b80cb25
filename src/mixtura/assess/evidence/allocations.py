"""Conjugate laws given which rows belong to which component: what proposals are made of.

Under a conjugate prior the posterior is a mixture of these laws, over all allocations of the rows. Some are *flattened*, as if only a share
of the rows had been seen: draws stay long where they seldom go, and what no proposal reaches their draws alone would have to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np

from mixtura.assess.evidence.drawn import DrawnMixtures
from mixtura.model.laws.posterior import Posterior
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sampled, Sweep

SHARES = (1.0, 1.0, 1.0, 1.0, 0.3, 0.1)
"""Of their moments that laws given allocations have seen, in turn."""
FLATTENED = (0.3, 0.1, 0.03)
"""Of its moments that copies of a variational posterior have seen."""
ANNEALING = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.0, 1.0)
"""The same along a chain."""


def allocated(sweep: Sweep, scorers: Sequence[Scorer], rng: np.random.Generator) -> list[Moments]:
    """Moments of one allocation of all rows under each of some mixtures, in one read of the data."""
    seed = rng.integers(2**64, dtype=np.uint64)
    keys = (np.array([seed, i], np.uint64) for i in range(len(scorers)))
    return [swept.moments for swept in sweep(scorers, [Sampled(key) for key in keys])]


def given(moments: Sequence[Moments], before: Posterior, shares: Sequence[float] = SHARES) -> list[Posterior]:
    """The beliefs after moments, or shares of them in turn, under the prior that ``before`` is."""
    each = zip(moments, cycle(shares), strict=False)
    return [Posterior.from_moments(share * m, before.structure, before.prior, before.weights) for m, share in each]


def annealed(sweep: Sweep, before: Posterior, n_chains: int, rng: np.random.Generator) -> list[Posterior]:
    """Ends of chains that know of no mode: from labels at random, by data augmentation, with more and more of the rows seen.

    Parameters are drawn given an allocation, and an allocation given the parameters; source: Tanner and Wong (1987), "The calculation of
    posterior distributions by data augmentation".
    """
    scorers = [before.scorer] * n_chains
    beliefs: list[Posterior] = []
    for share in ANNEALING:
        beliefs = given(allocated(sweep, scorers, rng), before, (share,))
        scorers = [DrawnMixtures.of(belief, 1, rng).scorer for belief in beliefs]
    return beliefs


def flattened(belief: Posterior, share: float) -> Posterior:
    """A belief about the same means, as firm as if it had been updated with a share of its rows."""
    before = belief.before
    return replace(
        belief,
        weights=belief.weights.updated(share * belief.effective_counts),
        mean_precisions=before.mean_precisions + share * belief.effective_counts,
        scales=before.scales + share * (belief.scales - before.scales),
        degrees_of_freedom=before.degrees_of_freedom + share * (belief.degrees_of_freedom - before.degrees_of_freedom),
    )


def with_flattened(beliefs: Sequence[Posterior]) -> list[Posterior]:
    """The beliefs and flattened copies of each; of one component, whose belief is the posterior itself, none are needed."""
    if beliefs[0].n_components == 1:
        return list(beliefs)
    return [*beliefs, *(flattened(belief, share) for belief in beliefs for share in FLATTENED)]
