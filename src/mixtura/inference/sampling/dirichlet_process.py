"""The Dirichlet process: components without end, of which each sweep needs a few.

Given the partition, the weights of the filled components and of all the others together are Dirichlet(N_1, …, N_t, α), and the others break
their share as sticks. Under each row a slice is drawn, uniform below the weight of its component; no component of less weight than the
lowest slice can take a row in the next sweep, so sticks are broken until no more than that is left. The sampler is exact: the truncation
is different at every sweep and costs nothing. Sources: Walker (2007), "Sampling the Dirichlet mixture model with slices"; Papaspiliopoulos
(2008), "A note on posterior sampling from Dirichlet mixture models".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.weights import Weights, draw_log_dirichlet, urn
from mixtura.sweep import Slices


@dataclass(frozen=True, eq=False)
class DirichletProcess:
    """Weights of a Dirichlet process.

    The last component of a draw has the weight of all that were left out, and is drawn from the prior like them; no row is given to it.

    Parameters
    ----------
    concentration : float
        ``α``.

    Examples
    --------
    >>> from mixtura.inference.sampling.dirichlet_process import DirichletProcess
    >>> DirichletProcess(1.0).n_filled_prior(3).round(4).tolist()
    [0.0, 0.3333, 0.5, 0.1667]
    """

    concentration: float

    def __post_init__(self) -> None:
        if not 0 < self.concentration < np.inf:
            raise InvalidParameterError(f"the concentration must be positive; got {self.concentration!r}.")

    def draw_weights(self, counts: Array, labels: NDArray[np.integer], rng: np.random.Generator) -> Weights:
        logs = draw_log_dirichlet(np.append(counts, self.concentration), rng)
        filled = np.exp(logs[:-1])
        heights = (1 - rng.random(len(labels))) * filled[labels]  # positive, and no higher than the weight
        weights, left = list(filled), float(np.exp(logs[-1]))
        lowest = float(heights.min())
        while left >= lowest:
            broken = left * rng.beta(1.0, self.concentration)
            weights.append(broken)
            left -= broken
        weights.append(left)
        drawn = np.maximum(weights, np.finfo(np.float64).tiny)
        return Weights(np.log(drawn), Slices(drawn, heights))

    def log_probability(self, counts: Array) -> Array:
        alpha, filled = self.concentration, counts > 0
        rising = gammaln(alpha + counts.sum(axis=-1)) - gammaln(alpha)
        each = np.where(filled, np.log(alpha) + gammaln(np.where(filled, counts, 1.0)), 0.0)
        return np.asarray(each.sum(axis=-1) - rising)

    def n_filled_prior(self, n_rows: int) -> Array:
        alpha = np.array([self.concentration])
        return urn(n_rows, alpha, np.zeros(1), alpha)[0]
