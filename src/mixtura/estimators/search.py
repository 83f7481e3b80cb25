"""``GaussianMixtureSearch``: the number of components and the covariance structure, chosen by a criterion."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from mixtura.assess.choice.candidates import Candidate, judge_all
from mixtura.assess.choice.criteria import CRITERIA
from mixtura.data.source import Source
from mixtura.estimators.checkpoint import CHECKPOINT, Resumable, logged
from mixtura.estimators.fitted import FittedMixture, replaced_fit
from mixtura.estimators.gaussian_mixture import GaussianMixture
from mixtura.estimators.inputs import entered, remedy_of
from mixtura.estimators.likelihood import ClimbsLikelihood
from mixtura.estimators.parameters import CLIMBS, EVERY, LIKELIHOOD, POSITIVE_INTEGER
from mixtura.estimators.progress import climb_line
from mixtura.estimators.record import Belief, PointFit
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.files import StrPath
from mixtura.ground.random import RandomState
from mixtura.inference.climb.solvers import solver_for
from mixtura.inference.rules.collapse import MOST_LISTED
from mixtura.inference.rules.penalty import Penalty
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.plan import Beginning, fit_all
from mixtura.inference.starts.restarts import finish
from mixtura.inference.starts.sample import seeding_sample
from mixtura.inference.starts.seedings import SEEDINGS
from mixtura.model.covariance import STRUCTURES, CovarianceStructure, covariance_structure
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.mixture import Mixture

OF_A_SEARCH = ("criterion", "checkpoint")
"""Parameters that its candidates do not have."""


class GaussianMixtureSearch(ClimbsLikelihood, Resumable, FittedMixture, BaseEstimator):
    r"""Gaussian mixtures of several sizes and structures, fitted side by side; the one with the lowest criterion is kept.

    All candidates share each pass over the data, and the starts of all of them race on a sample of the rows first.

    Parameters
    ----------
    n_components : int or sequence of int, default=1 … 9
        Numbers of components to try.
    covariance_type : str or sequence of str, default="full"
        Structures to try, by the names or codes that ``GaussianMixture`` knows; "all" for all of them.
    criterion : {"bic", "aic", "icl"}, default="bic"
        What chooses; all are ``−2ℓ`` plus a penalty, so lower is better.
    n_init : int, default=10
        Restarts of each candidate.
    tol : float, default=1e-3
    reg_covar : "auto" or float, default="auto"
    max_iter : int, default=300
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default="kmeans"
    covariance_prior : None, "empirical" or NormalInverseWishart, default=None
    assignment : {"soft", "hard"}, default="soft"
    equal_weights : bool, default=False
    solver : {"auto", "em", "lbfgs", "newton", "gem", "gradient"}, default="auto"
    penalty : Penalty, optional
    pilot : bool, default=True
    max_responsibilities : int, optional
        All of these as in ``GaussianMixture``, for every candidate.
    random_state : None, int, RandomState or Generator
    verbose : int, default=0
        1 says on standard error how far it has come, once the fit has taken a second: passes, climbs that have ended, rows a second, and
        about how long it will take.
    checkpoint : path-like, optional
        As in ``GaussianMixture``.

    Attributes
    ----------
    results_ : dict of arrays
        A row for each candidate, the best first: ``n_components``, ``covariance_type``, ``rank``, ``log_likelihood``, ``n_parameters``,
        ``bic``, ``aic``, ``icl``, ``n_iter``, ``converged``, ``held_at_floor`` (how many components are), ``error``.
        ``pandas.DataFrame(search.results_)`` makes a table of it.
        Candidates with a component that has collapsed onto too few rows to be a group come after the sound ones, and those that could
        not be fitted, with NaN and the reason in ``error``, last.
    best_estimator_ : GaussianMixture
        Fitted.
    best_params_ : dict
    n_iter_ : int
        M-steps of the best restart of the best candidate.
    best_score_ : float
        Its criterion.
    mixture_ : Mixture
        That of the best estimator.
    search_ : Search
        Every candidate with all its restarts.
    n_features_in_ : int
    feature_names_in_ : array of str
        Column names, where ``X`` had them.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-5, 1, (100, 2)), rng.normal(5, 1, (100, 2))])
    >>> found = mx.GaussianMixtureSearch(range(1, 4), covariance_type=["full", "tied_spherical"], random_state=0).fit(X)
    >>> found.best_params_
    {'n_components': 2, 'covariance_type': 'tied_spherical'}
    >>> found.results_["bic"][0] == found.best_score_
    np.True_
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **EVERY,
        **CLIMBS,
        **LIKELIHOOD,
        "n_components": [*POSITIVE_INTEGER, "array-like"],
        "covariance_type": [str, "array-like"],
        "criterion": [StrOptions(set(CRITERIA))],
        "init_params": [StrOptions(set(SEEDINGS))],
        "checkpoint": CHECKPOINT,
    }

    def __init__(
        self,
        n_components: int | Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8, 9),
        *,
        covariance_type: str | Sequence[str] = "full",
        criterion: str = "bic",
        n_init: int = 10,
        tol: float = 1e-3,
        reg_covar: float | str = "auto",
        max_iter: int = 300,
        init_params: str = "kmeans",
        covariance_prior: str | NormalInverseWishart | None = None,
        assignment: str = "soft",
        equal_weights: bool = False,
        solver: str = "auto",
        penalty: Penalty | None = None,
        pilot: bool = True,
        max_responsibilities: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
        checkpoint: StrPath | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.n_init = n_init
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.init_params = init_params
        self.covariance_prior = covariance_prior
        self.assignment = assignment
        self.equal_weights = equal_weights
        self.solver = solver
        self.penalty = penalty
        self.pilot = pilot
        self.max_responsibilities = max_responsibilities
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit every candidate and keep the best.

        Parameters
        ----------
        X : (N, D) array-like, or what ``mixtura.scan`` takes or returns
        y : ignored
        sample_weight : (N,) array-like, optional

        Raises
        ------
        CollapseError
            If no candidate could be fitted.

        Warns
        -----
        ConvergenceWarning
            If candidates did not converge, other than those that come last because a component has collapsed.
        CollapseWarning
            If a component of the best is held at the floor ``reg_covar``, or has no rows.
        """
        return self._fit(X, sample_weight)

    def _fit(self, X: ArrayLike, sample_weight: ArrayLike | None, resumes: bool = False) -> Self:
        self._validate_params()
        with replaced_fit(self):
            source, _, _ = entered(self, X, sample_weight, max(self._sizes()), reset=True, least=2)
            with logged(self, source, resumes) as (rows, rng):
                self._search(rows, rng)
        self._warn()
        return self

    def _warn(self) -> None:
        self.best_estimator_._warn_of_collapses(stacklevel=5)
        competing = [c for c in self.search_.ranked() if c.sound or c is self.search_.best]
        cut_short = [c for c in competing if not c.converged]
        if not cut_short or not self.max_iter:
            return
        named = ", ".join(f"{c.n_components} {c.covariance_type}" for c in cut_short[:MOST_LISTED])
        others = f" and {len(cut_short) - MOST_LISTED} more" if len(cut_short) > MOST_LISTED else ""
        assert cut_short[0].restarts is not None
        stop = cut_short[0].restarts.best.stop
        warnings.warn(
            f"{len(cut_short)} of {len(self.search_.candidates)} candidates did not converge: {named}{others}. The first "
            f"{stop.sentence}.{remedy_of(stop)}",
            ConvergenceWarning,
            stacklevel=4,
        )

    def _search(self, source: Source, rng: np.random.Generator) -> None:
        sizes = self._sizes()
        structures = self._structures(source.n_features)
        sample = seeding_sample(source, max(sizes))
        cases = self._point_cases(source, sample, structures, sizes)
        solver = solver_for(self.solver, cases[0].algorithm)
        watched = climb_line("Fitting", source.n_rows, source.total_weight) if self.verbose else nullcontext()
        with watched as progress:
            outcomes = fit_all(
                source,
                sample,
                cases,
                Stopping(float(self.tol), self.max_iter, source.total_weight),
                rng,
                n_init=self.n_init,
                beginning=Beginning(self.init_params),
                pilot=solver if self.pilot else None,
                ascend=partial(finish, solver=solver),
                progress=progress,
            )
            self.search_ = judge_all(cases, outcomes, source, self.criterion)
        best = self.search_.best
        assert best.restarts is not None
        self.best_params_ = {"n_components": best.n_components, "covariance_type": best.covariance_type}
        self.best_score_ = float(getattr(best.criteria, self.criterion))
        shared = {name: value for name, value in self.get_params(deep=False).items() if name not in OF_A_SEARCH}
        self.best_estimator_ = GaussianMixture(**{**shared, **self.best_params_, "verbose": 0})
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(self.best_estimator_, name, getattr(self, name))
        chosen = cases[[candidate is best for candidate in self.search_.candidates].index(True)]
        self.best_estimator_._take(PointFit(chosen.algorithm, best.restarts, source.total_weight), source.dtype)
        self.n_iter_ = self.best_estimator_.n_iter_
        self.results_ = _table(self.search_.ranked())

    def _sizes(self) -> list[int]:
        given = np.atleast_1d(np.asarray(self.n_components))
        if not given.size or given.ndim > 1 or given.dtype.kind not in "iu" or given.min() < 1:
            raise InvalidParameterError(
                f"n_components must be a positive integer or a sequence of at least one; got {self.n_components!r}."
            )
        return list(dict.fromkeys(given.tolist()))

    def _structures(self, n_features: int) -> list[CovarianceStructure]:
        if isinstance(self.covariance_type, str) and self.covariance_type == "all":
            return list(STRUCTURES)
        names = [self.covariance_type] if isinstance(self.covariance_type, str) else list(self.covariance_type)
        if not names:
            raise InvalidParameterError("covariance_type must name at least one structure; got none.")
        return list(dict.fromkeys(covariance_structure(name, n_features) for name in names))

    @property
    def mixture_(self) -> Mixture:
        """The best mixture."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.mixture_

    @property
    def _belief(self) -> Belief:
        return self.best_estimator_._belief


def _table(ranked: list[Candidate]) -> dict[str, NDArray[Any]]:
    runs = [None if c.restarts is None else c.restarts.best for c in ranked]
    numbers = ("log_likelihood", "bic", "aic", "icl")
    return {
        "rank": np.arange(1, len(ranked) + 1),
        "n_components": np.array([c.n_components for c in ranked]),
        "covariance_type": np.array([c.covariance_type for c in ranked]),
        **{name: np.array([getattr(c.criteria, name, None) for c in ranked], dtype=float) for name in numbers},
        "n_parameters": np.array([getattr(c.criteria, "n_parameters", 0) for c in ranked]),
        "n_iter": np.array([0 if run is None else run.n_iter for run in runs]),
        "converged": np.array([c.converged for c in ranked]),
        "held_at_floor": np.array([c.n_held for c in ranked]),
        "error": np.array([c.error or "" for c in ranked]),
    }
