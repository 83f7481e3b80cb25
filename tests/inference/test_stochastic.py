"""Ascent by batches comes to where ascent over all rows comes, in one read of the data, or in none where they pass by once."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import mixtura as mx
from chance import chi_square
from mixtura.data.array import ArraySource
from mixtura.inference.climb.by_batches import AVERAGING, Stream, begin, kept_of_recent, learn, rows_to_begin
from mixtura.inference.rules.em import ExpectationMaximization
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
    slow = mx.BayesianGaussianMixture(3, max_iter=2000, solver=mx.Cavi(moves=False), **settings).fit(X)
    fast = mx.BayesianGaussianMixture(3, solver=mx.Svi(500), max_iter=1, **settings)
    with pytest.warns(ConvergenceWarning, match="1 reads of the data"):
        fast.fit(X)
    assert fast.restarts_.best.n_passes == 2
    assert slow.lower_bound_ >= fast.lower_bound_ >= 1.001 * slow.lower_bound_
    assert len(fast.losses_) == 60
    assert np.mean(fast.losses_[-20:]) == pytest.approx(-fast.lower_bound_ / len(X), abs=0.05)


def test_reads_go_on_while_they_bring_something():
    begun = {"init_params": "random_from_data", "random_state": 3}
    slow = mx.BayesianGaussianMixture(3, max_iter=2000, solver=mx.Cavi(moves=False), **begun).fit(X)
    fast = mx.BayesianGaussianMixture(3, solver=mx.Svi(500), **begun).fit(X)
    assert 2 < fast.restarts_.best.n_passes < 20
    assert fast.lower_bound_ >= 1.002 * slow.lower_bound_


def test_the_bound_is_that_of_all_rows():
    gm = mx.BayesianGaussianMixture(3, solver="svi", random_state=0).fit(X)
    bound = gm.lower_bound_
    gm.set_params(solver=mx.Cavi(moves=False), max_iter=500, tol=1e-6, warm_start=True).fit(X)
    assert gm.restarts_.best.bounds[0] == pytest.approx(bound, rel=1e-12)


@pytest.mark.parametrize(
    "estimator", [mx.BayesianGaussianMixture(3, solver=mx.Cavi(moves=False)), mx.GaussianMixture(3, solver="em")]
)
def test_a_batch_of_everything_and_a_whole_step_is_an_ascent_over_all_rows(estimator, monkeypatch):
    """With nothing kept, a step along the natural gradient is the conjugate update, and one of online EM is EM's."""
    monkeypatch.setattr("mixtura.inference.climb.by_batches.kept_of_recent", lambda before, after: 0.0)
    gm, source = estimator.set_params(random_state=0).fit(X), ArraySource(X)
    best = gm.restarts_.best
    algorithm = gm.algorithm_ if hasattr(gm, "algorithm_") else gm._algorithm(source)
    stream, loss = learn(begin(best.mixture, source), source, algorithm, source.total_weight)
    assert -loss * len(X) == pytest.approx(best.bounds[-1], rel=1e-12)
    following = algorithm.maximise(best.moments)
    np.testing.assert_allclose(stream.leading.means, following.means, rtol=1e-9)
    np.testing.assert_allclose(stream.leading.scorer.whitening, following.scorer.whitening, rtol=1e-9)


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


def test_steps_over_the_same_rows_go_upward():
    algorithm = ExpectationMaximization(STRUCTURES[0])
    source, start = ArraySource(X), mx.Mixture([0.3, 0.3, 0.4], X[:3], [np.eye(2)] * 3)
    stream = begin(start, source)
    losses = []
    for _ in range(20):
        stream, loss = learn(stream, source, algorithm)
        losses.append(loss)
    assert (np.diff(losses) < 0).all()


def test_steps_count_weight_and_not_batches():
    ends = np.linspace(3.0, 4.0, 101)
    small = np.prod([kept_of_recent(a, b) for a, b in pairwise(ends)])
    assert small == pytest.approx(kept_of_recent(3.0, 4.0), rel=1e-12)


