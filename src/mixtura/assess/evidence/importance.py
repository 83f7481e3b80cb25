"""The log evidence of a mixture by importance sampling, with a conjugate belief to propose.

The likelihood does not care which component is called the first, so the exact posterior has ``K!`` copies of every mode, and a belief
covers one of them. Averages over all relabellings put that right without a single further draw:

    p(X) = E_q[ p(X | θ) p̄(θ) / q̄(θ) ],   p̄ and q̄ the prior and the proposal averaged over the K! orders of the components.

Both averages are sums over permutations of products of one factor for each place ``j`` and the component that takes it, a permanent whose
terms are all positive. What weights add depends, besides, on the *set* of components that took the places before; so the sum builds up
over subsets ``A``, of which there are ``2^K`` and not ``K!``:

    f(A) = r(A)^t Σ_{k ∈ A} f(A − k) M[j, k],   j = |A| − 1,   with r(A) the weight that the components outside A have.

A belief that takes labels and parameters for independent is too narrow, and one draw beyond it can outweigh all others. So some draws come
from *flattened* copies of it, the same conjugate laws with a share of its rows, and ``q`` is the mixture of all of them. With one component
the belief is the exact posterior and needs no such defence.

Sources: Berkhof, van Mechelen and Gelman (2003), "A Bayesian approach to the selection and testing of mixture models", for the symmetric
average in an evidence; Bellman (1962), "Dynamic programming treatment of the travelling salesman problem", for sums over subsets;
Hesterberg (1995), "Weighted average importance sampling and defensive mixture distributions".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mixtura.assess.evidence.pareto import LEAST_WEIGHTS, pareto_shape
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.settings import check_integer
from mixtura.model.posterior import Posterior
from mixtura.model.rows import as_rows, as_weights
from mixtura.model.scorer import Scorer, normalise
from mixtura.model.weight_posterior import GeneralisedDirichlet

MOST_COMPONENTS = 12
FLATTENED = (0.3, 0.1, 0.03)
"""Shares of the rows that flattened proposals have seen."""
SHARE_OF_DRAWS = 0.2
"""That each of them makes."""
NUMBERS = 2**22
"""Numbers in the largest array that draws made together need."""


class LogEvidence(NamedTuple):
    """An estimate of the log evidence.

    Attributes
    ----------
    value : float
    standard_error : float
        To first order, from the spread of the importance weights.
    pareto_k : float
        Shape of their tail. Below 0.5 the standard error is reliable, above 0.7 neither it nor the value; minus infinity where all
        weights are equal.
    """

    value: float
    standard_error: float
    pareto_k: float


def log_evidence(
    posterior: Posterior, X: ArrayLike, sample_weight: ArrayLike | None, n_draws: int, rng: np.random.Generator
) -> LogEvidence:
    """Log of the marginal likelihood of the rows, by importance sampling with the belief as the proposal.

    Unlike the lower bound it leaves nothing out: neither what the independence of labels and parameters costs, nor the ``K!`` orders of
    the components.

    Parameters
    ----------
    posterior : Posterior
    X : (N, D) array-like
        The rows that the belief was fitted to.
    sample_weight : (N,) array-like or None
        Their weights in that fit.
    n_draws : int
        At least 25.
    rng : numpy Generator

    Returns
    -------
    LogEvidence
        ``value``, ``standard_error`` and ``pareto_k``; above 0.7, the first two are not to be trusted.

    Raises
    ------
    InvalidParameterError
        If there are too few draws, or more than 12 components.

    Examples
    --------
    With one component the belief is the exact posterior, so all draws agree:

    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.evidence.importance import log_evidence
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> gm = mx.BayesianGaussianMixture(1).fit(X)
    >>> evidence = log_evidence(gm.posterior_, X, None, 1000, np.random.default_rng(0))
    >>> bool(np.isclose(evidence.value, gm.lower_bound_, rtol=1e-12)), evidence.standard_error < 1e-12
    (True, True)
    """
    n_components, n_features = posterior.means.shape
    if n_components > MOST_COMPONENTS:
        raise InvalidParameterError(
            f"the evidence of {n_components} components takes sums over all their subsets; at most {MOST_COMPONENTS} are feasible. Fit "
            "fewer components, or compare lower bounds plus ln K!."
        )
    check_integer(n_draws, "n_draws", LEAST_WEIGHTS)
    rows = as_rows(X, n_features).astype(np.float64, copy=False)
    row_weights = np.ones(len(rows)) if sample_weight is None else as_weights(sample_weight, len(rows))
    prior = posterior.before
    n_flat = int(SHARE_OF_DRAWS * n_draws) if n_components > 1 else 0
    proposals = {posterior: int(n_draws) - n_flat * len(FLATTENED)}
    if n_flat:
        proposals |= {_flattened(posterior, share): n_flat for share in FLATTENED}
    together = max(1, NUMBERS // max(2**n_components, n_components * n_features * max(n_components, n_features)))
    parts = []
    for proposal, count in proposals.items():
        for start in range(0, count, together):
            draws = DrawnMixtures.of(proposal, min(together, count - start), rng)
            proposed = [math.log(n / n_draws) + draws.log_density(law) for law, n in proposals.items()]
            ratios = draws.log_density(prior) - np.logaddexp.reduce(proposed)
            parts.append(ratios + draws.log_likelihoods(rows, row_weights))
    return averaged(np.concatenate(parts))


def _flattened(posterior: Posterior, share: float) -> Posterior:
    """The belief about the same means, as firm as if it had been updated with a share of its rows."""
    before = posterior.before
    return replace(
        posterior,
        weights=posterior.weights.updated(share * posterior.effective_counts),
        mean_precisions=before.mean_precisions + share * posterior.effective_counts,
        scales=before.scales + share * (posterior.scales - before.scales),
        degrees_of_freedom=before.degrees_of_freedom
        + share * (posterior.degrees_of_freedom - before.degrees_of_freedom),
    )


def averaged(log_weights: Array) -> LogEvidence:
    """The log of the mean of importance weights, and how well it is known."""
    peak = float(log_weights.max())
    weights = np.exp(log_weights - peak)
    mean = float(weights.mean())
    error = float(weights.std(ddof=1)) / (mean * math.sqrt(len(weights)))
    return LogEvidence(peak + math.log(mean), error, pareto_shape(log_weights))


class DrawnMixtures(NamedTuple):
    """``S`` draws: their log weights ``(S, K)``, the factors of their ``S·G`` precisions, and all ``S·K`` components as one scorer."""

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

    def log_likelihoods(self, rows: Array, row_weights: Array) -> Array:
        """Of all rows under each draw, ``(S,)``."""
        n_draws, n_components = self.log_weights.shape
        found = np.zeros(n_draws)
        step = max(1, 2**11 // (n_components * rows.shape[1]))
        for first in range(0, n_draws, step):
            several = self.scorer[first * n_components : (first + step) * n_components]
            for part in _blocks(len(rows), several.block_rows()):
                joint = several.log_joint(several.whitened(several.residuals(rows[part])))
                log_pdf = normalise(joint.reshape(-1, n_components, joint.shape[1]))
                found[first : first + step] += log_pdf @ row_weights[part]
        return found

    def log_density(self, belief: Posterior) -> Array:
        """Log of the density of each draw under a belief, summed over all relabellings, ``(S,)``.

        Without what is the same for any belief of this form: the factors ``√|Λ_k|/(2π)^(D/2)`` of the means.
        """
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


def _blocks(n_rows: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, n_rows, size))
