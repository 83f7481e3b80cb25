"""Where the chains of a sampler begin: about the distinct modes that EM has found, all of them with their labels in one order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.log_posterior import LogPosterior
from mixtura.model.alignment import align
from mixtura.model.mixture import Mixture

SAME_MODE = 0.1
"""Modes that differ by less than this, in standard deviations of every coordinate, are one."""
MOST_HALVINGS = 20


def chain_starts(target: LogPosterior, modes: Sequence[Mixture], streams: Sequence[np.random.Generator]) -> list[Array]:
    """Points about the modes, taken in turn, each a standard deviation away in a random direction.

    Parameters
    ----------
    target : LogPosterior
    modes : sequence of Mixture
        The first is the one that its coordinates are about. Those that differ in nothing but their labels count as one.
    streams : sequence of Generator
        One for each chain.

    Raises
    ------
    InvalidParameterError
        If the posterior has no density at a mode.
    """
    centres: list[Array] = []
    for mode in modes:
        vector = target.vector(align(mode, modes[0]))
        if all(np.abs(vector - centre).max() > SAME_MODE for centre in centres):
            centres.append(vector)
    return [_near(target, centres[i % len(centres)], stream) for i, stream in enumerate(streams)]


def _near(target: LogPosterior, centre: Array, rng: np.random.Generator) -> Array:
    """A point a standard deviation away, or nearer where the density is lost there."""
    step = rng.normal(size=target.size)
    for _ in range(MOST_HALVINGS):
        if math.isfinite(target(centre + step)[0]):
            return centre + step
        step /= 2
    raise InvalidParameterError(
        f"the posterior has no density at a mode with weights {target.about.mixture(target.split(centre)[0]).weights}: "
        "a component is empty or flat. Fit fewer components, or find the modes with a prior or a floor."
    )
