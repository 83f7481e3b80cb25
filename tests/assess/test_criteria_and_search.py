import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx
from mixtura.assess.choice.criteria import criteria
from mixtura.data.array import ArraySource


def test_criteria_by_hand(faithful):
    m = mx.GaussianMixture(2, random_state=0).fit(faithful).mixture_
    found = criteria(m, ArraySource(faithful))
    log_likelihood = m.log_pdf(faithful).sum()
    assert found.n_parameters == 1 + 4 + 6
    assert found.bic == pytest.approx(-2 * log_likelihood + 11 * np.log(272), rel=1e-12)
    assert found.aic == pytest.approx(-2 * log_likelihood + 22, rel=1e-12)
    certainty = np.log(m.responsibilities(faithful).max(axis=1)).sum()
    assert found.icl == pytest.approx(found.bic - 2 * certainty, rel=1e-12)


def test_weights_count_as_rows(faithful):
    m = mx.GaussianMixture(2, random_state=0).fit(faithful).mixture_
    weights = np.arange(272) % 3 + 1.0
    weighted = criteria(m, ArraySource(faithful, weights))
    repeated = criteria(m, ArraySource(np.repeat(faithful, weights.astype(int), axis=0)))
    assert weighted.icl == pytest.approx(repeated.icl, rel=1e-12)


@pytest.mark.parametrize("name", ["faithful", "iris", "diabetes"])
def test_icl_and_bic_agree_with_mclust(name, reference, request):
    X = request.getfixturevalue(name)
    compared = 0
    for stored in reference[name]["parameters"]:
        weights = np.array(stored["pro"], dtype=float).ravel()
        means = np.array(stored["mean"], dtype=float).reshape(len(weights), -1)
        m = mx.Mixture(weights / weights.sum(), means, np.reshape(stored["sigma"], (len(weights), *[X.shape[1]] * 2)))
        found = criteria(m, ArraySource(X))
        entropy_term = found.icl - found.bic
        assert -entropy_term == pytest.approx(stored["icl"] - stored["bic"], rel=1e-6, abs=1e-6)
        compared += 1
    assert compared


def test_search_finds_what_is_there():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [6, 0], [0, 6]])
    X = centres[rng.integers(0, 3, 300)] + rng.normal(size=(300, 2))
    found = mx.GaussianMixtureSearch(
        range(1, 6), covariance_type=["full", "tied_spherical", "VVI"], random_state=0
    ).fit(X)
    assert found.best_params_ == {"n_components": 3, "covariance_type": "tied_spherical"}
    candidates = found.search_.candidates
    assert len(candidates) == 15
    assert found.best_score_ == min(c.criteria.bic for c in candidates if c.sound)
    assert [c.n_components for c in candidates[:5]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_the_table_ranks_every_candidate_and_the_best_is_fitted(criterion, faithful):
    settings = {"covariance_type": ["tied", "full"], "criterion": criterion, "n_init": 3, "random_state": 1}
    found, again = (mx.GaussianMixtureSearch([1, 2, 3], **settings).fit(faithful) for _ in range(2))
    table = found.results_
    np.testing.assert_array_equal(table[criterion], again.results_[criterion])
    assert (np.diff(table[criterion]) >= 0).all()
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    tried = {(k, name) for k in (1, 2, 3) for name in ("tied", "full")}
    assert set(zip(table["n_components"].tolist(), table["covariance_type"].tolist(), strict=True)) == tried
    assert len(pd.DataFrame(table)) == 6
    best = found.best_estimator_
    assert {name: best.get_params()[name] for name in found.best_params_} == found.best_params_
    assert getattr(best, criterion)(faithful) == pytest.approx(table[criterion][0], rel=1e-12)
    assert best.n_iter_ == table["n_iter"][0]
    np.testing.assert_array_equal(found.predict(faithful), best.predict(faithful))
    assert best.stop_.converged
    assert best.mixture_ == found.mixture_


def test_a_candidate_is_fitted_as_well_in_a_search_as_alone(iris):
    """Up to three components every restart that matters ends in the same optimum."""
    found = mx.GaussianMixtureSearch(range(1, 4), covariance_type="all", random_state=0).fit(iris)
    for candidate in found.search_.candidates:
        alone = mx.GaussianMixture(
            candidate.n_components, covariance_type=candidate.covariance_type, n_init=10, max_iter=300, random_state=3
        ).fit(iris)
        assert candidate.criteria.log_likelihood == pytest.approx(alone.lower_bound_ * len(iris), rel=1e-6)


def test_a_candidate_that_cannot_be_fitted_does_not_end_the_search():
    X = np.c_[np.random.default_rng(0).normal(size=(40, 1)), np.zeros(40)]
    found = mx.GaussianMixtureSearch([1, 2], covariance_type=["full", "spherical"], reg_covar=0.0, random_state=0).fit(
        X
    )
    assert found.best_params_["covariance_type"] == "spherical"
    assert all("constant" in c.error for c in found.search_.candidates if c.covariance_type == "full")
    assert (found.results_["covariance_type"] == ["spherical"] * 2 + ["full"] * 2).all()
    assert np.isnan(found.results_["bic"][2:]).all()
    with pytest.raises(mx.CollapseError, match="no candidate"):
        mx.GaussianMixtureSearch(1, reg_covar=0.0).fit(X)


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        (
            [4, 5, 6],
            r"3 of 3 candidates did not converge: \d full, \d full, \d full\. The first stopped at max_iter=1: .*max_iter",
        ),
        (range(3, 9), r"6 of 6 candidates did not converge: \d full, \d full, \d full and 3 more\."),
    ],
)
def test_candidates_that_did_not_converge_are_named_in_one_warning(sizes, named, faithful):
    with pytest.warns(ConvergenceWarning, match=named) as said:
        found = mx.GaussianMixtureSearch(sizes, max_iter=1, random_state=0).fit(faithful)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert not found.results_["converged"].any()
    assert mx.GaussianMixtureSearch([2, 3], max_iter=0, random_state=0).fit(faithful).best_params_


