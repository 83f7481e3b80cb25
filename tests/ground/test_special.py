"""Special functions against sixty digits, where doubles that are subtracted would leave none."""

import mpmath as mp
import numpy as np
import pytest
from scipy.stats import beta as beta_law
from scipy.stats import t as student_law

from mixtura.ground import special

mp.mp.dps = 60
SIZES = [1e-300, 1e-15, 1e-6, 0.1, 0.5, 1.0, 3.0, 50.0, 99.9, 100.0, 101.0, 1e3, 1e6, 1e9, 1e12, 1e15, 1e18]
STEPS = [0.0, 1e-300, 1e-15, 1e-3, 0.5, 1.0, 10.0, 1e3, 1e7, 1e12]
every_size = pytest.mark.parametrize("size", SIZES)


def rest(x):
    return mp.loggamma(x) - (x * mp.log(x) - x)


@every_size
@pytest.mark.parametrize("step", STEPS)
def test_how_far_the_log_of_the_gamma_function_lies_above_its_tangent(size, step):
    x, y = mp.mpf(size), mp.mpf(size + step)
    exact = float(mp.loggamma(x) - mp.loggamma(y) - mp.digamma(y) * (x - y))
    assert special.log_gamma_excess(size, size + step) == pytest.approx(exact, abs=2e-13 * max(1.0, step))
    exact = float(rest(x) - rest(y) - (mp.digamma(y) - mp.log(y)) * (x - y))
    found = special.log_gamma_rest_excess(size, size + step)
    assert found == pytest.approx(exact, rel=1e-12, abs=2e-13 * (1 + abs(np.log(size))))
    exact = float(mp.loggamma(x + mp.mpf(step)) - mp.loggamma(x))
    assert special.log_gamma_gain(size, step) == pytest.approx(exact, rel=1e-13, abs=1e-13)


@every_size
def test_what_is_left_of_the_log_of_the_gamma_function(size):
    x = mp.mpf(size)
    assert special.log_gamma_rest(size) == pytest.approx(float(rest(x)), rel=1e-13, abs=2e-13)
    assert special.digamma_rest(size) == pytest.approx(float(mp.digamma(x) - mp.log(x)), rel=1e-11)
    assert special.digamma(size) == pytest.approx(float(mp.digamma(x)), rel=1e-13)


def test_logs_of_ratios_keep_their_digits_and_do_not_overflow():
    for x, y in [
        (1.0 + 1e-12, 1.0),
        (1e18, 1e18 + 1e4),
        (1e-300, 1e300),
        (1e300, 1e-300),
        (3.0, 7.0),
        (5e-324, 5e-324),
    ]:
        assert special.log_ratio(x, y) == pytest.approx(float(mp.log(mp.mpf(x) / mp.mpf(y))), rel=1e-14, abs=0)


def test_nothing_is_infinite_however_small_or_large_the_argument():
    ends = np.array([5e-324, 1e-310, 2.3e-308, 1e300])
    for function in (special.digamma, special.trigamma, special.log_gamma_rest, special.digamma_rest):
        assert np.isfinite(function(ends)).all()
    for y in ends:
        assert np.isfinite(special.log_gamma_excess(5e-324, y))
    rng = np.random.default_rng(0)
    assert (special.gamma_draws(np.full(1000, 1e-300), rng) > 0).all()
    assert np.isfinite(special.log_gamma_draws(np.full(1000, 1e-310), rng)).all()


def test_quantiles_of_students_t():
    degrees, levels = np.array([0.05, 0.5, 3.0, 1e4, 1e18])[:, None], np.array([1e-3, 0.025, 0.4, 0.9, 0.975])
    np.testing.assert_allclose(special.student_quantiles(degrees, levels), student_law.ppf(levels, degrees), rtol=1e-6)
    beyond = special.student_quantiles(np.array([[1e-300], [1e-15], [1e-3]]), np.array([0.025, 0.975]))
    np.testing.assert_array_equal(beyond, special.LARGEST * np.tile([-1.0, 1.0], (3, 1)))


def test_quantiles_of_beta_laws_where_parameters_are_too_large_for_scipy():
    levels = np.array([0.005, 0.025, 0.5, 0.9, 0.995])[:, None]
    for whole in (1e9, 1e11):
        first = whole * np.array([3e-10, 4e-9, 1e-6, 1e-3, 0.1, 0.5, 0.9])
        found = special.beta_quantiles(first, whole - first, levels)
        np.testing.assert_allclose(beta_law.cdf(found, first, whole - first), np.tile(levels, 7), atol=1e-4)
    first = np.array([0.3, 4.0, 1e3, 1e8])
    exact = beta_law.ppf(levels, first, 9.99e8 - first)
    np.testing.assert_allclose(special.beta_quantiles(first, 9.99e8 - first, levels), exact, rtol=1e-12)
    ends = special.beta_quantiles(
        np.array([1e18, 1e300, 1e-300, 272.0]), np.array([5e18, 1e300, 1e300, 1e-300]), levels
    )
    assert np.isfinite(ends).all()
    np.testing.assert_allclose(ends[2], [1 / 6, 0.5, 0.0, 1.0], rtol=1e-8)
    assert (np.diff(ends, axis=0) >= 0).all()
