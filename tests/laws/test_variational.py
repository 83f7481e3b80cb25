"""Variational Bayes: exact cases, a bound that climbs and stays below the evidence, and the laws of its pieces."""

import itertools
import math

import numpy as np
import pytest
import sklearn.mixture
from scipy.special import digamma, gammaln
from scipy.stats import beta as beta_law
from scipy.stats import dirichlet, multivariate_t, wishart

import mixtura as mx
from chance import deviations
from mixtura.data.array import ArraySource
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import Dirichlet, StickBreaking
from mixtura.sweep import accumulate

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
every_weight_prior = pytest.mark.parametrize("weights", ["dirichlet_process", "dirichlet_distribution"])
FIVE = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
FIVE_PRIOR = NormalInverseWishart([6.0], 0.1, [[4.0]], 4.0)
FIVE_EVIDENCE = {1: -21.802099237667, 2: -15.513655943397, 3: -15.406090711916, 4: -15.454065926747}


def one_component(rows, structure, prior):
    """The posterior of a single component that all rows belong to: exact."""
    labels = np.zeros(len(rows), dtype=int)
    if len(rows):
        moments = accumulate(ArraySource(rows), labels, 1, diagonal=structure.diagonal)
    else:
        moments = accumulate(
            ArraySource(np.zeros((1, prior.scale.shape[0]))), np.zeros((1, 1)), 1, diagonal=structure.diagonal
        )
    return Posterior.from_moments(moments, structure, prior, Dirichlet(1.0, np.ones(1)))


def evidence(rows, structure, prior):
    """Log marginal likelihood of one component, as the product of predictive densities, row after row."""
    return sum(float(one_component(rows[:n], structure, prior).log_pdf(rows[n : n + 1])[0]) for n in range(len(rows)))


def evidence_by_enumeration(rows, n_components, structure, prior, alpha):
    """Log evidence under symmetric Dirichlet weights: the sum over all labellings."""
    cache, terms = {}, []
    for labels in itertools.product(range(n_components), repeat=len(rows)):
        counts = np.bincount(labels, minlength=n_components)
        term = gammaln(n_components * alpha) - gammaln(n_components * alpha + len(rows))
        term += (gammaln(alpha + counts) - gammaln(alpha)).sum()
        for k in range(n_components):
            group = tuple(n for n, label in enumerate(labels) if label == k)
            if group not in cache:
                cache[group] = evidence(rows[list(group)], structure, prior)
            term += cache[group]
        terms.append(term)
    return float(np.logaddexp.reduce(terms))


def prior_for(n_features):
    half = np.random.default_rng(9).normal(size=(n_features, 2 * n_features))
    return NormalInverseWishart(np.full(n_features, 0.3), 0.7, half @ half.T / n_features, n_features + 1.5)


def settings_of(prior, structure):
    block = structure.prior_block(prior.scale)[0]
    return {
        "mean_prior": prior.mean,
        "mean_precision_prior": prior.mean_precision,
        "covariance_prior": float(block) if block.ndim == 0 else block,
        "degrees_of_freedom_prior": prior.degrees_of_freedom,
    }


def test_the_exact_evidence_of_five_points():
    """Enumeration against values from elsewhere."""
    full = covariance_structure("full")
    for k, value in FIVE_EVIDENCE.items():
        assert evidence_by_enumeration(FIVE, k, full, FIVE_PRIOR, 1.0) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_the_bound_of_five_points(name):
    """In one dimension all structures with a variance of their own are one."""
    gm = mx.BayesianGaussianMixture(
        2,
        covariance_type=name,
        init_params=np.array([0, 0, 1, 1, 1]),
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        tol=1e-12,
        max_iter=1000,
        **settings_of(FIVE_PRIOR, covariance_structure(name)),
    ).fit(FIVE)
    assert gm.lower_bound_ == pytest.approx(-16.209700118082, abs=1e-9)
    np.testing.assert_allclose(gm.means_[:, 0], [0.761905, 10.838710], atol=1e-6)
    assert gm.lower_bound_ + math.log(2) == pytest.approx(-15.516552937522, abs=1e-9)
    assert gm.lower_bound_ + math.log(2) < FIVE_EVIDENCE[2]


