"""Gibbs sampling: exact posteriors by enumeration, and the joint law of parameters and data."""

import numpy as np
import pytest

from chance import assert_shares, batch_means, deviations
from enumeration import Exact, finite_urn
from mixtura.data.array import ArraySource
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.inference.sampling import gibbs
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.sampling.gibbs import Gibbs, sample
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.components import Components, ConjugateComponents
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.model.mixture import Mixture
from mixtura.sweep import accumulate

PRIOR = NormalInverseWishart([0.3, 0.1], 0.4, [[2.0, 0.5], [0.5, 1.0]], 3.5)
PLANE = np.array([[0.0, 0.2], [1.0, 0.1], [2.5, 2.0], [3.0, 2.4], [-1.0, 0.5], [6.0, 5.0]])


def finite(n_components, concentration=1.0):
    return FiniteMixtures(ComponentCountLaw.exactly(n_components), concentration)


def start_of(name, n_components, n_features=2):
    matrices = np.broadcast_to(np.eye(n_features), (n_components, n_features, n_features))
    weights = np.full(n_components, 1 / n_components)
    means = np.random.default_rng(0).normal(size=(n_components, n_features))
    return Mixture(weights, means, covariance_structure(name).from_matrices(matrices, weights), name)


@pytest.mark.parametrize("name", ["full", "tied"])
def test_the_posterior_is_that_of_the_enumeration(name, seed):
    exact = Exact.of(PLANE, name, PRIOR, {3: (1.0, finite_urn(3, 0.8))})
    sampler = Gibbs(ConjugateComponents(covariance_structure(name), PRIOR), finite(3, 0.8), n_splits=0)
    run = sample(
        ArraySource(PLANE), [start_of(name, 3)] * 6, sampler, np.random.default_rng(seed), n_draws=500, n_warmup=30
    )
    one, other = np.triu_indices(len(PLANE), 1)
    together = run.labels[:, :, one] == run.labels[:, :, other]
    filled = run.n_filled[:, :, None] == np.arange(1, 4)
    indicators = np.concatenate([together, filled], axis=2)
    expected = np.concatenate([exact.coclustering[one, other], exact.of_n_filled[1:4]])
    assert_shares(indicators, expected)
    assert (run.n_components == 3).all()


def statistics(components, log_weights, rows):
    """What both ways to draw parameters and rows must agree on."""
    blocks = components.structure.block_from_roots(components.roots)
    variances = components.structure.block_variances(blocks, rows.shape[1])
    return [
        components.means.mean(),
        np.square(np.clip(components.means, -5, 5)).mean(),
        np.log(variances).mean(),
        np.square(np.log(variances)).mean(),
        np.log(components.scale).mean() if components.structure.diagonal else np.linalg.slogdet(components.scale)[1][0],
        np.exp(2 * log_weights).sum(),
        np.clip(rows, -5, 5).mean(),
        np.tanh(np.square(rows)).mean(),
    ]


CONJUGATE = [
    (s.name, ConjugateComponents(s, NormalInverseWishart([0.3, -0.2], 0.5, [[3.0, 0.5], [0.5, 2.0]], 7.0)))
    for s in STRUCTURES
]
HIERARCHICAL = [
    (
        f"{s.name}, hierarchical",
        SemiConjugateComponents(s, [0.3, -0.2], [[2.0, 0.4], [0.4, 1.0]], 8.0, [[9.0, 1.0], [1.0, 8.0]], 9.0),
    )
    for s in STRUCTURES
]

ROUNDED = [
    (
        f"{s.name}, rounded",
        SemiConjugateComponents(
            s, [0.3, -0.2], [[2.0, 0.4], [0.4, 1.0]], 8.0, [[9.0, 1.0], [1.0, 8.0]], 9.0, [0.4, 0.9]
        ),
    )
    for s in STRUCTURES
]


