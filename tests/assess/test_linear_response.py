"""Linear response: exact where nothing is missing, the derivative of refits, and as wide as a posterior without approximations."""

import numpy as np
import pytest
from scipy.stats import beta

from chance import SERIES, deviations, spread_limits
from mixtura.assess.evidence.mode_sampling import StudentProposal
from mixtura.assess.uncertainty.information import jacobian
from mixtura.assess.uncertainty.linear_response import linear_response, respond
from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.inference.sampling.log_posterior import LogPosterior
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.components import ConjugateComponents
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.log_densities import ConjugatePrior
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import Dirichlet, StickBreaking
from mixtura.sweep import Sweep, accumulate

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def climbed(rows, labels, structure, prior, weights, sample_weight=None):
    """The posterior at the end of coordinate ascent, to the last digits."""
    source = ArraySource(rows, sample_weight)
    algorithm = CoordinateAscent(structure, prior, weights)
    belief = algorithm.maximise(accumulate(source, labels, len(weights.expectations), diagonal=structure.diagonal))
    with Sweep(source) as sweep:
        for _ in range(20_000):
            before, belief = belief, algorithm.maximise(sweep([belief.scorer])[0].moments)
            if np.abs(belief.means - before.means).max() < 1e-13:
                break
    return belief


def prior_for(n_features):
    return NormalInverseWishart(np.full(n_features, 0.2), 0.5, np.eye(n_features), n_features + 1.0)


def dirichlet(n_components, concentration=0.9):
    return Dirichlet(concentration, np.full(n_components, concentration))


def groups(n_rows, distance, n_features=2, seed=0):
    """Rows of two groups and the labels that drew them."""
    rng = np.random.default_rng(seed)
    labels = (rng.uniform(size=n_rows) < 0.4).astype(int)
    rows = rng.normal(size=(n_rows, n_features)) * (1 + 0.5 * labels[:, None])
    rows[:, 0] += distance * labels
    return rows, labels


@every_structure
def test_one_component_has_the_moments_of_its_posterior(structure, seed):
    rows = np.random.default_rng(1).normal(size=(4000, 2)) @ np.array([[1.0, 0.4], [0.0, 2.0]])
    posterior = climbed(rows, np.zeros(4000, int), structure, prior_for(2), dirichlet(1))
    found = linear_response(posterior, ArraySource(rows))
    drawn = posterior.draw_parameters(4000, np.random.default_rng(seed + 2))
    covariances = structure.block_from_roots(drawn.roots[:, 0])
    np.testing.assert_allclose(found.weights, 0.0, atol=1e-12)
    low, high = spread_limits(4000, 6)
    for ratio in (drawn.means.std(axis=0)[0] / found.means[0], covariances.std(axis=0) / np.squeeze(found.covariances)):
        assert ((low < ratio) & (ratio < high)).all()


@every_structure
def test_nothing_is_missing_where_components_lie_apart(structure):
    rows, labels = groups(600, 40.0)
    posterior = climbed(rows, labels, structure, prior_for(2), dirichlet(2))
    about, own, _ = respond(posterior, ArraySource(rows))
    found = linear_response(posterior, ArraySource(rows))
    own_errors = np.sqrt(np.square(jacobian(about) @ own).sum(axis=1))
    flat = np.concatenate([found.weights, found.means.ravel(), found.covariances.ravel()])
    np.testing.assert_allclose(flat, own_errors, rtol=1e-8)
    a = posterior.weights.concentrations
    np.testing.assert_allclose(found.weights, beta(a, a.sum() - a).std(), rtol=1e-2)


