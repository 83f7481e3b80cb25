"""What every contender is given: a seeded mixture, rows drawn from it, and a start beside the truth."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Array = NDArray[np.floating]


class Problem(NamedTuple):
    """Sizes and form; the same values mean the same data in every process.

    Attributes
    ----------
    n_rows, n_features, n_components : int
        ``N``, ``D``, ``K``.
    covariance_type : {"full", "diag"}
    dtype : str
        Of the rows.
    seed : int
    """

    n_rows: int
    n_features: int
    n_components: int
    covariance_type: str = "full"
    dtype: str = "float64"
    seed: int = 0

    def __str__(self) -> str:
        kind = f"{self.covariance_type}, {self.dtype}"
        return f"{self.n_rows:,} × {self.n_features}, K = {self.n_components}, {kind}"

    def shrunk(self, factor: int) -> Problem:
        """The same with fewer rows, for a smoke run."""
        return self._replace(n_rows=max(min(2000, self.n_rows), self.n_rows // factor))


class Start(NamedTuple):
    """Equal weights, the true means moved by 0.1, the true covariances (their diagonals for ``"diag"``) and their inverses."""

    weights: Array
    means: Array
    covariances: Array
    precisions: Array


@cache
@threadpool_limits.wrap(1, "blas")  # the same to the last bit in every process
def drawn(problem: Problem) -> tuple[Array, Start]:
    """Rows and a start: means ``N(0, 8/D)``, covariances ``G Gᵀ/(3D)`` with ``G`` a ``D × 3D`` standard normal, uniform labels."""
    n, d, k = problem.n_rows, problem.n_features, problem.n_components
    rng = np.random.default_rng(problem.seed)
    roots = rng.standard_normal((k, d, 3 * d)) / np.sqrt(3 * d)
    covariances = roots @ roots.swapaxes(1, 2)
    means = rng.normal(0, np.sqrt(8 / d), (k, d))  # about four standard deviations apart in any dimension
    labels = rng.integers(k, size=n)
    rows = rng.standard_normal((n, d))
    diagonal = problem.covariance_type == "diag"
    if diagonal:
        covariances = np.ascontiguousarray(np.diagonal(covariances, axis1=1, axis2=2))
    for component in range(k):
        own = labels == component
        if diagonal:
            rows[own] *= np.sqrt(covariances[component])
        else:
            rows[own] = rows[own] @ np.linalg.cholesky(covariances[component]).T
        rows[own] += means[component]
    precisions = 1 / covariances if diagonal else np.linalg.inv(covariances)
    return rows.astype(problem.dtype, copy=False), Start(np.full(k, 1 / k), means + 0.1, covariances, precisions)
