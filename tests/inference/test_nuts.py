"""Draws by NUTS beside posteriors that are known: by enumeration of all labellings, and by integration on a grid."""

import re
import sys
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp

import mixtura as mx
from chance import SERIES, deviations, largest_r_hat
from mixtura.assess.draws.convergence import bulk_size
from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError, MissingExtraError
from mixtura.ground.linalg import Array
from mixtura.inference.sampling import nuts
from mixtura.inference.sampling.nuts import PosteriorSample, sample
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.scale_laws import HalfCauchy, HalfNormal, LogNormal, ScaleLaw

pytest.importorskip("nutpie")

FIVE = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
TUTORIAL = IndependentPrior([0.0], [10.0], LogNormal(1.0, 2.0), concentration=0.5)
"""The model of the NumPyro tutorial on mixtures: weights Dirichlet(½), one σ ~ LogNormal(0, 2), means N(0, 10)."""
FIVE_MODE = mx.Mixture([0.375, 0.625], [[0.49894], [10.98446]], 0.651434**2, "tied_spherical")


def drawn(
    rows: Array, modes: list[mx.Mixture], prior: IndependentPrior, seed: int = 0, **how: float
) -> PosteriorSample:
    return sample(ArraySource(rows), modes, prior, rng=np.random.default_rng(seed), **how)


def rank_normalised_rhat(values: Array) -> float:
    from arviz_stats.base import array_stats

    return float(array_stats.rhat(values))


def effective_size(values: Array) -> float:
    """Of the draws for their location or their scale, the smaller one."""
    return min(bulk_size(values), bulk_size(np.abs(values - np.median(values))))


def standard_errors_off(values: Array, expected: float) -> float:
    """How many Monte Carlo standard errors a mean over draws lies from its expectation."""
    from arviz_stats.base import array_stats

    return float((values.mean() - expected) / array_stats.mcse(values))


def invariant(sampled: PosteriorSample) -> dict[str, Array]:
    """What does not depend on the labels."""
    draws = sampled.draws
    return {
        "log posterior": sampled.log_posterior,
        "log likelihood": sampled.log_likelihood,
        "smaller weight": draws.weights.min(axis=2),
        "log σ": 0.5 * np.log(draws.covariances),
        "Σ π²": (draws.weights**2).sum(axis=2),
        "mean": (draws.weights * draws.means[..., 0]).sum(axis=2),
    }


def five_points_by_enumeration() -> dict[str, float]:
    """Posterior means over all 32 labellings: weights and means in closed form, log σ on a grid."""
    log_sigma = np.linspace(-6, 7, 2601)
    sigma2, x = np.exp(2 * log_sigma), FIVE[:, 0]
    log_evidence, of_squares, of_mean = [], [], []
    for labels in product((0, 1), repeat=5):
        log_joint = stats.norm(0, 2).logpdf(log_sigma)
        counts = np.bincount(labels, minlength=2)
        log_joint += gammaln(1) - gammaln(6) + (gammaln(0.5 + counts) - gammaln(0.5)).sum()
        shares, centres = (0.5 + counts) / 6, []
        for k in (0, 1):
            own = x[np.array(labels) == k]
            n, precision = len(own), len(own) / sigma2 + 0.01
            centres.append(own.sum() / sigma2 / precision)
            quadratic = (own**2).sum() / sigma2 - precision * centres[k] ** 2
            log_joint += -0.5 * (n * np.log(2 * np.pi * sigma2) + np.log(100 * precision) + quadratic)
        log_evidence.append(log_joint)
        of_squares.append(np.full(len(sigma2), ((0.5 + counts) * (1.5 + counts)).sum() / 42))
        of_mean.append(shares @ np.array(centres))
    posterior = np.exp(log_evidence - logsumexp(log_evidence))
    return {
        "log σ": float((posterior * log_sigma).sum()),
        "Σ π²": float((posterior * of_squares).sum()),
        "mean": float((posterior * of_mean).sum()),
    }


@pytest.fixture(scope="module")
def five(seed: int) -> PosteriorSample:
    other = FIVE_MODE.reorder(np.array([1, 0]))
    return drawn(FIVE, [FIVE_MODE, other], TUTORIAL, seed, n_draws=3000, target_accept=0.95)


