"""Importance sampling whose proposal learns from its own draws.

The proposal is a mixture of laws, and the evidence the mean of ``p(x, θ)/q(θ)`` over its draws. A round draws from all laws, then

- learns further laws: some draws are chosen in proportion to their weights, rows are given to components as under each of them, and the
  conjugate law of the parameters given such an allocation is a law of the next round (under a conjugate prior the posterior itself is a
  mixture of these, over all allocations);
- sets the shares of all laws to those under which the mixture is nearest to the posterior, which are a few steps of EM on the draws.

The laws that it begins with stay, with a share of their own, so that weights have an upper end where those cover the posterior. Only the
last round, whose proposal none of its draws had a part in, makes the estimate; rounds end once two agree and enough draws count.

What no proposal has reached, no weight can tell. So chains that know of no mode look for more of the posterior. Where one ends in a place
that the proposal hardly reaches, its law joins the others, and all is learnt again, until no chain does. Of ``C`` chains that still leaves
``1/(C + 2)`` of the posterior to be expected where none of them went (Laplace's rule), and the standard error has it.

Sources: Cappé, Guillin, Marin and Robert (2004), "Population Monte Carlo"; Cappé, Douc, Guillin, Marin and Robert (2008), "Adaptive
importance sampling in general mixture classes", for the shares; Hesterberg (1995), "Weighted average importance sampling and defensive
mixture distributions"; Ionides (2008), "Truncated importance sampling", for weights that learning is not to hang on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixtura.assess.evidence.estimate import LogEvidence, agree, averaged, effective_size
from mixtura.ground.errors import UnknownEvidenceError
from mixtura.ground.linalg import Array

MOST_ROUNDS = 6
N_LEARNT = 48
"""Laws that are learnt in a round."""
LEAST_LEARNT, SUBSETS = 4, 2**18
"""Where components are many, each density is a sum over many subsets of them, and fewer laws are learnt."""
DEFENSIVE = 0.3
"""Share of the draws that all laws have part in alike, whatever has been learnt."""
EM_STEPS = 20
N_CHAINS, MOST_CHECKS = 64, 5
RARE = 10.0
"""Times the mean weight: of a proposal that is near to the posterior hardly a draw has as much."""
MOST_MISSED = 0.1
ENOUGH, EXACT, TOO_FEW = 0.2, 0.99, 0.01
"""Shares of the draws that must count for rounds to end, for them to end with the first, and for there to be an estimate at all."""
HEAVY = 0.7
"""``k̂`` from which that of rounds is asked for in the end too: the error that a few heavy weights show is too small."""


class Law(Protocol):
    """A law to draw parameters from."""

    def draw(self, n_draws: int, rng: np.random.Generator) -> Any:
        """So many draws."""

    def log_densities(self, draws: Any) -> Array:
        """Of any draws, its own or others', ``(S,)``."""


class Target(Protocol):
    """What is integrated, for draws of one kind."""

    def joined(self, parts: Sequence[Any]) -> Any:
        """Draws of several laws together."""

    def log_joint(self, draws: Any) -> Array:
        """``log p(x, θ)`` of each draw, ``(S,)``."""

    def learnt(self, draws: Any, chosen: NDArray[np.intp], rng: np.random.Generator) -> Sequence[Law]:
        """Laws given rows that were allocated as under the chosen draws."""

    def explored(self, n_chains: int, rng: np.random.Generator) -> Sequence[Law]:
        """Laws given the last allocations of chains that know of no mode."""


@dataclass(frozen=True, eq=False)
class Population:
    """A proposal that has learnt, and what its last draws say.

    Attributes
    ----------
    laws : sequence of Law
    shares : (L,) array
    log_weights : (S,) array
        Of the draws of the last round.
    evidence : LogEvidence
        What they say, whether or not that can be trusted.
    steady : bool
        Whether enough of the draws count, and the last two rounds agree.
    missed : float
        Share of the posterior that may lie where neither a proposal nor a chain went.
    """

    laws: Sequence[Law]
    shares: Array
    log_weights: Array
    evidence: LogEvidence
    steady: bool
    missed: float = 0.0

    def log_densities(self, draws: Any) -> Array:
        """Of any draws under the proposal."""
        densities = np.array([law.log_densities(draws) for law in self.laws])
        return np.asarray(np.logaddexp.reduce(np.log(self.shares)[:, None] + densities, axis=0))


