"""Labels drawn within a pass: the right frequencies, and the same labels however the pass is cut and shared out."""

import numpy as np
import pytest
from scipy.stats import kstest

from chance import deviations, kolmogorov, share_limits
from forms import KERNELS, choose
from mixtura.data.array import ArraySource
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sampled, Sweep, accumulate, passes, soft
from mixtura.sweep.assign import uniforms
from mixtura.sweep.kernels import FeatureKernel, WhitenedKernel

KEY = np.array([12345, 7], np.uint64)
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def mixture_of(name="full", n_components=4, n_features=2):
    rng = np.random.default_rng(0)
    half = rng.normal(size=(n_components, n_features, n_features + 2))
    weights = rng.dirichlet(np.full(n_components, 3.0))
    covariances = covariance_structure(name).from_matrices(half @ half.swapaxes(1, 2) / 4, weights)
    return Mixture(weights, rng.normal(size=(n_components, n_features)), covariances, name)


def drawn(rows, mixture, key=KEY, n_open=None):
    """Labels and what the pass brings back."""
    labels = np.full(len(rows), -1, np.int32)
    with Sweep(ArraySource(rows)) as sweep:
        [swept] = sweep([mixture.scorer], Sampled(key, labels, n_open))
    return labels, swept


def assert_frequencies(labels, probabilities):
    """Each count of labels ``(M, N)`` is binomial, with the probabilities ``(N, K)``."""
    shares = (labels[:, :, None] == np.arange(probabilities.shape[1])).mean(axis=0)
    assert (shares[probabilities == 0] == 0).all()
    low, high = share_limits(shares, len(labels), probabilities.size)
    assert ((low <= probabilities) & (probabilities <= high)).all()


@every_kernel
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_labels_have_the_posterior_probabilities(monkeypatch, kernel, dtype, seed):
    choose(monkeypatch, kernel)
    mixture = mixture_of()
    rows = np.random.default_rng(1).normal(size=(6, 2)).astype(dtype)
    labels = np.array([drawn(rows, mixture, np.array([seed + 3, n], np.uint64))[0] for n in range(2000)])
    assert_frequencies(labels, mixture.responsibilities(rows.astype(np.float64)))


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
@every_kernel
def test_moments_are_those_of_the_labels_and_the_bound_is_the_log_likelihood(monkeypatch, structure, kernel):
    choose(monkeypatch, kernel)
    mixture = mixture_of(structure.name)
    rows = np.random.default_rng(2).normal(size=(500, 2))
    labels, swept = drawn(rows, mixture)
    np.testing.assert_array_equal(swept.moments.count, np.bincount(labels, minlength=4))
    expected = accumulate(ArraySource(rows), labels, 4, diagonal=structure.diagonal)
    moved = swept.moments.about(expected.origin)
    np.testing.assert_allclose(moved.first, expected.first, atol=1e-10)
    np.testing.assert_allclose(moved.second, expected.second, rtol=1e-9, atol=1e-10)
    assert swept.log_normaliser == pytest.approx(mixture.log_likelihood(rows), rel=1e-12)


@every_kernel
def test_any_cut_into_blocks_and_any_number_of_threads_gives_the_same_labels(monkeypatch, kernel):
    choose(monkeypatch, kernel)
    mixture, rows = mixture_of(), np.random.default_rng(3).normal(size=(10_001, 2))
    whole, _ = drawn(rows, mixture)
    for size in (97, 1000, 9999):
        for form in (FeatureKernel, WhitenedKernel):
            monkeypatch.setattr(form, "block_rows", lambda self, size=size: size)
        np.testing.assert_array_equal(drawn(rows, mixture)[0], whole)
    monkeypatch.setattr(passes, "LEAST_SHARED", 1)
    monkeypatch.setattr(passes, "LEAST_THREADED", 1)
    for threads in (1, 2, 5):
        monkeypatch.setattr(passes, "n_threads", lambda threads=threads: threads)
        np.testing.assert_array_equal(drawn(rows, mixture)[0], whole)