@pytest.mark.slow
def test_the_five_points_converge_with_hardly_a_divergence(five: PosteriorSample) -> None:
    """A run in five has a divergence; were it one a run, more than twelve would still have the probability 6e-11 (Poisson)."""
    assert five.statistics["diverging"].sum() <= 12
    for name, values in invariant(five).items():
        size = effective_size(values)
        assert size > 250, name
        assert rank_normalised_rhat(values) < largest_r_hat(4, size, 6), name


@pytest.mark.slow
def test_the_five_points_agree_with_enumeration(five: PosteriorSample) -> None:
    found = invariant(five)
    for name, expected in five_points_by_enumeration().items():
        assert abs(standard_errors_off(found[name], expected)) < deviations(3, SERIES), name


NORMAL = np.random.default_rng(0).normal(3.0, 2.0, size=(15, 1))
NORMAL_MODE = mx.Mixture([1.0], [NORMAL.mean(axis=0)], [NORMAL.var()], "spherical")


def normal_by_grid(log_scale_density: Callable[[Array], Array]) -> tuple[float, float]:
    """Posterior means of ``μ`` and ``log σ`` of one normal, under ``μ ~ N(1, 2)`` and a law of ``σ``."""
    mu, log_sigma = np.linspace(-4, 10, 701)[:, None], np.linspace(-2, 4, 601)
    x = NORMAL[:, 0]
    squares = ((x - mu) ** 2).sum(axis=1)[:, None]
    log_joint = -len(x) * log_sigma - 0.5 * squares / np.exp(2 * log_sigma) + stats.norm(1, 2).logpdf(mu)
    log_joint = log_joint + log_scale_density(np.exp(log_sigma)) + log_sigma  # a density of log σ
    posterior = np.exp(log_joint - logsumexp(log_joint))
    return float((posterior * mu).sum()), float((posterior * log_sigma).sum())


@pytest.mark.parametrize(
    ("law", "twin"),
    [
        (HalfCauchy(0.3), stats.halfcauchy(scale=0.3)),
        (HalfNormal(1.0), stats.halfnorm(scale=1.0)),
        (LogNormal(0.5, 0.3), stats.lognorm(0.3, scale=0.5)),
    ],
    ids=["half-Cauchy", "half-normal", "log-normal"],
)
def test_one_normal_agrees_with_a_grid(law: ScaleLaw, twin: stats.rv_continuous, seed: int) -> None:
    prior = IndependentPrior([1.0], [2.0], law)
    sampled = drawn(NORMAL, [NORMAL_MODE], prior, seed, n_draws=300, n_tune=200, n_chains=2)
    mean, log_sigma = normal_by_grid(twin.logpdf)
    assert abs(standard_errors_off(sampled.draws.means[..., 0, 0], mean)) < deviations(2, SERIES)
    assert abs(standard_errors_off(0.5 * np.log(sampled.draws.covariances[..., 0]), log_sigma)) < deviations(2, SERIES)
    assert not sampled.statistics["diverging"].any()


def test_a_common_factor_widens_the_law_of_spreads(seed: int) -> None:
    """Two log-normal factors are one: its posterior is known, and so is the share of it that is the common factor's."""
    prior = IndependentPrior([1.0], [2.0], LogNormal(0.5, 0.3), common_log_spread=0.4)
    sampled = drawn(NORMAL, [NORMAL_MODE], prior, seed, n_draws=400, n_tune=200, n_chains=2)
    mean, log_sigma = normal_by_grid(stats.lognorm(0.5, scale=0.5).logpdf)  # 0.3² + 0.4² = 0.5²
    assert abs(standard_errors_off(sampled.draws.means[..., 0, 0], mean)) < deviations(3, SERIES)
    assert abs(standard_errors_off(0.5 * np.log(sampled.draws.covariances[..., 0]), log_sigma)) < deviations(3, SERIES)
    share = 0.4**2 / 0.5**2 * (log_sigma - np.log(0.5))
    assert sampled.common_factor is not None
    assert abs(standard_errors_off(np.log(sampled.common_factor), share)) < deviations(3, SERIES)


