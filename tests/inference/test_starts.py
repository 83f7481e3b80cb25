import numpy as np
import pytest
from sklearn.cluster import KMeans

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.starts.kmeans import different, kmeans, lloyd, nearest, plus_plus
from mixtura.inference.starts.sample import seeding_sample
from mixtura.inference.starts.seedings import SEEDINGS
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.sweep import accumulate, compiled


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["iris", "faithful", "wreath"])
def test_hard_em_with_equal_weights_and_one_round_covariance_is_kmeans(name, seed, request):
    X = request.getfixturevalue(name)
    rng = np.random.default_rng(seed)
    # Off the data's grid: a row just as near to two centres goes to the first one there, and is shared here.
    centres = X[rng.choice(len(X), 4, replace=False)] + rng.normal(scale=1e-3, size=(4, X.shape[1]))
    theirs = KMeans(4, init=centres, n_init=1, tol=0, max_iter=300, algorithm="lloyd").fit(X)
    ours = mx.GaussianMixture(
        4,
        covariance_type="tied_spherical",
        assignment="hard",
        equal_weights=True,
        weights_init=np.full(4, 0.25),
        means_init=centres,
        precisions_init=1.0,
        reg_covar=0,
        tol=0,
        max_iter=300,
    ).fit(X)
    np.testing.assert_array_equal(ours.predict(X), theirs.labels_)
    np.testing.assert_allclose(ours.means_, theirs.cluster_centers_, rtol=1e-10)
    # The shared variance is the inertia, spread over all coordinates.
    assert ours.covariances_ * X.size == pytest.approx(theirs.inertia_, rel=1e-10)
    (found,) = lloyd(X - X.mean(axis=0), np.ones(len(X)), centres[None] - X.mean(axis=0), 300, 0.0)
    np.testing.assert_allclose(found + X.mean(axis=0), ours.means_, rtol=1e-10)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
@pytest.mark.parametrize("seeding", SEEDINGS)
def test_every_seeding_gives_sound_starts_for_every_structure(seeding, structure, iris):
    sample = seeding_sample(ArraySource(iris), 5)
    algorithm = ExpectationMaximization(structure)
    starts = SEEDINGS[seeding](sample, 5, algorithm, np.random.default_rng(0), 4)
    assert len(starts) == 4
    for start in starts:
        assert start.structure is structure
        assert np.linalg.eigvalsh(start.covariance_matrices).min() > 0
        assert np.isfinite(start.log_likelihood(iris))
    assert any(not np.allclose(starts[0].means, other.means) for other in starts[1:])


