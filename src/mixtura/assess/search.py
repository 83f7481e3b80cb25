"""Choosing the number of components and the covariance structure: fit every candidate, compare by one criterion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixtura.assess.criteria import CRITERIA, Criteria, criteria
from mixtura.data.array import ArraySource
from mixtura.ground.errors import CollapseError, DataError, InvalidParameterError
from mixtura.ground.random import RandomState, as_generator, child_streams
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.loop import climb
from mixtura.inference.restarts import Restarts, summarise
from mixtura.inference.seeding import SeedingSample, seeding_sample
from mixtura.inference.starts import kmeans, seeded_starts
from mixtura.inference.stopping import Stopping
from mixtura.model.covariance import covariance_structure
from mixtura.model.mixture import Mixture


@dataclass(frozen=True)
class Candidate:
    """One number of components with one structure, fitted; or the reason why it could not be.

    Attributes
    ----------
    n_components : int
    covariance_type : str
    restarts : Restarts or None
    criteria : Criteria or None
    error : str or None
    """

    n_components: int
    covariance_type: str
    restarts: Restarts | None = None
    criteria: Criteria | None = None
    error: str | None = None

    @property
    def mixture(self) -> Mixture | None:
        """The fitted mixture."""
        return None if self.restarts is None else self.restarts.best.mixture

    @property
    def sound(self) -> bool:
        """Whether it was fitted without a component held at the floor."""
        return self.restarts is not None and not self.restarts.best.collapses

    @property
    def log_likelihood(self) -> float | None:
        """``ℓ`` of the data."""
        return None if self.criteria is None else self.criteria.log_likelihood

    @property
    def n_parameters(self) -> int | None:
        """Free parameters."""
        return None if self.criteria is None else self.criteria.n_parameters

    @property
    def bic(self) -> float | None:
        """Bayesian information criterion, lower is better."""
        return None if self.criteria is None else self.criteria.bic

    @property
    def aic(self) -> float | None:
        """Akaike's information criterion, lower is better."""
        return None if self.criteria is None else self.criteria.aic

    @property
    def icl(self) -> float | None:
        """Integrated completed likelihood criterion, lower is better."""
        return None if self.criteria is None else self.criteria.icl


@dataclass(frozen=True)
class Search:
    """All candidates, and the one with the lowest criterion among those that did not collapse.

    Attributes
    ----------
    candidates : tuple of Candidate
        In the order tried.
    best : Candidate
    criterion : {"bic", "aic", "icl"}
    """

    candidates: tuple[Candidate, ...]
    best: Candidate
    criterion: str


def search(
    X: ArrayLike,
    n_components: Sequence[int],
    covariance_types: Sequence[str] = ("full",),
    *,
    criterion: str = "bic",
    n_init: int = 10,
    tol: float = 1e-3,
    max_iter: int = 300,
    reg_covar: float = 1e-6,
    random_state: RandomState = None,
    on_candidate: Callable[[Candidate], None] | None = None,
) -> Search:
    """Fit every combination by EM with restarts and choose one.

    Parameters
    ----------
    X : (N, D) array-like
    n_components : sequence of int
    covariance_types : sequence of str
        Names or codes.
    criterion : {"bic", "aic", "icl"}
    n_init : int
        Restarts of each candidate.
    tol, max_iter, reg_covar, random_state
        As in ``GaussianMixture``.
    on_candidate : callable, optional
        Called with each candidate when it is done.

    Returns
    -------
    Search

    Raises
    ------
    CollapseError
        If no candidate could be fitted.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-5, 1, (100, 2)), rng.normal(5, 1, (100, 2))])
    >>> found = mx.search(X, range(1, 4), ["tied_spherical"], random_state=0)
    >>> found.best.n_components
    2
    """
    if criterion not in CRITERIA:
        raise InvalidParameterError(f"criterion must be one of {', '.join(CRITERIA)}; got {criterion!r}.")
    structures = [covariance_structure(name) for name in covariance_types]
    sizes = [int(k) for k in n_components]
    source = _source(X)
    if not sizes or not structures:
        raise InvalidParameterError("search needs at least one number of components and one covariance type.")
    for k in sizes:
        if not 1 <= k <= source.n_rows:
            raise InvalidParameterError(f"n_components must lie in 1 … {source.n_rows} (the rows); got {k}.")
    stopping = Stopping(tol, max_iter, source.total_weight)
    samples = {k: seeding_sample(source, k) for k in sizes}
    streams = child_streams(as_generator(random_state), len(sizes) * len(structures))
    tried = []
    for (structure, k), rng in zip([(s, k) for s in structures for k in sizes], streams, strict=True):
        algorithm = ExpectationMaximization(structure, reg_covar)
        candidate = _fit(source, samples[k], k, algorithm, stopping, n_init, rng)
        tried.append(candidate)
        if on_candidate is not None:
            on_candidate(candidate)
    fitted = [c for c in tried if c.restarts is not None]
    if not fitted:
        raise CollapseError(f"no candidate could be fitted; the first: {tried[0].error}")
    best = min([c for c in fitted if c.sound] or fitted, key=lambda c: getattr(c.criteria, criterion))
    return Search(tuple(tried), best, criterion)


def _fit(
    source: ArraySource,
    sample: SeedingSample,
    n_components: int,
    algorithm: ExpectationMaximization,
    stopping: Stopping,
    n_init: int,
    rng: np.random.Generator,
) -> Candidate:
    structure = algorithm.structure
    try:
        starts = seeded_starts(sample, n_components, algorithm, kmeans, n_init, rng)
        restarts = summarise(climb(source, starts, algorithm, stopping), stopping)
    except CollapseError as error:
        return Candidate(n_components, structure.name, error=str(error))
    return Candidate(n_components, structure.name, restarts, criteria(restarts.best.mixture, source))


def _source(X: ArrayLike) -> ArraySource:
    rows = np.asarray(X)
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    if rows.ndim != 2 or not rows.size:
        raise DataError(f"X must have shape (N, D) with rows and columns; got {rows.shape}.")
    if not np.isfinite(rows).all():
        raise DataError("X must be finite; it holds NaN or infinity.")
    source = ArraySource(rows)
    source.check_squares_representable()
    return source