def test_steps_shrink_as_robbins_and_monro_ask():
    shares = np.array([1 - kept_of_recent(x, x + 0.01) for x in np.arange(1, 1000, 0.01)])
    assert (np.diff(shares) < 0).all()
    assert np.square(shares).sum() < 0.06
    assert shares.sum() > 30


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


# ---- small batches, and any first one ----------------------------------------------------------------------------------------

SOLVERS = {
    "gradient": mx.GaussianMixture(2, solver="gradient", random_state=0),
    "svi": mx.BayesianGaussianMixture(2, solver="svi", random_state=0),
}
both_solvers = pytest.mark.parametrize("solver", SOLVERS)
TWO = mx.Mixture([0.4, 0.6], [[-2.0, 0.0], [2.0, 1.0]], [np.eye(2), 0.5 * np.eye(2)])
FEW, MANY = 100, 900
"""Rows at which a stream of two components in two columns has not begun yet, and has."""
assert FEW < rows_to_begin(2, 2) < MANY


def learnt(gm, rows, batch_rows, sample_weight=None):
    gm = clone(gm)
    for start in range(0, len(rows), batch_rows):
        part = slice(start, start + batch_rows)
        gm.partial_fit(rows[part], sample_weight=None if sample_weight is None else sample_weight[part])
    return gm


@both_solvers
@pytest.mark.parametrize(
    ("structure", "batch_rows"),
    [(s.name, 20) for s in STRUCTURES] + [("tied_diag", 5), ("spherical", 1)],
)
def test_small_batches_end_where_a_fit_of_all_rows_does(solver, structure, batch_rows, seed):
    """Within .01 nats a row: twice the divergence from the best mixture of the structure is ``χ²/n``, of the rows that averages count."""
    n_rows = 4000 if batch_rows > 1 else 3000
    rows, _ = TWO.sample(n_rows, random_state=seed)
    rows = rows if batch_rows > 1 else rows[:, :1]
    gm = clone(SOLVERS[solver]).set_params(covariance_type=structure)
    whole = clone(gm).set_params(solver={"gradient": "auto", "svi": "cavi"}[solver]).fit(rows)
    gm = learnt(gm, rows, batch_rows)
    effective = n_rows * (2 * AVERAGING - 1) / AVERAGING**2
    within = chi_square(whole.mixture_.n_parameters, 16) / (2 * effective)
    assert within < 0.01
    assert abs(whole.score(rows) - gm.score(rows)) < within


@both_solvers
@pytest.mark.parametrize("first", [1, 2, 3, 5])
def test_any_first_batch_will_do(solver, first, seed):
    rows, _ = TWO.sample(4000, random_state=seed)
    gm = clone(SOLVERS[solver]).partial_fit(rows[:first])
    if first < 2:
        with pytest.raises(NotFittedError):
            gm.score(rows)
    else:
        assert np.isfinite(gm.score(rows))
    for batch in np.array_split(rows[first:], 50):
        gm.partial_fit(batch)
    assert (
        gm.score(rows) > TWO.log_likelihood(rows) / len(rows) - 0.01
    )  # most of all the excess of a fit, on average 11/8000
    spread = rows.var(axis=0)
    if solver == "gradient":
        assert (gm.reg_covar_ < 2e-7 * spread).all()
    else:
        np.testing.assert_allclose(np.diag(gm.covariance_prior_), spread, rtol=0.5)


@both_solvers
def test_a_stream_of_first_rows_is_a_fit_of_them(solver):
    """As of the last time that they grew by a quarter; at the end, of all of them."""
    rows, _ = TWO.sample(rows_to_begin(2, 2), random_state=3)
    whole = clone(SOLVERS[solver]).set_params(solver={"gradient": "em", "svi": "cavi"}[solver], tol=1e-6, max_iter=1000)
    if solver == "svi":
        whole.set_params(solver=mx.Cavi(moves=False))
    whole.fit(rows)
    gm = learnt(clone(SOLVERS[solver]).set_params(tol=1e-6, max_iter=1000), rows, 200)
    assert gm.score(rows) == pytest.approx(whole.score(rows), abs=1e-4)
    assert isinstance(gm._stream_, Stream)  # by now it has let go of them


