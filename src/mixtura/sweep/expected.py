"""The E-step as a user sees it: expected moments of rows, wherever they are, under a mixture."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from mixtura.data.array import ArraySource
from mixtura.data.scanning import as_scanned
from mixtura.ground.errors import DataError
from mixtura.ground.threads import single_threaded_blas
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.rows import carrying_rows
from mixtura.sweep.passes import Sweep


def expected_moments(mixture: Mixture, X: Any, sample_weight: ArrayLike | None = None) -> Moments:
    """Expected moments of each component's rows: ``Σ_n w_n r_nk (1, x_n − o_k, (x_n − o_k)(x_n − o_k)ᵀ)``.

    With ``Mixture.from_moments`` this is EM, step by step, wherever the rows lie: moments of parts add up to those of the whole.

    Parameters
    ----------
    mixture : Mixture
        What the responsibilities ``r`` are of.
    X : (N, D) array-like, or what ``mixtura.scan`` takes or returns
    sample_weight : (N,) array-like, optional
        ``w``.

    Returns
    -------
    Moments

    Raises
    ------
    DataError
        If the rows are not what they should be.

    Examples
    --------
    Two machines, of which each has seen its own rows:

    >>> import numpy as np
    >>> import mixtura as mx
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-3, 1, (200, 1)), rng.normal(3, 1, (200, 1))])
    >>> mixture = mx.Mixture([0.5, 0.5], [[-1.0], [1.0]], [[[1.0]], [[1.0]]])
    >>> for _ in range(20):
    ...     here, there = mx.expected_moments(mixture, X[:100]), mx.expected_moments(mixture, X[100:])
    ...     mixture = mx.Mixture.from_moments(here + there)
    >>> np.allclose(np.sort(mx.GaussianMixture(2, random_state=0).fit(X).means_, axis=0), mixture.means, atol=1e-3)
    True
    """
    source = as_scanned(X)
    if source is None:
        source = ArraySource(*carrying_rows(X, sample_weight, mixture.n_features))
    elif sample_weight is not None:
        raise DataError("rows that are scanned have their weights in a column: mixtura.scan(…, sample_weight='name').")
    if source.n_features != mixture.n_features:
        raise DataError(f"X has {source.n_features} columns; the mixture is of {mixture.n_features}.")
    source.check_finite()
    source.check_squares_representable()
    with single_threaded_blas(), Sweep(source) as sweep:
        return sweep([mixture.scorer])[0].moments
