"""How good an answer is: the gradient there, the gain that may still be had, and whether it is a maximum at all.

A point where EM hardly moves may be a saddle. The Hessian tells: at a maximum all its eigenvalues are negative but for the one direction,
all log weights growing together, that changes nothing. Its largest eigenvalue is found on a sample of the rows, by Lanczos' method on exact
products. A penalty counts there as much as the sample's share of the rows; its part of a product is a difference of its gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.climb.steps import extent
from mixtura.inference.rules.penalty import Penalty
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture
from mixtura.model.rows import evenly_spaced
from mixtura.sweep import Sweep

SAMPLE_ROWS = 5000
MOST_AT_ONCE = 64
"""Up to this many coordinates the whole Hessian is computed, in one visit of the sample."""
NEGATIVE = -1e-6
"""Whitened curvature above which a direction counts as flat: a millionth of what complete data would give."""
DIFFERENCE = 1e-5
"""Largest change of a log weight, a mean in units of its spread, or a log spread in a difference of gradients."""


@dataclass(frozen=True)
class Certificate:
    """What is known of the place where a fit ended.

    Attributes
    ----------
    gradient_norm : float
        Norm of the gradient in units in which the complete-data information is the identity; standard errors are of order one there.
    remaining : float
        Gain still possible, in nats over all rows, as the climb estimated it: what lies beyond a saddle or at the end of a flat ridge, it
        cannot see.
    largest_curvature : float
        Largest eigenvalue of the Hessian in those units, on at most 5000 rows; between −1 and 0 at a maximum, and the rate of
        convergence of EM is one plus it.
    """

    gradient_norm: float
    remaining: float
    largest_curvature: float

    @property
    def is_maximum(self) -> bool:
        """Whether the likelihood falls in every direction."""
        return self.largest_curvature < NEGATIVE

    def __str__(self) -> str:
        kind = (
            "a maximum"
            if self.is_maximum
            else "not a strict maximum (a saddle, or flat, so more than estimated may be still to come)"
        )
        return f"{kind}: in whitened units, gradient {self.gradient_norm:.1g}, largest curvature {self.largest_curvature:.2g}"


def thinned(source: Source) -> ArraySource:
    """At most 5000 rows, evenly spaced."""
    return ArraySource(*source.take(evenly_spaced(source.n_rows, SAMPLE_ROWS)))


def certify(mixture: Mixture, remaining: float, source: Source, penalty: Penalty | None = None) -> Certificate:
    """Certify a mixture of a smooth structure.

    Parameters
    ----------
    mixture : Mixture
    remaining : float
    source : Source
        All rows; the curvature is that on a sample of them.
    penalty : Penalty, optional
        What the mixture was fitted with.
    """
    with Sweep(source) as sweep:
        (swept,) = sweep([mixture.scorer])
    if not swept.moments.count.all():
        empty = int(np.argmin(swept.moments.count))
        raise InvalidParameterError(
            f"no row belongs to component {empty}, so the likelihood does not depend on where it lies. Fit fewer components."
        )
    about = Coordinates(mixture, swept.moments.count)
    origin = np.zeros(about.size)
    gradient = about.gradient(origin, swept.moments)
    if penalty is not None:
        gradient = gradient + about.pull_back(origin, penalty.gradient(mixture))
    curvature, _ = flattest(mixture, source, penalty)
    return Certificate(float(np.linalg.norm(gradient)), remaining, curvature)


def flattest(mixture: Mixture, source: Source, penalty: Penalty | None = None) -> tuple[float, Array]:
    """Largest eigenvalue of the Hessian on a sample of the rows in whitened units, and the vector along it, as a change of the mixture.

    The direction that changes nothing is left out.

    Parameters
    ----------
    mixture : Mixture
    source : Source
        All rows.
    penalty : Penalty, optional

    Returns
    -------
    curvature : float
    direction : (size,) array
        In units of log weights, of means by their spread, and of log spreads (``Coordinates.unit``).
    """
    sample = thinned(source)
    share = sample.total_weight / source.total_weight
    with Sweep(sample) as sweep:
        (swept,) = sweep([mixture.scorer])
        about = Coordinates(mixture, swept.moments.count)
        origin = np.zeros(about.size)
        gauge = about.gauge

        def products(directions: Array) -> Array:
            tangents = [about.tangent(origin, v) for v in directions]
            changes = sweep.along([mixture.scorer] * len(directions), tangents)
            hessian = [
                about.hessian_times(origin, v, swept.moments, change)
                for v, change in zip(directions, changes, strict=True)
            ]
            if penalty is not None:
                hessian = [
                    row + share * _of_penalty(penalty, about, v) for row, v in zip(hessian, directions, strict=True)
                ]
            return np.array(hessian) - np.outer(directions @ gauge, gauge)  # the gauge direction itself to minus one

        curvature, direction = _largest(products, about.size)
    return curvature, direction / about.unit


def _largest(products: Callable[[Array], Array], size: int) -> tuple[float, Array]:
    """Largest eigenvalue of a symmetric matrix, and its vector, from products with it."""
    if size <= MOST_AT_ONCE:
        matrix = products(np.eye(size))
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        return float(values[-1]), vectors[:, -1]
    operator = LinearOperator((size, size), matvec=lambda v: products(v.reshape(1, -1))[0], dtype=float)
    start = np.random.default_rng(0).normal(size=size)
    try:
        values, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=1e-2)
    except ArpackNoConvergence as error:
        if not len(error.eigenvalues):
            return float("nan"), np.zeros(size)
        values, vectors = error.eigenvalues, error.eigenvectors
    return float(values[-1]), vectors[:, -1]


def _of_penalty(penalty: Penalty, about: Coordinates, direction: Array) -> Array:
    """The penalty's part of a Hessian–vector product."""
    step = DIFFERENCE / extent(about, direction)
    ahead, behind = (
        about.pull_back(u, penalty.gradient(about.mixture(u))) for u in (step * direction, -step * direction)
    )
    return (ahead - behind) / (2 * step)