def test_two_components_in_one_dimension_are_recovered(seed: int) -> None:
    """The model of posteriordb's low_dim_gauss_mix: θ ~ Beta(5, 5), μ ~ N(0, 2), σ ~ N⁺(0, 2)."""
    rng = np.random.default_rng(0)
    labels = rng.random(1000) < 0.4
    x = np.where(labels, rng.normal(2.75, 1.0, 1000), rng.normal(-2.75, 1.0, 1000))[:, None]
    truth = mx.Mixture([0.6, 0.4], [[-2.75], [2.75]], [1.0, 1.0], "spherical")
    prior = IndependentPrior([0.0], [2.0], HalfNormal(2.0), concentration=5.0)
    sampled = drawn(x, [truth], prior, seed, n_draws=200, n_tune=200, n_chains=2)
    draws = sampled.draws
    deviations = np.sqrt(draws.covariances)
    for values, true, expected_spread in (
        (draws.weights[..., 0], 0.6, np.sqrt(0.24 / 1000)),
        (draws.means[..., 0, 0], -2.75, np.sqrt(1 / 600)),
        (draws.means[..., 1, 0], 2.75, np.sqrt(1 / 400)),
        (deviations[..., 0], 1.0, np.sqrt(1 / 1200)),
        (deviations[..., 1], 1.0, np.sqrt(1 / 800)),
    ):
        assert abs(values.mean() - true) < 3 * expected_spread
        assert 0.75 < values.std() / expected_spread < 1.5  # a little more than with known labels
        assert rank_normalised_rhat(values) < largest_r_hat(2, effective_size(values), 5)
    assert not sampled.statistics["diverging"].any()


# ---- what is handed back ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def matrices() -> PosteriorSample:
    return drawn(*small(), n_draws=30, n_tune=60, n_chains=2)


def small() -> tuple[Array, list[mx.Mixture], IndependentPrior]:
    rows = np.random.default_rng(1).normal(size=(60, 2)) + 5 * (np.arange(60)[:, None] < 20)
    mode = mx.Mixture([1 / 3, 2 / 3], [[5.0, 5.0], [0.0, 0.0]], np.stack([np.eye(2)] * 2), "full")
    return rows, [mode], IndependentPrior.from_data_moments(rows.mean(axis=0), rows.var(axis=0), 2)


def test_each_draw_comes_with_its_likelihood_and_posterior(matrices: PosteriorSample) -> None:
    rows, _, prior = small()
    for at in ((0, 0), (1, 29)):
        m = matrices.draws.mixture(*at)
        log_likelihood = m.log_likelihood(rows)
        assert matrices.log_likelihood[at] == pytest.approx(log_likelihood, rel=1e-10)
        assert matrices.log_posterior[at] == pytest.approx(log_likelihood + prior.value(m), rel=1e-10)
    assert matrices.common_factor is None
    assert not matrices.interrupted
    assert matrices.trouble is None
    for name in ("lp", "diverging", "energy", "tree_depth", "n_steps", "step_size", "acceptance_rate"):
        assert matrices.statistics[name].shape == (2, 30)


def test_a_seed_fixes_the_draws(matrices: PosteriorSample) -> None:
    again = drawn(*small(), n_draws=30, n_tune=60, n_chains=2)
    np.testing.assert_array_equal(again.draws.means, matrices.draws.means)
    np.testing.assert_array_equal(again.statistics["energy"], matrices.statistics["energy"])
    other = drawn(*small(), seed=1, n_draws=30, n_tune=60, n_chains=2)
    assert (other.draws.means != matrices.draws.means).all()


def test_chains_do_not_depend_on_each_other() -> None:
    """The first draws of each are those of fewer chains, but for the rounding of stacks of other sizes."""
    short = {"n_draws": 4, "n_tune": 4}
    several, alone = (drawn(*small(), n_chains=n, **short) for n in (3, 1))
    np.testing.assert_allclose(several.draws.means[:1], alone.draws.means, rtol=1e-6)
    np.testing.assert_allclose(several.log_posterior[:1], alone.log_posterior, rtol=1e-6)


def test_a_mode_without_density_is_refused() -> None:
    rows, (mode,), prior = small()
    empty = mx.Mixture([1.0, 0.0], mode.means, mode.covariances, "full")
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(InvalidParameterError, match="no density"):
        drawn(rows, [empty], prior)


# ---- chains that are given up ---------------------------------------------------------------------------------------------------


def test_what_a_chain_may_take_is_kept_to_and_said() -> None:
    """As soon as it can be foreseen, with the hundredth draw; and a seed fixes the draws until then, too."""
    short = {"n_draws": 400, "n_tune": 60, "n_chains": 2, "gradients_per_draw": 2}
    first, again = (drawn(*small(), **short) for _ in range(2))
    assert first.trouble is not None
    said = first.trouble.happened
    assert re.match(r"2 of 2 chains were given up, one after 100 of 460 draws: it took \d+ gradients", said)
    assert "gradients_per_draw" in first.trouble.remedy
    assert 10 < first.draws.n_draws < 400
    assert first.statistics["n_steps"].sum(axis=1).max() < 2 * 460
    np.testing.assert_array_equal(first.draws.means, again.draws.means)
    rows, _, prior = small()
    m = first.draws.mixture(1, 3)
    assert first.log_posterior[1, 3] == pytest.approx(m.log_likelihood(rows) + prior.value(m), rel=1e-10)


