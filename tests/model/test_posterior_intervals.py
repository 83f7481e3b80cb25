"""What a belief says of each parameter: intervals against draws and scipy's laws, the mode against its neighbours, pruning."""

import numpy as np
import pytest
from scipy.stats import beta, dirichlet, invgamma, invwishart, multivariate_normal, norm, wishart
from scipy.stats import t as student

import mixtura as mx
from chance import deviations, share_limits
from mixtura.ground.errors import InvalidParameterError
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.weights import Dirichlet, StickBreaking

every_structure = pytest.mark.parametrize("name", [structure.name for structure in STRUCTURES])
WEIGHTS = ["dirichlet_distribution", "dirichlet_process"]
ROWS = np.random.default_rng(0).normal(size=(24, 2)) + np.repeat([[-4.0, 0.0], [4.0, 1.0]], [9, 15], axis=0)
COUNTS = np.array([2.0, 5.0, 0.5])


def belief(name="full", weights=WEIGHTS[0], n_components=2, alpha=0.5):
    gm = mx.BayesianGaussianMixture(
        n_components,
        covariance_type=name,
        weight_concentration_prior_type=weights,
        weight_concentration_prior=alpha,
        degrees_of_freedom_prior=3.0,
        max_iter=2000,
        random_state=0,
    )
    return gm.fit(ROWS).posterior_


@every_structure
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_hold_their_share_of_draws_and_half_of_the_rest_on_each_side(name, weights, level, seed):
    posterior, rng, n_draws = belief(name, weights), np.random.default_rng(seed + 1), 4000
    drawn = posterior.draw_parameters(n_draws, rng)
    blocks = posterior.structure.block_from_roots(drawn.roots.reshape(-1, *drawn.roots.shape[2:]))
    variances = posterior.structure.block_variances(blocks, 2).reshape(n_draws, -1, 2)
    interval = posterior.interval(level)
    tail = 0.5 - 0.5 * level
    for values, (lower, upper) in zip(
        (np.exp(drawn.log_weights), drawn.means, variances), zip(*interval, strict=True), strict=True
    ):
        # Weights of sticks have intervals that are draws' own: their ends are as uncertain as the shares beyond them.
        n_independent = n_draws / 2 if weights == WEIGHTS[1] and values.ndim == 2 else n_draws
        for beyond in (values < lower, values > upper):
            low, high = share_limits(beyond.mean(axis=0), n_independent, 20)
            assert ((low < tail) & (tail < high)).all()


@every_structure
def test_a_single_draw_follows_the_same_law(name, seed):
    posterior, rng = belief(name), np.random.default_rng(seed + 2)
    lower, upper = (end.covariances for end in posterior.interval(0.5))
    mixtures = [posterior.draw(rng) for _ in range(800)]
    shape = mixtures[0].means.shape
    inside = [(lower < v) & (v < upper) for v in (m.structure.variances(m.covariances, *shape) for m in mixtures)]
    np.testing.assert_allclose(np.mean(inside, axis=0), 0.5, atol=deviations(4) * 0.5 / np.sqrt(800))
    for mixture in mixtures[:20]:
        again = mx.Mixture(mixture.weights, mixture.means, mixture.covariances, name)
        np.testing.assert_allclose(mixture.log_pdf(ROWS), again.log_pdf(ROWS), rtol=1e-10)


def test_intervals_by_scipys_laws():
    posterior = belief()
    weights, means, variances = zip(*posterior.interval(0.9), strict=True)
    a, nu = posterior.weights.concentrations, posterior.degrees_of_freedom - 1
    np.testing.assert_allclose(weights, beta(a, a.sum() - a).ppf([[0.05], [0.95]]), rtol=1e-10)
    scales = np.diagonal(posterior.scales, axis1=1, axis2=2)
    spreads = np.sqrt(scales / (nu * posterior.mean_precisions)[:, None])
    np.testing.assert_allclose(means[0], student(nu[:, None], posterior.means, spreads).ppf(0.05), rtol=1e-10)
    np.testing.assert_allclose(variances[1], invgamma(nu[:, None] / 2, scale=scales / 2).ppf(0.95), rtol=1e-10)


def test_covariance_draws_are_inverse_wishart(seed):
    scale, degrees, n_draws = np.array([[2.0, 0.7], [0.7, 1.0]]), 7.3, 20_000
    structure = covariance_structure("full")
    scales, rng = np.repeat(scale[None], n_draws, 0), np.random.default_rng(seed + 3)
    blocks = structure.block_from_roots(structure.draw_roots(scales, np.full(n_draws, degrees), 2, rng))
    error = deviations(12) * blocks.std(axis=0) / np.sqrt(n_draws)
    assert (np.abs(blocks.mean(axis=0) - invwishart(degrees, scale).mean()) < error).all()
    # Spreads are those of precisions, which have all moments: known to 1.4 % at worst, six of that.
    precisions, law = np.linalg.inv(blocks), wishart(degrees, np.linalg.inv(scale))
    error = deviations(12) * precisions.std(axis=0) / np.sqrt(n_draws)
    assert (np.abs(precisions.mean(axis=0) - law.mean()) < error).all()
    np.testing.assert_allclose(precisions.var(axis=0), law.var(), rtol=0.085)


