"""``GaussianMixture``: scikit-learn's class in every parameter, attribute and method, and more."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from mixtura.assess.uncertainty.standard_errors import StandardErrors, standard_errors
from mixtura.data.source import Source
from mixtura.estimators.callbacks import FRAMES, CallbackSupportMixin, FitTasks, with_callbacks
from mixtura.estimators.checkpoint import CHECKPOINT, Resumable, logged
from mixtura.estimators.fitted import parts_of, replaced_fit
from mixtura.estimators.inputs import (
    as_partition,
    covariances_from_precisions,
    entered,
    given_means,
    given_weights,
    remedy_of,
)
from mixtura.estimators.likelihood import ClimbsLikelihood
from mixtura.estimators.parameters import CLIMBS, EVERY, LIKELIHOOD, REPORTS
from mixtura.estimators.progress import Narration
from mixtura.estimators.record import PointFit, view
from mixtura.estimators.streaming import LearnsFromBatches
from mixtura.ground.errors import CollapseWarning, InvalidParameterError
from mixtura.ground.files import StrPath
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState
from mixtura.inference.climb.certificate import Certificate, certify
from mixtura.inference.climb.loop import Observer
from mixtura.inference.climb.solvers import check_has_gradients, solver_for
from mixtura.inference.rules.collapse import MOST_LISTED, listed
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.penalty import Penalty
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.empirical import empirical_prior
from mixtura.inference.starts.plan import Beginning, Case, Earlier, fit_one, point_case
from mixtura.inference.starts.restarts import finish
from mixtura.inference.starts.sample import SeedingSample, seeding_sample
from mixtura.model.covariance import covariance_structure
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep, among_all


class GaussianMixture(CallbackSupportMixin, ClimbsLikelihood, Resumable, LearnsFromBatches, BaseEstimator):
    r"""Gaussian mixture fitted by expectation–maximisation.

    Every parameter, attribute and method of scikit-learn's class of this name is here with the same meaning, so changing the import is
    enough; what differs is said below.

    Parameters
    ----------
    n_components : int, default=1
        ``K``.
    covariance_type : {"full", "tied", "diag", "tied_diag", "spherical", "tied_spherical"} or code, default="full"
        Covariance structure; the codes VVV, EEE, VVI, EEI, VII, EII name the same six. In one dimension there are two, by mclust's names
        ``"V"`` (``spherical``) and ``"E"`` (``tied_spherical``).
    tol : float, default=1e-3
        Log-likelihood per row. A fit counts as converged when no more than ``tol`` is estimated (Aitken) to be still to come, where
        scikit-learn looks at the last step only; within ``max_iter`` it goes on until a hundredth of ``tol`` is.
    reg_covar : "auto" or float, default="auto"
        Floor: no component's variance, in any direction, falls below it. Covariances above it are not touched (scikit-learn adds it
        to every diagonal). "auto" is a floor of its own for each column, in that column's unit: a ten-millionth of its variance, or the
        rounding of values that lie on a grid (``reg_covar_`` says what it came to). A number is one floor for all columns. With 0, a
        component that collapses ends that restart.
    max_iter : int, default=100
        Largest number of M-steps; 0 returns the best start.
    n_init : int, default=1
        Restarts, run side by side on the same passes over the data; the best is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, (N,) integer array or (N, K) array, default="kmeans"
        How to start, or labels or responsibilities to start from, in which case EM begins with an M-step.
    weights_init : (K,) array-like, optional
    means_init : (K, D) array-like, optional
    precisions_init : array-like, optional
        Parameters to start from; what is not given is estimated from the rows nearest to the given means, or by ``init_params``.
    random_state : None, int, RandomState or Generator
    warm_start : bool, default=False
        Whether to start from the last fit, if there is one: with the same number of components and columns, on these rows or others.
    verbose : int, default=0
        1 prints the bound of each restart every ``verbose_interval`` iterations, how fast rows are read and about how long it will take,
        and why each restart ended.
    verbose_interval : int, default=10
    covariance_prior : None, "empirical" or NormalInverseWishart, default=None
        A conjugate prior on means and covariances: the fit then climbs to the posterior mode, which exists where the likelihood is
        unbounded. ``"empirical"`` is the weak data-scaled prior of Fraley and Raftery (2007).
    assignment : {"soft", "hard"}, default="soft"
        Hard assignment is classification EM: each row counts wholly for its most probable component.
    equal_weights : bool, default=False
        Whether weights are held at ``1/K``. With ``assignment="hard"`` and ``covariance_type="tied_spherical"`` this is k-means.
    solver : {"auto", "em", "lbfgs", "newton", "gem", "gradient"}, default="auto"
        How to climb. "auto" is EM while EM is fast, then quasi-Newton ascent once EM's rate says that it will be slow; "lbfgs" takes over
        after ten passes; "newton" uses exact Hessian–vector products, a pass each, for the last digits; "gem" replaces the M-step by
        a gradient step, "gradient" is plain first-order ascent, and the one that learns from streams, through ``partial_fit``, by online EM
        (steps along the gradient in the coordinates of the moments). All but "auto" and "em" need soft assignment among all components,
        free weights and no conjugate prior; there "auto" extrapolates EM's steps.
    penalty : Penalty, optional
        An object with ``value(mixture)`` and ``gradient(mixture)``, the derivatives by weights, means and covariances, which is added to
        the log-likelihood. There is no closed M-step then, so any solver but "em" and "newton" serves (see docs/penalties.md). A gradient
        that is not that of the value, or an answer that is not finite, is refused.
    pilot : bool, default=True
        Whether large data (from 200 000 rows) are climbed on a subsample first, unless a start is given.
    checkpoint : path-like, optional
        A file in which the answers of all passes are written down as they come, so that ``resume(X)`` goes on where a fit was broken off.
    max_responsibilities : int, optional
        For hundreds of components and more: each row is shared among so many candidates, remembered and improved from pass to pass, so that
        a pass costs about the same however many components there are. ``lower_bound_`` is then that of the candidates, which is no more
        than the log-likelihood; ``dropped_`` is an estimate of the difference, and ``exact_bound(X)`` has none. Climbed by EM alone. By
        default, and where it is no less than ``n_components``, all components count.

    Attributes
    ----------
    mixture_ : Mixture
        The fitted mixture, which carries its own mathematics.
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        Its parts in scikit-learn's shapes, in the dtype of ``X``.
    converged_ : bool
        Whether no more than ``tol`` per row is estimated to be still to come. That the place is a maximum, ``certificate(X)`` tells.
    n_iter_ : int
        Steps of the best restart, after its start was chosen.
    n_passes_ : int
        Reads of all rows by the climbs, whatever the solver and the number of restarts; one that several restarts share, or candidates of
        a search, counts once, and a Hessian–vector product is one. What comes before is not counted: checks, the floor, a prior, and the
        starts, which look at a sample, as the pilot does.
    reg_covar_ : (D,) array
        The floor that was used.
    lower_bound_ : float
        Log-likelihood per row (log posterior per row with a prior) of the fitted mixture.
    lower_bounds_ : list of float
        The same after each iteration of the best restart.
    dropped_ : float
        With ``max_responsibilities``: by how much ``lower_bound_`` is estimated to fall short for the components left out, from a thousand
        rows; else zero.
    stop_ : Stop
        Why the best restart ended, as a value and a sentence.
    optima_ : tuple of Optimum
        The distinct optima that the restarts found, best first, and how often each was reached.
    n_collapsed_ : int
        Restarts in which a component collapsed onto too few rows to be a group.
    collapses_ : tuple of Collapse
        Components of the fitted mixture that are held at the floor.
    restarts_ : Restarts
        All restarts; ``restarts_.best`` is the best run with its start.
    record_ : PointFit
        All of this in one record; ``StreamFit`` after ``partial_fit``.
    losses_ : list of float
        After ``partial_fit``: the negative log-likelihood per row of each batch, before it was learnt from; of the first rows, from the
        batch on after which there was a mixture.
    algorithm_ : ExpectationMaximization
        The algorithm that was run.
    prior_ : NormalInverseWishart or None
    n_features_in_ : int
    feature_names_in_ : array of str
        Column names, where ``X`` had them.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> X = np.array([[1.0], [1.2], [0.8], [7.0], [7.4], [6.6]])
    >>> gm = mx.GaussianMixture(2, random_state=0).fit(X)
    >>> np.sort(gm.means_.ravel()).round(3).tolist()
    [1.0, 7.0]
    >>> gm.stop_.reason
    'converged'
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **EVERY,
        **CLIMBS,
        **REPORTS,
        **LIKELIHOOD,
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", Real, None],
        "checkpoint": CHECKPOINT,
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float | str = "auto",
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str | ArrayLike = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        covariance_prior: str | NormalInverseWishart | None = None,
        assignment: str = "soft",
        equal_weights: bool = False,
        solver: str = "auto",
        penalty: Penalty | None = None,
        pilot: bool = True,
        checkpoint: StrPath | None = None,
        max_responsibilities: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.covariance_prior = covariance_prior
        self.assignment = assignment
        self.equal_weights = equal_weights
        self.solver = solver
        self.penalty = penalty
        self.pilot = pilot
        self.checkpoint = checkpoint
        self.max_responsibilities = max_responsibilities

    # ---- fitting ---------------------------------------------------------------------------------------------------------------

    _batch_solver = "gradient"
    converged_ = view("converged")
    n_iter_ = view("n_iter")
    n_passes_ = view("n_passes")
    reg_covar_ = view("floor")
    lower_bound_ = view("lower_bound")
    lower_bounds_ = view("lower_bounds")
    dropped_ = view("dropped")
    stop_ = view("stop")
    optima_ = view("optima")
    n_collapsed_ = view("n_collapsed")
    collapses_ = view("collapses")
    restarts_ = view("restarts")
    losses_ = view("losses")
    algorithm_ = view("algorithm")
    prior_ = view("prior")

    @with_callbacks
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Estimate the mixture.

        Parameters
        ----------
        X : (N, D) array-like
            NumPy array, a pandas, polars or Arrow table, or anything with an Arrow stream. Or what ``mixtura.scan`` takes or returns:
            rows that are gone over where they are.
        y : ignored
        sample_weight : (N,) array-like, optional
            Non-negative weights; an integer weight means the same as repeating the row.

        Returns
        -------
        self

        Raises
        ------
        CollapseError
            If every restart collapsed, which only ``reg_covar=0`` or a negligible one allows.
        InvalidParameterError
            If a parameter cannot be: among others, if the gradient of the penalty is not that of its value.

        Warns
        -----
        ConvergenceWarning
            If more than ``tol`` per row is still to come when ``max_iter`` is reached.
        CollapseWarning
            If a component of the result is held at the floor ``reg_covar``, or has no rows.
        """
        return self._fit(X, sample_weight)

    resume = with_callbacks(Resumable.resume)

    def _fit(self, X: ArrayLike, sample_weight: ArrayLike | None, resumes: bool = False) -> Self:
        self._validate_params()
        earlier = self._earlier()
        with replaced_fit(self):
            source, kept, n_rows = entered(self, X, sample_weight, self.n_components, reset=True, least=2)
            metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
            tasks = FitTasks(self, X, self.max_iter, metadata)
            with logged(self, source, resumes) as (rows, rng):
                self._take(self._climb(rows, kept, n_rows, rng, tasks, earlier), source.dtype)
            tasks.end()
        self._warn()
        return self

    def _climb(
        self,
        source: Source,
        kept: Array | None,
        n_rows: int,
        rng: np.random.Generator,
        tasks: FitTasks,
        earlier: Earlier | None,
    ) -> PointFit:
        sample = seeding_sample(source, self.n_components)
        case = self._case(source, sample)
        solver = solver_for(self.solver, case.algorithm)
        beginning = self._beginning(source, kept, n_rows, earlier)
        stopping = Stopping(float(self.tol), self.max_iter, source.total_weight)
        restarts = fit_one(
            source,
            sample,
            case,
            stopping,
            rng,
            n_init=self.n_init,
            beginning=beginning,
            pilot=solver if self.pilot else None,
            ascend=partial(finish, solver=solver),
            observe=self._observer(tasks, source, stopping) if tasks.watched or self.verbose else None,
        )
        if self.verbose:
            for i, run in enumerate(restarts.runs):
                print(f"Restart {i}: {run.n_iter} iterations, {run.stop.sentence}")
        return PointFit(case.algorithm, restarts, source.total_weight)

    def _case(self, source: Source, sample: SeedingSample) -> Case[ExpectationMaximization]:
        structure = covariance_structure(self.covariance_type, source.n_features)
        (case,) = self._point_cases(source, sample, [structure], [self.n_components])
        return case

    def _learns_by_batches(self) -> bool:
        return self.solver == self._batch_solver

    def _stream_case(self, source: Source, sample: SeedingSample, enough: bool) -> Case[ExpectationMaximization]:
        case = self._case(source, sample)
        solver_for(self.solver, case.algorithm)
        if self.penalty is not None:
            raise InvalidParameterError("partial_fit climbs the plain likelihood; it takes no penalty.")
        if enough:
            return case
        algorithm = case.finder  # to few rows a likelihood fits spikes
        prior = empirical_prior(source, sample, algorithm.structure, self.n_components, algorithm.floor)
        return point_case(self.n_components, replace(algorithm, prior=prior))

    def _beginning(self, source: Source, kept: Array | None, n_rows: int, earlier: Earlier | None) -> Beginning:
        """Where to begin, as far as the parameters say."""
        if earlier is not None:
            return Beginning(earlier=earlier)
        shape = (self.n_components, source.n_features)
        weights = None if self.weights_init is None else given_weights(self.weights_init, self.n_components)
        if weights is not None and self.equal_weights and np.ptp(weights) > 1e-6:
            raise InvalidParameterError(
                "equal_weights holds all weights at 1/K, and weights_init gives others; leave one of them out."
            )
        means = None if self.means_init is None else given_means(self.means_init, *shape)
        covariances = None
        if self.precisions_init is not None:
            structure = covariance_structure(self.covariance_type, source.n_features)
            covariances = covariances_from_precisions(self.precisions_init, structure, *shape)
        beginning = Beginning(weights=weights, means=means, covariances=covariances)
        if beginning.is_whole or isinstance(self.init_params, str):
            return replace(beginning, seeding=self.init_params if isinstance(self.init_params, str) else "kmeans")
        return replace(beginning, partition=as_partition(self.init_params, kept, n_rows, self.n_components))

    def _observer(self, tasks: FitTasks, source: Source, stopping: Stopping) -> Observer:
        narrate = Narration(self.verbose_interval, source.n_rows, stopping, source.total_weight)

        def observe(index: int, mixture: Mixture, bounds: tuple[float, ...]) -> bool:
            n_iter = len(bounds) - 1
            if self.verbose:
                narrate(index, bounds)
            if index or not n_iter or not tasks.watched:  # callbacks follow the first restart
                return False
            named = mixture.with_feature_names(getattr(self, "feature_names_in_", None))
            per_row = [bound / source.total_weight for bound in bounds]
            reached = {"n_iter_": n_iter, "lower_bound_": per_row[-1], "lower_bounds_": per_row[1:]}
            return tasks.iteration({**parts_of(named, source.dtype), **reached})

        return observe

    def _warn(self) -> None:
        self._warn_of_collapses(stacklevel=5 + FRAMES)
        if not self.converged_ and self.max_iter:
            which = "the fit" if self.n_init == 1 else f"the best of n_init={self.n_init} restarts"
            warnings.warn(
                f"{which} did not converge: {self.stop_.sentence}.{remedy_of(self.stop_)}",
                ConvergenceWarning,
                stacklevel=4 + FRAMES,
            )

    def _warn_of_collapses(self, stacklevel: int) -> None:
        if self.collapses_:
            warnings.warn(
                f"{listed(self.collapses_)}. Held at the floor (reg_covar={self.reg_covar!r}), as is right where a column has few "
                "values. Otherwise try fewer components, a prior (covariance_prior='empirical'), or another reg_covar.",
                CollapseWarning,
                stacklevel=stacklevel,
            )
        if without_rows := np.flatnonzero(self.weights_ == 0).tolist():
            others = f" and {len(without_rows) - MOST_LISTED} more" if len(without_rows) > MOST_LISTED else ""
            warnings.warn(
                f"no row belongs to component{'s' * (len(without_rows) > 1)} "
                f"{', '.join(map(str, without_rows[:MOST_LISTED]))}{others}: weight zero. Try fewer components or another start.",
                CollapseWarning,
                stacklevel=stacklevel,
            )

    def exact_bound(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """``lower_bound_`` with all components of every row, by one pass: what ``max_responsibilities`` has dropped is in it.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        sample_weight : (N,) array-like, optional
            Their weights.

        Returns
        -------
        float
            Log-likelihood per row, or what is climbed in its place with a prior, a penalty or hard assignment.

        Examples
        --------
        >>> import numpy as np
        >>> import mixtura as mx
        >>> X = np.random.default_rng(0).normal(size=(600, 2)) + np.repeat([[0, 0], [0, 4], [5, 0]], 200, axis=0)
        >>> gm = mx.GaussianMixture(3, max_responsibilities=2, random_state=0).fit(X)
        >>> bool(gm.lower_bound_ <= gm.exact_bound(X))
        True
        >>> bool(np.isclose(gm.exact_bound(X), gm.score(X)))
        True
        """
        source, mixture, algorithm = self._source(X, sample_weight), self.mixture_, self.algorithm_
        with Sweep(source) as sweep:
            (swept,) = sweep([mixture.scorer], among_all(algorithm.assignment))
        return (swept.log_normaliser + algorithm.log_prior(mixture)) / source.total_weight

    def certificate(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> Certificate:
        """How good the answer is: the gradient there, the gain still possible, and whether it is a maximum.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        sample_weight : (N,) array-like, optional
            Their weights.

        Returns
        -------
        Certificate

        Raises
        ------
        InvalidParameterError
            If the bound has no gradient: with a prior, hard assignment or equal weights, or a component without rows.

        Examples
        --------
        >>> import numpy as np
        >>> import mixtura as mx
        >>> X = np.array([[1.0], [1.2], [0.8], [7.0], [7.4], [6.6]])
        >>> mx.GaussianMixture(2, random_state=0).fit(X).certificate(X).is_maximum
        True
        """
        source = self._source(X, sample_weight)
        check_has_gradients(self.algorithm_, "certificate")
        return certify(self.mixture_, self.stop_.remaining, source, self.algorithm_.penalty)

    def standard_errors(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        method: str = "observed",
        n_replicates: int = 200,
        random_state: RandomState = None,
    ) -> StandardErrors:
        """Standard errors of the fitted weights, means and covariances.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        sample_weight : (N,) array-like, optional
            Their weights.
        method : {"observed", "sandwich", "bootstrap"}, default="observed"
            From the observed information, which is right if the model is; the sandwich, which is right beyond that; or refits under
            random row weights.
        n_replicates : int, default=200
            Of the bootstrap.
        random_state : None, int, RandomState or Generator
            For the bootstrap.

        Returns
        -------
        StandardErrors

        Raises
        ------
        InvalidParameterError
            If the fit is not a maximum of the plain likelihood.

        Examples
        --------
        >>> import numpy as np
        >>> import mixtura as mx
        >>> X = np.random.default_rng(0).normal(size=(400, 1))
        >>> gm = mx.GaussianMixture(1).fit(X)
        >>> np.allclose(gm.standard_errors(X).means, X.std() / 20)
        True
        """
        source = self._source(X, sample_weight)
        check_has_gradients(self.algorithm_, "standard_errors")
        if self.penalty is not None:
            raise InvalidParameterError("standard_errors are those of the plain likelihood; this fit has a penalty.")
        return standard_errors(
            self.mixture_,
            source,
            method=method,
            n_replicates=n_replicates,
            random_state=random_state,
        )
