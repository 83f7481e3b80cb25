"""Rows and row weights are refused alike by all that reads them: a table of doors, and tables of what is wrong."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.assess.draws.coclustering import coclustering
from mixtura.assess.uncertainty.standard_errors import standard_errors
from mixtura.model.covariance import covariance_structure
from mixtura.model.draws import Draws
from mixtura.model.rows import carrying_rows
from mixtura.plot.animation import replay
from mixtura.plot.subject import all_rows

ROWS = np.array([[0.0, 0.0], [0.5, 0.2], [-0.3, 0.4], [3.0, 1.0], [3.3, 0.6], [2.8, 1.3], [0.1, -0.6], [3.1, 1.4]])
MIXTURE = mx.Mixture([0.5, 0.5], [[0.0, 0.0], [3.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], "diag")
ONE = mx.Mixture([1.0], [ROWS.mean(axis=0)], [ROWS.var(axis=0)], "diag")  # at its maximum


@pytest.fixture(scope="module")
def posterior():
    return mx.BayesianGaussianMixture(2, random_state=0).fit(ROWS).posterior_


@pytest.fixture(scope="module")
def fitted():
    return mx.GaussianMixture(2, covariance_type="diag", reg_covar=0.01, random_state=0).fit(ROWS)


@pytest.fixture(scope="module")
def draws():
    stacked = (np.stack([[part] * 3]) for part in (MIXTURE.weights, MIXTURE.means, MIXTURE.covariances))
    return Draws(covariance_structure("diag"), *stacked)


DOORS = {
    **{
        f"Mixture.{name}": lambda X, _, name=name: getattr(MIXTURE, name)(X)
        for name in ("component_log_pdf", "log_pdf", "pdf", "responsibilities", "predict", "log_likelihood")
    },
    **{
        f"Posterior.{name}": lambda X, get, name=name: getattr(get("posterior"), name)(X)
        for name in ("responsibilities", "predict", "log_pdf")
    },
    "Draws.log_pdf": lambda X, get: get("draws").log_pdf(X),
    "coclustering": lambda X, get: coclustering(get("draws"), X),
    "standard_errors": lambda X, _: standard_errors(ONE, X),
    "pictures": lambda X, _: all_rows(X, MIXTURE),
    "fits anew": lambda X, _: carrying_rows(X, None, 2),
}

WRONG_ROWS = {
    "not a number": ([[0.0, 1.0], [np.nan, 1.0]], "X must be finite; found nan in row 1, column 0"),
    "infinite": ([[0.0, -np.inf]], "X must be finite; found -inf in row 0, column 1"),
    "one row": ([0.0, 1.0], r"X must have shape \(N, 2\); got \(2,\)"),
    "another width": (np.zeros((4, 3)), r"X must have shape \(N, 2\); got \(4, 3\)"),
    "words": ([["a", "b"]], "X must be numeric"),
    "complex": (np.ones((2, 2)) * 1j, "X must be numeric; got dtype complex128"),
    "masked": (np.ma.masked_less(ROWS, 0), "X must be numeric; got a masked array"),
    "dates": (np.zeros((2, 2), "datetime64[s]"), "X must be numeric"),
    "ragged": ([[0.0, 1.0], [2.0]], "X must be numeric"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("wrong", WRONG_ROWS)
def test_wrong_rows_are_refused_by_every_door(door, wrong, request):
    X, message = WRONG_ROWS[wrong]
    with pytest.raises(mx.DataError, match=message):
        DOORS[door](X, request.getfixturevalue)


@pytest.mark.parametrize("door", DOORS)
def test_right_rows_are_let_in_by_every_door(door, request):
    wide = DOORS[door](ROWS, request.getfixturevalue)
    listed = DOORS[door](ROWS.tolist(), request.getfixturevalue)
    if isinstance(wide, np.ndarray):
        np.testing.assert_array_equal(wide, listed)


WEIGHTED_DOORS = {
    "log_likelihood": lambda weights, _: MIXTURE.log_likelihood(ROWS, weights),
    "standard_errors": lambda weights, _: standard_errors(ONE, ROWS, weights),
    "animate": lambda weights, get: replay(get("fitted"), ROWS, weights),
    "fits anew": lambda weights, _: carrying_rows(ROWS, weights, 2),
}

WRONG_WEIGHTS = {
    "too few": (np.ones(7), r"one number for each of 8 rows; got shape \(7,\)"),
    "a column": (np.ones((8, 1)), r"one number for each of 8 rows; got shape \(8, 1\)"),
    "negative": ([1.0] * 7 + [-1.0], "finite and not negative; found -1.0 in row 7"),
    "not a number": ([1.0, np.nan] * 4, "finite and not negative; found nan in row 1"),
    "infinite": ([np.inf] * 8, "finite and not negative; found inf in row 0"),
    "words": (["a"] * 8, "sample_weight must be real numbers"),
    "complex": (np.full(8, 1j), "sample_weight must be real numbers"),
}


@pytest.mark.parametrize("door", WEIGHTED_DOORS)
@pytest.mark.parametrize("wrong", WRONG_WEIGHTS)
def test_wrong_weights_are_refused_by_every_door(door, wrong, request):
    weights, message = WRONG_WEIGHTS[wrong]
    with pytest.raises(mx.DataError, match=message):
        WEIGHTED_DOORS[door](weights, request.getfixturevalue)


def test_rows_without_weight_are_left_out_and_one_must_be_left():
    weights = np.array([1.0, 0, 2, 0, 0, 0.5, 0, 1])
    rows, carried = carrying_rows(ROWS, weights)
    np.testing.assert_array_equal(rows, ROWS[[0, 2, 5, 7]])
    np.testing.assert_array_equal(carried, [1, 2, 0.5, 1])
    assert carrying_rows(ROWS.astype(np.float32), None)[0].dtype == np.float32
    for nothing in ((ROWS, np.zeros(8)), (np.empty((0, 2)), None)):
        with pytest.raises(mx.DataError, match=r"X must hold at least one row.*; there are none"):
            carrying_rows(*nothing)
    with pytest.raises(mx.DataError, match=r"X must have shape \(N, D\); got \(3, 0\)"):
        carrying_rows(np.empty((3, 0)), None)
