import numpy as np
import pytest

import mixtura as mx
from mixtura.assess.criteria import criteria
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
    found = mx.search(X, range(1, 6), ["full", "tied_spherical", "VVI"], random_state=0)
    assert (found.best.n_components, found.best.covariance_type) == (3, "tied_spherical")
    assert len(found.candidates) == 15
    assert found.best.bic == min(c.bic for c in found.candidates if c.sound)
    assert [c.n_components for c in found.candidates[:5]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_search_is_reproducible_and_reports_each_candidate(criterion, faithful):
    seen = []
    found = mx.search(faithful, [1, 2, 3], criterion=criterion, n_init=3, random_state=1, on_candidate=seen.append)
    again = mx.search(faithful, [1, 2, 3], criterion=criterion, n_init=3, random_state=1)
    assert tuple(seen) == found.candidates
    assert [getattr(c, criterion) for c in again.candidates] == [getattr(c, criterion) for c in found.candidates]
    assert getattr(found.best, criterion) == min(getattr(c, criterion) for c in found.candidates)


def test_a_candidate_that_cannot_be_fitted_does_not_end_the_search():
    X = np.c_[np.random.default_rng(0).normal(size=(40, 1)), np.zeros(40)]
    found = mx.search(X, [1, 2], ["full", "spherical"], reg_covar=0.0, random_state=0)
    assert found.best.covariance_type == "spherical"
    assert all("constant" in c.error for c in found.candidates if c.covariance_type == "full")
    with pytest.raises(mx.CollapseError, match="no candidate"):
        mx.search(X, [1], ["full"], reg_covar=0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0],), "got 0"),
        (([273],), "got 273"),
        (([],), "at least one"),
        (([2], ["round"]), "covariance_type"),
        (([2], ["full"], "waic"), "criterion"),
    ],
)
def test_bad_arguments_are_named(arguments, message, faithful):
    n_components, *rest = arguments
    settings = dict(zip(("covariance_types", "criterion"), rest, strict=False))
    with pytest.raises(ValueError, match=message):
        mx.search(faithful, n_components, **settings)
