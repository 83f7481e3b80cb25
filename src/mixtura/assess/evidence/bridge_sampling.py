"""The log evidence by bridge sampling: draws from the posterior beside draws from a law that is nearly the posterior.

With ``l = p(x | θ) p(θ) / q(θ)`` and shares ``s₁ + s₂ = 1``, the evidence ``z`` is where both of these have one mean:

    f₁ = l / (s₁ l + s₂ z)  over draws from q,    f₂ = z / (s₁ l + s₂ z)  over draws from the posterior.

The mean of the first falls in ``z``, that of the second rises, so there is one such place. Both are bounded, so no draw outweighs all
others, whatever the tails of ``q``. Shares in proportion to the numbers of independent draws make the error smallest.

Here ``q`` is learnt from draws that take no further part. Rows are given to components as under some of these draws, and ``q`` averages
the conjugate laws of the parameters given each such allocation, over all ``K!`` orders of the components too. So neither labels that
switch, nor components that overlap or have no rows, need any care; under a conjugate prior ``q`` tends to the posterior itself. Some of the
laws are *flattened*, as if only a share of the rows had been seen: chains stay long where they seldom go, and where ``q`` did not reach,
their draws alone would have to say how much is there.

Sources: Meng and Wong (1996), "Simulating ratios of normalizing constants via a simple identity"; Frühwirth-Schnatter (2004), "Estimating
marginal likelihoods for mixture and Markov switching models using bridge sampling techniques", for ``q`` and the error; Gronau et al.
(2017), "A tutorial on bridge sampling", for the halves and effective numbers of draws; Hesterberg (1995), "Weighted average importance
sampling and defensive mixture distributions".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_expit

from mixtura.assess.convergence import bulk_size, mean_error
from mixtura.assess.evidence.importance import MOST_COMPONENTS, NUMBERS, DrawnMixtures, LogEvidence
from mixtura.assess.evidence.pareto import LEAST_WEIGHTS, pareto_shape
from mixtura.assess.log_posteriors import LogPosteriors
from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.draws import Draws
from mixtura.model.log_priors import ConjugatePrior, LogPrior, log_invariant_measure
from mixtura.model.mixture import Mixture
from mixtura.model.posterior import Posterior
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.scorer import Scorer
from mixtura.model.weight_posterior import Dirichlet
from mixtura.sweep import Sampled, Sweep, moments_of_all

N_ALLOCATIONS = 100
"""That the proposal averages over."""
MARGIN = 50.0
"""Beyond all log ratios one of the two means is nothing beside the other."""
SHARES = (1.0, 1.0, 1.0, 1.0, 0.3, 0.1)
"""Of their moments that laws have seen, in turn."""


def bridge_sampling(draws: Draws, source: ArraySource, prior: LogPrior, rng: np.random.Generator) -> LogEvidence:
    """The log evidence of a mixture of a known number of components, from draws of its posterior.

    Parameters
    ----------
    draws : Draws
        Of the posterior, in whatever order the components of each are. The first half of each chain teaches the proposal.
    source : ArraySource
        The rows that they were inferred from.
    prior : LogPrior
        Under which they were.
    rng : numpy Generator

    Returns
    -------
    LogEvidence
        ``standard_error`` knows that draws of a chain depend on each other, not of modes that no chain has found. ``pareto_k`` is that of
        ``f₁``: above 0.7 the proposal hardly reaches some of the posterior, and how much there is rests on how often chains went there.

    Raises
    ------
    InvalidParameterError
        If there are fewer than 50 draws or eight in each chain, more than 12 components, or one without weight.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.evidence.bridge_sampling import bridge_sampling
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.gibbs import Gibbs, sample
    >>> from mixtura.inference.telescoping import ComponentCountLaw, FiniteMixtures
    >>> from mixtura.model.components import ConjugateComponents
    >>> from mixtura.model.log_priors import ConjugatePrior
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
        log_posteriors = LogPosteriors(sweep, prior)
        proposal = AllocationProposal.learnt(list(first.thinned(N_ALLOCATIONS)), sweep, prior, rng)
        proposed = proposal.draw(len(second), rng)
        of_proposals, of_posterior = (
            log_posteriors(list(each.thinned(len(each)))) - proposal.log_densities(each) for each in (proposed, second)
        )
    return bridge(of_proposals, of_posterior.reshape(second.n_chains, half))


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


