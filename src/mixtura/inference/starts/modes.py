"""Where EM ends under a weak prior: the modes about which chains begin."""

from __future__ import annotations

import numpy as np

from mixtura.data.source import Source
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.empirical import empirical_prior
from mixtura.inference.starts.floor import default_floor
from mixtura.inference.starts.plan import AFRESH, Beginning, fit_one, point_case
from mixtura.inference.starts.sample import SeedingSample
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.mixture import Mixture

LEAST_ROWS = 0.1
"""Rows of a component from which a chain can begin with its weight as it is."""
TOL, MAX_ITER = 1e-3, 500
"""Where chains begin need not be known to many digits."""


def modes(
    source: Source,
    sample: SeedingSample,
    structure: CovarianceStructure,
    n_components: int,
    rng: np.random.Generator,
    *,
    n_init: int = 4,
    beginning: Beginning = AFRESH,
) -> list[Mixture]:
    """The ends of several climbs, the best first; each component with some weight to begin with.

    Parameters
    ----------
    source : Source
    sample : SeedingSample
    structure : CovarianceStructure
    n_components : int
    rng : Generator
    n_init : int
    beginning : Beginning

    Raises
    ------
    CollapseError
        If no climb could go on to its end.
    """
    floor = default_floor(sample, source.facts.magnitude, float(np.finfo(source.dtype).eps))
    prior = empirical_prior(source, sample, structure, n_components, floor.variances)
    algorithm = ExpectationMaximization(structure, floor.variances, prior, collapsed=floor.collapsed)
    stopping = Stopping(TOL, MAX_ITER, source.total_weight)
    case = point_case(n_components, algorithm)
    restarts = fit_one(source, sample, case, stopping, rng, n_init=n_init, beginning=beginning)
    ended = sorted((run for run in restarts.runs if not run.failed), key=lambda run: -run.bounds[-1])
    return [_with_weights(run.mixture, source.total_weight) for run in ended]


def _with_weights(mode: Mixture, total_weight: float) -> Mixture:
    """A mode as it is, or with one row more for each component where one of them has next to none."""
    counts = mode.weights * total_weight
    if counts.min() > LEAST_ROWS:
        return mode
    return Mixture((counts + 1) / (counts + 1).sum(), mode.means, mode.covariances, mode.structure)
