"""``GaussianMixture``: scikit-learn's class in every parameter, attribute and method, and more."""

from __future__ import annotations

import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import validate_data

from mixtura.assess.standard_errors import StandardErrors, standard_errors
from mixtura.data.array import ArraySource
from mixtura.estimators.callbacks import FRAMES, CallbackSupportMixin, FitTasks, with_callbacks
from mixtura.estimators.conjugate import CORRELATION
from mixtura.estimators.fitted import Earlier, FittedMixture, parts_of, replaced_fit
from mixtura.estimators.inputs import (
    as_partition,
    as_rows,
    as_source,
    check_warm_start,
    covariances_from_precisions,
    given_means,
    given_weights,
    remedy_of,
    replace_parts,
    variance_floor,
)
from mixtura.estimators.streaming import LearnsFromBatches
from mixtura.ground.errors import CollapseError, CollapseWarning, InvalidParameterError
from mixtura.ground.linalg import Array, raise_correlations
from mixtura.ground.random import RandomState, as_generator
from mixtura.inference.certificate import Certificate, certify
from mixtura.inference.collapse import MOST_LISTED, Collapse, Collapsed, listed
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.loop import Observer
from mixtura.inference.penalty import Checked, Penalty, check_gradient
from mixtura.inference.pilot import fly, pilot_source
from mixtura.inference.race import Pool, Shortlist, Start, race
from mixtura.inference.restarts import Restarts, finish
from mixtura.inference.seeding import SeedingSample, seeding_sample
from mixtura.inference.solvers import SOLVERS, check_has_gradients, solver_for
from mixtura.inference.starts import REMEDY, SEEDINGS, above_floor, near_centres, seeded, single_gaussian
from mixtura.inference.stopping import Stop, Stopping
from mixtura.model.covariance import COVARIANCE_TYPES, CovarianceStructure, covariance_structure
from mixtura.model.mixture import Mixture
from mixtura.model.prior import NormalInverseWishart
from mixtura.sweep import Assignment, accumulate, hard, moments_of_all, soft

_ASSIGNMENTS: dict[str, Assignment] = {"soft": soft, "hard": hard}


