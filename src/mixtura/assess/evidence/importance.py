"""The log evidence of a mixture by importance sampling, with conjugate beliefs to propose.

    p(X) = E_q[ p(X | θ) p̄(θ) / q̄(θ) ],   p̄ and q̄ the prior and the proposal averaged over the K! orders of the components.

A variational posterior knows one optimum, and takes labels and parameters for independent, so it is too narrow besides. So the proposal
begins with all optima that were found, others that are looked for, and *flattened* copies of each, the same conjugate laws with a share of
its rows; it then learns from its own draws, and from chains that know of none of them. With one component the belief is the exact posterior
and needs no such defence. The largest lower bound is one of the evidence too, and no estimate may lie below it.

Source: Berkhof, van Mechelen and Gelman (2003), "A Bayesian approach to the selection and testing of mixture models", for the symmetric
average in an evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixtura.assess.evidence.allocations import allocated, annealed, given, with_flattened
from mixtura.assess.evidence.drawn import MOST_COMPONENTS, DrawnMixtures
from mixtura.assess.evidence.estimate import MOST_ERRORS, LogEvidence
from mixtura.assess.evidence.optima import optima
from mixtura.assess.evidence.pareto import LEAST_WEIGHTS
from mixtura.assess.evidence.population import cover, trusted
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError, UnknownEvidenceError
from mixtura.ground.linalg import Array
from mixtura.ground.settings import check_integer
from mixtura.model.laws.posterior import Posterior
from mixtura.sweep import Sweep

ROUNDING = 1e-9


def importance_sampling(
    posteriors: Sequence[Posterior], source: Source, rng: np.random.Generator, *, n_draws: int = 1000
) -> LogEvidence:
    """Log of the marginal likelihood of the rows, from variational posteriors.

    Unlike the lower bound it leaves nothing out: neither what the independence of labels and parameters costs, nor the ``K!`` orders of
    the components, nor other optima.

    Parameters
    ----------
    posteriors : sequence of Posterior
        One or more that were fitted to the rows under one prior, the ends of restarts for instance; others are looked for from there.
    source : Source
        The rows.
    rng : numpy Generator
    n_draws : int, default=1000
        Of each round of learning; at least 25.

    Returns
    -------
    LogEvidence

    Raises
    ------
    InvalidParameterError
        If there are too few draws, or more than 12 components.
    UnknownEvidenceError
        If a few draws make all of the estimate, chains always end where no proposal reaches, or it lies below the lower bound.

    Examples
    --------
    With one component the belief is the exact posterior, so all draws agree:

    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.evidence.importance import importance_sampling
    >>> from mixtura.data.array import ArraySource
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> gm = mx.BayesianGaussianMixture(1).fit(X)
    >>> evidence = importance_sampling([gm.posterior_], ArraySource(X), np.random.default_rng(0))
    >>> bool(np.isclose(evidence.value, gm.lower_bound_, rtol=1e-12)), evidence.standard_error < 1e-12
    (True, True)
    """
    n_components = posteriors[0].n_components
    if n_components > MOST_COMPONENTS:
        raise InvalidParameterError(
            f"the evidence of {n_components} components takes sums over all their subsets; at most {MOST_COMPONENTS} are feasible. Fit "
            "fewer components, or compare lower bounds plus ln K!."
        )
    check_integer(n_draws, "n_draws", LEAST_WEIGHTS)
    beliefs, bound = optima(posteriors, source, rng)
    with Sweep(source) as sweep:
        laws = [Conjugate(belief) for belief in with_flattened(beliefs)]
        found = trusted(cover(laws, Joint(sweep, beliefs[0].before), n_components, int(n_draws), rng))
    if found.value + MOST_ERRORS * found.standard_error + ROUNDING * abs(bound) < bound:
        raise UnknownEvidenceError(
            f"the evidence is not known: the estimate, {found.value:.2f} ± {found.standard_error:.2f}, lies below the lower bound "
            f"{bound:.2f}. Make more draws (n_draws), or draw from the posterior and use bridge sampling."
        )
    return found


@dataclass(frozen=True, eq=False)
class Conjugate:
    """The law of the parameters under a belief, all relabellings included.

    Attributes
    ----------
    belief : Posterior
    """

    belief: Posterior

    def draw(self, n_draws: int, rng: np.random.Generator) -> DrawnMixtures:
        """So many draws."""
        return DrawnMixtures.of(self.belief, n_draws, rng)

    def log_densities(self, draws: DrawnMixtures) -> Array:
        """Of each draw, but for what all beliefs have alike, the number of orders for instance."""
        return draws.log_density(self.belief)


@dataclass(frozen=True, eq=False)
class Joint:
    """The density of rows and parameters under a conjugate prior.

    Attributes
    ----------
    sweep : Sweep
        Over the rows.
    prior : Posterior
        The belief before any row was seen.
    """

    sweep: Sweep
    prior: Posterior

    def joined(self, parts: Sequence[DrawnMixtures]) -> DrawnMixtures:
        """Draws of several laws together."""
        return DrawnMixtures.joined(parts)

    def log_joint(self, draws: DrawnMixtures) -> Array:
        """``log p(X | θ) p̄(θ)``, but for what all beliefs have alike."""
        return draws.log_density(self.prior) + draws.log_likelihoods(self.sweep.source)

    def learnt(self, draws: DrawnMixtures, chosen: NDArray[np.intp], rng: np.random.Generator) -> list[Conjugate]:
        """Conjugate laws given allocations as under the chosen draws."""
        moments = allocated(self.sweep, [draws[i : i + 1].scorer for i in chosen.tolist()], rng)
        return [Conjugate(belief) for belief in given(moments, self.prior)]

    def explored(self, n_chains: int, rng: np.random.Generator) -> list[Conjugate]:
        """Conjugate laws given the last allocations of chains that know of no mode."""
        return [Conjugate(belief) for belief in annealed(self.sweep, self.prior, n_chains, rng)]
