"""Who belongs together, as posterior draws see it: co-clustering of rows, and how many components are filled.

Nothing here depends on the order in which a draw lists its components.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import dsyrk

from mixtura.assess.draws.swept import sweep_draws
from mixtura.data.source import Source
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState, as_generator
from mixtura.ground.threads import single_threaded_blas
from mixtura.model.draws import Draws
from mixtura.model.scorer import normalise
from mixtura.sweep import Sampled

MOST_ROWS = 5000
"""A co-clustering matrix of so many rows takes 200 MB."""
GATHERED = 1024
"""Rows of the matrices whose products are added up in one."""


def coclustering(draws: Draws, X: ArrayLike) -> Array:
    """Posterior probability that two rows belong to the same component, ``(N, N)``: the mean over all draws of ``Σ_k r_nk r_mk``.

    Given the parameters, rows belong to components independently of each other, so that the sum over labels is exact. It takes ``C·S·K·N²``
    multiplications; ``draws.subset(1000)`` is a thousand of the draws, for whoever cannot wait.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like
        At most ``MOST_ROWS`` rows.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.draws.coclustering import coclustering
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> means = np.array([[[[0.0], [9.0]], [[9.0], [0.0]]]])
    >>> draws = Draws(covariance_structure("spherical"), np.full((1, 2, 2), 0.5), means, np.ones((1, 2, 2)))
    >>> coclustering(draws, [[0.0], [1.0], [9.0]]).round(6).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows = draws.as_rows(X)
    check_size(len(rows))

    def shares() -> Iterator[Array]:
        for _, block in draws.log_joints(rows):
            normalise(block)
            yield block.reshape(-1, len(rows))

    return _with_itself(_sum_of_squares(shares(), len(rows)) / len(draws))


def _sum_of_squares(parts: Iterable[Array], n_rows: int) -> Array:
    """``Σ AᵀA`` over matrices ``A``, each ``(·, N)``: enough of them to a product to make up for going over the sum."""
    total = np.zeros((n_rows, n_rows), order="F")
    with single_threaded_blas():  # the same to the last bit, however many threads there are
        for gathered in _gathered(parts):
            dsyrk(1.0, gathered.T, beta=1.0, c=total, overwrite_c=True)  # the upper half, in place
    return np.triu(total) + np.triu(total, 1).T


def _gathered(parts: Iterable[Array]) -> Iterator[Array]:
    kept: list[Array] = []
    for part in parts:
        kept.append(part)
        if sum(map(len, kept)) >= GATHERED:
            yield np.concatenate(kept)
            kept.clear()
    if kept:
        yield np.concatenate(kept)


def n_components_posterior(
    draws: Draws, X: ArrayLike | Source, filled: ArrayLike | None = None, random_state: RandomState = None
) -> Array:
    """Posterior probabilities of the number of filled components, ``(K + 1,)``: entry ``k`` is that of ``k``.

    A component is filled if at least one row belongs to it. Where the sampler has not counted, labels are drawn once for each draw.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like or Source
    filled : (C, S) integer array-like, optional
        Filled components of each draw, as the sampler counted them.
    random_state : None, int, numpy Generator or RandomState
    """
    counts = n_filled(draws, X, random_state) if filled is None else np.asarray(filled)
    if counts.dtype.kind not in "iu" or counts.size == 0 or counts.min() < 1 or counts.max() > draws.n_components:
        raise InvalidParameterError(f"filled must hold integers in 1 … {draws.n_components}; got {filled!r}.")
    return np.bincount(counts.ravel(), minlength=draws.n_components + 1) / counts.size


def n_filled(draws: Draws, X: ArrayLike | Source, random_state: RandomState = None) -> NDArray[np.int64]:
    """How many components have at least one row, ``(C, S)``: labels are drawn once for each draw.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like or Source
    random_state : None, int, numpy Generator or RandomState
    """
    seed = as_generator(random_state).integers(2**64, dtype=np.uint64)
    counts = sweep_draws(draws, X, lambda i: Sampled(np.array([seed, i], np.uint64))).counts
    return (counts > 0).sum(axis=2)


def check_size(n_rows: int) -> None:
    """Raise if a co-clustering matrix would be too large."""
    if n_rows > MOST_ROWS:
        raise DataError(
            f"a co-clustering matrix of {n_rows} rows would take {8e-9 * n_rows**2:.1f} GB; at most {MOST_ROWS} rows. "
            "Pass some of them, evenly spaced: X[:: len(X) // 2000]."
        )


def _with_itself(matrix: Array) -> Array:
    """A row belongs with itself."""
    np.fill_diagonal(matrix, 1.0)
    return matrix
