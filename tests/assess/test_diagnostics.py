"""Diagnostics: numbers that ArviZ agrees on, quantities that labels cannot move, and a verdict that says what is wrong."""

import math

import numpy as np
import pytest

import mixtura as mx
from mixtura.assess.draws.convergence import bulk_size, energy_fractions, mean_error, r_hat, tail_size
from mixtura.assess.draws.diagnostics import Diagnosed, Diagnostics, diagnose, invariants
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.draws import Draws


def autoregressive(shape, coefficient, seed):
    values = np.random.default_rng(seed).normal(size=shape)
    for t in range(1, shape[1]):
        values[:, t] += coefficient * values[:, t - 1]
    return values


CHAINS = {
    "independent": autoregressive((4, 200), 0.0, 0),
    "slow": autoregressive((3, 501), 0.95, 1),
    "antithetic": autoregressive((2, 100), -0.7, 2),
    "apart": autoregressive((4, 100), 0.5, 3) + np.arange(4)[:, None],
    "of unequal scale": autoregressive((4, 100), 0.0, 4) * np.array([[1], [1], [1], [4]]),
    "with ties": np.round(autoregressive((4, 300), 0.6, 5)),
    "heavy-tailed": np.random.default_rng(6).standard_cauchy((4, 250)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_diagnostics_are_those_of_arviz(name):
    reference = pytest.importorskip("arviz_stats.base").array_stats
    values = CHAINS[name]
    assert r_hat(values) == pytest.approx(reference.rhat(values), rel=1e-10)
    assert bulk_size(values) == pytest.approx(reference.ess(values, method="bulk"), rel=1e-10)
    assert tail_size(values) == pytest.approx(reference.ess(values, method="tail", prob=(0.05, 0.95)), rel=1e-10)
    assert mean_error(values) == pytest.approx(reference.mcse(values, method="mean"), rel=1e-10)
    np.testing.assert_allclose(energy_fractions(values), reference.bfmi(values), rtol=1e-10)


def test_an_autoregressive_chain_is_worth_what_theory_says(seed):
    """Over many seeds the estimate spreads by 1.5 %: to six of that and a little more."""
    values = autoregressive((4, 20_000), 0.8, seed)
    assert bulk_size(values) == pytest.approx(80_000 * (1 - 0.8) / (1 + 0.8), rel=0.1)


def test_chains_that_do_not_move():
    still = np.full((4, 10), 3.0)
    assert (r_hat(still), bulk_size(still), tail_size(still), mean_error(still)) == (1.0, 40.0, 40.0, 0.0)
    assert r_hat(np.repeat([[0.0], [1.0]], 10, axis=1)) == math.inf
    assert energy_fractions(still).tolist() == [0.0] * 4
    with pytest.raises(mx.DataError, match="at least 4 draws in each chain; there are 3"):
        r_hat(np.zeros((4, 3)))


@pytest.mark.parametrize("where", [(0, 3), (slice(None), 7), (1, slice(None)), (slice(None), slice(None))])
def test_where_a_draw_is_no_number_nothing_can_be_said(where):
    chains = autoregressive((4, 100), 0.5, 7)
    chains[where] = math.nan
    assert all(math.isnan(number(chains)) for number in (r_hat, bulk_size, tail_size, mean_error))


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_draws_have_a_rank_and_no_mean(value):
    chains = autoregressive((4, 100), 0.5, 7)
    far = chains.copy()
    chains[0, 3], far[0, 3] = value, 1e6 * np.sign(value)
    assert [number(chains) for number in (r_hat, bulk_size, tail_size)] == [
        number(far) for number in (r_hat, bulk_size, tail_size)
    ]
    assert math.isnan(mean_error(chains))
    chains[1] = value
    assert r_hat(chains) > 1.5


# ---- what labels cannot move ---------------------------------------------------------------------------------------------------


def random_draws(structure, n_chains=4, n_draws=50, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_chains * n_draws, 3, 2, 12))
    covariances = [structure.from_matrices(f @ f.swapaxes(1, 2) / 12, np.ones(3)) for f in factors]
    means = np.array([[0, 0], [4, 0], [0, 4]]) + 0.2 * rng.normal(size=(n_chains, n_draws, 3, 2))
    weights = rng.dirichlet([20, 30, 50], (n_chains, n_draws))
    return Draws(structure, weights, means, np.reshape(covariances, (n_chains, n_draws, *np.shape(covariances)[1:])))


X = 2 * np.random.default_rng(9).normal(size=(45, 2))


def test_no_more_weights_are_watched_than_matter():
    weights = np.random.default_rng(0).dirichlet(np.ones(500), (2, 4))
    draws = Draws(covariance_structure("spherical"), weights, np.zeros((2, 4, 500, 1)), np.ones((2, 4, 500)))
    watched = [values for name, values in invariants(draws, [[0.0], [1.0]]).items() if name.startswith("weight ")]
    assert np.array_equal(np.moveaxis(watched, 0, -1), -np.sort(-weights)[..., :20])


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_quantities_are_what_they_are_called(structure):
    draws = random_draws(structure, n_draws=4)
    found = invariants(draws, X, {"lp": np.arange(16.0).reshape(4, 4)})
    assert len(found) == 2 + 20 + 3 + 4
    assert found["log posterior"][1, 0] == 4
    one, at = draws.mixture(2, 3), (2, 3)
    assert found["log-likelihood"][at] == pytest.approx(one.log_likelihood(X), rel=1e-11)
    assert found["log density at row 0"][at] == pytest.approx(one.log_pdf(X)[0], rel=1e-12)
    assert found["log density at row 44"][at] == pytest.approx(one.log_pdf(X)[44], rel=1e-12)
    ordered = sorted(one.weights, reverse=True)
    assert [found[f"weight {k} by size"][at] for k in (1, 2, 3)] == ordered
    assert found["entropy of the weights"][at] == pytest.approx(-sum(w * math.log(w) for w in ordered), rel=1e-12)
    assert found["number of filled components"][at] == (one.responsibilities(X).sum(axis=0) >= 0.5).sum()
    mean = one.weights @ one.means
    total = sum(
        w * (c + np.outer(m - mean, m - mean))
        for w, m, c in zip(one.weights, one.means, one.covariance_matrices, strict=True)
    )
    assert found["trace of the total covariance"][at] == pytest.approx(np.trace(total), rel=1e-12)
    determinant = np.linalg.det(total)
    assert found["log-determinant of the total covariance"][at] == pytest.approx(math.log(determinant), rel=1e-10)


def test_labels_do_not_matter():
    draws = random_draws(covariance_structure("full"))
    orders = np.random.default_rng(2).permuted(np.broadcast_to(np.arange(3), (4, 50, 3)), axis=2)
    mixed = invariants(draws.permuted(orders), X)
    for name, values in invariants(draws, X).items():
        np.testing.assert_allclose(mixed[name], values, rtol=1e-11, err_msg=name)


def test_slots_without_weight_are_no_components():
    draws = random_draws(covariance_structure("full"))
    weights = draws.weights.copy()
    weights[:, ::2, 1] = 0
    weights /= weights.sum(axis=2, keepdims=True)
    found = invariants(Draws(draws.structure, weights, draws.means, draws.covariances), X)
    assert all(np.isfinite(values).all() for values in found.values())
    assert (found["number of filled components"][:, ::2] <= 2).all()
    counted = invariants(draws, X, {"n_filled": np.full((4, 50), 7)})
    assert (counted["number of filled components"] == 7).all()


# ---- the verdict ---------------------------------------------------------------------------------------------------------------


def quantity(name="log-likelihood", r_hat=1.003, bulk=812.0, tail=900.0):
    return Diagnosed(name, 0.0, 0.1, r_hat, bulk, tail)


def test_good_chains_are_told_so():
    fine = Diagnostics(4, 500, (quantity(), quantity("weight 1 by size", 1.001, 1500.0, 1100.0)), 0, (0.9,) * 4, 5, 0.0)
    assert fine.sound
    assert fine.verdict == "4 chains agree: largest R̂ 1.003, smallest effective size 812, no divergences."
    without = Diagnostics(4, 500, fine.quantities)
    assert without.verdict == "4 chains agree: largest R̂ 1.003, smallest effective size 812."


def test_in_two_lines_all_is_said():
    bad = Diagnostics(4, 500, (quantity(), quantity("weight 1 by size", 1.002, 1500.0, 700.0), quantity("x", 1.02)))
    first, second = str(bad).split("\n")
    assert first == bad.verdict
    assert second == "Worst: x, R̂ 1.020. Slowest: weight 1 by size, worth 700 of 2000 draws."


def test_one_chain_alone_is_not_trusted():
    alone = Diagnostics(1, 2000, (quantity(),))
    assert not alone.sound
    assert alone.verdict == (
        "1 chain agrees with itself (largest R̂ 1.003, smallest effective size 812), "
        "but only several show whether it has missed a mode; draw at least 4."
    )


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (
            Diagnostics(4, 500, (quantity(r_hat=1.42), quantity("weight 1 by size"))),
            "R̂ of the log-likelihood is 1.42; see whether chains sit in different modes, and draw more.",
        ),
        (
            Diagnostics(4, 500, (quantity(), quantity("number of filled components", math.inf, 4.0, 4.0))),
            "the number of filled components never changes within a chain, and differs between chains, "
            "the effective size of the number of filled components is 4, less than 400; start the chains elsewhere.",
        ),
        (
            Diagnostics(4, 500, (quantity(),), stuck=(("chain 2 stands still in 80% of its draws", "go away"),)),
            "chain 2 stands still in 80% of its draws; go away.",
        ),
        (Diagnostics(4, 500, (quantity(r_hat=1.013),)), "R̂ of the log-likelihood is 1.013; draw more."),
        (
            Diagnostics(4, 500, (quantity(), quantity("log posterior", math.nan, math.nan, math.nan))),
            "the log posterior is not finite in every draw; start the chains elsewhere.",
        ),
        (
            Diagnostics(4, 500, (quantity(),), 12),
            "12 divergences; raise target_accept or take tighter priors.",
        ),
        (
            Diagnostics(4, 500, (quantity(), quantity("log posterior", tail=399.0))),
            "the effective size of the log posterior is 399, less than 400; draw more.",
        ),
        (
            Diagnostics(2, 500, (quantity(),), 0, (0.5, 0.2)),
            "the energy fraction of a chain is 0.20; take priors with lighter tails.",
        ),
        (
            Diagnostics(2, 500, (quantity(),), 0, (), 10, 0.25),
            "25% of the trees were cut off; raise the largest depth or tune for longer.",
        ),
        (
            Diagnostics(4, 500, (quantity(r_hat=1.02, bulk=40.0),), 3),
            "R̂ of the log-likelihood is 1.020, 3 divergences, the effective size of the log-likelihood is 40, less than 400; "
            "draw more.",
        ),
    ],
)
def test_what_is_wrong_is_told_the_gravest_first(bad, sentence):
    assert not bad.sound
    assert bad.verdict == f"Do not trust these draws yet: {sentence}"


