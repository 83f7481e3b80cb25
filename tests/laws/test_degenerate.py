"""Degenerate data, every structure: a finite answer that climbed, or an error that says what is wrong.

Never a NaN, never a stray warning.
"""

import warnings

import numpy as np
import pytest

import mixtura as mx
from mixtura.model.covariance import STRUCTURES


def rows(*shape):
    return np.random.default_rng(0).normal(size=shape)


DATA = {
    "repeated rows": np.repeat(rows(5, 2), 8, axis=0),
    "all rows equal": np.full((20, 2), 3.7),
    "collinear columns": np.c_[rows(60, 2), rows(60, 2) @ [1, 2]],
    "a constant column": np.c_[rows(50, 2), np.full(50, 7.3)],
    "as many rows as components": rows(3, 2),
    "fewer rows than columns": rows(4, 7),
    "one far outlier": np.r_[rows(80, 2), [[1e9, 1e9]]],
    "one very far outlier": np.r_[rows(80, 2), [[1e15, -1e15]]],
    "values near 1e150": rows(60, 2) * 1e150,
    "values near 1e-150": rows(60, 2) * 1e-150,
    "an offset of 1e150": rows(60, 2) + 1e150,
    "an offset of 1e8": rows(60, 2) + 1e8,
    "very different scales": rows(60, 2) * [1e-8, 1e8],
    "integers": np.random.default_rng(0).integers(0, 4, size=(60, 2)),
    "float32 near 1e30": (rows(60, 2) * 1e30).astype(np.float32),
    "float32 near 1e16": (rows(60, 2) * 1e16).astype(np.float32),
    "float32 near 1e-16": (rows(60, 2) * 1e-16).astype(np.float32),
    "float32 near 1e-30": (rows(60, 2) * 1e-30).astype(np.float32),
}
REFUSED = ("an offset of 1e150", "float32 near 1e30", "float32 near 1e-30")
REMEDIES = {
    "floor": {"reg_covar": 1e-6},
    "prior": {"reg_covar": 0.0, "covariance_prior": "empirical"},
    "floor and prior": {"reg_covar": 1e-6, "covariance_prior": "empirical"},
    "nothing": {"reg_covar": 0.0},
}


def fit(name, structure, remedy):
    gm = mx.GaussianMixture(3, covariance_type=structure, n_init=3, random_state=0, **REMEDIES[remedy])
    return gm.fit(DATA[name])


@pytest.mark.filterwarnings("ignore::mixtura.CollapseWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("structure", [s.name for s in STRUCTURES])
@pytest.mark.parametrize("name", DATA)
def test_finite_or_named(name, structure, remedy):
    message = None
    try:
        gm = fit(name, structure, remedy)
    except mx.MixturaError as error:
        message = str(error)
    if message is not None:
        assert "\n" not in message
        assert any(word in message for word in ("collapse", "underflow", "overflow"))
        assert any(word in message for word in ("Try", "Multiply", "Divide"))
        return
    X = DATA[name]
    for value in (gm.weights_, gm.means_, gm.covariances_, gm.precisions_cholesky_, gm.lower_bounds_):
        assert np.isfinite(value).all()
    assert np.isfinite(gm.predict_proba(X)).all()
    assert np.isfinite(gm.score_samples(X)).all()
    bounds = np.array(gm.restarts_.best.bounds)
    rounding = 1e-8 if X.dtype == np.float32 else 1e-11
    if (
        gm.collapses_ or gm.prior_
    ):  # a matrix that these hold up is known to the spacing of numbers times its condition number
        rounding = max(rounding, np.finfo(float).eps * np.linalg.cond(gm.mixture_.covariance_matrices).max())
    assert (np.diff(bounds) >= -rounding * np.abs(bounds[1:])).all()
    assert gm.n_collapsed_ <= gm.restarts_.n_runs
    for collapse in gm.collapses_:
        assert "coincide" in collapse.cause or "subspace" in collapse.cause
        assert collapse.count > 0


@pytest.mark.filterwarnings("ignore::mixtura.CollapseWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("structure", [s.name for s in STRUCTURES])
@pytest.mark.parametrize("name", [name for name in DATA if name not in REFUSED])
def test_a_floor_always_gives_an_answer(name, structure):
    fit(name, structure, "floor")


def test_what_collapsed_is_named():
    X = np.r_[np.tile([[1.0, 2.0]], (6, 1)), rows(40, 2) + 9]
    with pytest.warns(mx.CollapseWarning):
        gm = mx.GaussianMixture(2, random_state=0).fit(X)
    (collapse,) = gm.collapses_
    np.testing.assert_allclose(gm.means_[collapse.component], [1, 2], atol=1e-9)
    assert collapse.cause == "its rows coincide"
    assert collapse.count == pytest.approx(6)
    assert collapse.condition_number == pytest.approx(1)
    line = np.r_[np.c_[np.arange(12.0), 3 * np.arange(12.0)] - 100, rows(40, 2)]
    with pytest.warns(mx.CollapseWarning, match="1-dimensional subspace"):
        mx.GaussianMixture(2, random_state=0).fit(line)


def test_collapsed_restarts_are_discarded_and_counted():
    # A spike on repeated rows has the higher likelihood; the other optimum is the answer.
    X = np.r_[rows(60, 1), rows(60, 1) + 6, np.full((4, 1), 2.9)]
    gm = mx.GaussianMixture(3, n_init=30, init_params="random_from_data", max_iter=500, random_state=0).fit(X)
    assert 0 < gm.n_collapsed_ < gm.restarts_.n_runs
    assert not gm.collapses_
    assert (
        sum(optimum.times for optimum in gm.optima_) == gm.restarts_.n_runs - gm.n_collapsed_ - gm.restarts_.n_dropped
    )
    bounds = [optimum.bound for optimum in gm.optima_]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == pytest.approx(gm.score(X) * len(X), rel=1e-12)
    assert gm.covariances_.min() > 0.01


def test_without_a_floor_the_error_says_what_happened():
    with pytest.raises(mx.CollapseError, match=r"collapsed.*its rows coincide \(effective count 8.*Try") as caught:
        mx.GaussianMixture(3, reg_covar=0, n_init=2, random_state=0).fit(np.repeat(rows(5, 1), 8, axis=0))
    assert isinstance(caught.value, ValueError)


def test_no_warning_for_sound_data():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mx.GaussianMixture(2, random_state=0).fit(np.r_[rows(50, 2), rows(50, 2) + 8])
