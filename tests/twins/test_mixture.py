"""What a mixture says of rows, beside SciPy; and what it draws, beside what it says."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from chance import deviations, spread_limits
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.model.scorer import Scorer

NAMES = [s.name for s in STRUCTURES]
SHAPES = [(1, 1), (1, 3), (4, 1), (3, 2), (2, 5)]
every_structure = pytest.mark.parametrize("name", NAMES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def random_mixture(name, n_components, n_features, seed=0):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_components, n_features, n_features + 2))
    weights, means = rng.dirichlet(np.full(n_components, 3.0)), 2 * rng.normal(size=(n_components, n_features))
    covariances = covariance_structure(name).from_matrices(half @ half.swapaxes(1, 2) / 4, weights)
    return Mixture(weights, means, covariances, name)


def random_rows(n_rows, n_features, seed=1):
    return 3 * np.random.default_rng(seed).normal(size=(n_rows, n_features))


def scipy_component_log_pdf(mixture, rows):
    parts = zip(mixture.means, mixture.covariance_matrices, strict=True)
    return np.stack([np.atleast_1d(multivariate_normal.logpdf(rows, mean, matrix)) for mean, matrix in parts], axis=1)


def scipy_log_joint(mixture, rows):
    return np.log(mixture.weights) + scipy_component_log_pdf(mixture, rows)


# ---- densities ---------------------------------------------------------------------------------------------------------------------


@every_structure
@every_shape
def test_densities_and_responsibilities_are_scipys(name, shape):
    mixture, rows = random_mixture(name, *shape), random_rows(40, shape[1])
    joint = scipy_log_joint(mixture, rows)
    log_pdf = logsumexp(joint, axis=1)
    np.testing.assert_allclose(
        mixture.component_log_pdf(rows), scipy_component_log_pdf(mixture, rows), rtol=1e-11, atol=1e-11
    )
    np.testing.assert_allclose(mixture.log_pdf(rows), log_pdf, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(mixture.pdf(rows), np.exp(log_pdf), rtol=1e-9)
    responsibilities = mixture.responsibilities(rows)
    np.testing.assert_allclose(responsibilities, np.exp(joint - log_pdf[:, None]), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(responsibilities.sum(axis=1), 1, rtol=1e-14)
    labels = mixture.predict(rows)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, joint.argmax(axis=1))


@every_structure
def test_the_density_integrates_to_one(name):
    mixture = random_mixture(name, 3, 2)
    grid = np.linspace(-25, 25, 501)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    assert mixture.pdf(points).sum() * 0.1**2 == pytest.approx(1, abs=1e-6)


@every_structure
def test_any_cut_into_blocks_gives_the_same_answer(monkeypatch, name):
    mixture, rows = random_mixture(name, 3, 2), random_rows(50, 2)
    whole = (
        mixture.component_log_pdf(rows),
        mixture.log_pdf(rows),
        mixture.responsibilities(rows),
        mixture.predict(rows),
    )
    for size in (1, 7, 49):
        monkeypatch.setattr(Scorer, "block_rows", lambda self, size=size: size)
        np.testing.assert_allclose(mixture.component_log_pdf(rows), whole[0], rtol=1e-13)
        np.testing.assert_allclose(mixture.log_pdf(rows), whole[1], rtol=1e-13)
        np.testing.assert_allclose(mixture.responsibilities(rows), whole[2], rtol=1e-12)
        np.testing.assert_array_equal(mixture.predict(rows), whole[3])


FORMS = {
    "lists": lambda rows: rows.tolist(),
    "fortran": np.asfortranarray,
    "strided": lambda rows: np.repeat(np.repeat(rows, 2, axis=0), 2, axis=1)[::2, ::2],
    "read-only": lambda rows: np.frombuffer(rows.tobytes()).reshape(rows.shape),
    "big-endian": lambda rows: rows.astype(">f8"),
    "objects": lambda rows: rows.astype(object),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_may_come_in_many_forms(form):
    mixture, rows = random_mixture("full", 3, 2), random_rows(30, 2)
    np.testing.assert_allclose(mixture.log_pdf(FORMS[form](rows)), mixture.log_pdf(rows), rtol=1e-14)


@every_structure
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8, np.longdouble])
def test_rows_of_another_type_count_as_the_numbers_they_hold(name, dtype):
    mixture = random_mixture(name, 3, 2)
    rows = np.abs(random_rows(30, 2)).astype(dtype)
    exact = rows.astype(np.float64)
    assert mixture.log_pdf(rows).dtype == np.float64
    np.testing.assert_allclose(mixture.log_pdf(rows), mixture.log_pdf(exact), rtol=1e-14)
    np.testing.assert_allclose(mixture.responsibilities(rows), mixture.responsibilities(exact), rtol=1e-13)


@every_structure
def test_no_rows_give_empty_answers(name):
    mixture, none = random_mixture(name, 3, 2), np.zeros((0, 2))
    assert mixture.component_log_pdf(none).shape == (0, 3)
    assert mixture.responsibilities(none).shape == (0, 3)
    assert mixture.log_pdf(none).shape == mixture.pdf(none).shape == mixture.predict(none).shape == (0,)
    assert mixture.predict(none).dtype == np.int64
    assert mixture.log_likelihood(none) == 0


BAD_ROWS = [
    (np.zeros(2), r"\(2,\).*reshape"),
    (np.zeros((2, 3)), r"\(2, 3\)"),
    (np.zeros((1, 2, 2)), r"\(1, 2, 2\)"),
    (3.0, r"\(\)"),
    ([[0.0, 1.0], [np.nan, 0.0]], "nan in row 1, column 0"),
    ([[0.0, np.inf], [0.0, 0.0]], "inf in row 0, column 1"),
    ([[np.inf, -np.inf]], "inf in row 0, column 0"),
    ([["a", "b"]], "numeric"),
    ([[None, 1.0]], "nan|None|numeric"),
    ([[1.0, 2.0], [3.0]], "numeric"),
    (np.array([[1 + 2j, 0]]), "numeric|complex"),
    ([[10**400, 0]], "numeric|large"),
]


@pytest.mark.parametrize(("rows", "said"), BAD_ROWS, ids=[str(i) for i in range(len(BAD_ROWS))])
@pytest.mark.parametrize("method", ["log_pdf", "responsibilities", "predict", "log_likelihood"])
def test_rows_that_cannot_be_scored_are_refused_with_the_value_seen(rows, said, method):
    with pytest.raises(DataError, match=said):
        getattr(random_mixture("full", 2, 2), method)(rows)


# ---- far away --------------------------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("distance", [1e5, 1e10, 1e50, 1e150])
def test_far_rows_have_a_finite_and_accurate_log_density(name, distance):
    mixture, rows = random_mixture(name, 3, 2), distance * np.array([[1.0, 0.3], [-1.0, 2.0]])
    found = mixture.log_pdf(rows)
    np.testing.assert_allclose(found, logsumexp(scipy_log_joint(mixture, rows), axis=1), rtol=1e-11)
    responsibilities = mixture.responsibilities(rows)
    np.testing.assert_allclose(responsibilities.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(mixture.predict(rows), responsibilities.argmax(axis=1))


# Beside ordinary scales those at the very end of the numbers, where even a difference or a whitened residual overflows.
EXTREME = [(d, s) for d in (1e160, 1e200) for s in (1e-200, 1.0, 1e200)] + [(1e307, 1e-200), (1.7e308, 1.0)]


@every_structure
@pytest.mark.parametrize(("distance", "scale"), EXTREME)
def test_rows_whose_squares_overflow_give_no_nan(name, distance, scale):
    base = random_mixture(name, 3, 2)
    mixture = Mixture(base.weights, base.means, base.covariances * scale, name)
    rows = distance * np.array([[1.0, 1.0], [-1.0, 0.5], [0.0, -1.0]])
    for answer in (mixture.log_pdf(rows), mixture.component_log_pdf(rows)):
        assert not np.isnan(answer).any()
        assert (answer < -1e100).all()
    assert not np.isnan(mixture.pdf(rows)).any()
    np.testing.assert_allclose(mixture.responsibilities(rows).sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(mixture.predict(rows), mixture.responsibilities(rows).argmax(axis=1))


def test_rows_whose_sum_overflows_are_still_finite_rows():
    mixture = random_mixture("full", 2, 2)
    for rows in (np.full((20, 2), 1e308), np.full((20, 2), 3e38, dtype=np.float32)):
        assert not np.isnan(mixture.log_pdf(rows)).any()


@pytest.mark.parametrize("distance", [1e10, 1e150, 1e160, 1e200])
def test_the_widest_component_takes_a_row_beyond_all(distance):
    mixture = Mixture([0.7, 0.2, 0.1], [[0.0], [5.0], [-5.0]], [1.0, 4.0, 9.0], "spherical")
    np.testing.assert_array_equal(mixture.responsibilities([[distance], [-distance]]), [[0, 0, 1]] * 2)


def test_the_same_with_means_at_either_end_of_the_numbers():
    mixture = Mixture([0.5, 0.5], [[-1e308], [1e308]], [1.0, 1.0], "spherical")
    np.testing.assert_array_equal(mixture.responsibilities([[-1e308], [1e308]]), np.eye(2))


# ---- zero weights ------------------------------------------------------------------------------------------------------------------------


@every_structure
def test_a_component_of_weight_zero_is_as_if_it_were_not_there(name):
    mixture, rows = random_mixture(name, 2, 2), random_rows(20, 2)
    natural = (
        mixture.covariances
        if mixture.structure.shared
        else np.concatenate([mixture.covariances, mixture.covariances[:1]])
    )
    wider = Mixture([*mixture.weights, 0.0], np.vstack([mixture.means, rows[:1]]), natural, name)
    np.testing.assert_allclose(wider.log_pdf(rows), mixture.log_pdf(rows), rtol=1e-13)
    np.testing.assert_allclose(wider.responsibilities(rows)[:, :2], mixture.responsibilities(rows), rtol=1e-12)
    assert (wider.responsibilities(rows)[:, 2] == 0).all()
    assert np.isfinite(wider.component_log_pdf(rows)).all()
    far = np.full((1, 2), 1e200)
    assert wider.responsibilities(far)[0, 2] == 0
    responsibilities = wider.responsibilities(rows)
    assert np.isfinite(wider.expected_complete_log_likelihood(rows, responsibilities))
    assert wider.complete_log_likelihood(rows, np.full(20, 2)) == -np.inf
    assert 2 not in wider.sample(500, random_state=0)[1]


# ---- likelihoods -----------------------------------------------------------------------------------------------------------------------


@every_structure
@every_shape
def test_the_three_likelihoods_are_what_their_formulae_say(name, shape):
    mixture, rows, rng = random_mixture(name, *shape), random_rows(30, shape[1]), np.random.default_rng(2)
    joint = scipy_log_joint(mixture, rows)
    weights, labels = rng.uniform(0, 2, 30), rng.integers(0, shape[0], 30)
    other = rng.dirichlet(np.ones(shape[0]), 30)
    log_pdf = logsumexp(joint, axis=1)
    assert mixture.log_likelihood(rows) == pytest.approx(log_pdf.sum(), rel=1e-11)
    assert mixture.log_likelihood(rows, weights) == pytest.approx(weights @ log_pdf, rel=1e-11)
    assert mixture.complete_log_likelihood(rows, labels) == pytest.approx(joint[np.arange(30), labels].sum(), rel=1e-11)
    assert mixture.expected_complete_log_likelihood(rows, other) == pytest.approx((other * joint).sum(), rel=1e-11)


@every_structure
@every_shape
def test_q_plus_entropy_is_the_log_likelihood_and_otherwise_a_lower_bound(name, shape):
    mixture, rows, rng = random_mixture(name, *shape), random_rows(30, shape[1]), np.random.default_rng(3)

    def bound(r):
        positive = r[r > 0]
        return mixture.expected_complete_log_likelihood(rows, r) - positive @ np.log(positive)

    log_likelihood, own = mixture.log_likelihood(rows), mixture.responsibilities(rows)
    assert bound(own) == pytest.approx(log_likelihood, rel=1e-12)
    for other in [
        rng.dirichlet(np.full(shape[0], 0.3), 30),
        np.eye(shape[0])[mixture.predict(rows)],
        0.99 * own + 0.01 / shape[0],
    ]:
        divergence = np.sum(other * (np.log(np.where(other > 0, other, 1)) - np.log(np.maximum(own, 1e-300))))
        assert bound(other) <= log_likelihood + 1e-10
        assert log_likelihood - bound(other) == pytest.approx(divergence, rel=1e-8, abs=1e-9)


@every_structure
def test_at_labels_q_is_the_complete_log_likelihood(name):
    mixture, rows = random_mixture(name, 3, 2), random_rows(30, 2)
    labels = np.random.default_rng(4).integers(0, 3, 30)
    complete = mixture.complete_log_likelihood(rows, labels)
    assert mixture.expected_complete_log_likelihood(rows, np.eye(3)[labels]) == pytest.approx(complete, rel=1e-13)
    assert complete <= mixture.log_likelihood(rows)


def test_whole_sample_weights_equal_repeated_rows_and_zero_leaves_a_row_out():
    mixture, rows = random_mixture("full", 3, 2), random_rows(30, 2)
    times = np.random.default_rng(5).integers(0, 4, 30)
    assert mixture.log_likelihood(rows, times) == pytest.approx(
        mixture.log_likelihood(np.repeat(rows, times, axis=0)), rel=1e-12
    )
    far = np.vstack([rows, np.full((1, 2), 1e200)])
    assert mixture.log_likelihood(far, np.append(times, 0)) == pytest.approx(mixture.log_likelihood(rows, times))


BAD_COMPANIONS = [
    ("log_likelihood", np.ones(3), "4"),
    ("log_likelihood", [1, 1, 1, -1], "not negative; found -1.0 in row 3"),
    ("log_likelihood", [1, 1, 1, np.nan], "finite"),
    ("log_likelihood", ["a", "b", "c", "d"], "sample_weight"),
    ("complete_log_likelihood", [0, 1, 1], "4 integers"),
    ("complete_log_likelihood", [0.0, 1.0, 1.0, 0.0], "integers.*float64"),
    ("complete_log_likelihood", [0, 1, 2, 0], "0 … 1; found 0 to 2"),
    ("complete_log_likelihood", [0, 1, -1, 0], "found -1 to 1"),
    ("expected_complete_log_likelihood", np.full((4, 3), 1 / 3), r"\(4, 2\).*\(4, 3\)"),
    ("expected_complete_log_likelihood", np.full((4, 2), 0.4), "sum to 1"),
    ("expected_complete_log_likelihood", [[1.5, -0.5]] * 4, "non-negative"),
    ("expected_complete_log_likelihood", np.full((4, 2), np.nan), "non-negative|finite"),
    ("expected_complete_log_likelihood", [["a", "b"]] * 4, "responsibilities"),
]


@pytest.mark.parametrize(
    ("method", "companion", "said"), BAD_COMPANIONS, ids=[str(i) for i in range(len(BAD_COMPANIONS))]
)
def test_what_does_not_fit_the_rows_is_refused(method, companion, said):
    with pytest.raises(DataError, match=said):
        getattr(random_mixture("full", 2, 2), method)(random_rows(4, 2), companion)


# ---- draws -------------------------------------------------------------------------------------------------------------------------------


@every_structure
def test_draws_follow_the_model(name, seed):
    """Label frequencies, and each component's mean, covariance and fourth moment after whitening: 27 numbers, near normal."""
    mixture, n_rows, most = random_mixture(name, 3, 2, seed=6), 40_000, deviations(27)
    rows, labels = mixture.sample(n_rows, random_state=seed + 7)
    assert rows.shape == (n_rows, 2)
    assert labels.dtype == np.int64
    frequency = np.bincount(labels, minlength=3) / n_rows
    assert (
        np.abs(frequency - mixture.weights) < most * np.sqrt(mixture.weights * (1 - mixture.weights) / n_rows)
    ).all()
    for k in range(3):
        mine, half = rows[labels == k], np.linalg.cholesky(mixture.covariance_matrices[k])
        noise = np.linalg.solve(half, (mine - mixture.means[k]).T)
        error = most / np.sqrt(len(mine))
        assert np.abs(noise.mean(axis=1)).max() < error
        assert np.abs(noise @ noise.T / len(mine) - np.eye(2)).max() < np.sqrt(2) * error
        assert (noise**4).mean() == pytest.approx(3, abs=1.5 * most * np.sqrt(96 / noise.size))  # its own law is skewed