@pytest.mark.parametrize(("n_components", "bound"), [(6, -443.2978734511), (2, -442.1745626260)])
def test_old_faithful_from_blocks(n_components, bound, faithful):
    """Six components started from blocks of equal size: two survive."""
    X = (faithful - faithful.mean(axis=0)) / faithful.std(axis=0)
    labels = np.empty(272, dtype=int)
    labels[np.argsort(X[:, 0], kind="stable")] = np.concatenate(
        [np.full(len(part), k) for k, part in enumerate(np.array_split(np.arange(272), n_components))]
    )
    gm = mx.BayesianGaussianMixture(
        n_components,
        init_params=labels,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1e-3,
        mean_precision_prior=1.0,
        mean_prior=[0.0, 0.0],
        covariance_prior=np.eye(2),
        degrees_of_freedom_prior=2.0,
        tol=1e-12,
        max_iter=5000,
    ).fit(X)
    assert gm.lower_bound_ == pytest.approx(bound, abs=1e-7)
    counts = np.sort(gm.weight_concentration_ - 1e-3)
    np.testing.assert_allclose(counts[-2:], [97.1382, 174.8618], atol=1e-3 if n_components == 6 else 0.2)
    assert counts[:-2].sum() < 1e-3
    if n_components == 2:
        means = gm.means_[np.argsort(gm.means_[:, 0])]
        np.testing.assert_allclose(means, [[-1.258043, -1.194690], [0.702040, 0.666687]], atol=2e-6)


@every_structure
@pytest.mark.parametrize("n_features", [1, 3])
def test_with_one_component_the_bound_is_the_evidence(structure, n_features):
    rows, prior = np.random.default_rng(1).normal(size=(7, n_features)), prior_for(n_features)
    gm = mx.BayesianGaussianMixture(1, covariance_type=structure.name, **settings_of(prior, structure)).fit(rows)
    assert gm.lower_bound_ == pytest.approx(evidence(rows, structure, prior), rel=1e-10)


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
@pytest.mark.parametrize("n_components", [2, 3])
def test_the_bound_stays_below_the_evidence(name, n_components):
    structure, prior = covariance_structure(name), prior_for(2)
    for seed in range(4):
        rows = np.random.default_rng(seed).normal(size=(6, 2))
        rows[3:] += 2.0 * seed
        gm = mx.BayesianGaussianMixture(
            n_components,
            covariance_type=name,
            weight_concentration_prior_type="dirichlet_distribution",
            weight_concentration_prior=0.8,
            tol=1e-10,
            max_iter=3000,
            n_init=3,
            random_state=seed,
            **settings_of(prior, structure),
        ).fit(rows)
        exact = evidence_by_enumeration(rows, n_components, structure, prior, 0.8)
        assert gm.lower_bound_ < exact
        assert gm.lower_bound_ > exact - 6


@every_structure
@every_weight_prior
def test_the_bound_never_falls(structure, weights, iris):
    gm = mx.BayesianGaussianMixture(
        6,
        covariance_type=structure.name,
        weight_concentration_prior_type=weights,
        weight_concentration_prior=0.1,
        init_params="random_from_data",
        tol=1e-6,
        max_iter=3000,
        random_state=0,
    ).fit(iris)
    bounds = np.array(gm.restarts_.best.bounds)
    assert len(bounds) > 5
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    assert bounds[-1] == gm.lower_bound_


