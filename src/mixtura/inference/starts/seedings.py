"""Where EM begins: k-means, k-means++ seeds, random rows, random responsibilities, or what the user gives.

The first covariances are posterior modes under a weak prior around the scatter within the first partition, so that a small first cluster
does not start collapsed. Labels or responsibilities that the user gives are followed by a plain M-step instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.errors import CollapseError
from mixtura.ground.linalg import Array
from mixtura.inference.climb.loop import Run, climb
from mixtura.inference.rules.collapse import Collapsed, rounding_variances
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.sample import SeedingSample, plus_plus_seeds, squared_distances
from mixtura.model.covariance import CovarianceStructure, InverseWishartPenalty, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.sweep import accumulate, hard

KMEANS_MAX_ITER = 300
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
    rows = sample.scaled(sample.rows, algorithm.structure.scales_by_feature)
    seedings = (rows[plus_plus_seeds(sample, rows, n_components, rng)] for _ in range(n))
    return [from_partition(sample, nearest_centre(rows, seeds), algorithm) for seeds in seedings]


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
    candidates: Sequence[tuple[int, ExpectationMaximization]],
    rng: np.random.Generator,
    n: int,
) -> list[list[Mixture] | CollapseError]:
    """``n`` starts by k-means for each of several candidates, side by side; candidates of one size share their partitions."""
    wanted = sorted({(a.structure.scales_by_feature, k, i) for k, a in candidates for i in range(n)})
    matrices = not all(algorithm.structure.diagonal for _, algorithm in candidates)
    partitions: dict[tuple[bool, int, int], Moments] = {}
    for scaling in dict.fromkeys(key[0] for key in wanted):
        rows = sample.scaled(sample.rows, scaling)
        keys = [key for key in wanted if key[0] is scaling]
        seedings = [rows[plus_plus_seeds(sample, rows, k, rng)] for _, k, _ in keys]
        for key, seeds, run in zip(keys, seedings, lloyd(ArraySource(rows, sample.weights), seedings), strict=True):
            partition = nearest_centre(rows, run.mixture.means)
            if not partition.any(axis=0).all():  # a cluster lost its last row: the seeds own at least themselves
                partition = nearest_centre(rows, seeds)
            partitions[key] = accumulate(sample.source, partition, key[1], diagonal=not matrices)
    starts: list[list[Mixture] | CollapseError] = []
    for k, algorithm in candidates:
        moments = [partitions[algorithm.structure.scales_by_feature, k, i] for i in range(n)]
        if algorithm.structure.diagonal:
            moments = [m.diagonals() for m in moments]
        try:
            starts.append([from_moments(m, algorithm) for m in moments])
        except CollapseError as error:
            starts.append(error)
    return starts


def random_rows(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization, rng: np.random.Generator, n: int
) -> list[Mixture]:
    """Means at random rows, equal weights, and the covariances of the rows nearest to each."""
    rows = sample.scaled(sample.rows, algorithm.structure.scales_by_feature)
    weights = np.full(n_components, 1 / n_components)
    starts = []
    for _ in range(n):
        drawn = sample.draw(rng, sample.weights, n_components)
        near = from_partition(sample, nearest_centre(rows, rows[drawn]), algorithm)
        starts.append(Mixture(weights, sample.rows[drawn], near.covariances, algorithm.structure))
    return starts


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
    by_feature = algorithm.structure.scales_by_feature
    rows, targets = (sample.scaled(points, by_feature) for points in (sample.rows, centres))
    return from_partition(sample, nearest_centre(rows, targets), algorithm)


def nearest_centre(rows: Array, centres: Array) -> Array:
    """Hard responsibilities ``(N, K)`` of the nearest centre; exact ties are shared."""
    shares = -squared_distances(rows, centres)
    hard(shares)
    return shares.T


def lloyd(source: ArraySource, centres: list[Array]) -> list[Run]:
    """k-means from each of several sets of centres: EM with hard assignment, equal weights and one shared round covariance.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.starts.seedings import lloyd
    >>> rows = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> (run,) = lloyd(ArraySource(rows), [rows[[0, 1]]])
    >>> run.mixture.means[:, 0].tolist()
    [0.5, 11.0]
    """
    algorithm = ExpectationMaximization(covariance_structure("tied_spherical"), assignment=hard, equal_weights=True)
    starts = [Mixture(np.full(len(c), 1 / len(c)), c, 1.0, algorithm.structure) for c in centres]
    return climb(source, starts, algorithm, Stopping(0.0, KMEANS_MAX_ITER, source.total_weight))


def from_partition(sample: SeedingSample, responsibilities: Array, algorithm: ExpectationMaximization) -> Mixture:
    """The M-step on the sample under the user's prior, or else under a weak penalty around the scatter within the partition."""
    diagonal = algorithm.structure.diagonal
    return from_moments(
        accumulate(sample.source, responsibilities, responsibilities.shape[1], diagonal=diagonal), algorithm
    )


def from_moments(moments: Moments, algorithm: ExpectationMaximization) -> Mixture:
    """The same from the moments of the partition."""
    structure, n_features = algorithm.structure, moments.first.shape[1]
    penalty = None
    if algorithm.prior is None:
        within = moments.scatter().sum(axis=0) / moments.count.sum()
        scale = single_gaussian(within, moments.means(), structure, algorithm.floor)
        penalty = InverseWishartPenalty(scale, n_features + 2)
    try:
        return algorithm.maximise(moments, penalty)
    except Collapsed as collapsed:
        raise CollapseError(f"no component can be started: {collapsed}. {REMEDY}") from collapsed


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