class GaussianMixture(CallbackSupportMixin, LearnsFromBatches, FittedMixture, BaseEstimator):
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
        scikit-learn looks at the last step only; within ``max_iter`` it goes on until a ten-thousandth of ``tol`` is.
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
        1 prints the bound of each restart every ``verbose_interval`` iterations, and why it ended.
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
        (steps along the gradient in the coordinates of the moments). All but
        "auto" and "em" need soft assignment, free weights and no conjugate prior; there "auto" extrapolates EM's steps.
    penalty : Penalty, optional
        An object with ``value(mixture)`` and ``gradient(mixture)``, the derivatives by weights, means and covariances, which is added to
        the log-likelihood. There is no closed M-step then, so any solver but "em" and "newton" serves (see docs/penalties.md). A gradient
        that is not that of the value, or an answer that is not finite, is refused.
    pilot : bool, default=True
        Whether large data (from 200 000 rows) are climbed on a subsample first, unless a start is given.

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
    stop_ : Stop
        Why the best restart ended, as a value and a sentence.
    optima_ : tuple of Optimum
        The distinct optima that the restarts found, best first, and how often each was reached.
    n_collapsed_ : int
        Restarts in which a component collapsed onto too few rows to be a group.
    collapses_ : tuple of Collapse
        Components of the fitted mixture that are held at the floor.
    restarts_ : Restarts
        All of this in one record; ``restarts_.best`` is the best run with its start.
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
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(COVARIANCE_TYPES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(SEEDINGS)), "array-like"],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", Real, None],
        "random_state": ["random_state", np.random.Generator],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "covariance_prior": [StrOptions({"empirical"}), NormalInverseWishart, None],
        "assignment": [StrOptions(set(_ASSIGNMENTS))],
        "equal_weights": ["boolean"],
        "solver": [StrOptions(set(SOLVERS))],
        "penalty": [HasMethods(["value", "gradient"]), None],
        "pilot": ["boolean"],
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

    # ---- fitting ---------------------------------------------------------------------------------------------------------------

    _batch_solver = "gradient"
    collapses_: tuple[Collapse, ...]

    @with_callbacks
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Estimate the mixture.

        Parameters
        ----------
        X : (N, D) array-like
            NumPy array, a pandas, polars or Arrow table, or anything with an Arrow stream.
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
        self._fit(X, sample_weight)
        self._warn()
        return self

    def _fit(self, X: ArrayLike, sample_weight: ArrayLike | None) -> None:
        """Fit, and say nothing of how it went."""
        self._validate_params()
        earlier = self._earlier()
        with replaced_fit(self):
            rows: Array = validate_data(self, as_rows(X), dtype=[np.float64, np.float32], ensure_min_samples=2)
            source, kept = as_source(rows, sample_weight, self.n_components)
            metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
            tasks = FitTasks(self, rows, self.max_iter, metadata)
            self.adopt(self._climb(source, kept, len(rows), tasks, earlier), self.algorithm_, source)
            tasks.end()

    def _earlier(self) -> Earlier | None:
        """What a warm start goes on from."""
        if not self.warm_start or "weights_" not in vars(self):
            return None
        return Earlier(self.mixture_, vars(self).get("_bounds_", ()))

    def _algorithm(self, source: ArraySource, sample: SeedingSample) -> ExpectationMaximization:
        structure = covariance_structure(self.covariance_type, source.n_features)
        floor = variance_floor(self.reg_covar, source, sample)
        return ExpectationMaximization(
            structure,
            floor=floor.variances,
            prior=self._prior(source, sample, structure, floor.variances),
            assignment=_ASSIGNMENTS[self.assignment],
            equal_weights=self.equal_weights,
            penalty=None if self.penalty is None else Checked(self.penalty),
            collapsed=floor.collapsed,
        )

    def _begin_stream(
        self, source: ArraySource, kept: Array | None, n_rows: int, earlier: Earlier | None, enough: bool
    ) -> tuple[ExpectationMaximization, Shortlist]:
        sample = seeding_sample(source, self.n_components)
        algorithm = self._algorithm(source, sample)
        solver_for(self.solver, algorithm)
        if self.penalty is not None:
            raise InvalidParameterError("partial_fit climbs the plain likelihood; it takes no penalty.")
        if not enough:  # to few rows a likelihood fits spikes
            algorithm = replace(algorithm, prior=self._empirical(source, sample, algorithm.structure, algorithm.floor))
        self.algorithm_, self.prior_ = algorithm, algorithm.prior
        self.reg_covar_ = np.broadcast_to(algorithm.floor, source.n_features).astype(float)
        shortlist = self._shortlist(source, kept, n_rows, sample, earlier)
        starts = [start._replace(mixture=_with_all_weights(start.mixture, source)) for start in shortlist.starts]
        return algorithm, shortlist._replace(starts=starts)

    def _adopt_stream(self, belief: Mixture, loss: float, weight: float, dtype: np.dtype) -> None:
        named = belief.with_feature_names(getattr(self, "feature_names_in_", None))
        self.__dict__.update(parts_of(named, dtype))
        self.lower_bound_, self.collapses_ = -loss, ()
        self.stop_ = Stop("batches", False, float("inf"), f"learnt from {self.n_iter_} batches")

    def _climb(
        self, source: ArraySource, kept: Array | None, n_rows: int, tasks: FitTasks, earlier: Earlier | None
    ) -> Restarts:
        sample = seeding_sample(source, self.n_components)
        self.algorithm_ = self._algorithm(source, sample)
        solver = solver_for(self.solver, self.algorithm_)
        shortlist = self._shortlist(source, kept, n_rows, sample, earlier)
        if isinstance(self.algorithm_.penalty, Checked):
            check_gradient(self.algorithm_.penalty, shortlist.starts[0].mixture)
        stopping = Stopping(float(self.tol), self.max_iter, source.total_weight)
        observe = self._observer(tasks, source) if tasks.watched or self.verbose else None
        wants_pilot = earlier is None and self._chooses_its_pilot()
        rows = pilot_source(source, shortlist.starts[0].mixture.n_parameters) if wants_pilot else None
        if rows is not None:
            shortlist = fly(rows, shortlist, self.algorithm_, stopping, solver)
        (restarts,) = finish(source, [shortlist], [self.algorithm_], stopping, observe, solver=solver)
        if isinstance(restarts, CollapseError):
            raise restarts
        if self.verbose:
            for i, run in enumerate(restarts.runs):
                print(f"Restart {i}: {run.n_iter} iterations, {run.stop.sentence}")
        return restarts

    def _chooses_its_pilot(self) -> bool:
        """Whether a pilot is wanted, and nobody has said where to start."""
        given = (self.weights_init, self.means_init, self.precisions_init)
        return self.pilot and isinstance(self.init_params, str) and all(part is None for part in given)

    def _prior(
        self, source: ArraySource, sample: SeedingSample, structure: CovarianceStructure, floor: Array | float
    ) -> NormalInverseWishart | None:
        if not isinstance(self.covariance_prior, str):
            if self.covariance_prior is not None and len(self.covariance_prior.mean) != source.n_features:
                raise InvalidParameterError(
                    f"covariance_prior is for {len(self.covariance_prior.mean)} features; the data have {source.n_features}."
                )
            return self.covariance_prior
        return self._empirical(source, sample, structure, floor)

    def _empirical(
        self, source: ArraySource, sample: SeedingSample, structure: CovarianceStructure, floor: Array | float
    ) -> NormalInverseWishart:
        """The weak prior in the units of the data."""
        moments = moments_of_all(source, diagonal=structure.diagonal)
        covariance = moments.scatter()[0] / moments.count[0]
        if not np.any(floor):  # a prior is there so that nothing collapses: its own scale is not singular
            floor = variance_floor("auto", source, sample).variances
        scale = single_gaussian(covariance, moments.means(), structure, floor)
        scale = np.diag(scale) if structure.diagonal else raise_correlations(scale[None], CORRELATION)[0]
        return NormalInverseWishart.from_data_moments(moments.means()[0], scale, self.n_components)

    def _shortlist(
        self, source: ArraySource, kept: Array | None, n_rows: int, sample: SeedingSample, earlier: Earlier | None
    ) -> Shortlist:
        """The mixtures that the restarts begin from."""
        if earlier is not None:
            return Shortlist([self._warm(earlier, source)])
        algorithm, n_components = self.algorithm_, self.n_components
        shape = (n_components, source.n_features)
        weights = None if self.weights_init is None else given_weights(self.weights_init, n_components)
        if weights is not None and self.equal_weights and np.ptp(weights) > 1e-6:
            raise InvalidParameterError(
                "equal_weights holds all weights at 1/K, and weights_init gives others; leave one of them out."
            )
        means = None if self.means_init is None else given_means(self.means_init, *shape)
        covariances = (
            None
            if self.precisions_init is None
            else covariances_from_precisions(self.precisions_init, algorithm.structure, *shape)
        )
        given = (weights, means, covariances)
        if weights is not None and means is not None and covariances is not None:
            start = Mixture(weights, means, covariances, algorithm.structure.name)
            return Shortlist([Start(above_floor(start, algorithm.floor))], is_given=True)
        if not isinstance(self.init_params, str):
            partition = as_partition(self.init_params, kept, n_rows, n_components)
            moments = accumulate(source, partition, n_components, diagonal=algorithm.structure.diagonal)
            starts = [self._first_m_step(moments)]
        elif means is not None:
            starts = [near_centres(sample, means, algorithm)]
        else:
            rng = as_generator(self.random_state)
            starts = seeded(sample, n_components, algorithm, rng, self.n_init, self.init_params)
        starts = [above_floor(replace_parts(start, *given), algorithm.floor) for start in starts]
        pool = Pool(starts, replace(algorithm, penalty=None), self.n_init)
        (shortlist,) = race(sample, [pool])
        return shortlist

    def _warm(self, earlier: Earlier, source: ArraySource) -> Start:
        """The last fit as a start; where the structure is another one now, the M-step from its responsibilities."""
        mixture: Mixture = earlier.belief
        wanted = (self.n_components, source.n_features)
        check_warm_start(mixture.means.shape, wanted)
        structure = self.algorithm_.structure
        if mixture.structure is structure:
            if self.equal_weights and np.ptp(mixture.weights):
                mixture = replace_parts(mixture, np.full(self.n_components, 1 / self.n_components), None, None)
            return Start(above_floor(mixture, self.algorithm_.floor), history=earlier.bounds)
        shares = mixture.responsibilities(source.rows)
        return Start(self._first_m_step(accumulate(source, shares, self.n_components, diagonal=structure.diagonal)))

    def _first_m_step(self, moments: Any) -> Mixture:
        try:
            return self.algorithm_.maximise(moments)
        except Collapsed as collapsed:
            raise InvalidParameterError(
                f"init_params leaves a component that has collapsed: {collapsed}. {REMEDY}"
            ) from collapsed

    def _observer(self, tasks: FitTasks, source: ArraySource) -> Observer:
        def observe(index: int, mixture: Mixture, bounds: tuple[float, ...]) -> bool:
            n_iter = len(bounds) - 1
            if self.verbose and n_iter and n_iter % self.verbose_interval == 0:
                print(f"Restart {index}, iteration {n_iter}: lower bound {bounds[-1] / source.total_weight:.8g}")
            if index or not n_iter or not tasks.watched:  # callbacks follow the first restart
                return False
            return tasks.iteration(self._attributes(mixture, bounds, source))

        return observe

    def adopt(self, restarts: Restarts, algorithm: ExpectationMaximization, source: ArraySource) -> Self:
        """Take for the fit the best of these restarts of an algorithm on a source."""
        best = restarts.best
        self.algorithm_, self.prior_ = algorithm, algorithm.prior
        self.n_passes_ = restarts.n_passes
        self.reg_covar_ = np.broadcast_to(algorithm.floor, source.n_features).astype(float)
        self._bounds_ = (*best.history, *best.bounds)
        for name, value in self._attributes(best.mixture, best.bounds, source).items():
            setattr(self, name, value)
        self.restarts_, self.optima_, self.n_collapsed_ = restarts, restarts.optima, restarts.n_collapsed
        self.stop_, self.converged_ = best.stop, best.stop.converged
        self.collapses_ = best.collapses
        return self

    def _attributes(self, mixture: Mixture, bounds: tuple[float, ...], source: ArraySource) -> dict[str, Any]:
        """The attributes with which an estimator predicts like ``mixture``."""
        named = mixture.with_feature_names(getattr(self, "feature_names_in_", None))
        attributes = parts_of(named, source.rows.dtype)
        per_row = [bound / source.total_weight for bound in bounds]
        attributes.update(n_iter_=len(bounds) - 1, lower_bound_=per_row[-1], lower_bounds_=per_row[1:])
        return attributes

    def _warn(self) -> None:
        self._warn_of_collapses(stacklevel=4 + FRAMES)
        if not self.converged_ and self.max_iter:
            which = "the fit" if self.n_init == 1 else f"the best of n_init={self.n_init} restarts"
            warnings.warn(
                f"{which} did not converge: {self.stop_.sentence}.{remedy_of(self.stop_)}",
                ConvergenceWarning,
                stacklevel=3 + FRAMES,
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
        rows = self._rows(X)
        check_has_gradients(self.algorithm_, "certificate")
        source, _ = as_source(rows, sample_weight, 1)
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
        rows = self._rows(X)
        check_has_gradients(self.algorithm_, "standard_errors")
        if self.penalty is not None:
            raise InvalidParameterError("standard_errors are those of the plain likelihood; this fit has a penalty.")
        return standard_errors(
            self.mixture_,
            rows,
            sample_weight,
            method=method,
            n_replicates=n_replicates,
            random_state=random_state,
        )


def _with_all_weights(start: Mixture, source: ArraySource) -> Mixture:
    """A start none of whose components has no weight: it would never get any."""
    if start.weights.all():
        return start
    weights = start.weights + 1 / source.total_weight
    return replace_parts(start, weights / weights.sum(), None, None)
