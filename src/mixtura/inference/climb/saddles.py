"""The way on from a saddle, where two components lie on each other.

Components that are alike stay alike: by symmetry no step of EM, nor of any gradient, tells them apart, and the bound seems to have reached
its end. Yet apart they may fit far better. The Hessian tells: where it has a positive eigenvalue, its vector leads up, and a climb goes on
from there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mixtura.data.source import Source
from mixtura.inference.climb.certificate import flattest
from mixtura.inference.climb.climber import Algorithm, is_sound
from mixtura.inference.climb.loop import Run
from mixtura.inference.climb.solvers import obstacle_to_gradients
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep

ALIKE = 0.01
"""Divergence, there and back, up to which components lie on each other."""
LEAST_CURVATURE = 1e-3
"""Of a saddle, in whitened units; with less, a sample of the rows may be mistaken."""
STEPS = (0.5, 0.2, 0.1, 0.05)
"""Largest changes of a log weight, of a mean in units of its spread, or of a log spread that are tried."""


class Beyond(NamedTuple):
    """A mixture beyond the saddle, if there is one, and how many reads of the data it took to know."""

    mixture: Mixture | None
    n_passes: int


NOWHERE = Beyond(None, 0)


def beyond_saddle(source: Source, run: Run, algorithm: Algorithm) -> Beyond:
    """A mixture next to the end of a run where the bound is higher, if two components lie on each other there.

    Parameters
    ----------
    source : Source
    run : Run
    algorithm : Algorithm
    """
    if run.stop.reason != "converged" or run.collapses or run.moments is None or not run.moments.count.all():
        return NOWHERE
    if not isinstance(algorithm, ExpectationMaximization) or obstacle_to_gradients(algorithm):
        return NOWHERE
    if not _some_are_alike(run.mixture):
        return NOWHERE
    curvature, direction = flattest(run.mixture, source, algorithm.penalty)
    if not curvature > LEAST_CURVATURE:
        return NOWHERE
    about = Coordinates(run.mixture, run.moments.count)
    along = direction * about.unit / np.abs(direction).max()
    trials = [about.mixture(sign * step * along) for step in STEPS for sign in (1, -1)]
    trials = [trial for trial in trials if is_sound(trial, algorithm.floor)]
    if not trials:
        return NOWHERE
    with Sweep(source) as sweep:
        swept = sweep([trial.scorer for trial in trials])
    bounds = [one.log_normaliser + algorithm.log_prior(trial) for one, trial in zip(swept, trials, strict=True)]
    highest = int(np.argmax([*bounds, run.bounds[-1]]))
    return Beyond(trials[highest] if highest < len(trials) else None, 1)


def _some_are_alike(mixture: Mixture) -> bool:
    """Whether ``KL(j ‖ k) + KL(k ‖ j)``, from the traces ``tr Σ_j Σ_k⁻¹`` and the distances, is next to nothing for some pair."""
    n_components, n_features = mixture.means.shape
    whitening, offsets = mixture.scorer.whitening, mixture.means[:, None] - mixture.means
    if mixture.structure.diagonal:
        variances = mixture.structure.variances(mixture.covariances, n_components, n_features)
        traces, whitened = variances @ (whitening**2).T, offsets * whitening
    else:
        precisions = whitening @ whitening.swapaxes(1, 2)
        flat = (n_components, -1)
        traces = mixture.covariance_matrices.reshape(flat) @ precisions.reshape(flat).T
        whitened = np.einsum("jkd,kde->jke", offsets, whitening)
    one_way = traces + np.square(whitened).sum(axis=2)
    divergences = 0.5 * (one_way + one_way.T) - n_features
    return bool((divergences[np.triu_indices(n_components, 1)] < ALIKE).any())