def test_chains_in_different_modes_are_found_where_labels_alone_would_not_show_it():
    draws = random_draws(covariance_structure("full"), n_draws=200)
    orders = np.broadcast_to(np.arange(3), (4, 200, 3)).copy()
    orders[1] = [1, 2, 0]
    relabelled = draws.permuted(orders)
    assert r_hat(relabelled.means[:, :, 0, 0]) > 1.5
    assert diagnose(relabelled, X).sound
    means = draws.means.copy()
    means[1, :, 0] += 3
    apart = diagnose(Draws(draws.structure, draws.weights, means, draws.covariances), X)
    assert not apart.sound
    assert apart.worst.r_hat > 1.5
    assert "see whether chains sit in different modes" in apart.verdict


def test_what_the_sampler_says_is_heard():
    draws = random_draws(covariance_structure("diag"), n_draws=200)
    rng = np.random.default_rng(0)
    diverging = np.zeros((4, 200), bool)
    diverging[2, :5] = True
    energy = rng.normal(size=(4, 200))
    energy[3] = np.cumsum(energy[3])
    statistics = {
        "diverging": diverging,
        "energy": energy,
        "tree_depth": rng.integers(1, 6, (4, 200)),
        "reached_max_treedepth": np.zeros((4, 200), bool),
        "energy_error": np.where(diverging, np.inf, 0.0),
    }
    found = diagnose(draws, X, statistics)
    assert found.n_divergences == 5
    assert found.energy_fractions[3] < 0.2 < 1.5 < found.energy_fractions[0]
    assert found.largest_tree_depth == 5
    assert found.share_at_depth == 0
    assert "5 divergences, the energy fraction of a chain is 0.1" in found.verdict
    rows = found.table().splitlines()
    assert len(rows) == 1 + len(found.quantities)
    assert all(row.startswith(q.name) for row, q in zip(rows[1:], found.quantities, strict=True))
    with pytest.raises(mx.InvalidParameterError, match="n_filled; got 'divergent'"):
        diagnose(draws, X, {"divergent": diverging})
    with pytest.raises(mx.InvalidParameterError, match=r"shape \(4, 200\); got \(4, 10\)"):
        diagnose(draws, X, {"energy": np.zeros((4, 10))})
    with pytest.raises(mx.InvalidParameterError, match="must be finite; got nan"):
        diagnose(draws, X, {"lp": np.full((4, 200), np.nan)})


