"""What the parameters of a likelihood's climb come to: its algorithm, for ``GaussianMixture`` and for every candidate of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mixtura.data.source import Source
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

    def _point_cases(
        self,
        source: Source,
        sample: SeedingSample,
        structures: Sequence[CovarianceStructure],
        sizes: Sequence[int],
    ) -> list[Case[ExpectationMaximization]]:
        """So many components of each structure, as the parameters would have them fitted.

        Sizes share an algorithm, by which their M-steps are one stack, unless a prior depends on the size.
        """
        floor, prior = variance_floor(self.reg_covar, source, sample), self.covariance_prior
        if prior is not None and not isinstance(prior, str) and len(prior.mean) != source.n_features:
            raise InvalidParameterError(
                f"covariance_prior is for {len(prior.mean)} features; the data have {source.n_features}."
            )
        common = ExpectationMaximization(
            structures[0],
            floor=floor.variances,
            prior=None if isinstance(prior, str) else prior,
            assignment=ASSIGNMENTS[self.assignment],
            equal_weights=self.equal_weights,
            penalty=None if self.penalty is None else Checked(self.penalty),
            collapsed=floor.collapsed,
        )
        cases = []
        for structure in structures:
            algorithm = replace(common, structure=structure)
            for k in sizes:
                if isinstance(prior, str):
                    own = empirical_prior(source, sample, structure, k, floor.variances)
                    algorithm = replace(algorithm, prior=own)
                cases.append(point_case(k, algorithm))
        return cases
