"""The bridge to NumPyro: exact gradients, one sweep each, and NumPyro's own inference on top of them."""

import doctest
import importlib
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import mixtura as mx
from chance import deviations
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.sweep import Sweep

jax = pytest.importorskip("jax")
numpyro = pytest.importorskip("numpyro")

import jax.numpy as jnp  # noqa: E402
import numpyro.distributions as dist  # noqa: E402
from numpyro import handlers  # noqa: E402
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO, autoguide, init_to_value  # noqa: E402
from numpyro.infer.util import potential_energy  # noqa: E402

from mixtura.bridges.numpyro import (  # noqa: E402
    _Coordinates,
    _laws,
    _model,
    as_draws,
    fit_guide,
    log_likelihood,
    model,
)
from mixtura.data.array import ArraySource  # noqa: E402

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)

FIVE = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
TUTORIAL = {
    "weights": dist.Dirichlet(np.full(2, 0.5)),
    "means": dist.Normal(0.0, 10.0),
    "scales": dist.LogNormal(0.0, 2.0),
}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def sweeps(monkeypatch):
    """How many mixtures each sweep took, one entry a sweep."""
    sizes: list[int] = []
    plain = Sweep.__call__

    def counted(self, scorers, *arguments):
        sizes.append(len(scorers))
        return plain(self, scorers, *arguments)

    monkeypatch.setattr(Sweep, "__call__", counted)
    return sizes


