"""What every fitted mixture estimator does with rows: label them, weigh them, score them, and draw more."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura.assess.criteria import criteria
from mixtura.data.array import ArraySource
from mixtura.data.arrow import as_table
from mixtura.estimators.inputs import as_source
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState
from mixtura.model.mixture import Mixture


class Belief(Protocol):
    """What is believed of a mixture, as far as rows are concerned: a point, a posterior, draws."""

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable label of each row, ``(N,)``."""

    def responsibilities(self, X: ArrayLike) -> Array:
        """Posterior probabilities of the labels, ``(N, K)``."""

    def log_pdf(self, X: ArrayLike) -> Array:
        """Log density of each row, ``(N,)``."""


class FittedMixture(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin):
    """The methods of an estimator that has ``mixture_`` once it is fitted."""

    random_state: RandomState

    @property
    def mixture_(self) -> Mixture:
        """The fitted mixture."""
        raise NotImplementedError

    @property
    def _belief(self) -> Belief:
        """What labels and scores rows: the mixture, or a posterior of it."""
        return self.mixture_

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Estimate the mixture."""
        raise NotImplementedError

    def fit_predict(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> NDArray[np.int64]:
        """Estimate the mixture and label the rows: the same as ``fit(X).predict(X)``.

        Parameters
        ----------
        X : (N, D) array-like
        y : ignored
        sample_weight : (N,) array-like, optional

        Returns
        -------
        (N,) int64 array
        """
        return self.fit(X, y, sample_weight=sample_weight).predict(X)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable component of each row.

        Parameters
        ----------
        X : (N, D) array-like

        Returns
        -------
        (N,) int64 array
        """
        rows = self._rows(X)
        return self._belief.predict(rows)

    def predict_proba(self, X: ArrayLike) -> Array:
        """Posterior probability of each component for each row (responsibilities).

        Parameters
        ----------
        X : (N, D) array-like

        Returns
        -------
        (N, K) array
            Rows sum to one.
        """
        rows = self._rows(X)
        return self._belief.responsibilities(rows).astype(rows.dtype, copy=False)

    def transform(self, X: ArrayLike) -> Array:
        """The rows as responsibilities, so that the mixture can feed another estimator: the same as ``predict_proba``.

        Parameters
        ----------
        X : (N, D) array-like

        Returns
        -------
        (N, K) array
        """
        return self.predict_proba(X)

    def score_samples(self, X: ArrayLike) -> Array:
        """Log density of each row.

        Parameters
        ----------
        X : (N, D) array-like

        Returns
        -------
        (N,) array
        """
        rows = self._rows(X)
        return self._belief.log_pdf(rows).astype(rows.dtype, copy=False)

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log density, weighted where weights are given.

        Parameters
        ----------
        X : (N, D) array-like
        y : ignored
        sample_weight : (N,) array-like, optional

        Returns
        -------
        float
        """
        rows = self._rows(X)
        source, _ = as_source(rows, sample_weight, 1)
        return float(np.average(self._belief.log_pdf(source.rows), weights=source.weights))

    def bic(self, X: ArrayLike) -> float:
        """Bayesian information criterion, ``−2ℓ + p log N``: lower is better.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return criteria(self.mixture_, ArraySource(self._rows(X))).bic

    def aic(self, X: ArrayLike) -> float:
        """Akaike's information criterion, ``−2ℓ + 2p``: lower is better.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return criteria(self.mixture_, ArraySource(self._rows(X))).aic

    def icl(self, X: ArrayLike) -> float:
        """Integrated completed likelihood criterion: ``bic`` plus a price on overlap; lower is better.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return criteria(self.mixture_, ArraySource(self._rows(X))).icl

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> tuple[Array, NDArray[np.int64]]:
        """Draw points from the fitted mixture: first the label, then the point.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : None, int, RandomState or Generator
            ``None`` uses the estimator's own, so an integer seed there gives the same draw at each call, as in scikit-learn.

        Returns
        -------
        X : (n_samples, D) array
        labels : (n_samples,) int64 array
        """
        mixture = self.mixture_
        return mixture.sample(n_samples, self.random_state if random_state is None else random_state)

    def _rows(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        return validate_data(self, as_table(X), dtype=[np.float64, np.float32], reset=False)

    @property
    def _n_features_out(self) -> int:
        return self.mixture_.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
