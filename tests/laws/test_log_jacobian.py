"""The volume element of the unconstrained form, for every structure, against determinants of finite differences."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.ground.linalg import Array
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import STRUCTURES, CovarianceStructure

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def random_mixture(structure: CovarianceStructure, n_components: int, n_features: int, seed: int = 0) -> mx.Mixture:
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_components, n_features, 3 * n_features))
    weights = rng.dirichlet(np.full(n_components, 5.0))
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / n_features, weights)
    return mx.Mixture(weights, rng.normal(size=(n_components, n_features)), covariances, structure.name)


def free_parameters(mixture: mx.Mixture) -> Array:
    """All weights but the last, the means, and the free entries of the covariances."""
    covariances = np.asarray(mixture.covariances)
    if not mixture.structure.diagonal:
        rows, columns = np.tril_indices(mixture.n_features)
        covariances = covariances[..., rows, columns]
    return np.concatenate([mixture.weights[:-1], mixture.means.ravel(), covariances.ravel()])


def case(structure: CovarianceStructure, n_components: int, n_features: int) -> tuple[Coordinates, Array]:
    reference = random_mixture(structure, n_components, n_features)
    about = Coordinates(reference, 50 * reference.weights)
    return about, 2 * np.random.default_rng(1).normal(size=about.size - 1)


@every_structure
@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (2, 1), (1, 3), (3, 2), (4, 3)])
def test_the_log_jacobian_is_that_of_finite_differences(
    structure: CovarianceStructure, n_components: int, n_features: int
) -> None:
    about, q = case(structure, n_components, n_features)
    step = 1e-5
    up, down = (
        np.array([free_parameters(about.mixture(about.expanded(q + s * e))) for e in step * np.eye(len(q))])
        for s in (1, -1)
    )
    expected = np.linalg.slogdet((up - down) / (2 * step))[1]
    assert about.log_jacobian(about.expanded(q)) == pytest.approx(expected, rel=1e-8, abs=1e-7)


@every_structure
def test_its_gradient_is_that_of_finite_differences(structure: CovarianceStructure) -> None:
    about, q = case(structure, 3, 3)
    gradient = about.reduced(about.log_jacobian_gradient(about.place(about.expanded(q))))
    step = 1e-5
    up, down = (
        np.array([about.log_jacobian(about.expanded(q + s * e)) for e in step * np.eye(len(q))]) for s in (1, -1)
    )
    np.testing.assert_allclose(gradient, (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


@every_structure
def test_densities_do_not_depend_on_the_reference(structure: CovarianceStructure) -> None:
    """Volume elements about two references differ by the Jacobian between them: here by finite differences of one map into the other."""
    first, q = case(structure, 3, 2)
    mixture = first.mixture(first.expanded(q))
    other = random_mixture(structure, 3, 2, seed=5)
    second = Coordinates(other, np.array([3.0, 10.0, 40.0]))

    def there(vector: Array) -> Array:
        return second.reduced(second.vector(first.mixture(first.expanded(vector))))

    step = 1e-5
    up, down = (np.array([there(q + s * e) for e in step * np.eye(len(q))]) for s in (1, -1))
    between = np.linalg.slogdet((up - down) / (2 * step))[1]
    found = first.log_jacobian(first.expanded(q)) - second.log_jacobian(second.vector(mixture))
    assert found == pytest.approx(between, abs=1e-7)


@every_structure
def test_reduced_vectors_leave_out_only_what_changes_nothing(structure: CovarianceStructure) -> None:
    about, q = case(structure, 3, 2)
    np.testing.assert_allclose(about.reduced(about.expanded(q)), q, rtol=1e-13)
    u = np.random.default_rng(3).normal(size=about.size)
    kept, whole = about.mixture(about.expanded(about.reduced(u))), about.mixture(u)
    np.testing.assert_allclose(kept.weights, whole.weights, rtol=1e-12)
    np.testing.assert_array_equal(kept.covariances, whole.covariances)
    other = random_mixture(structure, 3, 2, seed=5)
    np.testing.assert_allclose(about.expanded(about.reduced(about.vector(other))), about.vector(other), atol=1e-11)


@every_structure
def test_a_place_stands_for_its_vector(structure: CovarianceStructure) -> None:
    about, q = case(structure, 3, 2)
    u = about.expanded(q)
    place, mixture = about.place(u), about.mixture(u)
    assert about.mixture(place) == mixture
    assert about.log_jacobian(place) == about.log_jacobian(u)
    natural = (np.arange(3.0), np.ones((3, 2)), np.ones_like(mixture.covariances))
    np.testing.assert_array_equal(about.pull_back(place, natural), about.pull_back(u, natural))


def test_a_weight_that_underflows_has_no_volume() -> None:
    reference = mx.Mixture([0.5, 0.5], [[0.0], [1.0]], 1.0, "tied_spherical")
    about = Coordinates(reference, np.ones(2))
    assert about.log_jacobian(about.expanded(np.array([2000.0, 0.0, 0.0, 0.0]))) == -np.inf
