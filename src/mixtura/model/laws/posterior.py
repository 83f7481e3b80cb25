"""A conjugate posterior of a mixture: what variational inference believes instead of a point.

Means and precisions follow a normal–Wishart law (normal–gamma where covariances are diagonal or round; one law of the precision where
components share it), weights a Dirichlet or a stick-breaking law. It compiles to a scorer of the same form as a point, so the same sweep
serves both. Source: Bishop (2006), "Pattern recognition and machine learning", section 10.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, outer, read_only
from mixtura.ground.random import RandomState, as_generator
from mixtura.ground.settings import check_integer
from mixtura.ground.special import LARGEST, log_ratio, student_quantiles
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.weights import WeightPosterior
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.parameters import Interval, Parameters, central
from mixtura.model.rows import as_rows, by_blocks
from mixtura.model.scorer import LOG_2_PI, Scorer, normalise

LEAST_CONSTANT = -1e15
"""In a score. A component with this is given no row, as with less; what a sweep in float32 puts right is in proportion to it."""


class Drawn(NamedTuple):
    """``S`` draws of ``K`` components with ``G`` covariance blocks each: log weights, means and roots of the blocks."""

    log_weights: Array
    means: Array
    roots: Array


@dataclass(frozen=True, eq=False)
class Posterior:
    """The belief about a mixture of ``K`` components in ``D`` dimensions.

    Attributes
    ----------
    structure : SharedBlocks
    prior : NormalInverseWishart
        Of means and covariances: ``Λ ~ Wishart(Ψ₀⁻¹, ν₀)``, ``μ | Λ ~ N(m₀, (κ₀ Λ)⁻¹)``.
    weights : WeightPosterior
    means : (K, D) array
        ``m``.
    mean_precisions : (K,) array
        ``β``: ``μ_k | Λ_k ~ N(m_k, (β_k Λ_k)⁻¹)``.
    scales : array
        ``Ψ`` (natural array): ``Λ ~ Wishart(Ψ⁻¹, ν)``, variances ``ψ`` where covariances are diagonal or round.
    degrees_of_freedom : (K,) array, or (1,) where one covariance is shared
        ``ν``.
    """

    structure: SharedBlocks
    prior: NormalInverseWishart
    weights: WeightPosterior
    means: Array
    mean_precisions: Array
    scales: Array
    degrees_of_freedom: Array

    @classmethod
    def from_moments(
        cls, moments: Moments, structure: SharedBlocks, prior: NormalInverseWishart, weights: WeightPosterior
    ) -> Posterior:
        """The conjugate update: prior and moments to posterior. Components without rows fall back to the prior."""
        counts = moments.count
        at_least = np.maximum(counts, np.finfo(np.float64).tiny)
        offsets = moments.first / at_least[:, None]
        own = Moments(at_least, moments.first, moments.second, moments.origin)
        scatter = own.scatter() + prior.shrinkage_scatter(counts, moments.origin + offsets, moments.diagonal)
        degrees = counts
        if structure.shared:
            scatter, degrees = scatter.sum(axis=0, keepdims=True), counts.sum(keepdims=True)
        possible = np.maximum(scatter, 0.0) if moments.diagonal else _possible(scatter)
        scales, factors = structure.factored_scales(structure.prior_block(prior.scale) + structure.block_sums(possible))
        means = prior.posterior_means(counts, moments.origin + offsets)
        of_means, of_scales = prior.mean_precision + counts, prior.degrees_of_freedom + degrees
        natural = np.asarray(structure.as_natural(scales))
        return cls.from_factors(structure, prior, weights.updated(counts), means, of_means, natural, of_scales, factors)

    @classmethod
    def from_factors(
        cls,
        structure: SharedBlocks,
        prior: NormalInverseWishart,
        weights: WeightPosterior,
        means: Array,
        mean_precisions: Array,
        scales: Array,
        degrees_of_freedom: Array,
        factors: Array,
    ) -> Posterior:
        """The posterior whose blocks have scales with these ``factors``; its arrays are made read-only."""
        read_only(means, mean_precisions, scales, degrees_of_freedom, factors)
        posterior = cls(structure, prior, weights, means, mean_precisions, scales, degrees_of_freedom)
        posterior.__dict__["factors"] = factors
        return posterior

    @property
    def before(self) -> Posterior:
        """The belief before any row was seen: the prior, in the same form."""
        second = (self.n_components, *self.means.shape[1:] * (1 if self.structure.diagonal else 2))
        nothing = Moments(np.zeros(self.n_components), np.zeros(self.means.shape), np.zeros(second), self.means)
        return Posterior.from_moments(nothing, self.structure, self.prior, self.weights)

    # ---- expectations ----------------------------------------------------------------------------------------------------------

    @property
    def n_components(self) -> int:
        """``K``."""
        return self.means.shape[0]

    @property
    def n_features(self) -> int:
        """``D``."""
        return self.means.shape[1]

    @cached_property
    def mixture(self) -> Mixture:
        """The plug-in point: expected weights, expected means, and the inverses of expected precisions, ``Ψ/ν``."""
        blocks = self.structure.as_blocks(self.scales)
        covariances = self.structure.as_natural(blocks / self._degrees_of(blocks))
        return Mixture(self.weights.expectations, self.means, covariances, self.structure)

    @cached_property
    def scorer(self) -> Scorer:
        """``E ln π_k + ½ E ln|Λ_k| − D/(2β_k) − (D/2) ln 2π − ½ ν (x − m)ᵀ Ψ⁻¹ (x − m)``, in the form that travels to the data."""
        constants = self.weights.expected_logs + 0.5 * self._per_component(self._expected_log_determinants)
        constants = constants - 0.5 * self.n_features * (LOG_2_PI + 1 / self.mean_precisions)
        constants = np.maximum(constants, LEAST_CONSTANT)
        whitening = self._whitening
        read_only(constants, whitening)
        return Scorer(constants, self.means, whitening)

    @cached_property
    def factors(self) -> Array:
        """``R`` with ``R Rᵀ = Ψ⁻¹`` of each block."""
        return self.structure.factored_scales(self.structure.as_blocks(self.scales))[1]

    @property
    def _whitening(self) -> Array:
        """Factors of ``ν Ψ⁻¹``, one per component."""
        factors = self.factors * np.sqrt(self._degrees_of(self.factors))
        return self._per_component(self.structure.block_whitening(factors, self.n_features))

    def _degrees_of(self, blocks: Array) -> Array:
        """Degrees of freedom, shaped to go with blocks."""
        return self.degrees_of_freedom.reshape(-1, *[1] * (blocks.ndim - 1))

    @cached_property
    def _expected_log_determinants(self) -> Array:
        blocks = self.structure.as_blocks(self.scales)
        degrees = self.degrees_of_freedom
        return self.structure.expected_log_determinants(blocks, self.factors, degrees, self.n_features)

    def _per_component(self, blocks: Array) -> Array:
        return np.repeat(blocks, self.n_components, axis=0) if self.structure.shared else blocks

    @cached_property
    def divergence(self) -> float:
        """Kullback–Leibler divergence from the prior: what the lower bound pays for the belief."""
        return self.weights.divergence + float(
            0.5 * self._divergences_of_means.sum() + self._divergences_of_blocks.sum()
        )

    @property
    def divergences(self) -> Array:
        """What it pays for the mean and covariance of each component, ``(K,)``, where each has a covariance of its own."""
        return 0.5 * self._divergences_of_means + self._divergences_of_blocks

    @cached_property
    def _divergences_of_means(self) -> Array:
        """Twice those, given the covariances."""
        beta_0 = self.prior.mean_precision
        log_share = log_ratio(beta_0, self.mean_precisions)
        whitened = self.scorer.whitened((self.prior.mean - self.means)[:, None, :])[:, 0]
        return self.n_features * (np.expm1(log_share) - log_share) + beta_0 * np.square(whitened).sum(axis=1)

    @cached_property
    def _divergences_of_blocks(self) -> Array:
        return self.structure.wishart_divergences(
            self.structure.as_blocks(self.scales),
            self.factors,
            self.degrees_of_freedom,
            self.structure.prior_block(self.prior.scale),
            self.prior.degrees_of_freedom,
            self.n_features,
        )

    # ---- new data --------------------------------------------------------------------------------------------------------------

    def responsibilities(self, X: ArrayLike) -> Array:
        """``q(z_n = k)`` of rows under this belief, ``(N, K)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        rows = as_rows(X, self.n_features).astype(np.float64, copy=False)

        def shares(block: Array) -> Array:
            log_joint = self.scorer.log_joint(self.scorer.whitened(self.scorer.residuals(block)))
            normalise(log_joint)
            return log_joint.T

        return by_blocks(rows, self.scorer.block_rows(), shares, self.n_components)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable label of each row, ``(N,)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        return self.responsibilities(X).argmax(axis=1).astype(np.int64)

    def log_pdf(self, X: ArrayLike) -> Array:
        """Log of the posterior predictive density, a mixture of Student's t, ``(N,)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        rows = as_rows(X, self.n_features).astype(np.float64, copy=False)
        whitening = self._whitening
        degrees = self._per_component(self.degrees_of_freedom)
        widening = (1 + self.mean_precisions) / self.mean_precisions
        log_weights = self.weights.log_expectations
        scorer = Scorer(log_weights, self.means, whitening)

        def log_pdf(block: Array) -> Array:
            squares = np.square(scorer.whitened(scorer.residuals(block)))
            return normalise(log_weights[:, None] + self.structure.log_student(squares, whitening, degrees, widening))

        return by_blocks(rows, scorer.block_rows(), log_pdf)

    # ---- the belief about parameters -------------------------------------------------------------------------------------------

    @property
    def effective_counts(self) -> Array:
        """Rows that each component was updated with, ``(K,)``."""
        return np.maximum(self.mean_precisions - self.prior.mean_precision, 0.0)

    def n_active(self, threshold: float = 1.0) -> int:
        """How many components have more than ``threshold`` rows."""
        return int((self.effective_counts > threshold).sum())

    def pruned(self, threshold: float = 1.0) -> Mixture:
        """The plug-in point of the components that have more than ``threshold`` rows, their weights scaled to sum to one.

        Raises
        ------
        InvalidParameterError
            If there is none.
        """
        active = np.flatnonzero(self.effective_counts > threshold)
        if not len(active):
            raise InvalidParameterError(
                f"no component has more than {threshold!r} rows; the largest has {self.effective_counts.max():.3g}. "
                "Lower the threshold."
            )
        point = self.mixture
        weights = point.weights[active]
        covariances = self.structure.reorder(point.covariances, active)
        return Mixture(weights / weights.sum(), point.means[active], covariances, self.structure)

    @property
    def mode(self) -> Mixture:
        """The point of largest density: the mode of the weights, and the joint mode of means and covariances.

        A mode depends on the variables in which densities are stated. Here these are the weights (for a stick-breaking law the shares of
        what is left), the means, and the free entries of the covariances, ``Ψ/(ν + D + 2)`` where they are full.

        Raises
        ------
        InvalidParameterError
            If the density of the weights has no mode: a Dirichlet law with no concentration above one.
        """
        blocks = self.structure.as_blocks(self.scales)
        n_means = self.n_components if self.structure.shared else 1
        modal = self.structure.modal_blocks(blocks, self.degrees_of_freedom, n_means, self.n_features)
        return Mixture(self.weights.mode, self.means, self.structure.as_natural(modal), self.structure)

    def interval(self, level: float = 0.95, *, n_draws: int = 4000, random_state: RandomState = 0) -> Interval:
        """Both ends of the central credible interval of each weight, mean, and variance of a feature.

        They follow from the exact marginal laws: Student's t for means, inverse gamma for variances, beta for Dirichlet weights. The
        weights of a stick-breaking law have no formula and are drawn. All are about one labelling of the components, and as narrow as
        the independence of labels and parameters makes them; ``mixtura.assess.uncertainty.linear_response`` says by how much they
        are too narrow.

        Parameters
        ----------
        level : float, default=0.95
            Between 0 and 1.
        n_draws : int, default=4000
            Of stick-breaking weights.
        random_state : None, int, numpy Generator or RandomState
            For those draws; fixed, so that the same belief has the same intervals.

        Examples
        --------
        >>> import numpy as np
        >>> import mixtura as mx
        >>> X = np.random.default_rng(0).normal(3, 2, size=(1000, 1))
        >>> lower, upper = mx.BayesianGaussianMixture(1).fit(X).posterior_.interval()
        >>> bool(lower.means[0, 0] < 3 < upper.means[0, 0]), float((upper.means - lower.means)[0, 0].round(2))
        (True, 0.24)
        """
        ends = central(level)
        check_integer(n_draws, "n_draws", 1)
        blocks = self.structure.as_blocks(self.scales)
        laws = self.structure.variance_laws(blocks, self.degrees_of_freedom, self.n_features)
        degrees, scales = (self._per_component(part) for part in laws)
        spreads = np.sqrt(scales / degrees[:, None] / self.mean_precisions[:, None])
        with np.errstate(
            over="ignore", divide="ignore"
        ):  # an end too far out for a number is the largest that there is
            means = self.means + student_quantiles(degrees[:, None], ends[:, None, None]) * spreads
            variances = 0.5 * scales / gammaincinv(0.5 * degrees[:, None], ends[::-1, None, None])
        weights = self.weights.quantiles(ends, int(n_draws), as_generator(random_state))
        each = (weights, np.clip(means, -LARGEST, LARGEST), np.minimum(variances, LARGEST))
        lower, upper = zip(*each, strict=True)
        return Interval(Parameters(*lower), Parameters(*upper))

    def draw(self, rng: np.random.Generator) -> Mixture:
        """A mixture drawn from the belief."""
        log_weights, means, roots = self.draw_parameters(1, rng)
        structure, weights = self.structure, np.exp(log_weights[0])
        factors = structure.factor_from_roots(roots[0])
        whitening = self._per_component(structure.block_whitening(factors, self.n_features))
        covariances = np.asarray(structure.as_natural(structure.block_from_roots(roots[0])))
        factor = np.asarray(structure.as_natural(factors))
        read_only(weights, means, covariances, factor)
        scorer = Scorer.of(weights, means[0], whitening)
        return Mixture.from_factor(weights, means[0], covariances, structure, factor, scorer)

    def draw_parameters(self, n_draws: int, rng: np.random.Generator) -> Drawn:
        """The parameters of several mixtures drawn from the belief."""
        structure, shape = self.structure, (n_draws, *self.means.shape)
        log_weights = self.weights.draw_logs(n_draws, rng)
        blocks = np.concatenate([structure.as_blocks(self.scales)] * n_draws)
        roots = structure.draw_roots(blocks, np.tile(self.degrees_of_freedom, n_draws), self.n_features, rng)
        noise = rng.standard_normal(shape) / np.sqrt(self.mean_precisions)[:, None]
        own_roots = np.repeat(roots, self.n_components, axis=0) if structure.shared else roots
        offsets = structure.apply_roots(own_roots, noise.reshape(-1, self.n_features)).reshape(shape)
        return Drawn(log_weights, self.means + offsets, roots.reshape(n_draws, -1, *roots.shape[1:]))


def _possible(scatter: Array) -> Array:
    """Symmetric, without negative variances or correlations beyond one: of very many rows, rounding leaves more than a prior puts right."""
    symmetric = 0.5 * (scatter + scatter.swapaxes(-1, -2))
    variances = np.maximum(np.diagonal(symmetric, axis1=-2, axis2=-1), 0.0)
    most = outer(np.sqrt(variances))
    diagonal = np.arange(scatter.shape[-1])
    possible = np.clip(symmetric, -most, most)
    possible[:, diagonal, diagonal] = variances
    return possible
