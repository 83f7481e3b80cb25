"""Ascent by batches comes to where ascent over all rows comes, in one read of the data, or in none where they pass by once."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.stochastic import Blend, GradientStep, begin, learn, share
from mixtura.model.covariance import STRUCTURES

TRUE = mx.Mixture([0.2, 0.3, 0.5], [[0.0, 0.0], [3.0, 1.0], [-2.0, 4.0]], [np.eye(2), 2 * np.eye(2), 0.5 * np.eye(2)])
X, _ = TRUE.sample(30_000, random_state=0)

bayesian = pytest.mark.parametrize("weights", ["dirichlet_process", "dirichlet_distribution"])
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


@bayesian
@every_structure
def test_two_reads_come_within_a_thousandth_of_coordinate_ascent(structure, weights):
    settings = {
        "covariance_type": structure.name,
        "weight_concentration_prior_type": weights,
        "random_state": 3,
    }
    slow = mx.BayesianGaussianMixture(3, max_iter=2000, moves=False, **settings).fit(X)
    fast = mx.BayesianGaussianMixture(3, solver="svi", batch_size=500, max_iter=1, **settings)
    with pytest.warns(ConvergenceWarning, match="1 reads of the data"):
        fast.fit(X)
    assert fast.restarts_.best.n_passes == 2
    assert slow.lower_bound_ >= fast.lower_bound_ >= 1.001 * slow.lower_bound_
    assert len(fast.losses_) == 60
    assert np.mean(fast.losses_[-20:]) == pytest.approx(-fast.lower_bound_ / len(X), abs=0.05)


def test_reads_go_on_while_they_bring_something():
    begun = {"init_params": "random_from_data", "random_state": 3}
    slow = mx.BayesianGaussianMixture(3, max_iter=2000, moves=False, **begun).fit(X)
    fast = mx.BayesianGaussianMixture(3, solver="svi", batch_size=500, **begun).fit(X)
    assert 2 < fast.restarts_.best.n_passes < 20
    assert fast.lower_bound_ >= 1.002 * slow.lower_bound_


def test_the_bound_is_that_of_all_rows():
    gm = mx.BayesianGaussianMixture(3, solver="svi", random_state=0).fit(X)
    bound = gm.lower_bound_
    gm.set_params(solver="cavi", max_iter=500, tol=1e-6, moves=False, warm_start=True).fit(X)
    assert gm.restarts_.best.bounds[0] == pytest.approx(bound, rel=1e-12)


def test_a_batch_of_everything_and_a_whole_step_is_coordinate_ascent(monkeypatch):
    """With ``ρ = 1`` a step along the natural gradient is the conjugate update."""
    monkeypatch.setattr("mixtura.inference.stochastic.share", lambda n_steps: 1.0)
    gm = mx.BayesianGaussianMixture(3, moves=False, random_state=0).fit(X)
    source = ArraySource(X)
    algorithm = gm._algorithm(source)
    stream, loss = learn(begin(gm.posterior_, source), source, Blend(algorithm), algorithm)
    assert -loss * len(X) == pytest.approx(gm.restarts_.best.bounds[-1], rel=1e-12)
    following = algorithm.maximise(gm.restarts_.best.moments)
    np.testing.assert_allclose(stream.belief.means, following.means, rtol=1e-9)
    np.testing.assert_allclose(stream.belief.scales, following.scales, rtol=1e-9)


def test_a_stream_is_learnt_from_once_and_its_seed_repeats_it():
    ends = []
    for _ in range(2):
        gm = mx.BayesianGaussianMixture(5, solver="svi", random_state=0, weight_concentration_prior=0.01)
        for batch in np.array_split(X, 60):
            gm.partial_fit(batch)
        ends.append(gm)
    np.testing.assert_array_equal(ends[0].means_, ends[1].means_)
    gm = ends[0]
    assert gm.n_iter_ == len(gm.losses_) == 60
    whole = mx.BayesianGaussianMixture(5, random_state=0, weight_concentration_prior=0.01).fit(X)
    assert gm.score(X) == pytest.approx(whole.score(X), abs=5e-3)
    assert gm.posterior_.mean_precisions.sum() == pytest.approx(len(X) + 5, rel=1e-9)


@every_structure
def test_gradient_steps_follow_a_stream(structure):
    gm = mx.GaussianMixture(3, covariance_type=structure.name, solver="gradient", random_state=0)
    for batch in np.array_split(X, 60):
        gm.partial_fit(batch)
    whole = mx.GaussianMixture(3, covariance_type=structure.name, random_state=0).fit(X)
    assert gm.score(X) == pytest.approx(whole.score(X), abs=5e-3)
    assert gm.certificate(X).largest_curvature < 0


def test_a_gradient_step_is_small_and_upward():
    algorithm = ExpectationMaximization(STRUCTURES[0])
    source, start = ArraySource(X), mx.Mixture([0.3, 0.3, 0.4], X[:3], [np.eye(2)] * 3)
    stream = begin(start, source)
    losses = []
    for _ in range(20):
        stream, loss = learn(stream, source, GradientStep(algorithm), algorithm)
        losses.append(loss)
    assert (np.diff(losses) < 0).all()


def test_steps_shrink_as_robbins_and_monro_ask():
    shares = np.array([share(t) for t in range(100_000)])
    assert shares[0] < 0.2
    assert (np.diff(shares) < 0).all()
    assert np.square(shares[1000:]).sum() < 0.2
    assert shares.sum() > 10


def test_what_cannot_be_learnt_from_is_said():
    for wrong in (mx.BayesianGaussianMixture(2), mx.GaussianMixture(2)):
        assert not hasattr(wrong, "partial_fit")
    gm = mx.BayesianGaussianMixture(2, solver="svi", random_state=0).partial_fit(X[:100])
    with pytest.raises(ValueError, match="features"):
        gm.partial_fit(X[:100, :1])
    gm.partial_fit(X[:1])
    assert gm.n_iter_ == 2
    assert gm.set_params(tol=0.1).fit(X[:500]).restarts_.best.n_passes >= 2


@pytest.mark.parametrize("batch_rows", [20, 50])
def test_a_component_without_a_row_in_a_batch_does_not_hold_the_others(batch_rows):
    mixture = mx.Mixture([0.7, 0.2, 0.1], [[-6.0], [0.0], [6.0]], [1.0, 1.0, 1.0], "spherical")
    rows, _ = mixture.sample(2000 + 1000 * batch_rows, random_state=1)
    gm = mx.GaussianMixture(3, covariance_type="spherical", solver="gradient", random_state=0).partial_fit(rows[:2000])
    for batch in np.array_split(rows[2000:], 1000):
        gm.partial_fit(batch)
    np.testing.assert_allclose(np.sort(gm.weights_), [0.1, 0.2, 0.7], atol=0.03)
    assert gm.score(rows) > mixture.log_likelihood(rows) / len(rows) - 0.003


def test_a_component_at_the_floor_does_not_hold_the_others():
    rng = np.random.default_rng(0)
    rows = np.where(rng.random(4000) < 0.3, 5.0, rng.normal(0, 1, 4000))[:, None]
    gm = mx.GaussianMixture(2, solver="gradient", random_state=0).partial_fit(rows[:500] * [0.5])
    before = gm.means_.copy()
    for batch in np.array_split(rows, 40):
        gm.partial_fit(batch)
    assert np.abs(gm.means_ - before).max() > 1e-3
    assert np.isfinite(gm.covariances_).all()