@every_weight_prior
def test_the_bound_is_the_sum_of_all_its_terms(weights, iris):
    """Every expectation of the joint and of the entropy, written out one by one, component by component and row by row."""
    k, d = 3, 4
    gm = mx.BayesianGaussianMixture(
        k, weight_concentration_prior_type=weights, weight_concentration_prior=0.7, max_iter=1, tol=0, random_state=1
    )
    with pytest.warns(Warning, match="did not converge"):
        gm.fit(iris)
    q = gm.posterior_
    psi_0, nu_0, beta_0, m_0 = q.prior.scale, q.prior.degrees_of_freedom, q.prior.mean_precision, q.prior.mean
    r, total = q.responsibilities(iris), 0.0
    expected_logs = q.weights.expected_logs
    for j in range(k):
        nu, beta, m, psi = q.degrees_of_freedom[j], q.mean_precisions[j], q.means[j], q.scales[j]
        w = np.linalg.inv(psi)
        log_det = sum(digamma((nu - i) / 2) for i in range(d)) + d * math.log(2)
        log_det += np.linalg.slogdet(w)[1]
        for x, share in zip(iris, r[:, j], strict=True):
            quadratic = d / beta + nu * (x - m) @ w @ (x - m)
            total += share * (0.5 * (log_det - d * math.log(2 * math.pi) - quadratic) + expected_logs[j])
            total -= share * math.log(share) if share > 0 else 0.0
        # E ln p(μ|Λ) + E ln p(Λ) − E ln q(μ|Λ) − E ln q(Λ)
        total += 0.5 * (d * math.log(beta_0) + log_det - d * beta_0 / beta - beta_0 * nu * (m - m_0) @ w @ (m - m_0))
        total -= 0.5 * (d * math.log(beta) + log_det - d)
        prior_law, law = wishart(nu_0, np.linalg.inv(psi_0)), wishart(nu, w)
        normaliser = prior_law.logpdf(np.eye(d)) + 0.5 * np.trace(psi_0)
        total += normaliser + 0.5 * (nu_0 - d - 1) * log_det - 0.5 * nu * np.trace(psi_0 @ w)
        total += law.entropy()
    total -= q.weights.divergence
    assert q.divergence >= 0
    assert gm.lower_bound_ == pytest.approx(total, rel=1e-10)


def test_divergences_of_weights_by_their_definition(seed):
    """Against entropies and densities of scipy: a divergence is minus the entropy minus the expected log prior."""
    posterior = Dirichlet(0.5, np.array([3.0, 1.2, 0.6]))
    prior_normaliser = gammaln(1.5) - 3 * gammaln(0.5)
    expected = -dirichlet(posterior.concentrations).entropy() - prior_normaliser + 0.5 * posterior.expected_logs.sum()
    assert posterior.divergence == pytest.approx(expected, rel=1e-12)
    sticks = StickBreaking(0.5, np.zeros((0, 2)), np.zeros(0, dtype=int)).updated(np.array([2.0, 5.0, 0.5]))
    assert sticks.order.tolist() == [1, 0, 2]
    expected = 0.0
    for a, b in sticks.sticks[:-1]:
        log_left = digamma(b) - digamma(a + b)
        expected -= beta_law(a, b).entropy() + math.log(0.5) + (0.5 - 1) * log_left
    assert sticks.divergence == pytest.approx(expected, rel=1e-12)
    draws = np.array([sticks.draw(np.random.default_rng(seed + s)) for s in range(4000)])
    logs = np.log(draws[:, 1])
    assert logs.mean() == pytest.approx(sticks.expected_logs[1], abs=deviations() * logs.std() / math.sqrt(4000))


def test_the_predictive_density_is_students(iris):
    prior = prior_for(4)
    q = one_component(iris[:30], covariance_structure("full"), prior)
    nu, beta = q.degrees_of_freedom[0], q.mean_precisions[0]
    left = nu + 1 - 4
    law = multivariate_t(q.means[0], (1 + beta) / (beta * left) * q.scales[0], df=left)
    np.testing.assert_allclose(q.log_pdf(iris), law.logpdf(iris), rtol=1e-10)


@every_structure
def test_the_predictive_density_is_the_average_over_draws(structure, seed):
    """Densities of draws have a long tail above: their mean and its error are those of fewer."""
    rows = np.random.default_rng(3).normal(size=(12, 2))
    gm = mx.BayesianGaussianMixture(2, covariance_type=structure.name, random_state=0, max_iter=500).fit(rows)
    rng = np.random.default_rng(seed)
    points = np.array([[0.0, 0.0], [1.0, -1.0], [3.0, 2.0]])
    draws = np.array([gm.posterior_.draw(rng).pdf(points) for _ in range(4000)])
    error = draws.std(axis=0) / math.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - np.exp(gm.score_samples(points))) < deviations(3, 30) * error).all()


