"""Who belongs together, as posterior draws see it: co-clustering of rows, labels drawn, how many components are filled.

Nothing here depends on the order in which a draw lists its components.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import dsyrk

from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState, as_generator
from mixtura.ground.threads import single_threaded_blas
from mixtura.model.draws import Draws, row_blocks
from mixtura.model.scorer import normalise

MOST_ROWS = 5000
"""A co-clustering matrix of so many rows takes 200 MB."""
GATHERED = 1024
"""Rows of the matrices whose products are added up in one."""

Labels = NDArray[np.int64]


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
    draws: Draws, X: ArrayLike, filled: ArrayLike | None = None, random_state: RandomState = None
) -> Array:
    """Posterior probabilities of the number of filled components, ``(K + 1,)``: entry ``k`` is that of ``k``.

    A component is filled if at least one row belongs to it. Where the sampler has not counted, labels are drawn once for each draw.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like
    filled : (C, S) integer array-like, optional
        Filled components of each draw, as the sampler counted them.
    random_state : None, int, numpy Generator or RandomState
    """
    counts = n_filled(draws, X, random_state) if filled is None else np.asarray(filled)
    if counts.dtype.kind not in "iu" or counts.size == 0 or counts.min() < 1 or counts.max() > draws.n_components:
        raise InvalidParameterError(f"filled must hold integers in 1 … {draws.n_components}; got {filled!r}.")
    return np.bincount(counts.ravel(), minlength=draws.n_components + 1) / counts.size


def n_filled(draws: Draws, X: ArrayLike, random_state: RandomState = None) -> NDArray[np.int64]:
    """How many components have at least one row, ``(C, S)``: labels are drawn once for each draw.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like
    random_state : None, int, numpy Generator or RandomState
    """
    rows, rng = draws.as_rows(X), as_generator(random_state)
    components = np.arange(draws.n_components)[:, None]
    taken = np.zeros((len(draws), draws.n_components), dtype=bool)
    for block in row_blocks(len(rows)):
        for part, labels in drawn_labels(draws, rows[block], rng):
            taken[part] |= (labels[:, None, :] == components).any(axis=2)
    return taken.sum(axis=1).reshape(draws.n_chains, draws.n_draws)


def drawn_labels(draws: Draws, rows: Array, rng: np.random.Generator) -> Iterator[tuple[slice, Labels]]:
    """Labels drawn given each draw, by inversion of their distribution function: which draws, and the labels ``(T, B)`` of the rows."""
    for part, shares in draws.log_joints(rows):
        normalise(shares)
        np.cumsum(shares, axis=1, out=shares)
        # Relative to the last sum, which rounding leaves near one, and never as high: no label without probability is drawn.
        heights = rng.random((len(shares), len(rows))) * shares[:, -1]
        yield part, (shares <= heights[:, None]).sum(axis=1)


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
