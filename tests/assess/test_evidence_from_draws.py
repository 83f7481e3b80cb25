"""The evidence by bridge sampling and about modes: enumeration, quadrature, densities by definition, and errors that are honest."""

from itertools import permutations
from math import factorial

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import dirichlet, f, gamma, invgamma, invwishart, kstest, multivariate_normal, multivariate_t, norm

import mixtura as mx
from chance import SERIES, deviations, kolmogorov, spread_limits
from enumeration import Exact, finite_urn
from mixtura.assess.draws.convergence import bulk_size
from mixtura.assess.evidence.bridge_sampling import bridge, bridge_sampling
from mixtura.assess.evidence.mode_sampling import (
    DEGREES_OF_FREEDOM,
    WIDE_SHARE,
    WIDENING,
    StudentProposal,
    climb,
    mode_sampling,
)
from mixtura.assess.evidence.points import Conditional, PointJoint, Points
from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.inference.sampling import nuts
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.sampling.gibbs import Gibbs, sample
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.draws import Draws
from mixtura.model.laws.components import Components, ConjugateComponents
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.log_densities import ConjugatePrior, SemiConjugatePrior
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.scale_laws import HalfCauchy, HalfNormal, LogNormal
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.model.laws.weights import Dirichlet
from mixtura.model.moments import Moments

FIVE = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
FIVE_EVIDENCE = {1: -21.802099237667, 2: -15.513655943397, 3: -15.406090711916}
FIVE_PRIOR = NormalInverseWishart([6.0], 0.1, [[4.0]], 4.0)
FIVE_MODES = {
    1: [([1.0], [[7.0]])],
    2: [([0.4, 0.6], [[0.5], [11.0]])],
    3: [
        ([0.4, 0.5, 0.1], [[0.5], [11.0], [6.0]]),
        ([0.4, 0.3, 0.3], [[0.5], [10.5], [12.0]]),
        ([0.3, 0.3, 0.4], [[0.0], [1.0], [11.0]]),
    ],
}
SEVEN = np.array([[0.1, 0.3], [1.0, -0.2], [-0.4, 0.8], [0.6, 1.1], [3.0, 2.4], [2.2, 3.1], [3.6, 3.3]])
SEVEN_PRIOR = NormalInverseWishart([1.0, 1.2], 0.5, [[6.0, 1.5], [1.5, 4.5]], 10.0)
LOOSE_PRIOR = NormalInverseWishart([1.0, 1.2], 0.5, [[2.0, 0.5], [0.5, 1.5]], 5.0)

MOST = deviations(2, SERIES)
"""Standard errors that an estimate of the evidence may lie off, where a test has two of them or one; how large those are is tested too."""

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def conjugate(structure, prior, concentration=1.0):
    return ConjugatePrior(ConjugateComponents(structure, prior), concentration)


def gibbs_draws(rows, start, prior, seed, n_draws, n_chains=2):
    sampler = Gibbs(
        prior.components, FiniteMixtures(ComponentCountLaw.exactly(start.n_components), prior.concentration)
    )
    rng = np.random.default_rng(seed)
    return sample(ArraySource(rows), [start] * n_chains, sampler, rng, n_draws=n_draws, n_warmup=30).draws


def five_points(n_components):
    """Prior, and near modes of the posterior."""
    modes = [mx.Mixture(w, m, np.ones(n_components), "spherical") for w, m in FIVE_MODES[n_components]]
    return conjugate(modes[0].structure, FIVE_PRIOR), modes


