"""``BayesianGaussianMixture``: scikit-learn's class in every parameter, attribute and method, with an exact bound."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura.assess.linear_response import linear_response
from mixtura.assess.standard_errors import StandardErrors
from mixtura.data.array import ArraySource
from mixtura.data.arrow import as_table
from mixtura.estimators.fitted import FittedMixture
from mixtura.estimators.inputs import as_partition, as_source
from mixtura.estimators.streaming import LearnsFromBatches
from mixtura.ground.errors import CollapseError, InvalidParameterError
from mixtura.ground.linalg import EPS, Array, raise_eigenvalues
from mixtura.ground.random import RandomState, as_generator
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.loop import Run
from mixtura.inference.memoised import climb_by_blocks
from mixtura.inference.moves import leap
from mixtura.inference.race import SHORT_RUNS, Pool, Shortlist, Start, pool_size, race
from mixtura.inference.restarts import Optimum, Restarts, finish, summarise
from mixtura.inference.seeding import seeding_sample
from mixtura.inference.starts import SEEDINGS, kmeans
from mixtura.inference.stochastic import BATCH_ROWS, Blend, Step, Stream, begin, learn_all
from mixtura.inference.stopping import Stopping
from mixtura.inference.variational import CoordinateAscent
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.mixture import Mixture
from mixtura.model.posterior import Posterior
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.weight_posterior import Dirichlet, StickBreaking, WeightPosterior
from mixtura.sweep import Sweep, accumulate

TINY = float(np.finfo(np.float64).tiny) ** 0.5


class BayesianGaussianMixture(LearnsFromBatches, FittedMixture, BaseEstimator):
    r"""Gaussian mixture with a variational posterior, by coordinate ascent on the evidence lower bound or by stochastic steps.

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
    reg_covar : float, default=1e-6
        Floor under the default ``covariance_prior``, for data that lie in a subspace. Covariances themselves need none: the prior keeps
        them away from singular ones.
    max_iter : int, default=100
    n_init : int, default=1
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, (N,) integer array or (N, K) array, default="kmeans"
    weight_concentration_prior_type : {"dirichlet_process", "dirichlet_distribution"}, default="dirichlet_process"
        Stick-breaking weights, the largest component first, or a symmetric Dirichlet law.
    weight_concentration_prior : float, optional
        ``α`` of the process, or of each component; ``1/K`` by default.
    mean_precision_prior : float, optional
        ``β₀``, how many rows the prior mean is worth; 1 by default.
    mean_prior : (D,) array-like, optional
        ``m₀``; the mean of the data by default.
    degrees_of_freedom_prior : float, optional
        ``ν₀``; ``D`` by default.
    covariance_prior : array-like, optional
        ``Ψ₀``: a matrix, variances, or one variance, as the structure has it; the covariance of the data by default.
    random_state : None, int, RandomState or Generator
    warm_start : bool, default=False
    verbose : int, default=0
    verbose_interval : int, default=10
    solver : {"cavi", "svi"}, default="cavi"
        Coordinate ascent, which reads all rows for every step; or stochastic variational inference, which learns from batches of rows in
        random order until a read of the data brings no more than ``tol`` per row (at most ``max_iter`` reads; from a fair start one
        or two will do), and reads them once more for the exact bound. It also learns from streams, through ``partial_fit``.
    batch_size : int, optional
        Rows to a batch; 4096 by default for "svi". With "cavi", the belief is updated after every block of so many rows, by which it
        needs fewer reads; by default after all of them.
    moves : bool, default=True
        Whether "cavi", once it has converged, tries to merge, delete and split components, and goes on from the best of these as long
        as the bound rises. Components are split into places that the data had left empty.

    Attributes
    ----------
    posterior_ : Posterior
        The belief: expectations, draws, predictive density.
    mixture_ : Mixture
        Its plug-in point.
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        Of that point.
    weight_concentration_, mean_precision_, degrees_of_freedom_ : arrays
        Of the posterior.
    weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_, covariance_prior_
        The prior that was used.
    lower_bound_ : float
        Evidence lower bound, over all rows.
    lower_bounds_ : list of float
        After each iteration.
    losses_ : list of float
        Of "svi": the negative bound per row that each batch gave before it was learnt from.
    converged_ : bool
    n_iter_ : int
    restarts_ : Restarts
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
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions({name for s in STRUCTURES for name in (s.name, s.code)})],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(SEEDINGS)), "array-like"],
        "weight_concentration_prior_type": [StrOptions({"dirichlet_process", "dirichlet_distribution"})],
        "weight_concentration_prior": [Interval(Real, 0.0, None, closed="neither"), None],
        "mean_precision_prior": [Interval(Real, 0.0, None, closed="neither"), None],
        "mean_prior": ["array-like", None],
        "degrees_of_freedom_prior": [Interval(Real, 0.0, None, closed="neither"), None],
        "covariance_prior": ["array-like", Interval(Real, 0.0, None, closed="neither"), None],
        "random_state": ["random_state", np.random.Generator],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions({"cavi", "svi"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "moves": ["boolean"],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
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
        solver: str = "cavi",
        batch_size: int | None = None,
        moves: bool = True,
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
        self.solver = solver
        self.batch_size = batch_size
        self.moves = moves

    _batch_solver = "svi"

    # ---- fitting ---------------------------------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find the posterior.

        Parameters
        ----------
        X : (N, D) array-like
        y : ignored
        sample_weight : (N,) array-like, optional

        Warns
        -----
        ConvergenceWarning
            If more than ``tol`` per row is still to come when ``max_iter`` is reached.
        """
        self._validate_params()
        self._stream = None
        rows: Array = validate_data(self, as_table(X), dtype=[np.float64, np.float32], ensure_min_samples=2)
        source, kept = as_source(rows, sample_weight, self.n_components)
        algorithm = self._algorithm(source)
        stopping = Stopping(float(self.tol), self.max_iter, source.total_weight)
        shortlist = self._shortlist(source, kept, len(rows), algorithm)
        climb = self._by_batches if self.solver == "svi" else self._by_passes
        self._adopt(climb(source, shortlist, algorithm, stopping), rows.dtype)
        if not self.converged_:
            warnings.warn(
                f"The best of {self.restarts_.n_runs} restarts did not converge: {self.restarts_.best.stop.sentence}. "
                "Increase max_iter, or try other starts.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _by_passes(
        self, source: ArraySource, shortlist: Shortlist, algorithm: CoordinateAscent, stopping: Stopping
    ) -> Restarts:
        """Coordinate ascent, then moves for as long as they raise the bound."""
        observe = self._say if self.verbose else None
        if self.batch_size is None:
            (restarts,) = finish(source, [shortlist], [algorithm], stopping, observe)
            if isinstance(restarts, CollapseError):
                raise restarts
        else:
            starts = [start.mixture for start in shortlist.starts]
            runs = climb_by_blocks(source, starts, algorithm, stopping, self.batch_size, observe)
            restarts = _summarised(runs, shortlist, stopping)
        if not self.moves or not restarts.best.stop.converged:
            return restarts
        best = leap(source, restarts.best, algorithm, stopping, observe)
        leapt = best.bounds[-1] > restarts.best.bounds[-1]
        optima = (Optimum(best.bounds[-1], 1), *restarts.optima) if leapt else restarts.optima
        return replace(restarts, best=best, optima=optima)

    def _by_batches(
        self, source: ArraySource, shortlist: Shortlist, algorithm: CoordinateAscent, stopping: Stopping
    ) -> Restarts:
        """Stochastic variational inference from each start, one after another."""
        rng, sample = as_generator(self.random_state), seeding_sample(source, self.n_components).source
        batch_rows, watch = self.batch_size or BATCH_ROWS, self._say_loss if self.verbose else None
        runs = [
            learn_all(source, begin(start.mixture, sample), algorithm, batch_rows, stopping, rng, watch)
            for start in shortlist.starts
        ]
        _, self.losses_ = max(runs, key=lambda pair: pair[0].bounds[-1])
        return _summarised([run for run, _ in runs], shortlist, stopping)

    def _begin_stream(
        self, source: ArraySource, kept: Array | None, n_rows: int
    ) -> tuple[CoordinateAscent, Step, Posterior]:
        algorithm = self._algorithm(source)
        start: Posterior = self._shortlist(source, kept, n_rows, algorithm).starts[0].mixture
        return algorithm, Blend(algorithm), start

    def _adopt_stream(self, stream: Stream, source: ArraySource) -> None:
        self._adopt_posterior(stream.belief, source.rows.dtype)
        self.converged_, self.n_iter_ = False, stream.n_steps
        self.lower_bounds_ = [-loss * stream.weight for loss in self.losses_]
        self.lower_bound_ = self.lower_bounds_[-1]

    def _algorithm(self, source: ArraySource) -> CoordinateAscent:
        structure = covariance_structure(self.covariance_type)
        assert isinstance(structure, SharedBlocks)
        prior = self._prior(source, structure)
        alpha = self.weight_concentration_prior
        alpha = 1 / self.n_components if alpha is None else float(alpha)
        nothing = np.zeros(self.n_components)
        weights: WeightPosterior
        if self.weight_concentration_prior_type == "dirichlet_process":
            sticks = np.stack([nothing + 1, nothing + alpha], axis=1)
            weights, self.weight_concentration_prior_ = (
                StickBreaking(alpha, sticks, np.arange(self.n_components)),
                alpha,
            )
        else:
            weights, self.weight_concentration_prior_ = Dirichlet(alpha, nothing + alpha), alpha
        self.mean_prior_, self.mean_precision_prior_ = prior.mean, prior.mean_precision
        self.degrees_of_freedom_prior_ = prior.degrees_of_freedom
        block = structure.prior_block(prior.scale)[0]
        self.covariance_prior_ = float(block) if block.ndim == 0 else block
        return CoordinateAscent(structure, prior, weights)

    def _prior(self, source: ArraySource, structure: SharedBlocks) -> NormalInverseWishart:
        n_features = source.n_features
        moments = accumulate(source, np.zeros(source.n_rows, dtype=int), 1, diagonal=structure.diagonal)
        mean = moments.means()[0] if self.mean_prior is None else np.asarray(self.mean_prior, dtype=np.float64)
        if mean.shape != (n_features,):
            raise InvalidParameterError(f"mean_prior must have shape ({n_features},); got {mean.shape}.")
        if self.covariance_prior is None:
            # scikit-learn's default: the unbiased covariance, its diagonal or the mean of that.
            spread = moments.scatter()[0] / max(moments.count[0] - 1, 1)
            spread = spread if spread.ndim == 2 else np.diag(spread)
            rounding = 64 * n_features * EPS * np.diagonal(spread).max()
            given = structure.prior_block(
                raise_eigenvalues(spread[None], max(float(self.reg_covar), rounding, TINY))[0]
            )[0]
        else:
            given = np.asarray(self.covariance_prior, dtype=np.float64)
            expected = structure.block_shape(n_features)
            if given.shape != expected:
                raise InvalidParameterError(
                    f"covariance_prior of covariance type {structure.name!r} must have shape {expected}; got {given.shape}."
                )
        scale = given if given.ndim == 2 else np.eye(n_features) * given
        degrees = float(n_features if self.degrees_of_freedom_prior is None else self.degrees_of_freedom_prior)
        if not degrees > n_features - 1:
            raise InvalidParameterError(
                f"degrees_of_freedom_prior must exceed D − 1 = {n_features - 1}; got {self.degrees_of_freedom_prior!r}."
            )
        precision = 1.0 if self.mean_precision_prior is None else float(self.mean_precision_prior)
        return NormalInverseWishart(mean, precision, scale, degrees)

    def _shortlist(
        self, source: ArraySource, kept: Array | None, n_rows: int, algorithm: CoordinateAscent
    ) -> Shortlist:
        if self.warm_start and hasattr(self, "posterior_"):
            return Shortlist([Start(self.posterior_)])
        k, diagonal = self.n_components, algorithm.structure.diagonal
        if not isinstance(self.init_params, str):
            partition = as_partition(self.init_params, kept, n_rows, k)
            return Shortlist([Start(algorithm.maximise(accumulate(source, partition, k, diagonal=diagonal)))])
        seeding = SEEDINGS[self.init_params]
        sample = seeding_sample(source, k)
        points = seeding(
            sample,
            k,
            ExpectationMaximization(algorithm.structure, floor=float(self.reg_covar), prior=algorithm.prior),
            as_generator(self.random_state),
            pool_size(k, self.n_init, SHORT_RUNS if seeding is kmeans else 1),
        )
        with Sweep(sample.source) as sweep:
            beliefs = algorithm.maximise_stack([s.moments for s in sweep([point.scorer for point in points])])
        (shortlist,) = race(sample, [Pool(beliefs, algorithm, self.n_init)])
        return shortlist

    def _say_loss(self, n_steps: int, loss: float) -> None:
        if n_steps % self.verbose_interval == 0:
            print(f"Batch {n_steps}: loss {loss:.8g}")

    def _say(self, index: int, belief: Any, bounds: tuple[float, ...]) -> bool:
        if len(bounds) > 1 and (len(bounds) - 1) % self.verbose_interval == 0:
            print(f"Restart {index}, iteration {len(bounds) - 1}: lower bound {bounds[-1]:.8g}")
        return False

    def _adopt(self, restarts: Restarts, dtype: np.dtype) -> None:
        best = restarts.best
        posterior: Posterior = best.mixture
        self.restarts_ = restarts
        self._adopt_posterior(posterior, dtype)
        self.converged_, self.n_iter_ = best.stop.converged, max(best.n_iter, 1)
        self.lower_bound_, self.lower_bounds_ = best.bounds[-1], list(best.bounds[1:] or best.bounds)

    def _adopt_posterior(self, posterior: Posterior, dtype: np.dtype) -> None:
        self.posterior_, point = posterior, posterior.mixture
        self.weights_, self.means_ = point.weights.astype(dtype), point.means.astype(dtype)
        self.covariances_ = np.array(point.covariances, dtype=dtype)
        self.precisions_ = np.array(point.precisions, dtype=dtype)
        self.precisions_cholesky_ = np.array(point.precision_factors, dtype=dtype)
        weights = posterior.weights
        self.weight_concentration_ = (
            weights.concentrations if isinstance(weights, Dirichlet) else tuple(weights.sticks.T)  # type: ignore[attr-defined]
        )
        self.mean_precision_ = posterior.mean_precisions
        self.degrees_of_freedom_ = posterior.degrees_of_freedom

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
        source, _ = as_source(self._rows(X), sample_weight, 1)
        return linear_response(self.posterior_, source)

    # ---- the fitted posterior --------------------------------------------------------------------------------------------------

    @property
    def mixture_(self) -> Mixture:
        """The plug-in point of the posterior."""
        check_is_fitted(self, "posterior_")
        return self.posterior_.mixture.with_feature_names(getattr(self, "feature_names_in_", None))

    @property
    def _belief(self) -> Posterior:
        return self.posterior_


def _summarised(runs: Sequence[Run], shortlist: Shortlist, stopping: Stopping) -> Restarts:
    return summarise(
        [(run, start.times) for run, start in zip(runs, shortlist.starts, strict=True)], shortlist, stopping
    )
