"""Sticks are broken in the best of all orders, and what is said of them keeps its digits at every concentration."""

import itertools
from functools import cache

import mpmath as mp
import numpy as np
import pytest

import mixtura as mx
from mixtura.model.laws.weights import Dirichlet, StickBreaking, best_order

mp.mp.dps = 60
CONCENTRATIONS = [10.0**power for power in (-6, -3, -1, 0, 0.01, 0.5, 1, 2, 3, 5, 8, 12)]
COUNTS = {
    "one": [7.0],
    "two": [3.0, 200.0],
    "nothing": [0.0, 0.0, 0.0, 0.0],
    "all in one": [0.0, 272.0, 0.0, 0.0],
    "ties": [5.0, 5.0, 5.0, 40.0, 40.0],
    "fractions": [1e-9, 0.3, 0.3, 1e-3, 2.5],
    "far apart": [1e-12, 1e9, 1.0, 1e4, 0.0],
    "few and many": [1e8, 1e8 + 1, 2.0, 3.0],
    "huge": [1e15, 3.0, 4e15, 1e2],
    "six": [90.0, 60.5, 60.5, 31.0, 30.0, 0.0],
    "six alike": [45.3, 45.4, 45.2, 45.5, 45.1, 45.6],
}
every_concentration = pytest.mark.parametrize("alpha", CONCENTRATIONS)
every_counts = pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)


@cache
def log_gamma(x):
    return mp.loggamma(x)


def log_beta(a, b):
    return log_gamma(a) + log_gamma(b) - log_gamma(a + b)


def log_marginal(counts, order, alpha):
    """``Σ_j ln B(1 + n_j, α + what is beyond) − ln B(1, α)``, to sixty digits."""
    exact, left, total = [mp.mpf(float(counts[k])) for k in order], mp.fsum(map(mp.mpf, counts)), mp.mpf(0)
    for count in exact[:-1]:
        left -= count
        total += log_beta(1 + count, alpha + left) - log_beta(mp.mpf(1), alpha)
    return total


def rounding(counts, alpha):
    """Of numbers as large as those that the log probability of the counts is made of."""
    total = sum(counts)
    return 1e-14 * (len(counts) * (1 + abs(np.log(alpha))) + total * np.log(2 + alpha + total))


@every_counts
@every_concentration
def test_no_order_is_better(counts, alpha):
    chosen = best_order(np.array(counts), alpha)
    assert sorted(chosen) == list(range(len(counts)))
    exact = mp.mpf(alpha)
    best = max(log_marginal(counts, order, exact) for order in itertools.permutations(range(len(counts))))
    assert float(best - log_marginal(counts, chosen, exact)) <= rounding(counts, alpha)


@every_concentration
def test_equal_counts_stay_in_their_order_and_no_order_is_a_matter_of_labels(alpha):
    assert best_order(np.zeros(5), alpha).tolist() == [0, 1, 2, 3, 4]
    assert best_order(np.full(5, 13.7), alpha).tolist() == [0, 1, 2, 3, 4]
    counts = np.random.default_rng(0).exponential(50.0, 40)
    labels = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(labels[best_order(counts[labels], alpha)], best_order(counts, alpha))


def test_a_large_concentration_puts_a_large_component_last():
    """The finding that this file keeps: largest first is the best order for ``α ≤ 1`` alone."""
    counts = np.array([100.0, 90.0, 82.0])
    assert best_order(counts, 1.0).tolist() == [0, 1, 2]
    assert best_order(counts, 1e5).tolist() == [1, 2, 0]


@every_counts
@every_concentration
def test_the_terms_of_the_weights_are_the_log_probability_of_the_counts(counts, alpha):
    """By conjugacy ``Σ n E ln π − KL`` is the log marginal: expectations and divergence have the digits that the bound needs."""
    counts = np.array(counts)
    belief = StickBreaking(alpha, np.zeros((0, 2)), np.zeros(0, int)).updated(counts)
    exact = float(log_marginal(counts, belief.order, mp.mpf(alpha)))
    found = float(counts @ belief.expected_logs) - belief.divergence
    assert found == pytest.approx(exact, abs=rounding(counts, alpha))


def divergence_of_dirichlet(a, b):
    """From sixty digits."""
    a, b = [mp.mpf(float(x)) for x in a], [mp.mpf(float(x)) for x in b]
    normalisers = (
        log_gamma(mp.fsum(a)) - mp.fsum(map(log_gamma, a)) - log_gamma(mp.fsum(b)) + mp.fsum(map(log_gamma, b))
    )
    expected = [mp.digamma(x) - mp.digamma(mp.fsum(a)) for x in a]
    return float(normalisers + mp.fsum((x - y) * e for x, y, e in zip(a, b, expected, strict=True)))


@every_counts
@pytest.mark.parametrize("alpha", [1e-300, 1e-15, 1e-6, 0.5, 1.0, 30.0, 1e4, 1e9, 1e12, 1e18])
def test_divergences_keep_their_digits(counts, alpha):
    counts = np.array(counts)
    belief = Dirichlet(alpha, np.full(len(counts), alpha)).updated(counts)
    exact = divergence_of_dirichlet(belief.concentrations, np.full(len(counts), alpha))
    assert belief.divergence == pytest.approx(exact, abs=rounding(counts, alpha))
    sticks = StickBreaking(alpha, np.zeros((0, 2)), np.zeros(0, int)).updated(counts)
    exact = sum(divergence_of_dirichlet(stick, [1.0, alpha]) for stick in sticks.sticks[:-1])
    assert sticks.divergence == pytest.approx(exact, abs=rounding(counts, alpha))


def test_the_bound_does_not_fall_at_a_large_concentration(faithful):
    gm = mx.BayesianGaussianMixture(
        3, weight_concentration_prior=1e5, tol=1e-9, max_iter=500, random_state=5, solver=mx.Cavi(moves=False)
    ).fit(faithful)
    bounds = np.array(gm.lower_bounds_)
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    assert gm.converged_


@pytest.mark.parametrize("kind", ["dirichlet_process", "dirichlet_distribution"])
def test_bounds_settle_where_the_weights_are_known_beforehand(kind):
    """In the limit they are one half each, or all of the weight lies beyond the first stick: a larger concentration changes nothing."""
    X = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    prior = {
        "mean_prior": [6.0],
        "mean_precision_prior": 0.1,
        "covariance_prior": [[4.0]],
        "degrees_of_freedom_prior": 4.0,
    }
    bounds = [
        mx.BayesianGaussianMixture(
            2,
            weight_concentration_prior_type=kind,
            weight_concentration_prior=alpha,
            init_params=np.array([0, 0, 1, 1, 1]),
            max_iter=1000,
            **prior,
        )
        .fit(X)
        .lower_bound_
        for alpha in (1e12, 1e15, 1e18)
    ]
    # The evidence of all five rows in one component; that of the two groups, each row being in its own with probability one half.
    alone, apart = -21.802099237667, -12.115355555860 + 5 * np.log(0.5)
    np.testing.assert_allclose(bounds, alone if kind == "dirichlet_process" else apart, rtol=1e-11)
