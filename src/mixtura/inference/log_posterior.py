"""The log posterior density of a mixture as a function of a free vector, with its gradient: one read of the data for both.

    log p(q | x) = ℓ(π, μ, Σ) + log p(π, μ, Σ) + log |∂(π, μ, Σ)/∂q|

with labels summed out of the likelihood ``ℓ``. ``q`` are reduced coordinates about a mode, in which the complete data would have the
identity as information; where the prior has a common factor of all spreads, the log of that comes last.
"""

from __future__ import annotations

import math

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.model.coordinates import Coordinates
from mixtura.model.independent_prior import IndependentPrior
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep


class LogPosterior:
    """The log density and its gradient.

    Parameters
    ----------
    sweep : Sweep
        Over the data; used by one thread at a time.
    about : Coordinates
    prior : IndependentPrior

    Attributes
    ----------
    size : int
        Of the vectors.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.log_posterior import LogPosterior
    >>> from mixtura.model.coordinates import Coordinates
    >>> from mixtura.model.independent_prior import IndependentPrior
    >>> from mixtura.sweep import Sweep
    >>> x = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> m = mx.Mixture([0.4, 0.6], [[0.5], [11.0]], [1.0, 1.0], "spherical")
    >>> prior = IndependentPrior.from_data_moments(x.mean(axis=0), x.var(axis=0), 2)
    >>> about = Coordinates(m, 5 * m.weights)
    >>> with Sweep(ArraySource(x)) as sweep:
    ...     value, gradient = LogPosterior(sweep, about, prior)(np.zeros(about.size - 1))
    >>> bool(np.isclose(value, m.log_likelihood(x) + prior.value(m) + about.log_jacobian(np.zeros(about.size))))
    True
    """

    def __init__(self, sweep: Sweep, about: Coordinates, prior: IndependentPrior) -> None:
        self._sweep, self.about, self.prior = sweep, about, prior
        self.size = about.size - 1 + bool(prior.common_log_spread)

    def __call__(self, q: Array) -> tuple[float, Array]:
        """Value and gradient at a vector: minus infinity and zeros where no number can hold the mixture or its density."""
        with np.errstate(all="ignore"):
            try:
                value, gradient = self._evaluate(q)
            except np.linalg.LinAlgError:  # a root that overflows or vanishes
                return -math.inf, np.zeros(self.size)
        if math.isfinite(value) and np.isfinite(gradient).all():
            return value, gradient
        return -math.inf, np.zeros(self.size)

    def _evaluate(self, q: Array) -> tuple[float, Array]:
        about, (vector, log_factor) = self.about, self.split(q)
        place = about.place(vector)
        mixture = about.mixture(place)
        (swept,) = self._sweep([mixture.scorer])
        prior = self.prior.terms(mixture, log_factor)
        value = swept.log_normaliser + prior.value + about.log_jacobian(place)
        on_vector = about.gradient(place, swept.moments) + about.pull_back(place, prior[1:4])
        gradient = about.reduced(on_vector + about.log_jacobian_gradient(place))
        if self.prior.common_log_spread:
            return value, np.append(gradient, prior.by_log_factor)
        return value, gradient

    def split(self, q: Array) -> tuple[Array, float]:
        """The vector of a mixture, and the log of the common factor of all spreads."""
        if self.prior.common_log_spread:
            return self.about.expanded(q[:-1]), float(q[-1])
        return self.about.expanded(q), 0.0

    def vector(self, mixture: Mixture) -> Array:
        """The vector of a mixture, with a common factor of one."""
        q = np.zeros(self.size)
        q[: self.about.size - 1] = self.about.reduced(self.about.vector(mixture))
        return q