def test_seeding_sample_is_the_weighted_set_of_rows():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 5, size=(400, 2)).astype(float)
    sample = seeding_sample(ArraySource(rows), 3)
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    assert len(sample.rows) == len(distinct) == 25
    order = np.lexsort(sample.rows.T[::-1])
    np.testing.assert_array_equal(sample.rows[order], distinct)
    np.testing.assert_allclose(sample.weights[order] / sample.weights.sum(), counts / counts.sum(), rtol=1e-12)
    np.testing.assert_allclose(sample.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(sample.variances, rows.var(axis=0), rtol=1e-12)


def test_a_large_sample_is_thinned_fairly():
    rng = np.random.default_rng(1)
    rows = np.r_[rng.normal(size=(30_000, 2)), rng.normal(size=(10_000, 2)) + 50]
    sample = seeding_sample(ArraySource(rows), 2)
    assert len(sample.rows) == 5000
    assert (sample.rows[:, 0] > 25).mean() == pytest.approx(0.25, abs=0.002)


def test_plus_plus_seeds_fall_into_separate_clusters():
    rng = np.random.default_rng(2)
    centres = 100.0 * np.arange(6)[:, None] * [1, -1]
    rows = (centres[:, None] + rng.normal(size=(6, 20, 2))).reshape(-1, 2)
    weights = np.ones(len(rows))
    for seeds in plus_plus(rows, weights, 6, 10, np.random.default_rng(0)):
        (labels,) = nearest(seeds, centres[None])
        assert len(set(labels.tolist())) == 6


def test_several_runs_of_kmeans_are_as_good_as_a_librarys(iris, faithful, diabetes):
    """Each is Lloyd's, cut short once it gains little; side by side they are what one after another would be."""
    for X in (iris, faithful, diabetes):
        rows = (X - X.mean(axis=0)) / X.std(axis=0)
        for k in (2, 5, 10):
            found, labels = kmeans(rows, np.ones(len(rows)), k, 20, np.random.default_rng(0))
            np.testing.assert_array_equal(labels, nearest(rows, found))
            ours = [np.square(rows - one[own]).sum() for one, own in zip(found, labels, strict=True)]
            theirs = [KMeans(k, n_init=1, random_state=seed).fit(rows).inertia_ for seed in range(20)]
            assert np.median(ours) < 1.05 * np.median(theirs)
            assert min(ours) < 1.05 * min(theirs)


def test_kmeans_weighs_rows():
    rng = np.random.default_rng(3)
    rows, weights = rng.normal(size=(60, 2)), rng.integers(1, 5, size=60).astype(float)
    repeated = np.repeat(rows, weights.astype(int), axis=0)
    seeds = plus_plus(rows, weights, 4, 3, rng)
    ones = np.ones(len(repeated))
    np.testing.assert_allclose(lloyd(rows, weights, seeds), lloyd(repeated, ones, seeds), rtol=1e-10)


@pytest.mark.skipif(compiled.engine is None, reason=compiled.description)
@pytest.mark.parametrize(("n_features", "k"), [(1, 2), (2, 5), (7, 3), (20, 12)])
def test_both_engines_run_the_same_kmeans(monkeypatch, n_features, k):
    rng = np.random.default_rng(n_features)
    rows, weights = rng.normal(size=(503, n_features)), rng.uniform(0.5, 2, 503)
    answers = []
    for engine in (compiled.engine, None):
        monkeypatch.setattr(compiled, "engine", engine)
        found = kmeans(rows, weights, k, 7, np.random.default_rng(0))
        moments = [accumulate(ArraySource(rows, weights), own, k, diagonal=False) for own in found.labels]
        answers.append((found, different(np.concatenate([found.labels, found.labels]), weights, k), moments))
    for (one, one_kept, one_moments), (other, other_kept, other_moments) in [answers]:
        np.testing.assert_allclose(one.centres, other.centres, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert one_kept == other_kept
        for a, b in zip(one_moments, other_moments, strict=True):
            np.testing.assert_allclose(a.count, b.count, rtol=1e-12)
            np.testing.assert_allclose(a.origin, b.origin, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(a.second, b.second, rtol=1e-10, atol=1e-10)


def test_partitions_that_differ_in_names_and_a_few_rows_are_one():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, size=1000)
    renamed, other = (labels + 1) % 3, rng.integers(0, 3, size=1000)
    nearly = renamed.copy()
    nearly[:5] = (nearly[:5] + 1) % 3
    merged = np.where(labels == 2, 1, labels)
    weights = np.ones(1000)
    assert different(np.stack([labels, renamed, nearly, other, labels, other]), weights, 3) == [0, 3]
    assert different(np.stack([merged, labels, merged]), weights, 3) == [0, 1]


def test_more_components_than_distinct_rows_share_them():
    sample = seeding_sample(ArraySource(np.repeat([[0.0], [1.0], [5.0]], 4, axis=0)), 5)
    algorithm = ExpectationMaximization(covariance_structure("full"), floor=1e-6)
    for seeding in SEEDINGS.values():
        (start,) = seeding(sample, 5, algorithm, np.random.default_rng(0), 1)
        assert start.n_components == 5


def test_given_means_are_where_it_begins(faithful):
    means = np.array([[2.0, 50.0], [4.5, 80.0]])
    gm = mx.GaussianMixture(2, means_init=means).fit(faithful)
    np.testing.assert_array_equal(gm.restarts_.best.start.means, means)
    weights = np.array([0.3, 0.7])
    gm = mx.GaussianMixture(2, weights_init=weights, means_init=means).fit(faithful)
    np.testing.assert_array_equal(gm.restarts_.best.start.weights, weights)


def test_every_start_of_a_race_has_the_weights_that_were_given(faithful):
    """A weight of zero stays zero in EM, however long it runs."""
    with pytest.warns(mx.CollapseWarning, match="no row belongs to component 1"):
        gm = mx.GaussianMixture(2, weights_init=[1.0, 0.0], random_state=0).fit(faithful)
    np.testing.assert_array_equal(gm.weights_, [1, 0])
    np.testing.assert_allclose(gm.means_[0], faithful.mean(axis=0), rtol=1e-12)


def test_given_responsibilities_are_followed_by_an_m_step(faithful):
    r = np.random.default_rng(0).dirichlet([1, 1, 1], size=272)
    gm = mx.GaussianMixture(3, init_params=r, max_iter=0).fit(faithful)
    np.testing.assert_allclose(gm.weights_, r.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(gm.means_, r.T @ faithful / r.sum(axis=0)[:, None], rtol=1e-12)
    for k in range(3):
        expected = np.cov(faithful.T, aweights=r[:, k], ddof=0)
        np.testing.assert_allclose(gm.covariances_[k], expected, rtol=1e-10)
