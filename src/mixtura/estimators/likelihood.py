"""What the parameters of a likelihood's climb come to: its algorithm, for ``GaussianMixture`` and for every candidate of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mixtura.data.dask import DaskSource
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
from mixtura.sweep import Assignment, Truncated


class ClimbsLikelihood:
    """An estimator with the parameters of ``LIKELIHOOD``."""

    reg_covar: Any
    covariance_prior: Any
    assignment: str
    equal_weights: bool
    penalty: Any
    max_responsibilities: int | None

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
            assignment=self._assignment(source, max(sizes)),
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

    def _assignment(self, source: Source, n_components: int) -> Assignment:
        """How rows are shared among up to so many components."""
        assignment, most = ASSIGNMENTS[self.assignment], self.max_responsibilities
        if most is None or most >= n_components:
            return assignment
        if isinstance(source, DaskSource):
            raise InvalidParameterError(
                f"max_responsibilities={most} remembers candidates of each row, and needs the rows in this process; these are on a "
                "cluster. Leave it out, or fit an array or files."
            )
        return Truncated(most, assignment)
