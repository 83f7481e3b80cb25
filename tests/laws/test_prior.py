"""The M-step under a conjugate prior is the posterior mode: it maximises ``Q + log prior``, both taken from SciPy here."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import invgamma, invwishart, multivariate_normal

from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import Dirichlet
from mixtura.model.mixture import Mixture
from mixtura.sweep import accumulate

SHARED = {"tied", "tied_diag", "tied_spherical"}
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def problem(n_components, n_features, seed=0, n_rows=25):
    """Rows, responsibilities, and a prior strong enough to matter."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, n_features)) * rng.uniform(0.5, 3, n_features) + rng.normal(size=n_features)
    half = rng.normal(size=(n_features, n_features + 2))
    prior = NormalInverseWishart(
        rng.normal(size=n_features) * 3, 1.7, half @ half.T + 0.5 * np.eye(n_features), n_features + 2.5
    )
    return rows, rng.dirichlet(np.ones(n_components), n_rows), prior


def m_step(structure, rows, responsibilities, prior, floor=0.0):
    moments = accumulate(ArraySource(rows), responsibilities, responsibilities.shape[1], diagonal=structure.diagonal)
    return ExpectationMaximization(structure=structure, floor=floor, prior=prior).maximise(moments)


def log_prior(mixture, prior):
    """Log density of means given covariances and of each free block, with SciPy's constants."""
    degrees, scale, matrices = prior.degrees_of_freedom, prior.scale, mixture.covariance_matrices
    total = sum(
        multivariate_normal.logpdf(mean, prior.mean, matrix / prior.mean_precision)
        for mean, matrix in zip(mixture.means, matrices, strict=True)
    )
    for block in matrices[:1] if mixture.covariance_type in SHARED else matrices:
        if mixture.covariance_type in {"full", "tied"}:
            total += invwishart.logpdf(block, degrees, scale)
        elif mixture.covariance_type in {"diag", "tied_diag"}:
            total += invgamma.logpdf(np.diagonal(block), degrees / 2, scale=np.diagonal(scale) / 2).sum()
        else:
            total += invgamma.logpdf(block[0, 0], len(scale) * degrees / 2, scale=np.trace(scale) / 2)
    return float(total)


def bound(mixture, rows, responsibilities, prior):
    """``Q + log prior``."""
    total = log_prior(mixture, prior)
    for k, (weight, mean, matrix) in enumerate(
        zip(mixture.weights, mixture.means, mixture.covariance_matrices, strict=True)
    ):
        total += responsibilities[:, k] @ (np.log(weight) + multivariate_normal.logpdf(rows, mean, matrix))
    return float(total)


def near(mode, step):
    """A mixture of the same family a small step away, in coordinates that keep it valid."""
    n_weights, n_means = len(mode.weights) - 1, mode.means.size
    logits = np.log(mode.weights) + np.append(step[:n_weights], 0.0)
    weights = np.exp(logits) / np.exp(logits).sum()
    means = mode.means + step[n_weights : n_weights + n_means].reshape(mode.means.shape)
    rest, covariances = step[n_weights + n_means :], mode.covariances
    if mode.structure.diagonal:
        return Mixture(weights, means, covariances * np.exp(rest.reshape(covariances.shape)), mode.covariance_type)
    rows, columns = np.tril_indices(mode.n_features)
    tilt = np.zeros_like(covariances)
    tilt[..., rows, columns] = rest.reshape((*covariances.shape[:-2], -1))
    half = np.linalg.cholesky(covariances) @ (np.eye(mode.n_features) + tilt)
    return Mixture(weights, means, half @ half.swapaxes(-1, -2), mode.covariance_type)


@every_structure
@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_the_m_step_maximises_the_expected_log_posterior(structure, n_components, n_features):
    rows, responsibilities, prior = problem(n_components, n_features)
    mode = m_step(structure, rows, responsibilities, prior)
    best = bound(mode, rows, responsibilities, prior)
    rng = np.random.default_rng(1)
    for size in (1e-3, 0.03, 0.3):
        for _ in range(8):
            step = size * rng.normal(size=mode.n_parameters)
            assert bound(near(mode, step), rows, responsibilities, prior) < best
    # Slopes vanish at a maximum: central differences in every coordinate.
    for axis in 1e-4 * np.eye(mode.n_parameters):
        up, down = (bound(near(mode, sign * axis), rows, responsibilities, prior) for sign in (1, -1))
        assert abs(up - down) / 2e-4 < 1e-5