def learn(laws: Sequence[Law], target: Target, n_components: int, n_draws: int, rng: np.random.Generator) -> Population:
    """Rounds of drawing and learning, until two agree.

    Parameters
    ----------
    laws : sequence of Law
        To begin with.
    target : Target
    n_components : int
    n_draws : int
        Of each round.
    rng : numpy Generator
    """
    n_learnt = int(np.clip(SUBSETS // (2**n_components * n_components), LEAST_LEARNT, N_LEARNT))
    own, shares = list(laws), np.full(len(laws), 1 / len(laws))
    before: LogEvidence | None = None
    for n_round in range(MOST_ROUNDS):
        counts = rng.multinomial(n_draws, shares)
        drawn = target.joined([law.draw(n, rng) for law, n in zip(own, counts.tolist(), strict=True) if n])
        densities = np.array([law.log_densities(drawn) for law in own])
        log_weights = target.log_joint(drawn) - np.logaddexp.reduce(np.log(shares)[:, None] + densities, axis=0)
        found, size = averaged(log_weights), effective_size(log_weights)
        agreed = before is None or agree(before, found)
        if (agreed and size > (ENOUGH if n_round else EXACT) * n_draws) or n_round == MOST_ROUNDS - 1:
            break
        before, weights = found, truncated(log_weights)
        learnt = target.learnt(drawn, rng.choice(n_draws, n_learnt, p=weights), rng)
        own = [*laws, *learnt]
        own_densities = [*densities[: len(laws)], *(law.log_densities(drawn) for law in learnt)]
        shares = nearest_shares(np.array(own_densities), weights)
    few = size < (TOO_FEW if found.pareto_k < HEAVY else ENOUGH) * n_draws
    return Population(own, shares, log_weights, found, agreed and not few)


def cover(laws: Sequence[Law], target: Target, n_components: int, n_draws: int, rng: np.random.Generator) -> Population:
    """Learn until chains that know of no mode find nothing new."""
    own = list(laws)
    for _ in range(MOST_CHECKS):
        population = learn(own, target, n_components, n_draws, rng)
        if n_components == 1:
            return population
        further = target.explored(N_CHAINS, rng)
        ends = target.joined([law.draw(1, rng) for law in further])
        excess = target.log_joint(ends) - population.log_densities(ends) - population.evidence.value
        unseen = np.flatnonzero(excess > math.log(RARE)).tolist()
        # Of those that end in the tails of the weights, which the error knows of, there are as many as the tails weigh.
        known = N_CHAINS * tail_share(population.log_weights)
        missed = max(0.0, len(unseen) - known - math.sqrt(known))
        if not missed:
            break
        own += [further[i] for i in unseen]
    return replace(population, missed=(missed + 1) / (N_CHAINS + 2))


def tail_share(log_weights: Array) -> float:
    """Share of all weight that is on draws with more than ``RARE`` times the mean."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights[weights > RARE * weights.mean()].sum() / weights.sum())


def trusted(population: Population) -> LogEvidence:
    """The evidence, with an error that knows of what may have been missed.

    Raises
    ------
    UnknownEvidenceError
        If the last round rests on a few of its draws, or did not agree with the one before, or chains still ended elsewhere.
    """
    found, missed = population.evidence, population.missed
    if not population.steady:
        raise UnknownEvidenceError(
            f"the evidence is not known: of {len(population.log_weights)} draws {effective_size(population.log_weights):.1f} count, which "
            f"give {found.value:.2f} ± {found.standard_error:.2f}, or rounds of so many do not agree. No proposal is like the posterior; "
            "draw from it and use bridge sampling, or fit fewer components."
        )
    if missed > MOST_MISSED:
        raise UnknownEvidenceError(
            f"the evidence is not known: proposals that give {found.value:.2f} ± {found.standard_error:.2f} hardly reach where "
            f"{missed:.0%} of {N_CHAINS} chains from random labels end. The posterior has very many modes; fit fewer components, or take a "
            "firmer prior."
        )
    return found._replace(standard_error=math.hypot(found.standard_error, missed))


def truncated(log_weights: Array) -> Array:
    """Weights that sum to one, none of them more than ``√S`` times the mean."""
    weights = np.exp(log_weights - log_weights.max())
    weights = np.minimum(weights, weights.mean() * math.sqrt(len(weights)))
    return np.asarray(weights / weights.sum())


def nearest_shares(log_densities: Array, weights: Array) -> Array:
    """Shares of laws ``(L,)`` whose mixture is near to weighted draws, from their densities ``(L, S)``: EM from equal shares."""
    shares = np.full(len(log_densities), 1 / len(log_densities))
    for _ in range(EM_STEPS):
        joint = np.log(shares)[:, None] + log_densities
        shares = np.exp(joint - np.logaddexp.reduce(joint, axis=0)) @ weights
        shares = np.maximum(shares, 1e-300)
    return np.asarray((1 - DEFENSIVE) * shares / shares.sum() + DEFENSIVE / len(shares))
