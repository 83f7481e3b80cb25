"""How good an answer is: the gradient there, the gain that may still be had, and whether it is a maximum at all.

A point where EM hardly moves may be a saddle. The Hessian tells: at a maximum all its eigenvalues are negative but for the one direction,
all log weights growing together, that changes nothing. Its largest eigenvalue is found on a sample of the rows, by Lanczos' method on exact
products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from mixtura.data.array import ArraySource
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.coordinates import Coordinates
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep

SAMPLE_ROWS = 5000
MOST_AT_ONCE = 64
"""Up to this many coordinates the whole Hessian is computed, in one visit of the sample."""
NEGATIVE = -1e-6
"""Whitened curvature above which a direction counts as flat: a millionth of what complete data would give."""


@dataclass(frozen=True)
class Certificate:
    """What is known of the place where a fit ended.

    Attributes
    ----------
    gradient_norm : float
        Norm of the gradient in units in which the complete-data information is the identity; standard errors are of order one there.
    remaining : float
        Estimated gain still possible, in nats over all rows.
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
        kind = "a maximum" if self.is_maximum else "not a strict maximum (a saddle, or flat)"
        return f"{kind}: in whitened units, gradient {self.gradient_norm:.1g}, largest curvature {self.largest_curvature:.2g}"


def thinned(source: ArraySource) -> ArraySource:
    """At most 5000 rows, evenly spaced."""
    step = -(-source.n_rows // SAMPLE_ROWS)
    return ArraySource(source.rows[::step], None if source.weights is None else source.weights[::step])


def certify(mixture: Mixture, remaining: float, source: ArraySource) -> Certificate:
    """Certify a mixture of a smooth structure.

    Parameters
    ----------
    mixture : Mixture
    remaining : float
    source : ArraySource
        All rows; the curvature is that on a sample of them.
    """
    with Sweep(source) as sweep:
        (swept,) = sweep([mixture.scorer])
    if not swept.moments.count.all():
        empty = int(np.argmin(swept.moments.count))
        raise InvalidParameterError(
            f"no row belongs to component {empty}, so the likelihood does not depend on where it lies. Fit fewer components."
        )
    about = Coordinates(mixture, swept.moments.count)
    gradient = about.gradient(np.zeros(about.size), swept.moments)
    return Certificate(float(np.linalg.norm(gradient)), remaining, largest_curvature(mixture, thinned(source)))


def largest_curvature(mixture: Mixture, source: ArraySource) -> float:
    """Largest eigenvalue of the Hessian in whitened units, leaving out the direction that changes nothing."""
    with Sweep(source) as sweep:
        (swept,) = sweep([mixture.scorer])
        about = Coordinates(mixture, swept.moments.count)
        origin = np.zeros(about.size)
        gauge = np.concatenate([about.unit[: mixture.n_components], np.zeros(about.size - mixture.n_components)])
        gauge /= np.linalg.norm(gauge)

        def products(directions: Array) -> Array:
            tangents = [about.tangent(origin, v) for v in directions]
            changes = sweep.along([mixture.scorer] * len(directions), tangents)
            hessian = [
                about.hessian_times(origin, v, swept.moments, change)
                for v, change in zip(directions, changes, strict=True)
            ]
            return np.array(hessian) - np.outer(directions @ gauge, gauge)  # the gauge direction itself to minus one

        if about.size <= MOST_AT_ONCE:
            hessian = products(np.eye(about.size))
            return float(np.linalg.eigvalsh(0.5 * (hessian + hessian.T))[-1])
        operator = LinearOperator((about.size, about.size), matvec=lambda v: products(v.reshape(1, -1))[0], dtype=float)
        start = np.random.default_rng(0).normal(size=about.size)
        try:
            return float(eigsh(operator, k=1, which="LA", v0=start, tol=1e-2, return_eigenvectors=False)[0])
        except ArpackNoConvergence as error:
            return float(error.eigenvalues[-1]) if len(error.eigenvalues) else float("nan")
