"""Expectation–maximisation, soft or hard, for maximum likelihood or posterior modes, on any covariance structure.

The E-step is the sweep: rows go to components by their posterior probabilities (Dempster, Laird and Rubin 1977), or each to its most
probable one (classification EM, Celeux and Govaert 1992). The M-step here turns the moments that come back into the next mixture. With
hard assignment, equal weights and one shared round covariance it is k-means (Lloyd's algorithm), no more and no less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura.inference.collapse import Collapsed, empty_components, flat_components, rounding_variances
from mixtura.model.covariance import CovarianceStructure, InverseWishartPenalty
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.prior import NormalInverseWishart
from mixtura.sweep import Assignment, soft


@dataclass(frozen=True, eq=False)
class ExpectationMaximization:
    """The choices that make an EM algorithm.

    Attributes
    ----------
    structure : CovarianceStructure
    floor : float
        Smallest variance allowed in any direction; zero for none.
    prior : NormalInverseWishart or None
        With one, the posterior mode is climbed to.
    assignment : Assignment
    equal_weights : bool
        Whether the weights are held at ``1/K``.
    """

    structure: CovarianceStructure
    floor: float = 0.0
    prior: NormalInverseWishart | None = None
    assignment: Assignment = soft
    equal_weights: bool = False

    def maximise(self, moments: Moments, penalty: InverseWishartPenalty | None = None) -> Mixture:
        """The M-step.

        Parameters
        ----------
        moments : Moments
        penalty : InverseWishartPenalty, optional
            On the covariances alone, for a cautious first step; a prior's own penalty goes before it.

        Raises
        ------
        Collapsed
            If a component is empty, or its covariance singular to working precision.
        """
        counts, prior = moments.count, self.prior
        if not (counts > 0).all():
            raise Collapsed(empty_components(counts))
        means, scatter = moments.means(), moments.scatter()
        degrees = counts
        if prior is not None:
            scatter = scatter + prior.shrinkage_scatter(counts, means, moments.diagonal)
            means = prior.posterior_means(counts, means)
            degrees, penalty = counts + 1, prior.penalty
        covariances = self.structure.maximise(scatter, degrees, self.floor, penalty)
        least = rounding_variances(means, self.floor)
        factor, singular = self.structure.factor(covariances, least)
        if singular.any():
            raise Collapsed(flat_components(self.structure, covariances, counts, least))
        weights = np.full(len(counts), 1 / len(counts)) if self.equal_weights else counts / counts.sum()
        return Mixture.from_factor(weights, means, covariances, self.structure, factor)

    def log_prior(self, mixture: Mixture) -> float:
        """What the prior adds to the bound that is climbed."""
        return 0.0 if self.prior is None else self.prior.log_density(mixture)
