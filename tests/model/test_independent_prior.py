"""The independent prior: its density beside SciPy's, its gradients beside finite differences, its draws beside its marginals."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

import mixtura as mx
from chance import deviations, kolmogorov
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import STRUCTURES, CovarianceStructure, covariance_structure
from mixtura.model.laws.independent import IndependentPrior, log_correlation_constant
from mixtura.model.laws.scale_laws import HalfCauchy, HalfNormal, LogNormal, ScaleLaw

SCALE = np.array([0.5, 2.0, 3.0])
LAWS: list[ScaleLaw] = [HalfCauchy(SCALE), HalfNormal(SCALE), LogNormal(SCALE, 0.7), HalfCauchy(1.5)]
every_law = pytest.mark.parametrize("law", LAWS, ids=["half-Cauchy", "half-normal", "log-normal", "one scale"])
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
ALPHA, ETA = 0.7, 2.5


def prior_with(law: ScaleLaw, common_log_spread: float = 0.0) -> IndependentPrior:
    return IndependentPrior([0.1, -1.0, 2.0], [1.0, 2.0, 0.5], law, ALPHA, ETA, common_log_spread)


def random_mixture(structure: CovarianceStructure, seed: int = 0) -> mx.Mixture:
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(2, 3, 9))
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / 6, np.array([0.3, 0.7]))
    return mx.Mixture([0.3, 0.7], rng.normal(size=(2, 3)), covariances, structure.name)


def scipy_law(law: ScaleLaw, scale: Array) -> stats.rv_continuous:
    if isinstance(law, LogNormal):
        return stats.lognorm(law.log_spread, scale=scale)
    return (stats.halfcauchy if isinstance(law, HalfCauchy) else stats.halfnorm)(scale=scale)


def block_log_density(block: Array, law: ScaleLaw) -> float:
    """The slow twin: change of variables from spreads and correlations to the block, by finite differences."""
    scale = np.broadcast_to(law.scale, 3)
    if block.ndim < 2:
        scale = scale if block.ndim else np.sqrt(np.mean(scale**2))
        tau = np.sqrt(block)
        return float(np.sum(scipy_law(law, scale).logpdf(tau) - np.log(2 * tau)))
    tau = np.sqrt(np.diag(block))
    correlations = block / np.outer(tau, tau)
    below = np.tril_indices(3, -1)

    def lower_triangle(parameters: Array) -> Array:
        omega = np.eye(3)
        omega[below] = parameters[3:]
        return (np.outer(parameters[:3], parameters[:3]) * omega)[np.tril_indices(3)]

    at = np.concatenate([tau, correlations[below]])
    jacobian = [(lower_triangle(at + e) - lower_triangle(at - e)) / 2e-5 for e in 1e-5 * np.eye(6)]
    on_correlations = log_correlation_constant(3, ETA) + (ETA - 1) * np.linalg.slogdet(correlations)[1]
    return float(scipy_law(law, scale).logpdf(tau).sum() + on_correlations - np.linalg.slogdet(jacobian)[1])


@every_structure
@every_law
def test_the_density_is_that_of_its_parts(structure: CovarianceStructure, law: ScaleLaw) -> None:
    prior, m = prior_with(law), random_mixture(structure)
    expected = stats.dirichlet([ALPHA, ALPHA]).logpdf(m.weights)
    expected += stats.norm(prior.mean_location, prior.mean_scale).logpdf(m.means).sum()
    blocks = [m.covariances] if structure.name.startswith("tied") else m.covariances
    expected += sum(block_log_density(np.asarray(block), law) for block in blocks)
    assert prior.value(m) == pytest.approx(expected, rel=1e-9)


@every_structure
@every_law
@pytest.mark.parametrize("eta", [1.0, ETA])
def test_gradients_are_those_of_finite_differences(structure: CovarianceStructure, law: ScaleLaw, eta: float) -> None:
    prior = IndependentPrior([0.1, -1.0, 2.0], [1.0, 2.0, 0.5], law, ALPHA, eta)
    about = Coordinates(random_mixture(structure), np.array([3.0, 7.0]))
    u, step = np.random.default_rng(1).normal(size=about.size), 1e-5
    place = about.place(u)
    terms = prior.terms(about.structure, place.weights, place.means, place.roots)
    found = about.pull_back_blocks(place, *terms[1:4]) + about.log_jacobian_gradient(place)

    def value(at: Array) -> float:
        return prior.value(about.mixture(at)) + float(about.log_jacobian(at))

    up, down = (np.array([value(u + s * e) for e in step * np.eye(len(u))]) for s in (1, -1))
    np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


@every_structure
@every_law
def test_the_common_factor_scales_all_spreads(structure: CovarianceStructure, law: ScaleLaw) -> None:
    """Given the factor, the density is that of a prior whose scales are multiplied by it, and the factor has a law of its own."""
    m, h, step = random_mixture(structure), 0.4, 1e-5
    prior, alone = prior_with(law, 0.8), prior_with(law)
    scaled = (
        LogNormal(law.scale * np.exp(h), law.log_spread)
        if isinstance(law, LogNormal)
        else type(law)(law.scale * np.exp(h))
    )
    expected = prior_with(scaled).value(m) + stats.norm(0, 0.8).logpdf(h)
    assert prior.value(m, h) == pytest.approx(expected, rel=1e-12)
    slope = (prior.value(m, h + step) - prior.value(m, h - step)) / (2 * step)
    about = Coordinates(m, np.ones(2))
    place = about.place(np.zeros(about.size))
    found = prior.terms(about.structure, place.weights, place.means, place.roots, h).by_log_factor
    assert found == pytest.approx(slope, rel=1e-6, abs=1e-8)
    assert prior.value(m, 0.0) == pytest.approx(alone.value(m) + stats.norm(0, 0.8).logpdf(0.0), rel=1e-12)


@pytest.mark.parametrize("eta", [1.0, 2.0, 3.5])
def test_the_law_of_correlations_integrates_to_one(eta: float) -> None:
    points = np.linspace(-1, 1, 161)[:-1] + 1 / 160
    a, b, c = np.meshgrid(points, points, points, sparse=True)
    determinant = 1 + 2 * a * b * c - a**2 - b**2 - c**2
    mass = np.where(determinant > 0, np.maximum(determinant, 0) ** (eta - 1), 0.0).sum() * (2 / 160) ** 3
    assert np.exp(log_correlation_constant(3, eta)) * mass == pytest.approx(1, abs=5e-3)
    plane = ((1 - points**2) ** (eta - 1)).sum() * 2 / 160
    assert np.exp(log_correlation_constant(2, eta)) * plane == pytest.approx(1, abs=1e-3)
    assert log_correlation_constant(1, eta) == 0


@every_law
def test_draws_follow_the_marginal_laws(law: ScaleLaw, seed: int) -> None:
    prior, rng, most = prior_with(law), np.random.default_rng(seed), kolmogorov(2000, 5)
    drawn = [prior.draw(2, covariance_structure("diag"), rng) for _ in range(2000)]
    for d, scale in enumerate(np.broadcast_to(law.scale, 3)):
        taus = np.sqrt([m.covariances[1, d] for m in drawn])
        assert stats.kstest(taus, scipy_law(law, scale).cdf).statistic < most
    assert stats.kstest([m.weights[0] for m in drawn], stats.beta(ALPHA, ALPHA).cdf).statistic < most
    assert stats.kstest([m.means[0, 2] for m in drawn], stats.norm(2.0, 0.5).cdf).statistic < most


def test_drawn_correlations_are_alike_and_beta(seed: int) -> None:
    prior = IndependentPrior(np.zeros(3), np.ones(3), HalfNormal(1.0), correlation_concentration=1.0)
    full, rng = covariance_structure("full"), np.random.default_rng(seed)
    matrices = np.array([prior.draw(1, full, rng).covariances[0] for _ in range(2000)])
    spreads = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    correlations = matrices / spreads[:, :, None] / spreads[:, None, :]
    marginal = stats.beta(1.5, 1.5, loc=-1, scale=2)  # Beta(η − 1 + D/2, η − 1 + D/2)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        own = correlations[:, i, j]
        assert stats.kstest(own, marginal.cdf).statistic < kolmogorov(2000, 6)
        error = np.std(own**2) / np.sqrt(2000)
        assert np.mean(own**2) == pytest.approx(marginal.var(), abs=deviations(6) * error)


@every_structure
def test_every_structure_can_be_drawn(structure: CovarianceStructure) -> None:
    m = prior_with(HalfCauchy(SCALE), 0.5).draw(4, structure, np.random.default_rng(0))
    assert m.structure is structure
    assert m.means.shape == (4, 3)


def test_components_in_another_order_are_as_probable() -> None:
    for structure, law in product(STRUCTURES, LAWS):
        m = random_mixture(structure)
        assert prior_with(law).value(m.reorder(np.array([1, 0]))) == pytest.approx(prior_with(law).value(m), rel=1e-12)


def test_defaults_move_with_the_units_of_the_data() -> None:
    mean, variances = np.array([1.0, -3.0]), np.array([4.0, 9.0])
    prior = IndependentPrior.from_data_moments(mean, variances, 4)
    assert str(prior) == (
        "weights Dirichlet(1); means normal(location 1, -3, scale 4, 6); spreads half-Cauchy(1, 1.5); correlations LKJ(2)"
    )
    a = np.array([10.0, 0.1])
    scaled = IndependentPrior.from_data_moments(a * mean, a**2 * variances, 4)
    m = mx.Mixture([0.5, 0.5], [[0.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [3.0, 4.0]], "diag")
    moved = mx.Mixture(m.weights, a * m.means, a**2 * m.covariances, "diag")
    assert scaled.value(moved) == pytest.approx(
        prior.value(m) - 2 * np.log(a).sum() - 2 * np.log(a**2).sum(), rel=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mean_location": [0.0, 1.0]}, "D numbers each"),
        ({"mean_location": ["a"]}, "real numbers"),
        ({"mean_scale": [0.0]}, "positive"),
        ({"scales": 1.0}, "HalfCauchy"),
        ({"scales": HalfCauchy([1.0, 2.0])}, "of one scale or of 1"),
        ({"concentration": -1.0}, "concentration must be positive"),
        ({"correlation_concentration": [1.0, 2.0]}, "one positive number"),
        ({"common_log_spread": float("nan")}, "common_log_spread"),
    ],
)
def test_what_is_no_prior_is_refused(arguments: dict, said: str) -> None:
    given = {"mean_location": [0.0], "mean_scale": [1.0], "scales": HalfCauchy(1.0)} | arguments
    with pytest.raises(InvalidParameterError, match=said):
        IndependentPrior(**given)


def test_a_law_needs_positive_scales() -> None:
    with pytest.raises(InvalidParameterError, match="scale must be positive"):
        HalfNormal([1.0, 0.0])
    with pytest.raises(InvalidParameterError, match="log_spread"):
        LogNormal(1.0, 0.0)
