"""What the parameters of a likelihood's climb come to: its algorithm, for ``GaussianMixture`` and for every candidate of a search."""

from __future__ import annotations

from typing import Any

from mixtura.data.array import ArraySource
from mixtura.estimators.inputs import variance_floor
from mixtura.estimators.parameters import ASSIGNMENTS
from mixtura.ground.errors import InvalidParameterError
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.penalty import Checked
from mixtura.inference.starts.empirical import empirical_prior
from mixtura.inference.starts.plan import Case, point_case
from mixtura.inference.starts.sample import SeedingSample
from mixtura.model.covariance import CovarianceStructure


class ClimbsLikelihood:
    """An estimator with the parameters of ``LIKELIHOOD``."""

    reg_covar: Any
    covariance_prior: Any
    assignment: str
    equal_weights: bool
    penalty: Any

    def _point_case(
        self, source: ArraySource, sample: SeedingSample, structure: CovarianceStructure, n_components: int
    ) -> Case[ExpectationMaximization]:
        """So many components of a structure, as the parameters would have them fitted."""
        floor, prior = variance_floor(self.reg_covar, source, sample), self.covariance_prior
        if isinstance(prior, str):
            prior = empirical_prior(source, sample, structure, n_components, floor.variances)
        elif prior is not None and len(prior.mean) != source.n_features:
            raise InvalidParameterError(
                f"covariance_prior is for {len(prior.mean)} features; the data have {source.n_features}."
            )
        algorithm = ExpectationMaximization(
            structure,
            floor=floor.variances,
            prior=prior,
            assignment=ASSIGNMENTS[self.assignment],
            equal_weights=self.equal_weights,
            penalty=None if self.penalty is None else Checked(self.penalty),
            collapsed=floor.collapsed,
        )
        return point_case(n_components, algorithm)
