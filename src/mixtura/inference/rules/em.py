"""Expectation–maximisation, soft or hard, for maximum likelihood or posterior modes, on any covariance structure.

The E-step is the sweep: rows go to components by their posterior probabilities (Dempster, Laird and Rubin 1977), or each to its most
probable one (classification EM, Celeux and Govaert 1992). The M-step here turns the moments that come back into the next mixture. With
hard assignment, equal weights and one shared round covariance it is k-means (Lloyd's algorithm), no more and no less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from mixtura.ground.linalg import Array, read_only
from mixtura.inference.rules.collapse import Collapsed, flat_components
from mixtura.inference.rules.penalty import Penalty
from mixtura.model.covariance import CovarianceStructure, InverseWishartPenalty
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments, rounding_variances
from mixtura.model.scorer import Scorer
from mixtura.sweep import Assignment, soft


@dataclass(frozen=True, eq=False)
class ExpectationMaximization:
    """The choices that make an EM algorithm.

    Attributes
    ----------
    structure : CovarianceStructure
    floor : float or (D,) array
        Smallest variance allowed, for all features or for each (``Σ ⪰ diag(f)``); zero for none.
    prior : NormalInverseWishart or None
        With one, the posterior mode is climbed to.
    assignment : Assignment
    equal_weights : bool
        Whether the weights are held at ``1/K``.
    penalty : Penalty or None
        With one, the M-step here is that without it: a solver has to take over.
    collapsed : float or (D,) array, optional
        Variance of its own rows from which a component at the floor has collapsed; the floor itself by default.
    """

    structure: CovarianceStructure
    floor: Array | float = 0.0
    prior: NormalInverseWishart | None = None
    assignment: Assignment = soft
    equal_weights: bool = False
    penalty: Penalty | None = None
    collapsed: Array | float | None = None

    def maximise(self, moments: Moments, penalty: InverseWishartPenalty | None = None) -> Mixture:
        """The M-step of one mixture.

        Parameters
        ----------
        moments : Moments
        penalty : InverseWishartPenalty, optional
            On the covariances alone, for a cautious first step; a prior's own penalty goes before it.

        Raises
        ------
        Collapsed
            If a component's covariance is singular to working precision, which neither a floor nor a prior allows.
        """
        (result,) = self.maximise_stack([moments], penalty)
        if isinstance(result, Collapsed):
            raise result
        return result

    def maximise_stack(
        self, stack: Sequence[Moments], penalty: InverseWishartPenalty | None = None
    ) -> list[Mixture | Collapsed]:
        """The M-step of several mixtures at once; what a single one would raise stands in its place.

        A component without rows keeps its mean and has no weight.

        Parameters
        ----------
        stack : sequence of Moments
            One for each mixture.
        penalty : InverseWishartPenalty, optional
        """
        ends = list(accumulate(len(m.count) for m in stack))
        parts = [slice(end - len(m.count), end) for end, m in zip(ends, stack, strict=True)]
        moments, prior = Moments.stacked(stack), self.prior
        counts, means, scatter = moments.count, moments.means(), moments.scatter()
        degrees = counts
        if prior is not None:
            scatter = scatter + prior.shrinkage_scatter(counts, means, moments.diagonal)
            means = prior.posterior_means(counts, means)
            degrees, penalty = counts + 1, prior.penalty
        bounded = prior is not None or penalty is not None or np.any(self.floor)
        least = np.zeros_like(means) if bounded else rounding_variances(means)
        fitted = self.structure.maximise_stack(scatter, degrees, least, self.floor, penalty, parts)
        sizes = [part.stop - part.start for part in parts]
        if self.equal_weights:
            weights = np.repeat(1 / np.array(sizes), sizes)
        else:
            weights = counts / np.repeat(np.add.reduceat(counts, [part.start for part in parts]), sizes)
        read_only(weights, means)
        scorer = Scorer.of(weights, means, fitted.whitening)
        fine = not np.concatenate([singular for _, _, singular in fitted.mixtures]).any()
        return [
            Mixture.from_factor(weights[part], means[part], covariances, self.structure, factor, scorer[part])
            if fine or not singular.any()
            else Collapsed(flat_components(self.structure, covariances, counts[part], least[part]))
            for part, (covariances, factor, singular) in zip(parts, fitted.mixtures, strict=True)
        ]

    def admitted(self, belief: object) -> Mixture | None:
        """A mixture of this structure, kept above the floor and to the weights asked for; ``None`` where it is something else."""
        if not isinstance(belief, Mixture) or belief.structure is not self.structure:
            return None
        if self.equal_weights and np.ptp(belief.weights):
            weights = np.full(belief.n_components, 1 / belief.n_components)
            belief = Mixture(weights, belief.means, belief.covariances, belief.structure)
        return above_floor(belief, self.floor)

    def log_prior(self, mixture: Mixture) -> float:
        """What the prior and the penalty add to the bound that is climbed."""
        added = 0.0 if self.prior is None else self.prior.log_density(mixture)
        return added if self.penalty is None else added + self.penalty.value(mixture)


def above_floor(mixture: Mixture, floor: Array | float) -> Mixture:
    """A mixture whose variances, those below the floor raised to it: the nearest, in likelihood, that EM may begin with."""
    shape, structure = mixture.means.shape, mixture.structure
    if not np.any(floor) or ((mixture.scorer.precision_diagonals * floor).sum(axis=1) < 1).all():
        return mixture
    own = structure.variances if structure.diagonal else structure.matrices
    raised = structure.maximise(own(mixture.covariances, *shape), np.ones(shape[0]), floor, None)
    return Mixture(mixture.weights, mixture.means, raised, structure)
