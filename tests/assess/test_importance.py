"""The importance-sampled evidence: enumeration of all labellings, known answers, and its sum over permutations one by one."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import betaln, gammaln, multigammaln
from scipy.stats import beta, dirichlet, gamma, multivariate_normal, wishart

import mixtura as mx
from chance import SERIES, deviations
from mixtura.assess.evidence.drawn import DrawnMixtures, log_permutation_sum
from mixtura.assess.evidence.importance import importance_sampling
from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import GeneralisedDirichlet, StickBreaking

FIVE = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
FIVE_EVIDENCE = [-21.802099237667, -15.513655943397, -15.406090711916, -15.454065926747, -15.533037074030]
WEIGHTS = ["dirichlet_distribution", "dirichlet_process"]
MOST = deviations(1, SERIES)
"""Standard errors that an estimate of the evidence may lie off; how large those are is tested too."""

every_structure = pytest.mark.parametrize("name", [structure.name for structure in STRUCTURES])
every_weight_prior = pytest.mark.parametrize("weights", WEIGHTS)

PRIOR = NormalInverseWishart([0.3, -0.2], 0.7, [[1.3, 0.4], [0.4, 0.8]], 3.5)
FIRM = NormalInverseWishart([0.3, -0.2], 0.7, [[4.3, 1.3], [1.3, 2.7]], 10.0)


def fitted(rows, n_components, name="full", weights=WEIGHTS[0], alpha=0.8, prior=PRIOR, **settings):
    block = covariance_structure(name).prior_block(prior.scale)[0]
    return mx.BayesianGaussianMixture(
        n_components,
        covariance_type=name,
        weight_concentration_prior_type=weights,
        weight_concentration_prior=alpha,
        mean_prior=prior.mean,
        mean_precision_prior=prior.mean_precision,
        covariance_prior=float(block) if block.ndim == 0 else block,
        degrees_of_freedom_prior=prior.degrees_of_freedom,
        tol=1e-9,
        max_iter=3000,
        n_init=3,
        random_state=0,
        **settings,
    ).fit(rows)


def evidence(posterior, rows, seed, n_draws=1000, weights=None):
    source = ArraySource(rows, None if weights is None else np.asarray(weights, float))
    return importance_sampling([posterior], source, np.random.default_rng(seed), n_draws=n_draws)


def log_constant(scale, degrees, name):
    """Log of the integral of ``|Λ|^(ν/2) exp(−½ tr ΨΛ)`` over the invariant measure, up to powers of two that cancel."""
    n_features = len(scale)
    if name in ("full", "tied"):
        return multigammaln(degrees / 2, n_features) - degrees / 2 * np.linalg.slogdet(scale)[1]
    if name in ("diag", "tied_diag"):
        return sum(gammaln(degrees / 2) - degrees / 2 * math.log(psi) for psi in np.diag(scale))
    return gammaln(n_features * degrees / 2) - n_features * degrees / 2 * math.log(np.trace(scale))


def labelled_log_evidence(rows, labels, n_components, name, prior):
    """Log marginal likelihood of rows whose labels are known, by ratios of normalising constants."""
    n_features = rows.shape[1]
    total, scatters, counts = -rows.size / 2 * math.log(math.pi), [], []
    for k in range(n_components):
        own = rows[labels == k]
        precision = prior.mean_precision + len(own)
        total += n_features / 2 * math.log(prior.mean_precision / precision)
        centre = (prior.mean_precision * prior.mean + own.sum(axis=0)) / precision
        deviations = np.vstack([own - centre, math.sqrt(prior.mean_precision) * (prior.mean - centre)])
        scatters.append(deviations.T @ deviations)
        counts.append(len(own))
    if name.startswith("tied"):
        scatters, counts = [sum(scatters)], [len(rows)]
    for scatter, count in zip(scatters, counts, strict=True):
        total += log_constant(prior.scale + scatter, prior.degrees_of_freedom + count, name)
        total -= log_constant(prior.scale, prior.degrees_of_freedom, name)
    return total


def log_probability_of_counts(counts, weights, alpha):
    """Of one labelling, with its weights integrated out."""
    if weights == WEIGHTS[0]:
        total = gammaln(len(counts) * alpha) - gammaln(len(counts) * alpha + counts.sum())
        return total + (gammaln(alpha + counts) - gammaln(alpha)).sum()
    beyond = counts[::-1].cumsum()[::-1] - counts
    return (betaln(1 + counts, alpha + beyond) - betaln(1, alpha))[:-1].sum()


def enumerated(rows, n_components, name, weights, alpha, prior):
    terms = []
    for labels in map(np.array, itertools.product(range(n_components), repeat=len(rows))):
        counts = np.bincount(labels, minlength=n_components)
        term = labelled_log_evidence(rows, labels, n_components, name, prior)
        terms.append(term + log_probability_of_counts(counts, weights, alpha))
    return float(np.logaddexp.reduce(terms))


@pytest.mark.parametrize("n_components", [1, 2, 3, 4, 5])
def test_five_points(n_components, seed):
    prior = NormalInverseWishart([6.0], 0.1, [[4.0]], 4.0)
    exact = FIVE_EVIDENCE[n_components - 1]
    if n_components < 5:
        assert enumerated(FIVE, n_components, "full", WEIGHTS[0], 1.0, prior) == pytest.approx(exact, abs=1e-9)
    gm = fitted(FIVE, n_components, alpha=1.0, prior=prior)
    found = evidence(gm.posterior_, FIVE, seed)
    assert gm.lower_bound_ <= exact + 1e-11
    assert abs(found.value - exact) < MOST * found.standard_error + 1e-11
    assert found.standard_error < 0.06
    if n_components == 1:
        assert found.standard_error < 1e-14
        assert found.pareto_k == -math.inf


def two_groups(distance):
    groups = np.repeat([[-distance / 2, 0.0], [distance / 2, 0.5]], [3, 4], axis=0)
    return np.random.default_rng(4).normal(size=(7, 2)) + groups


@every_structure
@every_weight_prior
@pytest.mark.parametrize("distance", [0.0, 8.0])
def test_all_labellings_of_seven_rows(name, weights, distance, seed):
    rows = two_groups(distance)
    exact = enumerated(rows, 2, name, weights, 0.8, FIRM)
    gm = fitted(rows, 2, name, weights, prior=FIRM)
    assert exact - 4 < gm.lower_bound_ < exact
    found = evidence(gm.posterior_, rows, seed)
    assert abs(found.value - exact) < MOST * found.standard_error < 0.6


@every_weight_prior
def test_three_components_and_weighted_rows(weights, seed):
    rows = np.random.default_rng(5).normal(size=(3, 2)) * 2
    counts = np.array([1, 3, 2])
    exact = enumerated(np.repeat(rows, counts, axis=0), 3, "full", weights, 0.8, FIRM)
    gm = fitted(np.repeat(rows, counts, axis=0), 3, weights=weights, prior=FIRM)
    assert gm.lower_bound_ < exact
    found = evidence(gm.posterior_, rows, seed, weights=counts)
    assert abs(found.value - exact) < MOST * found.standard_error < 0.6


def log_density_by_definition(belief, weights, means, precisions):
    """Of one draw in one order, by scipy's laws."""
    if isinstance(belief.weights, StickBreaking):
        taken = weights[belief.weights.order]
        left = 1 - np.concatenate([[0.0], taken.cumsum()[:-1]])
        first, second = belief.weights.sticks[:-1].T
        total = (beta.logpdf(taken[:-1] / left[:-1], first, second) - np.log(left[:-1])).sum()
    else:
        total = dirichlet.logpdf(weights / weights.sum(), belief.weights.concentrations)
    name, n_features = belief.structure.name, belief.n_features
    scales, degrees = belief.structure.as_blocks(belief.scales), belief.degrees_of_freedom
    for j in range(belief.n_components):
        total += multivariate_normal.logpdf(
            means[j], belief.means[j], np.linalg.inv(belief.mean_precisions[j] * precisions[j])
        )
        if j and name.startswith("tied"):
            continue
        own = np.diag(precisions[j])
        if name in ("full", "tied"):
            total += wishart.logpdf(precisions[j], degrees[j], np.linalg.inv(scales[j]))
        elif name in ("diag", "tied_diag"):
            total += gamma.logpdf(own, degrees[j] / 2, scale=2 / scales[j]).sum()
        else:
            half = n_features / 2
            total += gamma.logpdf(own[0], half * degrees[j], scale=1 / (half * scales[j]))
    return total


