"""A truncated pass beside a loop over rows and their candidates, and the rules by which candidates are chosen and kept."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from mixtura.data.array import ArraySource
from mixtura.data.batches import BatchSource
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sweep, Truncated, dropped, hard, passes, soft, truncated
from mixtura.sweep.kernels import LARGEST_CANCELLATION
from mixtura.sweep.nearest import nearest_components

every_structure = pytest.mark.parametrize("name", [s.name for s in STRUCTURES])
both_assignments = pytest.mark.parametrize("assignment", [soft, hard], ids=["soft", "hard"])
weighted = pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
KERNELS = ["features", "residuals"]
every_kernel = pytest.mark.parametrize("kernel", KERNELS)
N, D, K = 240, 3, 12


def choose(monkeypatch, kernel):
    for dtype in LARGEST_CANCELLATION:
        monkeypatch.setitem(LARGEST_CANCELLATION, dtype, np.inf if kernel == "features" else -1.0)


def mixture_of(name, n_components=K, n_features=D, seed=0):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_components, n_features, n_features + 2))
    weights, means = rng.dirichlet(np.full(n_components, 3.0)), 2 * rng.normal(size=(n_components, n_features))
    covariances = covariance_structure(name).from_matrices(half @ half.swapaxes(1, 2) / 4, weights)
    return Mixture(weights, means, covariances, name)


def source_of(weighted, n_rows=N, n_features=D):
    rng = np.random.default_rng(1)
    rows = 2.5 * rng.normal(size=(n_rows, n_features))
    return ArraySource(rows, rng.uniform(0.1, 3.0, n_rows) if weighted else None)


def swept(source, mixture, assignment, n_passes=1):
    """The last of several passes of one mixture."""
    with Sweep(source) as sweep:
        for _ in range(n_passes):
            [found] = sweep([mixture.scorer], assignment)
    return found


def by_rows(source, mixture, candidates, assignment):
    """Bound and moments about the component means, one row and one candidate at a time."""
    (n_components, n_features), matrices = mixture.means.shape, mixture.covariance_matrices
    bound, count = 0.0, np.zeros(n_components)
    first, second = np.zeros((n_components, n_features)), np.zeros((n_components, n_features, n_features))
    weights = np.ones(len(source.rows)) if source.weights is None else source.weights
    for row, weight, own in zip(source.rows, weights, candidates, strict=True):
        joint = np.array(
            [np.log(mixture.weights[k]) + multivariate_normal.logpdf(row, mixture.means[k], matrices[k]) for k in own]
        )
        normaliser = logsumexp(joint) if assignment is soft else joint.max()
        shares = np.exp(joint - normaliser) if assignment is soft else np.eye(len(own))[joint.argmax()]
        bound += weight * normaliser
        for k, share in zip(own, shares, strict=True):
            offset = row - mixture.means[k]
            count[k] += weight * share
            first[k] += weight * share * offset
            second[k] += weight * share * np.outer(offset, offset)
    return bound, count, first, second


def assert_same(found, mixture, expected, rel=1e-11):
    bound, count, first, second = expected
    moments = found.moments.about(mixture.means)
    second = np.diagonal(second, axis1=1, axis2=2) if moments.diagonal else second
    assert found.log_normaliser == pytest.approx(bound, rel=rel)
    for got, wanted in ((moments.count, count), (moments.first, first), (moments.second, second)):
        np.testing.assert_allclose(got, wanted, rtol=rel, atol=rel * np.abs(wanted).max())


@weighted
@both_assignments
@every_kernel
@every_structure
def test_it_is_the_sum_over_candidates_of_each_row(monkeypatch, name, kernel, assignment, weighted):
    choose(monkeypatch, kernel)
    source, mixture = source_of(weighted), mixture_of(name)
    how = Truncated(4, assignment).over(N)
    found = swept(source, mixture, how, n_passes=4)
    candidates = how.memory.candidates_at(np.arange(N))
    assert candidates.shape == (N, 4)
    assert_same(found, mixture, by_rows(source, mixture, candidates, assignment))


@weighted
@both_assignments
@every_kernel
@every_structure
def test_with_all_components_as_candidates_it_is_the_exact_pass(monkeypatch, name, kernel, assignment, weighted):
    choose(monkeypatch, kernel)
    source, mixture = source_of(weighted), mixture_of(name)
    exact, found = swept(source, mixture, assignment), swept(source, mixture, Truncated(K, assignment).over(N), 3)
    moments = exact.moments.about(mixture.means)
    assert found.log_normaliser == pytest.approx(exact.log_normaliser, rel=1e-12)
    got = found.moments.about(mixture.means)
    for part in ("count", "first", "second"):
        wanted = getattr(moments, part)
        np.testing.assert_allclose(getattr(got, part), wanted, rtol=1e-12, atol=1e-12 * np.abs(wanted).max())


@both_assignments
@every_kernel
def test_the_bound_is_below_the_exact_one_and_no_pass_lowers_it(monkeypatch, kernel, assignment):
    choose(monkeypatch, kernel)
    source, mixture = source_of(True), mixture_of("full", 40)
    exact, how = swept(source, mixture, assignment).log_normaliser, Truncated(3, assignment).over(N)
    bounds = [swept(source, mixture, how).log_normaliser for _ in range(10)]
    assert (np.diff(bounds) >= -1e-12 * abs(exact)).all()
    assert bounds[-1] <= exact + 1e-12 * abs(exact)


def test_no_change_of_candidates_lowers_the_bound_while_the_mixture_moves():
    """At each mixture, the candidates of the pass before give no more than those that the pass ends with."""
    source = source_of(False)
    mixtures = [mixture_of("diag", 40, seed=seed) for seed in range(8)]
    how = Truncated(3).over(N)
    swept(source, mixtures[0], how)
    for mixture in mixtures[1:]:
        before = how.memory.candidates_at(np.arange(N))
        bound = swept(source, mixture, how).log_normaliser
        assert bound >= by_rows(source, mixture, before, soft)[0] - 1e-9
        after = how.memory.candidates_at(np.arange(N))
        assert (after[:, 0] == how.memory.groups).all()
        assert (np.diff(np.sort(after, axis=1), axis=1) > 0).all()


def test_first_each_row_is_in_the_group_of_its_most_probable_component():
    source, mixture = source_of(False), mixture_of("full", 40)
    how = Truncated(3).over(N)
    swept(source, mixture, how)
    np.testing.assert_array_equal(how.memory.groups, mixture.predict(source.rows))


def test_candidates_are_looked_for_after_one_two_four_eight_passes():
    scorer, memory, due = mixture_of("diag").scorer, Truncated(3).over(N).memory, []
    for i in range(20):
        memory.begin_pass(scorer, 3)
        if memory.neighbours is not None:
            due.append(i)
    assert due == [0, 1, 2, 4, 8, 16]


@every_kernel
def test_neither_threads_nor_batches_nor_the_precision_of_the_container_matter(monkeypatch, kernel):
    choose(monkeypatch, kernel)
    monkeypatch.setattr(passes, "LEAST_SHARED", 0)
    monkeypatch.setattr(truncated, "LEAST_ROWS", 1)
    monkeypatch.setattr(truncated, "ROWS_PER_GROUP", 1)
    source, mixture = source_of(True, 20_000), mixture_of("full", 30)
    monkeypatch.setattr(type(source), "strip_rows", 1000)
    cuts = [slice(0, 7000), slice(7000, 7300), slice(7300, None)]
    batches = BatchSource(lambda: [(source.rows[cut], source.weights[cut]) for cut in cuts])
    monkeypatch.setattr(type(batches), "strip_rows", 1000)
    answers = []
    for rows, threads in ((source, 1), (source, 3), (batches, 2)):
        monkeypatch.setattr(passes, "n_threads", lambda threads=threads: threads)
        how = Truncated(4).over(20_000)
        answers.append((swept(rows, mixture, how, 3), how.memory.groups))
    for found, groups in answers[1:]:
        assert found.log_normaliser == answers[0][0].log_normaliser
        np.testing.assert_array_equal(found.moments.second, answers[0][0].moments.second)
        np.testing.assert_array_equal(groups, answers[0][1])


def test_single_precision_rows_are_scored_in_double():
    source, mixture = source_of(False), mixture_of("full")
    single = ArraySource(source.rows.astype(np.float32))
    how = Truncated(4).over(N)
    found = swept(single, mixture, how)
    double = ArraySource(single.rows.astype(np.float64))
    assert_same(found, mixture, by_rows(double, mixture, how.memory.candidates_at(np.arange(N)), soft))


@every_kernel
def test_a_component_without_weight_has_no_rows_and_is_nobody_s_neighbour(monkeypatch, kernel):
    choose(monkeypatch, kernel)
    source, mixture = source_of(False), mixture_of("full")
    weights = mixture.weights.copy()
    weights[[2, 5]] = 0
    mixture = Mixture(weights / weights.sum(), mixture.means, mixture.covariances, "full")
    how = Truncated(4).over(N)
    found = swept(source, mixture, how, 2)
    assert (found.moments.count[[2, 5]] == 0).all()
    assert not np.isin(how.memory.candidates_at(np.arange(N)), [2, 5]).any()
    living = np.flatnonzero(weights)
    rest = Mixture(mixture.weights[living], mixture.means[living], mixture.covariances[living], "full")
    alike = swept(source, rest, Truncated(4).over(N), 2)
    assert found.log_normaliser == pytest.approx(alike.log_normaliser, rel=1e-12)


def test_a_stack_may_mix_truncated_passes_with_others():
    source, mixtures = source_of(False), [mixture_of("full", seed=seed) for seed in range(4)]
    hows = [soft, Truncated(3).over(N), hard, Truncated(4).over(N)]
    alone = [swept(source, mixture, how) for mixture, how in zip(mixtures, hows, strict=True)]
    fresh = [how.over(N) for how in hows]
    with Sweep(source) as sweep:
        together = sweep([mixture.scorer for mixture in mixtures], fresh)
    for one, found in zip(alone, together, strict=True):
        assert found.log_normaliser == pytest.approx(one.log_normaliser, rel=1e-12)
        np.testing.assert_allclose(found.moments.second, one.moments.second, rtol=1e-10, atol=1e-10)


def test_mixtures_of_several_sizes_remember_their_candidates_when_others_have_left_the_stack(monkeypatch):
    source, mixtures = source_of(False), [mixture_of("full", k) for k in (5, 40)]
    monkeypatch.setattr(type(source), "strip_rows", 50)
    monkeypatch.setattr(truncated, "LEAST_ROWS", 1)
    monkeypatch.setattr(truncated, "ROWS_PER_GROUP", 3)
    alone = [swept(source, mixture, Truncated(3).over(N), 4) for mixture in mixtures]
    hows = [Truncated(3).over(N) for _ in mixtures]
    with Sweep(source) as sweep:
        for _ in range(3):
            sweep([mixture.scorer for mixture in mixtures], hows)
        for mixture, how, expected in zip(mixtures, hows, alone, strict=True):
            [found] = sweep([mixture.scorer], how)
            assert found.log_normaliser == expected.log_normaliser


@weighted
@both_assignments
def test_what_is_dropped_is_known_exactly_where_all_rows_are_watched(assignment, weighted):
    source, mixture = source_of(weighted), mixture_of("full", 40)
    how = Truncated(2, assignment).over(N)
    found, exact = swept(source, mixture, how), swept(source, mixture, assignment)
    lacking = (exact.log_normaliser - found.log_normaliser) / source.total_weight
    assert dropped(source, mixture, how) == pytest.approx(lacking, rel=1e-9)
    assert dropped(source, mixture, soft) == 0


def divergence(weights, means, matrices, k, j):
    """``KL(k ‖ j) + log π_k − log π_j``."""
    precision, offset = np.linalg.inv(matrices[j]), means[j] - means[k]
    trace = np.trace(precision @ matrices[k]) - len(offset)
    logs = np.linalg.slogdet(matrices[j])[1] - np.linalg.slogdet(matrices[k])[1]
    return 0.5 * (trace + offset @ precision @ offset + logs) + np.log(weights[k] / weights[j])


@pytest.mark.parametrize("at_once", [2**18, 30], ids=["at once", "in parts"])
@every_structure
def test_near_components_are_those_of_least_divergence_one_way_or_the_other(monkeypatch, name, at_once):
    monkeypatch.setattr("mixtura.sweep.nearest.AT_ONCE", at_once)
    mixture = mixture_of(name)
    parts = mixture.weights, mixture.means, mixture.covariance_matrices
    for k, found in enumerate(nearest_components(mixture.scorer, 5)):
        least = [min(divergence(*parts, k, j), divergence(*parts, j, k)) if j != k else -np.inf for j in range(K)]
        np.testing.assert_array_equal(found, np.argsort(least)[:5])


def test_in_very_many_dimensions_diagonals_stand_for_precisions():
    scorer = mixture_of("full", 6, 70).scorer
    alike = Scorer(scorer.constants, scorer.centres, np.sqrt(scorer.precision_diagonals))
    np.testing.assert_array_equal(nearest_components(scorer, 4), nearest_components(alike, 4))
