"""An unknown number of components: exact posteriors by enumeration, exact induced priors, and the galaxies of Richardson and Green."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import digamma

from chance import assert_means, assert_shares
from enumeration import Exact, SemiConjugateMarginal, chinese_restaurant, finite_urn, partitions
from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.inference.sampling import weights
from mixtura.inference.sampling.dirichlet_process import DirichletProcess
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.sampling.gibbs import Gibbs, sample
from mixtura.model.covariance import covariance_structure
from mixtura.model.laws.components import ConjugateComponents
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.model.mixture import Mixture

PRIOR = NormalInverseWishart([6.0], 0.1, [[4.0]], 4.0)
LINE = np.array([[0.0], [1.0], [4.0], [9.0], [10.0], [11.0]])
N = len(LINE)
LAW = ComponentCountLaw.beta_negative_binomial(most=12)


def finite(law, concentration, dynamic=False):
    """A mixture of finite mixtures and, for the oracle, its models."""
    gammas = [concentration / k if dynamic else concentration for k in range(1, law.most + 1)]
    models = {k: (p, finite_urn(k, g)) for k, (p, g) in enumerate(zip(law.probabilities, gammas, strict=True), 1)}
    return FiniteMixtures(law, concentration, dynamic), models


PARTITION_PRIORS = {
    "static": finite(LAW, 0.7),
    "dynamic": finite(LAW, 1.5, dynamic=True),
    "uniform": finite(ComponentCountLaw.uniform(5), 1.0),
    "known": finite(ComponentCountLaw.exactly(3), 0.5),
    "process": (DirichletProcess(0.9), {"dp": (1.0, chinese_restaurant(0.9))}),
}


@pytest.mark.parametrize("name", PARTITION_PRIORS)
def test_the_prior_of_partitions_is_the_product_of_urn_probabilities(name):
    prior, models = PARTITION_PRIORS[name]
    n_filled, every = np.zeros(N + 1), list(partitions(N))
    together = prior.log_probability(np.array([np.bincount(labels, minlength=N) for labels in every]))
    for labels, one_of_many in zip(every, together, strict=True):
        expected = np.logaddexp.reduce([np.log(p) + log_prior(labels) for p, log_prior in models.values() if p])
        found = prior.log_probability(np.bincount(labels).astype(float))
        assert found == pytest.approx(expected, abs=1e-10)
        assert one_of_many == pytest.approx(expected, abs=1e-10)
        n_filled[max(labels) + 1] += np.exp(expected)
    induced = prior.n_filled_prior(N)
    np.testing.assert_allclose(np.pad(induced, (0, N + 1 - len(induced))), n_filled, atol=1e-12)


def test_the_induced_prior_of_many_rows():
    """Mean and variance of a Dirichlet process's number of filled components are sums; a known number of components is seldom exceeded."""
    n = np.arange(3000)
    opening = 2.0 / (2.0 + n)
    induced = DirichletProcess(2.0).n_filled_prior(3000)
    t = np.arange(len(induced))
    assert induced.sum() == pytest.approx(1, abs=1e-12)
    assert induced @ t == pytest.approx(opening.sum(), rel=1e-12)
    assert induced @ t**2 - (induced @ t) ** 2 == pytest.approx((opening * (1 - opening)).sum(), rel=1e-10)
    assert FiniteMixtures(ComponentCountLaw.exactly(4), 1.0).n_filled_prior(3000)[4] > 0.99


@pytest.mark.parametrize("name", PARTITION_PRIORS)
def test_many_rows_at_once_are_as_good_as_one_by_one(monkeypatch, name):
    prior, found = PARTITION_PRIORS[name][0], {}
    for steps in (4096, 9000):
        monkeypatch.setattr(weights, "LEAST_STEPS", steps)
        found[steps] = prior.n_filled_prior(9000)
    size = min(map(len, found.values()))
    np.testing.assert_allclose(found[4096][:size], found[9000][:size], atol=1e-13)
    assert all(own[size:].sum() < 1e-15 for own in found.values())