@pytest.mark.parametrize(
    ("name", "prior"),
    CONJUGATE + HIERARCHICAL + ROUNDED,
    ids=[name for name, _ in CONJUGATE + HIERARCHICAL + ROUNDED],
)
def test_parameters_and_rows_drawn_in_turn_have_the_joint_law(name, prior, seed):
    """Geweke (2004): rows given parameters and parameters given rows, over and over, must leave the prior of the parameters as it is."""
    structure, weights_prior, n_rows = prior.structure, finite(2, 1.5), 5
    n_components, n_features, rng = 2, 2, np.random.default_rng(seed)

    def prior_components():
        if isinstance(prior, ConjugateComponents):
            scale = structure.prior_block(prior.prior.scale)
            degrees = prior.prior.degrees_of_freedom
        else:
            law = structure.draw_roots(structure.prior_block(prior.scale), np.full(1, 9.0), n_features, rng)
            scale, degrees = structure.block_precisions(structure.factor_from_roots(law)), prior.degrees_of_freedom
        n_shared = int(structure.shared)
        roots = structure.draw_roots(np.repeat(scale, n_shared, axis=0), np.full(n_shared, degrees), n_features, rng)
        rounding = getattr(prior, "rounding", None)
        return prior.extend(Components(structure, np.empty((0, n_features)), roots, scale, rounding), n_components, rng)

    def draw_rows(components, log_weights):
        labels = np.sort(rng.choice(n_components, n_rows, p=np.exp(log_weights)))
        roots = np.linalg.cholesky(structure.matrices(components.covariances, n_components, n_features))
        noise = rng.standard_normal((n_rows, n_features, 1))
        return components.means[labels] + (roots[labels] @ noise)[:, :, 0], labels

    forward, backward = [], []
    for _ in range(800):
        components = prior_components()
        log_weights = np.log(rng.dirichlet(np.full(n_components, 1.5)))
        forward.append(statistics(components, log_weights, draw_rows(components, log_weights)[0]))
    for _ in range(1600):
        rows, labels = draw_rows(components, log_weights)
        moments = accumulate(ArraySource(rows), labels, n_components, diagonal=structure.diagonal)
        components = prior.update(moments, components, rng)
        log_weights = weights_prior.draw_weights(moments.count, rng).logs
        backward.append(statistics(components, log_weights, rows))
    ours = batch_means(np.array(backward)[None], 30)
    theirs = np.array(forward)
    error = np.hypot(ours.std(axis=0, ddof=1) / np.sqrt(30), theirs.std(axis=0, ddof=1) / np.sqrt(len(theirs)))
    off = (ours.mean(axis=0) - theirs.mean(axis=0)) / np.maximum(error, 1e-9)
    assert np.abs(off).max() < deviations(len(off), 29), off


def run_of(n_draws=20, n_chains=2, seed=0, rows=PLANE, **settings):
    sampler = Gibbs(ConjugateComponents(covariance_structure("full"), PRIOR), finite(2))
    starts = [start_of("full", 2)] * n_chains
    return sample(
        ArraySource(rows), starts, sampler, np.random.default_rng(seed), n_draws=n_draws, n_warmup=5, **settings
    )


def test_a_run_is_reproducible_and_its_chains_differ():
    run, again, other = run_of(), run_of(), run_of(seed=1)
    np.testing.assert_array_equal(run.draws.means, again.draws.means)
    np.testing.assert_array_equal(run.labels, again.labels)
    assert (run.draws.means != other.draws.means).all()
    assert (run.draws.means[0] != run.draws.means[1]).all()


def test_thinning_keeps_every_third_draw():
    long, short = run_of(n_draws=20), run_of(n_draws=6, thin=3)
    np.testing.assert_array_equal(short.draws.weights, long.draws.weights[:, 2:20:3])
    np.testing.assert_array_equal(short.log_likelihood, long.log_likelihood[:, 2:20:3])


def test_what_is_recorded_belongs_together():
    run = run_of()
    assert run.draws.weights.shape == (2, 20, 2)
    for c in range(2):
        for s in range(20):
            mixture = run.draws.mixture(c, s)
            assert run.log_likelihood[c, s] == pytest.approx(mixture.log_likelihood(PLANE), rel=1e-9)
            assert run.n_filled[c, s] == len(set(run.labels[c, s].tolist()))
    np.testing.assert_array_equal(run.label_rows, np.arange(6))