@every_structure
@pytest.mark.parametrize("sticks", [False, True])
def test_the_response_to_a_nudge_is_the_derivative_of_refits(structure, sticks):
    """A larger concentration adds to the log joint density in proportion to the logs of weights, or of what sticks leave."""
    rows, labels = groups(150, 2.5)
    weighted = 0.5 + np.arange(150) % 3
    prior, h = prior_for(2), 1e-3

    def weights(concentration):
        return (
            StickBreaking(concentration, np.full((2, 2), 1.0), np.arange(2)) if sticks else dirichlet(2, concentration)
        )

    def refit(concentration):
        return climbed(rows, labels, structure, prior, weights(concentration), weighted)

    posterior = refit(0.9)
    about, own, widened = respond(posterior, ArraySource(rows, weighted))
    covariance = posterior.weights.covariance_of_logs
    # ln(1 − v) of the first stick is the log weight of the other component.
    nudge = covariance[:, posterior.weights.order[1]] if sticks else covariance.sum(axis=1)
    padded = np.zeros(about.size)
    padded[:2] = np.sqrt(posterior.mean_precisions) * nudge
    answer = widened @ widened.T @ np.linalg.solve(own @ own.T, padded)
    expected = (refit(0.9 + h).means - refit(0.9 - h).means) / (2 * h)
    found = about.tangent(np.zeros(about.size), answer).centres
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def by_importance_sampling(posterior, rows, n_draws, rng):
    """Standard deviations of the exact posterior's weights, means and variances, components in the order of their means; and their errors.

    Draws of a Student law about the mode; none of them weighs much.
    """
    components = ConjugateComponents(posterior.structure, posterior.prior)
    with Sweep(ArraySource(rows)) as sweep:
        log_posteriors = LogPosterior(sweep, ConjugatePrior(components, posterior.weights.prior))
        proposal = StudentProposal.at(posterior.mixture, sweep, log_posteriors)
        points = proposal.draw(n_draws, rng)
        drawn = points.mixtures
        log_ratios = log_posteriors(drawn) - proposal.log_densities(points)
    ratios = np.exp(log_ratios - log_ratios.max())
    ratios /= ratios.sum()
    means = np.array([m.means[:, 0] for m in drawn])
    order = means.argsort(axis=1)
    found, errors = [], []
    for values in (np.array([m.weights for m in drawn]), means, np.array([m.covariances[:, 0, 0] for m in drawn])):
        ordered = np.take_along_axis(values, order, axis=1)
        squares = np.square(ordered - ratios @ ordered)
        variance = ratios @ squares
        found.append(np.sqrt(variance))
        errors.append(0.5 * np.sqrt(np.square(ratios) @ np.square(squares / variance - 1)))
    return found, errors


def test_overlapping_components_are_as_uncertain_as_the_exact_posterior_says(seed):
    """To a fifth, for linear response is no more than the first term; and to what the draws leave open."""
    rows, labels = groups(500, 4.0, n_features=1, seed=4)
    posterior = climbed(rows, labels, covariance_structure("full"), prior_for(1), dirichlet(2))
    assert posterior.means[0, 0] < posterior.means[1, 0]
    exact = by_importance_sampling(posterior, rows, 16_000, np.random.default_rng(seed + 3))
    about, own, _ = respond(posterior, ArraySource(rows))
    own_errors = np.sqrt(np.square(jacobian(about) @ own).sum(axis=1)).reshape(3, 2)
    found = linear_response(posterior, ArraySource(rows))
    for kind, truth, error, mean_field in zip(found._parameters, *exact, own_errors, strict=True):
        assert error.max() < 0.03
        assert (np.abs(np.ravel(kind) / truth - 1) < 0.2 + deviations(12, SERIES) * error).all()
        assert (mean_field < 0.75 * truth).all()


def test_what_is_not_a_maximum_is_refused():
    rows, labels = groups(300, 6.0)
    structure, prior = covariance_structure("full"), prior_for(2)
    posterior = climbed(rows, labels, structure, prior, dirichlet(2))
    with pytest.raises(InvalidParameterError, match="standard deviations away"):
        linear_response(posterior, ArraySource(rows + 0.3))
    halves = np.full((300, 2), 0.5)
    moments = accumulate(ArraySource(rows), halves, 2, diagonal=False)
    saddle = Posterior.from_moments(moments, structure, prior, dirichlet(2))
    with pytest.raises(InvalidParameterError, match="not at a maximum"):
        linear_response(saddle, ArraySource(rows))