def test_the_induced_prior_of_a_hundred_million_rows():
    induced = DirichletProcess(2.0).n_filled_prior(10**8)
    assert induced.sum() == pytest.approx(1, abs=1e-12)
    assert induced @ np.arange(len(induced)) == pytest.approx(2 * (digamma(2 + 1e8) - digamma(2)), rel=1e-12)


@pytest.mark.parametrize(
    ("law", "mean"),
    [
        (ComponentCountLaw.beta_negative_binomial(most=5000), 2.0),
        (ComponentCountLaw.poisson(2.5), 3.5),
        (ComponentCountLaw.geometric(0.2), 5.0),
        (ComponentCountLaw.uniform(30), 15.5),
        (ComponentCountLaw.exactly(7), 7.0),
    ],
)
def test_laws_of_the_number_of_components_have_their_means(law, mean):
    assert law.probabilities.sum() == pytest.approx(1)
    assert law.probabilities @ np.arange(1, law.most + 1) == pytest.approx(mean, rel=1e-5)


def run_of(rows, components, partition, seed, *, n_draws, n_chains=4, n_warmup=50, start=None, n_splits=0):
    if start is None:
        start = Mixture([1.0], rows.mean(axis=0)[None], np.array([rows.var()]), "spherical")
    return sample(
        ArraySource(rows),
        [start] * n_chains,
        Gibbs(components, partition, n_splits),
        np.random.default_rng(seed),
        n_draws=n_draws,
        n_warmup=n_warmup,
    )


def check_against(exact, run):
    labels, n_filled = run.labels, run.n_filled
    one, other = np.triu_indices(N, 1)
    indicators = [n_filled[:, :, None] == np.arange(1, N + 1), labels[:, :, one] == labels[:, :, other]]
    probabilities = [exact.of_n_filled[1:], exact.coclustering[one, other]]
    if "dp" not in exact.models:
        indicators.append(run.n_components[:, :, None] == exact.models)
        probabilities.append(list(exact.of_models.values()))
    assert_shares(np.concatenate(indicators, axis=2), np.concatenate(probabilities))
    assert (n_filled <= run.n_components).all()
    np.testing.assert_array_equal([[len(set(draw)) for draw in chain] for chain in labels.tolist()], n_filled)


@pytest.mark.parametrize("name", ["static", "dynamic", "process"])
def test_the_posterior_is_that_of_the_enumeration(name, seed):
    partition, models = PARTITION_PRIORS[name]
    exact = Exact.of(LINE, "spherical", PRIOR, models)
    components = ConjugateComponents(covariance_structure("spherical"), PRIOR)
    check_against(exact, run_of(LINE, components, partition, seed, n_draws=900, n_chains=8))


def test_with_moves_it_stays_so(seed):
    partition, models = PARTITION_PRIORS["uniform"]
    exact = Exact.of(LINE, "spherical", PRIOR, models)
    components = ConjugateComponents(covariance_structure("spherical"), PRIOR)
    run = run_of(LINE, components, partition, seed, n_draws=200, n_chains=8, n_splits=2)
    check_against(exact, run)
    assert (run.accepted > 0.02).all()


LEARNT = SemiConjugateComponents(
    covariance_structure("spherical"), [6.0], [[30.0]], 4.0, [[2.0]], 3.0, resolution=[0.7]
)


@pytest.mark.parametrize(
    ("name", "structure"), [("known", "full"), ("static", "diag"), ("process", "spherical"), ("known", "tied")]
)
def test_the_posterior_under_a_learnt_scale_is_that_of_the_enumeration(name, structure, seed):
    partition, models = PARTITION_PRIORS[name]
    components = replace(LEARNT, structure=covariance_structure(structure))
    exact = Exact.of(LINE, structure, None, models, SemiConjugateMarginal(LINE, structure == "tied", components))
    start = Mixture(
        np.full(3, 1 / 3),
        [[1.0], [4.0], [10.0]],
        components.structure.from_matrices(np.ones((3, 1, 1)), np.ones(3)),
        structure,
    )
    run = run_of(LINE, components, partition, seed, n_draws=600, n_chains=8, start=start, n_splits=2)
    check_against(exact, run)


