"""Updates block by block keep the bound exact; moves raise it, and nothing else is kept."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.estimators.conjugate import weight_prior
from mixtura.inference.starts.moves import disjoint, merged, promising, proposed, split, without
from mixtura.model.covariance import STRUCTURES
from mixtura.model.moments import Moments
from mixtura.sweep import Sweep, accumulate

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
every_weight_prior = pytest.mark.parametrize("weights", ["dirichlet_process", "dirichlet_distribution"])


def clouds(n_rows=900, n_clouds=5, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=5, size=(n_clouds, 2))
    return centres[rng.integers(n_clouds, size=n_rows)] + rng.normal(size=(n_rows, 2))


@every_weight_prior
@every_structure
@pytest.mark.parametrize("batch_size", [60, 333])
def test_blocks_keep_the_bound_exact_and_rising(structure, weights, batch_size):
    X = clouds()
    gm = mx.BayesianGaussianMixture(
        6,
        covariance_type=structure.name,
        weight_concentration_prior_type=weights,
        init_params="random_from_data",
        solver=mx.Cavi(batch_size, moves=False),
        max_iter=2000,
        random_state=1,
    ).fit(X)
    bounds = np.array(gm.restarts_.best.bounds)
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    # where it has converged, one more pass over all rows finds the same bound
    gm.set_params(solver__batch_size=None, warm_start=True).fit(X)
    assert gm.restarts_.best.bounds[0] == pytest.approx(bounds[-1], rel=1e-6)


def test_the_bound_of_blocks_is_the_sum_of_its_terms():
    """After one pass, with blocks of which each was shared under another belief: from responsibilities, row by row."""
    X = clouds(40, 3)
    gm = mx.BayesianGaussianMixture(
        3, solver=mx.Cavi(10, moves=False), max_iter=1, random_state=1, init_params="random"
    )
    with pytest.warns(ConvergenceWarning):
        gm.fit(X)
    source = ArraySource(X)
    algorithm, belief = gm.record_.algorithm, gm.restarts_.best.start
    shares = np.concatenate([belief.responsibilities(block.rows) for block in source.blocks(10)])
    for i in range(4):
        belief = algorithm.maximise(accumulate(source, shares, 3, diagonal=False))
        shares[10 * i : 10 * i + 10] = belief.responsibilities(X[10 * i : 10 * i + 10])
    scorer = belief.scorer
    log_joint = scorer.log_joint(scorer.whitened(scorer.residuals(X))).T
    expected = (shares * (log_joint - np.log(shares, where=shares > 0, out=np.zeros_like(shares)))).sum()
    assert gm.lower_bound_ == pytest.approx(expected - belief.divergence, rel=1e-12)


@every_weight_prior
@every_structure
def test_moves_never_lower_the_bound_and_often_raise_it(structure, weights):
    higher = 0
    for seed in (0, 3, 5):
        X = clouds(900, 8, seed=seed)
        settings = {
            "covariance_type": structure.name,
            "weight_concentration_prior_type": weights,
            "init_params": "random_from_data",
            "max_iter": 3000,
            "random_state": seed,
        }
        stay, go = (mx.BayesianGaussianMixture(10, solver=mx.Cavi(moves=m), **settings).fit(X) for m in (False, True))
        assert go.lower_bound_ >= stay.lower_bound_
        bounds = np.array(go.restarts_.best.bounds)
        assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
        assert len(go.restarts_.best.passes) == len(bounds)
        higher += go.lower_bound_ > stay.lower_bound_ + 0.1
    assert higher or structure.shared


def test_moves_lead_different_starts_to_one_place():
    X = clouds(2000, 7, seed=4)
    ends = [
        mx.BayesianGaussianMixture(12, init_params="random_from_data", max_iter=3000, random_state=seed)
        .fit(X)
        .lower_bound_
        for seed in range(5)
    ]
    assert np.ptp(ends) < 0.1


def test_a_split_fills_what_was_lost():
    """Two clouds begun as one component, the others empty: only a split can find the second."""
    X = np.concatenate([clouds(300, 1), clouds(300, 1) + 12])
    labels = np.zeros(600, dtype=int)
    stay, go = (
        mx.BayesianGaussianMixture(3, init_params=labels, solver=mx.Cavi(moves=m), max_iter=500).fit(X)
        for m in (False, True)
    )
    assert (stay.weights_ > 0.01).sum() == 1
    assert (go.weights_ > 0.01).sum() == 2
    assert go.lower_bound_ > stay.lower_bound_ + 100


@pytest.mark.parametrize("diagonal", [False, True])
def test_moved_moments_are_those_of_moved_rows(diagonal):
    X = clouds(200, 3)
    labels = np.arange(200) % 3
    moments = accumulate(ArraySource(X), labels, 3, diagonal=diagonal)
    for found, relabelled in (
        (merged(moments, 0, 2), np.where(labels == 2, 0, labels)),
        (without(moments, 1), np.where(labels == 1, -1, labels)),
    ):
        kept = relabelled >= 0
        expected = accumulate(ArraySource(X[kept]), relabelled[kept], 3, diagonal=diagonal).about(moments.origin)
        for name in ("count", "first", "second"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-8)


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_split_normal_is_cut_through_its_mean(diagonal):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 2)) * [1.0, 3.0] + [5.0, -5.0]
    if not diagonal:
        turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
        X = (X - [5.0, -5.0]) @ turn + [5.0, -5.0]
    moments = accumulate(ArraySource(X), np.zeros(len(X), dtype=int), 2, diagonal=diagonal)
    halves = split(moments, 0, 1, np.ones(moments.first.shape[1]))
    axis = np.array([0.0, 1.0]) if diagonal else turn[1]
    side = ((X - X.mean(axis=0)) @ axis > 0).astype(int)
    expected = accumulate(ArraySource(X), side, 2, diagonal=diagonal)
    order = [0, 1] if np.allclose(halves.means()[0], expected.means()[0], atol=0.1) else [1, 0]
    np.testing.assert_allclose(halves.means()[order], expected.means(), atol=0.03)
    scatter = (halves.scatter() / halves.count.reshape(-1, *[1] * (halves.second.ndim - 1)))[order]
    wanted = expected.scatter() / expected.count.reshape(-1, *[1] * (expected.second.ndim - 1))
    np.testing.assert_allclose(scatter, wanted, atol=0.05)
    whole = Moments(*(getattr(halves, n).sum(axis=0)[None] for n in ("count", "first", "second")), halves.origin[:1])
    assert whole.count == pytest.approx(moments.count[:1])


def test_nothing_is_proposed_to_a_single_component():
    X = clouds(100, 1)
    algorithm = mx.BayesianGaussianMixture(1).fit(X).algorithm_
    assert proposed(accumulate(ArraySource(X), np.zeros(100, dtype=int), 1, diagonal=False), algorithm) == []


@every_weight_prior
@every_structure
def test_the_most_promising_mergers_are_those_of_whole_posteriors(structure, weights):
    X = clouds(300, 4)
    gm = mx.BayesianGaussianMixture(
        6, covariance_type=structure.name, weight_concentration_prior_type=weights, init_params="random_from_data",
        solver=mx.Cavi(moves=False), max_iter=500, random_state=2,
    ).fit(X)  # fmt: skip
    with Sweep(ArraySource(X)) as sweep:
        (swept,) = sweep([gm.posterior_.scorer])
    filled = np.flatnonzero(swept.moments.count >= 1).tolist()

    def bound_less_entropy(pair):
        moments = merged(swept.moments, *pair)
        belief = gm.algorithm_.maximise(moments)
        return belief.scorer.expected(moments) - belief.divergence

    found = promising(swept.moments, filled, gm.algorithm_)
    worths = sorted(map(bound_less_entropy, combinations(filled, 2)), reverse=True)
    np.testing.assert_allclose([bound_less_entropy(pair) for pair in found], worths, rtol=1e-10)


@pytest.mark.parametrize("prior", [0.01, 1.0, 7.0])
@pytest.mark.parametrize("process", [False, True])
def test_evidences_of_labels_are_those_of_each_law(process, prior):
    rng = np.random.default_rng(0)
    weights = weight_prior(5, prior, process)
    counts = rng.gamma(0.5, 40, size=(30, 5)) * (rng.random((30, 5)) < 0.8)
    expected = [weights.updated(row).law.log_normaliser for row in counts]
    np.testing.assert_allclose(weights.log_evidences(counts), expected, rtol=1e-12)


def test_several_mergers_at_once_share_no_component():
    pairs = [(0, 3), (3, 4), (1, 2), (0, 2), (5, 6)]
    assert disjoint(pairs) == [(0, 3), (1, 2), (5, 6)]
    X = clouds(400, 8)
    gm = mx.BayesianGaussianMixture(8, init_params="random_from_data", solver=mx.Cavi(moves=False), max_iter=900).fit(X)
    with Sweep(ArraySource(X)) as sweep:
        (swept,) = sweep([gm.posterior_.scorer])
    filled = int((swept.moments.count >= 1).sum())
    after = proposed(swept.moments, gm.algorithm_)
    assert min(int((m.count >= 1).sum()) for m in after) == filled - filled // 4
    for moments in after:
        gone = swept.moments.count.sum() - moments.count.sum()
        deleted = [0.0, *np.sort(swept.moments.count[swept.moments.count >= 1])[:3]]
        assert min(abs(gone - rows) for rows in deleted) < 1e-3


def test_where_all_components_are_filled_two_make_room_for_the_halves_of_a_third():
    """Two near clouds with a component each, two others that share one: merging lowers the bound, and no place is left to split into."""
    near, apart = np.array([0.0, 12.0]), np.array([0.0, 60.0])
    X = np.concatenate([clouds(400, 1), clouds(400, 1) + near, clouds(400, 1) + 100, clouds(400, 1) + 100 + apart])
    labels = np.repeat([0, 1, 2, 2], 400)
    stay, go = (
        mx.BayesianGaussianMixture(3, init_params=labels, solver=mx.Cavi(moves=m), max_iter=500).fit(X)
        for m in (False, True)
    )
    assert np.sort(stay.weights_) == pytest.approx([0.25, 0.25, 0.5], abs=0.01)
    assert go.means_[go.weights_.argmax()] == pytest.approx(X[:800].mean(axis=0), abs=0.1)
    assert go.lower_bound_ > stay.lower_bound_ + 100
