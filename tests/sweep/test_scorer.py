"""A belief in the form that travels to the data: constants, centres, whitening."""

import numpy as np
import pytest

from mixtura.model.mixture import Mixture
from mixtura.model.scorer import Scorer

diagonal_or_not = pytest.mark.parametrize("diagonal", [False, True], ids=["matrix", "diagonal"])


def scorer(n_components, n_features, diagonal, seed=0):
    rng = np.random.default_rng(seed)
    shape = (n_components, n_features) if diagonal else (n_components, n_features, n_features)
    return Scorer(rng.normal(size=n_components), rng.normal(size=shape[:2]), rng.normal(size=shape))


@diagonal_or_not
def test_the_log_joint_is_its_formula(diagonal):
    ours, rows = scorer(3, 2, diagonal), np.random.default_rng(1).normal(size=(7, 2))
    assert ours.diagonal == diagonal
    found = ours.log_joint(ours.whitened(ours.residuals(rows)))
    for k in range(3):
        whitening = np.diag(ours.whitening[k]) if diagonal else ours.whitening[k]
        assert ours.precision_diagonals[k] == pytest.approx(np.diagonal(whitening @ whitening.T), rel=1e-14)
        for n, row in enumerate(rows):
            distance = np.sum(((row - ours.centres[k]) @ whitening) ** 2)
            assert found[k, n] == pytest.approx(ours.constants[k] - 0.5 * distance, rel=1e-13)


def test_a_distance_that_overflows_is_minus_infinity():
    ours = Mixture([0.5, 0.5], [[0.0], [1.0]], [1.0, 1.0], "spherical").scorer
    assert (ours.log_joint(ours.residuals(np.array([[1e200]]))) == -np.inf).all()


@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (10, 10), (5000, 50)])
def test_blocks_have_some_rows_and_fit_the_cache_where_they_can(n_components, n_features):
    shape = (n_components, n_features)
    size = Scorer(np.zeros(n_components), np.zeros(shape), np.ones(shape)).block_rows()
    assert size >= 64
    assert size == 64 or size * n_components * n_features <= 2**17
