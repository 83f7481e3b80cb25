"""``BayesianGaussianMixture``: scikit-learn's class in every parameter, attribute and method, with an exact bound."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura.assess.bridge_sampling import bridge_sampling
from mixtura.assess.coclustering import coclustering
from mixtura.assess.linear_response import linear_response
from mixtura.assess.mode_sampling import mode_sampling
from mixtura.assess.partitions import Partition, estimate_partition
from mixtura.assess.relabelling import METHODS
from mixtura.assess.standard_errors import StandardErrors
from mixtura.data.array import ArraySource
from mixtura.data.arrow import as_table
from mixtura.estimators.chains import (
    ChainSettings,
    SampledBelief,
    by_gibbs,
    by_nuts,
    component_prior,
    log_prior,
    modes,
    partition_prior,
)
from mixtura.estimators.fitted import Belief, FittedMixture
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
from mixtura.inference.telescoping import ComponentCountLaw
from mixtura.inference.variational import CoordinateAscent
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.draws import evenly_spaced
from mixtura.model.evidence import LogEvidence
from mixtura.model.independent_prior import IndependentPrior
from mixtura.model.log_priors import LogPrior
from mixtura.model.mixture import Mixture
from mixtura.model.posterior import Posterior
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.semi_conjugate import SemiConjugateComponents
from mixtura.model.weight_posterior import Dirichlet, StickBreaking, WeightPosterior
from mixtura.sweep import Sweep, accumulate

MOST_COCLUSTERED = 2000
TINY = float(np.finfo(np.float64).tiny) ** 0.5


OF_CHAINS = {
    "draws_": "draws",
    "relabelling_": "relabelling",
    "diagnostics_": "diagnostics",
    "log_posterior_": "log_posterior",
    "log_likelihood_": "log_likelihood",
    "sample_stats_": "statistics",
    "n_components_posterior_": "n_components_posterior",
    "n_components_prior_": "n_components_prior",
}
"""Fitted attributes that sampling sets, and where they lie in ``chains_``."""


class BayesianGaussianMixture(LearnsFromBatches, FittedMixture, BaseEstimator):
    r"""Gaussian mixture with a variational posterior, or with draws from the posterior itself.

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
    solver : {"cavi", "svi", "gibbs", "nuts"}, default="cavi"
        "cavi" is variational Bayes by coordinate ascent, which reads all rows for every step. "svi" is stochastic variational inference,
        which learns from batches of rows in random order until a read of the data brings no more than ``tol`` per row (at most
        ``max_iter`` reads; from a fair start one or two will do), and reads them once more for the exact bound; it also learns from
        streams, through ``partial_fit``. "gibbs" draws from the exact posterior under the same priors, with split–merge moves where the
        number of components is open. "nuts" draws by the No-U-Turn sampler, labels summed out, under the priors of ``IndependentPrior``;
        it needs the extra ``mcmc``.
    batch_size : int, optional
        Rows to a batch; 4096 by default for "svi". With "cavi", the belief is updated after every block of so many rows, by which it
        needs fewer reads; by default after all of them.
    moves : bool, default=True
        Whether "cavi", once it has converged, tries to merge, delete and split components, and goes on from the best of these as long
        as the bound rises. Components are split into places that the data had left empty.
    prior : IndependentPrior or SemiConjugateComponents, optional
        For "nuts" the prior of everything, weakly informative in the units of the data by default (``str(gm.prior_)`` says what it is; of
        the parameters above, only ``weight_concentration_prior`` counts there, 1 by default). For "gibbs", a prior under which means know
        nothing of covariances, in place of the conjugate one.
    n_components_law : ComponentCountLaw, optional
        For "gibbs": the prior of an unknown number of components, of which ``n_components`` is where chains begin; weights are Dirichlet
        with ``weight_concentration_prior``, 1 by default. Without it the number is known, or that of a Dirichlet process.
    n_draws, n_tune : int, default=1000, 500
        Draws of each chain, and those before that are not kept.
    n_chains : int, default=4
        They begin at different modes of EM. Interrupting returns what was drawn until then.
    relabelling : {"ecr", "stephens", "pivot"}, default="ecr"
        How components of draws are brought into one order.
    guide : str or callable, optional
        For "svi": the name of one of NumPyro's guides, such as "auto_normal" or "auto_multivariate_normal", or what makes one of a model.
        NumPyro then fits it to its own model of the mixture, under priors like those of "nuts", one sweep to a gradient, and ``draws_``
        are drawn from it. It needs the extra ``numpyro``; ``mixtura.bridges.numpyro`` takes priors of one's own.

    Attributes
    ----------
    posterior_ : Posterior
        Of "cavi" and "svi", the belief: expectations, intervals, draws, predictive density, ``log_evidence(X)``.
    mixture_ : Mixture
        The point that stands for the posterior. After sampling, the posterior means of the relabelled components, or the draw of the
        highest posterior density where components cannot be told apart.
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
    draws_ : Draws
        After sampling: all draws, with their labels straight where the number of components is known.
    relabelling_ : Relabelling
        The draws that single components are summarised from (those of the most probable number of filled components, where that is
        unknown), with ``expectations()`` and ``interval(level)``; refused where too many draws cannot be labelled.
    diagnostics_ : Diagnostics
        R̂, effective sizes and more, of quantities that do not depend on labels; ``diagnostics_.verdict`` is a sentence.
    log_posterior_, log_likelihood_ : (C, S) arrays
    sample_stats_ : dict of (C, S) arrays
    n_components_posterior_ : (K + 1,) array
        Probabilities of the number of components that hold rows; ``n_components_prior_`` are those before the rows were seen ("gibbs").
    coclustering_ : (n, n) array
        Probability that two rows belong together, of at most 2000 evenly spaced rows.
    prior_ : IndependentPrior, SemiConjugateComponents or NormalInverseWishart
        The prior that was sampled under.
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
        "solver": [StrOptions({"cavi", "svi", "gibbs", "nuts"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "moves": ["boolean"],
        "prior": [IndependentPrior, SemiConjugateComponents, None],
        "n_components_law": [ComponentCountLaw, None],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "n_tune": [Interval(Integral, 0, None, closed="left")],
        "n_chains": [Interval(Integral, 1, None, closed="left")],
        "relabelling": [StrOptions(set(METHODS))],
        "guide": [str, callable, None],
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
        prior: IndependentPrior | SemiConjugateComponents | None = None,
        n_components_law: ComponentCountLaw | None = None,
        n_draws: int = 1000,
        n_tune: int = 500,
        n_chains: int = 4,
        relabelling: str = "ecr",
        guide: str | Callable[..., Any] | None = None,
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
        self.prior = prior
        self.n_components_law = n_components_law
        self.n_draws = n_draws
        self.n_tune = n_tune
        self.n_chains = n_chains
        self.relabelling = relabelling
        self.guide = guide

    _batch_solver = "svi"
    _log_prior: LogPrior | None
    prior_: IndependentPrior | SemiConjugateComponents | NormalInverseWishart

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
        self._forget()
        algorithm = self._algorithm(source)
        if self.solver in ("gibbs", "nuts"):
            self._sample(source, algorithm, rows.dtype)
            return self
        if self.guide is not None:
            self._follow(self.guide, source, rows.dtype)
            return self
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

    def _forget(self) -> None:
        """What the last fit has left that this one may not set again."""
        for name in (
            "posterior_",
            "chains_",
            "draws_",
            "coclustering_",
            "losses_",
            "lower_bound_",
            "lower_bounds_",
            "restarts_",
        ):
            if not (self.warm_start and name == "posterior_"):
                self.__dict__.pop(name, None)

    def _sample(self, source: ArraySource, algorithm: CoordinateAscent, dtype: np.dtype) -> None:
        """Run chains, and judge them."""
        names = ("n_components", "covariance_type", "reg_covar", "n_init", "init_params", "random_state")
        starts = modes(source, {name: getattr(self, name) for name in names})
        settings = ChainSettings(self.n_draws, self.n_tune, self.n_chains, self.relabelling, bool(self.verbose))
        rng, alpha = as_generator(self.random_state), self.weight_concentration_prior
        if self.solver == "nuts":
            if self.n_components_law is not None or isinstance(self.prior, SemiConjugateComponents):
                raise InvalidParameterError(
                    "solver='nuts' knows the number of components and takes an IndependentPrior; use solver='gibbs'."
                )
            self.chains_, prior = by_nuts(source, starts, self.prior, alpha, settings, rng)
            # With a common factor of all spreads, the density of the parameters alone has no formula.
            self.prior_, self._log_prior = prior, None if prior.common_log_spread else prior
        else:
            process = self.weight_concentration_prior_type == "dirichlet_process"
            components = component_prior(algorithm.structure, self.prior, algorithm.prior)
            partition = partition_prior(self.n_components, self.n_components_law, process, self._concentration())
            self.chains_ = by_gibbs(source, starts, components, partition, settings, rng)
            self.prior_ = self.prior or algorithm.prior
            self._log_prior = log_prior(components, partition)
        self._adopt_point(self.chains_.point, dtype)
        self.n_iter_, self.converged_ = self.n_tune + self.n_draws, self.chains_.diagnostics.sound
        self._rows_kept = source.rows[evenly_spaced(source.n_rows, MOST_COCLUSTERED)]
        if not self.converged_:
            warnings.warn(self.chains_.diagnostics.verdict, ConvergenceWarning, stacklevel=3)

    def _follow(self, guide: str | Callable[..., Any], source: ArraySource, dtype: np.dtype) -> None:
        """NumPyro's stochastic variational inference, with one of its guides about a mode of EM."""
        if self.solver != "svi" or self.prior is not None:
            raise InvalidParameterError(
                "guide needs solver='svi' and prior=None; with priors of your own, use mixtura.bridges.numpyro.fit_guide."
            )
        from mixtura.bridges.numpyro import fit_guide

        found = fit_guide(
            source.rows,
            self.n_components,
            self.covariance_type,
            guide=guide,
            sample_weight=source.weights,
            n_draws=self.n_draws,
            random_state=self.random_state,
        )
        self._adopt_point(found.mixture, dtype)
        self.draws_, self.losses_ = found.draws, (found.losses / source.total_weight).tolist()
        self.lower_bound_, self.n_iter_, self.converged_ = found.lower_bound, len(found.losses), True
        self.lower_bounds_ = (-found.losses).tolist()

    def _concentration(self) -> float:
        alpha = self.weight_concentration_prior
        if alpha is not None:
            return float(alpha)
        return 1.0 if self.n_components_law is not None else 1 / self.n_components

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
        alpha = self._concentration()
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
        self.posterior_ = posterior
        self._adopt_point(posterior.mixture, dtype)
        weights = posterior.weights
        self.weight_concentration_ = (
            weights.concentrations if isinstance(weights, Dirichlet) else tuple(weights.sticks.T)  # type: ignore[attr-defined]
        )
        self.mean_precision_ = posterior.mean_precisions
        self.degrees_of_freedom_ = posterior.degrees_of_freedom

    def _adopt_point(self, point: Mixture, dtype: np.dtype) -> None:
        self._point = point
        self.weights_, self.means_ = point.weights.astype(dtype), point.means.astype(dtype)
        self.covariances_ = np.array(point.covariances, dtype=dtype)
        self.precisions_ = np.array(point.precisions, dtype=dtype)
        self.precisions_cholesky_ = np.array(point.precision_factors, dtype=dtype)

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
        """The point that stands for the posterior."""
        check_is_fitted(self, "weights_")
        return self._point.with_feature_names(getattr(self, "feature_names_in_", None))

    @property
    def _belief(self) -> Belief:
        if "chains_" in self.__dict__:
            return SampledBelief.of(self.chains_)
        return SampledBelief(self.draws_, self.draws_) if "draws_" in self.__dict__ else self.posterior_

    # ---- after sampling --------------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        part = OF_CHAINS.get(name)
        if part is None or "chains_" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        return getattr(self.chains_, part)

    def log_evidence(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        method: str = "bridge",
        random_state: RandomState = None,
    ) -> LogEvidence:
        """Log of the marginal likelihood of the rows, with its standard error: what models are compared by.

        After sampling, by bridge sampling between the draws and a law learnt from half of them (Meng and Wong 1996), or by importance
        sampling about the modes nearest to the best draw of each chain; for "cavi" and "svi" by importance sampling with the variational
        posterior. All of them count all orders of the components, so labels do not matter.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        sample_weight : (N,) array-like, optional
            Their weights.
        method : {"bridge", "modes"}, default="bridge"
            After sampling.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        LogEvidence
            ``value``, ``standard_error``, and ``pareto_k``, which should be below 0.7.

        Raises
        ------
        InvalidParameterError
            If the number of components is open, or larger than 12.
        """
        check_is_fitted(self, "weights_")
        rows = self._rows(X)
        if hasattr(self, "posterior_"):
            return self.posterior_.log_evidence(rows, sample_weight, random_state=random_state)
        prior: LogPrior | None = getattr(self, "_log_prior", None)
        if prior is None:
            raise InvalidParameterError(
                "log_evidence is that of a known number of components under a proper prior of our own; fit with solver='nuts', or with "
                "solver='gibbs', weight_concentration_prior_type='dirichlet_distribution' and without n_components_law."
            )
        if method not in ("bridge", "modes"):
            raise InvalidParameterError(f"method must be 'bridge' or 'modes'; got {method!r}.")
        source, _ = as_source(rows, sample_weight, 1)
        rng, draws = as_generator(random_state), self.chains_.draws
        if method == "bridge":
            return bridge_sampling(draws, source, prior, rng)
        best = self.chains_.log_posterior.argmax(axis=1)
        return mode_sampling([draws.mixture(c, int(s)) for c, s in enumerate(best)], source, prior, rng)

    @cached_property
    def coclustering_(self) -> Array:
        """Posterior probability that two rows belong together, of at most 2000 evenly spaced rows, ``(n, n)``."""
        check_is_fitted(self, "chains_")
        return coclustering(self.chains_.draws, self._rows_kept)

    def estimate_partition(self, loss: str = "variation_of_information") -> Partition:
        """The one partition of the rows of ``coclustering_`` that says best what all draws say together.

        Parameters
        ----------
        loss : {"variation_of_information", "binder"}, default="variation_of_information"
            What it costs to be wrong (Wade and Ghahramani 2018, "Bayesian cluster analysis"; Binder 1978).

        Returns
        -------
        Partition
            With ``labels``, ``n_clusters`` and the expected loss.
        """
        return estimate_partition(self.coclustering_, loss)

    def to_arviz(self, X: ArrayLike, *, rows: ArrayLike | None = None, log_likelihood: bool = True) -> Any:
        """The draws as ArviZ reads them: an ``xarray.DataTree`` with posterior, sample_stats, log_likelihood and observed_data.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        rows : (M,) integer array-like, optional
            The log-likelihood is that of these rows; by default of all.
        log_likelihood : bool, default=True
            Whether there is such a group; it takes 8 bytes for each row and draw.

        Raises
        ------
        MissingExtraError
            Without ``arviz-base``, which the extra ``mcmc`` brings.
        """
        check_is_fitted(self, "chains_")
        from mixtura.assess.arviz import to_arviz

        names = getattr(self, "feature_names_in_", None)
        return to_arviz(
            self.chains_.draws,
            self._rows(X),
            self.chains_.statistics,
            rows=rows,
            log_likelihood=log_likelihood,
            feature_names=None if names is None else list(names),
        )

    def loo(self, X: ArrayLike, *, rows: ArrayLike | None = None) -> Any:
        """Expected log predictive density of rows left out one by one (PSIS-LOO), by ArviZ.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        rows : (M,) integer array-like, optional
            Leave out these alone.
        """
        check_is_fitted(self, "chains_")
        from mixtura.assess.arviz import loo

        return loo(self.chains_.draws, self._rows(X), rows)


def _summarised(runs: Sequence[Run], shortlist: Shortlist, stopping: Stopping) -> Restarts:
    return summarise(
        [(run, start.times) for run, start in zip(runs, shortlist.starts, strict=True)], shortlist, stopping
    )
