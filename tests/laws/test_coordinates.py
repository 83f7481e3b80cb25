"""The unconstrained form of a mixture: there and back, gradients and Hessian–vector products, for every structure."""

import numpy as np
import pytest

import mixtura as mx
from forms import choose
from mixtura.data.array import ArraySource
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import STRUCTURES
from mixtura.sweep import Sweep

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def random_mixture(structure, n_components, n_features, seed=0):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_components, n_features, 3 * n_features))
    weights = rng.dirichlet(np.full(n_components, 5.0))
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / (3 * n_features), weights)
    return mx.Mixture(weights, rng.normal(size=(n_components, n_features)), covariances, structure.name)


def case(structure, n_features=3):
    """Coordinates about one mixture, a point away from it, and data."""
    rng = np.random.default_rng(1)
    reference = random_mixture(structure, 3, n_features)
    about = Coordinates(reference, 200 * reference.weights)
    rows = 2 * rng.normal(size=(60, n_features))
    return about, 3 * rng.normal(size=about.size), ArraySource(rows, rng.uniform(0.5, 2, 60))


def swept_at(about, u, source):
    with Sweep(source) as sweep:
        (swept,) = sweep([about.mixture(u).scorer])
    return swept


@every_structure
@pytest.mark.parametrize("n_features", [1, 2, 4])
def test_there_and_back(structure, n_features):
    reference, other = (random_mixture(structure, 3, n_features, seed) for seed in (0, 1))
    about = Coordinates(reference, 100 * reference.weights)
    assert about.size == reference.n_parameters + 1  # the weights have one direction too many
    back = about.mixture(about.vector(other))
    np.testing.assert_allclose(back.weights, other.weights, rtol=1e-12)
    np.testing.assert_allclose(back.means, other.means, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(back.covariances, other.covariances, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(back.precisions, other.precisions, rtol=1e-9, atol=1e-12)
    u = np.random.default_rng(2).normal(size=about.size)
    again = about.mixture(about.vector(about.mixture(u)))
    np.testing.assert_allclose(again.covariances, about.mixture(u).covariances, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(about.vector(reference), 0, atol=1e-12)


@every_structure
def test_the_gradient_is_that_of_finite_differences(structure):
    about, u, source = case(structure)
    gradient = about.gradient(u, swept_at(about, u, source).moments)
    step = 1e-5
    for i in range(about.size):
        e = step * np.eye(about.size)[i]
        up, down = (swept_at(about, u + s * e, source).log_normaliser for s in (1, -1))
        assert gradient[i] == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-6 * np.abs(gradient).max())


@every_structure
def test_the_gradient_does_not_depend_on_the_origin_of_the_moments(structure):
    about, u, source = case(structure)
    moments = swept_at(about, u, source).moments
    elsewhere = moments.about(moments.origin + 1.5)
    np.testing.assert_allclose(about.gradient(u, elsewhere), about.gradient(u, moments), rtol=1e-9, atol=1e-9)


@every_structure
def test_the_metric_is_the_complete_information_at_the_reference(structure):
    """With responsibilities held at those of data drawn so, the curvature at the reference is minus the identity."""
    about, _, _ = case(structure, 2)
    m = about.reference
    n = 200 * m.weights
    second = n[:, None, None] * m.covariance_matrices
    if structure.diagonal:
        second = np.diagonal(second, axis1=1, axis2=2)
    from mixtura.model.moments import Moments

    complete = Moments(n, np.zeros_like(m.means), second, m.means)
    zero = Moments(*(np.zeros_like(part) for part in (complete.count, complete.first, complete.second)), m.means)
    origin = np.zeros(about.size)
    np.testing.assert_allclose(about.gradient(origin, complete), 0, atol=1e-10)
    hessian = np.array([about.hessian_times(origin, e, complete, zero) for e in np.eye(about.size)])
    gauge = np.concatenate([np.sqrt(n), np.zeros(about.size - 3)])
    gauge /= np.linalg.norm(gauge)
    np.testing.assert_allclose(hessian, -np.eye(about.size) + np.outer(gauge, gauge), atol=1e-9)


@every_structure
@pytest.mark.parametrize("kernel", ["compiled", "features", "whitened"])
def test_hessian_times_a_vector_is_the_derivative_of_the_gradient(monkeypatch, structure, kernel):
    choose(monkeypatch, kernel)
    about, u, source = case(structure)
    v = np.random.default_rng(3).normal(size=about.size)
    swept = swept_at(about, u, source)
    with Sweep(source) as sweep:
        (change,) = sweep.along([about.mixture(u).scorer], [about.tangent(u, v)])
    found = about.hessian_times(u, v, swept.moments, change)
    step = 1e-5
    up, down = (about.gradient(u + s * step * v, swept_at(about, u + s * step * v, source).moments) for s in (1, -1))
    expected = (up - down) / (2 * step)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