def some_mixtures(structure, n_components=3, n_features=2, n_mixtures=4, seed=0):
    """As draws, components in no order."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 3.0), (1, n_mixtures))
    means = rng.normal(size=(1, n_mixtures, n_components, n_features))
    halves = rng.normal(size=(n_mixtures, n_components, n_features, 3 * n_features))
    matrices = halves @ halves.swapaxes(2, 3) / (3 * n_features)
    covariances = [structure.from_matrices(m, np.ones(n_components) / n_components) for m in matrices]
    return Draws(structure, weights, means, np.array(covariances)[None])


def every(draws):
    return list(draws.thinned(len(draws)))


# ---- known answers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_bridge_sampling_on_five_points(n_components, seed):
    prior, modes = five_points(n_components)
    draws = gibbs_draws(FIVE, modes[0], prior, seed + n_components, n_draws=400)
    found = bridge_sampling(draws, ArraySource(FIVE), prior, np.random.default_rng(seed))
    exact = FIVE_EVIDENCE[n_components]
    assert abs(found.value - exact) < MOST * found.standard_error + 1e-10
    assert found.standard_error < 0.05
    assert found.pareto_k < 2.0  # over forty seeds it was 0.2 on average, and off that by 0.36


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_mode_sampling_on_five_points(n_components, seed):
    prior, modes = five_points(n_components)
    found = mode_sampling(modes, ArraySource(FIVE), prior, np.random.default_rng(seed))
    assert abs(found.value - FIVE_EVIDENCE[n_components]) < MOST * found.standard_error + 1e-10
    assert found.standard_error < 0.1


def test_errors_on_five_points_are_honest(seed):
    """Six estimates of each kind are off by as much as they say, within chance; errors that draws tell are known to a tenth."""
    (prior, modes), source, n = five_points(2), ArraySource(FIVE), 6
    draws = gibbs_draws(FIVE, modes[0], prior, seed + 18, n_draws=100, n_chains=n)
    low, high = spread_limits(n + 1, 4)  # the mean is known, so squares have all of their degrees of freedom
    off = np.empty((2, n))
    for c in range(n):
        own = Draws(draws.structure, draws.weights[c : c + 1], draws.means[c : c + 1], draws.covariances[c : c + 1])
        bridged = bridge_sampling(own, source, prior, np.random.default_rng(seed + c))
        about_mode = mode_sampling(modes, source, prior, np.random.default_rng(seed + c), n_draws=300)
        for scores, found in zip(off, (bridged, about_mode), strict=True):
            scores[c] = (found.value - FIVE_EVIDENCE[2]) / found.standard_error
    assert (0.9 * low < np.sqrt(np.square(off).mean(axis=1))).all(), off
    assert (np.sqrt(np.square(off).mean(axis=1)) < 1.1 * high).all(), off
    assert (np.abs(off.mean(axis=1)) < 1.1 * deviations(4) / np.sqrt(n)).all(), off


@every_structure
def test_all_partitions_of_seven_rows(structure, seed):
    exact = Exact.of(SEVEN, structure.name, SEVEN_PRIOR, {2: (1.0, finite_urn(2, 0.8))}).log_evidence
    identities = np.broadcast_to(np.eye(2), (2, 2, 2))
    covariances = structure.from_matrices(identities, np.full(2, 0.5))
    start = mx.Mixture([0.55, 0.45], [[0.3, 0.5], [2.9, 2.9]], covariances, structure.name)
    prior, source = conjugate(structure, SEVEN_PRIOR, 0.8), ArraySource(SEVEN)
    draws = gibbs_draws(SEVEN, start, prior, seed + 1, n_draws=250)
    bridged = bridge_sampling(draws, source, prior, np.random.default_rng(seed + 2))
    assert abs(bridged.value - exact) < MOST * bridged.standard_error < 0.85


@every_structure
def test_about_the_one_mode_of_seven_rows_in_two_groups(structure, seed):
    """Farther apart than above, where partitions that a single mode knows nothing of leave ratios with long tails."""
    rows = SEVEN + 3 * (np.arange(7) > 3)[:, None]
    exact = Exact.of(rows, structure.name, SEVEN_PRIOR, {2: (1.0, finite_urn(2, 0.8))}).log_evidence
    covariances = structure.from_matrices(np.broadcast_to(np.eye(2), (2, 2, 2)), np.full(2, 0.5))
    start = mx.Mixture([0.55, 0.45], [rows[:4].mean(axis=0), rows[4:].mean(axis=0)], covariances, structure.name)
    prior = conjugate(structure, SEVEN_PRIOR, 0.8)
    found = mode_sampling([start], ArraySource(rows), prior, np.random.default_rng(seed + 3))
    assert abs(found.value - exact) < MOST * found.standard_error < 1.2


def test_three_components_that_overlap(seed):
    exact = Exact.of(SEVEN, "full", LOOSE_PRIOR, {3: (1.0, finite_urn(3, 0.8))}).log_evidence
    prior = conjugate(covariance_structure("full"), LOOSE_PRIOR, 0.8)
    start = mx.Mixture([0.3, 0.3, 0.4], SEVEN[[0, 2, 5]], np.broadcast_to(np.eye(2), (3, 2, 2)), "full")
    draws = gibbs_draws(SEVEN, start, prior, seed + 4, n_draws=300)
    found = bridge_sampling(draws, ArraySource(SEVEN), prior, np.random.default_rng(seed + 5))
    assert abs(found.value - exact) < MOST * found.standard_error < 0.85


def one_normal(rows, prior):
    """Log evidence of one normal by quadrature of ``μ`` and ``log τ``, and a way to draw exactly from the posterior.

    Given ``τ`` the mean has a normal law; ``τ`` itself is drawn by inverting its distribution function on a fine grid.
    """
    location, spread = prior.mean_location[0], prior.mean_scale[0]

    def log_joint(log_tau):
        tau = np.exp(log_tau)
        precision = 1 / spread**2 + len(rows) / tau**2
        mean = (location / spread**2 + rows.sum() / tau**2) / precision
        at = norm.logpdf(rows, mean, tau).sum(axis=0) + norm.logpdf(mean, location, spread)
        at -= norm.logpdf(0.0, 0.0, precision**-0.5)
        return at + prior.scales.log_density(log_tau) + log_tau

    def draw(shape, rng):
        grid = np.linspace(-3, 6, 20_001)
        distribution = np.cumsum(np.exp(log_joint(grid)))
        tau = np.exp(np.interp(rng.uniform(size=shape) * distribution[-1], distribution, grid))
        precision = 1 / spread**2 + len(rows) / tau**2
        means = rng.normal((location / spread**2 + rows.sum() / tau**2) / precision, precision**-0.5)
        ones = np.ones((*shape, 1))
        return Draws(covariance_structure("spherical"), ones, means[..., None, None], tau[..., None] ** 2)

    return np.log(quad(lambda t: np.exp(log_joint(np.array([t]))[0]), -6, 9, limit=200)[0]), draw


@pytest.mark.parametrize("scales", [HalfCauchy(2.0), HalfNormal(3.0), LogNormal(1.0, 0.7)], ids=str)
def test_one_component_under_an_independent_prior(scales, seed):
    rows = np.array([[0.3], [1.9], [-0.4], [2.2], [0.8], [1.1]])
    prior = IndependentPrior([1.0], [5.0], scales)
    exact, draw = one_normal(rows, prior)
    rng, source = np.random.default_rng(seed + 6), ArraySource(rows)
    bridged = bridge_sampling(draw((2, 1000), rng), source, prior, rng)
    assert abs(bridged.value - exact) < MOST * bridged.standard_error < 0.3
    mode = mx.Mixture([1.0], [[1.0]], [1.0], "spherical")
    about_mode = mode_sampling([mode], source, prior, rng, n_draws=4000)
    assert abs(about_mode.value - exact) < MOST * about_mode.standard_error < 0.15


def test_weighted_rows_count_as_repeated_ones(seed):
    prior, modes = five_points(2)
    weights, rng = np.array([1.0, 2.0, 1.0, 2.0, 1.0]), np.random.default_rng(seed + 7)
    repeated = FIVE.repeat(weights.astype(int), axis=0)
    exact = Exact.of(repeated, "full", FIVE_PRIOR, {2: (1.0, finite_urn(2, 1.0))}).log_evidence
    draws = gibbs_draws(repeated, modes[0], prior, seed + 8, n_draws=300)
    for found in (
        bridge_sampling(draws, ArraySource(FIVE, weights), prior, rng),
        mode_sampling(modes, ArraySource(FIVE, weights), prior, rng),
    ):
        assert abs(found.value - exact) < MOST * found.standard_error < 0.3


@pytest.mark.parametrize("kind", ["conjugate", "semi-conjugate", pytest.param("independent", marks=pytest.mark.slow)])
def test_both_ways_agree_on_acidity(kind, acidity, seed):
    structure = covariance_structure("spherical")
    mode = mx.Mixture([0.6, 0.4], [[4.33], [6.25]], [0.14, 0.27], "spherical")
    rng, source = np.random.default_rng(seed + 9), ArraySource(acidity)
    niw = NormalInverseWishart([5.0], 0.05, [[0.5]], 4.0)
    prior = conjugate(structure, niw)
    if kind == "semi-conjugate":
        components = SemiConjugateComponents.of_ranges(structure, acidity.min(axis=0), acidity.max(axis=0))
        prior = SemiConjugatePrior(components, 1.0)
    if kind == "independent":
        pytest.importorskip("nutpie")
        prior = IndependentPrior([5.0], [3.0], HalfNormal(1.0))
        draws = nuts.sample(source, [mode], prior, rng=rng, n_draws=200, n_tune=150, n_chains=2).draws
    else:
        draws = gibbs_draws(acidity, mode, prior, seed + 10, n_draws=300)
    bridged, about_mode = bridge_sampling(draws, source, prior, rng), mode_sampling([mode], source, prior, rng)
    error = np.hypot(bridged.standard_error, about_mode.standard_error)
    # Here chains know of draws that the mode knows nothing of: ratios have a long tail, and an error of their own that is too small.
    assert abs(bridged.value - about_mode.value) < (1.0 if kind == "independent" else MOST * error)
    assert max(bridged.standard_error, about_mode.standard_error) < 0.25


@pytest.mark.slow
def test_galaxies_in_the_setting_of_richardson_and_green(galaxies, seed):
    """Under their flat prior of ``K`` the posterior has 0.061 of ``K = 3`` and 0.128 of ``K = 4``."""
    rows = np.where(np.isclose(galaxies, 26.690), 26.960, galaxies)  # the variant that they had
    structure, found = covariance_structure("spherical"), []
    prior = SemiConjugatePrior(SemiConjugateComponents.of_ranges(structure, rows.min(axis=0), rows.max(axis=0)), 1.0)
    for n_components in (3, 4):
        means = np.quantile(rows, np.linspace(0.02, 0.98, n_components), axis=0)
        start = mx.Mixture(np.full(n_components, 1 / n_components), means, np.ones(n_components), "spherical")
        draws = gibbs_draws(rows, start, prior, seed + 22, n_draws=800, n_chains=4)
        found.append(bridge_sampling(draws, ArraySource(rows), prior, np.random.default_rng(seed + 23)))
    three, four = found
    error = np.hypot(three.standard_error, four.standard_error)
    assert error < 0.4
    assert abs(four.value - three.value - np.log(0.128 / 0.061)) < MOST * error


# ---- densities by definition ---------------------------------------------------------------------------------------------------


def log_conjugate_density(name, mixture, concentrations, means, precisions, scales, degrees):
    """Log density of one order of the components by scipy's laws; ``scales`` are those of the blocks."""
    structure, total = mixture.structure, dirichlet.logpdf(mixture.weights, concentrations)
    matrices = mixture.covariance_matrices
    for j in range(mixture.n_components):
        total += multivariate_normal.logpdf(mixture.means[j], means[j], matrices[j] / precisions[j])
    for block, scale, nu in zip(structure.as_blocks(mixture.covariances), scales, degrees, strict=True):
        if name.endswith(("full", "tied")):
            total += invwishart.logpdf(block, nu, scale)
        elif name.endswith("diag"):
            total += invgamma.logpdf(block, nu / 2, scale=scale / 2).sum()
        else:
            d = mixture.n_features
            total += invgamma.logpdf(block, d * nu / 2, scale=d * scale / 2)
    return total


