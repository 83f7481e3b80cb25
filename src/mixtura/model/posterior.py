"""A conjugate posterior of a mixture: what variational inference believes instead of a point.

Means and precisions follow a normal–Wishart law (normal–gamma where covariances are diagonal or round; one law of the precision where
components share it), weights a Dirichlet or a stick-breaking law. It compiles to a scorer of the same form as a point, so the same sweep
serves both. Source: Bishop (2006), "Pattern recognition and machine learning", section 10.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.ground.linalg import Array, read_only
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.scorer import LOG_2_PI, Scorer, normalise
from mixtura.model.weight_posterior import WeightPosterior


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
        scales = structure.prior_block(prior.scale) + structure.block_sums(scatter)
        means = prior.posterior_means(counts, moments.origin + offsets)
        posterior = cls(
            structure,
            prior,
            weights.updated(counts),
            means,
            prior.mean_precision + counts,
            np.asarray(structure.as_natural(scales)),
            prior.degrees_of_freedom + degrees,
        )
        read_only(posterior.means, posterior.mean_precisions, posterior.scales, posterior.degrees_of_freedom)
        return posterior

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
        return Mixture(self.weights.expectations, self.means, self._covariances, self.structure.name)

    @property
    def _covariances(self) -> Array:
        blocks = self.structure.as_blocks(self.scales)
        degrees = self.degrees_of_freedom.reshape(-1, *[1] * (blocks.ndim - 1))
        return np.asarray(self.structure.as_natural(blocks / degrees))

    @cached_property
    def scorer(self) -> Scorer:
        """``E ln π_k + ½ E ln|Λ_k| − D/(2β_k) − (D/2) ln 2π − ½ ν (x − m)ᵀ Ψ⁻¹ (x − m)``, in the form that travels to the data."""
        whitening = self.mixture.scorer.whitening
        constants = self.weights.expected_logs + 0.5 * self._per_component(self._expected_log_determinants)
        constants = constants - 0.5 * self.n_features * (LOG_2_PI + 1 / self.mean_precisions)
        read_only(constants)
        return Scorer(constants, self.means, whitening)

    @cached_property
    def _expected_log_determinants(self) -> Array:
        blocks = self.structure.as_blocks(self.scales)
        return self.structure.expected_log_determinants(blocks, self.degrees_of_freedom, self.n_features)

    def _per_component(self, blocks: Array) -> Array:
        return np.repeat(blocks, self.n_components, axis=0) if self.structure.shared else blocks

    @cached_property
    def divergence(self) -> float:
        """Kullback–Leibler divergence from the prior: what the lower bound pays for the belief."""
        beta, beta_0, n_features = self.mean_precisions, self.prior.mean_precision, self.n_features
        whitened = self.scorer.whitened((self.prior.mean - self.means)[:, None, :])[:, 0]
        on_means = n_features * (np.log(beta / beta_0) + beta_0 / beta - 1) + beta_0 * np.square(whitened).sum(axis=1)
        on_blocks = self.structure.wishart_divergences(
            self.structure.as_blocks(self.scales),
            self.degrees_of_freedom,
            self.structure.prior_block(self.prior.scale),
            self.prior.degrees_of_freedom,
            n_features,
        )
        return self.weights.divergence + float(0.5 * on_means.sum() + on_blocks.sum())

    # ---- new data --------------------------------------------------------------------------------------------------------------

    def responsibilities(self, X: ArrayLike) -> Array:
        """``q(z_n = k)`` of rows under this belief, ``(N, K)``.

        Parameters
        ----------
        X : (N, D) array-like
        """
        rows = np.asarray(X, dtype=np.float64)
        size = self.scorer.block_rows()
        shares = np.empty((len(rows), self.n_components))
        for start in range(0, len(rows), size):
            block = self.scorer.log_joint(self.scorer.whitened(self.scorer.residuals(rows[start : start + size])))
            normalise(block)
            shares[start : start + size] = block.T
        return shares

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
        rows = np.asarray(X, dtype=np.float64)
        whitening = self.mixture.scorer.whitening
        degrees = self._per_component(self.degrees_of_freedom)
        widening = (1 + self.mean_precisions) / self.mean_precisions
        log_weights = np.log(self.weights.expectations)
        scorer = Scorer(log_weights, self.means, whitening)
        found = np.empty(len(rows))
        size = scorer.block_rows()
        for start in range(0, len(rows), size):
            squares = np.square(scorer.whitened(scorer.residuals(rows[start : start + size])))
            joint = log_weights[:, None] + self.structure.log_student(squares, whitening, degrees, widening)
            found[start : start + size] = normalise(joint)
        return found

    def draw(self, rng: np.random.Generator) -> Mixture:
        """A mixture drawn from the belief."""
        blocks = self.structure.draw_blocks(
            self.structure.as_blocks(self.scales), self.degrees_of_freedom, self.n_features, rng
        )
        covariances = np.asarray(self.structure.as_natural(blocks))
        roots = self.structure.block_roots(blocks)
        noise = rng.standard_normal(self.means.shape) / np.sqrt(self.mean_precisions)[:, None]
        means = self.means + self.structure.apply_roots(roots, noise)
        return Mixture(self.weights.draw(rng), means, covariances, self.structure.name)
