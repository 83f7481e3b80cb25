"""Chains of NUTS that ask the compiled engine, each on its own: the same bits whatever threads do, and the draws of chains that sweep."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.sampling import nuts
from mixtura.inference.sampling.log_posterior import FreeLogPosterior
from mixtura.model.laws.independent import IndependentPrior
from mixtura.sweep import compiled

pytest.importorskip("nutpie")
pytestmark = pytest.mark.skipif(compiled.engine is None, reason=compiled.description)


def drawn(seed=0, **how):
    rows = np.random.default_rng(1).normal(size=(60, 2)) + 5 * (np.arange(60)[:, None] < 20)
    mode = mx.Mixture([1 / 3, 2 / 3], [[5.0, 5.0], [0.0, 0.0]], np.stack([np.eye(2)] * 2), "full")
    prior = IndependentPrior.from_data_moments(rows.mean(axis=0), rows.var(axis=0), 2)
    return nuts.sample(ArraySource(rows), [mode], prior, rng=np.random.default_rng(seed), **how)


def test_a_seed_fixes_draws_to_the_last_bit_however_many_chains_there_are():
    first, again, fewer = (drawn(n_draws=100, n_tune=100, n_chains=n) for n in (4, 4, 2))
    np.testing.assert_array_equal(first.draws.means, again.draws.means)
    np.testing.assert_array_equal(first.log_posterior, again.log_posterior)
    np.testing.assert_array_equal(first.draws.means[:2], fewer.draws.means)


def test_chains_that_are_given_up_are_so_alike():
    """By their own count alone: what a chain returns does not depend on the others."""
    short = {"n_draws": 400, "n_tune": 60, "gradients_per_draw": 2}
    first, again, alone = (drawn(n_chains=n, **short) for n in (3, 3, 1))
    assert first.trouble == again.trouble
    assert first.trouble is not None
    np.testing.assert_array_equal(first.draws.means, again.draws.means)
    np.testing.assert_array_equal(first.draws.means[:1], alone.draws.means[:, : first.draws.n_draws])


def test_its_first_draws_are_those_of_chains_that_ask_for_sweeps(monkeypatch):
    short = {"n_draws": 4, "n_tune": 4, "n_chains": 2}
    alone = drawn(**short)
    monkeypatch.setattr(FreeLogPosterior, "in_cache", None)
    together = drawn(**short)
    np.testing.assert_allclose(alone.draws.means, together.draws.means, rtol=1e-6)
    np.testing.assert_allclose(alone.log_posterior, together.log_posterior, rtol=1e-6)