ZEROS = np.concatenate([np.zeros(20), np.random.default_rng(0).lognormal(0, 0.5, 20)])[:, None]
ZEROS_MODE = mx.Mixture([0.5, 0.5], [[0.0], [1.0]], [1e-6, 0.3], "spherical")


def test_a_chain_that_falls_down_a_spike_names_the_column_and_the_value() -> None:
    """Half of the rows are alike, and nothing keeps a component from them: the likelihood has no bound there."""
    prior = IndependentPrior([0.0], [2.0], HalfNormal(1.0))
    sampled = drawn(ZEROS, [ZEROS_MODE], prior, n_chains=1, names=["rain"])
    assert sampled.trouble is not None
    said = str(sampled.trouble)
    assert "while it was still being tuned" in said
    found = re.search(
        r"because component \d has narrowed to a standard deviation of \S+ in column 'rain', at its value (\S+?)[,;]",
        said,
    )
    assert found
    value = float(found[1])  # mostly zero, as most rows are, but any row has a spike
    n_alike = (np.abs(ZEROS - value) < 1e-5).sum()
    assert n_alike > 0
    shared = f", which {n_alike} of 40 rows share" if n_alike > 1 else ""
    assert f"{found[1]}{shared}; say how finely the column is known (resolution)" in said


def test_what_is_known_no_finer_has_no_spike() -> None:
    prior = IndependentPrior([0.0], [2.0], HalfNormal(1.0), resolution=1e-3)
    sampled = drawn(ZEROS, [ZEROS_MODE], prior, n_draws=100, n_tune=100, n_chains=2)
    assert sampled.trouble is None
    assert sampled.draws.covariances.min() > 1e-6
    assert sampled.draws.weights[..., 0].mean() == pytest.approx(
        0.5, abs=0.05
    )  # its standard deviation is 0.08, the error 0.01


# ---- interrupts, progress, what is missing -------------------------------------------------------------------------------------


def interrupt_after(n: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done > n:
            raise KeyboardInterrupt

    return progress


def test_an_interrupt_returns_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuts, "PATIENCE", 0.01)
    rows, modes, prior = small()
    sampled = sample(
        ArraySource(rows),
        modes,
        prior,
        rng=np.random.default_rng(0),
        n_draws=10**5,
        n_tune=50,
        progress=interrupt_after(4 * 70),
    )
    assert sampled.interrupted
    assert 1 <= sampled.draws.n_chains <= 4
    assert 0 < sampled.draws.n_draws < 10**5
    assert sampled.draws.mixture(0, 0).log_likelihood(rows) == pytest.approx(sampled.log_likelihood[0, 0], rel=1e-10)


def test_an_interrupt_before_the_first_draw_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuts, "PATIENCE", 0.01)
    rows, modes, prior = small()
    with pytest.raises(KeyboardInterrupt):
        sample(ArraySource(rows), modes, prior, rng=np.random.default_rng(0), n_tune=10**5, progress=interrupt_after(0))


def test_progress_goes_from_nothing_to_everything() -> None:
    rows, modes, prior = small()
    seen: list[tuple[int, int]] = []
    sample(
        ArraySource(rows),
        modes,
        prior,
        rng=np.random.default_rng(0),
        n_draws=20,
        n_tune=20,
        n_chains=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (80, 80)


def test_without_nutpie_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nutpie", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mixtura\[mcmc\]"'):
        drawn(NORMAL, [NORMAL_MODE], TUTORIAL)


@pytest.mark.parametrize(("gave_up_at", "is_tuned"), [(None, True), (40, False), (41, False), (43, False), (44, True)])
def test_a_chain_that_ends_with_hardly_a_draw_is_known_by_those_of_its_adaptation(gave_up_at, is_tuned):
    """One draw was all that was left of a chain, of which no diagnostic can be computed."""
    chain = object.__new__(nuts._Chain)
    chain.n_tune, chain.gave_up_at = 40, gave_up_at
    assert chain.is_tuned is is_tuned