@every_structure
def test_the_conjugate_prior_by_its_laws(structure):
    prior = conjugate(structure, SEVEN_PRIOR, 0.8)
    for mixture in every(some_mixtures(structure)):
        n_blocks = 1 if structure.shared else 3
        scales = np.repeat(structure.prior_block(SEVEN_PRIOR.scale), n_blocks, axis=0)
        means = np.tile(SEVEN_PRIOR.mean, (3, 1))
        expected = log_conjugate_density(
            structure.name, mixture, np.full(3, 0.8), means, np.full(3, 0.5), scales, np.full(n_blocks, 10.0)
        )
        assert prior.value(mixture) == pytest.approx(expected, rel=1e-10)


@every_structure
def test_the_proposal_of_allocations_by_a_sum_over_all_orders(structure):
    rng = np.random.default_rng(11)
    beliefs = []
    for _ in range(2):
        labels = rng.integers(3, size=len(SEVEN))
        one_hot = (labels == np.arange(3)[:, None]).astype(float)
        second = np.einsum("kn,ni,nj->kij", one_hot, SEVEN, SEVEN)
        moments = Moments(one_hot.sum(axis=1), one_hot @ SEVEN, second, np.zeros((3, 2)))
        moments = moments.diagonals() if structure.diagonal else moments
        beliefs.append(Posterior.from_moments(moments, structure, SEVEN_PRIOR, Dirichlet(0.8, np.full(3, 0.8))))
    draws = some_mixtures(structure)
    terms = [
        [
            log_conjugate_density(
                structure.name,
                mixture.reorder(order),
                belief.weights.concentrations,
                belief.means,
                belief.mean_precisions,
                structure.as_blocks(belief.scales),
                belief.degrees_of_freedom,
            )
            for belief in beliefs
            for order in permutations(range(3))
        ]
        for mixture in every(draws)
    ]
    expected = np.logaddexp.reduce(terms, axis=1) - np.log(2 * factorial(3))
    densities = [Conditional(belief).log_densities(Points.of(draws)) for belief in beliefs]
    np.testing.assert_allclose(np.logaddexp.reduce(densities, axis=0) - np.log(2), expected, rtol=1e-9)


