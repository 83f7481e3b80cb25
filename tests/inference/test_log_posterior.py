"""The log posterior as a function of a free vector: its parts, its gradient, and what it says where there is no number for it."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.inference.log_posterior import LogPosterior
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import STRUCTURES, CovarianceStructure
from mixtura.model.independent_prior import IndependentPrior
from mixtura.model.scale_laws import HalfCauchy
from mixtura.sweep import Sweep

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
with_and_without_a_common_factor = pytest.mark.parametrize("common_log_spread", [0.0, 0.7])


def case(structure: CovarianceStructure, common_log_spread: float) -> tuple[LogPosterior, ArraySource]:
    rng = np.random.default_rng(0)
    source = ArraySource(2 * rng.normal(size=(40, 2)), rng.uniform(0.5, 2, 40))
    half = rng.normal(size=(3, 2, 6))
    weights = np.array([0.2, 0.3, 0.5])
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / 3, weights)
    reference = mx.Mixture(weights, rng.normal(size=(3, 2)), covariances, structure.name)
    prior = IndependentPrior([0.5, -1.0], [3.0, 2.0], HalfCauchy([0.5, 2.0]), 0.7, 2.5, common_log_spread)
    return LogPosterior(Sweep(source), Coordinates(reference, 40 * weights), prior), source


@every_structure
@with_and_without_a_common_factor
def test_the_gradient_is_that_of_finite_differences(structure: CovarianceStructure, common_log_spread: float) -> None:
    target, _ = case(structure, common_log_spread)
    q, step = 2 * np.random.default_rng(1).normal(size=target.size), 1e-5
    gradient = target(q)[1]
    up, down = (np.array([target(q + s * e)[0] for e in step * np.eye(len(q))]) for s in (1, -1))
    np.testing.assert_allclose(gradient, (up - down) / (2 * step), rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


@every_structure
@with_and_without_a_common_factor
def test_the_value_is_likelihood_prior_and_volume(structure: CovarianceStructure, common_log_spread: float) -> None:
    target, source = case(structure, common_log_spread)
    q = np.random.default_rng(2).normal(size=target.size)
    vector, log_factor = target.split(q)
    m = target.about.mixture(vector)
    expected = m.log_likelihood(source.rows, source.weights) + target.prior.value(m, log_factor)
    assert target(q)[0] == pytest.approx(expected + target.about.log_jacobian(vector), rel=1e-11)
    np.testing.assert_allclose(target.split(target.vector(m))[0], vector, atol=1e-12)


@every_structure
@with_and_without_a_common_factor
def test_many_vectors_are_told_what_each_is_told_alone(
    structure: CovarianceStructure, common_log_spread: float
) -> None:
    """With one among them for which there is no number: it spoils no other."""
    target, _ = case(structure, common_log_spread)
    stack = np.random.default_rng(4).normal(size=(2, 3, target.size))
    stack[1, 0] = -1e5
    values, gradients = target(stack)
    assert values.shape == (2, 3)
    assert values[1, 0] == -np.inf
    for at in np.ndindex(2, 3):
        value, gradient = target(stack[at])
        assert values[at] == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(gradients[at], gradient, rtol=1e-9, atol=1e-9 * max(1, np.abs(gradient).max()))


@every_structure
@pytest.mark.parametrize("distance", [30.0, 1e3, 1e5, 1e300, np.inf])
def test_far_out_there_is_a_number_or_minus_infinity(structure: CovarianceStructure, distance: float) -> None:
    target, _ = case(structure, 0.7)
    directions: list[Array] = [*np.eye(target.size), *np.random.default_rng(3).normal(size=(20, target.size))]
    for direction in directions:
        for sign in (-1, 1):
            with np.errstate(invalid="ignore"):
                value, gradient = target(sign * distance * direction)
            assert not np.isnan(value)
            assert value < np.inf
            assert np.isfinite(gradient).all()
            if not np.isfinite(value):
                assert not gradient.any()
