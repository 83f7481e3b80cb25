"""``BayesianGaussianMixture``: scikit-learn's class in every parameter, attribute and method, with an exact bound."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from mixtura.assess.evidence.estimate import LogEvidence
from mixtura.assess.evidence.importance import importance_sampling
from mixtura.assess.uncertainty.linear_response import linear_response
from mixtura.assess.uncertainty.standard_errors import StandardErrors
from mixtura.data.source import Source
from mixtura.estimators.checkpoint import CHECKPOINT, Resumable, logged
from mixtura.estimators.conjugate import PRIORS, conjugate_prior, weight_prior
from mixtura.estimators.fitted import replaced_fit
from mixtura.estimators.inputs import as_partition, entered, remedy_of, variance_floor
from mixtura.estimators.parameters import CLIMBS, EVERY, POSITIVE_NUMBER, REPORTS
from mixtura.estimators.progress import Narration
from mixtura.estimators.record import VariationalFit, view
from mixtura.estimators.streaming import LearnsFromBatches
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.files import StrPath
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState, as_generator
from mixtura.inference.climb.loop import Observer
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import FINE_SHARE, Stopping
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.inference.starts.plan import Beginning, Case, Earlier, fit_one
from mixtura.inference.starts.sample import SeedingSample, seeding_sample
from mixtura.inference.starts.variational_solvers import SOLVERS, Cavi, Svi, VariationalSolver
from mixtura.model.covariance import covariance_structure
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.conjugate import NormalInverseWishart

LEAST_OF_FLOAT32 = 1e-15
"""Prior rows below which a share that float32 cannot tell from zero would count."""


class BayesianGaussianMixture(Resumable, LearnsFromBatches, BaseEstimator):
    r"""Gaussian mixture with a variational posterior.

    Every parameter and attribute of scikit-learn's class of this name is here. What differs: the bound is complete, so it can be compared
    across numbers of components and is a lower bound of the log evidence; diagonal and round covariances have normal–gamma priors, each
    variance of its own with ``degrees_of_freedom_prior`` degrees of freedom; a tied covariance counts all rows; and ``score_samples`` is
    the log of the posterior predictive density, a mixture of Student's t.

    Parameters
    ----------
    n_components : int, default=1
        Most components; those that the data do not need end with almost no weight.
    covariance_type : {"full", "tied", "diag", "tied_diag", "spherical", "tied_spherical"} or code, default="full"
    tol : float, default=1e-3
        Bound per row still to come, as in ``GaussianMixture``.
    reg_covar : "auto" or float, default="auto"
        Floor under the default ``covariance_prior``, for data that lie in a subspace; "auto" is one for each column, in its unit, as in
        ``GaussianMixture``. Covariances themselves need none: the prior keeps them away from singular ones.
    max_iter : int, default=100
        Most updates of one climb; each climb that follows a move may take as many.
    n_init : int, default=1
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, (N,) integer array or (N, K) array, default="kmeans"
    weight_concentration_prior_type : {"dirichlet_process", "dirichlet_distribution"}, default="dirichlet_process"
        Stick-breaking weights, in the order that makes the counts most probable, or a symmetric Dirichlet law.
    weight_concentration_prior : float, optional
        ``α`` of the process, or of each component; ``1/K`` by default.
    mean_precision_prior : float, optional
        ``β₀``, how many rows the prior mean is worth; 1 by default, or what ``prior`` says.
    mean_prior : (D,) array-like, optional
        ``m₀``; the mean of the data by default.
    degrees_of_freedom_prior : float, optional
        ``ν₀``; ``D`` by default.
    covariance_prior : array-like, optional
        ``Ψ₀``: a matrix, variances, or one variance, as the structure has it; the covariance of the data by default, the
        unbiased one of as many rows as there are or as their weights sum to, whichever is more.
    random_state : None, int, RandomState or Generator
    warm_start : bool, default=False
    verbose : int, default=0
    verbose_interval : int, default=10
    prior : {"data", "weakly-informative"} or NormalInverseWishart, default="data"
        What stands for those of the four parameters of the prior of means and covariances that are not given: the mean and the covariance
        of the data, as in scikit-learn, under which groups much tighter than the data as a whole are flattened; or, in the manner of
        Richardson and Green (1997), means over the range of the data and scales of a tenth of it, give or take; or a prior of one's own.
    solver : {"cavi", "svi"}, Cavi or Svi, default="cavi"
        Coordinate ascent, or learning by batches, which also learns from streams, through ``partial_fit``; with settings of their own,
        such as ``Cavi(moves=False)``. Draws from the posterior itself are those of ``SampledGaussianMixture``; NumPyro's guides are in
        ``mixtura.bridges.numpyro``.
    checkpoint : path-like, optional
        As in ``GaussianMixture``; for "cavi" over all rows at once.

    Attributes
    ----------
    posterior_ : Posterior
        The belief: expectations, intervals, draws, predictive density.
    mixture_ : Mixture
        The point that stands for the posterior.
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        Of that point.
    weight_concentration_, mean_precision_, degrees_of_freedom_ : arrays
        Of the posterior.
    weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_, covariance_prior_
        The prior that was used, and ``prior_``, those of means and covariances in one.
    lower_bound_ : float
        Evidence lower bound, over all rows.
    lower_bounds_ : list of float
        After each iteration.
    losses_ : list of float
        Of "svi": the negative bound per row that each batch gave before it was learnt from.
    converged_ : bool
    n_iter_ : int
    stop_ : Stop
        Why the climb ended, as a value and a sentence.
    restarts_ : Restarts
    record_ : VariationalFit
        All of this in one record; ``StreamFit`` after ``partial_fit``.
    n_features_in_ : int
    feature_names_in_ : array of str

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-5, 1, (100, 1)), rng.normal(5, 1, (100, 1))])
    >>> gm = mx.BayesianGaussianMixture(5, weight_concentration_prior=1e-3, random_state=0).fit(X)
    >>> np.sort(gm.weights_.round(2)).tolist()
    [0.0, 0.0, 0.0, 0.5, 0.5]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **EVERY,
        **CLIMBS,
        **REPORTS,
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "weight_concentration_prior_type": [StrOptions({"dirichlet_process", "dirichlet_distribution"})],
        "weight_concentration_prior": POSITIVE_NUMBER,
        "mean_precision_prior": POSITIVE_NUMBER,
        "mean_prior": ["array-like", None],
        "degrees_of_freedom_prior": POSITIVE_NUMBER,
        "covariance_prior": ["array-like", Interval(Real, 0.0, None, closed="neither"), None],
        "prior": [StrOptions(set(PRIORS)), NormalInverseWishart],
        "solver": [StrOptions(set(SOLVERS)), Cavi, Svi],
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
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: ArrayLike | None = None,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        prior: str | NormalInverseWishart = "data",
        solver: str | Cavi | Svi = "cavi",
        checkpoint: StrPath | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.prior = prior
        self.solver = solver
        self.checkpoint = checkpoint

    _batch_solver = "svi"
    posterior_ = view("posterior")
    weight_concentration_ = view("posterior.weights.parameters")
    mean_precision_ = view("posterior.mean_precisions")
    degrees_of_freedom_ = view("posterior.degrees_of_freedom")
    weight_concentration_prior_ = view("algorithm.weights.prior")
    mean_precision_prior_ = view("algorithm.prior.mean_precision")
    mean_prior_ = view("algorithm.prior.mean")
    degrees_of_freedom_prior_ = view("algorithm.prior.degrees_of_freedom")
    covariance_prior_ = view("algorithm.covariance_prior")
    prior_ = view("algorithm.prior")
    algorithm_ = view("algorithm")
    lower_bound_ = view("lower_bound")
    lower_bounds_ = view("lower_bounds")
    losses_ = view("losses", absent=None)
    converged_ = view("converged")
    n_iter_ = view("n_iter")
    stop_ = view("stop")
    restarts_ = view("restarts")

    # ---- fitting ---------------------------------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find the posterior.

        Parameters
        ----------
        X : (N, D) array-like, or what ``mixtura.scan`` takes or returns
        y : ignored
        sample_weight : (N,) array-like, optional

        Warns
        -----
        ConvergenceWarning
            If more than ``tol`` per row is still to come when ``max_iter`` is reached.
        """
        return self._fit(X, sample_weight)

    def _fit(self, X: ArrayLike, sample_weight: ArrayLike | None, resumes: bool = False) -> Self:
        self._validate_params()
        earlier = self._earlier()
        if self.checkpoint is not None and not self._solver().reads_whole:
            raise InvalidParameterError(
                f"a checkpoint follows passes over all rows, and solver={self.solver!r} makes none. Take solver='cavi', or leave it out."
            )
        with replaced_fit(self):
            source, kept, n_rows = entered(self, X, sample_weight, self.n_components, reset=True, least=2)
            with logged(self, source, resumes) as (rows, rng):
                self._take(self._climb(rows, kept, n_rows, rng, earlier), source.dtype)
        self._warn()
        return self

    def _climb(
        self, source: Source, kept: Array | None, n_rows: int, rng: np.random.Generator, earlier: Earlier | None
    ) -> VariationalFit:
        sample = seeding_sample(source, self.n_components)
        case = self._case(source, sample)
        stopping = Stopping(float(self.tol), self.max_iter, source.total_weight, FINE_SHARE)
        restarts = fit_one(
            source,
            sample,
            case,
            stopping,
            rng,
            n_init=self.n_init,
            beginning=self._beginning(source, kept, n_rows, earlier),
            ascend=self._solver().ascent(sample, rng, self._say_loss if self.verbose else None),
            observe=self._observer(source.n_rows, stopping) if self.verbose else None,
        )
        return VariationalFit(case.algorithm, restarts)

    def _solver(self) -> VariationalSolver:
        return SOLVERS[self.solver] if isinstance(self.solver, str) else self.solver

    def _case(self, source: Source, sample: SeedingSample) -> Case[CoordinateAscent]:
        structure = covariance_structure(self.covariance_type, source.n_features)
        assert isinstance(structure, SharedBlocks)
        floor = variance_floor(self.reg_covar, source, sample).variances
        prior = conjugate_prior(
            source,
            structure,
            self.prior,
            mean=self.mean_prior,
            mean_precision=self.mean_precision_prior,
            covariance=self.covariance_prior,
            degrees_of_freedom=self.degrees_of_freedom_prior,
            floor=floor,
        )
        alpha = self.weight_concentration_prior
        concentration = 1 / self.n_components if alpha is None else float(alpha)
        if source.dtype == np.float32:
            _check_room(weight_concentration_prior=concentration, mean_precision_prior=prior.mean_precision)
        process = self.weight_concentration_prior_type == "dirichlet_process"
        algorithm = CoordinateAscent(structure, prior, weight_prior(self.n_components, concentration, process))
        return Case(self.n_components, algorithm, ExpectationMaximization(structure, floor=floor, prior=prior))

    def _learns_by_batches(self) -> bool:
        return isinstance(self._solver(), Svi)

    def _stream_case(self, source: Source, sample: SeedingSample, enough: bool) -> Case[CoordinateAscent]:
        return self._case(source, sample)

    def _beginning(self, source: Source, kept: Array | None, n_rows: int, earlier: Earlier | None) -> Beginning:
        """Where to begin, as far as the parameters say."""
        if earlier is not None:
            return Beginning(earlier=earlier)
        if isinstance(self.init_params, str):
            return Beginning(self.init_params)
        return Beginning(partition=as_partition(self.init_params, kept, n_rows, self.n_components))

    def _warn(self) -> None:
        if not self.converged_:
            which = "the fit" if self.n_init == 1 else f"the best of n_init={self.n_init} restarts"
            warnings.warn(
                f"{which} did not converge: {self.stop_.sentence}.{remedy_of(self.stop_)}",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _say_loss(self, n_steps: int, loss: float) -> None:
        if n_steps % self.verbose_interval == 0:
            print(f"Batch {n_steps}: loss {loss:.8g}")

    def _observer(self, n_rows: int, stopping: Stopping) -> Observer:
        narrate = Narration(self.verbose_interval, n_rows, stopping)

        def say(index: int, belief: Any, bounds: tuple[float, ...]) -> bool:
            narrate(index, bounds)
            return False

        return say

    def standard_errors(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> StandardErrors:
        """Posterior standard deviations of weights, means and covariances, the dependence of labels and parameters included.

        Variational Bayes leaves that out, so its own intervals are too narrow where components overlap; linear response puts it back, to
        first order (Giordano, Broderick and Jordan 2015).

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        sample_weight : (N,) array-like, optional
            Their weights.

        Raises
        ------
        InvalidParameterError
            If the posterior is not at a maximum of the bound for these rows.
        """
        check_is_fitted(self, "posterior_")
        source = self._source(X, sample_weight)
        return linear_response(self.posterior_, source)

    def log_evidence(
        self, X: ArrayLike, sample_weight: ArrayLike | None = None, *, random_state: RandomState = None
    ) -> LogEvidence:
        """Log of the marginal likelihood of the rows, with its standard error: what models are compared by.

        By importance sampling, which begins with the variational posterior, looks for other optima, and learns from its own draws and from
        chains that know of none. All orders of the components count, so labels do not matter.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        sample_weight : (N,) array-like, optional
            Their weights.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        LogEvidence
            ``value``, ``standard_error`` and ``pareto_k``.

        Raises
        ------
        InvalidParameterError
            If there are more than 12 components.
        UnknownEvidenceError
            If no estimate can be trusted; the message says why, and what to try.
        """
        check_is_fitted(self, "posterior_")
        source = self._source(X, sample_weight)
        others = [run.mixture for run in self.restarts_.runs] if hasattr(self, "restarts_") else []
        return importance_sampling([self.posterior_, *others], source, as_generator(random_state))


def _check_room(**given: float) -> None:
    """Raise if a share that float32 cannot tell from zero would count beside the prior."""
    for name, value in given.items():
        if value < LEAST_OF_FLOAT32:
            raise InvalidParameterError(
                f"{name} must be {LEAST_OF_FLOAT32:g} at least where data are float32; got {value:.3g}. Use float64."
            )
