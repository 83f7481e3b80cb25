"""The Gaussian mixture at known parameters: immutable, and carrying its own mathematics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array, outer, read_only
from mixtura.ground.random import RandomState, as_generator
from mixtura.ground.settings import check_integer
from mixtura.ground.text import is_encodable
from mixtura.model.covariance import CovarianceStructure, covariance_structure
from mixtura.model.covariance.structure import check_natural_shape
from mixtura.model.document import read_document, write_document
from mixtura.model.moments import Moments, rounding_variances
from mixtura.model.rows import as_rows, as_weights, by_blocks, default_names
from mixtura.model.scorer import Scorer, normalise


class Mixture:
    r"""A mixture of ``K`` Gaussians in ``D`` dimensions.

    .. math:: p(x) = \sum_k \pi_k \, N(x; \mu_k, \Sigma_k)

    Draw a label from the categorical distribution ``π``, then a point from that component's normal.

    Parameters
    ----------
    weights : (K,) array-like
        ``π``: non-negative, summing to one within 1e-8.
    means : (K, D) array-like
        ``μ``.
    covariances : array-like
        ``Σ``, in the shape that ``covariance_type`` implies: ``(K, D, D)`` for ``"full"``, ``(D, D)`` for ``"tied"``, ``(K, D)`` for
        ``"diag"``, ``(D,)`` for ``"tied_diag"``, ``(K,)`` for ``"spherical"`` and a scalar for ``"tied_spherical"``.
    covariance_type : str or CovarianceStructure
        A structure, its name, or its three-letter code.
    feature_names : sequence of str, optional
        Names of the ``D`` columns.

    Attributes
    ----------
    weights, means, covariances : read-only float64 arrays
        As given.
    structure : CovarianceStructure
        The object that ``covariance_type`` names.

    Raises
    ------
    InvalidParameterError
        If the weights are not a simplex, a covariance is not symmetric positive definite, or shapes disagree.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> m = mx.Mixture([0.25, 0.75], [[0.0], [3.0]], [[[1.0]], [[4.0]]])
    >>> x = np.array([[1.0], [2.0]])
    >>> naive = 0.25 * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi) + 0.75 * np.exp(-((x - 3) ** 2) / 8) / np.sqrt(8 * np.pi)
    >>> np.allclose(m.pdf(x), naive[:, 0], rtol=1e-14)
    True
    """

    weights: Array
    means: Array
    covariances: Array
    structure: CovarianceStructure
    feature_names: tuple[str, ...] | None

    def __init__(
        self,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        covariance_type: str | CovarianceStructure = "full",
        *,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        structure = covariance_structure(covariance_type)
        weights, means = _as_floats(weights, "weights"), _as_floats(means, "means")
        covariances = _as_floats(covariances, "covariances")
        _check_simplex(weights)
        if means.ndim != 2 or len(means) != len(weights) or means.shape[1] == 0:
            raise InvalidParameterError(
                f"means must have shape (K, D) with K = {len(weights)} as in weights; got {means.shape}."
            )
        check_natural_shape(structure, covariances, means.shape[0], means.shape[1], "covariances")
        names = _checked_names(feature_names, means.shape[1])
        factor = check_positive_definite(structure, covariances, (means.shape[0], means.shape[1]))
        read_only(weights, means, covariances, factor)
        self._set(weights, means, covariances, structure, factor)
        self.__dict__["feature_names"] = names

    def _set(
        self, weights: Array, means: Array, covariances: Array, structure: CovarianceStructure, factor: Array
    ) -> None:
        self.__dict__.update(
            weights=weights,
            means=means,
            covariances=covariances,
            structure=structure,
            feature_names=None,
            _factor=factor,
        )

    @classmethod
    def from_moments(
        cls, moments: Moments, covariance_type: str | CovarianceStructure = "full", *, reg_covar: float = 0.0
    ) -> Mixture:
        """The M-step: the mixture that is most probable for the expected moments of its components.

        Parameters
        ----------
        moments : Moments
            From ``mixtura.expected_moments``, or sums and differences of such.
        covariance_type : str, default="full"
        reg_covar : float, default=0.0
            Smallest variance.

        Raises
        ------
        InvalidParameterError
            If no mixture has such moments: a count is negative, or a covariance singular.

        Examples
        --------
        >>> import numpy as np
        >>> import mixtura as mx
        >>> one = mx.Mixture([1.0], [[0.0]], [[[1.0]]])
        >>> found = mx.Mixture.from_moments(mx.expected_moments(one, [[1.0], [3.0]]))
        >>> round(float(found.means[0, 0]), 6), round(float(found.covariances[0, 0, 0]), 6)
        (2.0, 1.0)
        """
        structure = covariance_structure(covariance_type, moments.first.shape[1])
        if moments.diagonal and not structure.diagonal:
            raise InvalidParameterError(
                f"covariance_type={structure.name!r} needs whole matrices of second moments; these are variances alone. Take the moments "
                "under a mixture with covariance_type='full'."
            )
        if not (np.isfinite(moments.count).all() and moments.count.min() >= 0 < moments.count.max()):
            raise InvalidParameterError(
                f"counts of components must not be negative, and one positive; got {moments.count.tolist()}. Subtract no more than was "
                "added."
            )
        own = moments.diagonals() if structure.diagonal else moments
        means, least = own.means(), rounding_variances(own.means())
        covariances = structure.maximise(own.scatter(), own.count, reg_covar, None)
        lost = not reg_covar and own.flat()[own.count > 0].any()
        if lost or structure.factor(covariances, least)[1].any():
            raise InvalidParameterError(
                "these moments have a singular covariance: a component holds too few rows, or equal ones. Give it a smallest variance by "
                "reg_covar."
            )
        return cls(own.count / own.count.sum(), means, covariances, structure)

    @classmethod
    def from_factor(
        cls,
        weights: Array,
        means: Array,
        covariances: Array,
        structure: CovarianceStructure,
        factor: Array,
        scorer: Scorer | None = None,
    ) -> Mixture:
        """A mixture whose parts an algorithm has just computed, factorised and made read-only: nothing is checked or copied."""
        mixture = cls.__new__(cls)
        mixture._set(weights, means, covariances, structure, factor)
        if scorer is not None:
            mixture.__dict__["scorer"] = scorer
        return mixture

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Mixture is immutable; cannot set {name!r}. Build a new one instead.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Mixture is immutable; cannot delete {name!r}.")

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (
            self.weights,
            self.means,
            self.covariances,
            self.structure.name,
            self.precision_factors,
            self.feature_names,
        )
        return (_rebuild, parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mixture):
            return NotImplemented
        return (
            self.structure is other.structure
            and self.feature_names == other.feature_names
            and np.array_equal(self.weights, other.weights)
            and np.array_equal(self.means, other.means)
            and np.array_equal(self.covariances, other.covariances)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"Mixture(n_components={self.n_components}, n_features={self.n_features}, "
            f"covariance_type={self.covariance_type!r})"
        )

    # ---- shape -----------------------------------------------------------------------------------------------------------------

    @property
    def n_components(self) -> int:
        """``K``."""
        return self.means.shape[0]

    @property
    def n_features(self) -> int:
        """``D``."""
        return self.means.shape[1]

    @property
    def covariance_type(self) -> str:
        """Name of the covariance structure."""
        return self.structure.name

    @property
    def column_names(self) -> tuple[str, ...]:
        """What the columns are called: the feature names, or ``x0``, ``x1`` … (``x`` where there is one)."""
        return self.feature_names or default_names(self.n_features)

    @property
    def n_parameters(self) -> int:
        """Free parameters: ``K − 1`` weights, ``K·D`` means, and the structure's covariances."""
        n_components, n_features = self.means.shape
        return n_components - 1 + self.means.size + self.structure.n_parameters(n_components, n_features)

    @property
    def variances(self) -> Array:
        """Variance of each feature in each component, ``(K, D)``, without forming matrices where the structure has none."""
        return self.structure.variances(self.covariances, *self.means.shape)

    @property
    def covariance_matrices(self) -> Array:
        """Covariances as matrices, ``(K, D, D)``, whatever the structure."""
        return self.structure.matrices(self.covariances, *self.means.shape)

    @property
    def precision_factors(self) -> Array:
        """``R`` with ``R Rᵀ = Σ⁻¹``, in the structure's shape (scikit-learn's ``precisions_cholesky_``)."""
        return self.__dict__["_factor"]

    @property
    def precisions(self) -> Array:
        """``Σ⁻¹`` in the structure's shape."""
        return np.asarray(self.structure.precisions(self.precision_factors))

    # ---- densities -------------------------------------------------------------------------------------------------------------

    @cached_property
    def _component_scorer(self) -> Scorer:
        return Scorer.of(np.ones_like(self.weights), self.means, self.scorer.whitening)

    @cached_property
    def scorer(self) -> Scorer:
        """The mixture in the form that travels to the data."""
        whitening = self.structure.whitening(self.precision_factors, *self.means.shape)
        return Scorer.of(self.weights, self.means, whitening)

    def component_log_pdf(self, X: ArrayLike) -> Array:
        """``log N(x_n; μ_k, Σ_k)``, shape ``(N, K)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return self._by_blocks(X, lambda rows: self._component_scorer.log_joint_of(rows).T, self.n_components)

    def log_pdf(self, X: ArrayLike) -> Array:
        """Log density ``log Σ_k π_k N(x_n; μ_k, Σ_k)``, shape ``(N,)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return self._by_blocks(X, lambda rows: normalise(self.scorer.log_joint_of(rows)))

    def pdf(self, X: ArrayLike) -> Array:
        """Density, shape ``(N,)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return np.exp(self.log_pdf(X))

    def responsibilities(self, X: ArrayLike) -> Array:
        """Posterior of the latent label by Bayes' rule, ``p(z_n = k | x_n)``, shape ``(N, K)``; rows sum to one.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return self._by_blocks(X, self._block_responsibilities, self.n_components)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable label of each row, shape ``(N,)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        labels = self._by_blocks(X, lambda rows: self._block_log_joint(rows).argmax(axis=0))
        return labels.astype(np.int64)

    def _block_responsibilities(self, rows: Array) -> Array:
        log_joint = self._block_log_joint(rows)
        normalise(log_joint)
        return log_joint.T

    def _block_log_joint(self, rows: Array) -> Array:
        """``ln π_k N(x_n | μ_k, Σ_k)``, ``(K, B)``, with a component that takes all of a row where every density is zero."""
        log_joint = self.scorer.log_joint_of(rows)
        lost = ~np.isfinite(log_joint.max(axis=0))
        if lost.any():
            log_joint[:, lost] = np.where(self._nearest(rows[lost]), 0.0, -np.inf)
        return log_joint

    def _nearest(self, rows: Array) -> NDArray[np.bool_]:
        """Which component is nearest, ``(K, B)``, to rows so far away that no density can be told from zero: it takes all."""
        scorer = self.scorer
        unit = max(np.abs(rows).max(), np.abs(scorer.centres).max())
        scaled = Scorer(scorer.constants, scorer.centres / unit, scorer.whitening / np.abs(scorer.whitening).max())
        squares = np.square(scaled.whitened(scaled.residuals(rows / unit))).sum(axis=2)
        distances = np.where(self.weights[:, None] > 0, squares, np.inf)
        return distances == distances.min(axis=0)

    # ---- likelihoods -----------------------------------------------------------------------------------------------------------

    def log_likelihood(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Incomplete-data log-likelihood ``Σ_n w_n log p(x_n)``.

        Parameters
        ----------
        X : (N, D) array-like
        sample_weight : (N,) array-like, optional
        """
        log_pdf = self.log_pdf(X)
        if sample_weight is None:
            return float(log_pdf.sum())
        weights = as_weights(sample_weight, len(log_pdf))
        return float(weights @ np.where(weights > 0, log_pdf, 0.0))

    def complete_log_likelihood(self, X: ArrayLike, labels: ArrayLike) -> float:
        """``Σ_n log π_{z_n} N(x_n; μ_{z_n}, Σ_{z_n})`` for given labels.

        Parameters
        ----------
        X : (N, D) array-like
        labels : (N,) integer array-like
            Values ``0 … K−1``.
        """
        log_joint = self._log_joint_rows(X)
        indices = np.asarray(labels)
        if indices.shape != (len(log_joint),) or indices.dtype.kind not in "iu":
            raise DataError(
                f"labels must be {len(log_joint)} integers; got shape {indices.shape}, dtype {indices.dtype}."
            )
        if len(indices) and not (indices.min() >= 0 and indices.max() < self.n_components):
            raise DataError(
                f"labels must lie in 0 … {self.n_components - 1}; found {indices.min()} to {indices.max()}."
            )
        return float(log_joint[np.arange(len(log_joint)), indices].sum())

    def expected_complete_log_likelihood(self, X: ArrayLike, responsibilities: ArrayLike) -> float:
        """``Q = Σ_n Σ_k r_nk log π_k N(x_n; μ_k, Σ_k)`` for given responsibilities.

        With the mixture's own responsibilities, ``Q`` plus their entropy is the log-likelihood: the lower bound touches.

        Parameters
        ----------
        X : (N, D) array-like
        responsibilities : (N, K) array-like
            Non-negative, rows summing to one.

        Examples
        --------
        >>> import numpy as np
        >>> import mixtura as mx
        >>> m = mx.Mixture([0.4, 0.6], [[0.0], [2.0]], [1.0, 2.0], "spherical")
        >>> X, _ = m.sample(50, random_state=0)
        >>> r = m.responsibilities(X)
        >>> entropy = -(r * np.log(r)).sum()
        >>> bool(np.isclose(m.expected_complete_log_likelihood(X, r) + entropy, m.log_likelihood(X), rtol=1e-13))
        True
        """
        log_joint = self._log_joint_rows(X)
        r = check_responsibilities(responsibilities, *log_joint.shape)
        return float((r * np.where(r > 0, log_joint, 0.0)).sum())

    def _log_joint_rows(self, X: ArrayLike) -> Array:
        return self._by_blocks(X, lambda rows: self.scorer.log_joint_of(rows).T, self.n_components)

    # ---- draws, order, files ---------------------------------------------------------------------------------------------------

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> tuple[Array, NDArray[np.int64]]:
        """Draw as the model says: the label from the categorical distribution, then the point from that component.

        Parameters
        ----------
        n_samples : int
        random_state : None, int, numpy Generator or RandomState

        Returns
        -------
        X : (n_samples, D) array
        labels : (n_samples,) int64 array

        Examples
        --------
        >>> import mixtura as mx
        >>> m = mx.Mixture([0.5, 0.5], [[-9.0], [9.0]], [1.0, 1.0], "spherical")
        >>> X, labels = m.sample(100, random_state=1)
        >>> bool(((X[:, 0] > 0) == (labels == 1)).all())
        True
        """
        check_integer(n_samples, "n_samples", 1)
        rng = as_generator(random_state)
        labels = rng.choice(self.n_components, size=n_samples, p=self.weights / self.weights.sum())
        draws = rng.standard_normal((n_samples, self.n_features))
        if self.structure.diagonal:
            draws *= np.sqrt(self.variances)[labels]
        else:
            factors = np.linalg.cholesky(self.covariance_matrices)
            for k in range(self.n_components):
                draws[labels == k] = draws[labels == k] @ factors[k].T
        return draws + self.means[labels], labels.astype(np.int64)

    def reorder(self, order: Sequence[int] | NDArray[np.intp]) -> Mixture:
        """The same mixture with its components listed in another order.

        Parameters
        ----------
        order : permutation of ``0 … K−1``
            ``order[i]`` is the old place of the component that comes ``i``-th.
        """
        indices = np.asarray(order)
        if (
            indices.ndim != 1
            or indices.dtype.kind not in "iu"
            or not np.array_equal(np.sort(indices), np.arange(self.n_components))
        ):
            raise InvalidParameterError(f"order must be a permutation of 0 … {self.n_components - 1}; got {order!r}.")
        return Mixture(
            self.weights[indices],
            self.means[indices],
            self.structure.reorder(self.covariances, indices),
            self.structure,
            feature_names=self.feature_names,
        )

    def with_feature_names(self, feature_names: Sequence[str] | None) -> Mixture:
        """The same mixture with its columns named."""
        parts = (self.weights, self.means, self.covariances)
        named = Mixture.from_factor(*parts, self.structure, self.precision_factors, self.scorer)
        named.__dict__["feature_names"] = _checked_names(feature_names, self.n_features)
        return named

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mixture as a JSON model file: every float exact, the file replaced whole or not at all.

        Parameters
        ----------
        path : path-like
        """
        write_document(path, self)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Mixture:
        """Read a mixture from a JSON model file.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        ModelFileError
            If the file is damaged, foreign, or of a newer version.
        """
        return read_document(path, Mixture).mixture

    # ---- blocks ----------------------------------------------------------------------------------------------------------------

    def _by_blocks(self, X: ArrayLike, function: Callable[[Array], Array], *shape: int) -> Array:
        return by_blocks(as_rows(X, self.n_features), self.scorer.block_rows(), function, *shape)


def _checked_names(names: Sequence[str] | None, n_features: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    listed = None if isinstance(names, str) or not isinstance(names, Iterable) else tuple(map(str, names))
    if listed is None or len(listed) != n_features:
        got = repr(names) if listed is None else f"{len(listed)}: {listed}"
        raise InvalidParameterError(f"feature_names must name {n_features} columns; got {got}.")
    for name in listed:
        if not is_encodable(name):
            raise InvalidParameterError(
                f"feature_names must be Unicode text; {name!r} is not: it cannot be written as UTF-8."
            )
    return listed


def _rebuild(
    weights: Array, means: Array, covariances: Array, name: str, factor: Array, names: tuple[str, ...] | None
) -> Mixture:
    """A mixture from its parts, to the last bit."""
    structure = covariance_structure(name)
    read_only(weights, means, covariances, factor)
    scorer = Scorer.of(weights, means, structure.whitening(factor, *means.shape))
    return Mixture.from_factor(weights, means, covariances, structure, factor, scorer).with_feature_names(names)


def _as_floats(values: ArrayLike, what: str) -> Array:
    try:
        if np.iscomplexobj(values):
            raise TypeError("got complex ones")
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidParameterError(f"{what} must be an array of numbers; {error}.") from error
    if not np.isfinite(array).all():
        raise InvalidParameterError(f"{what} must be finite; got {array[~np.isfinite(array)][0]}.")
    return array


def _check_simplex(weights: Array) -> None:
    if weights.ndim != 1 or not len(weights):
        raise InvalidParameterError(f"weights must have shape (K,) with K ≥ 1; got {weights.shape}.")
    if (weights < 0).any():
        raise InvalidParameterError(f"weights must not be negative; component {weights.argmin()} has {weights.min()}.")
    if abs(weights.sum() - 1) > 1e-8:
        raise InvalidParameterError(f"weights must sum to 1; they sum to {float(weights.sum())!r}. Divide by the sum.")


def check_positive_definite(
    structure: CovarianceStructure, covariances: Array, shape: tuple[int, int], what: str = "covariances"
) -> Array:
    """The structure's precision factor of given covariances, or an error that names the component that has none.

    ``shape`` is ``(K, D)``.
    """
    if not structure.diagonal:
        deviations = np.sqrt(np.abs(np.diagonal(covariances, axis1=-2, axis2=-1)))
        asymmetry = np.abs(covariances - covariances.swapaxes(-1, -2))
        if (asymmetry > 1e-8 * outer(deviations)).any():
            raise InvalidParameterError(f"{what} must be symmetric matrices; one differs by {asymmetry.max():.3g}.")
    factor, singular = structure.factor(covariances, np.zeros(shape))
    if singular.any():
        k = int(singular.argmax())
        smallest = (
            structure.variances(covariances, *shape)[k].min()
            if structure.diagonal
            else np.linalg.eigvalsh(structure.matrices(covariances, *shape)[k])[0]
        )
        raise InvalidParameterError(
            f"{what} must be positive definite; component {k} has a smallest eigenvalue of {smallest:.3g}. "
            "Remove redundant columns or add to its diagonal."
        )
    return factor


def check_responsibilities(
    responsibilities: ArrayLike, n_rows: int, n_components: int, what: str = "responsibilities"
) -> Array:
    """Responsibilities as a float array, or an error: shape ``(N, K)``, non-negative, rows summing to one."""
    try:
        r = np.asarray(responsibilities, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} must be real numbers; {error}.") from error
    if r.shape != (n_rows, n_components):
        raise DataError(f"{what} must have shape ({n_rows}, {n_components}); got {r.shape}.")
    if not np.isfinite(r).all() or (r < 0).any() or (np.abs(r.sum(axis=1) - 1) > 1e-8).any():
        raise DataError(f"{what} must be non-negative and each row must sum to 1.")
    return r
