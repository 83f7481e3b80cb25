"""Moments of unrounded rows: as if every row were drawn on its own, and nothing changed where nothing is rounded."""

import numpy as np
import pytest

from chance import deviations
from mixtura.model.covariance import STRUCTURES
from mixtura.model.laws.components import Components
from mixtura.model.laws.rounding import before_rounding, draw_unrounded
from mixtura.model.moments import Moments

BLOCK = np.array([[1.0, 0.6, 0.1], [0.6, 2.0, -0.3], [0.1, -0.3, 0.5]])
RESOLUTION = np.array([0.8, 0.0, 1.5])
MEAN = np.array([0.3, -1.0, 2.0])
N_DRAWS = 4000


def components_of(structure, n_components, resolution):
    blocks = np.repeat(structure.prior_block(BLOCK), 1 if structure.shared else n_components, axis=0)
    rounding = structure.prior_block(np.diag(resolution**2)) if resolution.any() else None
    means = np.repeat(MEAN[None], n_components, axis=0)
    return Components(structure, means, structure.block_roots(blocks), structure.prior_block(BLOCK), rounding)


def moments_of(rows, n_components, diagonal):
    """So many copies, about the origin."""
    second = np.square(rows).sum(axis=0) if diagonal else rows.T @ rows
    each = [np.array(len(rows), float), rows.sum(axis=0), second, np.zeros(rows.shape[1])]
    return Moments(*(np.repeat(part[None], n_components, axis=0) for part in each))


def row_by_row(rows, structure, n_draws, rng):
    """First and second moments about the mean of rows each of which is drawn given what it was rounded to."""
    prior, rounding = (
        structure.block_matrices(structure.prior_block(matrix), 3)[0] for matrix in (BLOCK, np.diag(RESOLUTION**2))
    )
    kept = prior @ np.linalg.inv(prior + rounding)
    spread = prior - kept @ prior
    drawn = (rows - MEAN) @ kept.T + rng.multivariate_normal(np.zeros(3), spread, (n_draws, len(rows)))
    return drawn.sum(axis=1), np.einsum("sni,snj->sij", drawn, drawn)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 6])
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_they_have_the_law_of_rows_drawn_one_by_one(structure, n_rows, seed):
    rng = np.random.default_rng(seed)
    rows = MEAN + rng.normal(size=(n_rows, 3)) * 1.5
    found = draw_unrounded(
        moments_of(rows, N_DRAWS, structure.diagonal), components_of(structure, N_DRAWS, RESOLUTION), rng
    )
    first, second = row_by_row(rows, structure, N_DRAWS, rng)
    second = np.einsum("sii->si", second) if structure.diagonal else second.reshape(N_DRAWS, -1)
    ours, theirs = np.c_[found.first, found.second.reshape(N_DRAWS, -1)], np.c_[first, second]
    np.testing.assert_allclose(found.origin, np.repeat(MEAN[None], N_DRAWS, axis=0))
    # Means, variances and what first and second moments have to do with each other; the logs of squares because of their tails.
    for transform in (lambda v: v, np.square, lambda v: v * v[:, :1], lambda v: np.log(np.square(v) + 1e-3)):
        one, other = transform(ours), transform(theirs)
        error = np.hypot(one.std(axis=0), other.std(axis=0)) / np.sqrt(N_DRAWS)
        off = (one.mean(axis=0) - other.mean(axis=0)) / np.maximum(error, 1e-9)
        assert np.abs(off).max() < deviations(4 * ours.shape[1]), off


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_nothing_changes_where_nothing_is_rounded(structure):
    rows, components = MEAN + np.arange(12.0).reshape(4, 3), components_of(structure, 2, np.zeros(3))
    moments, rng = moments_of(rows, 2, structure.diagonal), np.random.default_rng(0)
    state = rng.bit_generator.state
    found = draw_unrounded(moments, components, rng)
    np.testing.assert_array_equal(found.second, moments.about(components.means).second)
    assert rng.bit_generator.state == state


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_components_without_rows_have_none(structure):
    empty = moments_of(np.empty((0, 3)), 2, structure.diagonal)
    found = draw_unrounded(empty, components_of(structure, 2, RESOLUTION), np.random.default_rng(0))
    assert not found.count.any()
    assert not found.first.any()
    assert not found.second.any()


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_covariances_as_seen_are_those_before_and_what_rounding_adds(structure):
    components = components_of(structure, 2, RESOLUTION)
    added = structure.block_matrices(structure.prior_block(np.diag(RESOLUTION**2)), 3)
    before = structure.block_matrices(structure.block_from_roots(components.roots), 3)
    expected = np.broadcast_to(before + added, (2, 3, 3))
    np.testing.assert_allclose(structure.matrices(components.covariances, 2, 3), expected)
    scorer, row = components.scorer, np.array([[1.0, 2.0, 3.0]])
    distance = np.linalg.solve(expected[0], row[0] - MEAN) @ (row[0] - MEAN)
    log_density = -0.5 * (distance + np.linalg.slogdet(2 * np.pi * expected[0])[1])
    assert scorer.log_joint(scorer.whitened(scorer.residuals(row)))[0, 0] == pytest.approx(log_density)
    back = before_rounding(structure.as_blocks(components.covariances), components.rounding)
    np.testing.assert_allclose(back, structure.block_from_roots(components.roots), rtol=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_a_chain_can_begin_where_rounding_explains_everything(structure):
    rounding = structure.prior_block(np.diag([0.5, 2.0, 1.0]))
    left = structure.block_variances(before_rounding(rounding.copy(), rounding), 3)
    assert (left > 0).all()
    assert (left < 0.1 * structure.block_variances(rounding, 3)).all()


def test_rows_that_share_a_value_with_the_mean():
    """What rounding leaves of a covariance whose variance is zero, 7e-18 for the last of these, must not be divided by that."""
    rows, mean = np.array([[7.0, 3.2, 1.4], [6.4, 3.2, 1.5]]), np.array([7.0, 3.2, 1.4])
    second = (rows - mean).T @ (rows - mean)
    second[1, 2] = second[2, 1] = 7e-18
    seen = Moments(np.full(1, 2.0), (rows - mean).sum(axis=0)[None], second[None], mean[None])
    structure = STRUCTURES[0]
    components = Components(
        structure, mean[None], structure.block_roots(BLOCK[None]), BLOCK[None], np.diag(np.full(3, 1e-4))[None]
    )
    found = draw_unrounded(seen, components, np.random.default_rng(0))
    np.testing.assert_allclose(found.second[0], second, atol=0.2)  # sixteen standard deviations of what is added
