"""The log posterior of mixtures and of free vectors: its parts, its gradient, and what it says where there is no number for it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.log_posterior import FreeLogPosterior, LogPosterior
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import STRUCTURES, CovarianceStructure
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.log_densities import SemiConjugatePrior, SmoothPrior
from mixtura.model.laws.scale_laws import HalfCauchy
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.sweep import Sweep

RESOLUTION = np.array([0.3, 0.8])

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def independent(
    structure: SharedBlocks, common_log_spread: float = 0.0, resolution: Array | float = 0.0
) -> SmoothPrior:
    return IndependentPrior(
        [0.5, -1.0], [3.0, 2.0], HalfCauchy([0.5, 2.0]), 0.7, 2.5, common_log_spread, resolution=resolution
    )


def learnt_scale(structure: SharedBlocks, resolution: Array | float = 0.0) -> SmoothPrior:
    components = SemiConjugateComponents(
        structure, [0.5, -1.0], [[9.0, 1.0], [1.0, 4.0]], 4.5, [[0.3, 0.1], [0.1, 0.2]], 1.7, resolution=resolution
    )
    return SemiConjugatePrior(components, 0.7)


PRIORS: dict[str, Callable[[SharedBlocks], SmoothPrior]] = {
    "independent": independent,
    "with a common factor": lambda structure: independent(structure, 0.7),
    "with a resolution": lambda structure: independent(structure, resolution=RESOLUTION),
    "learnt scale": learnt_scale,
    "learnt scale with a resolution": lambda structure: learnt_scale(structure, RESOLUTION),
}
every_prior = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


@dataclass
class Case:
    target: FreeLogPosterior
    source: ArraySource

    def mixture(self, q: Array) -> mx.Mixture:
        """What a vector stands for, with what the resolution adds to covariances."""
        about = self.target.about
        place = about.place(self.target.split(q)[0])
        covariances = about.structure.as_natural(self.target.blocks(place))
        return mx.Mixture(place.weights, place.means, covariances, about.structure.name)


def case(structure: CovarianceStructure, prior: Callable[[SharedBlocks], SmoothPrior]) -> Case:
    assert isinstance(structure, SharedBlocks)
    rng = np.random.default_rng(0)
    source = ArraySource(2 * rng.normal(size=(40, 2)), rng.uniform(0.5, 2, 40))
    half = rng.normal(size=(3, 2, 6))
    weights = np.array([0.2, 0.3, 0.5])
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / 3, weights)
    reference = mx.Mixture(weights, rng.normal(size=(3, 2)), covariances, structure.name)
    return Case(FreeLogPosterior(Sweep(source), Coordinates(reference, 40 * weights), prior(structure)), source)


@every_structure
@every_prior
def test_the_gradient_is_that_of_finite_differences(
    structure: CovarianceStructure, prior: Callable[[SharedBlocks], SmoothPrior]
) -> None:
    target = case(structure, prior).target
    q, step = 2 * np.random.default_rng(1).normal(size=target.size), 1e-5
    gradient = target(q)[1]
    up, down = (np.array([target(q + s * e)[0] for e in step * np.eye(len(q))]) for s in (1, -1))
    np.testing.assert_allclose(gradient, (up - down) / (2 * step), rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


@every_structure
@every_prior
def test_the_value_is_likelihood_prior_and_volume(
    structure: CovarianceStructure, prior: Callable[[SharedBlocks], SmoothPrior]
) -> None:
    given = case(structure, prior)
    target, source = given.target, given.source
    q = np.random.default_rng(2).normal(size=target.size)
    vector, log_factor = target.split(q)
    m = given.mixture(q)
    on_prior = target.prior.value(m, log_factor) if target.prior.common_log_spread else target.prior.value(m)  # type: ignore[call-arg]
    expected = m.log_likelihood(source.rows, source.weights) + on_prior
    assert target(q)[0] == pytest.approx(expected + target.about.log_jacobian(vector), rel=1e-11)
    np.testing.assert_allclose(target.split(target.vector(target.about.mixture(vector)))[0], vector, atol=1e-12)


@every_structure
@every_prior
def test_many_vectors_are_told_what_each_is_told_alone(
    structure: CovarianceStructure, prior: Callable[[SharedBlocks], SmoothPrior]
) -> None:
    """With one among them for which there is no number: it spoils no other."""
    target = case(structure, prior).target
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
@pytest.mark.parametrize("prior", [PRIORS["with a common factor"], PRIORS["learnt scale with a resolution"]])
def test_far_out_there_is_a_number_or_minus_infinity(
    structure: CovarianceStructure, distance: float, prior: Callable[[SharedBlocks], SmoothPrior]
) -> None:
    target = case(structure, prior).target
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


# ---- of mixtures -----------------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("prior", [independent, learnt_scale], ids=["independent", "learnt scale"])
def test_a_component_as_narrow_as_the_resolution_has_no_density(
    structure: CovarianceStructure, prior: Callable[..., SmoothPrior]
) -> None:
    """With next to none it has what the prior without it says: covariances are those above it."""
    assert isinstance(structure, SharedBlocks)
    m = case(structure, prior).target.about.reference
    least = structure.variances(m.covariances, 3, 2).min(axis=0)
    assert prior(structure, resolution=np.sqrt(2 * least)).value(m) == -np.inf
    assert prior(structure, resolution=1e-9).value(m) == pytest.approx(prior(structure).value(m), rel=1e-12)


def test_a_common_factor_is_no_part_of_a_mixture() -> None:
    prior = replace(IndependentPrior([0.0], [1.0], HalfCauchy(1.0)), common_log_spread=1.0)
    with pytest.raises(InvalidParameterError, match="unknown factor"):
        LogPosterior(Sweep(ArraySource(np.zeros((2, 1)))), prior)
