"""All rows at once, scored and added up for many components: what moves of a Gibbs sampler ask for over and over.

The two forms are those of ``sweep/kernels.py``: features in which log densities are linear, so that one matrix product does it, and
residuals where those would lose digits or take too much room.
"""

from __future__ import annotations

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.model.laws.components import Components
from mixtura.model.moments import Moments
from mixtura.sweep.features import Features, as_moments, coefficients
from mixtura.sweep.kernels import cancellation
from mixtura.sweep.scratch import Scratch

LARGEST_CANCELLATION = 1e8
"""So many times the score may the terms of its features be: eight digits are left, enough for a ratio of acceptance."""
LEAST_SPREAD = 1e-8
"""Of a column's variance, the squared distance of its quartiles from which no outlier takes the digits of all the others."""
MOST_NUMBERS = 2**22
"""In the features."""


class WholeRows:
    """Rows for which many components ask.

    Parameters
    ----------
    rows : (N, D) array
    diagonal : bool
        Whether the diagonals of second moments are enough.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.inference.sampling.whole_rows import WholeRows
    >>> WholeRows(np.array([[0.0], [1.0], [5.0]]), True).moments(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).origin.tolist()
    [[0.5], [5.0]]
    """

    def __init__(self, rows: Array, diagonal: bool) -> None:
        self.rows, self.diagonal = rows.astype(np.float64, copy=False), diagonal
        self._pivot, self._variances = self.rows.mean(axis=0), self.rows.var(axis=0)
        n_rows, n_features = rows.shape
        self._features: Array | None = None
        quartiles = np.subtract(*np.quantile(self.rows, (0.75, 0.25), axis=0)) ** 2
        few = n_rows * (1 + n_features * (1 if diagonal else n_features)) <= MOST_NUMBERS
        if few and (quartiles >= LEAST_SPREAD * self._variances).all():
            self._features = Features(self._pivot, np.dtype(float), diagonal, n_rows, Scratch()).fill(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def log_densities(self, components: Components) -> Array:
        """Of the rows in each component, ``(K, N)``."""
        scorer = components.scorer
        if self._features is not None:
            lost = cancellation(scorer, self._pivot, self._variances, self._features.dtype)
            if lost.max() <= LARGEST_CANCELLATION:
                return coefficients(scorer, self._pivot) @ self._features
        return scorer.log_joint(scorer.whitened(scorer.residuals(self.rows)))

    def moments(self, shares: Array) -> Moments:
        """Of components that have shares of the rows, ``(G, N)``, each about its own mean."""
        if self._features is not None:
            about_pivot = as_moments(shares @ self._features.T, self._pivot, self.diagonal)
            zeros = np.zeros(about_pivot.first.shape)
            return Moments(about_pivot.count, zeros, about_pivot.scatter(), about_pivot.means())
        count = shares.sum(axis=1)
        means = shares @ self.rows / count[:, None]
        residuals = self.rows - means[:, None]
        if self.diagonal:
            second = np.matmul(shares[:, None], np.square(residuals))[:, 0]
        else:
            second = (shares[:, :, None] * residuals).swapaxes(1, 2) @ residuals
        return Moments(count, np.zeros(means.shape), second, means)