@both_solvers
def test_first_rows_that_are_all_alike_are_not_all_there_is(solver):
    """Begun with these, both components would be one for good."""
    rows = np.r_[np.zeros((MANY, 2)), X[:2000]]
    gm = learnt(SOLVERS[solver], rows, 100)
    assert gm._stream_.weight == len(rows)
    assert np.abs(gm.means_[0] - gm.means_[1]).max() > 0.5


@both_solvers
def test_rows_of_few_values_are_kept_once(solver):
    rows = np.random.default_rng(0).integers(0, 3, (3000, 2)).astype(float)
    gm = learnt(SOLVERS[solver], rows, 50)
    assert gm._stream_.rows.n_rows <= 9 + 50
    assert gm._stream_.rows.total_weight == 3000
    np.testing.assert_allclose(gm.weights_ @ gm.means_, rows.mean(axis=0), atol=0.1)


# ---- state -------------------------------------------------------------------------------------------------------------------

phases = pytest.mark.parametrize("n_before", [FEW, MANY], ids=["gathering", "begun"])
REFUSED = {
    "a value that is no number": ([[np.nan, 0.0]], None, "NaN"),
    "another number of columns": ([[0.0]], None, "features"),
    "no rows": (np.empty((0, 2)), None, "minimum of 1"),
    "squares that overflow": ([[1e200, 0.0]], None, "overflow"),
    "too few weights": ([[0.0, 0.0], [1.0, 1.0]], [1.0], "sample_weight"),
    "a negative weight": ([[0.0, 0.0]], [-1.0], "[Nn]egative"),
}


@both_solvers
@phases
@pytest.mark.parametrize("refused", REFUSED)
def test_a_batch_that_is_refused_leaves_the_estimator_as_it_was(solver, n_before, refused):
    gm = learnt(SOLVERS[solver], X[:n_before], n_before)
    before, n_batches = dict(vars(gm)), len(gm.losses_)
    batch, weights, why = REFUSED[refused]
    with pytest.raises(ValueError, match=why):
        gm.partial_fit(batch, sample_weight=weights)
    assert vars(gm) == before
    assert len(gm.losses_) == len(gm.lower_bounds_) == n_batches
    fresh = clone(gm)
    if refused != "another number of columns":
        with pytest.raises(ValueError, match=why):
            fresh.partial_fit(batch, sample_weight=weights)
        assert vars(fresh) == vars(clone(gm))


@both_solvers
@phases
def test_a_batch_without_weight_changes_nothing(solver, n_before):
    gm = learnt(SOLVERS[solver], X[:n_before], n_before)
    before, n_batches = dict(vars(gm)), len(gm.losses_)
    gm.partial_fit(X[:7], sample_weight=np.zeros(7))
    assert vars(gm) == before
    assert len(gm.losses_) == n_batches
    gm.partial_fit(np.r_[X[-2:], X[:7]], sample_weight=[1, 1, *[0] * 7])
    other = learnt(SOLVERS[solver], X[:n_before], n_before).partial_fit(X[-2:])
    np.testing.assert_array_equal(gm.means_, other.means_)


@both_solvers
@phases
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda gm: pickle.loads(pickle.dumps(gm))], ids=["copy", "pickle"])
def test_a_copy_goes_on_as_the_original_does(solver, n_before, copied):
    gm = learnt(SOLVERS[solver], X[:n_before], n_before)
    other = copied(gm)
    for batch in np.array_split(X[n_before : n_before + 1000], 2):
        gm.partial_fit(batch)
        other.partial_fit(batch)
    np.testing.assert_array_equal(gm.covariances_, other.covariances_)
    assert gm.losses_ == other.losses_
    assert not hasattr(clone(gm), "means_")


@both_solvers
def test_what_every_batch_adds_is_one_number(solver):
    gm = learnt(SOLVERS[solver], X[:MANY], 300)
    losses, bounds, size = gm.losses_, gm.lower_bounds_, len(pickle.dumps(gm._stream_))
    for batch in np.array_split(X[MANY : MANY + 1000], 50):
        earlier = list(bounds)
        gm.partial_fit(batch)
        assert bounds[:-1] == earlier
    assert gm.losses_ is losses
    assert gm.lower_bounds_ is bounds
    assert len(losses) == len(bounds) == gm.n_iter_ == 53
    assert len(pickle.dumps(gm._stream_)) < 1.1 * size


