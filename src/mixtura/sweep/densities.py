"""The log posterior of vectors in one call of the compiled engine, for rows that fit a cache.

A pass over those costs less than a few calls of NumPy. What is computed, ``inference/sampling/log_posterior.py`` says, which computes the
same by sweeps for whatever the engine does not know.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

import numpy as np

from mixtura.data.source import Block, Source
from mixtura.ground.linalg import Array
from mixtura.model.coordinates import Coordinates
from mixtura.model.covariance import STRUCTURES
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.log_densities import SemiConjugatePrior, SmoothPrior, noise_block
from mixtura.model.laws.scale_laws import HalfCauchy, HalfNormal, LogNormal
from mixtura.sweep import compiled
from mixtura.sweep.climbs import rows_in_cache

LAWS = {HalfCauchy: 0, HalfNormal: 1, LogNormal: 2}
"""What the compiled code calls them."""

Known = SemiConjugatePrior | IndependentPrior

OfBlocks = tuple[Array, float, float] | tuple[int, Array, float, float, float]
"""The law of covariance blocks: scale, degrees of freedom and those of all blocks together; or law, logs of scales, log spread,
``η − 1`` and ``ω``."""


class Counted(Protocol):
    """A function of vectors as one thread asks it."""

    @property
    def n_asked(self) -> int:
        """How often it has."""

    def __call__(self, q: Array, /) -> tuple[Any, Array]:
        """The value and the gradient at a vector ``(size,)``."""

    def close(self) -> None:
        """Whatever is asked from now on does not matter: minus infinity and zeros, at no cost and not counted."""


class Density:
    """Values and gradients at vectors, like those of ``FreeLogPosterior``; any number of threads may ask.

    Parameters
    ----------
    rows : Block
        All rows.
    about : Coordinates
    prior : SemiConjugatePrior or IndependentPrior
    """

    def __init__(self, rows: Block, about: Coordinates, prior: Known) -> None:
        self._arguments = rows.rows, rows.weights, _reference(about, prior), _prior(about, prior)
        self._of_stacks = self._made()

    def counted(self) -> Counted:
        """The same as one thread asks it, without a frame of Python."""
        made: Counted = self._made()
        return made

    def _made(self) -> Any:
        return compiled.needed().LogPosterior(*self._arguments)

    def __call__(self, q: Array) -> tuple[Array, Array]:
        """Values ``(...)`` and gradients at vectors ``(..., size)``; minus infinity and zeros where no number can hold them."""
        vectors = np.ascontiguousarray(q, dtype=np.float64)
        values, gradients = np.empty(vectors.shape[:-1]), np.empty(vectors.shape)
        self._of_stacks.of_each(vectors, values, gradients)
        return values, gradients


def density_in_cache(source: Source, about: Coordinates, prior: SmoothPrior) -> Density | None:
    """The density over all rows of a source, where they are few enough, and the engine, if there is one, knows the prior."""
    if not _is_known(prior) or about.structure not in STRUCTURES:
        return None
    rows = rows_in_cache(source)
    return None if rows is None else Density(rows, about, prior)


def _is_known(prior: SmoothPrior) -> TypeGuard[Known]:
    return type(prior) is SemiConjugatePrior or (type(prior) is IndependentPrior and type(prior.scales) in LAWS)


def _reference(about: Coordinates, prior: Known) -> tuple[object, ...]:
    """What vectors are about, and what the resolution adds to the diagonal of a block."""
    structure, frame = about.structure, about.frame
    (noise,) = noise_block(structure, prior.resolution)
    on_diagonal = np.diagonal(noise) if noise.ndim == 2 else noise
    arrays = (np.ascontiguousarray(array) for array in frame[:-1])
    added = np.ascontiguousarray(on_diagonal) if prior.resolution.any() else None
    return noise.ndim, structure.shared, *arrays, frame.log_jacobian_constant, added


def _prior(about: Coordinates, prior: Known) -> tuple[float, float, Array, Array, OfBlocks]:
    """Concentration, constant, means' mean and precision, and the law of blocks."""
    structure, (n_components, n_features) = about.structure, about.reference.means.shape
    constant = prior.log_constant(structure, n_components)
    of_blocks: OfBlocks
    if isinstance(prior, SemiConjugatePrior):
        components = prior.components
        n_blocks, degrees = 1 if structure.shared else n_components, components.degrees_of_freedom
        (scale,) = structure.prior_block(components.scale)
        mean, precision = components.mean, prior.mean_precision
        of_blocks = np.ascontiguousarray(scale), degrees, components.scale_degrees_of_freedom + n_blocks * degrees
    else:
        law = prior.scales_of(structure)
        n_spreads = n_features if structure.block_shape(n_features) else 1
        log_scales = np.log(np.full(n_spreads, law.scale))
        log_spread = law.log_spread if isinstance(law, LogNormal) else 1.0
        mean, precision = prior.mean_location, np.diag(prior.mean_scale**-2.0)
        of_blocks = (
            LAWS[type(law)],
            log_scales,
            log_spread,
            prior.correlation_concentration - 1,
            prior.common_log_spread,
        )
    return prior.concentration, constant, mean, precision, of_blocks
