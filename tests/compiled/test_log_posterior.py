"""The compiled log posterior beside the one by sweeps, beside differences of itself, at the end of the number range, and in threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.sampling.log_posterior import FreeLogPosterior
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import STRUCTURES
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.log_densities import SemiConjugatePrior
from mixtura.model.laws.scale_laws import HalfCauchy, HalfNormal, LogNormal
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.sweep import Sweep, compiled, with_compiled
from mixtura.sweep.densities import density_in_cache

pytestmark = pytest.mark.skipif(compiled.engine is None, reason=compiled.description)

SETS = () if compiled.engine is None else compiled.engine.instruction_sets()
SIZES = [(1, 1), (1, 3), (2, 2), (3, 4), (7, 2), (20, 3)]
"""Features and components."""
N_ROWS = 60


def learnt_scale(structure, n_features, rng, resolution, concentration=0.7):
    halves = rng.normal(size=(2, n_features, 2 * n_features))
    of_means, scale = halves @ halves.swapaxes(1, 2) / n_features
    components = SemiConjugateComponents(
        structure,
        rng.normal(size=n_features),
        4 * of_means,
        n_features + 1.5,
        scale / 5,
        n_features + 0.7,
        resolution=resolution,
    )
    return SemiConjugatePrior(components, concentration)


def flat_weights(structure, n_features, rng, resolution):
    return learnt_scale(structure, n_features, rng, resolution, concentration=1.0)


def independent(law, common_log_spread=0.0):
    def prior(structure, n_features, rng, resolution):
        scales = rng.uniform(0.5, 2, n_features)
        location, scale = rng.normal(size=n_features), rng.uniform(1, 4, n_features)
        return IndependentPrior(location, scale, law(scales), 1.3, 2.5, common_log_spread, resolution=resolution)

    return prior


PRIORS = {
    "learnt scale": learnt_scale,
    "flat weights": flat_weights,
    "half-Cauchy": independent(HalfCauchy),
    "half-normal of one scale": independent(lambda scales: HalfNormal(scales[0])),
    "log-normal": independent(lambda scales: LogNormal(scales, 0.7)),
    "half-Cauchy with a common factor": independent(HalfCauchy, 0.7),
    "half-normal with a common factor": independent(HalfNormal, 0.7),
    "log-normal with a common factor": independent(lambda scales: LogNormal(scales, 0.4), 0.3),
}

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
every_prior = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


def case(structure, prior, n_features, n_components, weighted=False, resolution=False, dtype=np.float64):
    """The twin, over the rows in float64, and the compiled one."""
    rng = np.random.default_rng(10 * n_features + n_components)
    rows = (2 * rng.normal(size=(N_ROWS, n_features))).astype(dtype)
    row_weights = rng.uniform(0.5, 2, N_ROWS) if weighted else None
    half = rng.normal(size=(n_components, n_features, 3 * n_features))
    weights = rng.dirichlet(np.full(n_components, 5.0))
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / (3 * n_features), weights)
    m = mx.Mixture(weights, rng.normal(size=(n_components, n_features)), covariances, structure.name)
    about = Coordinates(m, N_ROWS * weights)
    believed = prior(structure, n_features, rng, rng.uniform(0.1, 0.5, n_features) if resolution else 0.0)
    twin = FreeLogPosterior(Sweep(ArraySource(rows.astype(np.float64), row_weights)), about, believed)
    density = density_in_cache(ArraySource(rows, row_weights), about, believed)
    assert density is not None
    return twin, density


def assert_alike(found, expected, rtol=1e-11, of_gradients=1e-9):
    np.testing.assert_allclose(found[0], expected[0], rtol=rtol, atol=rtol)
    for gradient, twin in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(gradient, twin, rtol=0, atol=of_gradients * max(1, np.abs(twin).max()))


@every_structure
@every_prior
@pytest.mark.parametrize(("n_features", "n_components"), SIZES)
def test_it_says_what_sweeps_say(structure, prior, n_features, n_components):
    for resolution in (False, True):
        for weighted, dtype in ((False, np.float64), (True, np.float32)):
            twin, density = case(structure, prior, n_features, n_components, weighted, resolution, dtype)
            for spread in (0.0, 1.0, 3.0):
                # Far from the reference matrices of many columns are all but singular, and the twin inverts them.
                digits = 1e-11 if n_features < 20 or spread < 3 else 1e-7
                q = spread * np.random.default_rng(3).normal(size=(3, twin.size))
                expected = twin.by_sweep(q)
                assert np.isfinite(expected[0]).all()
                assert_alike(density(q), expected, digits, 100 * digits)


@pytest.mark.parametrize("name", SETS)
def test_each_instruction_set_says_so(name):
    before = compiled.engine.instruction_set()
    compiled.engine.use(name)
    try:
        for n_features in (2, 10, 17):
            twin, density = case(STRUCTURES[0], learnt_scale, n_features, 3, True, True)
            q = np.random.default_rng(0).normal(size=(2, twin.size))
            assert_alike(density(q), twin.by_sweep(q))
    finally:
        compiled.engine.use(before)


@every_structure
@pytest.mark.parametrize(
    "prior", [learnt_scale, PRIORS["log-normal with a common factor"]], ids=["learnt scale", "log-normal"]
)
@pytest.mark.parametrize("resolution", [False, True])
def test_the_gradient_is_that_of_differences(structure, prior, resolution):
    twin, density = case(structure, prior, 3, 3, True, resolution)
    q, steps = np.random.default_rng(1).normal(size=twin.size), 1e-5 * np.eye(twin.size)
    gradient = density(q)[1]
    differences = (density(q + steps)[0] - density(q - steps)[0]) / 2e-5
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


# ---- where there is no number ----------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize(
    "prior", [learnt_scale, PRIORS["half-Cauchy with a common factor"]], ids=["learnt", "half-Cauchy"]
)
@pytest.mark.parametrize("resolution", [False, True])
@pytest.mark.parametrize("distance", [30.0, 1e3, 1e5, 1e300, np.inf, np.nan])
def test_far_out_there_is_a_number_where_the_twin_has_one(structure, prior, resolution, distance):
    twin, density = case(structure, prior, 2, 3, resolution=resolution)
    with np.errstate(invalid="ignore"):
        q = distance * np.concatenate([np.eye(twin.size), -np.eye(twin.size)])
    expected, (values, gradients) = twin.by_sweep(q), density(q)
    assert np.isfinite(gradients).all()
    assert not np.isnan(values).any()
    assert (values < np.inf).all()
    assert not gradients[values == -np.inf].any()
    np.testing.assert_array_equal(np.isfinite(values), np.isfinite(expected[0]))


@every_structure
@pytest.mark.parametrize("sign", [-1, 1])
def test_variances_that_no_number_holds_have_no_density(structure, sign):
    """A spread times ``exp(360)``, or one over it."""
    for prior in PRIORS.values():
        twin, density = case(structure, prior, 2, 3)
        frame, q = twin.about.frame, np.zeros(twin.size)
        q[twin.about.size - 1 - frame.block_scale.size] = sign * 360 * frame.block_scale.flat[0]
        assert density(q)[0] == -np.inf
        assert np.isfinite(density(q / 10)[0])


@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.0, 1.0]])
def test_a_reference_with_an_empty_component_has_no_density(weights):
    with np.errstate(divide="ignore", invalid="ignore"):
        m = mx.Mixture(weights, [[0.0], [1.0]], [1.0, 1.0], "spherical")
        about = Coordinates(m, np.array([60.0, 1.0]))
        prior = learnt_scale(m.structure, 1, np.random.default_rng(0), 0.0)
        density = density_in_cache(ArraySource(np.zeros((5, 1))), about, prior)
    value, gradient = density(np.zeros(about.size - 1))
    assert value == -np.inf
    assert not gradient.any()


# ---- who is served ---------------------------------------------------------------------------------------------------------------


class Own(HalfCauchy):
    """A law of somebody's own."""