@every_structure
def test_draws_of_the_proposal_have_its_density(structure, seed):
    """The mean ratio of a part of the proposal to all of it, over draws, is one: only if they have the density that is stated."""
    laws = []
    for group, firmness in ((0, 3.0), (1, 5.0)):
        rows = np.random.default_rng(group).normal(size=(9, 2)) + 0.5 * np.arange(9)[:, None] // 3
        one_hot = np.repeat(np.eye(3), 3, axis=1) * firmness
        second = np.einsum("kn,ni,nj->kij", one_hot, rows, rows)
        moments = Moments(one_hot.sum(axis=1), one_hot @ rows, second, np.zeros((3, 2)))
        moments = moments.diagonals() if structure.diagonal else moments
        belief = Posterior.from_moments(moments, structure, SEVEN_PRIOR, Dirichlet(0.8, np.full(3, 0.8)))
        laws.append(Conditional(belief))
    rng = np.random.default_rng(seed + 12)
    draws = Points.joined([law.draw(2000, rng) for law in laws])
    wide, narrow = (law.log_densities(draws) for law in laws)
    ratios = np.exp(wide - np.logaddexp(wide, narrow) + np.log(2))  # at most two
    assert abs(ratios.mean() - 1) < deviations() * ratios.std() / np.sqrt(len(ratios))
    assert 0.1 < ratios.std() < 1.1


