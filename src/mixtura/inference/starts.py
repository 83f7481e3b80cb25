"""Where EM begins: k-means, k-means++ seeds, random rows, random responsibilities, or what the user gives.

The first covariances are posterior modes under the weak data prior of Fraley and Raftery, so that a small first cluster does not start
collapsed. Labels or responsibilities that the user gives are followed by a plain M-step instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.errors import CollapseError
from mixtura.ground.linalg import Array
from mixtura.ground.random import child_streams
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.loop import Run, climb
from mixtura.inference.seeding import SeedingSample, plus_plus_seeds, squared_distances
from mixtura.inference.stopping import Stopping
from mixtura.model.covariance import covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.model.prior import NormalInverseWishart
from mixtura.sweep import accumulate, hard

KMEANS_MAX_ITER = 300
THOROUGH_SEEDINGS = 10
RANDOM_ROWS_PER_MEAN = 2

Seeding = Callable[[SeedingSample, int, ExpectationMaximization, np.random.Generator], Mixture]


def kmeans_plus_plus(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization, rng: np.random.Generator
) -> Mixture:
    """k-means++ seeds; every row goes to its nearest seed."""
    rows = sample.scaled(sample.rows, algorithm.structure.scales_by_feature)
    seeds = plus_plus_seeds(sample, rows, n_components, rng)
    return from_partition(sample, nearest_centre(rows, rows[seeds]), algorithm)


def kmeans(
    sample: SeedingSample,
    n_components: int,
    algorithm: ExpectationMaximization,
    rng: np.random.Generator,
    n_seedings: int = 1,
) -> Mixture:
    """k-means from k-means++ seeds: of ``n_seedings`` runs, side by side, the one that ends tightest."""
    rows = sample.scaled(sample.rows, algorithm.structure.scales_by_feature)
    seedings = [rows[plus_plus_seeds(sample, rows, n_components, rng)] for _ in range(n_seedings)]
    runs = lloyd(ArraySource(rows, sample.weights), seedings)
    best = max(range(n_seedings), key=lambda i: runs[i].bounds[-1])
    partition = nearest_centre(rows, runs[best].mixture.means)
    if not partition.any(axis=0).all():  # a cluster lost its last row on the way: the seeds own at least themselves
        partition = nearest_centre(rows, seedings[best])
    return from_partition(sample, partition, algorithm)


def random_rows(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization, rng: np.random.Generator
) -> Mixture:
    """Means at random rows, equal weights, and for every component its share of the data's covariance."""
    means = sample.rows[sample.draw(rng, sample.weights, n_components)]
    share = start_prior(sample, n_components, algorithm).scale
    weights = np.full(n_components, 1 / n_components)
    covariances = algorithm.structure.from_matrices(np.repeat(share[None], n_components, axis=0), weights)
    return Mixture(weights, means, covariances, algorithm.structure.name)


def random_responsibilities(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization, rng: np.random.Generator
) -> Mixture:
    """Random responsibilities, uniform on the simplex, of a few random rows.

    Over all rows they would average out: every component would start at the mean of the data, a saddle that EM leaves slowly.
    """
    few = sample.draw(rng, sample.weights, RANDOM_ROWS_PER_MEAN * n_components)
    subset = replace(sample, rows=sample.rows[few], weights=np.ones(len(few)))
    responsibilities = rng.dirichlet(np.ones(n_components), size=len(few))
    return from_partition(subset, responsibilities, algorithm)


SEEDINGS: dict[str, Seeding] = {
    "kmeans": kmeans,
    "k-means++": kmeans_plus_plus,
    "random": random_responsibilities,
    "random_from_data": random_rows,
}
"""scikit-learn's names of the starts."""


