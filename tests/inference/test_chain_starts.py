"""Where chains begin: about modes that hold the posterior, whose masses are known where the posterior is nearly normal."""

import numpy as np
import pytest
from scipy.special import logsumexp

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.chain_starts import chain_starts, free_log_posterior, peaks
from mixtura.inference.sampling.log_posterior import FreeLogPosterior
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.scale_laws import HalfNormal, LogNormal
from mixtura.sweep import Sweep

PRIOR = IndependentPrior([0.0], [20.0], HalfNormal(10.0))


def groups(*centres: float) -> Array:
    """Twenty rows about each centre, the same about all of them and to both sides."""
    half = np.random.default_rng(0).normal(size=10)
    own = np.concatenate([half, -half])
    return np.concatenate([centre + own for centre in centres])[:, None]


def split(rows: Array, after: int) -> mx.Mixture:
    """Two components, of the first so many rows and of the others."""
    parts = rows[:after], rows[after:]
    weights = [len(part) / len(rows) for part in parts]
    return mx.Mixture(weights, [part.mean(axis=0) for part in parts], [part.var() for part in parts], "spherical")


def about(rows: Array, mode: mx.Mixture, prior: IndependentPrior = PRIOR) -> FreeLogPosterior:
    return free_log_posterior(Sweep(ArraySource(rows)), mode, prior)


def test_modes_of_one_mass_count_alike_and_once_whatever_their_labels() -> None:
    rows = groups(-10.0, 0.0, 10.0)
    modes = [split(rows, 20), split(rows, 40), split(rows, 20).reorder(np.array([1, 0]))]
    target = about(rows, modes[0])
    found = peaks(target, modes)
    assert len(found) == 2
    assert found[0].log_mass == pytest.approx(found[1].log_mass, abs=1e-3)
    starts = chain_starts(target, modes, np.random.default_rng(0).spawn(5))
    for i, start in enumerate(starts):
        near, far = (np.linalg.norm(start - found[j % 2].at) for j in (i, i + 1))
        assert near < 3 * np.sqrt(target.size)
        assert far > 2 * near


def test_a_mode_without_mass_begins_no_chain() -> None:
    """To join groups 30 apart costs sixteen nats and more beside those that are 10 apart."""
    rows = groups(-10.0, 0.0, 30.0)
    poor, good = split(rows, 20), split(rows, 40)
    (only,) = peaks(about(rows, poor), [poor, good])
    target = about(rows, poor)
    weights = target.about.mixture(target.split(only.at)[0]).weights
    assert weights.max() == pytest.approx(2 / 3, abs=0.05)
    assert weights.argmax() == 1 - poor.weights.argmax()  # labels are those of the poor one


def test_masses_are_those_of_integration() -> None:
    """Of one normal: the log evidence on a grid. Laplace's error is of the order of one over the rows."""
    rows = np.random.default_rng(1).normal(3.0, 2.0, size=(200, 1))
    prior = IndependentPrior([1.0], [2.0], LogNormal(1.0, 1.0))
    mode = mx.Mixture([1.0], [rows.mean(axis=0)], [rows.var()], "spherical")
    target = about(rows, mode, prior)
    (peak,) = peaks(target, [mode])
    axis = np.linspace(-7, 7, 141)
    heights = target(np.stack(np.meshgrid(axis, axis), axis=-1))[0]
    expected = logsumexp(heights) + 2 * np.log(axis[1] - axis[0])
    assert peak.log_mass + np.log(2 * np.pi) == pytest.approx(expected, abs=0.02)
    np.testing.assert_allclose(peak.root @ peak.root.T, np.eye(2), atol=0.1)  # so the coordinates are round


def test_a_start_held_at_the_resolution_is_no_obstacle() -> None:
    """Half of the rows are zero, and the mode that EM found has no more variance there than the resolution allows."""
    rows = np.concatenate([np.zeros(20), np.random.default_rng(0).lognormal(0, 0.5, 20)])[:, None]
    resolution = 1e-3
    prior = IndependentPrior([0.0], [2.0], HalfNormal(1.0), resolution=resolution)
    mode = mx.Mixture([0.5, 0.5], [[0.0], [1.0]], [resolution**2, 0.3], "spherical")
    target = about(rows, mode, prior)
    (peak,) = peaks(target, [mode])
    place = target.about.place(target.split(peak.at)[0])
    assert 0 < place.roots[0] < resolution
    assert (target.blocks(place) > resolution**2).all()


def test_where_there_is_no_density_it_is_said() -> None:
    rows = groups(-10.0, 10.0)
    mode = split(rows, 20)
    empty = mx.Mixture([1.0, 0.0], mode.means, mode.covariances, "spherical")
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(InvalidParameterError, match="no density"):
        peaks(about(rows, mode), [empty])