def test_a_best_candidate_that_is_held_at_the_floor_warns_as_a_single_fit_does():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0)
    with pytest.warns(mx.CollapseWarning) as alone:
        mx.GaussianMixture(2, random_state=0).fit(X)
    with pytest.warns(mx.CollapseWarning) as searched:
        found = mx.GaussianMixtureSearch([2], random_state=0).fit(X)
    assert [str(w.message) for w in searched] == [str(w.message) for w in alone]
    assert searched[0].filename == alone[0].filename == __file__
    assert found.results_["held_at_floor"].tolist() == [2]


def test_one_that_was_not_chosen_is_only_seen_in_the_table():
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(size=(200, 2)), np.repeat([[9.0, 9.0]], 3, axis=0)]
    found = mx.GaussianMixtureSearch([1, 2, 3], covariance_type="diag", random_state=0).fit(X)
    table = found.results_
    assert table["held_at_floor"][0] == 0
    assert table["held_at_floor"][1:].any()
    assert table["converged"].all()


def test_a_table_with_names_and_weights(faithful):
    frame = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    weights = np.arange(272) % 3 + 1
    found = mx.GaussianMixtureSearch([2], random_state=0).fit(frame, sample_weight=weights)
    repeated = mx.GaussianMixtureSearch([2], random_state=0).fit(np.repeat(faithful, weights, axis=0))
    assert found.best_score_ == pytest.approx(repeated.best_score_, rel=1e-9)
    assert found.best_estimator_.feature_names_in_.tolist() == ["eruptions", "waiting"]
    assert found.mixture_.feature_names == ("eruptions", "waiting")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": [0]}, "got .0"),
        ({"n_components": 273}, "n_components = 273"),
        ({"n_components": []}, "at least one"),
        ({"n_components": [1.5]}, "at least one"),
        ({"covariance_type": ["round"]}, "covariance_type"),
        ({"covariance_type": []}, "at least one"),
        ({"criterion": "waic"}, "criterion"),
    ],
)
def test_bad_arguments_are_named(settings, message, faithful):
    with pytest.raises(ValueError, match=message):
        mx.GaussianMixtureSearch(**settings).fit(faithful)
