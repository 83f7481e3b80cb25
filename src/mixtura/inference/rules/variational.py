"""Coordinate-ascent variational Bayes: EM with a belief in place of a point.

The E-step is the sweep with the belief's scorer; the update is conjugate. The evidence lower bound just after an E-step is the sum of
log-normalisers minus the divergence of the belief from the prior, every term of it. Source: Bishop (2006), section 10.2; Blei and Jordan
(2006), "Variational inference for Dirichlet process mixtures", for the sticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mixtura.ground.linalg import Array
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.posterior import Posterior
from mixtura.model.laws.weights import WeightPosterior
from mixtura.model.moments import Moments
from mixtura.sweep import Assignment, soft


@dataclass(frozen=True, eq=False)
class CoordinateAscent:
    """The choices that make the algorithm.

    Attributes
    ----------
    structure : SharedBlocks
    prior : NormalInverseWishart
    weights : WeightPosterior
        Any belief under the prior of the weights: it is updated, never read.
    """

    structure: SharedBlocks
    prior: NormalInverseWishart
    weights: WeightPosterior
    assignment: ClassVar[Assignment] = soft
    floor: ClassVar[float] = 0.0
    collapsed: ClassVar[None] = None
    penalty: ClassVar[None] = None

    @property
    def covariance_prior(self) -> Array | float:
        """The prior's scale as the structure has it: a matrix, variances, or one variance."""
        block = self.structure.prior_block(self.prior.scale)[0]
        return float(block) if block.ndim == 0 else block

    def maximise(self, moments: Moments) -> Posterior:
        """The belief after one mixture's moments."""
        return Posterior.from_moments(moments, self.structure, self.prior, self.weights)

    def maximise_stack(self, stack: Sequence[Moments]) -> list[Posterior]:
        """The beliefs after the moments of several."""
        return [self.maximise(moments) for moments in stack]

    def admitted(self, belief: object) -> Posterior | None:
        """A posterior of this structure; ``None`` where it is something else."""
        return belief if isinstance(belief, Posterior) and belief.structure is self.structure else None

    def log_prior(self, posterior: Posterior) -> float:
        """What is added to the log-normalisers to make the bound."""
        return -posterior.divergence
