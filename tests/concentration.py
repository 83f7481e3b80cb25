"""Final bounds of variational Bayes beside scikit-learn's: one prior, one formula for both, over concentrations of the weights.

scikit-learn's own lower bound leaves terms out. So its posterior is put into ours: its responsibilities are given the conjugate update and
one more pass, which can only raise what they are worth.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import sklearn.mixture
from numpy.typing import NDArray

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.sweep import Sweep, accumulate

CONCENTRATIONS = [10.0**power for power in range(-3, 6)]
COMPONENTS = (3, 6)
SEEDS = range(10)
MAX_ITER = 2000
SAME = 1e-6
"""Relative difference up to which two bounds are one: what either may still gain."""


class Case(NamedTuple):
    """Rows, and what is asked of both."""

    X: NDArray[np.float64]
    n_components: int
    concentration: float
    seed: int


class Bounds(NamedTuple):
    """Final bounds of ours with its moves, of ours without, and of scikit-learn's posterior."""

    ours: float
    without_moves: float
    theirs: float

    @property
    def at_least(self) -> bool:
        """Whether ours is no lower."""
        return self.ours >= self.theirs - SAME * abs(self.theirs)


def compared(case: Case) -> Bounds:
    """Both fits of a case under scikit-learn's default prior of means and covariances."""
    X, n_components, alpha, seed = case
    prior = NormalInverseWishart(X.mean(axis=0), 1.0, np.atleast_2d(np.cov(X.T)), float(X.shape[1]))
    settings = {
        "n_components": n_components,
        "weight_concentration_prior_type": "dirichlet_process",
        "weight_concentration_prior": alpha,
        "mean_prior": prior.mean,
        "mean_precision_prior": prior.mean_precision,
        "degrees_of_freedom_prior": prior.degrees_of_freedom,
        "covariance_prior": prior.scale,
        "max_iter": MAX_ITER,
        "random_state": seed,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sklearn.mixture.BayesianGaussianMixture(**settings, tol=1e-6).fit(X)
        ours, without_moves = (
            mx.BayesianGaussianMixture(**settings, solver=mx.Cavi(moves=moves)).fit(X) for moves in (True, False)
        )
    their_bound = bound_of(theirs.predict_proba(X), X, ours.algorithm_)
    return Bounds(ours.lower_bound_, without_moves.lower_bound_, their_bound)


def bound_of(shares: NDArray[np.float64], X: NDArray[np.float64], algorithm: CoordinateAscent) -> float:
    """The bound after the update from these responsibilities, and a pass."""
    source = ArraySource(X)
    belief = algorithm.maximise(accumulate(source, shares, shares.shape[1], diagonal=algorithm.structure.diagonal))
    with Sweep(source) as sweep:
        (swept,) = sweep([belief.scorer])
    return swept.log_normaliser + algorithm.log_prior(belief)