@pytest.mark.parametrize("n_components", [2, 3])
def test_full_covariances_agree_with_scikit_learn(n_components, faithful):
    """Same prior, Dirichlet weights, both run to the end from the same labels; their bound leaves terms out, ours does not."""
    labels = np.digitize(faithful[:, 0], np.quantile(faithful[:, 0], np.arange(1, n_components) / n_components))
    settings = {
        "weight_concentration_prior_type": "dirichlet_distribution",
        "weight_concentration_prior": 0.5,
        "reg_covar": 0.0,
        "max_iter": 20_000,
    }
    ours = mx.BayesianGaussianMixture(n_components, init_params=labels, tol=1e-11, **settings).fit(faithful)

    class FromLabels(sklearn.mixture.BayesianGaussianMixture):
        def _initialize_parameters(self, X, random_state, xp=None):
            self._initialize(X, np.eye(n_components)[labels])

    theirs = FromLabels(n_components=n_components, tol=1e-13, **settings).fit(faithful)
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-6)
    np.testing.assert_allclose(ours.weights_, theirs.weights_, rtol=1e-6)
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.degrees_of_freedom_, theirs.degrees_of_freedom_, rtol=1e-6)
    np.testing.assert_allclose(ours.mean_precision_, theirs.mean_precision_, rtol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(faithful), theirs.predict_proba(faithful), atol=1e-6)


def test_weights_count_as_rows(faithful):
    weights = np.arange(272) % 3 + 1
    settings = {"tol": 1e-8, "max_iter": 2000, "random_state": 0}
    weighted = mx.BayesianGaussianMixture(3, **settings).fit(faithful, sample_weight=weights)
    repeated = mx.BayesianGaussianMixture(3, **settings).fit(np.repeat(faithful, weights, axis=0))
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-9)


@pytest.mark.parametrize("total", [1e-275, 1e-15, 0.272, 1.0, 1.99, 2.0, 2.01, 100.0, 272.0])
def test_small_weights_leave_the_default_prior_what_it_is_without_them(total, faithful):
    """No fraction of a row has a variance of its own; only where weights say that there are more rows do those count."""
    for structure in ("full", "diag", "spherical"):
        plain = mx.BayesianGaussianMixture(1, covariance_type=structure).fit(faithful)
        light = mx.BayesianGaussianMixture(1, covariance_type=structure)
        light.fit(faithful, sample_weight=np.full(272, total / 272))
        np.testing.assert_allclose(light.covariance_prior_, plain.covariance_prior_, rtol=1e-9)
        np.testing.assert_allclose(light.mean_prior_, plain.mean_prior_, rtol=1e-9)


@every_weight_prior
def test_components_without_rows_fall_back_to_the_prior(weights):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    gm = mx.BayesianGaussianMixture(
        8, weight_concentration_prior_type=weights, weight_concentration_prior=1e-4, max_iter=5000, random_state=0
    ).fit(rows)
    assert (gm.weights_ > 0.01).sum() == 1
    empty = gm.weights_.argmin()
    np.testing.assert_allclose(gm.posterior_.means[empty], gm.mean_prior_, atol=1e-6)
    assert gm.mean_precision_[empty] == pytest.approx(gm.mean_precision_prior_, abs=1e-6)


def test_updates_are_an_algorithm_like_any_other():
    algorithm = CoordinateAscent(covariance_structure("full"), FIVE_PRIOR, Dirichlet(1.0, np.ones(2)))
    moments = accumulate(ArraySource(FIVE), np.array([0, 0, 1, 1, 1]), 2, diagonal=False)
    posterior = algorithm.maximise(moments)
    assert algorithm.log_prior(posterior) == -posterior.divergence
    np.testing.assert_allclose(posterior.weights.expectations, [3 / 7, 4 / 7])
    np.testing.assert_allclose(posterior.means[:, 0], [(0.6 + 1) / 2.1, (0.6 + 33) / 3.1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"degrees_of_freedom_prior": 0.5}, "must exceed D − 1"),
        ({"mean_prior": [0.0]}, "mean_prior must be 2 finite numbers"),
        ({"covariance_prior": np.eye(3)}, "covariance_prior of covariance type"),
        ({"covariance_prior": -np.eye(2)}, "covariance_prior must be finite, with positive variances"),
        ({"weight_concentration_prior": 0.0}, "weight_concentration_prior"),
    ],
)
def test_bad_arguments_are_named(settings, message, faithful):
    with pytest.raises(ValueError, match=message):
        mx.BayesianGaussianMixture(2, **settings).fit(faithful)