def student_about(structure, n_components=3, seed=13):
    """A proposal of some centre and shape about some mixture."""
    (reference,) = every(some_mixtures(structure, n_components, n_mixtures=1, seed=seed))
    about = Coordinates(reference, np.array([5.0, 9.0, 3.0])[:n_components])
    rng = np.random.default_rng(seed)
    size = about.size - 1
    return StudentProposal(about, rng.normal(size=size), np.eye(size) + 0.2 * rng.normal(size=(size, size)))


@every_structure
def test_the_proposal_about_a_mode_by_a_sum_over_all_orders(structure):
    proposal = student_about(structure)
    about = proposal.about
    shape = proposal.root @ proposal.root.T
    narrow = multivariate_t(proposal.centre, shape, df=DEGREES_OF_FREEDOM)
    wide = multivariate_t(proposal.centre, WIDENING**2 * shape, df=DEGREES_OF_FREEDOM)
    draws = some_mixtures(structure)
    terms = [
        [
            np.log((1 - WIDE_SHARE) * narrow.pdf(about.reduced(u)) + WIDE_SHARE * wide.pdf(about.reduced(u)))
            - about.log_jacobian(u)
            for u in (about.vector(mixture.reorder(order)) for order in permutations(range(3)))
        ]
        for mixture in every(draws)
    ]
    expected = np.logaddexp.reduce(terms, axis=1) - np.log(factorial(3))
    np.testing.assert_allclose(proposal.log_densities(Points(draws)), expected, rtol=1e-9)