@both_solvers
@phases
def test_weights_are_repetitions(solver, n_before):
    weights = 1 + np.arange(500) % 3
    begun = learnt(SOLVERS[solver], X[:n_before], n_before)
    weighted, repeated = copy.deepcopy(begun), copy.deepcopy(begun)
    rows = X[n_before : n_before + 500]
    weighted.partial_fit(rows, sample_weight=weights)
    repeated.partial_fit(np.repeat(rows, weights, axis=0))
    np.testing.assert_allclose(weighted.weights_, repeated.weights_, rtol=1e-6)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-6, atol=1e-7)
    assert weighted.losses_[-1] == pytest.approx(repeated.losses_[-1], rel=1e-8)


def test_only_ratios_of_weights_matter_to_a_likelihood():
    gm = SOLVERS["gradient"]
    ends = [learnt(gm, X[:2000], 50, np.full(2000, weight)) for weight in (1.0, 1e-3, 1e5)]
    for other in ends[1:]:
        np.testing.assert_allclose(other.covariances_, ends[0].covariances_, rtol=1e-9)


@both_solvers
def test_rows_that_the_caller_overwrites_were_read_in_time(solver):
    buffer, gm = np.empty((10, 2)), clone(SOLVERS[solver])
    for start in range(0, 20, 10):
        buffer[:] = X[start : start + 10]
        gm.partial_fit(buffer)
    buffer[:] = 0.0
    gm.partial_fit(X[20:MANY])
    np.testing.assert_array_equal(gm.means_, learnt(SOLVERS[solver], X[:20], 10).partial_fit(X[20:MANY]).means_)


@both_solvers
def test_a_stream_stays_what_it_began_as(solver):
    gm = learnt(SOLVERS[solver], X[:MANY], MANY)
    for changed in ({"n_components": 3}, {"covariance_type": "diag"}):
        with pytest.raises(
            ValueError, match=r"this stream is of 2 components, covariance_type='full'; now .*Set them back"
        ):
            copy.deepcopy(gm).set_params(**changed).partial_fit(X)
    gm.set_params(covariance_type="VVV").partial_fit(X)


@both_solvers
def test_a_warm_start_goes_on_from_the_last_fit(solver):
    fitted = clone(SOLVERS[solver]).set_params(warm_start=True, max_iter=1000).fit(X)
    order = [1, 0] if fitted.means_[0, 0] < fitted.means_[1, 0] else [0, 1]
    given = (
        clone(SOLVERS[solver])
        .set_params(init_params=np.argsort(order)[fitted.predict(X)], warm_start=True, max_iter=1000)
        .fit(X)
    )
    assert given.means_[0, 0] > given.means_[1, 0]
    streamed = given.set_params(init_params="kmeans")
    for batch in np.array_split(X, 30):
        streamed.partial_fit(batch)
    assert streamed.means_[0, 0] > streamed.means_[1, 0]


@both_solvers
def test_labels_of_the_first_batch_are_where_a_stream_begins(solver):
    rows, labels = TWO.sample(2000, random_state=0)
    for order in ([0, 1], [1, 0]):
        gm = clone(SOLVERS[solver]).set_params(init_params=np.array(order)[labels[:50]])
        for batch in np.array_split(rows, 40):
            gm.partial_fit(batch)
        assert np.argsort(gm.means_[:, 0]).tolist() == order


def test_rows_without_spread_wait_for_more_where_there_is_no_floor():
    gm = mx.GaussianMixture(2, solver="gradient", reg_covar=0, random_state=0)
    for row in np.repeat(X[:3], 2, axis=0):
        gm.partial_fit(row[None])
    gm.partial_fit(X[:MANY])
    assert gm.weights_.all()
    with pytest.raises(mx.CollapseError, match="column 1 is constant"):
        mx.GaussianMixture(1, solver="gradient", reg_covar=0).partial_fit(X[:MANY] * [1, 0])
