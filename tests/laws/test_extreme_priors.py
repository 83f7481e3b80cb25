"""At the ends of what a prior or a row's weight may be, everything that is said of a posterior is finite, and right where it is known."""

import warnings

import mpmath as mp
import numpy as np
import pytest
from scipy.stats import multivariate_t, wishart
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx
from mixtura.ground.errors import InvalidParameterError
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import Dirichlet, StickBreaking
from mixtura.model.moments import Moments

mp.mp.dps = 60
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
N_FEATURES = 2
SETTINGS = {
    f"{name} {kind} {value}": {f"{name}_prior": value, "weight_concentration_prior_type": kind}
    for name in ("weight_concentration",)
    for kind in ("dirichlet_process", "dirichlet_distribution")
    for value in (1e-300, 1e-100, 1e-15, 1e6, 1e18, 1e300)
}
SETTINGS |= {
    f"ν₀ = D − 1 + {value}": {"degrees_of_freedom_prior": N_FEATURES - 1 + value}
    for value in (1e-15, 1e-6, 1e-3, 1e6, 1e18)
}
SETTINGS |= {f"κ₀ = {value}": {"mean_precision_prior": value} for value in (1e-300, 1e-15, 1e15, 1e300)}
SETTINGS |= {f"weights {value}": {"sample_weight": value} for value in (1e-275, 1e-15, 1e15, 1e275)}
every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def said_of(gm, X, sample_weight):
    """Everything about the weights, the components and rows."""
    posterior, rng = gm.posterior_, np.random.default_rng(0)
    weights = posterior.weights
    drawn = posterior.draw_parameters(20, rng)
    yield from (gm.lower_bound_, gm.lower_bounds_, gm.weights_, gm.means_, gm.covariances_, gm.precisions_)
    yield from (gm.score_samples(X), gm.predict_proba(X), posterior.log_pdf(X))
    for belief in (posterior, posterior.before):
        yield from (part for end in belief.interval(n_draws=50) for part in end)
    yield from (weights.expected_logs, weights.log_expectations, weights.covariance_of_logs, weights.draw_logs(20, rng))
    yield from (drawn.log_weights, drawn.means, drawn.roots, posterior.before.divergence, posterior.divergence)
    yield from (posterior.before.scorer.constants,)
    laws = posterior.structure.variance_laws(
        posterior.structure.as_blocks(posterior.scales), posterior.degrees_of_freedom, X.shape[1]
    )
    yield from laws