def test_draws_about_a_mode_have_the_law_that_is_stated(seed):
    """Squared lengths over ``p`` have F laws, and directions are those of no one coordinate.

    Products of two coordinates of a direction, times ``p``, have a variance of one at most, squares of two at most.
    """
    proposal = student_about(covariance_structure("full"), 2)
    size, n_draws = len(proposal.centre), 4000
    mixtures = proposal.draw(n_draws, np.random.default_rng(seed + 14)).mixtures
    vectors = np.array([proposal.about.reduced(proposal.about.vector(m)) for m in mixtures])
    standard = np.linalg.solve(proposal.root, (vectors - proposal.centre).T)

    def distribution(squares):
        narrow, wide = (f.cdf(squares / width**2, size, DEGREES_OF_FREEDOM) for width in (1.0, WIDENING))
        return (1 - WIDE_SHARE) * narrow + WIDE_SHARE * wide

    assert kstest(np.square(standard).mean(axis=0), distribution).statistic < kolmogorov(n_draws, 3)
    directions, most = standard / np.linalg.norm(standard, axis=0), deviations(size**2 + size)
    np.testing.assert_allclose(
        size * directions @ directions.T / n_draws, np.eye(size), atol=most * np.sqrt(2 / n_draws)
    )
    np.testing.assert_allclose(directions.mean(axis=1), 0, atol=most / np.sqrt(size * n_draws))


# ---- the scale of a semi-conjugate prior ---------------------------------------------------------------------------------------


def test_the_scale_of_a_semi_conjugate_prior_is_integrated_out():
    """In one dimension ``σ⁻² ~ Gamma(2, β)`` and ``β ~ Gamma(0.2, 10/R²)``, by quadrature over ``log β``."""
    structure = covariance_structure("spherical")
    components = SemiConjugateComponents.of_ranges(structure, np.array([0.0]), np.array([10.0]))
    mixture = mx.Mixture([0.2, 0.3, 0.5], [[1.0], [4.0], [9.0]], [0.5, 1.5, 7.0], "spherical")
    given_rate = [lambda b, v=v: invgamma.pdf(v, 2, scale=b) for v in mixture.covariances]

    def integrand(log_rate):
        rate = np.exp(log_rate)
        return np.prod([density(rate) for density in given_rate]) * gamma.pdf(rate, 0.2, scale=10.0) * rate

    expected = np.log(quad(integrand, -15, 12, limit=300)[0])
    expected += norm.logpdf(mixture.means, 5, 10).sum() + dirichlet.logpdf(mixture.weights, [2, 2, 2])
    assert SemiConjugatePrior(components, 2.0).value(mixture) == pytest.approx(expected, rel=1e-6)


