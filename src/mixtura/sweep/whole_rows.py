"""All rows at once, scored and added up for many components: what moves of a Gibbs sampler ask for over and over.

The two forms are those of ``kernels.py``: features in which log densities are linear, so that one matrix product does it, and
residuals where those would lose digits or take too much room.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.laws.components import Components
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
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
    >>> from mixtura.sweep.whole_rows import WholeRows
    >>> WholeRows(np.array([[0.0], [1.0], [5.0]]), True).moments(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).origin.tolist()
    [[0.5], [5.0]]
    """

    def __init__(self, rows: Array, diagonal: bool) -> None:
        self.rows, self.diagonal = rows.astype(np.float64, copy=False), diagonal
        self.pivot, self._variances = self.rows.mean(axis=0), self.rows.var(axis=0)
        n_rows, n_features = rows.shape
        self.features: Array | None = None
        quartiles = np.subtract(*np.quantile(self.rows, (0.75, 0.25), axis=0)) ** 2
        few = n_rows * (1 + n_features * (1 if diagonal else n_features)) <= MOST_NUMBERS
        if few and (quartiles >= LEAST_SPREAD * self._variances).all():
            self.features = Features(self.pivot, np.dtype(float), diagonal, n_rows, Scratch()).fill(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def log_densities(self, scorer: Scorer) -> Array:
        """Of the rows in each component, ``(K, N)``."""
        if self.features is not None:
            lost = cancellation(scorer, self.pivot, self._variances, self.features.dtype).sum(axis=1)
            if lost.max() <= LARGEST_CANCELLATION:
                return coefficients(scorer, self.pivot) @ self.features
        return scorer.log_joint(scorer.whitened(scorer.residuals(self.rows)))

    def moments(self, shares: Array) -> Moments:
        """Of components that have shares of the rows, ``(G, N)``, each about its own mean."""
        if self.features is not None:
            return self.of_sums(shares @ self.features.T)
        count = shares.sum(axis=1)
        means = shares @ self.rows / count[:, None]
        residuals = self.rows - means[:, None]
        if self.diagonal:
            second = np.matmul(shares[:, None], np.square(residuals))[:, 0]
        else:
            second = (shares[:, :, None] * residuals).swapaxes(1, 2) @ residuals
        return Moments(count, np.zeros(means.shape), second, means)

    def of_sums(self, sums: Array) -> Moments:
        """Moments from sums of features, ``(G, F)``."""
        about_pivot = as_moments(sums, self.pivot, self.diagonal)
        zeros = np.zeros(about_pivot.first.shape)
        return Moments(about_pivot.count, zeros, about_pivot.scatter(), about_pivot.means())

    def spreads(self, members: Array) -> Array:
        """Variances of the features of sets of rows, ``(P, N)``; one where there is none."""
        shares = members / members.sum(axis=1, keepdims=True)
        means = shares @ self._centred
        variances = shares @ np.square(self._centred) - np.square(means)
        return np.where(
            variances > LEAST_SPREAD * self._variances, variances, np.where(self._variances > 0, self._variances, 1.0)
        )

    def distances(self, picked: NDArray[np.integer], variances: Array) -> Array:
        """Squared, of all rows from those picked, each in units of its own spread of the features, ``(P, D)``: ``(P, N)``."""
        centred, precisions = self._centred, 1 / variances
        from_picked = centred[picked] * precisions
        crossed = precisions @ np.square(centred).T - 2 * from_picked @ centred.T
        return np.asarray(crossed + (from_picked * centred[picked]).sum(axis=1)[:, None])

    @cached_property
    def _centred(self) -> Array:
        return self.rows - self.pivot


class TwoSides:
    """The members of ``P`` sets of rows on two sides, over and over.

    Parameters
    ----------
    rows : WholeRows
    members : (P, N) array
        One for a row of a set, and zero for others.
    """

    def __init__(self, rows: WholeRows, members: Array) -> None:
        self.rows, self.members = rows, members
        self._sums = None if rows.features is None else members @ rows.features.T

    def moments(self, second: Array) -> Moments:
        """Of the first sides, and then of the second ones, of which members have these shares, ``(P, N)``."""
        if self.rows.features is None or self._sums is None:
            return self.rows.moments(np.concatenate([self.members - second, second]))
        of_second = second @ self.rows.features.T
        return self.rows.of_sums(np.concatenate([self._sums - of_second, of_second]))

    def log_odds(self, components: Components) -> Array:
        """Log density of all rows in the second sides less that in the first, ``(P, N)``; few digits are enough."""
        n = len(self.members)
        if self.rows.features is None:
            log_densities = self.rows.log_densities(components.scorer)
            return np.asarray(log_densities[n:] - log_densities[:n])
        linear = coefficients(components.scorer, self.rows.pivot)
        return np.asarray((linear[n:] - linear[:n]) @ self.rows.features)
