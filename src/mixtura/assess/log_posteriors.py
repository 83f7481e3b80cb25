"""The posterior density of many mixtures, but for the evidence that is its constant; data are read once for hundreds of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.independent_prior import IndependentPrior
from mixtura.model.log_priors import LogPrior
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep

TOGETHER = 256
"""Mixtures scored in one read of the data."""


class LogPosteriors:
    """``log p(x | π, μ, Σ) + log p(π, μ, Σ)``, labels summed out.

    Parameters
    ----------
    sweep : Sweep
        Over the data.
    prior : LogPrior

    Raises
    ------
    InvalidParameterError
        If the prior has a parameter that is no part of a mixture.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.log_posteriors import LogPosteriors
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.model.independent_prior import IndependentPrior
    >>> from mixtura.model.scale_laws import HalfNormal
    >>> from mixtura.sweep import Sweep
    >>> x, prior = np.array([[0.0], [2.0]]), IndependentPrior([0.0], [2.0], HalfNormal(3.0))
    >>> m = mx.Mixture([0.3, 0.7], [[0.0], [2.0]], [1.0, 1.5], "spherical")
    >>> with Sweep(ArraySource(x)) as sweep:
    ...     (found,) = LogPosteriors(sweep, prior)([m])
    >>> bool(np.isclose(found, m.log_likelihood(x) + prior.value(m)))
    True
    """

    def __init__(self, sweep: Sweep, prior: LogPrior) -> None:
        if isinstance(prior, IndependentPrior) and prior.common_log_spread:
            raise InvalidParameterError(
                "the prior lets all spreads share an unknown factor, which draws of mixtures do not hold; no evidence can be computed "
                f"from them. Use common_log_spread=0; got {prior.common_log_spread!r}."
            )
        self._sweep, self._prior = sweep, prior

    def __call__(self, mixtures: Sequence[Mixture]) -> Array:
        """Of each mixture, ``(S,)``, all of whose components must have weight."""
        check_weights(mixtures)
        log_likelihoods = [
            swept.log_normaliser
            for first in range(0, len(mixtures), TOGETHER)
            for swept in self._sweep([mixture.scorer for mixture in mixtures[first : first + TOGETHER]])
        ]
        return np.array(log_likelihoods) + [self._prior.value(mixture) for mixture in mixtures]


def check_weights(mixtures: Sequence[Mixture]) -> None:
    """Raise if a component has no weight: the density of the weights may be infinite there, and their logarithms are."""
    if not all(mixture.weights.all() for mixture in mixtures):
        raise InvalidParameterError(
            "a mixture has a component without weight. Where the number of components is unknown, take the draws that use one number of "
            "them (draws.using); where it is known, weights below 1e-308 need a larger concentration of their prior."
        )
