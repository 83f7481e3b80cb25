"""Draws of a mixture from its posterior: what Markov chain Monte Carlo believes instead of a point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.mixture import Mixture
from mixtura.model.rows import as_rows, evenly_spaced
from mixtura.model.scorer import Scorer, normalise

NUMBERS = 2**18
"""Numbers in the residuals of a block of draws: they stay in cache."""
MOST_ROWS = 2**11
"""Rows to a block, so that several draws score it at once."""


@dataclass(frozen=True, eq=False)
class Draws:
    """``C`` chains of ``S`` draws of a mixture of ``K`` components in ``D`` dimensions.

    Where the number of components is itself unknown, ``K`` is the largest one drawn; slots that a draw does not use have weight zero
    (and some valid mean and covariance, which mean nothing).

    Attributes
    ----------
    structure : CovarianceStructure
    weights : (C, S, K) array
    means : (C, S, K, D) array
    covariances : (C, S, ...) array
        The structure's natural array of each draw.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> weights, means = np.array([[[0.5, 0.5], [0.4, 0.6]]]), np.array([[[[0.0], [5.0]], [[5.2], [0.1]]]])
    >>> draws = Draws(covariance_structure("spherical"), weights, means, np.ones((1, 2, 2)))
    >>> len(draws), draws.n_chains, draws.n_components
    (2, 1, 2)
    >>> x = [[1.0], [4.0]]
    >>> np.allclose(draws.log_pdf(x), np.log(0.5 * (draws.mixture(0, 0).pdf(x) + draws.mixture(0, 1).pdf(x))))
    True
    >>> draws
    Draws(n_chains=1, n_draws=2, n_components=2, n_features=1, covariance_type='spherical')
    """

    structure: CovarianceStructure
    weights: Array
    means: Array
    covariances: Array

    def __repr__(self) -> str:
        return (
            f"Draws(n_chains={self.n_chains}, n_draws={self.n_draws}, n_components={self.n_components}, "
            f"n_features={self.n_features}, covariance_type={self.structure.name!r})"
        )

    @property
    def n_chains(self) -> int:
        """``C``."""
        return self.weights.shape[0]

    @property
    def n_draws(self) -> int:
        """``S``, of each chain."""
        return self.weights.shape[1]

    @property
    def n_components(self) -> int:
        """``K``."""
        return self.weights.shape[2]

    @property
    def n_features(self) -> int:
        """``D``."""
        return self.means.shape[3]

    def __len__(self) -> int:
        return self.n_chains * self.n_draws

    # ---- some of them, or in another order -------------------------------------------------------------------------------------

    def mixture(self, chain: int, draw: int) -> Mixture:
        """One draw."""
        part = chain, draw
        return Mixture(self.weights[part], self.means[part], self.covariances[part], self.structure)

    def thinned(self, most: int) -> Iterator[Mixture]:
        """At most so many draws, evenly spaced over all chains."""
        for i in evenly_spaced(len(self), most).tolist():
            yield self.mixture(*divmod(i, self.n_draws))

    def subset(self, most: int) -> Draws:
        """At most so many draws, evenly spaced over all chains, as one chain."""
        places = evenly_spaced(len(self), most)
        parts = (self._flat(values)[places][None] for values in (self.weights, self.means, self.covariances))
        return Draws(self.structure, *parts)

    def using(self, n_components: int) -> Draws:
        """The draws in which exactly so many components have weight, without the slots that they do not use, as one chain.

        Raises
        ------
        InvalidParameterError
            If there are none.
        """
        used = self._flat(self.weights) > 0
        places = np.flatnonzero(used.sum(axis=1) == n_components)
        if not len(places):
            raise InvalidParameterError(
                f"no draw uses {n_components} components; they use {np.unique(used.sum(axis=1)).tolist()}."
            )
        orders = [np.flatnonzero(used[i]) for i in places]
        each = zip(self._flat(self.covariances)[places], orders, strict=True)
        return Draws(
            self.structure,
            np.take_along_axis(self._flat(self.weights)[places], np.array(orders), axis=1)[None],
            np.take_along_axis(self._flat(self.means)[places], np.array(orders)[..., None], axis=1)[None],
            np.array([self.structure.reorder(own, order) for own, order in each])[None],
        )

    def permuted(self, orders: NDArray[np.intp]) -> Draws:
        """The same draws with the components of each in another order.

        Parameters
        ----------
        orders : (C, S, K) integer array
            Component ``orders[c, s, k]`` of a draw becomes its component ``k``.

        Raises
        ------
        InvalidParameterError
            If one of them is not a permutation of ``0 … K−1``.
        """
        if orders.shape != self.weights.shape or (np.sort(orders, axis=2) != np.arange(self.n_components)).any():
            raise InvalidParameterError(
                f"orders must hold a permutation of 0 … {self.n_components - 1} for each of {self.n_chains} × {self.n_draws} "
                f"draws, shape {self.weights.shape}; got shape {orders.shape}, or something else than permutations."
            )
        each = zip(self._flat(self.covariances), self._flat(orders), strict=True)
        return Draws(
            self.structure,
            np.take_along_axis(self.weights, orders, axis=2),
            np.take_along_axis(self.means, orders[..., None], axis=2),
            np.reshape([self.structure.reorder(own, order) for own, order in each], self.covariances.shape),
        )

    # ---- parameters ------------------------------------------------------------------------------------------------------------

    @cached_property
    def variances(self) -> Array:
        """Variance of each feature in each component, ``(C, S, K, D)``."""
        return self._of_each(self.structure.variances)

    @cached_property
    def covariance_matrices(self) -> Array:
        """Covariances as matrices, ``(C, S, K, D, D)``, whatever the structure."""
        return self._of_each(self.structure.matrices)

    @cached_property
    def overall_means(self) -> Array:
        """Mean of each mixture as a whole, ``(C, S, D)``."""
        return np.einsum("csk,cskd->csd", self.weights, self.means)

    @cached_property
    def overall_deviations(self) -> Array:
        """Standard deviation of each feature in each mixture as a whole, ``(C, S, D)``."""
        squares = self.variances + (self.means - self.overall_means[:, :, None]) ** 2
        return np.sqrt(np.einsum("csk,cskd->csd", self.weights, squares))

    def _of_each(self, function: Callable[[Array, int, int], Array]) -> Array:
        """What the structure makes of the covariances of each draw."""
        shape = self.n_components, self.n_features
        stacked = np.stack([function(own, *shape) for own in self._flat(self.covariances)])
        return stacked.reshape(self.n_chains, self.n_draws, *stacked.shape[1:])

    def _flat(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of all chains one after another."""
        return values.reshape(len(self), *values.shape[2:])

    # ---- densities -------------------------------------------------------------------------------------------------------------

    @cached_property
    def scorer(self) -> Scorer:
        """The components of all draws, chain after chain, as one scorer of ``C·S·K`` components."""
        whitening = self.structure.whitening_of_each(self._flat(self.covariances), self.n_components, self.n_features)
        return Scorer.of(self.weights.reshape(-1), self.means.reshape(-1, self.n_features), whitening)

    def as_rows(self, X: ArrayLike) -> Array:
        """Rows to be scored as a float64 array, ``(N, D)``, or an error that says what is wrong with them."""
        return as_rows(X, self.n_features).astype(np.float64, copy=False)

    def log_joints(self, rows: Array) -> Iterator[tuple[slice, Array]]:
        """``log π_k N(x_n; μ_k, Σ_k)`` under every draw, chain after chain: which draws, and their ``(T, K, B)``, block by block.

        No more than ``NUMBERS`` numbers, or one draw, are in memory at a time; ``row_blocks`` keeps the rows few.
        """
        n_components, columns = self.n_components, np.ascontiguousarray(rows.T)
        size = max(1, NUMBERS // (n_components * rows.size))
        for first in range(0, len(self), size):
            part = slice(first, min(first + size, len(self)))
            scorer = self.scorer[part.start * n_components : part.stop * n_components]
            # At the end of the number range differences overflow.
            with np.errstate(over="ignore", invalid="ignore"):
                scores = _scores(scorer, columns)
            scores[np.isnan(scores)] = -np.inf
            yield part, scores.reshape(-1, n_components, len(rows))

    def log_pdfs(self, X: ArrayLike) -> Array:
        """Log density of each row under each draw, labels summed out, ``(C, S, N)``: ``8·C·S·N`` bytes.

        Parameters
        ----------
        X : (N, D) array-like
        """
        rows = self.as_rows(X)
        found = np.empty((len(self), len(rows)))
        for block in row_blocks(len(rows)):
            for part, log_joint in self.log_joints(rows[block]):
                found[part, block] = normalise(log_joint)
        return found.reshape(self.n_chains, self.n_draws, len(rows))

    def log_pdf(self, X: ArrayLike) -> Array:
        """Log of the posterior predictive density, the mean of the densities of all draws, ``(N,)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        rows = self.as_rows(X)
        total = np.full(len(rows), -np.inf)
        for block in row_blocks(len(rows)):
            for _, log_joint in self.log_joints(rows[block]):
                with np.errstate(under="ignore"):
                    total[block] = np.logaddexp(total[block], np.logaddexp.reduce(normalise(log_joint), axis=0))
        return total - np.log(len(self))

    def responsibilities(self, X: ArrayLike) -> Array:
        """Posterior probabilities of the components, ``(N, K)``: the mean over all draws, which makes sense where labels are aligned.

        Parameters
        ----------
        X : (N, D) array-like
        """
        rows = self.as_rows(X)
        total = np.zeros((len(rows), self.n_components))
        for block in row_blocks(len(rows)):
            for _, log_joint in self.log_joints(rows[block]):
                normalise(log_joint)
                total[block] += log_joint.sum(axis=0).T
        return total / len(self)


def row_blocks(n_rows: int) -> Iterator[slice]:
    """Blocks of rows, few enough to be scored under several draws at once."""
    return (slice(start, min(start + MOST_ROWS, n_rows)) for start in range(0, n_rows, MOST_ROWS))


def _scores(scorer: Scorer, columns: Array) -> Array:
    """Log joints ``(M, B)``, as the scorer has them, with rows ``(D, B)`` side by side: twice as fast where columns are few."""
    residuals = columns - scorer.centres[:, :, None]
    if scorer.diagonal:
        residuals *= scorer.whitening[:, :, None]
    else:
        residuals = np.matmul(scorer.whitening.swapaxes(1, 2), residuals)
    scores = np.einsum("kdb,kdb->kb", residuals, residuals)
    scores *= -0.5
    scores += scorer.constants[:, None]
    return scores
