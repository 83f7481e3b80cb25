"""What a picture is of: the mixture, the rows that are shown with it, and the features that are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.estimators.record import PointFit, VariationalFit
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.settings import check_integer
from mixtura.ground.text import printable
from mixtura.inference.climb.loop import Run
from mixtura.model.mixture import Mixture
from mixtura.model.rows import carrying_rows

Feature = int | str
LOOKED_AT = 20_000
"""Rows of those that are scanned."""


def mixture_of(model: Any) -> Mixture:
    """The mixture itself, or that of a fitted estimator."""
    mixture = model if isinstance(model, Mixture) else getattr(model, "mixture_", None)
    if not isinstance(mixture, Mixture):
        raise InvalidParameterError(
            f"model must be a Mixture or a fitted estimator; got {type(model).__name__} without mixture_. "
            "Call its fit(X) first."
        )
    return mixture


def climb_of(model: Any) -> PointFit | VariationalFit:
    """The record of a fitted estimator that has climbed."""
    record = getattr(model, "record_", None)
    if not isinstance(record, PointFit | VariationalFit):
        raise InvalidParameterError(
            f"model must be a fitted estimator that remembers its climb (restarts_); got {type(model).__name__}. "
            "A Mixture on its own does not know how it was found: pass the estimator, after fit(X)."
        )
    return record


def best_run(model: Any) -> Run:
    """The climb that a fitted estimator kept."""
    return climb_of(model).restarts.best


def all_rows(X: ArrayLike, mixture: Mixture) -> Array:
    """``X`` as a finite ``(N, D)`` array of the mixture's width, with at least one row (float32 stays float32)."""
    return carrying_rows(X, None, mixture.n_features)[0]


def thinned(n_rows: int, most: int) -> NDArray[np.intp]:
    """Indices of at most ``most`` rows, always the same ones, in order: drawn, since evenly spaced ones may be one group of many."""
    check_integer(most, "max_points", 1)
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, size=most, replace=False))


def feature_names(mixture: Mixture, X: object = None) -> tuple[str, ...]:
    """Names of the columns: the mixture's, a data frame's, or ``x0 … x(D−1)``."""
    columns = list(getattr(X, "columns", ()))
    is_named = len(columns) == mixture.n_features and all(isinstance(column, str) for column in columns)
    return tuple(columns) if mixture.feature_names is None and is_named else mixture.column_names


def label_of(name: str) -> str:
    """A feature's name as matplotlib shows it letter by letter: dollars begin no formula, control characters are escaped."""
    return printable(name).replace("$", r"\$")


def feature_indices(features: Feature | Sequence[Feature], names: Sequence[str]) -> list[int]:
    """Features given by place or name, as places."""
    places = {name: j for j, name in enumerate(names)}
    indices = []
    for feature in [features] if isinstance(features, int | str) else features:
        place = places.get(feature) if isinstance(feature, str) else int(feature)
        if place is None or not -len(names) <= place < len(names):
            raise InvalidParameterError(
                f"features must be among {', '.join(names)}, or places from 0 to {len(names) - 1}; got {feature!r}."
            )
        indices.append(place % len(names))
    if not indices or len(set(indices)) < len(indices):
        raise InvalidParameterError(f"features must be one or more different features; got {features!r}.")
    return indices


def marginal(mixture: Mixture, features: Sequence[int]) -> Mixture:
    """The mixture of some features alone.

    A marginal of a Gaussian mixture is the mixture of the components' marginals: the same weights, the means' entries,
    the covariances' rows and columns.

    Parameters
    ----------
    mixture : Mixture
    features : sequence of int
        Places of the features that stay, in the wanted order.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.model.mixture import Mixture
    >>> from mixtura.plot.subject import marginal
    >>> m = Mixture([0.5, 0.5], [[0.0, 5.0], [1.0, 7.0]], [[[1.0, 0.3], [0.3, 2.0]], [[3.0, 0.0], [0.0, 4.0]]])
    >>> marginal(m, [1]).means.tolist(), marginal(m, [1]).covariances.tolist()
    ([[5.0], [7.0]], [[[2.0]], [[4.0]]])
    """
    kept = np.asarray(features)
    names = mixture.feature_names
    if mixture.structure.diagonal:  # of very many features no matrix is formed
        covariances: Array = mixture.variances[:, kept, None] * np.eye(len(kept))
    else:
        covariances = mixture.covariance_matrices[:, kept[:, None], kept]
    return Mixture(
        mixture.weights,
        mixture.means[:, kept],
        covariances,
        feature_names=None if names is None else [names[j] for j in kept],
    )


def separation(mixture: Mixture) -> Array:
    """Share of each feature's variance that lies between the components, ``(D,)``: what a picture would show of them."""
    with np.errstate(over="ignore", invalid="ignore"):  # where nothing can be drawn
        away = mixture.means - mixture.weights @ mixture.means
        spread = np.sqrt(mixture.variances)
        unit = np.maximum(np.abs(away).max(axis=0), spread.max(axis=0))  # squares overflow in others
        between, within = mixture.weights @ (away / unit) ** 2, mixture.weights @ (spread / unit) ** 2
    return np.asarray(between / (between + within))


@dataclass(frozen=True, eq=False)
class Shown:
    """The rows that a picture shows.

    Attributes
    ----------
    rows : (N, D) array
        All of them, or of those that are scanned a sample, for limits and histograms.
    points : (n,) integer array
        Which ones are drawn one by one.
    n_rows : int
        How many there are.
    """

    rows: Array
    points: NDArray[np.intp]
    n_rows: int

    @property
    def remark(self) -> str:
        """Says that points are left out, where they are."""
        if len(self.points) == self.n_rows:
            return ""
        return f"{len(self.points):,} of {self.n_rows:,} points shown"

    def take(self, features: Sequence[int]) -> Shown:
        """The same rows, seen in some features."""
        return Shown(self.rows[:, list(features)], self.points, self.n_rows)


def shown(X: ArrayLike | Source | None, mixture: Mixture, max_points: int) -> Shown | None:
    """The rows to show, if any were given."""
    if X is None:
        return None
    if isinstance(X, Source) and not isinstance(X, ArraySource):
        rows = all_rows(X.take(thinned(X.n_rows, LOOKED_AT))[0], mixture)
        return Shown(rows, thinned(len(rows), max_points), X.n_rows)
    rows = all_rows(X.rows if isinstance(X, ArraySource) else X, mixture)
    return Shown(rows, thinned(len(rows), max_points), len(rows))
