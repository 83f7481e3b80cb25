"""Where EM begins: k-means, k-means++ seeds, random rows, random responsibilities, or what the user gives.

The first covariances are posterior modes under a weak prior around the scatter within the first partition, so that a small first cluster
does not start collapsed. Labels or responsibilities that the user gives are followed by a plain M-step instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.errors import CollapseError
from mixtura.ground.linalg import Array
from mixtura.inference.climb.climber import Algorithm
from mixtura.inference.rules.collapse import Collapsed
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.starts.kmeans import different, nearest, plus_plus
from mixtura.inference.starts.kmeans import kmeans as k_means
from mixtura.inference.starts.sample import SeedingSample
from mixtura.model.covariance import CovarianceStructure, InverseWishartPenalty, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments, rounding_variances
from mixtura.sweep import Sweep, accumulate

LEAST_ROWS = 1000
ROWS_PER_CLUSTER = 50
ROWS_PER_NUMBER = 5
"""k-means looks at so many rows of the sample, of each cluster and for each number that says where it is: of fewer, in many columns, it
finds clusters that are none."""
MOST_WORK = 2 * 10**7
"""Distances in a round of k-means for a single fit: of very many components it has fewer starts."""
LEAST_FILLED = 2
"""Times as many rows as fill the covariances of all components, from which starts are compared."""
MOST_RACING = 64
"""Columns beyond which the likelihood of a start under whole matrices costs as much as the climb that it is to save."""
TINY = 1e-10
"""Of a column's variance: the floor of those variances that say which start goes on instead."""
RANDOM_ROWS_PER_MEAN = 2
REMEDY = (
    "Try fewer components, remove constant and redundant columns, or declare a floor (reg_covar) or a prior (covariance_prior) "
    "that suits the scale of the data."
)

Seeding = Callable[[SeedingSample, int, ExpectationMaximization, np.random.Generator, int], list[Mixture]]
"""Turns a sample, a number of components, an algorithm and a random stream into so many starts."""


def kmeans_plus_plus(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization, rng: np.random.Generator, n: int
) -> list[Mixture]:
    """k-means++ seeds; every row goes to its nearest seed."""
    by_feature, diagonal = algorithm.structure.scales_by_feature, algorithm.structure.diagonal
    seeds = plus_plus(sample.scaled(sample.rows, by_feature), sample.weights, n_components, n, rng)
    return from_stack(_moments_about(sample, seeds, by_feature, diagonal), algorithm)


def kmeans(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization, rng: np.random.Generator, n: int
) -> list[Mixture]:
    """k-means from k-means++ seeds, in units of each feature's spread where the structure allows that."""
    (starts,) = kmeans_starts(sample, [(n_components, algorithm)], rng, n)
    if isinstance(starts, CollapseError):
        raise starts
    return starts