@pytest.mark.parametrize(
    "law", [Dirichlet(0.5, 0.5 + COUNTS), StickBreaking(0.5, np.zeros((0, 2)), np.zeros(0, int)).updated(COUNTS)]
)
def test_logs_of_weights(law, seed):
    draws = law.draw_logs(40_000, np.random.default_rng(seed + 4))
    np.testing.assert_allclose(np.exp(draws).sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.exp(draws).mean(axis=0), law.expectations, atol=0.005)  # six errors
    np.testing.assert_allclose(
        draws.mean(axis=0), law.expected_logs, atol=deviations(6) * draws.std(axis=0).max() / 200
    )
    found, exact = np.cov(draws.T), law.covariance_of_logs
    np.testing.assert_allclose(found, exact, atol=0.09 * exact.max())  # seven errors


def test_sparse_weights_are_drawn_in_logs(seed):
    logs = Dirichlet(1e-4, np.array([20.0, 1e-4])).draw_logs(2000, np.random.default_rng(seed + 5))
    assert np.isfinite(logs).all()
    assert np.exp(logs).min() == 0.0
    np.testing.assert_allclose(-logs[:, 1].mean(), 1e4, rtol=0.2)  # nine errors


@every_structure
def test_no_neighbour_of_the_mode_is_denser(name):
    """Means and covariances jointly, weights apart, in the variables that the documentation names."""
    posterior = belief(name)
    mode, shape = posterior.mode, (2, 2)
    rng = np.random.default_rng(6)

    def log_density(means, covariances):
        matrices = posterior.structure.matrices(covariances, *shape)
        total = sum(
            multivariate_normal.logpdf(means[k], posterior.means[k], matrices[k] / posterior.mean_precisions[k])
            for k in range(2)
        )
        scales, degrees = posterior.structure.as_blocks(posterior.scales), posterior.degrees_of_freedom
        for block, scale, nu in zip(posterior.structure.as_blocks(covariances), scales, degrees, strict=True):
            if name in ("full", "tied"):
                total += invwishart.logpdf(block, nu, scale)
            elif name in ("diag", "tied_diag"):
                total += invgamma.logpdf(block, nu / 2, scale=scale / 2).sum()
            else:
                total += invgamma.logpdf(block, nu, scale=scale)
        return total

    best = log_density(mode.means, mode.covariances)
    matrix = name in ("full", "tied")
    for _ in range(30):
        shift = rng.normal(size=(*mode.covariances.shape[:-2], 1, 1) if matrix else mode.covariances.shape)
        assert log_density(mode.means + 1e-3 * rng.normal(size=shape), mode.covariances * (1 + 1e-3 * shift)) < best


def test_the_mode_of_weights():
    concentrations = np.array([3.0, 1.5, 0.4])
    mode = Dirichlet(0.1, concentrations).mode
    np.testing.assert_allclose(mode, [0.8, 0.2, 0.0])
    full = Dirichlet(2.0, np.array([3.0, 1.5, 2.2]))
    for step in 1e-3 * np.random.default_rng(7).normal(size=(20, 3)):
        moved = full.mode + step - step.mean()
        assert dirichlet.logpdf(moved, full.concentrations) < dirichlet.logpdf(full.mode, full.concentrations)
    with pytest.raises(InvalidParameterError, match="no mode"):
        _ = Dirichlet(0.5, np.array([0.5, 0.7])).mode
    sticks = StickBreaking(2.0, np.array([[7.0, 5.0], [4.0, 2.0], [1.0, 2.0]]), np.array([1, 0, 2]))
    np.testing.assert_allclose(sticks.mode, [0.4 * 3 / 4, 6 / 10, 0.4 / 4])
    # Where much is expected beyond the last stick, the largest component is what is left.
    np.testing.assert_allclose(sticks.updated(np.array([3.0, 6.0, 0.0])).mode, [3 / 10, 7 / 10, 0.0])
    sparse = StickBreaking(0.5, np.zeros((0, 2)), np.zeros(0, int)).updated(np.array([3.0, 6.0, 0.0, 0.0]))
    np.testing.assert_allclose(sparse.mode, [2.5 / 8.5, 6 / 8.5, 0.0, 0.0])


@every_structure
@pytest.mark.parametrize("weights", WEIGHTS)
def test_pruning_leaves_the_components_with_rows(name, weights):
    posterior = belief(name, weights, n_components=6, alpha=1e-3)
    counts = posterior.effective_counts
    assert counts.sum() == pytest.approx(24)
    n_active = posterior.n_active()
    assert n_active == (counts > 1).sum() < 6
    pruned = posterior.pruned()
    assert pruned.n_components == n_active
    assert pruned.covariance_type == name
    assert pruned.weights.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(pruned.means, posterior.means[counts > 1])
    np.testing.assert_allclose(pruned.log_pdf(ROWS), posterior.mixture.log_pdf(ROWS), atol=1e-2)
    with pytest.raises(InvalidParameterError, match="no component has more than 100 rows"):
        posterior.pruned(100)


def test_one_component():
    posterior = belief(n_components=1)
    np.testing.assert_array_equal([end.weights for end in posterior.interval()], np.ones((2, 1)))
    np.testing.assert_array_equal(posterior.mode.weights, [1.0])


@pytest.mark.parametrize("level", [0.0, 1.0, -1])
def test_bad_levels(level):
    with pytest.raises(InvalidParameterError, match="level must lie between 0 and 1"):
        belief().interval(level)
    with pytest.raises(InvalidParameterError, match="n_draws must be a positive integer"):
        belief().interval(n_draws=0)


def test_a_normal_law_in_large_samples():
    rows = np.random.default_rng(8).normal(size=(20_000, 1))
    lower, upper = (end.means[0, 0] for end in mx.BayesianGaussianMixture(1).fit(rows).posterior_.interval())
    assert upper - lower == pytest.approx(2 * norm.ppf(0.975) * rows.std() / np.sqrt(20_000), rel=1e-3)
