"""Features as rows: ``φ(x)``, in which the log density of every Gaussian is linear.

About a pivot ``p``, with ``z = x − p``, the features are the products ``z_i z_j`` for ``i ≤ j``, then one, then ``z`` itself; for diagonal
covariances the squares replace the products. They stand as rows, ``(F, B)``, so that every step runs along long contiguous vectors.

Products are laid out by the distance of their factors, ``z_i z_{(i+d) mod D}``: with the first rows of ``z`` repeated below it, all of them
are one broadcast multiplication of ``z`` with its own windows. Squares, ``d = 0``, come last, so the diagonal features are the tail of the
others.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.scratch import Scratch


def _n_features_of(n_features: int, diagonal: bool) -> int:
    return 2 * n_features + 1 if diagonal else (n_features + 1) * (n_features + 2) // 2


@cache
def product_pairs(n_features: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Both factors of each product, in the order of the rows.

    Examples
    --------
    >>> from mixtura.sweep.features import product_pairs
    >>> [(int(i), int(j)) for i, j in zip(*product_pairs(4))]
    [(0, 2), (1, 3), (0, 1), (1, 2), (2, 3), (3, 0), (0, 0), (1, 1), (2, 2), (3, 3)]
    """
    half = n_features // 2 if n_features % 2 == 0 else 0
    distances = np.repeat(np.arange((n_features - 1) // 2, -1, -1), n_features)
    left = np.tile(np.arange(n_features), (n_features + 1) // 2)
    right = (left + distances) % n_features
    first = np.arange(half)
    return np.concatenate([first, left]), np.concatenate([first + half, right])


@cache
def _multiplicities(n_features: int) -> Array:
    """What a product of two features stands for in ``−½ zᵀ P z``: itself once, or twice."""
    left, right = product_pairs(n_features)
    return np.where(left == right, -0.5, -1.0)


class Features:
    """The features of a block, written into the same room for each block.

    Parameters
    ----------
    pivot : (D,) array
    dtype : dtype
    diagonal : bool
        Whether squares are enough.
    n_rows : int
        Largest block.
    scratch : Scratch
        Where the room is taken.
    """

    def __init__(self, pivot: Array, dtype: np.dtype, diagonal: bool, n_rows: int, scratch: Scratch) -> None:
        n_features = len(pivot)
        size = _n_features_of(n_features, diagonal)
        self._pivot = pivot[:, None].astype(dtype)
        n_windows = 1 if diagonal else (n_features + 1) // 2
        room = scratch.array("features", (size + n_windows - 1, n_rows), dtype)
        centred = size - n_features
        self._products, self._one, self._all = room[: centred - 1], room[centred - 1], room[:size]
        self._centred, self._repeated = room[centred:size], room[size:]
        # Window d holds z_d … z_{d+D−1}, the last of them read from the repeated rows; the largest d comes first.
        row, column = room.strides
        self._windows = as_strided(
            room[centred + n_windows - 1 :], (n_windows, n_features, n_rows), (-row, row, column), writeable=False
        )
        self._half = len(self._products) - n_windows * n_features
        self._by_window = self._products[self._half :].reshape(n_windows, n_features, n_rows)

    def fill(self, rows: Array) -> Array:
        """``φ`` of a block, ``(F, B)``, valid until the next call."""
        b, half = len(rows), self._half
        centred, repeated = self._centred[:, :b], self._repeated[:, :b]
        np.subtract(rows.T, self._pivot, out=centred)
        repeated[:] = centred[: len(repeated)]
        np.multiply(centred, self._windows[:, :, :b], out=self._by_window[:, :, :b])
        if half:
            np.multiply(centred[:half], centred[half:], out=self._products[:half, :b])
        self._one[:b] = 1
        return self._all[:, :b]


def coefficients(scorer: Scorer, pivot: Array) -> Array:
    """``W`` with ``W φ(x) = log ρ(x)``, shape ``(K, F)``."""
    offset = scorer.centres - pivot
    if scorer.diagonal:
        precision = scorer.whitening**2
        quadratic, linear = -0.5 * precision, precision * offset
    else:
        precision = scorer.whitening @ scorer.whitening.swapaxes(1, 2)
        left, right = product_pairs(offset.shape[1])
        quadratic = precision[:, left, right] * _multiplicities(offset.shape[1])
        linear = np.matmul(precision, offset[:, :, None])[:, :, 0]
    constant = scorer.constants - 0.5 * (linear * offset).sum(axis=1)
    return np.concatenate([quadratic, constant[:, None], linear], axis=1)


def as_moments(sums: Array, pivot: Array, diagonal: bool) -> Moments:
    """Moments about the pivot from ``Σ r φᵀ``, shape ``(K, F)``."""
    n_features = len(pivot)
    second = sums[:, : -n_features - 1]
    if not diagonal:
        left, right = product_pairs(n_features)
        matrices = np.empty((len(sums), n_features, n_features))
        matrices[:, left, right] = second
        matrices[:, right, left] = second
        second = matrices
    origin = np.repeat(pivot[None], len(sums), axis=0)
    return Moments(sums[:, -n_features - 1], sums[:, -n_features:], second, origin)
