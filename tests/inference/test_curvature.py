"""What an ascent learns of the curvature, against dense updates; and that it holds on more data than it was learnt on."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.climb.curvature import MEMORY, Curvature
from mixtura.inference.climb.loop import climb
from mixtura.inference.climb.quasi_newton import QuasiNewton
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.model.covariance import covariance_structure
from mixtura.sweep import Sweep, accumulate

N_PAIRS = (1, 3, 8)


def unit_curvature(size=6):
    m = mx.Mixture([0.5, 0.5], [[0.0], [3.0]], [1.0, 2.0], "spherical")
    return Curvature(m, np.array([40.0, 60.0])), size


def quadratic(rng, size=6):
    """A Hessian with eigenvalues between zero and one, as whitened coordinates have it."""
    vectors, _ = np.linalg.qr(rng.normal(size=(size, size)))
    return (vectors * rng.uniform(0.02, 1, size)) @ vectors.T


def dense_inverse(pairs, elsewhere, size):
    """BFGS written out: ``H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ`` from ``elsewhere`` times the identity."""
    inverse = elsewhere * np.eye(size)
    for step, fall in pairs:
        rho = 1 / (step @ fall)
        left = np.eye(size) - rho * np.outer(step, fall)
        inverse = left @ inverse @ left.T + rho * np.outer(step, step)
    return inverse


@pytest.mark.parametrize("n_pairs", N_PAIRS)
@pytest.mark.parametrize("is_of_part", [False, True])
def test_the_ascent_is_that_of_dense_updates(n_pairs, is_of_part):
    rng = np.random.default_rng(0)
    curvature, size = unit_curvature()
    hessian = quadratic(rng)
    pairs = [
        (step, hessian @ step) for step in rng.normal(size=(n_pairs, size)) * 10.0 ** rng.uniform(-6, 0, (n_pairs, 1))
    ]
    for pair in pairs:
        curvature = curvature.with_pair(*pair)
    if is_of_part:
        curvature = curvature.on_all(1e6)
    step, fall = pairs[-1]
    elsewhere = 1.0 if is_of_part else step @ fall / (fall @ fall)
    gradient = rng.normal(size=size)
    expected = dense_inverse(pairs, elsewhere, size) @ gradient
    np.testing.assert_allclose(curvature.ascent(gradient)[0], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_a_quadratic_whose_directions_are_all_known_is_climbed_in_one_step():
    rng = np.random.default_rng(0)
    curvature, size = unit_curvature()
    hessian = quadratic(rng)
    values, vectors = np.linalg.eigh(hessian)
    for value, vector in zip(values, vectors.T, strict=True):
        curvature = curvature.with_pair(vector, value * vector)
    gradient = rng.normal(size=size)
    np.testing.assert_allclose(hessian @ curvature.ascent(gradient)[0], gradient, rtol=1e-9, atol=1e-9)


def test_a_pair_along_which_the_gradient_does_not_fall_is_not_learnt():
    curvature, size = unit_curvature()
    step = np.ones(size)
    assert curvature.with_pair(step, -step) is curvature
    assert curvature.with_pair(step, np.zeros(size)) is curvature


def test_the_oldest_pairs_are_forgotten():
    curvature, size = unit_curvature()
    for i in range(MEMORY + 3):
        step = np.full(size, 1.0 + i)
        curvature = curvature.with_pair(step, (1.0 + (i < 3)) * step)
    assert curvature.n_pairs == MEMORY
    np.testing.assert_allclose(curvature.steps[:, 0], curvature.steps[0, 0], rtol=1e-12)


def test_what_is_still_to_come_is_never_said_to_be_less_than_it_is():
    """On quadratics no flatter than ``FLAT``, wherever the ascent has been."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        curvature, size = unit_curvature()
        hessian = quadratic(rng)
        for _ in range(rng.integers(1, 8)):
            step = rng.normal(size=size)
            curvature = curvature.with_pair(step, hessian @ step)
        gradient = rng.normal(size=size)
        left = 0.5 * gradient @ np.linalg.solve(hessian, gradient)
        assert curvature.ascent(gradient)[1] >= left * (1 - 1e-9)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "tied_diag", "spherical", "tied_spherical"])
def test_more_of_the_same_data_has_the_same_curvature(structure):
    """Rows ten times over: a step and a fall ``√10`` times as long, and the same way to the top."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 2)), rng.normal(3.0, 1.5, size=(60, 2))])
    start = mx.Mixture([0.5, 0.5], [[0.0, 0.0], [3.0, 3.0]], {
        "full": np.tile(np.eye(2), (2, 1, 1)), "tied": np.eye(2), "diag": np.ones((2, 2)), "tied_diag": np.ones(2),
        "spherical": np.ones(2), "tied_spherical": 1.0,
    }[structure], structure)  # fmt: skip
    few, many = (gradient_at(rows, start) for rows in (X, np.tile(X, (10, 1))))
    (curvature, gradient), (other, other_gradient) = few, many
    np.testing.assert_allclose(other.counts, curvature.on_all(other.counts.sum()).counts, rtol=1e-12)
    np.testing.assert_allclose(other_gradient, np.sqrt(10) * gradient, rtol=1e-9, atol=1e-9)
    moved = curvature.coordinates.vector(mx.Mixture(start.weights, start.means + 0.1, start.covariances, structure))
    further = other.coordinates.vector(mx.Mixture(start.weights, start.means + 0.1, start.covariances, structure))
    np.testing.assert_allclose(further, np.sqrt(10) * moved, rtol=1e-9, atol=1e-9)


def gradient_at(rows, mixture):
    with Sweep(ArraySource(rows)) as sweep:
        (swept,) = sweep([mixture.scorer])
    curvature = Curvature(mixture, swept.moments.count)
    about = curvature.coordinates
    return curvature, about.gradient(np.zeros(about.size), swept.moments)


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_what_a_pilot_has_learnt_saves_reads_of_all_rows_and_ends_in_the_same_place(structure):
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=40_000)
    rows = rng.normal(size=(40_000, 3)) + labels[:, None] * np.array([3.2, 0.0, 0.5])
    algorithm = ExpectationMaximization(covariance_structure(structure))
    few, many = ArraySource(rows[:4000]), ArraySource(rows)
    start = algorithm.maximise(accumulate(few, labels[:4000], 4, diagonal=algorithm.structure.diagonal))
    (pilot,) = climb(few, [start], algorithm, rule(few, 1e-8), solver=QuasiNewton(least_passes=1, surveys=True))
    assert pilot.curvature.n_pairs > 5
    known, unknown = (
        climb(many, [pilot.mixture], algorithm, rule(many), solver=QuasiNewton(least_passes=1), curvatures=[learnt])[0]
        for learnt in (pilot.curvature, None)
    )
    assert known.n_passes < unknown.n_passes
    assert known.curvature is None
    assert known.bounds[-1] == pytest.approx(unknown.bounds[-1], abs=2 * rule(many).goal)


def rule(source, share=1e-3):
    return Stopping(1e-3, 1000, source.total_weight, share)