@every_structure
def test_a_numerical_optimiser_ends_at_the_same_mode(structure):
    rows, responsibilities, prior = problem(2, 2, seed=2, n_rows=12)
    mode = m_step(structure, rows, responsibilities, prior)
    rng = np.random.default_rng(3)
    found = minimize(
        lambda step: -bound(near(mode, step), rows, responsibilities, prior),
        0.3 * rng.normal(size=mode.n_parameters),
        method="L-BFGS-B",
        options={"maxiter": 60},
    )
    assert bound(mode, rows, responsibilities, prior) == pytest.approx(-found.fun, abs=1e-4)
    assert np.abs(found.x).max() < 1e-2


@every_structure
def test_under_a_floor_no_feasible_neighbour_is_better(structure):
    rows, responsibilities, prior = problem(2, 2, seed=4)
    free = m_step(structure, rows, responsibilities, prior)
    floor = float(np.median(np.linalg.eigvalsh(free.covariance_matrices))) * 1.1
    mode = m_step(structure, rows, responsibilities, prior, floor)
    best, rng, feasible = bound(mode, rows, responsibilities, prior), np.random.default_rng(5), 0
    assert np.linalg.eigvalsh(mode.covariance_matrices).min() >= floor * (1 - 1e-12)
    for _ in range(120):
        rival = near(mode, rng.choice([1e-3, 0.03]) * rng.normal(size=mode.n_parameters))
        if np.linalg.eigvalsh(rival.covariance_matrices).min() >= floor:
            feasible += 1
            assert bound(rival, rows, responsibilities, prior) <= best + 1e-9
    assert feasible >= 5


# mclust's denominators (Fraley and Raftery 2007), with ν = degrees of freedom, n = all rows, n_k = rows of a component, d features,
# G components. Those of EII and EEI follow by the same algebra as their neighbours: every component adds one observation of its mean.
# For a sphere they count coordinates and we count rows: their ν is d times ours, and their scale the trace of ours.
DENOMINATORS = {
    "full": lambda nu, n, n_k, d, g: nu + d + n_k + 2,
    "tied": lambda nu, n, n_k, d, g: nu + d + n + g + 1,
    "diag": lambda nu, n, n_k, d, g: nu + n_k + 3,
    "tied_diag": lambda nu, n, n_k, d, g: nu + n + g + 2,
    "spherical": lambda nu, n, n_k, d, g: d * nu + (n_k + 1) * d + 2,
    "tied_spherical": lambda nu, n, n_k, d, g: d * nu + (n + g) * d + 2,
}


@every_structure
@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (3, 1), (1, 2), (3, 2)])
def test_the_mode_has_the_published_closed_form(structure, n_components, n_features):
    """Scatter plus prior scale plus the pull of the mean, over an effective number of observations."""
    rows, responsibilities, prior = problem(n_components, n_features, seed=6)
    mode = m_step(structure, rows, responsibilities, prior)
    counts, kappa = responsibilities.sum(axis=0), prior.mean_precision
    averages = responsibilities.T @ rows / counts[:, None]
    np.testing.assert_allclose(mode.weights, counts / counts.sum(), rtol=1e-14)
    np.testing.assert_allclose(
        mode.means, (kappa * prior.mean + counts[:, None] * averages) / (kappa + counts)[:, None], rtol=1e-12
    )
    sums = []
    for k in range(n_components):
        offsets, pull = rows - averages[k], averages[k] - prior.mean
        scatter = (responsibilities[:, k, None] * offsets).T @ offsets
        sums.append(scatter + kappa * counts[k] / (kappa + counts[k]) * np.outer(pull, pull))
    sums = np.array(sums)
    denominators = np.array(
        [
            DENOMINATORS[structure.name](prior.degrees_of_freedom, counts.sum(), n_k, n_features, n_components)
            for n_k in counts
        ]
    )
    if structure.name in SHARED:
        sums = np.repeat(sums.sum(axis=0, keepdims=True), n_components, axis=0)
    if "spherical" in structure.name:
        totals = np.trace(sums, axis1=1, axis2=2) + np.trace(prior.scale)
        expected = (totals / denominators)[:, None, None] * np.eye(n_features)
    else:
        expected = (sums + prior.scale) / denominators[:, None, None]
        if "diag" in structure.name:
            expected = expected * np.eye(n_features)
    np.testing.assert_allclose(mode.covariance_matrices, expected, rtol=1e-12, atol=1e-14)