def test_labels_are_drawn_independently_and_come_in_random_order(seed):
    """Neighbours agree as often as independent draws do, and counts vary as a multinomial's: their variance is near chi-square."""
    mixture, n_rows = random_mixture("diag", 3, 2), 40_000
    _, labels = mixture.sample(n_rows, random_state=seed + 8)
    agree, expected = (labels[1:] == labels[:-1]).mean(), (mixture.weights**2).sum()
    # Neighbouring agreements share a label: twice their covariance, Σ w³ − (Σ w²)², comes on top.
    agreement = expected * (1 - expected) + 2 * ((mixture.weights**3).sum() - expected**2)
    assert abs(agree - expected) < deviations(4) * np.sqrt(agreement / n_rows)
    counts = [np.bincount(mixture.sample(50, random_state=seed + i)[1], minlength=3) for i in range(200)]
    low, high = spread_limits(200, 4)
    ratios = np.var(counts, axis=0, ddof=1) / (50 * mixture.weights * (1 - mixture.weights))
    assert ((low**2 < ratios) & (ratios < high**2)).all()


@every_structure
def test_the_mean_log_density_of_draws_is_finite_and_near_a_second_sample(name, seed):
    mixture = random_mixture(name, 3, 2)
    first, second = (mixture.log_pdf(mixture.sample(20_000, random_state=seed + i)[0]) for i in (9, 10))
    error = np.sqrt((first.var() + second.var()) / 20_000)
    assert abs(first.mean() - second.mean()) < deviations() * error


