"""``partial_fit``: what estimators do with data that pass by once, batch by batch."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from mixtura.data.array import ArraySource
from mixtura.estimators.fitted import replaced_fit
from mixtura.estimators.inputs import as_rows, as_source
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.ascent import Algorithm
from mixtura.inference.stochastic import Step, Stream, begin, learn


def _learns_from_batches(estimator: LearnsFromBatches) -> bool:
    solver = getattr(estimator, "solver", None)
    if solver != estimator._batch_solver:
        raise AttributeError(f"partial_fit needs solver={estimator._batch_solver!r}; got solver={solver!r}.")
    return True


class LearnsFromBatches:
    """An estimator one of whose solvers can learn from one batch after another."""

    _batch_solver: str
    _stream_: Stream | None = None
    n_components: int

    @available_if(_learns_from_batches)
    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from one batch of rows; the first one also decides where to start, and about the data-scaled defaults.

        Steps grow smaller as ``(t + 10)^−0.7``, so batches should be of about equal size and in no particular order.

        Parameters
        ----------
        X : (B, D) array-like
        y : ignored
        sample_weight : (B,) array-like, optional
        """
        self._validate_params()  # type: ignore[attr-defined]
        if self._stream_ is not None:
            return self._learn(X, sample_weight)
        with replaced_fit(self):
            return self._learn(X, sample_weight)

    def _learn(self, X: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        first = self._stream_ is None
        rows: Array = validate_data(
            self, as_rows(X), dtype=[np.float64, np.float32], ensure_min_samples=2 if first else 1, reset=first
        )
        source, kept = as_source(rows, sample_weight, self.n_components if first else 1)
        if self._stream_ is None:
            self._stream_algorithm_, self._step_, start = self._begin_stream(source, kept, len(rows))
            self._stream_, self.losses_ = begin(start, source), list[float]()
        self._stream_, loss = learn(self._stream_, source, self._step_, self._stream_algorithm_)
        if not np.isfinite(loss):
            raise InvalidParameterError(
                "the batch has no density under what was learnt so far; is it on the same scale?"
            )
        self.losses_.append(loss)
        self._adopt_stream(self._stream_, source)
        return self

    _step_: Step
    _stream_algorithm_: Algorithm

    def _begin_stream(self, source: ArraySource, kept: Array | None, n_rows: int) -> tuple[Algorithm, Step, Any]:
        """The algorithm, how it learns, and the belief to begin with."""
        raise NotImplementedError

    def _adopt_stream(self, stream: Stream, source: ArraySource) -> None:
        """Set the fitted attributes."""
        raise NotImplementedError