def seeded_starts(
    sample: SeedingSample,
    n_components: int,
    algorithm: ExpectationMaximization,
    seeding: Seeding,
    n_init: int,
    rng: np.random.Generator,
) -> list[Mixture]:
    """``n_init`` starts from one seeding. The first k-means is a thorough one; the others are single runs, for variety."""
    first = partial(kmeans, n_seedings=THOROUGH_SEEDINGS) if seeding is kmeans else seeding
    streams = child_streams(rng, n_init)
    return [
        (first if i == 0 else seeding)(sample, n_components, algorithm, stream) for i, stream in enumerate(streams)
    ]


def near_centres(sample: SeedingSample, centres: Array, algorithm: ExpectationMaximization) -> Mixture:
    """A start from given means: weights and covariances of the rows nearest to each."""
    by_feature = algorithm.structure.scales_by_feature
    rows, targets = (sample.scaled(points, by_feature) for points in (sample.rows, centres))
    return from_partition(sample, nearest_centre(rows, targets), algorithm)


def nearest_centre(rows: Array, centres: Array) -> Array:
    """Hard responsibilities ``(N, K)`` of the nearest centre; exact ties are shared."""
    return hard(-squared_distances(rows, centres))[0].T


def lloyd(source: ArraySource, centres: list[Array]) -> list[Run]:
    """k-means from each of several sets of centres: EM with hard assignment, equal weights and one shared round covariance.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.starts import lloyd
    >>> rows = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> (run,) = lloyd(ArraySource(rows), [rows[[0, 1]]])
    >>> run.mixture.means[:, 0].tolist()
    [0.5, 11.0]
    """
    algorithm = ExpectationMaximization(
        covariance_structure("tied_spherical"), source.magnitude, assignment=hard, equal_weights=True
    )
    starts = [
        Mixture(np.full(len(c), 1 / len(c)), c, 1.0, algorithm.structure.name) for c in centres
    ]
    return climb(source, starts, algorithm, Stopping(0.0, KMEANS_MAX_ITER, source.total_weight))


def from_partition(
    sample: SeedingSample, responsibilities: Array, algorithm: ExpectationMaximization
) -> Mixture:
    """The M-step on the sample under the weak data prior (or the user's own prior, where there is one)."""
    moments = accumulate(
        sample.source, responsibilities, responsibilities.shape[1], diagonal=algorithm.structure.diagonal
    )
    prior = algorithm.prior or start_prior(sample, responsibilities.shape[1], algorithm)
    return replace(algorithm, prior=prior).maximise(moments)


def start_prior(
    sample: SeedingSample, n_components: int, algorithm: ExpectationMaximization
) -> NormalInverseWishart:
    """Fraley and Raftery's prior around the structure's own single Gaussian of the sample, floor included."""
    structure, counts = algorithm.structure, np.ones(1)
    scatter = sample.covariance[None]
    if structure.diagonal:
        scatter = np.diagonal(scatter, axis1=1, axis2=2)
    single = structure.maximise(scatter, counts, algorithm.floor, None)
    if structure.factor(single, algorithm.rounding)[1].any():
        raise CollapseError(_why_singular(sample, algorithm))
    matrix = structure.matrices(single, 1, len(sample.mean))[0]
    return NormalInverseWishart.from_data_moments(sample.mean, matrix, n_components)


def _why_singular(sample: SeedingSample, algorithm: ExpectationMaximization) -> str:
    constant = np.flatnonzero(np.diagonal(sample.covariance) <= algorithm.rounding)
    if len(constant) == len(sample.mean):
        what = "all rows coincide"
    elif len(constant):
        what = f"column {', '.join(map(str, constant))} is constant"
    else:
        what = "the columns are linearly dependent, or there are fewer distinct rows than columns"
    remedy = (
        f"the declared floor reg_covar={algorithm.floor:g} is lost in rounding beside the largest variance "
        f"{np.diagonal(sample.covariance).max():.3g}; raise it"
        if algorithm.floor
        else "Declare a floor (reg_covar=1e-6) or a prior (covariance_prior)"
    )
    return f"every component would collapse: {what}. {remedy}, or remove redundant columns."
