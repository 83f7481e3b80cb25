"""Degenerate fits: components without rows stay at weight zero, those at a floor or a prior are held, and no solver loops for ever."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.inference.climb.solvers import SOLVERS
from mixtura.model.covariance import STRUCTURES

every_structure = pytest.mark.parametrize("structure", [s.name for s in STRUCTURES])
HELD = pytest.mark.filterwarnings("ignore::mixtura.CollapseWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
FIVE = [[0.0], [1.0], [10.0], [11.0], [12.0]]


def blobs(*centres_and_sizes):
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(centre, 1, (n, 2)) for centre, n in centres_and_sizes])


@every_structure
def test_a_group_that_is_gone_leaves_its_component_without_weight(structure):
    gm = mx.GaussianMixture(3, covariance_type=structure, warm_start=True, random_state=0)
    gm.fit(blobs((0, 300), (40, 100), (80, 100)))
    with pytest.warns(mx.CollapseWarning, match=r"no row belongs to component \d: weight zero") as caught:
        gm.fit(blobs((0, 300), (80, 100)))
    assert len(caught) == 1
    np.testing.assert_allclose(np.sort(gm.weights_), [0, 0.25, 0.75], atol=1e-6)
    assert np.isfinite(gm.covariances_).all()
    np.testing.assert_allclose(gm.means_[gm.weights_ == 0], 40, atol=1)  # where it was


@every_structure
def test_a_start_with_a_component_without_rows_is_accepted(structure):
    X = blobs((0, 300), (6, 100))
    for start in (
        {"means_init": [[0, 0], [6, 6], [120, 120]]},
        {"init_params": np.repeat([0, 1], [300, 100])},
        {"weights_init": [0.5, 0.5, 0.0]},
    ):
        with pytest.warns(mx.CollapseWarning, match="no row belongs to component 2: weight zero"):
            gm = mx.GaussianMixture(3, covariance_type=structure, random_state=0, **start).fit(X)
        assert gm.weights_[2] == 0
        if "weights_init" not in start:
            np.testing.assert_allclose(gm.weights_[:2], [0.75, 0.25], atol=0.01)
        assert np.isfinite(gm.predict_proba(X)).all()
        assert (gm.predict_proba(X)[:, 2] == 0).all()
        assert np.isfinite([gm.bic(X), gm.icl(X), gm.score(X)]).all()
        assert gm.sample(10, random_state=0)[0].shape == (10, 2)


def test_what_needs_every_component_says_which_has_no_rows():
    X = blobs((0, 300), (6, 100))
    with pytest.warns(mx.CollapseWarning):
        gm = mx.GaussianMixture(3, weights_init=[0.5, 0, 0.5], random_state=0).fit(X)
    for asked in (gm.certificate, gm.standard_errors):
        with pytest.raises(ValueError, match="component 1"):
            asked(X)


@HELD
@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "em"])
@every_structure
def test_solvers_leave_empty_components_to_em(solver, structure):
    X = blobs((0, 60), (6, 60))
    gm = mx.GaussianMixture(
        3, covariance_type=structure, solver=solver, weights_init=[0.5, 0.5, 0], random_state=0
    ).fit(X)
    assert gm.weights_[2] == 0
    assert np.isfinite(gm.lower_bound_)


@HELD
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "X",
    [
        [[0.0], [1.0]] * 4,
        np.random.default_rng(0).normal(size=(30, 1)) * 1e-5,
        np.full((14, 2), 3.0),
        np.c_[np.random.default_rng(1).normal(size=60), np.arange(60) % 2, np.ones(60)],
    ],
    ids=["two values", "small", "one row", "code and constant"],
)
@pytest.mark.parametrize("n_components", [1, 2])
def test_every_solver_ends(n_components, X, solver):
    gm = mx.GaussianMixture(n_components, solver=solver, random_state=0, max_iter=200).fit(X)
    assert gm.stop_.reason in ("converged", "max_iter")
    assert gm.n_passes_ < 1500
    absolute = mx.GaussianMixture(n_components, solver=solver, reg_covar=1e-6, random_state=0, max_iter=200).fit(X)
    assert absolute.n_passes_ < 1500


@HELD
@every_structure
@pytest.mark.parametrize("remedy", [{}, {"reg_covar": 0.0, "covariance_prior": "empirical"}, {"reg_covar": 1e-300}])
@pytest.mark.parametrize(
    "X",
    [
        FIVE,
        [[7.0], [7.0]],
        np.zeros((6, 3)),
        np.c_[np.arange(9.0), 2 * np.arange(9.0)],
        np.r_[np.random.default_rng(0).normal(size=(30, 2)), [[1e8, 1e8]]],
        np.random.default_rng(0).normal(size=(5, 8)),
    ],
    ids=["as many components as rows", "one value", "zeros", "a line", "an outlier", "wide"],
)
def test_a_floor_or_a_prior_is_enough(X, remedy, structure):
    K = min(len(X), 5)
    gm = mx.GaussianMixture(K, covariance_type=structure, random_state=0, **remedy).fit(X)
    for value in (gm.weights_, gm.means_, gm.covariances_, gm.score_samples(X), gm.predict_proba(X)):
        assert np.isfinite(value).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@every_structure
def test_one_far_row_beside_two_clusters_has_a_posterior(structure):
    X = np.vstack([blobs((0, 60), (6, 60)), [[1e8, 1e8]]])
    gm = mx.BayesianGaussianMixture(3, covariance_type=structure, random_state=0).fit(X)
    assert np.isfinite(gm.lower_bound_)
    assert gm.predict(X)[-1] not in gm.predict(X)[:-1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["gibbs", "nuts"])
def test_chains_begin_where_there_are_as_many_components_as_rows(solver):
    if solver == "nuts":
        pytest.importorskip("nutpie")
    gm = mx.SampledGaussianMixture(5, sampler=solver, n_draws=20, n_tune=40, n_chains=2, random_state=0).fit(FIVE)
    assert np.isfinite(gm.log_likelihood_).all()


def test_one_warning_lists_three_components_and_counts_the_others():
    X = np.repeat(np.random.default_rng(0).normal(size=(40, 2)), 5, axis=0)
    with pytest.warns(mx.CollapseWarning) as caught:
        mx.GaussianMixture(40, random_state=0).fit(X)
    (warning,) = caught
    assert str(warning.message).count("collapsed") == 3
    assert "and 37 more" in str(warning.message)
    assert len(str(warning.message)) < 500


def test_of_equal_rows_a_group_is_told_from_a_handful():
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(0, 1, (60, 1)), np.full((40, 1), 8.0)]
    with pytest.warns(mx.CollapseWarning, match="its rows coincide"):
        gm = mx.GaussianMixture(2, random_state=0).fit(X)
    assert [collapse.is_spike for collapse in gm.collapses_] == [False]
    assert gm.n_collapsed_ == 0
    np.testing.assert_allclose(np.sort(gm.weights_), [0.4, 0.6], atol=1e-6)