@every_structure
@pytest.mark.parametrize("n_features", [1, 3])
def test_the_mode_is_that_of_the_posterior(structure, n_features):
    """One prior is one law: the M-step under it ends where the conjugate posterior of the same moments has its joint mode."""
    rows, responsibilities, prior = problem(2, n_features, seed=8)
    moments = accumulate(ArraySource(rows), responsibilities, 2, diagonal=structure.diagonal)
    mode = Posterior.from_moments(moments, structure, prior, Dirichlet(1.0, np.ones(2))).mode
    climbed = m_step(structure, rows, responsibilities, prior)
    np.testing.assert_allclose(climbed.means, mode.means, rtol=1e-12)
    np.testing.assert_allclose(climbed.covariances, mode.covariances, rtol=1e-12)
    np.testing.assert_allclose(climbed.weights, mode.weights, rtol=1e-12)


def test_a_sphere_has_the_law_of_a_diagonal_whose_variances_are_held_equal():
    """Relative to dσ²/σ², which no power of the variance changes."""
    prior, sizes = problem(1, 3)[2], np.array([0.1, 0.5, 2.0, 30.0])
    sphere, diagonal = (covariance_structure(name) for name in ("spherical", "diag"))
    degrees = np.full(1, prior.degrees_of_freedom)
    one, three = (
        structure.log_wishart(structure.prior_block(prior.scale), degrees, factors, 3)[0]
        for structure, factors in ((sphere, sizes**-0.5), (diagonal, np.repeat(sizes[:, None], 3, axis=1) ** -0.5))
    )
    np.testing.assert_allclose(np.diff(one), np.diff(three), rtol=1e-12)
    # and the law that the M-step climbs is the same in the variance itself
    penalties = [sphere.block_log_penalty(np.array([size]), prior.penalty) for size in sizes]
    np.testing.assert_allclose(np.diff(penalties), np.diff(one - np.log(sizes)), rtol=1e-12)


def test_in_one_dimension_the_denominators_are_those_of_e_and_v():
    for nu, n, n_k, g in [(3.0, 40.0, 15.0, 2), (5.5, 7.0, 7.0, 1)]:
        for name in ("full", "diag", "spherical"):
            assert DENOMINATORS[name](nu, n, n_k, 1, g) == nu + n_k + 3
        for name in ("tied", "tied_diag", "tied_spherical"):
            assert DENOMINATORS[name](nu, n, n_k, 1, g) == nu + n + g + 2


@every_structure
def test_log_density_is_scipys_up_to_a_constant(structure):
    _, _, prior = problem(2, 2)
    ours, scipys = [], []
    for seed in range(5):
        rows, responsibilities, other = problem(2, 2, seed)
        mixture = m_step(structure, rows, responsibilities, other)
        ours.append(prior.log_density(mixture))
        scipys.append(log_prior(mixture, prior))
    np.testing.assert_allclose(np.diff(ours), np.diff(scipys), rtol=1e-11, atol=1e-11)


@every_structure
def test_much_data_wash_the_prior_out_and_a_strong_prior_wins(structure):
    rows, responsibilities, prior = problem(2, 2, seed=7)
    plain = m_step(structure, rows, responsibilities, None)
    many = accumulate(ArraySource(rows), responsibilities, 2, diagonal=structure.diagonal) * 1e9
    mode = ExpectationMaximization(structure=structure, prior=prior).maximise(many)
    np.testing.assert_allclose(mode.means, plain.means, rtol=1e-6)
    np.testing.assert_allclose(mode.covariance_matrices, plain.covariance_matrices, rtol=1e-6, atol=1e-6)
    strong = NormalInverseWishart(prior.mean, 1e12, 1e12 * np.eye(2), 1e12)
    mode = m_step(structure, rows, responsibilities, strong)
    np.testing.assert_allclose(mode.means, np.tile(prior.mean, (2, 1)), atol=1e-9)
    np.testing.assert_allclose(mode.covariance_matrices, np.tile(np.eye(2), (2, 1, 1)), atol=1e-9)


