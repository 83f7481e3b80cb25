"""``partial_fit``: what estimators do with data that pass by once, batch by batch."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.estimators.fitted import FittedMixture, kept_whole, replaced_fit
from mixtura.estimators.inputs import as_rows, as_source
from mixtura.estimators.record import StreamFit
from mixtura.ground.errors import CollapseError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.random import as_generator
from mixtura.inference.climb.by_batches import Stream, begin, learn, read, rows_to_begin
from mixtura.inference.rules.collapse import Collapsed
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.plan import Beginning, Case, Earlier, begin_all
from mixtura.inference.starts.restarts import finish
from mixtura.inference.starts.sample import SeedingSample, seeding_sample
from mixtura.inference.starts.seedings import REMEDY
from mixtura.model.covariance import covariance_structure
from mixtura.model.mixture import Mixture

GROWTH = 1.25
"""The first rows are fitted anew whenever there are so many times more of them: in all that costs what five last fits do."""
ROUNDING = 1e-9
"""Of sums of weights: in another unit, what has grown by just so much still has."""


class Gathered(NamedTuple):
    """The first rows of a stream, kept until there are enough to begin with.

    Attributes
    ----------
    rows : ArraySource or None
        Once they are many, those that are equal are one.
    fitted_weight : float
        Of those that what is believed meanwhile was fitted to.
    belief : Mixture, Posterior or None
    earlier : Earlier or None
        What the stream goes on from.
    """

    rows: ArraySource | None = None
    fitted_weight: float = 0.0
    belief: Any = None
    earlier: Earlier | None = None

    def followed_by(self, batch: ArraySource) -> ArraySource:
        """The rows with those of a batch, none of which the caller can change any more."""
        sources = [batch] if self.rows is None else [self.rows, batch]
        rows = np.concatenate([source.rows for source in sources])
        if all(source.weights is None for source in sources):
            return ArraySource(rows)
        weights = [np.ones(source.n_rows) if source.weights is None else source.weights for source in sources]
        return ArraySource(rows, np.concatenate(weights))


def _merged(source: ArraySource) -> ArraySource:
    """Distinct rows, with the weight that each stands for."""
    rows, places = np.unique(source.rows, axis=0, return_inverse=True)
    return ArraySource(rows, np.bincount(places.ravel(), source.weights, len(rows)).astype(float))


def _learns_from_batches(estimator: LearnsFromBatches) -> bool:
    if not estimator._learns_by_batches():
        raise AttributeError(
            f"partial_fit needs solver={estimator._batch_solver!r}; got solver={getattr(estimator, 'solver', None)!r}."
        )
    return True


class LearnsFromBatches(FittedMixture):
    """An estimator one of whose solvers can learn from one batch after another."""

    _batch_solver: str
    _stream_: Gathered | Stream | None = None
    _stream_algorithm_: Any
    n_components: int
    init_params: Any
    n_init: int
    tol: Any
    max_iter: int
    warm_start: bool

    @available_if(_learns_from_batches)
    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from one batch of rows, of any size.

        The first ``100 K (D + 1)`` distinct rows are kept, and fitted anew as they grow by a quarter, under a weak prior as long as they
        are fewer; there is no mixture before there are ``K`` rows. Then they are let go, and every batch moves what is believed, in
        proportion to its weight among all that has passed by: how rows are cut into batches matters little, and where rows come in random
        order, one read ends about where a fit of all of them does.

        A stream is taken to be of one law. Rows that are *sorted* are learnt as they come, and later ones count for more: shuffle them, or
        use ``fit`` if there is room for all of them. Where the law *drifts*, what is believed lags behind by about a third of the stream:
        keep the last rows, and ``fit`` these with ``warm_start=True``.

        Parameters
        ----------
        X : (B, D) array-like
        y : ignored
        sample_weight : (B,) array-like, optional
            Non-negative weights; a batch whose weights are all zero changes nothing.

        Raises
        ------
        InvalidParameterError
            If ``n_components`` or ``covariance_type`` is no longer that of the stream. A batch that is refused, for whatever
            reason, leaves the estimator as it was.

        Examples
        --------
        >>> import numpy as np
        >>> import mixtura as mx
        >>> X, _ = mx.Mixture([0.3, 0.7], [[-4.0], [4.0]], [1.0, 1.0], "spherical").sample(5000, random_state=0)
        >>> gm = mx.GaussianMixture(2, solver="gradient", random_state=0)
        >>> for batch in np.array_split(X, 500):
        ...     gm = gm.partial_fit(batch)
        >>> np.sort(gm.weights_).round(1).tolist()
        [0.3, 0.7]
        """
        if not isinstance(self._stream_, Stream):  # whose parameters have been seen to
            self._validate_params()
        if self._stream_ is not None:
            with kept_whole(self):
                return self._learn(X, sample_weight)
        earlier = self._earlier()
        with replaced_fit(self):
            self._stream_ = Gathered(earlier=earlier)
            return self._learn(X, sample_weight)

    def __sklearn_is_fitted__(self) -> bool:
        return "weights_" in vars(self)

    def _learn(self, X: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        stream = self._stream_
        is_first = isinstance(stream, Gathered) and stream.rows is None
        rows: Array = validate_data(self, as_rows(X), dtype=[np.float64, np.float32], reset=is_first)
        if np.shape(sample_weight) == rows.shape[:1] and not np.any(sample_weight):  # type: ignore[arg-type]
            return self
        labelled = is_first and not isinstance(self.init_params, str)
        batch, kept = as_source(rows, sample_weight, self.n_components if labelled else 1)
        if isinstance(stream, Gathered):
            self._gather(stream, batch, kept, len(rows))
        elif stream is not None:
            self._go_on(stream, batch)
        return self

    def _gather(self, gathered: Gathered, batch: ArraySource, kept: Array | None, n_rows: int) -> None:
        """Keep a batch of the first rows; fit all of them if it is time to, and begin once there are enough."""
        rows = gathered.followed_by(batch)
        most = rows_to_begin(self.n_components, rows.n_features)
        enough = rows.n_rows >= most and len(np.unique(rows.rows[: 2 * most], axis=0)) >= most
        fitted_weight, belief, earlier = gathered.fitted_weight, gathered.belief, gathered.earlier
        has_grown = rows.total_weight >= (1 - ROUNDING) * GROWTH * fitted_weight
        if enough or (has_grown and rows.n_rows >= max(2, self.n_components)):
            if belief is not None and not isinstance(self.init_params, str):  # labels were those of the first batch
                earlier = Earlier(belief, ())
            try:
                belief = self._fit_first(rows, kept, n_rows, earlier, enough)
                fitted_weight = rows.total_weight
            except CollapseError:
                if enough:
                    raise
        if enough:
            self._stream_ = begin(belief, rows)
        else:
            kept_rows = _merged(rows) if rows.n_rows >= most else rows
            self._stream_ = Gathered(kept_rows, fitted_weight, belief, gathered.earlier)
        if belief is not None:
            loss, _ = read(belief, batch, self._stream_algorithm_, rows.total_weight)
            self._believe(belief, loss, rows.total_weight, batch.dtype)

    def _fit_first(
        self, rows: ArraySource, kept: Array | None, n_rows: int, earlier: Earlier | None, enough: bool
    ) -> Any:
        """What is believed after the first rows."""
        sample = seeding_sample(rows, self.n_components)
        case, beginning = self._stream_case(rows, sample, enough), self._beginning(rows, kept, n_rows, earlier)
        self._stream_algorithm_ = case.algorithm
        (shortlist,) = begin_all(rows, sample, [case], beginning, self.n_init, as_generator(self.random_state))
        if isinstance(shortlist, CollapseError):
            raise shortlist
        starts = [start._replace(mixture=_with_all_weights(start.mixture, rows)) for start in shortlist.starts]
        stopping = Stopping(float(self.tol), self.max_iter, rows.total_weight)
        (restarts,) = finish(rows, [shortlist._replace(starts=starts)], [case.algorithm], stopping)
        if isinstance(restarts, CollapseError):
            raise restarts
        return restarts.best.mixture

    def _go_on(self, stream: Stream, batch: ArraySource) -> None:
        algorithm = self._stream_algorithm_
        begun, now = algorithm.structure.name, covariance_structure(self.covariance_type, batch.n_features).name
        if stream.leading.n_components != self.n_components or now != begun:
            raise InvalidParameterError(
                f"this stream is of {stream.leading.n_components} components, covariance_type={begun!r}; now "
                f"n_components={self.n_components}, covariance_type={self.covariance_type!r}. Set them back, or begin with a clone."
            )
        try:
            stream, loss = learn(stream, batch, algorithm)
            belief = algorithm.maximise(stream.weight * stream.averaged)
        except Collapsed as collapsed:
            raise CollapseError(f"{collapsed}. {REMEDY}") from collapsed
        self._stream_ = stream
        self._believe(belief, loss, stream.weight, batch.dtype)

    def _believe(self, belief: Any, loss: float, weight: float, dtype: np.dtype) -> None:
        before: StreamFit | None = vars(self).get("record_")
        losses, bounds = ([], []) if before is None else (before.losses, before.lower_bounds)
        record = StreamFit(self._stream_algorithm_, belief, losses, bounds)
        self._take(record, dtype)
        record.note(loss, weight)

    def _earlier(self) -> Earlier | None:
        """What a warm start goes on from."""
        if not self.warm_start or "weights_" not in vars(self):
            return None
        return Earlier(self._belief, self.record_.bounds if "record_" in vars(self) else ())

    def _learns_by_batches(self) -> bool:
        """Whether the solver is one that does."""
        raise NotImplementedError

    def _stream_case(self, source: Source, sample: SeedingSample, enough: bool) -> Case[Any]:
        """What a stream is fitted with, by its first rows; whether they are enough to go by says ``enough``."""
        raise NotImplementedError

    def _beginning(self, source: Source, kept: Array | None, n_rows: int, earlier: Earlier | None) -> Beginning:
        """Where a fit begins."""
        raise NotImplementedError


def _with_all_weights(start: Any, source: Source) -> Any:
    """A start none of whose components has no weight: it would never get any."""
    if not isinstance(start, Mixture) or start.weights.all():
        return start
    weights = start.weights + 1 / source.total_weight
    return Mixture(weights / weights.sum(), start.means, start.covariances, start.structure)