@every_structure
def test_any_scale_gives_the_same_density(structure, monkeypatch):
    """Bayes' rule holds at every scale: one that were left out of it would show."""
    components = SemiConjugateComponents(structure, [0.0, 1.0], [[4.0, 1.0], [1.0, 3.0]], 4.5, np.diag([0.5, 2.0]), 3.5)
    prior = SemiConjugatePrior(components, 1.0)
    (mixture,) = every(some_mixtures(structure, n_mixtures=1))
    before = prior.value(mixture)
    other = structure.prior_block(np.array([[2.0, 0.3], [0.3, 0.7]]))

    def begin(self, mixture):
        roots = structure.block_roots(structure.as_blocks(mixture.covariances))
        return Components(structure, mixture.means, roots, other)

    monkeypatch.setattr(SemiConjugateComponents, "begin", begin)
    assert prior.value(mixture) == pytest.approx(before, rel=1e-10)


# ---- errors that are honest ----------------------------------------------------------------------------------------------------


def test_the_error_of_a_bridge_knows_that_draws_depend_on_each_other(seed):
    """A normal posterior by chains of correlation 0.9, a narrower proposal to one side: the error is that of many repetitions.

    To a tenth: effective sizes of chains as short are estimates.
    """
    rng, scores, errors = np.random.default_rng(seed + 16), [], []
    for _ in range(300):
        chains = np.empty((4, 250))
        chains[:, 0] = rng.normal(size=4)
        for t in range(1, 250):
            chains[:, t] = 0.9 * chains[:, t - 1] + np.sqrt(0.19) * rng.normal(size=4)
        proposals = rng.normal(1.5, 0.8, size=4000)
        of_proposals, of_posterior = (-0.5 * x**2 - norm.logpdf(x, 1.5, 0.8) for x in (proposals, chains))
        found = bridge(of_proposals, of_posterior)
        scores.append((found.value - 0.5 * np.log(2 * np.pi)) / found.standard_error)
        errors.append(found.standard_error)
    low, high = spread_limits(len(scores), 2)
    assert 0.9 * low < np.sqrt(np.mean(np.square(scores))) < 1.1 * high
    assert abs(np.mean(scores)) < 1.1 * deviations(2) / np.sqrt(len(scores))
    assert np.mean(errors) < 0.1


def test_a_bridge_solves_its_equation():
    rng = np.random.default_rng(17)
    of_proposals, of_posterior = rng.normal(size=300), rng.normal(0.5, 1, size=(2, 100))
    z = np.exp(bridge(of_proposals, of_posterior).value)
    l_q, l_p = np.exp(of_proposals), np.exp(of_posterior)
    share = bulk_size(of_posterior) / (bulk_size(of_posterior) + 300)
    above, below = l_q / (share * l_q + (1 - share) * z), z / (share * l_p + (1 - share) * z)
    assert above.mean() == pytest.approx(below.mean(), rel=1e-9)


def test_draws_that_teach_the_proposal_take_no_further_part(monkeypatch):
    prior, modes = five_points(2)
    draws, taught, learnt = gibbs_draws(FIVE, modes[0], prior, 24, n_draws=40), [], PointJoint.learnt

    def noting(self, points, chosen, rng):
        taught.append([points.draws.means[0, i, 0, 0] for i in chosen])
        return learnt(self, points, chosen, rng)

    monkeypatch.setattr(PointJoint, "learnt", noting)
    bridge_sampling(draws, ArraySource(FIVE), prior, np.random.default_rng(25))
    assert sorted(taught[0]) == sorted(draws.means[:, :20, 0, 0].ravel())
    assert not set(np.concatenate(taught)) & set(draws.means[:, 20:, 0, 0].ravel())