def parameters(structure, n_components, n_features, seed=0):
    """Weights, means and roots (Cholesky factors or standard deviations)."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_components, n_features, 3 * n_features))
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / (3 * n_features), np.ones(n_components))
    roots = np.sqrt(covariances) if structure.diagonal else np.linalg.cholesky(covariances)
    return rng.dirichlet(np.full(n_components, 5.0)), rng.normal(size=(n_components, n_features)), roots


def plain_log_likelihood(X, structure, sample_weight):
    """The formula as one would write it in JAX, for JAX to differentiate."""

    def by_matrices(weights, means, roots):
        n_components, n_features = means.shape
        if not structure.diagonal:
            factors = jnp.broadcast_to(jnp.tril(roots), (n_components, n_features, n_features))
        else:
            blocks = roots[None] if structure.shared else roots
            deviations = jnp.broadcast_to(blocks.reshape(len(blocks), -1), means.shape)
            factors = deviations[:, :, None] * jnp.eye(n_features)
        covariances = factors @ factors.swapaxes(1, 2)
        residuals = X[None] - means[:, None]
        squares = jnp.einsum("knd,kde,kne->kn", residuals, jnp.linalg.inv(covariances), residuals)
        log_norm = jnp.linalg.slogdet(2 * jnp.pi * covariances)[1]
        log_joint = jnp.log(weights)[:, None] - 0.5 * (squares + log_norm[:, None])
        return sample_weight @ jax.scipy.special.logsumexp(log_joint, axis=0)

    return by_matrices


def weighted_rows(n_features):
    rng = np.random.default_rng(3)
    return 2 * rng.normal(size=(60, n_features)), rng.uniform(0.5, 2, 60)


# ---- the likelihood --------------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("n_features", [1, 3])
def test_value_and_gradient_are_those_of_plain_jax(structure, n_features, float64):
    X, sample_weight = weighted_rows(n_features)
    at = parameters(structure, 3, n_features)
    ours = jax.value_and_grad(log_likelihood(X, structure.name, sample_weight), argnums=(0, 1, 2))
    value, gradient = jax.jit(ours)(*at)
    expected, slopes = jax.jit(
        jax.value_and_grad(plain_log_likelihood(X, structure, sample_weight), argnums=(0, 1, 2))
    )(*at)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for own, slope, parameter in zip(gradient, slopes, at, strict=True):
        assert own.shape == parameter.shape
        np.testing.assert_allclose(own, slope, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["full", "tied", "spherical"])
def test_a_batch_of_gradients_is_one_sweep(name, sweeps, float64):
    X, _ = weighted_rows(2)
    structure = covariance_structure(name)
    both = jax.value_and_grad(log_likelihood(X, name), argnums=(0, 1, 2))
    members = [parameters(structure, 2, 2, seed) for seed in range(6)]
    batch = [np.stack(parts).reshape(2, 3, *np.shape(parts[0])) for parts in zip(*members, strict=True)]
    values, gradients = jax.block_until_ready(jax.jit(jax.vmap(jax.vmap(both)))(*batch))
    assert sweeps == [6]
    one_root = jax.jit(jax.vmap(both, in_axes=(0, 0, None)))(batch[0][0], batch[1][0], batch[2][0, 0])
    for i, member in enumerate(members):
        value, gradient = both(*member)
        np.testing.assert_allclose(values[divmod(i, 3)], value, rtol=1e-13)
        for own, expected in zip(gradients, gradient, strict=True):
            np.testing.assert_allclose(own[divmod(i, 3)], expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(one_root[0][0], values[0, 0], rtol=1e-13)


def test_a_gradient_costs_one_sweep(sweeps, float64):
    at = parameters(STRUCTURES[0], 2, 2)
    both = jax.jit(jax.value_and_grad(log_likelihood(weighted_rows(2)[0]), argnums=(0, 1, 2)))
    for n_calls in (1, 2, 3):
        jax.block_until_ready(both(*at))
        assert sweeps == [1] * n_calls


def test_threads_serve_one_call_after_another(float64):
    X = np.random.default_rng(0).normal(size=(60_000, 3))
    weights, means, roots = parameters(STRUCTURES[0], 4, 3)
    function = jax.jit(log_likelihood(X))
    expected = mx.Mixture(weights, means, roots @ roots.swapaxes(1, 2)).log_likelihood(X)
    first, *others = (float(function(weights, means, roots)) for _ in range(4))
    assert others == [first] * 3
    assert first == pytest.approx(expected, rel=1e-12)


@every_structure
def test_float32_parameters_serve_too(structure):
    X, sample_weight = weighted_rows(2)
    weights, means, roots = (part.astype(np.float32) for part in parameters(structure, 3, 2))
    ours = jax.jit(jax.value_and_grad(log_likelihood(X, structure.name, sample_weight), argnums=1))
    value, slope = ours(weights, means, roots)
    assert value.dtype == slope.dtype == np.float32
    with jax.enable_x64(True):
        exact, expected = ours(*(part.astype(np.float64) for part in (weights, means, roots)))
    np.testing.assert_allclose(value, exact, rtol=2e-7)
    np.testing.assert_allclose(slope, expected, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_what_is_no_mixture_is_minus_infinity_with_no_slope(name, float64):
    structure = covariance_structure(name)
    X, _ = weighted_rows(2)
    weights, means, roots = parameters(structure, 2, 2)
    both = jax.jit(jax.value_and_grad(log_likelihood(X, name), argnums=(0, 1, 2)))
    for bad in [
        (weights, means, 0 * roots),
        (weights, means, -roots),
        (weights, means, 1e-200 * roots),
        (weights, means, roots + np.inf),
        (weights, means + np.inf, roots),
        (weights, means + 1e200, roots),
        (weights * np.nan, means, roots),
        (-weights, means, roots),
    ]:
        value, slopes = both(*bad)
        assert value == -np.inf
        assert not any(np.any(slope) for slope in slopes)


def test_one_bad_member_of_a_batch_spoils_no_other(float64):
    weights, means, roots = parameters(STRUCTURES[0], 2, 2)
    function = log_likelihood(weighted_rows(2)[0])
    values = jax.vmap(function, in_axes=(None, 0, None))(weights, np.stack([means, means * np.nan, means]), roots)
    assert values[1] == -np.inf
    assert values[0] == values[2] == function(weights, means, roots)


def test_a_component_without_weight_counts_for_nothing(float64):
    X, _ = weighted_rows(2)
    _, means, deviations = parameters(STRUCTURES[2], 2, 2)
    value, slopes = jax.value_and_grad(log_likelihood(X, "diag"), argnums=(0, 1, 2))(
        np.array([0.0, 1.0]), means, deviations
    )
    alone = mx.Mixture([1.0], means[1:], deviations[1:] ** 2, "diag")
    np.testing.assert_allclose(value, alone.log_likelihood(X), rtol=1e-12)
    assert not any(np.any(slope[0]) for slope in slopes)


def test_rows_without_weight_are_left_out(float64):
    X, _ = weighted_rows(2)
    at = parameters(STRUCTURES[0], 2, 2)
    kept = np.arange(60) % 3 > 0
    assert log_likelihood(X, "full", kept.astype(float))(*at) == log_likelihood(X[kept])(*at)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.0], [np.nan]],), "X must be finite; found nan in row 1, column 0"),
        (([0.0, 1.0],), r"shape \(N, D\)"),
        (([["a"]],), "must be numeric"),
        (([[0.0], [1.0]], "full", [1.0]), "one number for each of 2 rows"),
        (([[0.0], [1.0]], "full", [1.0, -1.0]), "finite and not negative; found -1.0 in row 1"),
    ],
)
def test_rows_that_cannot_be_used(arguments, message):
    with pytest.raises(mx.DataError, match=message):
        log_likelihood(*arguments)


def test_parameters_of_the_wrong_shape():
    function = log_likelihood(FIVE, "diag")
    with pytest.raises(mx.InvalidParameterError, match=r"roots of covariance type 'diag' must have shape \(2, 1\)"):
        function(np.ones(2), np.ones((2, 1)), np.ones((2, 1, 1)))
    with pytest.raises(mx.InvalidParameterError, match=r"weights and means must have shapes \(K,\) and \(K, D\)"):
        function(np.ones(3), np.ones((2, 1)), np.ones((2, 1)))


# ---- the model -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "n_features"),
    [(STRUCTURES[0], 1), *((s, 2) for s in STRUCTURES)],
    ids=lambda part: getattr(part, "name", part),
)
def test_the_factor_is_the_log_likelihood_of_the_drawn_mixture(structure, n_features, float64):
    X, sample_weight = weighted_rows(n_features)
    mixture_model = model(X, 3, structure.name, sample_weight=sample_weight)
    trace = handlers.trace(handlers.seed(mixture_model, jax.random.key(0))).get_trace()
    samples = {name: site["value"][None] for name, site in trace.items() if name != "log_likelihood"}
    drawn = as_draws(samples, structure.name).mixture(0, 0)
    assert drawn.structure is structure
    factor = trace["log_likelihood"]
    np.testing.assert_allclose(
        factor["fn"].log_prob(factor["value"]), drawn.log_likelihood(X, sample_weight), rtol=1e-12
    )


def test_priors_are_expanded_to_their_sites(float64):
    own = {"weights": dist.Dirichlet(np.full(3, 2.0)), "means": dist.Normal(np.array([1.0, 2.0]), 3.0)}
    trace = handlers.trace(handlers.seed(model(weighted_rows(2)[0], 3, "tied", priors=own), 0)).get_trace()
    assert trace["means"]["fn"].shape() == (3, 2)
    means = trace["means"]["value"]
    np.testing.assert_allclose(
        trace["means"]["fn"].log_prob(means), dist.Normal(own["means"].loc, 3.0).log_prob(means).sum(), rtol=1e-12
    )
    assert trace["weights"]["fn"].log_prob(trace["weights"]["value"]).shape == ()
    assert trace["scales"]["value"].shape == (2,)
    assert trace["correlations"]["value"].shape == (2, 2)


@pytest.mark.parametrize(
    ("n_components", "priors", "message"),
    [
        (2, {"covariances": dist.Normal()}, "priors must be of weights, means, scales, correlations; got one of 'cov"),
        (2, {"weights": dist.Dirichlet(np.ones(3))}, r"the prior of weights must have shape \(2,\); got \(3,\)"),
        (2, {"means": dist.Normal(np.zeros(3))}, r"the prior of means cannot have shape \(2, 2\)"),
        (0, {}, "n_components must be a positive integer; got 0"),
    ],
)
def test_priors_that_do_not_fit(n_components, priors, message):
    with pytest.raises(mx.InvalidParameterError, match=message):
        model(weighted_rows(2)[0], n_components, priors=priors)


def test_a_constant_column_has_no_default_prior():
    with pytest.raises(mx.DataError, match="column 1 is constant"):
        model(np.c_[np.arange(4.0), np.ones(4)], 2)


# ---- NumPyro's inference ---------------------------------------------------------------------------------------------------------


def assert_tutorial_mode(weights, means, deviation):
    order = np.argsort(means)
    np.testing.assert_allclose(weights[order], [0.375, 0.625], atol=1e-6)
    np.testing.assert_allclose(means[order], [0.49894, 10.98446], atol=1e-5)
    np.testing.assert_allclose(deviation, 0.651434, atol=1e-6)


def test_numpyros_own_svi_finds_the_mode_of_the_tutorial(float64):
    posterior = model(FIVE, 2, "tied_spherical", priors=TUTORIAL)
    begin = {"weights": jnp.array([0.5, 0.5]), "means": jnp.array([[2.0], [9.0]]), "scales": jnp.array(2.0)}
    guide = autoguide.AutoDelta(posterior, init_loc_fn=init_to_value(values=begin))
    optimiser = numpyro.optim.Adam(lambda step: 0.1 * 0.01 ** (step / 800))
    result = SVI(posterior, guide, optimiser, Trace_ELBO()).run(jax.random.key(0), 800, progress_bar=False)
    mode = {name: np.asarray(value) for name, value in guide.median(result.params).items()}
    assert_tutorial_mode(mode["weights"], mode["means"][:, 0], mode["scales"])
    assert result.losses[-1] == pytest.approx(17.443255, abs=1e-6)


def test_the_delta_guide_finds_it_too():
    fit = fit_guide(FIVE, 2, "tied_spherical", guide="auto_delta", priors=TUTORIAL, n_steps=600, random_state=0)
    assert_tutorial_mode(fit.mixture.weights, fit.mixture.means[:, 0], math.sqrt(fit.mixture.covariances))
    assert -fit.lower_bound == pytest.approx(17.443255, abs=1e-6)
    assert not jax.config.jax_enable_x64  # float64 was for the fit alone
    assert jnp.ones(1).dtype == np.float32


def test_a_step_costs_one_sweep(sweeps):
    before = []
    for n_steps in (10, 25):
        sweeps.clear()
        fit_guide(FIVE, 2, "tied_spherical", guide="auto_delta", n_steps=n_steps, random_state=0)
        before.append(len(sweeps))
    assert before[1] - before[0] == 15


def test_losses_follow_the_units_of_the_data():
    X = np.random.default_rng(0).normal(size=(40, 1)) + np.repeat([0.0, 6.0], 20)[:, None]
    fit, moved = (
        fit_guide(rows, 2, "diag", guide="auto_delta", n_steps=60, random_state=1) for rows in (X, 1000 * X + 4000)
    )
    # Every row, mean and scale has a density of its own, in these units.
    np.testing.assert_allclose(moved.losses, fit.losses + (40 + 2 + 2) * math.log(1000), rtol=1e-9)
    np.testing.assert_allclose(moved.mixture.means, 1000 * fit.mixture.means + 4000, rtol=1e-9)


def exact_posterior_of_one_normal(X):
    """Log evidence, and mean and standard deviation of ``(μ, log σ)``, for ``μ ~ N(0, 10)`` and ``σ ~ LogNormal(0, 2)``, on a grid."""
    mu, log_sigma = np.linspace(-5, 7, 1201)[:, None], np.linspace(-2, 3, 1001)
    sigma = np.exp(log_sigma)
    log_joint = -0.5 * (mu / 10) ** 2 - math.log(10) - 0.5 * (log_sigma / 2) ** 2 - math.log(2) - math.log(2 * math.pi)
    for x in X[:, 0]:
        log_joint = log_joint - 0.5 * ((x - mu) / sigma) ** 2 - log_sigma - 0.5 * math.log(2 * math.pi)
    cell = (mu[1, 0] - mu[0, 0]) * (log_sigma[1] - log_sigma[0])
    peak = log_joint.max()
    mass = np.exp(log_joint - peak)
    evidence = peak + math.log(mass.sum() * cell)
    mass /= mass.sum()
    means = [(mass * mu).sum(), (mass * log_sigma).sum()]
    deviations = [math.sqrt((mass * (part - m) ** 2).sum()) for part, m in zip((mu, log_sigma), means, strict=True)]
    return evidence, np.array(means), np.array(deviations)


@pytest.mark.slow
def test_one_normal_has_its_exact_posterior(seed):
    X = 1.0 + 2.0 * np.random.default_rng(5).normal(size=(50, 1))
    evidence, means, deviations = exact_posterior_of_one_normal(X)
    priors = {"means": dist.Normal(0.0, 10.0), "scales": dist.LogNormal(0.0, 2.0)}
    fit = fit_guide(
        X, 1, "full", guide="auto_multivariate_normal", priors=priors, n_steps=800, n_draws=4000, random_state=seed
    )
    drawn = np.stack([fit.draws.means.ravel(), 0.5 * np.log(fit.draws.covariances.ravel())])
    # Where steps end is random too: means come within 0.07 of a deviation, deviations within 3 %, over seeds; here are six of those.
    np.testing.assert_allclose(drawn.mean(axis=1), means, atol=0.45 * deviations.min())
    np.testing.assert_allclose(drawn.std(axis=1), deviations, rtol=0.2)
    assert evidence - 0.3 < fit.lower_bound < evidence + 0.05
    assert (fit.draws.weights == 1).all()


def assert_no_worse(last, first):
    """Losses are estimates, and a start near the mode leaves little to gain."""
    error = np.hypot(np.std(last), np.std(first)) / np.sqrt(min(len(last), len(first)))
    assert np.mean(last) < np.mean(first) + deviations(1, min(len(last), len(first)) - 1) * error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["auto_low_rank_multivariate_normal", "auto_iaf_normal"])
def test_other_guides_climb(name, seed):
    X = np.concatenate([FIVE, FIVE + 0.5, FIVE - 0.25])
    fit = fit_guide(X, 2, "tied_spherical", guide=name, n_steps=150, n_draws=50, random_state=seed)
    assert fit.losses.shape == (150,)
    assert fit.draws.weights.shape == (1, 50, 2)
    assert_no_worse(fit.losses[-30:], fit.losses[:30])
    np.testing.assert_allclose(np.sort(fit.mixture.means[:, 0]), [0.55, 11.05], atol=0.6)


@pytest.mark.slow
def test_a_guide_of_ones_own_and_a_seed():
    own = {"guide": lambda mixture_model: autoguide.AutoDiagonalNormal(mixture_model, init_scale=0.5), "n_steps": 20}
    first, second = (fit_guide(FIVE, 2, "spherical", random_state=0, **own) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)
    np.testing.assert_array_equal(first.draws.means, second.draws.means)
    assert len(np.unique(first.draws.means[0, :, 0, 0])) == first.draws.n_draws


def test_the_guide_settles_where_it_starts():
    start = mx.Mixture([0.6, 0.4], [[11.0], [0.5]], [1.0, 1.0], "spherical")
    for own in (start, start.reorder([1, 0])):
        fit = fit_guide(FIVE, 2, "spherical", guide="auto_delta", start=own, n_steps=50, random_state=0)
        np.testing.assert_allclose(fit.mixture.means, own.means, atol=1.0)


@every_structure
def test_whitened_coordinates_change_a_density_by_a_constant(structure, float64):
    X, _ = weighted_rows(2)
    weights, means, roots = parameters(structure, 3, 2)
    start = mx.Mixture(
        weights, means, roots**2 if structure.diagonal else roots @ roots.swapaxes(-1, -2), structure.name
    )
    laws = _laws(ArraySource(X), 3, structure, None)
    plain = _model(structure, laws, log_likelihood(X, structure.name))
    coordinates = _Coordinates(laws, start, 60.0, point=False)

    @jax.jit
    def difference(whitened):
        values = coordinates.back(whitened)
        real = {name: dist.biject_to(law.support).inv(values[name]) for name, law in laws.items()}
        return potential_energy(coordinates.of(plain), (), {}, whitened) - potential_energy(plain, (), {}, real)

    rng = np.random.default_rng(0)
    shapes = {name: base.shape for name, base in coordinates.start.items()}
    differences = [difference({name: rng.normal(size=shape) for name, shape in shapes.items()}) for _ in range(3)]
    np.testing.assert_allclose(differences, differences[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(coordinates.back(coordinates.start)["means"], means, rtol=1e-12)


@pytest.mark.slow
def test_nuts_runs_chains_side_by_side(sweeps, float64, seed):
    X = np.concatenate([FIVE, FIVE + 0.5, FIVE - 0.5])
    begin = {"weights": jnp.array([0.4, 0.6]), "means": jnp.array([[0.5], [11.0]]), "scales": jnp.array(1.0)}
    kernel = NUTS(model(X, 2, "tied_spherical"), init_strategy=init_to_value(values=begin), max_tree_depth=4)
    sampler = MCMC(kernel, num_warmup=60, num_samples=50, num_chains=2, chain_method="vectorized", progress_bar=False)
    sampler.run(jax.random.key(seed))
    draws = as_draws(sampler.get_samples(group_by_chain=True), "tied_spherical")
    assert draws.means.shape == (2, 50, 2, 1)
    assert set(sweeps) == {1, 2}
    assert sweeps.count(2) > 110
    sorted_means = np.sort(draws.means[..., 0], axis=2)
    np.testing.assert_allclose(sorted_means.mean(axis=(0, 1)), [0.5, 11.0], atol=0.3)
    np.testing.assert_allclose(np.sqrt(draws.covariances).mean(), 0.85, atol=0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guide": "auto"}, "guide must be one of auto_delta, .*; got 'auto'"),
        ({"guide": 3}, "guide must be a name or a function"),
        ({"start": mx.Mixture([1.0], [[0.0]], [1.0], "spherical")}, "start must have 2 components"),
        ({"start": mx.Mixture([0.5, 0.5], [[0.0], [9.0]], [[1.0], [1.0]], "diag")}, "and be spherical; got Mixture"),
        ({"n_steps": 0}, "n_steps must be a positive integer; got 0"),
        ({"n_draws": 1.5}, "n_draws must be a positive integer; got 1.5"),
        ({"learning_rate": 1e200, "n_steps": 5, "guide": "auto_delta"}, "the loss became"),
    ],
)
def test_arguments_that_fit_guide_refuses(changes, message):
    with pytest.raises(mx.InvalidParameterError, match=message):
        fit_guide(FIVE, 2, "spherical", random_state=0, **changes)


def test_more_components_than_rows():
    with pytest.raises(mx.DataError, match="6 components need as many rows; got 5"):
        fit_guide(FIVE, 6)


# ---- the house -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["jax", "numpyro"])
def test_a_missing_library_names_the_install_command(library, monkeypatch):
    for name in ("mixtura.bridges.numpyro", "mixtura.bridges.jax"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(mx.MissingExtraError, match=re.escape('pip install "mixtura[numpyro]"')):
        importlib.import_module("mixtura.bridges.numpyro")


def test_the_page_shows_what_comes_out(root: Path, monkeypatch):
    monkeypatch.chdir(root)
    page = (root / "docs" / "numpyro.md").read_text()
    examples = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    example = doctest.DocTestParser().get_doctest(examples, {}, "numpyro.md", "numpyro.md", 0)
    assert example.examples
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example).failed == 0
