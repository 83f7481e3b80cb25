"""How much wider a posterior is than coordinate-ascent variational Bayes believes: covariances by linear response.

Variational Bayes takes labels and parameters for independent. Its means are good, but its covariance ``V`` is that of rows whose labels
are known. A nudge to one parameter, though, moves the labels, and they move the other parameters; the answer to such nudges, a derivative
of the fixed point, is the better covariance

    V (I − F V)⁻¹ = (V⁻¹ − F)⁻¹

with ``F`` the change of the moments when the scores of components change: the information that is missing with the labels, as in Louis's
formula for maximum likelihood. Source: Giordano, Broderick and Jordan (2015), "Linear response methods for accurate covariance estimates
from mean field variational Bayes".

Everything is in the unconstrained coordinates of ``model/coordinates.py``, and comes back to weights, means and covariances by the
delta method. The score of a component, ``ln π + ½ ln|Λ| − ½ (x − μ)ᵀ Λ (x − μ)``, is linear in 1, ``y`` and ``y yᵀ − I`` for whitened
residuals ``y``, and under the belief its coefficients are uncorrelated, but for the constants.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mixtura.assess.uncertainty.information import FARTHEST, jacobian
from mixtura.assess.uncertainty.standard_errors import StandardErrors
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, read_only
from mixtura.model.coordinates import Coordinates
from mixtura.model.laws.posterior import Posterior
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sweep

NUMBERS = 2**22
"""Numbers in the coefficients of directions that are swept together."""


class Response(NamedTuple):
    """How ``p`` coordinates of the belief answer.

    Attributes
    ----------
    coordinates : Coordinates
        About the plug-in point.
    own : (p, p) array
        Root ``C`` of the covariance that the belief has by itself, ``V = C Cᵀ``.
    widened : (p, p) array
        Root of the covariance by linear response.
    """

    coordinates: Coordinates
    own: Array
    widened: Array


def linear_response(posterior: Posterior, source: Source) -> StandardErrors:
    """Standard deviations of a variational posterior, the dependence of labels and parameters included.

    To first order in the spread of the parameters: for components of a dozen rows or more. Prune empty ones first.

    Parameters
    ----------
    posterior : Posterior
        At a maximum of the bound; Dirichlet or stick-breaking weights.
    source : Source
        The rows and weights that it was fitted to.

    Raises
    ------
    InvalidParameterError
        If the posterior is not at a maximum of the bound for these rows.

    Examples
    --------
    Of a single component nothing is missing, and the deviations are those of the posterior:

    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.uncertainty.linear_response import linear_response
    >>> from mixtura.data.array import ArraySource
    >>> X = np.random.default_rng(0).normal(size=(1000, 1))
    >>> posterior = mx.BayesianGaussianMixture(1).fit(X).posterior_
    >>> found = linear_response(posterior, ArraySource(X))
    >>> np.allclose(found.means, X.std() / np.sqrt(1000), rtol=1e-2)
    True
    """
    about, _, widened = respond(posterior, source)
    deviations = jacobian(about) @ widened
    read_only(deviations)
    return StandardErrors(posterior.mixture, "linear response", deviations)


def respond(posterior: Posterior, source: Source) -> Response:
    """The answer in coordinates: one visit of the data for all directions that fit in memory together, and one for the check.

    Parameters
    ----------
    posterior : Posterior
    source : Source
    """
    about = Coordinates(posterior.mixture, posterior.mean_precisions)
    with Sweep(source) as sweep:
        (swept,) = sweep([posterior.scorer])
        missing = _missing_information(sweep, posterior.scorer, about)
    own = _root_of_own_covariance(posterior)
    rates, vectors = np.linalg.eigh(own.T @ missing @ own)
    if not rates[-1] < 1:
        raise InvalidParameterError(
            "the posterior is not at a maximum of the bound for these rows: coordinate ascent would move away from it, "
            f"{rates[-1]:.4g} times as far with each step. Fit to convergence, from other starts, or fewer components."
        )
    updated = Posterior.from_moments(swept.moments, posterior.structure, posterior.prior, posterior.weights)
    step = np.linalg.solve(own, about.vector(updated.mixture))
    distance = float(np.linalg.norm(vectors.T @ step / np.sqrt(1 - rates)))
    if not distance <= FARTHEST:
        raise InvalidParameterError(
            f"the posterior is {distance:.2g} standard deviations away from the maximum of the bound for these rows. Fit to convergence "
            "(a smaller tol, a larger max_iter), to these rows and weights."
        )
    return Response(about, own, own @ (vectors / np.sqrt(1 - rates)))


def _missing_information(sweep: Sweep, scorer: Scorer, about: Coordinates) -> Array:
    """``F``, ``(p, p)``: the gradient is linear in the moments, so it takes their changes to its own."""
    origin, directions = np.zeros(about.size), np.eye(about.size)
    missing = np.empty((about.size, about.size))
    step = max(1, NUMBERS // (scorer.centres.size * (scorer.centres.shape[1] + 1)))
    for start in range(0, about.size, step):
        several = directions[start : start + step]
        changes = sweep.along([scorer] * len(several), [about.tangent(origin, v) for v in several])
        missing[start : start + step] = [about.gradient(origin, change) for change in changes]
    return 0.5 * (missing + missing.T)


def _root_of_own_covariance(posterior: Posterior) -> Array:
    """``C`` with ``C Cᵀ`` the covariance, under the belief, of the coefficients of the scores, each in the unit of its coordinate.

    Means and blocks vary by ``1/β`` and ``1/(ν i)``, ``i`` being the information of a block's coordinate; their units are those of ``β``
    rows.
    """
    structure, precisions, n_features = posterior.structure, posterior.mean_precisions, posterior.n_features
    degrees = posterior.degrees_of_freedom
    # Of ½(ln|Λ| − tr Λ) with Λ in units of its mean, and of ½ β (μ − m)ᵀ Λ (μ − m)/β: both small, of second order.
    on_blocks = 0.25 * (structure.log_determinant_variances(degrees, n_features) - 2 * n_features / degrees)
    on_constants = on_blocks if structure.shared else np.diag(on_blocks)
    on_constants = posterior.weights.covariance_of_logs + on_constants + np.diag(0.5 * n_features / precisions**2)
    unit = np.sqrt(precisions)
    masses = precisions.sum(keepdims=True) if structure.shared else precisions
    n_coordinates = len(structure.block_information(n_features))
    others = np.concatenate([np.ones(posterior.means.size), np.repeat(np.sqrt(masses / degrees), n_coordinates)])
    root = np.diag(np.concatenate([unit, others]))
    root[: len(unit), : len(unit)] = unit[:, None] * np.linalg.cholesky(on_constants)
    return root
