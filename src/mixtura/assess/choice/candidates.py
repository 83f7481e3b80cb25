"""Choosing the number of components and the covariance structure: all candidates, fitted, compared by one criterion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixtura.assess.choice.criteria import Criteria, criteria_of_all
from mixtura.data.source import Source
from mixtura.ground.errors import CollapseError
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.starts.plan import Case
from mixtura.inference.starts.restarts import Restarts
from mixtura.model.mixture import Mixture


@dataclass(frozen=True)
class Candidate:
    """One number of components with one structure, fitted; or the reason why it could not be.

    Attributes
    ----------
    n_components : int
    covariance_type : str
    restarts : Restarts or None
    criteria : Criteria or None
    error : str or None
    """

    n_components: int
    covariance_type: str
    restarts: Restarts | None = None
    criteria: Criteria | None = None
    error: str | None = None

    @property
    def mixture(self) -> Mixture | None:
        """The fitted mixture."""
        return None if self.restarts is None else self.restarts.best.mixture

    @property
    def sound(self) -> bool:
        """Whether it was fitted without a component on too few rows to be a group."""
        return self.restarts is not None and not self.restarts.best.is_spiked

    @property
    def converged(self) -> bool:
        """Whether it was fitted, and its best restart has converged."""
        return self.restarts is not None and self.restarts.best.stop.converged

    @property
    def n_held(self) -> int:
        """Components that are held at the floor."""
        return 0 if self.restarts is None else len(self.restarts.best.collapses)


@dataclass(frozen=True)
class Search:
    """All candidates, and the one with the lowest criterion among those that did not collapse.

    Attributes
    ----------
    candidates : tuple of Candidate
        In the order asked for.
    criterion : {"bic", "aic", "icl"}
    """

    candidates: tuple[Candidate, ...]
    criterion: str

    @property
    def best(self) -> Candidate:
        """The first of the ranked."""
        return self.ranked()[0]

    def ranked(self) -> list[Candidate]:
        """Sound candidates by the criterion, then those with a collapsed component, then those that could not be fitted."""
        return sorted(self.candidates, key=self._merit)

    def _merit(self, candidate: Candidate) -> tuple[bool, bool, float]:
        value = getattr(candidate.criteria, self.criterion, 0.0)
        return candidate.restarts is None, not candidate.sound, value


def judge_all(
    cases: Sequence[Case[ExpectationMaximization]],
    outcomes: Sequence[Restarts | CollapseError],
    source: Source,
    criterion: str,
) -> Search:
    """Compare what the fits of several cases have come to.

    Parameters
    ----------
    cases, outcomes : sequences
        As ``fit_all`` takes and returns them.
    source : Source
    criterion : {"bic", "aic", "icl"}

    Raises
    ------
    CollapseError
        If no candidate could be fitted.
    """
    fitted = [outcome.best.mixture for outcome in outcomes if isinstance(outcome, Restarts)]
    found = iter(criteria_of_all(fitted, source) if fitted else ())
    tried = tuple(
        Candidate(case.n_components, case.algorithm.structure.name, error=str(outcome))
        if isinstance(outcome, CollapseError)
        else Candidate(case.n_components, case.algorithm.structure.name, outcome, next(found))
        for case, outcome in zip(cases, outcomes, strict=True)
    )
    if all(c.restarts is None for c in tried):
        raise CollapseError(f"no candidate could be fitted; the first: {tried[0].error}")
    return Search(tried, criterion)
