"""The pass over the data, in both its forms, beside a loop over rows and components with SciPy's normal density."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from forms import KERNELS, choose
from mixtura.data.array import ArraySource
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep, Weighted, accumulate, hard, passes, soft
from mixtura.sweep.kernels import FeatureKernel, WhitenedKernel

NAMES = [s.name for s in STRUCTURES]
every_structure = pytest.mark.parametrize("name", NAMES)
both_assignments = pytest.mark.parametrize("assignment", [soft, hard], ids=["soft", "hard"])
every_kernel = pytest.mark.parametrize("kernel", KERNELS)
weighted = pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])


def random_mixture(name, n_components, n_features, seed=0):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_components, n_features, n_features + 2))
    weights, means = rng.dirichlet(np.full(n_components, 3.0)), 2 * rng.normal(size=(n_components, n_features))
    covariances = covariance_structure(name).from_matrices(half @ half.swapaxes(1, 2) / 4, weights)
    return Mixture(weights, means, covariances, name)


def random_rows(n_rows, n_features, seed=1):
    rng = np.random.default_rng(seed)
    return 3 * rng.normal(size=(n_rows, n_features)), rng.uniform(0.1, 3.0, n_rows)


def sweep(source, *mixtures, assignment=soft):
    """One pass for each mixture given, as a list."""
    with Sweep(source) as visit:
        return visit([mixture.scorer for mixture in mixtures], assignment)


def by_rows(mixture, rows, weights, assignment):
    """Log-normaliser and moments about the component means, one row and one component at a time."""
    (n_components, n_features), matrices = mixture.means.shape, mixture.covariance_matrices
    normaliser, count = 0.0, np.zeros(n_components)
    first, second = np.zeros((n_components, n_features)), np.zeros((n_components, n_features, n_features))
    for row, weight in zip(rows, weights, strict=True):
        joint = np.array(
            [
                np.log(mixture.weights[k]) + multivariate_normal.logpdf(row, mixture.means[k], matrices[k])
                for k in range(n_components)
            ]
        )
        if assignment is soft:
            bound, shares = logsumexp(joint), np.exp(joint - logsumexp(joint))
        else:
            bound, shares = joint.max(), np.eye(n_components)[joint.argmax()]
        normaliser += weight * bound
        for k in range(n_components):
            offset = row - mixture.means[k]
            count[k] += weight * shares[k]
            first[k] += weight * shares[k] * offset
            second[k] += weight * shares[k] * np.outer(offset, offset)
    return normaliser, count, first, second


def assert_moments(moments, count, first, second, rtol=1e-11):
    """Moments beside explicit sums about the same origin."""
    scale = max(1.0, np.abs(second).max())
    if moments.diagonal:
        second = np.diagonal(second, axis1=1, axis2=2)
    for found, expected in [(moments.count, count), (moments.first, first), (moments.second, second)]:
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * scale)


def assert_equal_passes(found, expected, rtol=1e-12):
    np.testing.assert_allclose(found.log_normaliser, expected.log_normaliser, rtol=rtol)
    moved = found.moments.about(expected.moments.origin)
    scale = max(1.0, np.abs(expected.moments.second).max())
    for field in ("count", "first", "second"):
        a, b = getattr(moved, field), getattr(expected.moments, field)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale, err_msg=field)


def assert_same_bits(found, expected):
    assert found.log_normaliser == expected.log_normaliser
    for field in ("count", "first", "second", "origin"):
        np.testing.assert_array_equal(getattr(found.moments, field), getattr(expected.moments, field), err_msg=field)


@every_structure
@weighted
@both_assignments
@every_kernel
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 3), (4, 2)], ids=str)
def test_a_pass_is_the_loop_over_rows_and_components(monkeypatch, name, weighted, assignment, kernel, shape):
    choose(monkeypatch, kernel)
    mixture, (rows, weights) = random_mixture(name, *shape), random_rows(23, shape[1])
    [swept] = sweep(ArraySource(rows, weights if weighted else None), mixture, assignment=assignment)
    normaliser, *moments = by_rows(mixture, rows, weights if weighted else np.ones(23), assignment)
    assert swept.log_normaliser == pytest.approx(normaliser, rel=1e-12)
    assert swept.moments.diagonal == mixture.structure.diagonal
    assert_moments(swept.moments.about(mixture.means), *moments)


@every_structure
@weighted
@both_assignments
@every_kernel
def test_a_stack_of_mixtures_equals_each_alone(monkeypatch, name, weighted, assignment, kernel):
    choose(monkeypatch, kernel)
    mixtures = [random_mixture(name, k, 3, seed=k) for k in (2, 1, 5, 2)]
    rows, weights = random_rows(150, 3)
    source = ArraySource(rows, weights if weighted else None)
    together = sweep(source, *mixtures, assignment=assignment)
    assert [len(swept.moments.count) for swept in together] == [2, 1, 5, 2]
    for swept, mixture in zip(together, mixtures, strict=True):
        [alone] = sweep(source, mixture, assignment=assignment)
        assert_equal_passes(swept, alone)


def test_a_stack_may_mix_forms_and_answers_in_the_order_asked():
    """Diagonal and full, narrow and wide: each goes to the kernel that suits it, alone or in company."""
    rows, weights = random_rows(150, 2)
    source = ArraySource(rows, weights)
    mixtures = [random_mixture(name, k, 2, seed=k) for k, name in enumerate([*NAMES, *NAMES], start=1)]
    narrow = [Mixture(m.weights, m.means, m.covariances * 1e-6, m.covariance_type) for m in mixtures[:3]]
    mixtures = [*mixtures[:4], *narrow, *mixtures[4:]]
    for swept, mixture in zip(sweep(source, *mixtures), mixtures, strict=True):
        [alone] = sweep(source, mixture)
        assert swept.moments.count.shape == mixture.weights.shape
        assert_equal_passes(swept, alone)
        assert swept.log_normaliser == pytest.approx(mixture.log_likelihood(rows, weights), rel=1e-11)


@every_structure
@weighted
@both_assignments
@every_kernel
def test_any_cut_into_blocks_gives_the_same_answer(monkeypatch, name, weighted, assignment, kernel):
    choose(monkeypatch, kernel)
    mixture, (rows, weights) = random_mixture(name, 3, 2), random_rows(101, 2)
    source = ArraySource(rows, weights if weighted else None)

    def swept(size):
        for form in (FeatureKernel, WhitenedKernel):
            monkeypatch.setattr(form, "block_rows", lambda self: size)
        return sweep(source, mixture, assignment=assignment)[0]

    whole = swept(101)
    for size in (1, 7, 50, 100, 1000):
        assert_equal_passes(swept(size), whole)


@every_kernel
@pytest.mark.parametrize("name", ["full", "spherical"])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, kernel, name):
    choose(monkeypatch, kernel)
    mixture, (rows, weights) = random_mixture(name, 3, 2), random_rows(40_000, 2)
    answers = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(passes, "n_threads", lambda threads=threads: threads)
        answers.append(sweep(ArraySource(rows, weights), mixture)[0])
    for other in answers[1:]:
        assert_same_bits(other, answers[0])
    assert answers[0].log_normaliser == pytest.approx(mixture.log_likelihood(rows, weights), rel=1e-12)


@both_assignments
@every_kernel
def test_diagonal_factors_equal_full_matrices_with_zeros(monkeypatch, assignment, kernel):
    choose(monkeypatch, kernel)
    diagonal = random_mixture("diag", 4, 3)
    full = Mixture(diagonal.weights, diagonal.means, diagonal.covariance_matrices, "full")
    rows, weights = random_rows(90, 3)
    short, long = (sweep(ArraySource(rows, weights), m, assignment=assignment)[0] for m in (diagonal, full))
    assert short.log_normaliser == pytest.approx(long.log_normaliser, rel=1e-13)
    moments = long.moments.about(short.moments.origin)
    np.testing.assert_allclose(short.moments.count, moments.count, rtol=1e-12)
    np.testing.assert_allclose(short.moments.first, moments.first, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(short.moments.second, np.diagonal(moments.second, axis1=1, axis2=2), rtol=1e-11)


@every_structure
@both_assignments
def test_all_kernels_agree(monkeypatch, name, assignment):
    mixture, (rows, weights) = random_mixture(name, 4, 3), random_rows(200, 3)
    answers = []
    for kernel in KERNELS:
        choose(monkeypatch, kernel)
        answers += sweep(ArraySource(rows, weights), mixture, assignment=assignment)
    for other in answers[1:]:
        assert_equal_passes(answers[0], other, rtol=1e-11)


@every_structure
@pytest.mark.parametrize("distance", [0.0, 1e4, 1e6])
@pytest.mark.parametrize("spread", [1.0, 30.0, 1e3, 1e6])
def test_the_kernel_that_is_chosen_keeps_the_digits(name, distance, spread):
    """Wherever the data lie and however narrow the components are beside them."""
    base, rng = random_mixture(name, 3, 2), np.random.default_rng(7)
    means = distance + spread * base.means
    labels = rng.integers(0, 3, 300)
    rows = means[labels] + rng.normal(size=(300, 2))
    mixture = Mixture(base.weights, means, base.covariances, name)
    [swept] = sweep(ArraySource(rows), mixture)
    assert swept.log_normaliser == pytest.approx(mixture.log_likelihood(rows), rel=1e-11)
    responsibilities = mixture.responsibilities(rows)
    offsets = rows - means[:, None, :]
    second = np.einsum("nk,knd,kne->kde", responsibilities, offsets, offsets)
    first = np.einsum("nk,knd->kd", responsibilities, offsets)
    # Features are taken only where no more than 10⁴ of the digits' range cancels.
    scatter = second - first[:, :, None] * first[:, None, :] / responsibilities.sum(axis=0)[:, None, None]
    found = swept.moments.scatter()
    expected = np.diagonal(scatter, axis1=1, axis2=2) if mixture.structure.diagonal else scatter
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@every_structure
def test_the_log_normaliser_is_the_log_likelihood(name):
    mixture, (rows, weights) = random_mixture(name, 3, 2), random_rows(200, 2)
    [swept] = sweep(ArraySource(rows, weights), mixture)
    assert swept.log_normaliser == pytest.approx(mixture.log_likelihood(rows, weights), rel=1e-12)


@every_structure
@every_kernel
def test_whole_weights_equal_repeated_rows(monkeypatch, name, kernel):
    choose(monkeypatch, kernel)
    mixture, (rows, _) = random_mixture(name, 3, 2), random_rows(60, 2)
    times = np.random.default_rng(2).integers(1, 5, 60)
    [weighted] = sweep(ArraySource(rows, times.astype(float)), mixture)
    [repeated] = sweep(ArraySource(np.repeat(rows, times, axis=0)), mixture)
    assert_equal_passes(weighted, repeated)


@every_structure
@every_kernel
def test_the_order_of_rows_and_of_components_does_not_matter(monkeypatch, name, kernel):
    choose(monkeypatch, kernel)
    mixture, (rows, weights), rng = random_mixture(name, 4, 2), random_rows(80, 2), np.random.default_rng(3)
    [swept] = sweep(ArraySource(rows, weights), mixture)
    shuffle, order = rng.permutation(80), rng.permutation(4)
    [shuffled] = sweep(ArraySource(rows[shuffle], weights[shuffle]), mixture)
    assert_equal_passes(shuffled, swept)
    [moved] = sweep(ArraySource(rows, weights), mixture.reorder(order))
    assert_equal_passes(moved, type(swept)(swept.log_normaliser, swept.moments[order]))


LAYOUTS = {
    "fortran": np.asfortranarray,
    "every other row": lambda rows: np.repeat(rows, 2, axis=0)[::2],
    "every other column": lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    "backwards": lambda rows: rows[::-1].copy()[::-1],
    "read-only": lambda rows: np.frombuffer(rows.tobytes()).reshape(rows.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["full", "tied_spherical"])
@every_kernel
def test_how_the_rows_lie_in_memory_does_not_matter(monkeypatch, layout, name, kernel):
    choose(monkeypatch, kernel)
    mixture, (rows, weights), laid = random_mixture(name, 3, 2), random_rows(150, 2), LAYOUTS[layout]
    np.testing.assert_array_equal(laid(rows), rows)
    [found] = sweep(ArraySource(laid(rows), weights), mixture)
    assert_equal_passes(found, sweep(ArraySource(rows, weights), mixture)[0])


@every_structure
@pytest.mark.parametrize("shift", [0.0, 1e4], ids=["at the origin", "10⁴ sd away"])
def test_single_precision_agrees_with_double(name, shift):
    """The same float32 numbers, read as float32 and as float64."""
    mixture, (rows, weights) = random_mixture(name, 3, 2), random_rows(3000, 2)
    moved = Mixture(mixture.weights, mixture.means + shift, mixture.covariances, name)
    single = (rows + shift).astype(np.float32)
    [found] = sweep(ArraySource(single, weights), moved)
    [exact] = sweep(ArraySource(single.astype(np.float64), weights), moved)
    assert all(getattr(found.moments, field).dtype == np.float64 for field in ("count", "first", "second"))
    assert found.log_normaliser == pytest.approx(exact.log_normaliser, rel=1e-6)
    assert_equal_passes(found, exact, rtol=3e-5)


@pytest.mark.parametrize("n_rows", [30, 3000])
@pytest.mark.parametrize("spread", [1.0, 5.0, 15.0, 25.0, 100.0])
def test_single_precision_keeps_six_digits_however_far_apart_components_are(n_rows, spread):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        means = spread * rng.normal(size=(4, 1))
        rows = (means[rng.integers(0, 4, n_rows)] + rng.normal(size=(n_rows, 1))).astype(np.float32)
        mixture = Mixture(np.full(4, 0.25), means, np.ones(4), "spherical")
        [found] = sweep(ArraySource(rows), mixture)
        assert found.log_normaliser == pytest.approx(mixture.log_likelihood(rows.astype(np.float64)), rel=1e-6)


@every_structure
@pytest.mark.parametrize("scale", [1e-30, 1e-19, 1e19, 1e30])
def test_single_precision_at_any_scale_that_it_can_hold(name, scale):
    """The squares of such numbers are no float32 any more."""
    base, (rows, weights) = random_mixture(name, 3, 2), random_rows(200, 2)
    mixture = Mixture(base.weights, base.means * scale, base.covariances * scale**2, name)
    single = (rows * scale).astype(np.float32)
    [found] = sweep(ArraySource(single, weights), mixture)
    [exact] = sweep(ArraySource(single.astype(np.float64), weights), mixture)
    assert found.log_normaliser == pytest.approx(exact.log_normaliser, rel=1e-5)
    np.testing.assert_allclose(found.moments.count, exact.moments.count, rtol=1e-3)
    variances = [np.sqrt(np.abs(swept.moments.scatter())) / scale for swept in (found, exact)]
    np.testing.assert_allclose(*variances, rtol=1e-3, atol=1e-3 * variances[1].max())


@every_structure
@pytest.mark.parametrize("scale", [1e-140, 1e-75, 1e75, 1e140])
def test_double_precision_at_any_scale_whose_squares_it_can_hold(name, scale):
    base, (rows, weights) = random_mixture(name, 3, 2), random_rows(200, 2)
    mixture = Mixture(base.weights, base.means * scale, base.covariances * scale**2, name)
    [plain], [scaled] = sweep(ArraySource(rows, weights), base), sweep(ArraySource(rows * scale, weights), mixture)
    jacobian = 2 * weights.sum() * np.log(scale)
    assert scaled.log_normaliser + jacobian == pytest.approx(plain.log_normaliser, rel=1e-10)
    np.testing.assert_allclose(scaled.moments.count, plain.moments.count, rtol=1e-11)
    np.testing.assert_allclose(
        scaled.moments.scatter() / scale**2, plain.moments.scatter(), rtol=1e-9, atol=1e-9 * plain.moments.second.max()
    )


@every_kernel
def test_the_source_and_the_scorer_are_left_as_they_were(monkeypatch, kernel):
    choose(monkeypatch, kernel)
    mixture, (rows, weights) = random_mixture("full", 3, 2), random_rows(100, 2)
    arrays = [rows, weights, mixture.scorer.constants, mixture.scorer.centres, mixture.scorer.whitening]
    kept = [array.copy() for array in arrays]
    with Sweep(ArraySource(rows, weights)) as visit:
        for assignment in (soft, hard, soft):
            visit([mixture.scorer], assignment)
    responsibilities = mixture.responsibilities(rows)
    given = responsibilities.copy()
    accumulate(ArraySource(rows, weights), responsibilities, 3, diagonal=False)
    np.testing.assert_array_equal(responsibilities, given)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_a_source_may_be_visited_again_and_again():
    """What is kept of the rows between passes belongs to one form of mixture alone."""
    rows, weights = random_rows(100, 2)
    mixtures = [random_mixture(name, 3, 2) for name in NAMES]
    with Sweep(ArraySource(rows, weights)) as visit:
        first = [visit([mixture.scorer])[0] for mixture in mixtures]
        again = [visit([mixture.scorer])[0] for mixture in reversed(mixtures)][::-1]
    for one, other in zip(first, again, strict=True):
        assert_same_bits(one, other)


@both_assignments
def test_a_row_so_far_away_that_every_density_is_zero_leaves_the_others_alone(assignment):
    """Its log-normaliser is minus infinity, and nothing becomes NaN."""
    mixture = Mixture([0.4, 0.6], [[0.0], [1e-20]], [1e-40, 4e-40], "spherical")
    rows = np.array([[1e-20], [1e140], [0.0]])
    [swept], [near] = (sweep(ArraySource(r), mixture, assignment=assignment) for r in (rows, rows[[0, 2]]))
    assert swept.log_normaliser == -np.inf
    assert np.isfinite(near.log_normaliser)
    assert swept.moments.count.sum() == pytest.approx(3)
    assert (swept.moments.count >= near.moments.count).all()
    assert np.isfinite(swept.moments.second).all()


@every_kernel
def test_second_moments_are_exactly_symmetric(monkeypatch, kernel):
    choose(monkeypatch, kernel)
    mixture, (rows, weights) = random_mixture("full", 3, 4), random_rows(500, 4)
    second = sweep(ArraySource(rows, weights), mixture)[0].moments.second
    np.testing.assert_array_equal(second, second.swapaxes(1, 2))


@pytest.mark.parametrize("n_features", [1, 63, 64, 65, 130])
def test_many_features(n_features):
    mixture, (rows, weights) = random_mixture("full", 2, n_features), random_rows(150, n_features)
    [swept] = sweep(ArraySource(rows, weights), mixture)
    assert swept.log_normaliser == pytest.approx(mixture.log_likelihood(rows, weights), rel=1e-11)


def test_many_components():
    mixture, (rows, weights) = random_mixture("diag", 3000, 2), random_rows(300, 2)
    [swept] = sweep(ArraySource(rows, weights), mixture)
    assert swept.log_normaliser == pytest.approx(mixture.log_likelihood(rows, weights), rel=1e-11)
    assert swept.moments.count.sum() == pytest.approx(weights.sum(), rel=1e-12)


def test_a_single_row():
    mixture = random_mixture("full", 2, 2)
    [swept] = sweep(ArraySource(np.array([[0.5, 0.5]])), mixture)
    assert swept.log_normaliser == pytest.approx(mixture.log_pdf([[0.5, 0.5]])[0], rel=1e-13)


# ---- given responsibilities ------------------------------------------------------------------------------------------------------------


def accumulated_by_rows(rows, weights, responsibilities, origin):
    n_components = responsibilities.shape[1]
    count, first = np.zeros(n_components), np.zeros((n_components, rows.shape[1]))
    second = np.zeros((n_components, rows.shape[1], rows.shape[1]))
    for n, row in enumerate(rows):
        for k in range(n_components):
            share, offset = weights[n] * responsibilities[n, k], row - origin[k]
            count[k] += share
            first[k] += share * offset
            second[k] += share * np.outer(offset, offset)
    return count, first, second


@weighted
@pytest.mark.parametrize("diagonal", [False, True], ids=["full", "diagonal"])
@pytest.mark.parametrize("kind", ["responsibilities", "labels", "float32 responsibilities", "fortran responsibilities"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2)], ids=str)
def test_accumulate_is_the_loop_over_rows_and_components(weighted, diagonal, kind, shape):
    (n_components, n_features), rng = shape, np.random.default_rng(4)
    rows, weights = random_rows(40, n_features)
    weights = weights if weighted else None
    if kind == "labels":
        given = rng.integers(0, n_components, 40)
        responsibilities = np.eye(n_components)[given]
    else:
        responsibilities = rng.dirichlet(np.ones(n_components), 40)
        if kind.startswith("float32"):
            given = responsibilities.astype(np.float32)
            responsibilities = given.astype(np.float64)
        else:
            given = np.asfortranarray(responsibilities) if kind.startswith("fortran") else responsibilities
    moments = accumulate(ArraySource(rows, weights), given, n_components, diagonal=diagonal)
    each = np.ones(40) if weights is None else weights
    assert_moments(moments, *accumulated_by_rows(rows, each, responsibilities, moments.origin))


@pytest.mark.parametrize("diagonal", [False, True], ids=["full", "diagonal"])
def test_accumulate_over_many_blocks_is_one_product(diagonal):
    """Enough components that the rows are cut into blocks of 64."""
    rng, n_components = np.random.default_rng(5), 256
    rows, weights = random_rows(700, 4)
    labels = rng.integers(0, n_components, 700)
    shares = np.eye(n_components)[labels] * weights[:, None]
    moments = accumulate(ArraySource(rows, weights), labels, n_components, diagonal=diagonal).about(np.zeros((256, 4)))
    second = np.einsum("nk,nd,ne->kde", shares, rows, rows)
    assert_moments(moments, shares.sum(axis=0), shares.T @ rows, second)


@pytest.mark.parametrize("diagonal", [False, True], ids=["full", "diagonal"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_accumulate_keeps_its_digits_far_from_zero(diagonal, dtype):
    rng = np.random.default_rng(6)
    rows = (1e6 + rng.normal(size=(500, 2))).astype(dtype)
    shares = rng.dirichlet(np.ones(3), 500)
    moments = accumulate(ArraySource(rows), shares, 3, diagonal=diagonal)
    near = rows.astype(np.longdouble) - 1e6
    mean = shares.T @ near / shares.sum(axis=0)[:, None]
    for k in range(3):
        exact = (shares[:, k, None] * (near - mean[k])).T @ (near - mean[k])
        np.testing.assert_allclose(
            moments.scatter()[k], np.diagonal(exact) if diagonal else exact, rtol=1e-12, atol=1e-10
        )
    np.testing.assert_allclose(moments.means(), 1e6 + mean, rtol=1e-15)


def test_a_component_without_rows_counts_zero():
    rows, _ = random_rows(10, 2)
    moments = accumulate(ArraySource(rows), np.zeros(10, dtype=int), 3, diagonal=False)
    np.testing.assert_array_equal(moments.count, [10, 0, 0])
    assert np.isfinite(moments.second).all()
    assert np.isfinite(moments.origin).all()


@pytest.mark.parametrize("n_rows", [50, 30_000])
def test_row_weights_of_each_mixture_are_those_of_sources_of_their_own(n_rows):
    """In one block and in many; one mixture is whitened where the others are features, and one has a component of no weight."""
    rng = np.random.default_rng(4)
    X, weights = rng.normal(size=(n_rows, 2)), rng.exponential(size=(4, n_rows))
    weights[1, ::3] = 0.0
    weights *= n_rows / weights.sum(axis=1, keepdims=True)
    narrow = [[[1e-14, 0], [0, 1.0]], np.eye(2)]
    mixtures = [Mixture([0.4, 0.6], rng.normal(size=(2, 2)), narrow if i == 2 else [np.eye(2)] * 2) for i in range(3)]
    mixtures.append(Mixture([0.0, 1.0], rng.normal(size=(2, 2)), [np.eye(2)] * 2))
    with Sweep(ArraySource(X)) as sweep:
        together = sweep([m.scorer for m in mixtures], Weighted(weights))
    for mixture, w, swept in zip(mixtures, weights, together, strict=True):
        with Sweep(ArraySource(X, w)) as sweep:
            (alone,) = sweep([mixture.scorer])
        assert swept.log_normaliser == pytest.approx(alone.log_normaliser, rel=1e-12)
        there, here = alone.moments.about(mixture.means), swept.moments.about(mixture.means)
        for a, b in ((here.count, there.count), (here.first, there.first), (here.second, there.second)):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * n_rows)
