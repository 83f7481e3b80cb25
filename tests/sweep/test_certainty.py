"""Fits and certainties of many mixtures in one visit are those of each, row by row."""

import math

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.model.covariance import STRUCTURES
from mixtura.sweep import Sweep


def one_by_one(mixture, X, weights):
    """The slow and obvious way."""
    log_pdf = mixture.log_pdf(X)
    certain = [np.log(mixture.responsibilities(x[None]).max()) for x in X]
    return math.fsum(weights * log_pdf), math.fsum(weights * np.array(certain))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-9], ids=["overlapping", "apart", "narrow"])
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_certainty_is_that_of_each_row(structure, spread, dtype):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(300, 3)) + 5 * rng.integers(0, 2, size=(300, 1))).astype(dtype)
    weights = rng.random(300) + 0.1
    mixtures = []
    for n_components in (1, 3, 4, 3):
        matrices = np.stack([np.cov(X.T.astype(float)) * spread * (1 + rng.random()) for _ in range(n_components)])
        shares = rng.dirichlet(np.ones(n_components))
        covariances = structure.from_matrices(matrices, shares)
        means = X[rng.integers(0, 300, n_components)].astype(float)
        mixtures.append(mx.Mixture(shares, means, covariances, structure))
    mixtures.append(
        mx.Mixture([0.0, 1.0], mixtures[1].means[:2], structure.from_matrices(matrices[:2], np.ones(2)), structure)
    )
    with Sweep(ArraySource(X, weights)) as sweep:
        found = sweep.fits([mixture.scorer for mixture in mixtures])
    for mixture, fit in zip(mixtures, found, strict=True):
        log_likelihood, certainty = one_by_one(mixture, X.astype(float), weights)
        assert fit.log_likelihood == pytest.approx(log_likelihood, rel=1e-10)
        assert fit.certainty == pytest.approx(certainty, rel=1e-7, abs=1e-9)
        assert fit.certainty <= 0
