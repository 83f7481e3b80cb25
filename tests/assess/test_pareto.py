"""The shape of a tail: laws whose shape is known, and another implementation."""

import math

import numpy as np
import pytest
from scipy.stats import genpareto

from chance import deviations
from mixtura.assess.evidence.pareto import fit_generalised_pareto, pareto_shape
from mixtura.ground.errors import InvalidParameterError


@pytest.mark.parametrize("shape", [-0.3, 0.2, 0.7, 1.5])
def test_the_fit_finds_the_law(shape: float, seed: int) -> None:
    """To five deviations of the maximum-likelihood estimate: (1 + k)/√n of the shape, √(2 (1 + k)/n) of the logarithm of the scale."""
    excesses = np.sort(genpareto(shape, scale=3.0).rvs(20_000, random_state=seed + 1))
    found, scale = fit_generalised_pareto(excesses)
    assert found == pytest.approx(shape, abs=deviations(2) * (1 + shape) / math.sqrt(20_000))
    assert math.log(scale / 3.0) == pytest.approx(0.0, abs=deviations(2) * math.sqrt(2 * (1 + shape) / 20_000))


@pytest.mark.parametrize("shape", [0.3, 0.7, 1.2])
def test_the_tail_of_pareto_weights(shape: float, seed: int) -> None:
    """Within what 300 weights of the tail can say, the prior of ten weights included."""
    for i in range(5):
        log_weights = -shape * np.log(np.random.default_rng(seed + i).uniform(size=10_000))
        expected = (300 * shape + 10 * 0.5) / 310
        assert pareto_shape(log_weights) == pytest.approx(expected, abs=deviations(5) * (1 + shape) / math.sqrt(300))


@pytest.mark.parametrize("n_weights", [100, 400, 2500])  # where both round the size of the tail alike
@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_another_implementation_agrees(n_weights: int, spread: float) -> None:
    array_stats = pytest.importorskip("arviz_stats.base").array_stats
    log_weights = spread * np.random.default_rng(n_weights).standard_normal(n_weights)
    _, theirs = array_stats.psislw(-log_weights)
    assert pareto_shape(log_weights) == pytest.approx(float(theirs), abs=1e-12)
    assert pareto_shape(log_weights - 5000) == pytest.approx(float(theirs), abs=1e-9)


def test_equal_weights_have_no_tail() -> None:
    assert pareto_shape(np.full(50, -1e4)) == -math.inf
    rounding = np.random.default_rng(0).normal(size=1000) * 1e-12
    assert pareto_shape(rounding) == -math.inf


def test_a_single_draw_that_outweighs_all_is_no_number_gone_wrong() -> None:
    log_weights = 400.0 * np.random.default_rng(0).standard_normal(400)
    assert 5 < pareto_shape(log_weights) < np.inf


def test_too_few_weights() -> None:
    with pytest.raises(InvalidParameterError, match="24 weights"):
        pareto_shape(np.zeros(24))
