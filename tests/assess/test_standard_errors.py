"""Standard errors: textbook answers, the curvature itself, a jackknife that another implementation ran, and what must not matter."""

import numpy as np
import pytest

import mixtura as mx
from chance import deviations, spread_limits
from forms import choose
from mixtura.assess.uncertainty import replicates
from mixtura.assess.uncertainty.information import flattened, information, jacobian
from mixtura.assess.uncertainty.replicates import refit
from mixtura.assess.uncertainty.standard_errors import METHODS, StandardErrors, standard_errors
from mixtura.data.array import ArraySource
from mixtura.inference.climb.loop import climb
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.model.alignment import align
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.sweep import Sweep
from mixtura.sweep.row_scores import weighted_scores

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)

JACKKNIFE = [0.0291485387670858]
JACKKNIFE += [0.0291485387670866]
JACKKNIFE += [0.0318250111766132, 0.460325275415372, 0.0283347362177399, 0.599520580454916]
JACKKNIFE += [0.0186008480890152, 0.249279365536117, 0.249279365536117, 4.09540725658257]
JACKKNIFE += [0.0138485807049543, 0.167141298772884, 0.167141298772884, 4.38737298545959]
"""Weights, means and covariances of Old Faithful, two ``full`` components, larger first: mclust 6.0.0's ``MclustBootstrap(type = "jk")``.

mclust refits with its default tolerance, which stops so early that some of these are off by 3 %.
"""