def kmeans_starts(
    sample: SeedingSample,
    candidates: Sequence[tuple[int, Algorithm]],
    rng: np.random.Generator,
    n: int,
    *,
    distinct: bool = False,
) -> list[list[Any] | CollapseError]:
    """``n`` starts by k-means for each of several candidates, side by side; candidates of one size share their partitions.

    Parameters
    ----------
    sample : SeedingSample
    candidates : sequence of (int, Algorithm)
        What makes a start of the moments of a partition.
    rng : Generator
    n : int
        For one component one will do.
    distinct : bool
        Whether partitions that are all but the same are to count as one.
    """
    kinds = sorted({(a.structure.scales_by_feature, k) for k, a in candidates})
    diagonal = all(algorithm.structure.diagonal for _, algorithm in candidates)
    by_kind: dict[tuple[bool, int], list[Moments]] = {}
    for by_feature, k in kinds:
        fewer = sample.thinned(max(LEAST_ROWS, ROWS_PER_CLUSTER * k, ROWS_PER_NUMBER * k * sample.rows.shape[1]))
        rows = sample.scaled(fewer.rows, by_feature)
        alike = [a for j, a in candidates if (a.structure.scales_by_feature, j) == (by_feature, k)]
        n_starts = max(n_worth(sample, k, algorithm, n) for algorithm in alike) if distinct else n
        centres, labels = k_means(rows, fewer.weights, k, n_starts if k > 1 else 1, rng)
        if distinct and len(centres) > 1:
            kept = different(labels, fewer.weights, k)
            centres, labels = centres[kept], labels[kept]
            if rows.shape[1] > MOST_RACING and not diagonal:
                likeliest = [_likeliest(sample, centres, by_feature)]
                centres, labels = centres[likeliest], labels[likeliest]
        if fewer is not sample:
            labels = nearest(sample.scaled(sample.rows, by_feature), centres)
        by_kind[by_feature, k] = _moments_of(sample, labels, k, diagonal)
    starts: list[list[Any] | CollapseError] = []
    for k, algorithm in candidates:
        moments = by_kind[algorithm.structure.scales_by_feature, k]
        if distinct:
            moments = moments[: n_worth(sample, k, algorithm, n)]
        if algorithm.structure.diagonal:
            moments = [m.diagonals() for m in moments]
        try:
            if isinstance(algorithm, ExpectationMaximization):
                starts.append(from_stack(moments, algorithm))
            else:  # a posterior is one of any moments
                starts.append(list(algorithm.maximise_stack(moments)))
        except CollapseError as error:
            starts.append(error)
    return starts


