"""Where the chains of a sampler begin: about the modes that hold the posterior, all of them with their labels in one order.

An optimum of the likelihood need not be a place where a chain should begin: the posterior may hardly be there, and a chain that cannot
leave would count as much as the others. So from each optimum that is offered the posterior density itself is climbed, and the mass about
the mode where that ends is estimated by Laplace's approximation, ``log p(q) − ½ log|−H|``, with ``H`` the Hessian there. Modes with hardly
any of it are dropped. Source: Tierney and Kadane (1986), "Accurate approximations for posterior moments and marginal densities".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, outer
from mixtura.inference.sampling.log_posterior import FreeLogPosterior
from mixtura.model.alignment import align
from mixtura.model.coordinates import Coordinates
from mixtura.model.laws.log_densities import SmoothPrior, smooth
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep

SAME_MODE = 0.1
"""Modes that differ by less than this, in standard deviations of every coordinate, are one."""
LEAST_MASS = 0.01
"""Of that of the largest mode, with which chains begin at a mode."""
MOST_STEPS = 300
"""Of the climb to a mode."""
STEP = 1e-3
"""Of the differences of gradients that make a Hessian."""
LEAST_CURVATURE = 1e-2
"""Of any direction at a mode, the complete data's being one: how far from it a chain begins at most."""
MOST_COORDINATES = 300
"""With more, the curvature at a mode is taken to be that of the complete data."""
LEAST_SPREAD = 0.1
"""In units of the resolution, of a component to begin with."""
LEAST_RATIO = 1e-12
"""Of eigenvalues of the covariance that coordinates are about."""
MOST_HALVINGS = 20


class Peak(NamedTuple):
    """A mode of the posterior.

    Attributes
    ----------
    at : (size,) array
    root : (size, size) array
        ``C`` with ``C Cᵀ`` the covariance of Laplace's approximation.
    log_mass : float
        Of the posterior about it, up to a constant.
    """

    at: Array
    root: Array
    log_mass: float


def free_log_posterior(sweep: Sweep, mode: Mixture, prior: SmoothPrior) -> FreeLogPosterior:
    """The log posterior of vectors about a mode."""
    (swept,) = sweep([mode.scorer])
    counts, latent = swept.moments.count, without_noise(mode, prior.resolution)
    # One row more than it has: a component with hardly any has a scale too.
    return FreeLogPosterior(sweep, Coordinates(_tempered(latent, counts), counts + 1), prior)


def without_noise(mixture: Mixture, resolution: Array) -> Mixture:
    """The mixture with the covariances ``Σ⁰ = Σ − diag(r²)``, which are no less than a small share of the resolution's."""
    if not resolution.any():
        return mixture
    structure, least = smooth(mixture.structure), np.diag((LEAST_SPREAD * resolution) ** 2)
    excess = mixture.covariance_matrices - np.diag(resolution**2)
    eigenvalues, vectors = np.linalg.eigh(excess)
    raised = (vectors * np.maximum(eigenvalues, 0.0)[:, None, :]) @ vectors.swapaxes(1, 2) + least
    return Mixture(mixture.weights, mixture.means, structure.from_matrices(raised, mixture.weights), structure)


def _tempered(mode: Mixture, counts: Array) -> Mixture:
    """A mode whose covariances are less extreme the fewer rows they have, as the posterior will have them.

    In units of the share that each of ``K`` components has of the whole, covariances of ``n`` rows are taken to the power ``n/(n + 1)``.
    """
    offsets = mode.means - mode.weights @ mode.means
    variances = mode.weights @ (np.diagonal(mode.covariance_matrices, axis1=1, axis2=2) + offsets**2)
    units = outer(np.sqrt(variances) / mode.n_components ** (1 / mode.n_features))
    eigenvalues, vectors = np.linalg.eigh(mode.covariance_matrices / units)
    powers = (counts / (counts + 1))[:, None]
    tempered = np.maximum(eigenvalues, LEAST_RATIO * eigenvalues[:, -1:]) ** powers
    matrices = (vectors * tempered[:, None, :]) @ vectors.swapaxes(1, 2) * units
    return Mixture(mode.weights, mode.means, mode.structure.from_matrices(matrices, mode.weights), mode.structure)


def chain_starts(
    target: FreeLogPosterior, modes: Sequence[Mixture], streams: Sequence[np.random.Generator]
) -> list[Array]:
    """Points about the modes that hold the posterior, taken in turn, each about a standard deviation away in a random direction.

    Parameters
    ----------
    target : FreeLogPosterior
    modes : sequence of Mixture
        Where climbs begin; the first is the one that the coordinates are about. Labels need not agree.
    streams : sequence of Generator
        One for each chain.

    Raises
    ------
    InvalidParameterError
        If the posterior has no density at any of them.
    """
    found = peaks(target, modes)
    return [_near(target, found[i % len(found)], stream) for i, stream in enumerate(streams)]


def peaks(target: FreeLogPosterior, modes: Sequence[Mixture]) -> list[Peak]:
    """The modes of the posterior that climbs end in and that hold some of it, the largest first."""
    found: list[Peak] = []
    for start in _vectors(target, modes):
        at, height = _climbed(target, start)
        if math.isfinite(height) and all(np.abs(at - other.at).max() > SAME_MODE for other in found):
            found.append(_peak(target, at, height))
    if not found:
        raise InvalidParameterError(
            f"the posterior has no density at a mode with weights {modes[0].weights}: a component is empty or flat. "
            "Fit fewer components, or find the modes with a prior or a floor."
        )
    found.sort(key=lambda peak: -peak.log_mass)
    return [peak for peak in found if peak.log_mass > found[0].log_mass + math.log(LEAST_MASS)]


def _vectors(target: FreeLogPosterior, modes: Sequence[Mixture]) -> Iterator[Array]:
    for mode in modes:
        yield target.vector(align(without_noise(mode, target.prior.resolution), target.about.reference))


def _climbed(target: FreeLogPosterior, start: Array) -> tuple[Array, float]:
    """Where a climb ends, and how high that is."""

    def loss(q: Array) -> tuple[float, Array]:
        value, gradient = target(q)
        return -float(value), -gradient

    if not math.isfinite(loss(start)[0]):
        return start, -math.inf
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS, "maxcor": 20})
    return found.x, -float(found.fun)


def _peak(target: FreeLogPosterior, at: Array, height: float) -> Peak:
    size = target.size
    if size > MOST_COORDINATES:
        return Peak(at, np.eye(size), height)
    steps = STEP * np.eye(size)
    ahead, behind = (target(at + sign * steps)[1] for sign in (1, -1))
    curvature = -(ahead - behind) / (2 * STEP)
    eigenvalues, directions = np.linalg.eigh(0.5 * (curvature + curvature.T))
    eigenvalues = np.maximum(eigenvalues, LEAST_CURVATURE)
    return Peak(at, directions / np.sqrt(eigenvalues), height - 0.5 * float(np.log(eigenvalues).sum()))


def _near(target: FreeLogPosterior, peak: Peak, rng: np.random.Generator) -> Array:
    """A point about a standard deviation away, or nearer where the density is lost there."""
    step = peak.root @ rng.normal(size=target.size)
    for _ in range(MOST_HALVINGS):
        if math.isfinite(target(peak.at + step)[0]):
            return peak.at + step
        step /= 2
    return peak.at
