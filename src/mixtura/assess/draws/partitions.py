"""One partition of the rows that says best what posterior draws say together.

A point estimate is a partition of least expected loss:

- Binder's loss counts the pairs of rows that one partition joins and the other does not. Binder (1978), "Bayesian cluster analysis".
- The variation of information is ``H(c) + H(z) − 2 I(c, z)``. Its expectation is replaced by what Jensen's inequality makes of it, which
  needs no more than the co-clustering matrix. Wade and Ghahramani (2018), "Bayesian cluster analysis: point estimation and credible balls".

The search is greedy, from several starts: rows move one by one to where the loss is least; from the best of these ends, whole clusters are
dissolved and their rows placed anew, as long as that helps. Dahl, Johnson and Müller (2022), "Search algorithms and loss functions for
Bayesian clustering".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import cut_tree, leaves_list, linkage
from scipy.spatial.distance import squareform

from mixtura.assess.draws.coclustering import check_size
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState, as_generator

MOST_CUTS = 20
"""Clusters up to which a tree of the rows is cut."""
N_RUNS = 4
"""Starts in which rows are placed one by one in random order."""
MOST_SCANS = 100

Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Partition:
    """A point estimate of the partition of the rows.

    Attributes
    ----------
    labels : (N,) integer array
        Numbered by first appearance.
    loss : {"binder", "variation_of_information"}
    criterion : float
        What was made least. For Binder's loss its expectation, in pairs of rows; otherwise the bound of ``information_criterion``.
    """

    labels: Labels
    loss: str
    criterion: float

    @property
    def n_clusters(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max()) + 1


def estimate_partition(
    similarity: ArrayLike, loss: str = "variation_of_information", random_state: RandomState = 0
) -> Partition:
    """The partition of least expected loss that a greedy search from several starts finds.

    Binder's loss tends to split off single rows that are uncertain; the variation of information keeps them where they fit best.

    Parameters
    ----------
    similarity : (N, N) array-like
        Co-clustering matrix.
    loss : {"binder", "variation_of_information"}
    random_state : None, int, numpy Generator or RandomState
        For the order in which rows are looked at.

    Examples
    --------
    >>> from mixtura.assess.draws.partitions import estimate_partition
    >>> found = estimate_partition([[1.0, 0.9, 0.2], [0.9, 1.0, 0.1], [0.2, 0.1, 1.0]], "binder")
    >>> found.labels.tolist()
    [0, 0, 1]
    >>> round(found.criterion, 12)  # of the pairs, 0.1 + 0.2 + 0.1 are expected to be wrong
    0.4
    """
    if loss not in CRITERIA:
        raise InvalidParameterError(f"loss must be one of {', '.join(CRITERIA)}; got {loss!r}.")
    matrix = as_similarity(similarity)
    check_size(len(matrix))
    changes, criterion = CRITERIA[loss]
    rng = as_generator(random_state)
    starts = [np.zeros(len(matrix), np.int64), best_cut(matrix, criterion)[1], *[np.full(len(matrix), -1)] * N_RUNS]
    ends = [_settle(_Clusters(matrix, start), changes, rng) for start in starts]
    best = _dissolve(matrix, min(ends, key=lambda labels: criterion(labels, matrix)), changes, criterion, rng)
    return Partition(_by_appearance(best), loss, criterion(best, matrix))


def binder_criterion(labels: Labels, similarity: Array) -> float:
    """Expected number of pairs of rows that a partition joins wrongly or leaves apart wrongly, by the co-clustering matrix."""
    together = labels[:, None] == labels
    return float(np.abs(together - similarity).sum() / 2)


def information_criterion(labels: Labels, similarity: Array) -> float:
    """``1/N Σ_n (log Σ_m c_nm + log Σ_m p_nm − 2 log Σ_m c_nm p_nm)``, in nats, with ``c_nm`` one where a partition joins two rows.

    Up to the term in the middle, which is the same for all partitions, a lower bound of the expected variation of information.
    """
    together = labels[:, None] == labels
    own, shared = np.log(together.sum(axis=1)), np.log(np.where(together, similarity, 0.0).sum(axis=1))
    return float((own + np.log(similarity.sum(axis=1)) - 2 * shared).mean())


# ---- the search ----------------------------------------------------------------------------------------------------------------


class _Clusters:
    """A partition on its way: labels (−1 for a row that has no place yet), sizes, and ``sums[g, n] = Σ_{m in g} p_mn``.

    There is always an empty cluster, so that opening one is a move like any other.
    """

    def __init__(self, similarity: Array, labels: Labels) -> None:
        self.similarity, self.labels = similarity, _compact(labels)
        n_clusters = int(self.labels.max()) + 2
        indicators = (self.labels == np.arange(n_clusters)[:, None]).astype(np.float64)
        self.sizes, self.sums = indicators.sum(axis=1), indicators @ similarity

    def remove(self, n: int) -> None:
        old = self.labels[n]
        if old >= 0:
            self.labels[n] = -1
            self.sizes[old] -= 1
            # An empty cluster is empty to the last digit.
            self.sums[old] = self.sums[old] - self.similarity[n] if self.sizes[old] else 0.0

    def add(self, n: int, cluster: int) -> None:
        self.labels[n] = cluster
        self.sizes[cluster] += 1
        self.sums[cluster] += self.similarity[n]
        if self.sizes.all():
            self.sizes = np.append(self.sizes, 0.0)
            self.sums = np.concatenate([self.sums, np.zeros((1, len(self.labels)))])


Changes = Callable[[_Clusters, int], Array]
Criterion = Callable[[Labels, Array], float]


def _binder_changes(clusters: _Clusters, n: int) -> Array:
    """What placing a row into each cluster adds to the criterion; nothing for an empty one."""
    return clusters.sizes - 2 * clusters.sums[:, n]


def _information_changes(clusters: _Clusters, n: int) -> Array:
    """The same; ``p_nn`` is one, and the terms of all rows of a cluster change."""
    labels, sizes = clusters.labels, clusters.sizes
    placed = np.flatnonzero(labels >= 0)
    own = labels[placed]
    now = clusters.sums[own, placed]
    ratios = np.bincount(own, np.log1p(clusters.similarity[n, placed] / now), len(sizes))
    growth = sizes * np.log1p(1 / np.maximum(sizes, 1.0))
    return growth - 2 * ratios + np.log1p(sizes) - 2 * np.log1p(clusters.sums[:, n])


CRITERIA: dict[str, tuple[Changes, Criterion]] = {
    "binder": (_binder_changes, binder_criterion),
    "variation_of_information": (_information_changes, information_criterion),
}


def _dissolve(
    similarity: Array, labels: Labels, changes: Changes, criterion: Criterion, rng: np.random.Generator
) -> Labels:
    """Dissolve one cluster after another and place its rows anew, as long as that gains."""
    value, improved = criterion(labels, similarity), True
    while improved:
        improved = False
        for cluster in range(int(labels.max()) + 1):
            dissolved = np.where(labels == cluster, -1, labels)
            trial = _settle(_Clusters(similarity, dissolved), changes, rng)
            trial_value = criterion(trial, similarity)
            if trial_value < value - 1e-12 * abs(value):
                labels, value, improved = trial, trial_value, True
                break
    return labels


def _settle(clusters: _Clusters, changes: Changes, rng: np.random.Generator) -> Labels:
    """Place rows without a place, then scan all rows in random order until none moves."""
    for n in rng.permutation(np.flatnonzero(clusters.labels < 0)).tolist():
        clusters.add(n, int(changes(clusters, n).argmin()))
    for _ in range(MOST_SCANS):
        clusters = _Clusters(clusters.similarity, clusters.labels)  # sums without the rounding of the last scan
        moved = False
        for n in rng.permutation(len(clusters.labels)).tolist():
            old = int(clusters.labels[n])
            clusters.remove(n)
            each = changes(clusters, n)
            best = int(each.argmin())
            if each[best] < each[old] - 1e-12 * len(clusters.labels):
                moved = True
                clusters.add(n, best)
            else:
                clusters.add(n, old)
        if not moved:
            break
    return _compact(clusters.labels)


def best_cut(similarity: Array, criterion: Criterion) -> tuple[NDArray[np.intp], Labels]:
    """Of a tree of the rows by average linkage of ``1 − p``: the order of its leaves, and the best of its cuts as labels of the rows."""
    if len(similarity) == 1:
        return np.zeros(1, np.intp), np.zeros(1, np.int64)
    tree = linkage(squareform(1 - similarity, checks=False), "average")
    cuts = cut_tree(tree, range(1, min(MOST_CUTS, len(similarity)) + 1)).T
    best = min(cuts.astype(np.int64), key=lambda labels: criterion(labels, similarity))
    return leaves_list(tree).astype(np.intp), best


def _compact(labels: Labels) -> Labels:
    """The same partition with clusters numbered from 0 without gaps; −1 stays."""
    values, places = np.unique(labels, return_inverse=True)
    return (places - int(values[0] < 0)).astype(np.int64)


def _by_appearance(labels: Labels) -> Labels:
    _, first, places = np.unique(labels, return_index=True, return_inverse=True)
    return first.argsort().argsort()[places].astype(np.int64)


def as_similarity(values: ArrayLike) -> Array:
    """A co-clustering matrix, ``(N, N)``, as the caller has it, or an error."""
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise DataError(
            f"a co-clustering matrix must be square, a row and a column for each row; got shape {matrix.shape}."
        )
    if not ((matrix >= -1e-9) & (matrix <= 1 + 1e-9)).all() or not np.allclose(matrix, matrix.T, atol=1e-9):
        raise DataError("a co-clustering matrix must be symmetric and hold probabilities, as coclustering() makes it.")
    matrix = np.clip(matrix, 0.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix
