"""What every fitted mixture estimator does with rows: label them, weigh them, score them, and draw more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura.assess.choice.criteria import criteria
from mixtura.data.dask import is_collection, lazily, names_of
from mixtura.data.scanning import as_scanned
from mixtura.data.source import Source
from mixtura.estimators.inputs import as_rows, check_columns, covariances_from_precisions, entered
from mixtura.estimators.record import Belief, Record
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState
from mixtura.ground.threads import single_threaded_blas
from mixtura.model.covariance import CovarianceStructure, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.sweep import mean_log_density

PARTS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
"""Attributes that stand for the fitted mixture, in scikit-learn's shapes."""


class Known(NamedTuple):
    """The mixture that ``PARTS`` stand for, copies of them as they were then, and whether nobody has changed them since the fit."""

    mixture: Mixture
    parts: dict[str, Array]
    as_fitted: bool


def parts_of(mixture: Mixture, dtype: DTypeLike) -> dict[str, Any]:
    """The attributes with which an estimator predicts like a mixture."""
    arrays = (mixture.weights, mixture.means, mixture.covariances, mixture.precisions, mixture.precision_factors)
    parts = {name: np.array(array, dtype=dtype) for name, array in zip(PARTS, arrays, strict=True)}
    return {**parts, "_known_": Known(mixture, {name: part.copy() for name, part in parts.items()}, True)}


@contextmanager
def kept_whole(estimator: BaseEstimator) -> Iterator[None]:
    """While an estimator learns: where that fails, all of its attributes are as before.

    BLAS uses one thread meanwhile, beside those of the passes: last digits do not say how many there were.
    """
    before, errors = dict(vars(estimator)), np.geterr()
    try:
        with single_threaded_blas(), np.errstate(under="ignore"):
            yield
    except BaseException:
        np.seterr(**errors)  # an interruption can come when a context has been entered and nothing yet would leave it
        for name in vars(estimator).keys() - before.keys():
            del vars(estimator)[name]
        vars(estimator).update(before)
        raise


@contextmanager
def replaced_fit(estimator: BaseEstimator) -> Iterator[None]:
    """Take away all that the last fit has left; where the new one fails, put it back."""
    with kept_whole(estimator):
        for name in [name for name in vars(estimator) if name.endswith("_") and name[:2] != "__"]:
            del vars(estimator)[name]
        yield


class FittedMixture(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin):
    """The methods of an estimator that has ``mixture_`` once it is fitted."""

    random_state: RandomState
    covariance_type: Any
    record_: Any
    _known_: Known
    fit: Any

    @property
    def mixture_(self) -> Mixture:
        """The fitted mixture; it follows ``weights_``, ``means_`` and the covariances or precisions when those are changed by hand."""
        return self._followed().mixture

    def _followed(self) -> Known:
        """What the fitted arrays stand for as they are now."""
        check_is_fitted(self, list(PARTS[:3]))
        known: Known | None = vars(self).get("_known_")
        parts = {name: np.asarray(vars(self)[name]) for name in PARTS if name in vars(self)}
        changed = [
            name for name in parts if known is None or not np.array_equal(parts[name], known.parts.get(name, ()))
        ]
        if known is None or changed:
            mixture = _from_parts(parts, changed, covariance_structure(self.covariance_type, parts["means_"].shape[-1]))
            names = getattr(self, "feature_names_in_", None)
            follows = parts_of(mixture.with_feature_names(names), parts["means_"].dtype)
            self.__dict__.update({name: part for name, part in follows.items() if name not in changed})
            copies = {name: np.array(vars(self)[name]) for name in PARTS}
            known = self._known_ = Known(follows["_known_"].mixture, copies, False)
        return known

    @property
    def _belief(self) -> Belief:
        """What labels and scores rows; whoever changed the arrays means the mixture of these, and not what is believed around it."""
        known, record = self._followed(), vars(self).get("record_")
        return known.mixture if record is None or not known.as_fitted else record.belief

    def _take(self, record: Record, dtype: DTypeLike) -> None:
        """Take a record for the fit, of rows of that type."""
        self.record_ = record
        named = record.mixture.with_feature_names(getattr(self, "feature_names_in_", None))
        self.__dict__.update(parts_of(named, dtype))

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
            Of rows that are scanned, an iterator of such for some rows after others; on a cluster, a Dask array.
        """
        return self._row_wise(X, lambda belief, rows: belief.predict(rows))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Posterior probability of each component for each row (responsibilities).

        Parameters
        ----------
        X : (N, D) array-like

        Returns
        -------
        (N, K) array
            Rows sum to one. Of rows that are scanned, an iterator of such for some rows after others; on a cluster, a Dask
            array.
        """
        return self._row_wise(X, lambda belief, rows: belief.responsibilities(rows).astype(rows.dtype, copy=False))

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
            Of rows that are scanned, an iterator of such for some rows after others; on a cluster, a Dask array.
        """
        return self._row_wise(X, lambda belief, rows: belief.log_pdf(rows).astype(rows.dtype, copy=False))

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
        source = self._source(X, sample_weight)
        return mean_log_density(source, self._belief.log_pdf)

    def bic(self, X: ArrayLike) -> float:
        """Bayesian information criterion, ``−2ℓ + p log N``: lower is better.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return criteria(self.mixture_, self._source(X)).bic

    def aic(self, X: ArrayLike) -> float:
        """Akaike's information criterion, ``−2ℓ + 2p``: lower is better.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return criteria(self.mixture_, self._source(X)).aic

    def icl(self, X: ArrayLike) -> float:
        """Integrated completed likelihood criterion: ``bic`` plus a price on overlap; lower is better.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return criteria(self.mixture_, self._source(X)).icl

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
        return validate_data(self, as_rows(X), dtype=[np.float64, np.float32], reset=False)

    def _source(self, X: Any, sample_weight: ArrayLike | None = None) -> Source:
        """Rows like those of the fit."""
        check_is_fitted(self)
        return entered(self, X, sample_weight, 1, reset=False).source

    def _row_wise(self, X: Any, function: Callable[[Belief, Array], NDArray[Any]]) -> Any:
        """What a function of the belief says of each row; of rows that are scanned some at a time."""
        check_is_fitted(self)
        of_rows = partial(function, self._belief)
        if is_collection(X):
            check_columns(self, X.shape[1], names_of(X), reset=False)
            return lazily(X, of_rows)
        scanned = as_scanned(X)
        return of_rows(self._rows(X)) if scanned is None else self._source(scanned).row_wise(of_rows)

    @property
    def _n_features_out(self) -> int:
        return self.mixture_.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _from_parts(parts: dict[str, Array], changed: list[str], structure: CovarianceStructure) -> Mixture:
    """The mixture that the fitted arrays stand for; of covariances and precisions those count that were changed."""
    weights, means = parts["weights_"].astype(float), parts["means_"]
    n_components, n_features = means.shape
    if abs(weights.sum() - 1) < 1e-5:  # as far as single precision goes
        weights = weights / weights.sum()
    covariances = parts["covariances_"]
    if "covariances_" not in changed:
        if "precisions_cholesky_" in changed:
            precisions = structure.precisions(parts["precisions_cholesky_"].astype(float))
            covariances = covariances_from_precisions(
                precisions, structure, n_components, n_features, "precisions_cholesky_"
            )
        elif "precisions_" in changed:
            precisions = parts["precisions_"]
            covariances = covariances_from_precisions(precisions, structure, n_components, n_features, "precisions_")
    return Mixture(weights, means, covariances, structure)