def n_worth(sample: SeedingSample, n_components: int, algorithm: Algorithm, n: int) -> int:
    """How many of ``n`` starts are worth a look for a single fit.

    One where components have hardly more rows than it takes to fill a covariance, and no prior fills it: whichever start fits best there
    only fits the most spikes. Fewer of very many components, where each takes long.
    """
    n_rows, n_features = sample.rows.shape
    structure = algorithm.structure
    is_filled = structure.shared or not isinstance(algorithm, ExpectationMaximization) or algorithm.prior is not None
    to_fill = 0 if is_filled else 2 if structure.diagonal else n_features + 1
    if n_rows < LEAST_FILLED * n_components * to_fill:
        return 1
    looked_at = min(n_rows, max(LEAST_ROWS, ROWS_PER_CLUSTER * n_components))
    return max(1, min(n, MOST_WORK // (looked_at * n_components)))


def _likeliest(sample: SeedingSample, centres: Array, by_feature: bool) -> int:
    """Which of several partitions makes the sample likeliest, as far as variances alone say."""
    variances = np.where(sample.variances > 0, sample.variances, 1.0)
    algorithm = ExpectationMaximization(covariance_structure("diag"), TINY * variances)
    with Sweep(sample.source) as sweep:
        starts = from_stack(_moments_about(sample, centres, by_feature, diagonal=True), algorithm)
        return int(np.argmax([swept.log_normaliser for swept in sweep([start.scorer for start in starts])]))


def _moments_about(sample: SeedingSample, centres: Array, by_feature: bool, diagonal: bool) -> list[Moments]:
    """Moments of the rows nearest to each centre, for several sets ``(S, K, D)`` of centres in scaled units."""
    labels = nearest(sample.scaled(sample.rows, by_feature), centres)
    return _moments_of(sample, labels, centres.shape[1], diagonal)


def _moments_of(sample: SeedingSample, labels: NDArray[np.integer], n_components: int, diagonal: bool) -> list[Moments]:
    """Moments of several partitions ``(S, m)`` of the sample."""
    return [accumulate(sample.source, one, n_components, diagonal=diagonal) for one in labels]


def random_rows(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization, rng: np.random.Generator, n: int
) -> list[Mixture]:
    """Means at random rows, equal weights, and the covariances of the rows nearest to each."""
    by_feature, diagonal = algorithm.structure.scales_by_feature, algorithm.structure.diagonal
    weights = np.full(n_components, 1 / n_components)
    drawn = [sample.rows[sample.draw(rng, sample.weights, n_components)] for _ in range(n)]
    near = from_stack(
        _moments_about(sample, sample.scaled(np.stack(drawn), by_feature), by_feature, diagonal), algorithm
    )
    return [
        Mixture(weights, means, start.covariances, algorithm.structure)
        for means, start in zip(drawn, near, strict=True)
    ]


def random_responsibilities(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization, rng: np.random.Generator, n: int
) -> list[Mixture]:
    """Random responsibilities, uniform on the simplex, of a few random rows.

    Over all rows they would average out: every component would start at the mean of the data, a saddle that EM leaves slowly.
    """
    n_rows = RANDOM_ROWS_PER_MEAN * n_components
    starts = []
    for _ in range(n):
        few = sample.draw(rng, sample.weights, n_rows)
        subset = replace(sample, rows=sample.rows[few], weights=np.ones(n_rows))
        responsibilities = rng.dirichlet(np.ones(n_components), size=n_rows)
        starts.append(from_partition(subset, responsibilities, algorithm))
    return starts


SEEDINGS: dict[str, Seeding] = {
    "kmeans": kmeans,
    "k-means++": kmeans_plus_plus,
    "random": random_responsibilities,
    "random_from_data": random_rows,
}
"""scikit-learn's names of the starts."""


def near_centres(sample: SeedingSample, centres: Array, algorithm: ExpectationMaximization) -> Mixture:
    """A start from given means: weights and covariances of the rows nearest to each."""
    by_feature, diagonal = algorithm.structure.scales_by_feature, algorithm.structure.diagonal
    (start,) = from_stack(
        _moments_about(sample, sample.scaled(centres[None], by_feature), by_feature, diagonal), algorithm
    )
    return start


def from_partition(sample: SeedingSample, responsibilities: Array, algorithm: ExpectationMaximization) -> Mixture:
    """The M-step on the sample under the user's prior, or else under a weak penalty around the scatter within the partition."""
    diagonal = algorithm.structure.diagonal
    moments = accumulate(sample.source, responsibilities, responsibilities.shape[1], diagonal=diagonal)
    (start,) = from_stack([moments], algorithm)
    return start


def from_stack(stack: Sequence[Moments], algorithm: ExpectationMaximization) -> list[Mixture]:
    """The same from the moments of several partitions, under one penalty."""
    structure, penalty = algorithm.structure, None
    if algorithm.prior is None:
        together = Moments.stacked(stack)
        within = together.scatter().sum(axis=0) / together.count.sum()
        scale = single_gaussian(within, together.means(), structure, algorithm.floor)
        penalty = InverseWishartPenalty(scale, together.first.shape[1] + 2)
    starts = []
    for start in algorithm.maximise_stack(stack, penalty):
        if isinstance(start, Collapsed):
            raise CollapseError(f"no component can be started: {start}. {REMEDY}") from start
        starts.append(start)
    return starts


def single_gaussian(covariance: Array, means: Array, structure: CovarianceStructure, floor: Array | float) -> Array:
    """The structure's own single covariance near ``covariance`` and no smaller than the floor, in the form of ``covariance``.

    Parameters
    ----------
    covariance : (D, D) array, or (D,) variances where the structure is diagonal
    means : (K, D) array
        Where the components lie, which says what is lost in rounding.
    structure : CovarianceStructure
    floor : float or (D,) array

    Raises
    ------
    CollapseError
        If it is singular, which a floor does not allow: so would be every component.
    """
    single = structure.maximise(covariance[None], np.ones(1), floor, None)
    least = rounding_variances(means).min(axis=0, keepdims=True) * (not np.any(floor))
    if structure.factor(single, least)[1].any():
        raise CollapseError(f"every component would collapse: {_why_flat(covariance, least[0])} {REMEDY}")
    own = structure.variances if structure.diagonal else structure.matrices
    return own(single, 1, means.shape[1])[0]


def _why_flat(covariance: Array, least: Array) -> str:
    variances = covariance if covariance.ndim == 1 else np.diagonal(covariance)
    constant = np.flatnonzero(variances <= least)
    if len(constant) == len(least):
        return "within components no column varies."
    if len(constant):
        return f"within components column {', '.join(map(str, constant))} is constant."
    return "within components the columns are linearly dependent, or there are too few distinct rows."