def test_what_it_does_not_know_is_left_to_sweeps(monkeypatch):
    twin, _ = case(STRUCTURES[0], learnt_scale, 2, 2)
    rows = ArraySource(np.zeros((4, 2)))
    assert density_in_cache(rows, twin.about, independent(Own)(None, 2, np.random.default_rng(0), 0.0)) is None
    assert twin.in_cache is not None
    monkeypatch.setattr(with_compiled, "MOST_NUMBERS", 8)
    assert density_in_cache(rows, twin.about, twin.prior) is None
    other = FreeLogPosterior(Sweep(rows), twin.about, twin.prior)
    assert other.in_cache is None
    q = np.zeros(twin.size)
    assert other(q)[0] == other.by_sweep(q)[0]


def test_a_thread_of_its_own_counts_and_closes():
    twin, density = case(STRUCTURES[0], learnt_scale, 2, 2)
    one, other, q = density.counted(), density.counted(), np.full(twin.size, 0.3)
    value, gradient = one(q)
    assert isinstance(value, float)
    assert value == density(q)[0] == other(q)[0] == one(q)[0]
    np.testing.assert_array_equal(gradient, density(q)[1])
    assert (one.n_asked, other.n_asked) == (2, 1)
    one.close()
    value, nothing = one(q)
    assert value == -np.inf
    assert not nothing.any()
    assert one.n_asked == 2
    assert np.isfinite(other(q)[0])
    assert gradient.any()  # an answer is the asker's own


def test_vectors_and_arrays_of_other_sizes_are_refused():
    twin, density = case(STRUCTURES[0], learnt_scale, 2, 2)
    one = density.counted()
    for wrong in (np.zeros(twin.size + 1), np.zeros(0), np.zeros(twin.size, np.float32)):
        with pytest.raises(ValueError, match="vector of another size"):
            one(wrong)
    with pytest.raises(ValueError, match="vectors of another size"):
        density(np.zeros((3, twin.size - 1)))
    with pytest.raises(TypeError, match="takes 1 arguments; 2 were given"):
        one(np.zeros(twin.size), 1)
    with pytest.raises(TypeError):
        one(None)
    given = density._arguments
    assert type(one)(*given)(np.zeros(twin.size))[0] == one(np.zeros(twin.size))[0]
    for i, part in enumerate(given[2]):
        if isinstance(part, np.ndarray) and part.size:
            with pytest.raises(ValueError, match="of another size"):
                type(one)(*given[:2], (*given[2][:i], part.ravel()[:-1], *given[2][i + 1 :]), given[3])
    with pytest.raises(ValueError, match="weights of another size"):
        type(one)(given[0], np.ones(3), *given[2:])
    with pytest.raises(TypeError):
        type(one)(*given[:3])


@pytest.mark.parametrize(("n_features", "n_components", "n_rows"), [(2, 2, 60), (3, 4, 4000)])
def test_threads_are_told_the_same_bits(n_features, n_components, n_rows):
    """Few rows, over which the lock is held, and so many that it is not."""
    twin, _ = case(STRUCTURES[0], learnt_scale, n_features, n_components)
    rows = np.random.default_rng(0).normal(size=(n_rows, n_features))
    density = density_in_cache(ArraySource(rows), twin.about, twin.prior)
    q = np.random.default_rng(1).normal(size=(200, twin.size))
    shared = density.counted()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: (shared(one), density(one)), q))
    for value, gradient, found in zip(*density(q), answers, strict=True):
        for answer in found:
            assert answer[0] == value
            np.testing.assert_array_equal(answer[1], gradient)