def test_the_log_posterior_is_that_of_partition_and_components():
    """Differences between draws are those of SciPy's densities, up to the measure in which the covariances are stated."""
    from scipy.stats import invgamma, norm

    prior = NormalInverseWishart([6.0], 0.1, [[4.0]], 4.0)
    sampler = Gibbs(ConjugateComponents(covariance_structure("spherical"), prior), finite(2, 1.3))
    rows = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    start = start_of("spherical", 2, 1)
    run = sample(ArraySource(rows), [start], sampler, np.random.default_rng(0), n_draws=10, n_warmup=0)
    for s in range(10):
        labels, mixture = run.labels[0, s], run.draws.mixture(0, s)
        means, variances = mixture.means[:, 0], mixture.covariances
        expected = finite_urn(2, 1.3)([int(label != labels[0]) for label in labels])
        expected += norm.logpdf(rows[:, 0], means[labels], np.sqrt(variances[labels])).sum()
        for k in set(labels.tolist()):
            expected += norm.logpdf(means[k], 6.0, np.sqrt(variances[k] / 0.1))
            expected += invgamma.logpdf(variances[k], 2.0, scale=2.0) + np.log(variances[k])
        assert run.log_posterior[0, s] == pytest.approx(expected, abs=1e-9)


def test_labels_take_a_byte_and_only_where_they_are_wanted():
    kept, without = run_of(), run_of(keep_labels=False)
    assert kept.labels.dtype == np.int8
    assert without.labels.size == without.label_rows.size == 0
    np.testing.assert_array_equal(without.draws.means, kept.draws.means)


@pytest.mark.parametrize(("n_components", "dtype"), [(128, np.int8), (129, np.int16)])
def test_labels_have_room_for_every_component(n_components, dtype):
    sampler = Gibbs(ConjugateComponents(covariance_structure("full"), PRIOR), finite(n_components))
    start, rng = start_of("full", n_components), np.random.default_rng(0)
    rows = start.sample(600, random_state=1)[0]
    run = sample(ArraySource(rows), [start], sampler, rng, n_draws=20, n_warmup=0)
    assert run.labels.dtype == dtype
    assert 0 <= run.labels.min() <= run.labels.max() < n_components


def test_an_interruption_returns_what_was_drawn():
    def interrupt(done, total):
        if done == 12:
            raise KeyboardInterrupt

    run = run_of(progress=interrupt)
    assert run.interrupted
    assert run.draws.n_draws == 7
    np.testing.assert_array_equal(run.draws.means, run_of().draws.means[:, :7])

    def at_once(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_of(progress=at_once)


def test_labels_of_many_rows_are_kept_for_a_subsample(monkeypatch):
    whole = run_of()
    monkeypatch.setattr(gibbs, "MOST_LABELS", 160)
    part = run_of()
    np.testing.assert_array_equal(part.label_rows, [0, 1, 3, 5])
    np.testing.assert_array_equal(part.labels, whole.labels[:, :, part.label_rows])


def test_single_precision_rows():
    exact, single = run_of(n_draws=5), run_of(n_draws=5, rows=PLANE.astype(np.float32))
    np.testing.assert_allclose(single.log_likelihood[:, 0], exact.log_likelihood[:, 0], rtol=1e-3)


def test_splits_and_mergers_need_room_for_components(seed):
    sampler = Gibbs(ConjugateComponents(covariance_structure("full"), PRIOR), finite(2), n_splits=3)
    run = sample(
        ArraySource(PLANE), [start_of("full", 2)], sampler, np.random.default_rng(seed), n_draws=600, n_warmup=0
    )
    assert run.n_components.max() == 2
    assert 0 < run.accepted[0] < 1


def test_bad_arguments_are_named():
    sampler = Gibbs(ConjugateComponents(covariance_structure("full"), PRIOR), finite(2))
    start, rng = start_of("full", 2), np.random.default_rng(0)
    with pytest.raises(DataError, match="sample_weight cannot be used"):
        sample(ArraySource(PLANE, np.ones(6)), [start], sampler, rng, n_draws=1, n_warmup=0)
    with pytest.raises(InvalidParameterError, match="n_draws must be at least 1; got 0"):
        sample(ArraySource(PLANE), [start], sampler, rng, n_draws=0, n_warmup=0)
    with pytest.raises(InvalidParameterError, match="covariance type 'diag', the prior 'full'"):
        sample(ArraySource(PLANE), [start_of("diag", 2)], sampler, rng, n_draws=1, n_warmup=0)
    with pytest.raises(InvalidParameterError, match="mean_covariance must be a positive definite"):
        SemiConjugateComponents(sampler.components.structure, [0.0], [[-1.0]], 3.0, [[1.0]], 1.0)
    with pytest.raises(InvalidParameterError, match="scale_degrees_of_freedom must exceed"):
        SemiConjugateComponents(sampler.components.structure, [0.0, 0.0], np.eye(2), 3.0, np.eye(2), 1.0)