@every_setting
@every_structure
def test_everything_is_finite_and_nothing_warns(structure, settings, faithful):
    X, settings = faithful[:50], dict(settings)
    sample_weight = np.full(len(X), settings.pop("sample_weight", 1.0))
    gm = mx.BayesianGaussianMixture(5, covariance_type=structure.name, random_state=0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        gm.fit(X, sample_weight=sample_weight)
    for value in said_of(gm, X, sample_weight):
        assert np.isfinite(value).all()
    assert gm.posterior_.divergence > -1e-12
    assert gm.weights_.sum() == pytest.approx(1)


@pytest.mark.parametrize("parameter", ["mean_precision", "degrees_of_freedom"])
def test_what_cannot_be_inverted_is_refused(parameter):
    settings = {"mean": [0.0], "mean_precision": 1.0, "scale": [[1.0]], "degrees_of_freedom": 1.0}
    NormalInverseWishart(**settings | {parameter: 1e-300})
    with pytest.raises(InvalidParameterError, match=f"{parameter}.*1e-300.*1e-310"):
        NormalInverseWishart(**settings | {parameter: 1e-310})


@pytest.mark.parametrize("alpha", [1e-300, 1e-15])
def test_a_component_without_rows_has_a_weight_that_is_small_but_no_smaller(alpha):
    counts = np.array([3.0, 0.0])
    dirichlet = Dirichlet(alpha, np.full(2, alpha)).updated(counts)
    sticks = StickBreaking(alpha, np.zeros((0, 2)), np.zeros(0, int)).updated(counts)
    for belief in (dirichlet, sticks):
        assert belief.expected_logs[1] == pytest.approx(-1 / alpha, rel=1e-12)
        assert np.diff(belief.log_expectations)[0] == pytest.approx(
            np.log(alpha) - np.log(3.0 + (belief is sticks)), rel=1e-12
        )
        assert belief.covariance_of_logs[1, 1] == pytest.approx(max(alpha, 1e-150) ** -2, rel=1e3)


def log_multivariate_gamma(a, n_features):
    return n_features * (n_features - 1) / mp.mpf(4) * mp.log(mp.pi) + mp.fsum(
        mp.loggamma(a - mp.mpf(j) / 2) for j in range(n_features)
    )


def wishart_divergence(scale, degrees, prior_scale, prior_degrees):
    """Of ``Λ ~ Wishart(Ψ⁻¹, ν)`` from ``Wishart(Ψ₀⁻¹, ν₀)``, to sixty digits."""
    n, nu, nu_0 = len(scale), mp.mpf(degrees), mp.mpf(prior_degrees)
    psi, psi_0 = mp.matrix(scale.tolist()), mp.matrix(prior_scale.tolist())
    product = psi_0 * psi**-1
    trace = mp.fsum(product[i, i] for i in range(n))
    expected = mp.fsum(mp.digamma((nu - j) / 2) for j in range(n))
    return (
        nu_0 / 2 * (mp.log(mp.det(psi)) - mp.log(mp.det(psi_0)))
        + log_multivariate_gamma(nu_0 / 2, n)
        - log_multivariate_gamma(nu / 2, n)
        + (nu - nu_0) / 2 * expected
        + nu / 2 * (trace - n)
    )


def divergence(structure, scale, degrees, prior_scale, prior_degrees):
    """Of a block in three dimensions from its prior."""
    scales, factors = structure.factored_scales(scale[None])
    laws = scales, factors, np.array([degrees]), prior_scale[None], prior_degrees
    return structure.wishart_divergences(*laws, 3)[0]


@pytest.mark.parametrize("prior_degrees", [2 + 1e-12, 2 + 1e-3, 2.5, 1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("count", [0.0, 1e-9, 0.4, 50.0, 1e6])
def test_divergences_of_precisions_keep_their_digits(prior_degrees, count):
    rng = np.random.default_rng(0)
    half, more = rng.normal(size=(2, 3, 6))
    prior_scale, degrees = half @ half.T, prior_degrees + count
    scale = prior_scale + count * more @ more.T
    full, diag, round_ = (covariance_structure(name) for name in ("full", "diag", "spherical"))
    degree = 1e-13 * (prior_degrees + count)
    # A matrix is known to rounding only, so that its log determinant costs ν₀ roundings; ψ and ψ₀ alone are told apart to the last digit.
    exact = float(wishart_divergence(scale, degrees, prior_scale, prior_degrees))
    assert divergence(full, scale, degrees, prior_scale, prior_degrees) == pytest.approx(
        exact, rel=1e-11, abs=20 * degree + 1e-12
    )
    variances, prior_variances = np.diagonal(scale), np.diagonal(prior_scale)
    exact = sum(
        float(wishart_divergence(np.array([[a]]), degrees, np.array([[b]]), prior_degrees))
        for a, b in zip(variances, prior_variances, strict=True)
    )
    tight = {"rel": 1e-11, "abs": 1e-11 * (1 + count)}
    assert divergence(diag, variances, degrees, prior_variances, prior_degrees) == pytest.approx(exact, **tight)
    a, b = variances[0], prior_variances[0]
    exact = float(wishart_divergence(np.array([[3 * a]]), 3 * degrees, np.array([[3 * b]]), 3 * prior_degrees))
    assert divergence(round_, a, degrees, b, prior_degrees) == pytest.approx(exact, **tight)


@pytest.mark.parametrize("degrees", [1 + 1e-12, 1 + 1e-3, 1.5, 1e4, 1e9, 1e18])
def test_predictive_densities_keep_their_digits(degrees):
    """Of a component without rows: a Student's t with ``ν₀ − D + 1`` degrees of freedom, to sixty digits, and SciPy's where it has them."""
    prior = NormalInverseWishart([1.0, -2.0], 0.5, np.array([[2.0, 0.3], [0.3, 1.0]]) * degrees, degrees)
    nothing = Moments(np.zeros(1), np.zeros((1, 2)), np.zeros((1, 2, 2)), np.zeros((1, 2)))
    belief = Posterior.from_moments(nothing, covariance_structure("full"), prior, Dirichlet(1.0, np.ones(1)))
    rows = np.array([[1.0, -2.0], [3.0, 0.0], [1e3, 1e4], [1e150, 0.0]])
    left = mp.mpf(degrees) - 1
    shape = mp.matrix((prior.scale * 3).tolist()) / left
    for row, found in zip(rows, belief.log_pdf(rows), strict=True):
        offset = mp.matrix((row - prior.mean).tolist())
        distance = (offset.T * shape**-1 * offset)[0]
        exact = (
            mp.loggamma(left / 2 + 1)
            - mp.loggamma(left / 2)
            - mp.log(left * mp.pi)
            - mp.log(mp.det(shape)) / 2
            - (left / 2 + 1) * mp.log(1 + distance / left)
        )
        assert found == pytest.approx(float(exact), rel=1e-11, abs=1e-11)
    if 1.4 < degrees < 1e5:
        law = multivariate_t(prior.mean, prior.scale * 3 / (degrees - 1), degrees - 1)
        np.testing.assert_allclose(belief.log_pdf(rows[:3]), law.logpdf(rows[:3]), rtol=1e-9)


def test_draws_of_covariances_where_nothing_is_known_are_huge_and_finite():
    rng = np.random.default_rng(0)
    for structure in STRUCTURES:
        scale = structure.prior_block(np.eye(3))
        roots = structure.draw_roots(np.repeat(scale, 200, axis=0), np.full(200, 2 + 1e-12), 3, rng)
        assert np.isfinite(roots).all()
    # and where something is, they have SciPy's law
    full, scale = covariance_structure("full"), np.array([[2.0, 0.5], [0.5, 1.0]])
    roots = full.draw_roots(np.repeat(scale[None], 20_000, axis=0), np.full(20_000, 7.0), 2, rng)
    drawn = np.linalg.inv(full.block_from_roots(roots))
    np.testing.assert_allclose(drawn.mean(axis=0), wishart(7.0, np.linalg.inv(scale)).mean(), rtol=0.1)


@pytest.mark.parametrize("kind", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize("alpha", [1e-15, 1e-6])
def test_single_precision_can_hold_the_scores(kind, alpha, faithful):
    bounds = [
        mx.BayesianGaussianMixture(
            4, weight_concentration_prior_type=kind, weight_concentration_prior=alpha, random_state=0
        )
        .fit(faithful.astype(dtype))
        .lower_bound_
        for dtype in (np.float32, np.float64)
    ]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-5)


@pytest.mark.parametrize("name", ["weight_concentration_prior", "mean_precision_prior"])
def test_what_single_precision_cannot_hold_is_refused(name, faithful):
    """A share that float32 cannot tell from zero, some 1e-16 of a row, must not count beside the prior."""
    with pytest.raises(InvalidParameterError, match=f"{name} must be 1e-15 at least where data are float32; got 1e-16"):
        mx.BayesianGaussianMixture(4, **{name: 1e-16}).fit(faithful.astype(np.float32))
