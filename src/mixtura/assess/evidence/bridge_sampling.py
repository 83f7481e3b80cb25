"""The log evidence by bridge sampling: draws from the posterior beside draws from a law that is nearly the posterior.

With ``l = p(x | θ) p(θ) / q(θ)`` and shares ``s₁ + s₂ = 1``, the evidence ``z`` is where both of these have one mean:

    f₁ = l / (s₁ l + s₂ z)  over draws from q,    f₂ = z / (s₁ l + s₂ z)  over draws from the posterior.

The mean of the first falls in ``z``, that of the second rises, so there is one such place. Both are bounded, so no draw outweighs all
others, whatever the tails of ``q``. Shares in proportion to the numbers of independent draws make the error smallest.

Here ``q`` begins with draws that take no further part: rows are given to components as under some of these draws, and ``q`` mixes the
conjugate laws of the parameters given each such allocation, over all ``K!`` orders of the components too. So neither labels that switch,
nor components that overlap or have no rows, need any care. It then learns (``population.py``), from its own draws and from chains that
know of no mode. Where ``q`` is near to the posterior it hardly matters how long the chains stayed where; and importance sampling with
``q`` alone is an estimate that knows nothing of them, which must agree.

Sources: Meng and Wong (1996), "Simulating ratios of normalizing constants via a simple identity"; Frühwirth-Schnatter (2004), "Estimating
marginal likelihoods for mixture and Markov switching models using bridge sampling techniques", for ``q`` and the error; Gronau et al.
(2017), "A tutorial on bridge sampling", for the halves and effective numbers of draws; Hesterberg (1995), "Weighted average importance
sampling and defensive mixture distributions".
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_expit

from mixtura.assess.draws.convergence import bulk_size, mean_error
from mixtura.assess.evidence.drawn import MOST_COMPONENTS
from mixtura.assess.evidence.estimate import LogEvidence, agree
from mixtura.assess.evidence.pareto import LEAST_WEIGHTS, pareto_shape
from mixtura.assess.evidence.points import PointJoint, Points
from mixtura.assess.evidence.population import MOST_MISSED, cover
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError, UnknownEvidenceError
from mixtura.ground.linalg import Array
from mixtura.model.draws import Draws
from mixtura.model.laws.log_densities import LogPrior
from mixtura.sweep import Sweep

N_ALLOCATIONS = 48
"""Under draws of the first halves, from which the proposal begins to learn."""
MARGIN = 50.0
"""Beyond all log ratios one of the two means is nothing beside the other."""
N_PROPOSED = 1000
"""Draws of the proposal, in each round of learning."""


def bridge_sampling(draws: Draws, source: Source, prior: LogPrior, rng: np.random.Generator) -> LogEvidence:
    """The log evidence of a mixture of a known number of components, from draws of its posterior.

    Parameters
    ----------
    draws : Draws
        Of the posterior, in whatever order the components of each are. The first half of each chain teaches the proposal.
    source : Source
        The rows that they were inferred from.
    prior : LogPrior
        Under which they were.
    rng : numpy Generator

    Returns
    -------
    LogEvidence
        ``standard_error`` knows that draws of a chain depend on each other. ``pareto_k`` is that of ``f₁``: above 0.7 the proposal hardly
        reaches some of the posterior, and how much there is rests on how often chains went there.

    Raises
    ------
    InvalidParameterError
        If there are fewer than 50 draws or eight in each chain, more than 12 components, or one without weight.
    UnknownEvidenceError
        If the proposal alone gives another estimate, or chains from random labels end where neither it nor the draws have been.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.evidence.bridge_sampling import bridge_sampling
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.sampling.gibbs import Gibbs, sample
    >>> from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
    >>> from mixtura.model.laws.components import ConjugateComponents
    >>> from mixtura.model.laws.log_densities import ConjugatePrior
    >>> source = ArraySource(np.array([[0.0], [1.0], [10.0], [11.0], [12.0]]))
    >>> start = mx.Mixture([0.5, 0.5], [[0.5], [11.0]], [1.0, 1.0], "spherical")
    >>> niw = mx.NormalInverseWishart(mean=[6.0], mean_precision=0.1, scale=[[4.0]], degrees_of_freedom=4)
    >>> components, rng = ConjugateComponents(start.structure, niw), np.random.default_rng(0)
    >>> sampler = Gibbs(components, FiniteMixtures(ComponentCountLaw.exactly(2), 1.0))
    >>> run = sample(source, [start], sampler, rng, n_draws=1000, n_warmup=100)
    >>> found = bridge_sampling(run.draws, source, ConjugatePrior(components, 1.0), rng)
    >>> abs(found.value + 15.5137) < 4 * found.standard_error < 0.1
    True
    """
    half = draws.n_draws // 2
    if half * draws.n_chains < LEAST_WEIGHTS or half < 4:
        raise InvalidParameterError(
            f"bridge sampling needs at least {2 * LEAST_WEIGHTS} draws, and eight of each chain; there are {draws.n_chains} chains of "
            f"{draws.n_draws}. Make more draws."
        )
    if draws.n_components > MOST_COMPONENTS:
        raise InvalidParameterError(
            f"the evidence of {draws.n_components} components takes sums over all their subsets; at most {MOST_COMPONENTS} are feasible."
        )
    first, second = _part(draws, slice(half)), _part(draws, slice(draws.n_draws - half, None))
    with Sweep(source) as sweep:
        taught = Points.of(first.subset(N_ALLOCATIONS))
        target = PointJoint.of(sweep, prior, taught.draws.mixture(0, 0))
        laws = target.learnt(taught, np.arange(len(taught)), rng)
        population = cover(laws, target, draws.n_components, N_PROPOSED, rng)
        points = Points.of(second)
        of_posterior = target.log_joint(points) - population.log_densities(points)
    found = bridge(population.log_weights, of_posterior.reshape(second.n_chains, half))
    found = found._replace(standard_error=math.hypot(found.standard_error, population.missed))
    if population.missed > MOST_MISSED or (population.steady and not agree(found, population.evidence)):
        raise UnknownEvidenceError(
            f"the evidence is not known: bridge sampling gives {found.value:.2f} ± {found.standard_error:.2f}, importance sampling with "
            f"its proposal {population.evidence.value:.2f} ± {population.evidence.standard_error:.2f}, and {population.missed:.0%} of the "
            "posterior may lie where neither went. The chains have not found all modes; make more draws, or more chains (n_chains)."
        )
    return found


def bridge(of_proposals: Array, of_posterior: Array) -> LogEvidence:
    """The log evidence from log ratios ``log l`` of independent draws from the proposal ``(T,)`` and of chains ``(C, S)``.

    The error is, to first order, that of the two means at the solution: their ratio is the evidence for any weights, so that the solution
    enters the weights without further error.

    Examples
    --------
    A normal law, unnormalised, and one of another width:

    >>> import numpy as np
    >>> from mixtura.assess.evidence.bridge_sampling import bridge
    >>> rng = np.random.default_rng(0)
    >>> log_ratio = lambda x: -0.5 * x**2 - (-0.5 * (x / 2) ** 2 - np.log(2 * np.sqrt(2 * np.pi)))
    >>> found = bridge(log_ratio(2 * rng.normal(size=2000)), log_ratio(rng.normal(size=(4, 500))))
    >>> abs(found.value - 0.5 * np.log(2 * np.pi)) < 3 * found.standard_error < 0.1
    True
    """
    effective = bulk_size(of_posterior)
    odds = math.log(effective / len(of_proposals))  # s₁ / s₂

    def excess(log_evidence: float) -> float:
        above = expit(of_proposals - log_evidence + odds).mean() / effective
        below = expit(log_evidence - of_posterior - odds).mean() / len(of_proposals)
        return float(above - below)

    ratios = np.append(of_proposals, of_posterior)
    finite = ratios[np.isfinite(ratios)]  # rows may have no density at all under a wide proposal
    value = brentq(excess, finite.min() - MARGIN, finite.max() + MARGIN, xtol=1e-12)
    log_above = log_expit(of_proposals - value + odds)
    above, below = np.exp(log_above), expit(value - of_posterior - odds)
    errors = above.std(ddof=1) / (math.sqrt(len(above)) * above.mean()), mean_error(below) / below.mean()
    return LogEvidence(value, math.hypot(*errors), pareto_shape(log_above))


def _part(draws: Draws, chosen: slice) -> Draws:
    """Some draws of each chain."""
    return Draws(draws.structure, draws.weights[:, chosen], draws.means[:, chosen], draws.covariances[:, chosen])