def drawn(structure, n_rows, n_features=2, seed=0):
    """Three overlapping components and rows from them."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(3, n_features, 3 * n_features))
    weights = np.array([0.3, 0.3, 0.4])
    covariances = structure.from_matrices(half @ half.swapaxes(1, 2) / (3 * n_features), weights)
    means = 2.0 * np.arange(3)[:, None] + rng.normal(size=(3, n_features))
    truth = mx.Mixture(weights, means, covariances, structure.name)
    return truth, truth.sample(n_rows, rng)[0]


def climbed(start, X, sample_weight=None):
    """The maximum that EM comes to, to the last digits."""
    source = ArraySource(X, sample_weight)
    (run,) = climb(
        source, [start], ExpectationMaximization(start.structure), Stopping(1e-11, 20_000, source.total_weight)
    )
    return run.mixture


def everything(errors: StandardErrors) -> np.ndarray:
    return np.concatenate([errors.weights, errors.means.ravel(), errors.covariances.ravel()])


@pytest.fixture(scope="module")
def two_of_faithful(faithful):
    fit = mx.GaussianMixture(2, reg_covar=0, n_init=3, random_state=0).fit(faithful).mixture_
    return climbed(fit.reorder(np.argsort(-fit.weights)), faithful)


# ---- one component: the textbook -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_a_single_full_normal_has_textbook_answers(weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + 5
    w = rng.integers(1, 4, 200).astype(float) if weighted else np.ones(200)
    n = w.sum()
    mean = w @ X / n
    cov = ((X - mean) * w[:, None]).T @ (X - mean) / n
    errors = standard_errors(mx.Mixture([1.0], [mean], [cov], "full"), X, w if weighted else None)
    np.testing.assert_allclose(errors.means[0], np.sqrt(np.diag(cov) / n), rtol=1e-9)
    variances = np.diag(cov)
    np.testing.assert_allclose(errors.covariances[0], np.sqrt((np.outer(variances, variances) + cov**2) / n), rtol=1e-9)
    assert errors.weights == [0.0]
    assert [end.weights.tolist() for end in errors.interval()] == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("name", "n_observations"), [("diag", 1), ("tied_diag", 1), ("spherical", 3), ("tied_spherical", 3)]
)
def test_a_single_normal_with_independent_features_has_textbook_answers(name, n_observations):
    X = np.random.default_rng(0).normal(size=(150, 3)) * [1, 2, 3]
    structure = covariance_structure(name)
    covariances = structure.from_matrices(np.diag(X.var(axis=0))[None], np.ones(1))
    errors = standard_errors(mx.Mixture([1.0], [X.mean(axis=0)], covariances, name), X)
    np.testing.assert_allclose(errors.covariances, covariances * np.sqrt(2 / (150 * n_observations)), rtol=1e-9)


def test_the_sandwich_of_a_mean_is_the_spread_of_the_rows_whatever_the_model():
    """Also where features are taken for independent that are not."""
    X = np.random.default_rng(0).standard_t(5, size=(300, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    fit = mx.Mixture([1.0], [X.mean(axis=0)], X.var(axis=0)[None], "diag")
    errors = standard_errors(fit, X, method="sandwich")
    np.testing.assert_allclose(errors.covariance[1:3, 1:3], np.cov(X.T, ddof=0) / 300, rtol=1e-9)
    squares = (X - X.mean(axis=0)) ** 2
    np.testing.assert_allclose(errors.covariance[3:, 3:], np.cov(squares.T, ddof=0) / 300, rtol=1e-9)


# ---- the pieces ----------------------------------------------------------------------------------------------------------------


@every_structure
def test_the_observed_information_is_minus_the_slope_of_the_gradient(structure):
    truth, X = drawn(structure, 120)
    source = ArraySource(X, np.random.default_rng(1).uniform(0.5, 2, 120))
    found = information(truth, source)
    about, step = found.coordinates, 1e-5

    def gradient(u):
        with Sweep(source) as sweep:
            return about.gradient(u, sweep([about.mixture(u).scorer])[0].moments)

    slopes = [(gradient(step * e) - gradient(-step * e)) / (2 * step) for e in np.eye(about.size)]
    np.testing.assert_allclose(found.observed, -np.array(slopes), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.gradient, gradient(np.zeros(about.size)), rtol=1e-12)
    np.testing.assert_allclose(found.observed @ found.coordinates.gauge, 0, atol=1e-10)


@every_structure
@pytest.mark.parametrize("n_features", [1, 3])
def test_scores_of_rows_are_their_gradients(structure, n_features):
    truth, X = drawn(structure, 30, n_features)
    about = information(truth, ArraySource(X)).coordinates
    block = weighted_scores(about, ArraySource(X), np.eye(30))
    step = 1e-6
    for i, e in enumerate(np.eye(about.size)):
        slopes = (about.mixture(step * e).log_pdf(X) - about.mixture(-step * e).log_pdf(X)) / (2 * step)
        np.testing.assert_allclose(block[:, i], slopes, atol=1e-7)


@every_structure
def test_the_jacobian_is_that_of_differences(structure):
    truth, X = drawn(structure, 50)
    about = information(truth, ArraySource(X)).coordinates
    step = 1e-6
    slopes = [
        (flattened(about.mixture(step * e)) - flattened(about.mixture(-step * e))) / (2 * step)
        for e in np.eye(about.size)
    ]
    np.testing.assert_allclose(jacobian(about), np.array(slopes).T, atol=1e-8)


def test_many_blocks_of_scores_are_one():
    truth, X = drawn(covariance_structure("full"), 100_000)
    source = ArraySource(X)
    found = information(truth, source)
    (total,) = weighted_scores(found.coordinates, source, np.ones((1, 100_000)))
    np.testing.assert_allclose(total, found.gradient, atol=1e-9 * np.abs(found.gradient).max())


# ---- Old Faithful: a jackknife that another implementation ran -----------------------------------------------------------------


def test_the_stack_of_refits_repeats_the_reference_jackknife(two_of_faithful, faithful):
    """Zeros among the row weights leave rows out. The difference is mclust's early stop."""
    n = len(faithful)
    estimates = np.array([flattened(m) for m in refit([two_of_faithful] * n, ArraySource(faithful), 1 - np.eye(n))])
    errors = np.sqrt((n - 1) / n * ((estimates - estimates.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(errors, JACKKNIFE, rtol=0.03)


def test_the_sandwich_agrees_with_the_reference_jackknife(two_of_faithful, faithful):
    """It is the jackknife to first order in the weights of rows; the next order is the share of one row in p = 11 parameters, p/n = 4 %."""
    errors = standard_errors(two_of_faithful, faithful, method="sandwich")
    np.testing.assert_allclose(everything(errors), JACKKNIFE, rtol=11 / 272)


def test_the_observed_information_agrees_with_the_reference_jackknife(two_of_faithful, faithful):
    """If the model holds both estimate the same, but the jackknife from the rows' own spread.

    An average of n squares with kurtosis κ has the relative error √((κ − 1)/n), its root half of that. Two of those, and the p/n above.
    """
    errors = standard_errors(two_of_faithful, faithful)
    source = ArraySource(faithful)
    found = information(two_of_faithful, source)
    root = found.inverse_root()
    blocks = weighted_scores(found.coordinates, source, np.eye(272))
    influences = blocks @ root @ root.T @ jacobian(found.coordinates).T
    kurtosis = (influences**4).mean(axis=0) / (influences**2).mean(axis=0) ** 2
    relative = np.abs(everything(errors) / JACKKNIFE - 1)
    assert (relative < np.sqrt((kurtosis - 1) / 272) + 11 / 272).all()
    assert relative[:6].max() < 0.05  # weights and means are near normal: κ is small, and the agreement close


def test_the_bootstrap_agrees_with_the_reference_jackknife(two_of_faithful, faithful, seed):
    """To p/n, and the Monte Carlo error 1/√(2R) of R replicates, 5.4 of them for the largest of 14; 1.7 times that for heavy tails."""
    errors = standard_errors(two_of_faithful, faithful, method="bootstrap", n_replicates=2000, random_state=seed)
    assert (errors.n_replicates, errors.n_dropped) == (2000, 0)
    np.testing.assert_allclose(everything(errors), JACKKNIFE, rtol=11 / 272 + 1.7 * deviations(14) / np.sqrt(2 * 2000))


# ---- where the model holds, all three agree ------------------------------------------------------------------------------------


@every_structure
def test_all_methods_agree_on_many_rows_from_the_model(structure, seed):
    """Relative errors: of the sandwich ½√((κ − 1)/n) with κ ≤ 30, five of them; of 200 replicates 1/√400, and a first-order formula's."""
    truth, X = drawn(structure, 5000)
    fit = climbed(truth, X)
    observed, sandwich, bootstrap = (
        everything(standard_errors(fit, X, method=method, n_replicates=200, random_state=seed)) for method in METHODS
    )
    np.testing.assert_allclose(sandwich, observed, rtol=2.5 * np.sqrt(29 / 5000))
    low, high = spread_limits(200, len(sandwich))
    assert ((0.97 * low < bootstrap / sandwich) & (bootstrap / sandwich < 1.03 * high)).all()


def test_intervals_of_the_truth_cover(seed):
    """Many rows, all intervals at 99.99 %: a wrong scale or a wrong sign would miss."""
    truth, X = drawn(covariance_structure("full"), 50_000)
    fit = climbed(truth, X)
    for method in METHODS:
        lower, upper = standard_errors(fit, X, method=method, n_replicates=50, random_state=seed).interval(0.9999)
        for low, true, high in zip(lower, (truth.weights, truth.means, truth.covariances), upper, strict=True):
            assert ((low < true) & (true < high)).all()


def test_weighted_rows_are_draws_that_carry_weight_to_sandwich_and_bootstrap(seed):
    """Rows of weight two vary by twice as much, not by √2: the mean of one normal shows it, √(Σ w² (x − x̄)²)/Σ w."""
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(1000, 1)), rng.uniform(0.2, 3, 1000)
    mean = w @ X / w.sum()
    fit = mx.Mixture([1.0], [mean], [w @ (X - mean) ** 2 / w.sum()][0], "spherical")
    expected = np.sqrt((w**2) @ (X - mean) ** 2) / w.sum()
    sandwich = standard_errors(fit, X, w, method="sandwich")
    np.testing.assert_allclose(sandwich.means[0], expected, rtol=1e-9)
    bootstrap = standard_errors(fit, X, w, method="bootstrap", n_replicates=1000, random_state=seed)
    np.testing.assert_allclose(bootstrap.means[0], expected, rtol=deviations() / np.sqrt(2000))


# ---- what must and must not matter ---------------------------------------------------------------------------------------------


@every_structure
def test_integer_weights_are_repeated_rows_to_the_observed_information(structure):
    truth, X = drawn(structure, 200)
    w = np.random.default_rng(1).integers(0, 4, 200)
    fit = climbed(truth, np.repeat(X, w, axis=0))
    weighted, repeated = standard_errors(fit, X, w), standard_errors(fit, np.repeat(X, w, axis=0))
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, atol=1e-10 * repeated.covariance.max())


def test_the_scale_of_the_weights_is_nothing_to_sandwich_and_bootstrap():
    truth, X = drawn(covariance_structure("diag"), 300)
    w = np.random.default_rng(1).uniform(0.5, 2, 300)
    fit = climbed(truth, X, w)
    for method in ("sandwich", "bootstrap"):
        once, tenfold = (
            standard_errors(fit, X, v, method=method, n_replicates=20, random_state=0) for v in (w, 10 * w)
        )
        np.testing.assert_allclose(everything(tenfold), everything(once), rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("structure", ["full", "tied", "diag", "tied_diag"])
def test_another_unit_of_a_column_rescales_its_errors(structure, method):
    truth, X = drawn(covariance_structure(structure), 300)
    unit = np.array([1.0, 1e3])
    outer = np.outer(unit, unit) if structure in ("full", "tied") else unit**2
    fit = climbed(truth, X)
    other = mx.Mixture(fit.weights, fit.means * unit, fit.covariances * outer, structure)
    one = standard_errors(fit, X, method=method, n_replicates=20, random_state=0)
    two = standard_errors(other, X * unit, method=method, n_replicates=20, random_state=0)
    np.testing.assert_allclose(two.weights, one.weights, rtol=1e-4)
    np.testing.assert_allclose(two.means, one.means * unit, rtol=1e-4)
    np.testing.assert_allclose(two.covariances, one.covariances * outer, rtol=1e-4)
    for a, b in zip(one.interval(), two.interval(), strict=True):
        np.testing.assert_allclose(b.covariances, a.covariances * outer, rtol=1e-4)


@pytest.mark.parametrize("method", ["observed", "sandwich"])
def test_the_order_of_components_is_kept(method):
    truth, X = drawn(covariance_structure("full"), 300)
    fit, order = climbed(truth, X), [2, 0, 1]
    one, two = standard_errors(fit, X, method=method), standard_errors(fit.reorder(order), X, method=method)
    np.testing.assert_allclose(two.weights, one.weights[order], rtol=1e-9)
    np.testing.assert_allclose(two.covariances, one.covariances[order], rtol=1e-9)


def test_intervals_stay_in_range_and_meet_at_the_estimate(two_of_faithful, faithful):
    errors = standard_errors(two_of_faithful, faithful[::7], method="bootstrap", n_replicates=20, random_state=0)
    lower, upper = errors.interval(1 - 1e-9)
    assert (lower.weights > 0).all()
    assert (upper.weights < 1).all()
    assert (np.diagonal(lower.covariances, axis1=1, axis2=2) > 0).all()
    for end in errors.interval(1e-12):
        np.testing.assert_allclose(end.weights, two_of_faithful.weights, rtol=1e-9)
        np.testing.assert_allclose(end.means, two_of_faithful.means, rtol=1e-9)
        np.testing.assert_allclose(end.covariances, two_of_faithful.covariances, rtol=1e-9)


def test_intervals_are_those_of_the_logit_and_the_logarithm(two_of_faithful, faithful):
    """The standard error of a transformed parameter by the delta method, worked by hand."""
    errors = standard_errors(two_of_faithful, faithful)
    lower, upper = errors.interval(0.95)
    w, v = two_of_faithful.weights[0], two_of_faithful.covariances[1, 1, 1]
    logits = [np.log(end.weights[0] / (1 - end.weights[0])) for end in (lower, upper)]
    assert np.diff(logits)[0] == pytest.approx(2 * 1.959963985 * errors.weights[0] / (w * (1 - w)), rel=1e-8)
    logs = [np.log(end.covariances[1, 1, 1]) for end in (lower, upper)]
    assert np.diff(logs)[0] == pytest.approx(2 * 1.959963985 * errors.covariances[1, 1, 1] / v, rel=1e-8)
    across = upper.covariances[0, 0, 1] - lower.covariances[0, 0, 1]
    assert across == pytest.approx(2 * 1.959963985 * errors.covariances[0, 0, 1], rel=1e-8)


# ---- refits as one stack -------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("kernel", ["compiled", "features", "whitened"])
def test_a_stack_of_refits_is_one_weighted_fit_after_another(monkeypatch, structure, kernel):
    choose(monkeypatch, kernel)
    monkeypatch.setattr(replicates, "GOAL", 1e-10)
    truth, X = drawn(structure, 400)
    drawn_weights = np.random.default_rng(2).exponential(size=(4, 400))
    for w, found in zip(drawn_weights, refit([truth] * 4, ArraySource(X), drawn_weights), strict=True):
        alone = climbed(truth, X, w)
        np.testing.assert_allclose(flattened(found), flattened(alone), rtol=1e-3)
        assert found.log_likelihood(X, w) == pytest.approx(alone.log_likelihood(X, w), abs=1e-8)


def test_stacks_one_after_another_draw_the_same_replicates(monkeypatch):
    truth, X = drawn(covariance_structure("diag"), 200)
    fit = climbed(truth, X)
    whole = standard_errors(fit, X, method="bootstrap", n_replicates=10, random_state=3)
    monkeypatch.setattr(replicates, "MOST_WEIGHTS", 3 * 200)
    parted = standard_errors(fit, X, method="bootstrap", n_replicates=10, random_state=3)
    np.testing.assert_allclose(parted.deviations, whole.deviations, atol=1e-9)


def test_a_row_far_from_all_components_is_no_trouble():
    """Its densities are zero to working precision, and at first all of its shares come from their logarithms."""
    truth, X = drawn(covariance_structure("tied_diag"), 200)
    X[0] = 300.0
    found = refit([truth] * 2, ArraySource(X), np.ones((2, 200)))
    np.testing.assert_allclose(flattened(found[0]), flattened(climbed(truth, X)), rtol=1e-3)


def test_replicates_that_collapse_are_dropped_and_counted():
    """A component of three rows: where exponential weights leave it one, it has no spread."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 1)), [[50.0], [50.0], [50.1]]])
    fit = climbed(mx.Mixture([0.95, 0.05], [[0.0], [50.0]], [1.0, 0.01], "spherical"), X)
    weights = np.ones((3, 63))
    weights[1, 62] = 0.0
    found = refit([fit] * 3, ArraySource(X), weights)
    assert [m is None for m in found] == [False, True, False]


def test_replicates_are_aligned_with_the_fit(monkeypatch):
    """Also if a refit had moved its labels around."""
    truth, X = drawn(covariance_structure("diag"), 300)
    fit, rng = climbed(truth, X), np.random.default_rng(0)
    once = standard_errors(fit, X, method="bootstrap", n_replicates=20, random_state=0)
    in_order = replicates.refit
    monkeypatch.setattr(replicates, "refit", lambda *_: [m.reorder(rng.permutation(3)) for m in in_order(*_)])
    again = standard_errors(fit, X, method="bootstrap", n_replicates=20, random_state=0)
    np.testing.assert_array_equal(again.deviations, once.deviations)


@every_structure
def test_predictions_come_near_the_refits(structure):
    """One Newton step leaves an error of higher order: on many rows a small share of the way."""
    truth, X = drawn(structure, 4000)
    fit, source = climbed(truth, X), ArraySource(X)
    row_weights = np.random.default_rng(1).exponential(size=(10, 4000))
    predicted = replicates._Predictor(fit, source)(row_weights)
    about = information(fit, source).coordinates
    for start, end in zip(predicted, refit([fit] * 10, source, row_weights), strict=True):
        assert np.linalg.norm(about.vector(start) - about.vector(end)) < 0.3 * np.linalg.norm(about.vector(end))


def test_a_bootstrap_needs_no_maximum(two_of_faithful, faithful):
    """It goes there itself."""
    m = two_of_faithful
    moved = mx.Mixture(m.weights, m.means + 0.1, m.covariances)
    one, two = (standard_errors(f, faithful, method="bootstrap", random_state=0) for f in (m, moved))
    np.testing.assert_allclose(everything(two), everything(one), rtol=0.01)


def test_dropped_replicates_are_told(monkeypatch):
    truth, X = drawn(covariance_structure("diag"), 200)
    fit = climbed(truth, X)
    monkeypatch.setattr("mixtura.assess.uncertainty.standard_errors.bootstrap", lambda *_: [truth, fit, fit])
    errors = standard_errors(fit, X, method="bootstrap", n_replicates=5)
    assert (errors.n_replicates, errors.n_dropped) == (3, 2)
    monkeypatch.setattr("mixtura.assess.uncertainty.standard_errors.bootstrap", lambda *_: [fit])
    with pytest.raises(mx.CollapseError, match="4 of 5 bootstrap replicates"):
        standard_errors(fit, X, method="bootstrap", n_replicates=5)


# ---- labels --------------------------------------------------------------------------------------------------------------------


@every_structure
def test_alignment_finds_the_permutation(structure):
    rng = np.random.default_rng(0)
    truth, X = drawn(structure, 2000)
    near = climbed(truth, X)
    for _ in range(5):
        assert align(truth.reorder(rng.permutation(3)), truth) == truth
        np.testing.assert_array_equal(align(near.reorder(rng.permutation(3)), truth).means, near.means)


def test_alignment_goes_by_spread_where_means_agree():
    reference = mx.Mixture([0.5, 0.5], [[0.0], [0.1]], [1.0, 25.0], "spherical")
    other = mx.Mixture([0.5, 0.5], [[0.0], [0.1]], [20.0, 1.5], "spherical")
    assert align(other, reference).covariances.tolist() == [1.5, 20.0]


def test_mixtures_of_other_shapes_are_not_aligned():
    one, two = (mx.Mixture(np.ones(k) / k, np.arange(k)[:, None], np.ones(k), "spherical") for k in (1, 2))
    with pytest.raises(mx.InvalidParameterError, match="equal shape"):
        align(one, two)


# ---- errors --------------------------------------------------------------------------------------------------------------------


def test_what_is_not_a_maximum_is_refused(two_of_faithful, faithful):
    m = two_of_faithful
    moved = mx.Mixture(m.weights, m.means + 0.1, m.covariances)
    for method in ("observed", "sandwich"):
        with pytest.raises(mx.InvalidParameterError, match="standard errors away from the maximum"):
            standard_errors(moved, faithful, method=method)


def test_a_saddle_is_refused(faithful):
    """Two components that are one and the same: every gradient vanishes, and nothing tells the components apart."""
    mean, cov = faithful.mean(axis=0), np.cov(faithful.T, ddof=0)
    with pytest.raises(mx.InvalidParameterError, match=r"not at a maximum .* has the eigenvalue"):
        standard_errors(mx.Mixture([0.5, 0.5], [mean, mean], [cov, cov]), faithful)


def test_a_component_at_the_floor_is_refused():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 1)), np.full((5, 1), 50.0)])
    with pytest.warns(mx.CollapseWarning):
        fit = mx.GaussianMixture(2, covariance_type="spherical", reg_covar=1e-3, random_state=0).fit(X).mixture_
    with pytest.raises(mx.InvalidParameterError, match="maximum of the likelihood"):
        standard_errors(fit, X)


def test_a_component_without_rows_is_refused(faithful):
    m = mx.Mixture([1.0, 0.0], [[3.0, 70.0], [0.0, 0.0]], np.array([np.eye(2), np.eye(2)]))
    with pytest.raises(mx.InvalidParameterError, match="no row belongs to component 1"):
        standard_errors(m, faithful)


def test_bad_arguments(two_of_faithful, faithful):
    m = two_of_faithful
    with pytest.raises(
        mx.InvalidParameterError, match="method must be one of observed, sandwich, bootstrap; got 'jackknife'"
    ):
        standard_errors(m, faithful, method="jackknife")
    with pytest.raises(mx.InvalidParameterError, match="n_replicates must be an integer of at least 2; got 1"):
        standard_errors(m, faithful, method="bootstrap", n_replicates=1)
    with pytest.raises(mx.InvalidParameterError, match="level must lie between 0 and 1; got 95"):
        standard_errors(m, faithful).interval(95)
    with pytest.raises(mx.DataError, match="X must have shape"):
        standard_errors(m, faithful[:, 0])
    with pytest.raises(mx.DataError, match="sample_weight must hold one number for each of 272 rows"):
        standard_errors(m, faithful, [1.0])
    with pytest.raises(mx.DataError, match="there are none"):
        standard_errors(m, faithful, np.zeros(272))


def test_float32_rows_give_the_same(two_of_faithful, faithful):
    rows = faithful.astype(np.float32)
    fit = climbed(two_of_faithful, rows.astype(np.float64))
    for method in METHODS:
        double, single = (standard_errors(fit, X, method=method, random_state=0) for X in (rows.astype(float), rows))
        np.testing.assert_allclose(everything(single), everything(double), rtol=1e-4)


def test_rows_may_lie_in_files_for_the_local_ways(faithful):
    gm = mx.GaussianMixture(2, random_state=0).fit(faithful)
    for method in ("observed", "sandwich"):
        here, there = (
            gm.standard_errors(faithful, method=method),
            gm.standard_errors([faithful[:50], faithful[50:]], method=method),
        )
        np.testing.assert_array_equal(here.deviations, there.deviations)
    with pytest.raises(mx.InvalidParameterError, match=r"rows have to be in memory\. Use method='sandwich'"):
        gm.standard_errors([faithful], method="bootstrap")