def test_a_mode_that_is_left_out_is_found(seed):
    """Two separate clouds of which one component is told to take one: the other mode holds two fifths of the posterior, twenty errors."""
    prior = conjugate(covariance_structure("spherical"), NormalInverseWishart([0.0], 0.01, [[0.5]], 20.0))
    rows = np.array([[-6.0], [-5.9], [0.0], [0.1], [6.0], [5.9]])
    modes = [
        mx.Mixture([0.4, 0.6], [[-6.0], [3.0]], [1.0, 9.0], "spherical"),
        mx.Mixture([0.4, 0.6], [[6.0], [-3.0]], [1.0, 9.0], "spherical"),
    ]
    source, rng = ArraySource(rows), np.random.default_rng(seed + 19)
    exact = Exact.of(rows, "full", prior.components.prior, {2: (1.0, finite_urn(2, 1.0))}).log_evidence
    for known in (modes, modes[:1], modes[1:]):
        found = mode_sampling(known, source, prior, rng)
        assert abs(found.value - exact) < MOST * found.standard_error < 0.45


# ---- the climb -----------------------------------------------------------------------------------------------------------------


def test_a_climb_ends_at_the_maximum_with_its_curvature():
    rng = np.random.default_rng(20)
    half = rng.normal(size=(3, 3))
    precision, top = half @ half.T + 0.5 * np.eye(3), np.array([2.0, -3.0, 1.0])

    def heights(vectors):
        return np.array([-0.5 * (v - top) @ precision @ (v - top) for v in vectors])

    centre, root = climb(heights, 3)
    np.testing.assert_allclose(centre, top, atol=0.05)
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(precision), rtol=1e-8)


def test_a_climb_leaves_a_saddle():
    def heights(vectors):
        x, y = (vectors + np.array([0.1, 0.3])).T
        return -((x**2 - 4) ** 2) / 8 - y**2

    centre, root = climb(heights, 2)
    assert abs(abs(centre[0] + 0.1) - 2) < 0.05
    assert abs(centre[1] + 0.3) < 0.05
    np.testing.assert_allclose(root @ root.T, np.diag([0.25, 0.5]), rtol=0.05, atol=1e-6)


# ---- refusals ------------------------------------------------------------------------------------------------------------------


def test_refusals():
    prior, modes = five_points(2)
    source, rng = ArraySource(FIVE), np.random.default_rng(21)

    def constant(n_components, shape, weights=None):
        weights = np.full(n_components, 1 / n_components) if weights is None else np.array(weights)
        means = np.zeros((*shape, n_components, 1))
        return Draws(modes[0].structure, np.tile(weights, (*shape, 1)), means, np.ones((*shape, n_components)))

    with pytest.raises(InvalidParameterError, match="at least 50 draws"):
        bridge_sampling(constant(2, (1, 49)), source, prior, rng)
    with pytest.raises(InvalidParameterError, match="eight of each chain"):
        bridge_sampling(constant(2, (20, 7)), source, prior, rng)
    with pytest.raises(InvalidParameterError, match="at most 12"):
        bridge_sampling(constant(13, (1, 100)), source, prior, rng)
    with pytest.raises(InvalidParameterError, match="without weight"):
        bridge_sampling(constant(2, (1, 100), [1.0, 0.0]), source, prior, rng)
    with pytest.raises(InvalidParameterError, match="n_draws=24"):
        mode_sampling(modes, source, prior, rng, n_draws=24)
    with pytest.raises(InvalidParameterError, match="0 modes"):
        mode_sampling([], source, prior, rng)
    with pytest.raises(InvalidParameterError, match="one shape"):
        mode_sampling([*modes, mx.Mixture([1.0], [[0.0]], [1.0], "spherical")], source, prior, rng)
    with pytest.raises(InvalidParameterError, match="at most 7"):
        mode_sampling([constant(8, (1, 1)).mixture(0, 0)], source, prior, rng)
    with pytest.raises(InvalidParameterError, match="without weight"):
        mode_sampling([constant(2, (1, 1), [1.0, 0.0]).mixture(0, 0)], source, prior, rng)
    hierarchical = IndependentPrior([0.0], [1.0], HalfNormal(1.0), common_log_spread=1.0)
    with pytest.raises(InvalidParameterError, match="common_log_spread=0"):
        mode_sampling(modes, source, hierarchical, rng)