# ---- chains that are stuck alike -----------------------------------------------------------------------------------------------


def filled(*rows):
    """Counts of 4 chains of 200 draws: constant, but where a number is a pair, which then takes turns."""
    return np.array([np.resize(row, 200) for row in rows])


@pytest.mark.parametrize(
    ("counts", "begun", "accepted", "sentence"),
    [
        ((3, 3, 3, 3), (3, 3, 3, 3), None, "no chain has left the 3 filled components that all of them began with"),
        (
            (3, 3, 3, 3),
            (3, 3, 3, 3),
            (0.0, 0.0, 0.0, 0.0),
            "no chain accepted a move to another number of components, and all of them began with the 3 that they fill",
        ),
        ((2, 3, 3, 4), (2, 3, 3, 4), (0.0,) * 4, "each chain keeps the number of filled components that it began with"),
        # Agreement that means something: from several numbers to one, or one that chains have left and come back to.
        ((3, 3, 3, 3), (1, 2, 3, 6), (0.0,) * 4, None),
        ((3, 3, 3, 3), (3, 3, 3, 3), (0.0, 0.01, 0.0, 0.0), None),
        (((3, 4), (3, 4), (3, 4), (3, 4)), (3, 3, 3, 3), (0.0,) * 4, None),
        ((3, 3, 3, 3), None, None, None),
    ],
)
def test_chains_that_keep_the_number_that_they_began_with_are_found(counts, begun, accepted, sentence):
    draws = random_draws(covariance_structure("full"), n_draws=200)
    found = diagnose(draws, X, {"n_filled": filled(*counts)}, n_begun=begun, accepted=accepted)
    assert found.sound == (sentence is None)
    if sentence is not None:
        assert found.verdict.startswith(f"Do not trust these draws yet: {sentence}")
    # Without what is known of the starts, those that agree are believed.
    assert diagnose(draws, X, {"n_filled": filled(*counts)}).sound == (len(set(map(str, counts))) == 1)


def test_chains_that_stand_still_are_found_though_they_agree():
    """R̂ of a constant is one, and each of its draws counts: numbers alone would say that all is well."""
    draws = random_draws(covariance_structure("diag"), n_draws=200)
    parts = (draws.weights, draws.means, draws.covariances)
    still = Draws(draws.structure, *(np.broadcast_to(part[:1, :1], part.shape) for part in parts))
    found = diagnose(still, X)
    assert found.worst.r_hat == 1.0
    assert found.verdict.startswith("Do not trust these draws yet: chain 0 stands still in 100% of its draws")
    slow = [part.copy() for part in parts]
    for part in slow:
        part[2] = np.repeat(part[2, :50], 4, axis=0)
    assert "chain 2 stands still in 75% of its draws" in diagnose(Draws(draws.structure, *slow), X).verdict
