"""``SampledGaussianMixture``: draws under the priors it says, labels straight, and everything a user may then ask for."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx
from chance import SERIES, deviations, largest_r_hat
from mixtura.assess.draws.partition_mixture import partition_mixture

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONJUGATE = mx.NormalInverseWishart([2.4, 0.6], 1.0, [[4.0, 0.0], [0.0, 1.0]], 2.0)
SAMPLERS = {
    "nuts": {"sampler": "nuts", "n_draws": 250, "n_tune": 250},
    "gibbs": {"sampler": "gibbs", "n_draws": 400, "n_tune": 100},
}


def two_clouds(n_rows=150, seed=0):
    return mx.Mixture([0.4, 0.6], [[0.0, 0.0], [4.0, 1.0]], [1.0, 0.5], "spherical").sample(n_rows, random_state=seed)[
        0
    ]


@pytest.fixture(scope="module", params=SAMPLERS)
def fitted(request, seed):
    if request.param == "nuts":
        pytest.importorskip("nutpie")
    settings = {"n_chains": 2, "covariance_type": "diag", "random_state": seed, **SAMPLERS[request.param]}
    return mx.SampledGaussianMixture(2, **settings).fit(two_clouds())


def test_the_point_is_the_mean_of_relabelled_draws(fitted):
    draws = fitted.draws_
    assert draws.weights.shape == (2, fitted.n_draws, 2)
    np.testing.assert_allclose(fitted.weights_, draws.weights.mean(axis=(0, 1)))
    np.testing.assert_allclose(fitted.means_, draws.means.mean(axis=(0, 1)))
    order = fitted.means_[:, 0].argsort()
    np.testing.assert_allclose(fitted.means_[order], [[0, 0], [4, 1]], atol=0.5)
    np.testing.assert_allclose(fitted.weights_[order], [0.4, 0.6], atol=0.12)
    assert fitted.relabelling_.failure_rate == 0
    assert fitted.mixture_.weights.tolist() == fitted.weights_.tolist()
    for found in fitted.diagnostics_.quantities:
        size = min(found.bulk_size, found.tail_size)
        assert found.r_hat < largest_r_hat(2, size, len(fitted.diagnostics_.quantities)), found.name
    assert fitted.converged_ == fitted.diagnostics_.sound


def test_rows_are_labelled_and_scored_by_all_draws(fitted):
    X = two_clouds()
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.predict(X), fitted.predict_proba(X).argmax(axis=1))
    flat = [fitted.draws_.mixture(c, s) for c in range(2) for s in range(fitted.n_draws)]
    slow = np.log(np.mean([m.pdf(X[:5]) for m in flat], axis=0))
    np.testing.assert_allclose(fitted.score_samples(X[:5]), slow, rtol=1e-9)


def test_what_else_is_asked_of_it(fitted):
    X = two_clouds()
    together = fitted.coclustering(X)
    assert together.shape == (150, 150)
    labels = fitted.predict(X)
    assert together[labels[:, None] == labels].mean() > 0.9 > 0.1 > together[labels[:, None] != labels].mean()
    found = fitted.estimate_partition(X)
    assert found.n_clusters == 2
    swapped = (found.labels != labels).mean() > 0.5
    differing = (found.labels != labels) ^ swapped
    assert fitted.predict_proba(X)[differing].max(initial=0.5) < 0.75  # rows that either could have
    assert fitted.n_components_posterior_.tolist() == [0, 0, 1]
    assert fitted.log_posterior_.shape == fitted.log_likelihood_.shape == (2, fitted.n_draws)
    best = np.unravel_index(fitted.log_likelihood_.argmax(), (2, fitted.n_draws))
    assert fitted.draws_.mixture(*best).log_likelihood(X) == pytest.approx(fitted.log_likelihood_[best], rel=1e-9)
    if fitted.sampler == "gibbs":
        assert fitted.n_components_prior_.sum() == pytest.approx(1)
    else:
        assert fitted.n_components_prior_ is None


def test_a_seed_repeats_it_and_a_pickle_keeps_it(fitted):
    again = clone(fitted).fit(two_clouds())
    np.testing.assert_array_equal(again.draws_.means, fitted.draws_.means)
    kept = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(kept.score_samples(two_clouds()), fitted.score_samples(two_clouds()))
    assert kept.diagnostics_.verdict == fitted.diagnostics_.verdict


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")  # of one row in 150, by chance
def test_arviz_reads_it(fitted):
    pytest.importorskip("arviz_base")
    tree = fitted.to_arviz(two_clouds())
    sizes = {"chain": 2, "draw": fitted.n_draws, "component": 2, "feature": 2, "rank": 2}
    assert dict(tree["posterior"].sizes) == sizes
    assert float(fitted.loo(two_clouds()).elpd) == pytest.approx(fitted.score(two_clouds()) * 150, abs=15)


def test_a_higher_target_makes_shorter_steps(seed):
    pytest.importorskip("nutpie")
    settings = SAMPLERS["nuts"] | {"n_draws": 100, "n_chains": 1, "random_state": seed}
    steps = [
        mx.SampledGaussianMixture(1, **settings | {"sampler": mx.Nuts(target)})
        .fit(two_clouds())
        .sample_stats_["step_size"][0, -1]
        for target in (0.6, 0.8, 0.99)
    ]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 1.5 * steps[2]
    with pytest.raises(ValueError, match="target_accept"):
        mx.Nuts(target_accept=1.0)


def test_an_unknown_number_of_components(seed):
    X = np.concatenate([two_clouds(100), two_clouds(100) + 20])[:, :1]
    gm = mx.SampledGaussianMixture(
        mx.ComponentCountLaw.uniform(8),
        sampler="gibbs",
        covariance_type="spherical",
        weight_concentration_prior=0.02,  # few rows leave the four clouds: otherwise five components are as probable as four
        prior=mx.NormalInverseWishart(X.mean(axis=0), 0.01, [[2.0]], 4.0),
        n_draws=90,
        n_tune=90,
        random_state=seed,
    ).fit(X)
    assert gm.n_components_posterior_.argmax() == 4
    assert len(gm.n_components_posterior_) == gm.draws_.n_components + 1
    assert gm.relabelling_.draws.n_components == gm.mixture_.n_components == 4
    np.testing.assert_allclose(np.sort(gm.means_[:, 0]), [0, 4, 20, 24], atol=1)
    assert gm.n_components_prior_[:9].sum() == pytest.approx(1)
    assert set(np.unique(gm.predict(X))) == {0, 1, 2, 3}


def test_components_that_cannot_be_told_apart_are_not_summarised(seed):
    X = np.random.default_rng(0).normal(size=(60, 1))
    settings = SAMPLERS["gibbs"] | {"n_draws": 300}
    prior = mx.NormalInverseWishart(X.mean(axis=0), 1.0, [[X.var()]], 1.0)
    gm = mx.SampledGaussianMixture(3, covariance_type="tied", prior=prior, random_state=seed, **settings).fit(X)
    with pytest.raises(ValueError, match="cannot be told apart"):
        gm.relabelling_.expectations()
    partition = gm.estimate_partition(X)
    assert gm.mixture_ == partition_mixture(gm.draws_, X, partition.labels)
    assert np.isfinite(gm.score_samples(X)).all()
    assert gm.predict(X).shape == (60,)


def test_priors_are_said_and_wrong_ones_refused():
    X = two_clouds()
    semi = mx.SemiConjugateComponents.of_ranges(
        mx.Mixture([1.0], [[0.0, 0.0]], [1.0], "spherical").structure, X.min(axis=0), X.max(axis=0)
    )
    gm = mx.SampledGaussianMixture(
        2, covariance_type="spherical", prior=semi, random_state=0, **(SAMPLERS["gibbs"] | {"n_draws": 50})
    ).fit(X)
    assert gm.prior_ is semi
    with pytest.raises(ValueError, match="covariance_type='full'"):
        mx.SampledGaussianMixture(2, prior=semi, sampler="gibbs").fit(X)
    with pytest.raises(ValueError, match="sampler='nuts' takes"):
        mx.SampledGaussianMixture(2, prior=CONJUGATE).fit(X)
    with pytest.raises(ValueError, match="prior is for 2 features; the data have 1"):
        mx.SampledGaussianMixture(2, sampler="gibbs", prior=CONJUGATE).fit(X[:, :1])
    with pytest.raises(ValueError, match=r"knows the number of components.*Use sampler='gibbs'"):
        mx.SampledGaussianMixture("dirichlet-process").fit(X)
    with pytest.raises(ValueError, match="sample_weight"):
        mx.SampledGaussianMixture(2, sampler="gibbs").fit(X, sample_weight=np.full(len(X), 2.0))


def test_nuts_says_its_default_prior(capsys):
    pytest.importorskip("nutpie")
    gm = mx.SampledGaussianMixture(
        1, n_chains=1, random_state=0, verbose=1, **(SAMPLERS["nuts"] | {"n_draws": 20})
    ).fit(two_clouds())
    said = str(gm.record_.log_prior)
    assert capsys.readouterr().out.startswith(f"Prior: {said}")
    assert said.startswith("weights Dirichlet(1); means normal(location ")
    assert "inverse Wishart" in said


@pytest.mark.parametrize("sampler", ["nuts", "gibbs"])
def test_the_prior_is_what_may_be_given_again(sampler):
    if sampler == "nuts":
        pytest.importorskip("nutpie")
    settings, X = {"n_chains": 1, "n_draws": 10, "n_tune": 10}, two_clouds()
    by_default = mx.SampledGaussianMixture(1, sampler=sampler, random_state=0, **settings).fit(X)
    again = mx.SampledGaussianMixture(1, sampler=sampler, prior=by_default.prior_, random_state=0, **settings).fit(X)
    np.testing.assert_array_equal(again.draws_.means, by_default.draws_.means)


def test_solvers_agree_on_the_evidence(seed):
    """Gibbs draws by bridge sampling, the variational posterior by importance sampling: one prior, one number."""
    X = two_clouds(60)
    shared = {"covariance_type": "diag", "random_state": seed}
    prior = mx.NormalInverseWishart(X.mean(axis=0), 1.0, 5 * np.eye(2), 6.0)
    sampled = mx.SampledGaussianMixture(2, prior=prior, **(SAMPLERS["gibbs"] | {"n_draws": 1000}), **shared).fit(X)
    variational = mx.BayesianGaussianMixture(
        2,
        prior=prior,
        weight_concentration_prior=1.0,
        weight_concentration_prior_type="dirichlet_distribution",
        **shared,
    ).fit(X)
    most = deviations(2, SERIES)
    one, other = sampled.log_evidence(X, random_state=seed), variational.log_evidence(X, random_state=seed)
    assert one.value == pytest.approx(other.value, abs=most * np.hypot(one.standard_error, other.standard_error))
    assert one.standard_error < 0.1
    third = sampled.log_evidence(X, method="modes", random_state=seed)
    assert third.value == pytest.approx(other.value, abs=most * np.hypot(third.standard_error, other.standard_error))
    with pytest.raises(ValueError, match="'bridge' or 'modes'"):
        sampled.log_evidence(X, method="chib")
    open_number = mx.SampledGaussianMixture(
        "dirichlet-process", sampler="gibbs", n_draws=30, n_tune=30, random_state=0
    ).fit(X)
    with pytest.raises(ValueError, match="known number of components"):
        open_number.log_evidence(X)


def test_nuts_ends_where_rows_say_little_and_says_why():
    pytest.importorskip("nutpie")
    rows = np.random.default_rng(2).normal(size=(20, 1))
    thrifty = mx.Nuts(gradients_per_draw=40)
    gm = mx.SampledGaussianMixture(8, sampler=thrifty, n_draws=100, n_tune=20, n_chains=2, random_state=0)
    with pytest.warns(ConvergenceWarning, match="chains were given up.* a draw, because 20 rows say little"):
        gm.fit(rows)
    assert not gm.diagnostics_.sound
    assert gm.sample_stats_["n_steps"].sum(axis=1).max() < 40 * 120 + 1024