@every_structure
@every_weight_prior
@pytest.mark.parametrize("n_components", [2, 3])
def test_ratios_of_densities_by_a_sum_over_all_orders(name, weights, n_components):
    rows = np.random.default_rng(6).normal(size=(12, 2)) + 2 * np.arange(12)[:, None] // 4
    belief = fitted(rows, n_components, name, weights).posterior_
    drawn = belief.draw_parameters(2, np.random.default_rng(7))
    draws = DrawnMixtures.of(belief, 2, np.random.default_rng(7))
    ratios = draws.log_density(belief.before) - draws.log_density(belief)
    for s in range(2):
        covariances = belief.structure.as_natural(belief.structure.block_from_roots(drawn.roots[s]))
        precisions = np.linalg.inv(belief.structure.matrices(covariances, n_components, 2))
        sums = [
            np.logaddexp.reduce(
                [
                    log_density_by_definition(
                        law, np.exp(drawn.log_weights[s, order]), drawn.means[s, order], precisions[order]
                    )
                    for order in map(list, itertools.permutations(range(n_components)))
                ]
            )
            for law in (belief.before, belief)
        ]
        assert ratios[s] == pytest.approx(sums[0] - sums[1], rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("n_components", [1, 2, 3, 4])
def test_the_permutation_sum_one_by_one(n_components):
    rng = np.random.default_rng(n_components)
    log_factors = 10 * rng.normal(size=(n_components, n_components, 2))
    weights = rng.dirichlet(np.ones(n_components), size=2).T
    law = GeneralisedDirichlet(np.arange(n_components), np.zeros(0), rng.normal(size=n_components - 1), 0.0)
    found = log_permutation_sum(log_factors, np.log(weights), law)
    for s in range(2):
        terms = []
        for order in map(list, itertools.permutations(range(n_components))):
            left = 1 - weights[order, s].cumsum()[:-1]
            terms.append(log_factors[range(n_components), order, s].sum() + (law.remainders * np.log(left)).sum())
        assert found[s] == pytest.approx(np.logaddexp.reduce(terms), rel=1e-12)


def test_weights_too_small_for_numbers_leave_the_evidence_finite(seed):
    """An empty component under a sparse prior has weights like e^−2000: with it, the evidence is all but that of one component."""
    rows = np.random.default_rng(8).normal(size=(30, 2))
    one = evidence(fitted(rows, 1).posterior_, rows, seed)
    for weights in WEIGHTS:
        belief = fitted(rows, 2, weights=weights, alpha=1e-4).posterior_
        assert belief.draw_parameters(100, np.random.default_rng(seed)).log_weights.min() < -2000
        found = evidence(belief, rows, seed)
        assert abs(found.value - one.value) < MOST * found.standard_error < 0.4


def test_the_prior_is_what_a_belief_was_before():
    rows = np.random.default_rng(9).normal(size=(20, 2))
    for structure in STRUCTURES:
        before = fitted(rows, 3, structure.name).posterior_.before
        assert isinstance(before, Posterior)
        assert before.divergence == pytest.approx(0.0, abs=1e-12)
        np.testing.assert_array_equal(before.means, np.broadcast_to(PRIOR.mean, (3, 2)))
        np.testing.assert_array_equal(before.effective_counts, 0.0)


def test_densities_in_parts_are_the_same(monkeypatch):
    rows = np.random.default_rng(10).normal(size=(10, 2))
    belief = fitted(rows, 2).posterior_
    draws = DrawnMixtures.of(belief, 400, np.random.default_rng(11))
    whole = draws.log_density(belief)
    monkeypatch.setattr("mixtura.assess.evidence.drawn.NUMBERS", 300)
    np.testing.assert_allclose(draws.log_density(belief), whole, rtol=1e-12)


@every_structure
def test_draws_are_joined_and_cut(name):
    rows = np.random.default_rng(12).normal(size=(10, 2))
    belief = fitted(rows, 3, name).posterior_
    draws = DrawnMixtures.of(belief, 7, np.random.default_rng(13))
    again = DrawnMixtures.joined([draws[:3], draws[3:4], draws[4:]])
    assert len(again) == 7
    np.testing.assert_array_equal(again.log_density(belief), draws.log_density(belief))
    np.testing.assert_array_equal(again.log_likelihoods(ArraySource(rows)), draws.log_likelihoods(ArraySource(rows)))


def test_what_cannot_be_done_is_named():
    rows = np.random.default_rng(11).normal(size=(40, 2))
    gm = fitted(rows, 2)
    with pytest.raises(InvalidParameterError, match="n_draws must be an integer of at least 25; got 24"):
        evidence(gm.posterior_, rows, 0, 24)
    with pytest.raises(ValueError, match="features"):
        gm.log_evidence(rows[:, :1])
    with pytest.raises(ValueError, match="sample_weight"):
        gm.log_evidence(rows, -np.ones(40))
    many = mx.BayesianGaussianMixture(13, max_iter=2000, random_state=0).fit(rows)
    with pytest.raises(InvalidParameterError, match="13 components"):
        many.log_evidence(rows)
