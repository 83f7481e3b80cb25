"""How well a fit is known: standard errors and intervals of weights, means and covariances.

Three ways, all of which need a fit that is a maximum of the plain likelihood:

- ``observed``: the inverse of the observed information ``J`` (minus the Hessian). Right if the model is.
- ``sandwich``: ``J⁻¹ (Σ_n w_n² s_n s_nᵀ) J⁻¹`` with the scores ``s_n`` of the rows. Right also where the model is an approximation: Huber
  (1967); White (1982), "Maximum likelihood estimation of misspecified models".
- ``bootstrap``: the spread of refits under random row weights, Newton and Raftery's (1994) weighted-likelihood bootstrap. It tends to the
  sandwich in large samples and needs no curvature in small ones.

The first counts a row of weight two as two rows. The others take rows as drawn independently, each with the weight it carries.

Both local ways work in unconstrained coordinates and come back by the delta method: all three end as a matrix of *deviations* ``V``
whose product ``V Vᵀ`` is the covariance of the estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtri

from mixtura.assess.uncertainty.information import flattened, information, jacobian
from mixtura.assess.uncertainty.replicates import bootstrap
from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.ground.errors import CollapseError, InvalidParameterError
from mixtura.ground.linalg import Array, read_only
from mixtura.ground.random import RandomState, as_generator
from mixtura.ground.settings import check_integer
from mixtura.model.mixture import Mixture
from mixtura.model.parameters import Interval, Parameters, central
from mixtura.model.rows import carrying_rows
from mixtura.sweep.row_scores import spread_of_scores

METHODS = ("observed", "sandwich", "bootstrap")


@dataclass(frozen=True, eq=False)
class StandardErrors:
    """Standard errors of a fitted mixture's parameters.

    Attributes
    ----------
    mixture : Mixture
        The estimate.
    method : {"observed", "sandwich", "bootstrap", "linear response"}
    deviations : (P, R) array
        ``V`` with ``V Vᵀ`` the covariance of the ``P`` numbers in weights, means and covariances, flattened, one after another.
    n_replicates : int
        Bootstrap replicates that count; none for the other methods.
    n_dropped : int
        Those that do not, because a component collapsed or they did not converge.
    """

    mixture: Mixture
    method: str
    deviations: Array
    n_replicates: int = 0
    n_dropped: int = 0

    @property
    def weights(self) -> Array:
        """Of the weights, ``(K,)``."""
        return self._parameters.weights

    @property
    def means(self) -> Array:
        """Of the means, ``(K, D)``."""
        return self._parameters.means

    @property
    def covariances(self) -> Array:
        """Of the covariances, in the shape of the structure."""
        return self._parameters.covariances

    @property
    def covariance(self) -> Array:
        """Covariance matrix of all estimates, ``(P, P)``, in the order of ``deviations``; singular, as weights sum to one.

        By the delta method, a function of the parameters with gradient ``g`` has the standard error ``√(gᵀ covariance g)``.
        """
        return self.deviations @ self.deviations.T

    def interval(self, level: float = 0.95) -> Interval:
        """Intervals that cover each parameter with the given probability in large samples.

        Symmetric about the estimate on the scale of logits for weights, of logarithms for variances, and as they are for means and
        covariances between features; so none leaves the range of its parameter.

        Parameters
        ----------
        level : float
            Between 0 and 1.
        """
        width = float(ndtri(central(level)[1]))
        return Interval(self._moved(-width), self._moved(width))

    def _moved(self, by: float) -> Parameters:
        """The estimate moved by so many standard errors, on the scale of each parameter."""
        m = self.mixture
        free = (m.weights > 0) & (m.weights < 1)
        inside = np.where(free, m.weights, 0.5)
        weights = expit(logit(inside) + by * self.weights / (inside * (1 - inside)))
        variances = _is_variance(m)
        positive = np.where(variances, m.covariances, 1.0)
        scaled = positive * np.exp(by * self.covariances / positive)
        covariances = np.where(variances, scaled, m.covariances + by * self.covariances)
        return Parameters(np.where(free, weights, m.weights), m.means + by * self.means, covariances)

    @property
    def _parameters(self) -> Parameters:
        errors, m = np.sqrt(np.einsum("ij,ij->i", self.deviations, self.deviations)), self.mixture
        weights, means, covariances = np.split(errors, [m.n_components, m.n_components + m.means.size])
        return Parameters(weights, means.reshape(m.means.shape), covariances.reshape(m.covariances.shape))


def standard_errors(
    mixture: Mixture,
    X: ArrayLike | Source,
    sample_weight: ArrayLike | None = None,
    *,
    method: str = "observed",
    n_replicates: int = 200,
    random_state: RandomState = None,
) -> StandardErrors:
    """Standard errors of a mixture fitted by maximum likelihood.

    Parameters
    ----------
    mixture : Mixture
        The fit.
    X : (N, D) array-like, or Source
        The rows that it was fitted to.
    sample_weight : (N,) array-like, optional
        Their weights in that fit; a source has its own.
    method : {"observed", "sandwich", "bootstrap"}
    n_replicates : int
        Of the bootstrap.
    random_state : None, int, numpy Generator or RandomState
        For the bootstrap.

    Raises
    ------
    InvalidParameterError
        If the mixture is not at a maximum (``observed`` and ``sandwich``), or a parameter is not what it should be.
    CollapseError
        If fewer than two replicates of the bootstrap came to an end.

    Examples
    --------
    A single normal has textbook answers:

    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.uncertainty.standard_errors import standard_errors
    >>> x = np.random.default_rng(0).normal(size=(100, 1))
    >>> one = mx.Mixture([1.0], [x.mean(axis=0)], [x.var()], "spherical")
    >>> found = standard_errors(one, x)
    >>> np.allclose(found.means, x.std() / 10), np.allclose(found.covariances, x.var() * np.sqrt(2 / 100))
    (True, True)
    >>> lower, upper = found.interval()
    >>> np.allclose(lower.means, x.mean() - 1.959964 * x.std() / 10)
    True
    """
    if method not in METHODS:
        raise InvalidParameterError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    source = X if isinstance(X, Source) else ArraySource(*carrying_rows(X, sample_weight, mixture.n_features))
    source.check_squares_representable()
    if method == "bootstrap":
        if not isinstance(source, ArraySource):
            raise InvalidParameterError(
                "method='bootstrap' gives each row weights of its own, and so rows have to be in memory. Use method='sandwich', to "
                "which it tends where rows are many."
            )
        return _from_replicates(mixture, source, n_replicates, random_state)
    found = information(mixture, source)
    root = found.inverse_root()
    deviations = jacobian(found.coordinates) @ root
    if method == "sandwich":
        deviations = deviations @ root.T @ _root(spread_of_scores(found.coordinates, source))
    read_only(deviations)
    return StandardErrors(mixture, method, deviations)


def _from_replicates(
    mixture: Mixture, source: ArraySource, n_replicates: int, random_state: RandomState
) -> StandardErrors:
    check_integer(n_replicates, "n_replicates", 2)
    replicates = bootstrap(mixture, source, int(n_replicates), as_generator(random_state))
    if len(replicates) < 2:
        raise CollapseError(
            f"{n_replicates - len(replicates)} of {n_replicates} bootstrap replicates collapsed or did not converge. "
            "Fit fewer components, or use method='sandwich'."
        )
    estimates = np.array([flattened(replicate) for replicate in replicates])
    deviations = (estimates - estimates.mean(axis=0)).T / np.sqrt(len(estimates) - 1)
    read_only(deviations)
    return StandardErrors(mixture, "bootstrap", deviations, len(replicates), int(n_replicates) - len(replicates))


def _root(matrix: Array) -> Array:
    """``V`` with ``V Vᵀ`` a matrix that may be singular."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(eigenvalues, 0.0))


def _is_variance(mixture: Mixture) -> NDArray[np.bool_]:
    """Which entries of the covariances are variances."""
    shape = mixture.covariances.shape
    return np.ones(shape, bool) if mixture.structure.diagonal else np.broadcast_to(np.eye(shape[-1], dtype=bool), shape)
