"""Far from the origin: log densities and a pass over the data against fifty digits."""

import mpmath
import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.sweep import Sweep

mpmath.mp.dps = 50


def log_density(row, weights, means, covariances):
    total = mpmath.mpf(0)
    for weight, mean, covariance in zip(weights, means, covariances, strict=True):
        offset = mpmath.matrix([mpmath.mpf(float(x)) - mpmath.mpf(float(m)) for x, m in zip(row, mean, strict=True)])
        sigma = mpmath.matrix([[mpmath.mpf(float(v)) for v in line] for line in covariance])
        quadratic = (offset.T * mpmath.inverse(sigma) * offset)[0]
        scale = mpmath.sqrt((2 * mpmath.pi) ** len(row) * mpmath.det(sigma))
        total += mpmath.mpf(float(weight)) * mpmath.exp(-quadratic / 2) / scale
    return mpmath.log(total)


@pytest.mark.parametrize("condition", [1.0, 1e3])
@pytest.mark.parametrize("distance", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("n_features", [1, 3])
def test_to_the_digits_that_the_input_holds(n_features, distance, condition):
    rng = np.random.default_rng(n_features)
    scale = np.geomspace(1, np.sqrt(condition), n_features)
    half = rng.normal(size=(2, n_features, 3 * n_features))
    covariances = half @ half.swapaxes(1, 2) / (3 * n_features) * np.outer(scale, scale)
    means = distance + rng.normal(size=(2, n_features)) * scale
    rows = distance + rng.normal(size=(40, n_features)) * scale
    mixture = mx.Mixture([0.3, 0.7], means, covariances)
    exact = [log_density(row, [0.3, 0.7], means, covariances) for row in rows]
    # The rows and means are what they are, to the last bit: nothing may be lost that they hold.
    np.testing.assert_allclose(mixture.log_pdf(rows), [float(v) for v in exact], rtol=1e-12, atol=1e-12)
    with Sweep(ArraySource(rows)) as sweep:
        (swept,) = sweep([mixture.scorer])
    assert swept.log_normaliser == pytest.approx(float(sum(exact)), rel=1e-12)