def test_a_seed_fixes_the_draws_and_a_generator_moves_on():
    mixture = random_mixture("diag", 3, 2)
    for a, b in zip(mixture.sample(20, random_state=3), mixture.sample(20, random_state=3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(mixture.sample(20, random_state=3)[0], mixture.sample(20, random_state=4)[0])
    rng = np.random.default_rng(3)
    once, again = mixture.sample(20, random_state=rng)[0], mixture.sample(20, random_state=rng)[0]
    np.testing.assert_array_equal(once, mixture.sample(20, random_state=3)[0])
    assert not np.array_equal(once, again)


@every_structure
def test_few_draws_may_leave_components_out(name):
    mixture = random_mixture(name, 5, 2)
    for seed in range(20):
        rows, labels = mixture.sample(1, random_state=seed)
        assert rows.shape == (1, 2)
        assert labels.shape == (1,)


@pytest.mark.parametrize("n_samples", [0, -1, 2.0, "3", None, np.nan])
def test_a_count_that_is_not_a_positive_integer_is_refused(n_samples):
    with pytest.raises(InvalidParameterError, match="positive integer") as caught:
        random_mixture("full", 2, 2).sample(n_samples)
    assert repr(n_samples) in str(caught.value)


def test_weights_that_sum_to_one_within_the_tolerance_can_be_drawn_from():
    mixture = Mixture([0.5 + 4e-9, 0.5 + 4e-9], [[-9.0], [9.0]], 1.0, "tied_spherical")
    assert mixture.sample(100, random_state=0)[0].shape == (100, 1)


def test_many_components_are_scored_and_drawn():
    mixture = random_mixture("tied_diag", 3000, 2)
    rows, _ = mixture.sample(200, random_state=11)
    np.testing.assert_allclose(mixture.responsibilities(rows).sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(
        mixture.log_pdf(rows[:5]), logsumexp(scipy_log_joint(mixture, rows[:5]), axis=1), rtol=1e-11
    )
