"""``BayesianGaussianMixture``: scikit-learn's class in every parameter, attribute and method, with an exact bound."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura.assess.bridge_sampling import bridge_sampling
from mixtura.assess.chains import Chains
from mixtura.assess.linear_response import linear_response
from mixtura.assess.mode_sampling import mode_sampling
from mixtura.assess.relabelling import METHODS
from mixtura.assess.standard_errors import StandardErrors
from mixtura.data.array import ArraySource
from mixtura.estimators.chains import (
    ChainSettings,
    SampledBelief,
    by_gibbs,
    by_nuts,
    component_prior,
    independent_prior,
    log_prior,
    modes,
    partition_prior,
)
from mixtura.estimators.conjugate import conjugate_prior, weight_prior
from mixtura.estimators.fitted import Belief, Earlier, FittedMixture, parts_of, replaced_fit
from mixtura.estimators.inputs import as_partition, as_rows, as_source, check_warm_start, remedy_of, variance_floor
from mixtura.estimators.sampled import SummarisesDraws
from mixtura.estimators.streaming import LearnsFromBatches
from mixtura.ground.errors import CollapseError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState, as_generator
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.loop import Run
from mixtura.inference.memoised import climb_by_blocks
from mixtura.inference.moves import leap
from mixtura.inference.race import Pool, Shortlist, Start, race
from mixtura.inference.restarts import Optimum, Restarts, finish, summarise
from mixtura.inference.seeding import seeding_sample
from mixtura.inference.starts import SEEDINGS, seeded
from mixtura.inference.stochastic import BATCH_ROWS, begin, learn_all, rows_to_begin
from mixtura.inference.stopping import Stopping
from mixtura.inference.telescoping import ComponentCountLaw
from mixtura.inference.variational import CoordinateAscent
from mixtura.model.covariance import COVARIANCE_TYPES, covariance_structure
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.evidence import LogEvidence
from mixtura.model.independent_prior import IndependentPrior
from mixtura.model.log_priors import LogPrior
from mixtura.model.mixture import Mixture
from mixtura.model.posterior import Posterior
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.semi_conjugate import SemiConjugateComponents
from mixtura.model.weight_posterior import Dirichlet
from mixtura.sweep import Sweep, accumulate

CONJUGATE = ("mean_precision_prior", "mean_prior", "degrees_of_freedom_prior", "covariance_prior")
CLIMBS = ("tol", "max_iter", "batch_size", "warm_start")
SAMPLES = ("n_draws", "n_tune", "n_chains", "relabelling", "prior")
KNOWN_TO = {
    "cavi": {*CONJUGATE, *CLIMBS, "weight_concentration_prior_type", "moves"},
    "svi": {*CONJUGATE, *CLIMBS, "weight_concentration_prior_type", "guide"},
    "gibbs": {*CONJUGATE, *SAMPLES, "weight_concentration_prior_type", "n_components_law"},
    "nuts": {*SAMPLES, "target_accept"},
    "guide": {"n_draws", "guide"},
}
"""Parameters that only some solvers know; a guide is a solver of its own here."""

LEAST_OF_FLOAT32 = 1e-15
"""Prior rows below which a share that float32 cannot tell from zero would count."""


class BayesianGaussianMixture(SummarisesDraws, LearnsFromBatches, FittedMixture, BaseEstimator):
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
        ``β₀``, how many rows the prior mean is worth; 1 by default.
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
    solver : {"cavi", "svi", "gibbs", "nuts"}, default="cavi"
        "cavi" is variational Bayes by coordinate ascent, which reads all rows for every step. "svi" is stochastic variational inference,
        which learns from batches of rows in random order until a read of the data brings no more than ``tol`` per row, and then goes on
        by coordinate ascent until no more than that is estimated to be still to come (at most ``max_iter`` reads in all); it also
        learns from streams, through ``partial_fit``. "gibbs" draws from the exact posterior under the same priors, with split–merge
        moves where the number of components is open. "nuts" draws by the No-U-Turn sampler, labels summed out, under the priors of
        ``IndependentPrior``;
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
    target_accept : float, default=0.9
        For "nuts": mean acceptance rate that step sizes are adapted to. Nearer to one, steps are shorter and fewer trajectories diverge.
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
        "covariance_type": [StrOptions(set(COVARIANCE_TYPES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
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
        "target_accept": [Interval(Real, 0.0, 1.0, closed="neither")],
        "relabelling": [StrOptions(set(METHODS))],
        "guide": [str, callable, None],
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
        solver: str = "cavi",
        batch_size: int | None = None,
        moves: bool = True,
        prior: IndependentPrior | SemiConjugateComponents | None = None,
        n_components_law: ComponentCountLaw | None = None,
        n_draws: int = 1000,
        n_tune: int = 500,
        n_chains: int = 4,
        target_accept: float = 0.9,
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
        self.target_accept = target_accept
        self.relabelling = relabelling
        self.guide = guide

    _batch_solver = "svi"
    _log_prior_: LogPrior | None
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
        self._check_known()
        earlier = self._earlier()
        with replaced_fit(self):
            rows: Array = validate_data(self, as_rows(X), dtype=[np.float64, np.float32], ensure_min_samples=2)
            source, kept = as_source(rows, sample_weight, self.n_components)
            if self.guide is not None:
                self._follow(self.guide, source, rows.dtype)
            elif self.solver == "nuts":
                self._draw_by_nuts(source, rows.dtype)
            elif self.solver == "gibbs":
                self._draw_by_gibbs(source, rows.dtype)
            else:
                self._climb(source, kept, len(rows), rows.dtype, earlier)
        self._warn()
        return self

    def _check_known(self) -> None:
        """Raise if a parameter that the solver does not know is not at its default."""
        solver = "guide" if self.guide is not None and self.solver == "svi" else self.solver
        signature = inspect.signature(type(self)).parameters
        for name in sorted(set().union(*KNOWN_TO.values()) - KNOWN_TO[solver]):
            value, default = getattr(self, name), signature[name].default
            if value is not default and not (np.ndim(value) == 0 and value == default):
                knowing = [f"solver={other!r}" for other in KNOWN_TO if name in KNOWN_TO[other] and other != "guide"]
                asked = "a guide" if solver == "guide" else f"solver={solver!r}"
                raise InvalidParameterError(
                    f"{name} is nothing that {asked} knows; leave it at {default!r}, or use {' or '.join(knowing)}."
                )

    def _earlier(self) -> Earlier | None:
        """What a warm start goes on from: the posterior, or what its arrays were changed to by hand."""
        if not self.warm_start or "posterior_" not in vars(self):
            return None
        belief = self.posterior_ if self._followed().as_fitted else self.mixture_
        return Earlier(belief, vars(self).get("_bounds_", ()))

    def _climb(
        self,
        source: ArraySource,
        kept: Array | None,
        n_rows: int,
        dtype: np.dtype,
        earlier: Earlier | None,
    ) -> None:
        algorithm, stopping = self._algorithm(source), Stopping(float(self.tol), self.max_iter, source.total_weight)
        shortlist = self._shortlist(source, kept, n_rows, algorithm, earlier)
        climb = self._by_batches if self.solver == "svi" else self._by_passes
        self._adopt_prior(algorithm)
        self._adopt(climb(source, shortlist, algorithm, stopping), dtype)

    def _warn(self) -> None:
        if self.converged_:
            return
        if "chains_" in vars(self):
            warnings.warn(self.chains_.diagnostics.verdict, ConvergenceWarning, stacklevel=3)
            return
        which = "the fit" if self.n_init == 1 else f"the best of n_init={self.n_init} restarts"
        stop = self.restarts_.best.stop
        warnings.warn(
            f"{which} did not converge: {stop.sentence}.{remedy_of(stop)}",
            ConvergenceWarning,
            stacklevel=3,
        )

    def _draw_by_nuts(self, source: ArraySource, dtype: np.dtype) -> None:
        if self.n_components_law is not None or isinstance(self.prior, SemiConjugateComponents):
            raise InvalidParameterError(
                "solver='nuts' knows the number of components and takes an IndependentPrior; use solver='gibbs'."
            )
        concentration = self.weight_concentration_prior
        prior = self.prior or independent_prior(source, self.n_components, concentration)
        chains = by_nuts(source, self._modes(source), prior, self._chain_settings(), as_generator(self.random_state))
        # With a common factor of all spreads, the density of the parameters alone has no formula.
        self.prior_, self._log_prior_ = prior, None if prior.common_log_spread else prior
        self._adopt_draws(chains, source, dtype)

    def _draw_by_gibbs(self, source: ArraySource, dtype: np.dtype) -> None:
        algorithm = self._algorithm(source)
        process = self.weight_concentration_prior_type == "dirichlet_process"
        components = component_prior(algorithm.structure, self.prior, algorithm.prior)
        partition = partition_prior(self.n_components, self.n_components_law, process, self._concentration())
        settings, rng = self._chain_settings(), as_generator(self.random_state)
        chains = by_gibbs(source, self._modes(source), components, partition, settings, rng)
        self._adopt_prior(algorithm)
        self.prior_, self._log_prior_ = self.prior or algorithm.prior, log_prior(components, partition)
        self._adopt_draws(chains, source, dtype)

    def _modes(self, source: ArraySource) -> list[Mixture]:
        names = ("n_components", "covariance_type", "reg_covar", "n_init", "init_params", "random_state")
        return modes(source, {name: getattr(self, name) for name in names})

    def _chain_settings(self) -> ChainSettings:
        names = ("n_draws", "n_tune", "n_chains", "target_accept", "relabelling")
        return ChainSettings(verbose=bool(self.verbose), **{name: getattr(self, name) for name in names})

    def _adopt_draws(self, chains: Chains, source: ArraySource, dtype: np.dtype) -> None:
        self.chains_ = chains
        self._adopt_point(chains.point, dtype)
        self.n_iter_, self.converged_ = self.n_tune + self.n_draws, chains.diagnostics.sound

    def _follow(self, guide: str | Callable[..., Any], source: ArraySource, dtype: np.dtype) -> None:
        """NumPyro's stochastic variational inference, with one of its guides about a mode of EM."""
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
            restarts = _summarised(runs, shortlist, stopping, max(run.n_passes for run in runs))
        if not self.moves or not restarts.best.stop.converged:
            return restarts
        best = leap(source, restarts.best, algorithm, stopping, observe)
        leapt = best.bounds[-1] > restarts.best.bounds[-1]
        optima = (Optimum(best.bounds[-1], 1), *restarts.optima) if leapt else restarts.optima
        n_passes = restarts.n_passes + best.n_passes - restarts.best.n_passes
        return replace(restarts, best=best, optima=optima, n_passes=n_passes)

    def _by_batches(
        self, source: ArraySource, shortlist: Shortlist, algorithm: CoordinateAscent, stopping: Stopping
    ) -> Restarts:
        """Stochastic variational inference from each start, one after another."""
        rng, sample = as_generator(self.random_state), seeding_sample(source, self.n_components).source
        batch_rows, watch = self.batch_size or BATCH_ROWS, self._say_loss if self.verbose else None
        n_begun = min(sample.n_rows, rows_to_begin(self.n_components, source.n_features))
        weight = source.total_weight * n_begun / source.n_rows
        runs = [
            learn_all(source, begin(start.mixture, sample, weight), algorithm, batch_rows, stopping, rng, watch)
            for start in shortlist.starts
        ]
        _, self.losses_ = max(runs, key=lambda pair: pair[0].bounds[-1])
        return _summarised([run for run, _ in runs], shortlist, stopping, sum(run.n_passes for run, _ in runs))

    def _begin_stream(
        self, source: ArraySource, kept: Array | None, n_rows: int, earlier: Earlier | None, enough: bool
    ) -> tuple[CoordinateAscent, Shortlist]:
        self._check_known()
        if self.guide is not None:
            raise InvalidParameterError("partial_fit follows no guide; leave it at None, or use fit.")
        algorithm = self._algorithm(source)
        self._adopt_prior(algorithm)
        return algorithm, self._shortlist(source, kept, n_rows, algorithm, earlier)

    def _adopt_stream(self, belief: Posterior, loss: float, weight: float, dtype: np.dtype) -> None:
        self._adopt_posterior(belief, dtype)
        self.lower_bound_ = -loss * weight

    def _check_room(self, prior: NormalInverseWishart) -> None:
        """Raise if a share that float32 cannot tell from zero would count beside the prior."""
        given = {"weight_concentration_prior": self._concentration(), "mean_precision_prior": prior.mean_precision}
        for name, value in given.items():
            if value < LEAST_OF_FLOAT32:
                raise InvalidParameterError(
                    f"{name} must be {LEAST_OF_FLOAT32:g} at least where data are float32; got {value:.3g}. Use float64."
                )

    def _floor(self, source: ArraySource) -> Array | float:
        return variance_floor(self.reg_covar, source, seeding_sample(source, self.n_components)).variances

    def _algorithm(self, source: ArraySource) -> CoordinateAscent:
        structure = covariance_structure(self.covariance_type, source.n_features)
        assert isinstance(structure, SharedBlocks)
        prior = conjugate_prior(
            source,
            structure,
            mean=self.mean_prior,
            mean_precision=self.mean_precision_prior,
            covariance=self.covariance_prior,
            degrees_of_freedom=self.degrees_of_freedom_prior,
            floor=self._floor(source),
        )
        if source.rows.dtype == np.float32:
            self._check_room(prior)
        process = self.weight_concentration_prior_type == "dirichlet_process"
        return CoordinateAscent(structure, prior, weight_prior(self.n_components, self._concentration(), process))

    def _adopt_prior(self, algorithm: CoordinateAscent) -> None:
        prior = algorithm.prior
        self.weight_concentration_prior_ = self._concentration()
        self.mean_prior_, self.mean_precision_prior_ = prior.mean, prior.mean_precision
        self.degrees_of_freedom_prior_ = prior.degrees_of_freedom
        block = algorithm.structure.prior_block(prior.scale)[0]
        self.covariance_prior_ = float(block) if block.ndim == 0 else block

    def _shortlist(
        self,
        source: ArraySource,
        kept: Array | None,
        n_rows: int,
        algorithm: CoordinateAscent,
        earlier: Earlier | None,
    ) -> Shortlist:
        k, diagonal = self.n_components, algorithm.structure.diagonal
        if earlier is not None:
            belief = earlier.belief
            check_warm_start(belief.means.shape, (k, source.n_features))
            if isinstance(belief, Posterior) and belief.structure is algorithm.structure:
                return Shortlist([Start(belief, history=earlier.bounds)])
            shares = belief.responsibilities(source.rows)
            return Shortlist([Start(algorithm.maximise(accumulate(source, shares, k, diagonal=diagonal)))])
        if not isinstance(self.init_params, str):
            partition = as_partition(self.init_params, kept, n_rows, k)
            return Shortlist([Start(algorithm.maximise(accumulate(source, partition, k, diagonal=diagonal)))])
        sample = seeding_sample(source, k)
        floor = variance_floor(self.reg_covar, source, sample).variances
        finder = ExpectationMaximization(algorithm.structure, floor=floor, prior=algorithm.prior)
        points = seeded(sample, k, finder, as_generator(self.random_state), self.n_init, self.init_params)
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
        self._bounds_ = (*best.history, *best.bounds)
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
        named = point.with_feature_names(getattr(self, "feature_names_in_", None))
        for name, part in parts_of(named, dtype).items():
            setattr(self, name, part)

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
    def _belief(self) -> Belief:
        known = self._followed()
        if not known.as_fitted:  # whoever changed the arrays means them, and not what is believed around them
            return known.mixture
        if "chains_" in vars(self):
            return SampledBelief.of(self.chains_)
        return SampledBelief(self.draws_, self.draws_) if "draws_" in vars(self) else self.posterior_

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
        prior: LogPrior | None = getattr(self, "_log_prior_", None)
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


def _summarised(runs: Sequence[Run], shortlist: Shortlist, stopping: Stopping, n_passes: int) -> Restarts:
    return summarise(
        [(run, start.times) for run, start in zip(runs, shortlist.starts, strict=True)], shortlist, stopping, n_passes
    )