def test_three_tight_groups_that_labels_alone_would_not_part(seed):
    """Two components are known, one draw in twenty has rows in both, and drawing labels never leads there and back."""
    rows = np.repeat([[0.0, 0.0], [5.0, 1.0], [1.0, 5.0]], 2, axis=0) + np.tile([[0.0, 0.0], [0.02, 0.01]], (3, 1))
    prior = NormalInverseWishart([2.0, 2.0], 1e-5, np.diag([1.5, 1.5]), 3.0)
    exact = Exact.of(rows, "diag", prior, {2: (1.0, finite_urn(2, 0.1))})
    assert exact.of_n_filled[2] == pytest.approx(0.0442, abs=0.0001)
    components = ConjugateComponents(covariance_structure("diag"), prior)
    partition = FiniteMixtures(ComponentCountLaw.exactly(2), 0.1)
    start = Mixture([0.5, 0.5], rows[[0, 3]], np.ones((2, 2)), "diag")
    run = run_of(rows, components, partition, seed, n_draws=250, n_chains=8, start=start, n_splits=10)
    apart = run.n_filled == 2
    assert_means(apart, exact.of_n_filled[2], n_batches=2)


def test_draws_of_different_size_are_mixtures(seed):
    components = ConjugateComponents(covariance_structure("spherical"), PRIOR)
    for partition in (PARTITION_PRIORS["static"][0], PARTITION_PRIORS["process"][0]):
        run = run_of(LINE, components, partition, seed, n_draws=30)
        assert run.draws.n_components == run.n_components.max() > run.n_components.min()
        np.testing.assert_array_equal((run.draws.weights > 0).sum(axis=2) <= run.n_components, True)
        for c, s in ((0, 0), (3, 29)):
            mixture = run.draws.mixture(c, s)
            assert run.log_likelihood[c, s] == pytest.approx(mixture.log_likelihood(LINE), rel=1e-9)
        assert np.isfinite(run.log_posterior).all()


def richardson_and_green(galaxies):
    """The copy of the data that the published posterior is of: the 78th velocity is 26.960."""
    rows = galaxies.copy()
    rows[77] = 26.960
    assert np.sort(galaxies[:, 0])[77] == galaxies[77, 0]
    components = SemiConjugateComponents.of_ranges(
        covariance_structure("spherical"), rows.min(axis=0), rows.max(axis=0)
    )
    return rows, components, FiniteMixtures(ComponentCountLaw.uniform(30), 1.0)


PUBLISHED = {3: 0.061, 4: 0.128, 5: 0.182, 6: 0.199, 7: 0.160, 8: 0.109}


def test_galaxies_in_short(galaxies, seed):
    """Chains keep their number of components for hundreds of sweeps: bench/galaxies.py has longer ones.

    From one run of this length to another a probability spreads by 0.05 and the mean of the number, cut at 3 and 9, by 0.17: here are six
    of each, and what is left of the start.
    """
    rows, *prior = richardson_and_green(galaxies)
    means = np.quantile(rows, (np.arange(6) + 0.5) / 6, axis=0)
    start = Mixture(np.full(6, 1 / 6), means, np.full(6, 0.5), "spherical")
    run = run_of(rows, *prior, seed, n_draws=400, n_warmup=200, n_chains=8, start=start)
    found = [(run.n_components == k).mean() for k in PUBLISHED]
    np.testing.assert_allclose(found, list(PUBLISHED.values()), atol=0.3)
    mean = sum(k * p for k, p in PUBLISHED.items()) + 9 * (1 - sum(PUBLISHED.values()))
    assert np.clip(run.n_components, 3, 9).mean() == pytest.approx(mean, abs=1.2)
    assert (run.n_filled < run.n_components).mean() > 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FiniteMixtures(LAW, 0.0), "concentration must be positive"),
        (lambda: DirichletProcess(-1.0), "concentration must be positive"),
        (lambda: ComponentCountLaw([-np.inf]), "log probability"),
        (lambda: ComponentCountLaw([]), "log probability"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(InvalidParameterError, match=message):
        make()
