"""The Dirichlet process: components without end, of which each sweep needs a few.

Given the partition, the weights of the filled components and of all the others together are Dirichlet(N_1, …, N_t, α), and the others break
their share as sticks. Rows may have components whose weight is above a *slice* ``u``, one for all rows: below ``w``, the least weight of a
filled component, with density ``β u^(β − 1)/w^β``. So infinitely many components are finitely many, and labels are drawn given weights and
parameters as in a finite mixture. They are accepted with probability ``(w/w′)^β``, ``w′`` the least weight of a component that they fill,
since the slice has another density given them; else those before stay, of all rows. The sampler is exact: the truncation is different at
every sweep. Nobody has to remember anything of a row.

Sources: Walker (2007), "Sampling the Dirichlet mixture model with slices", where each row has a slice of its own; Papaspiliopoulos (2008),
"A note on posterior sampling from Dirichlet mixture models".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.weights import Slice, Weights, draw_log_dirichlet, urn

TINY = float(np.finfo(np.float64).tiny)
POWER = 0.2
"""``β``: the smaller, the more components without rows there are, ``α/β`` in the mean, and the fewer labels are refused. Of 0.1 to 1 it
gives the most effective draws."""


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

    def draw_weights(self, counts: Array, rng: np.random.Generator) -> Weights:
        weights = np.exp(draw_log_dirichlet(np.append(counts, self.concentration), rng))
        filled, left = np.maximum(weights[:-1], TINY), float(weights[-1])
        height = filled.min() * np.exp(-rng.standard_exponential() / POWER)
        above, below = list[float](), 0.0
        while left > height:
            broken = left * rng.beta(1.0, self.concentration)
            left -= broken
            if broken > height:
                above.append(broken)
            else:
                below += broken
        logs = np.log([*filled, *above, max(left + below, TINY)])
        return Weights(logs, Slice(len(logs) - 1, float(logs[: len(counts)].min()), POWER))

    def log_probability(self, counts: Array) -> Array:
        alpha, filled = self.concentration, counts > 0
        rising = gammaln(alpha + counts.sum(axis=-1)) - gammaln(alpha)
        each = np.where(filled, np.log(alpha) + gammaln(np.where(filled, counts, 1.0)), 0.0)
        return np.asarray(each.sum(axis=-1) - rising)

    def n_filled_prior(self, n_rows: int) -> Array:
        alpha = np.array([self.concentration])
        return urn(n_rows, alpha, np.zeros(1), alpha)[0]