def test_a_chain_draws_the_same_alone_and_in_company():
    mixtures = [mixture_of("full"), mixture_of("diag"), mixture_of("full", 3), mixture_of("full")]
    rows = np.random.default_rng(4).normal(size=(300, 2))
    keys = [np.array([seed, 1], np.uint64) for seed in range(4)]
    labels = [np.empty(300, np.int32) for _ in mixtures]
    with Sweep(ArraySource(rows)) as sweep:
        together = sweep([m.scorer for m in mixtures], [Sampled(k, z) for k, z in zip(keys, labels, strict=True)])
        [softly] = sweep([mixtures[0].scorer], soft)
    for mixture, key, z, swept in zip(mixtures, keys, labels, together, strict=True):
        alone, one = drawn(rows, mixture, key)
        np.testing.assert_array_equal(z, alone)
        np.testing.assert_array_equal(swept.moments.count, one.moments.count)
    assert softly.log_normaliser == pytest.approx(together[0].log_normaliser, rel=1e-12)
    assert (labels[0] != labels[3]).any()


def test_uniform_numbers_are_keyed_by_position(seed):
    key = np.array([seed + 12345, 7], np.uint64)
    whole = uniforms(key, slice(0, 5000))
    assert kstest(whole, "uniform").statistic < kolmogorov(5000, 3)
    for start, stop in ((0, 1), (1, 9), (7, 4000), (4999, 5000)):
        np.testing.assert_array_equal(uniforms(key, slice(start, stop)), whole[start:stop])
    other = uniforms(key + np.array([0, 1], np.uint64), slice(0, 5000))
    largest = deviations(3) / np.sqrt(5000)
    assert abs(np.corrcoef(whole, other)[0, 1]) < largest
    assert abs(np.corrcoef(whole[:-1], whole[1:])[0, 1]) < largest


def test_rows_far_from_every_component_still_have_one():
    mixture = Mixture([0.5, 0.5], [[0.0], [1.0]], [1.0, 1.0], "spherical")
    rows = np.array([[0.5], [300.0], [-300.0], [1e150]])
    labels, swept = drawn(rows, mixture)
    np.testing.assert_array_equal(labels[1:3], [1, 0])
    assert labels[3] in (0, 1)
    assert swept.moments.count.sum() == 4


@every_kernel
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_are_given_to_open_components_alone_and_the_bound_is_of_all(monkeypatch, kernel, dtype, seed):
    choose(monkeypatch, kernel)
    mixture = mixture_of()
    rows = np.random.default_rng(5).normal(size=(6, 2)).astype(dtype)
    labels = np.array([drawn(rows, mixture, np.array([seed + 5, n], np.uint64), 2)[0] for n in range(2000)])
    shares = mixture.responsibilities(rows.astype(np.float64)) * [1, 1, 0, 0]
    assert_frequencies(labels, shares / shares.sum(axis=1, keepdims=True))
    found = drawn(rows, mixture, KEY, 2)[1].log_normaliser
    assert found == pytest.approx(mixture.log_likelihood(rows), rel=1e-12 if dtype == np.float64 else 1e-5)


def test_open_components_are_those_that_come_first_whether_or_not_they_have_weight(seed):
    mixture = Mixture([0.0, 0.3, 0.3, 0.4], [[0.0], [0.0], [1.0], [2.0]], np.ones(4), "spherical")
    keys = [np.array([seed + 6, n], np.uint64) for n in range(2000)]
    labels = np.array([drawn(np.array([[0.5], [2.0]]), mixture, key, 3)[0] for key in keys])
    shares = mixture.responsibilities([[0.5], [2.0]]) * [1, 1, 1, 0]
    assert_frequencies(labels, shares / shares.sum(axis=1, keepdims=True))


def test_where_only_a_distant_component_is_open_it_is_that():
    mixture = Mixture([0.1, 0.9], [[500.0], [0.0]], [1.0, 1.0], "spherical")
    labels, swept = drawn(np.array([[0.0], [0.1]]), mixture, KEY, 1)
    np.testing.assert_array_equal(labels, [0, 0])
    np.testing.assert_array_equal(swept.moments.count, [2, 0])