@every_structure
def test_a_prior_keeps_a_component_on_one_row_from_collapsing(structure):
    rows = np.array([[0.0, 0.0], [5.0, 1.0], [6.0, 3.0]])
    _, _, prior = problem(1, 2)
    mode = m_step(structure, rows, np.array([[1.0, 0], [0, 1], [0, 1]]), prior)
    assert np.linalg.eigvalsh(mode.covariance_matrices).min() > 0.01


def test_the_default_prior_is_that_of_fraley_and_raftery():
    covariance = np.array([[4.0, 1.0], [1.0, 9.0]])
    prior = NormalInverseWishart.from_data_moments(np.array([1.0, 2.0]), covariance, 3)
    assert (prior.mean_precision, prior.degrees_of_freedom) == (0.01, 4.0)
    np.testing.assert_array_equal(prior.mean, [1.0, 2.0])
    np.testing.assert_allclose(prior.scale, covariance / 3, rtol=1e-15)


GOOD = {"mean": [0.0, 1.0], "mean_precision": 0.1, "scale": [[2.0, 0.5], [0.5, 1.0]], "degrees_of_freedom": 4.0}
BAD = [
    ({"mean": 0.0}, "mean"),
    ({"mean": [0.0, np.nan]}, "nan"),
    ({"mean": [0.0, np.inf]}, "inf"),
    ({"mean": ["a", "b"]}, "mean"),
    ({"mean": []}, "mean"),
    ({"mean_precision": 0.0}, "0.0"),
    ({"mean_precision": -1.0}, "-1.0"),
    ({"mean_precision": np.nan}, "nan"),
    ({"mean_precision": np.inf}, "inf"),
    ({"mean_precision": "much"}, "much"),
    ({"scale": [[1.0]]}, r"\(1, 1\)"),
    ({"scale": [1.0, 1.0]}, r"\(2,\)"),
    ({"scale": [[1.0, 0.5], [-0.5, 1.0]]}, "symmetric"),
    ({"scale": [[1e-9, 5e-10], [-5e-10, 1e-9]]}, "symmetric"),
    ({"scale": [[1.0, 1.0], [1.0, 1.0]]}, "eigenvalue"),
    ({"scale": [[1.0, np.nan], [np.nan, 1.0]]}, "nan|finite"),
    ({"scale": [[np.inf, 0.0], [0.0, 1.0]]}, "inf|finite"),
    ({"degrees_of_freedom": 1.0}, "1.0"),
    ({"degrees_of_freedom": np.nan}, "nan"),
    ({"degrees_of_freedom": np.inf}, "inf"),
]


@pytest.mark.parametrize(("change", "said"), BAD, ids=str)
def test_an_improper_prior_is_refused_and_the_value_named(change, said):
    NormalInverseWishart(**GOOD)
    with pytest.raises(InvalidParameterError, match=said):
        NormalInverseWishart(**{**GOOD, **change})


def test_a_prior_is_its_own_copy_and_cannot_be_changed():
    mean, scale = np.zeros(2), np.eye(2)
    prior = NormalInverseWishart(mean, 1.0, scale, 3.0)
    mean += 7
    scale *= 7
    np.testing.assert_array_equal(prior.mean, np.zeros(2))
    np.testing.assert_array_equal(prior.scale, np.eye(2))
    with pytest.raises(AttributeError):
        prior.mean_precision = 2.0
    with pytest.raises(ValueError, match="read-only"):
        prior.scale[0, 0] = 2.0


def test_a_diagonal_structure_reads_the_diagonal_of_the_scale_alone():
    rows, responsibilities, prior = problem(2, 2)
    straight = NormalInverseWishart(
        prior.mean, prior.mean_precision, np.diag(np.diagonal(prior.scale)), prior.degrees_of_freedom
    )
    for name in ("diag", "tied_diag", "spherical", "tied_spherical"):
        structure = covariance_structure(name)
        assert m_step(structure, rows, responsibilities, prior) == m_step(structure, rows, responsibilities, straight)