@dataclass(frozen=True, eq=False)
class AllocationProposal:
    """The mean of conjugate laws of the parameters, each given one allocation of the rows to components, and over all orders of those.

    Attributes
    ----------
    beliefs : sequence of Posterior
        One for each allocation.
    """

    beliefs: Sequence[Posterior]

    @classmethod
    def learnt(
        cls, mixtures: Sequence[Mixture], sweep: Sweep, prior: LogPrior, rng: np.random.Generator
    ) -> AllocationProposal:
        """From allocations drawn under mixtures, in one read of the data."""
        structure = mixtures[0].structure
        if not isinstance(structure, SharedBlocks):
            raise InvalidParameterError(f"covariance_type {structure.name!r} has no conjugate laws to bridge from.")
        seed = rng.integers(2**64, dtype=np.uint64)
        assignments = [Sampled(np.array([seed, i], np.uint64)) for i in range(len(mixtures))]
        swept = sweep([mixture.scorer for mixture in mixtures], assignments)
        conjugate = _conjugate(prior, sweep.source, mixtures[0])
        weights = Dirichlet(prior.concentration, np.full(mixtures[0].n_components, prior.concentration))
        moments = [share * one.moments for one, share in zip(swept, cycle(SHARES), strict=False)]
        return cls([Posterior.from_moments(each, structure, conjugate, weights) for each in moments])

    def draw(self, n_draws: int, rng: np.random.Generator) -> Draws:
        """So many draws, as one chain; those of one allocation are listed together."""
        structure, shape = self.beliefs[0].structure, self.beliefs[0].means.shape
        counts = rng.multinomial(n_draws, np.full(len(self.beliefs), 1 / len(self.beliefs)))
        drawn = [belief.draw_parameters(n, rng) for belief, n in zip(self.beliefs, counts.tolist(), strict=True) if n]
        log_weights, means, roots = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        blocks = structure.block_from_roots(roots.reshape(-1, *roots.shape[2:]))
        return Draws(
            structure, np.exp(log_weights)[None], means[None], blocks.reshape(1, n_draws, *structure.shape(*shape))
        )

    def log_densities(self, draws: Draws) -> Array:
        """Of ``(π, μ, Σ)`` for each draw, chain after chain."""
        n_components, n_features = draws.n_components, draws.n_features
        size = max(1, NUMBERS // max(2**n_components, n_components * n_features * max(n_components, n_features)))
        flat = draws.subset(len(draws))
        parts = [self._of_few(_part(flat, slice(start, start + size))) for start in range(0, len(flat), size)]
        return np.concatenate(parts) - math.lgamma(n_components + 1) - math.log(len(self.beliefs))

    def _of_few(self, draws: Draws) -> Array:
        """The sum over allocations and orders, for draws that fit in memory together."""
        structure, n_features = self.beliefs[0].structure, draws.n_features
        roots = structure.block_roots(draws.covariances.reshape(-1, *structure.block_shape(n_features)))
        factors = structure.factor_from_roots(roots)
        whitening = structure.block_whitening(factors, n_features)
        if structure.shared:
            whitening = np.repeat(whitening, draws.n_components, axis=0)
        scorer = Scorer.of(draws.weights.ravel(), draws.means.reshape(-1, n_features), whitening)
        log_weights = np.log(draws.weights[0])
        parameters = DrawnMixtures(log_weights, factors, scorer)
        constants = scorer.constants.reshape(log_weights.shape) - log_weights
        on_blocks = log_invariant_measure(structure, roots, n_features).reshape(len(draws), -1)
        total = np.logaddexp.reduce([parameters.log_density(belief) for belief in self.beliefs], axis=0)
        return total + constants.sum(axis=1) + on_blocks.sum(axis=1)


def _conjugate(prior: LogPrior, source: ArraySource, mixture: Mixture) -> NormalInverseWishart:
    """The prior of means and covariances if it is conjugate, else a weak one from the data."""
    if isinstance(prior, ConjugatePrior):
        return prior.components.prior
    structure = mixture.structure
    moments = moments_of_all(source, diagonal=structure.diagonal)
    scatter = moments.scatter()[0] / moments.count[0]
    covariance = np.diag(scatter) if structure.diagonal else scatter
    return NormalInverseWishart.from_data_moments(moments.means()[0], covariance, mixture.n_components)


def _part(draws: Draws, chosen: slice) -> Draws:
    """Some draws of each chain."""
    return Draws(draws.structure, draws.weights[:, chosen], draws.means[:, chosen], draws.covariances[:, chosen])
