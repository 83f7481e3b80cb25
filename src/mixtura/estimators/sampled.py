"""``SampledGaussianMixture``: a posterior by draws."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from mixtura.assess.draws.coclustering import coclustering
from mixtura.assess.draws.draws_file import draws_content, save_draws
from mixtura.assess.draws.partitions import Partition, estimate_partition
from mixtura.assess.draws.relabelling import METHODS
from mixtura.assess.evidence.bridge_sampling import bridge_sampling
from mixtura.assess.evidence.estimate import LogEvidence
from mixtura.assess.evidence.mode_sampling import mode_sampling
from mixtura.data.source import Source
from mixtura.estimators.fitted import FittedMixture, replaced_fit
from mixtura.estimators.inputs import as_partition, check_enough, entered, variance_floor
from mixtura.estimators.parameters import EVERY, POSITIVE_INTEGER, POSITIVE_NUMBER
from mixtura.estimators.progress import waiting
from mixtura.estimators.record import DrawsFit, view
from mixtura.estimators.samplers import DIRICHLET_PROCESS, SAMPLERS, WEAKLY_INFORMATIVE, Gibbs, Nuts, Sampler, Sampling
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState, as_generator
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw
from mixtura.inference.starts.modes import modes
from mixtura.inference.starts.plan import Beginning
from mixtura.inference.starts.sample import seeding_sample
from mixtura.model.covariance import covariance_structure
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.model.rows import evenly_spaced

MOST_COCLUSTERED = 2000
TO_BEGIN = 5
"""Components that chains begin with where their number is open."""


class SampledGaussianMixture(FittedMixture, BaseEstimator):
    r"""Gaussian mixture whose posterior is sampled.

    Parameters
    ----------
    n_components : int, ComponentCountLaw or "dirichlet-process", default=1
        How many there are; or, for Gibbs sampling, the prior of an unknown number of them, or components without end.
    covariance_type : {"full", "tied", "diag", "tied_diag", "spherical", "tied_spherical"} or code, default="full"
    sampler : {"nuts", "gibbs"}, Nuts or Gibbs, default="nuts"
        The No-U-Turn sampler, labels summed out, which needs the extra ``mcmc``; or blocked Gibbs sampling. With settings of their own,
        such as ``Nuts(target_accept=0.95)``.
    prior : "weakly-informative", NormalInverseWishart, SemiConjugateComponents or IndependentPrior, default="weakly-informative"
        Of means and covariances. The default is in the manner of Richardson and Green (1997): means over the range of the data, scales a
        fraction of it that is learnt too. Gibbs sampling takes the conjugate and the semi-conjugate one, NUTS an ``IndependentPrior``.
    weight_concentration_prior : float, optional
        ``α`` of each component's weight, or of the process; 1 by default.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, (N,) integer array or (N, K) array, default="kmeans"
        Where EM begins, about whose modes chains begin.
    n_init : int, default=4
        Restarts of EM that look for these.
    n_draws, n_tune : int, default=1000, 500
        Draws of each chain, and those before that are not kept.
    n_chains : int, default=4
        They begin at different places. Interrupting returns what was drawn until then.
    relabelling : {"ecr", "stephens", "pivot"}, default="ecr"
        How components of draws are brought into one order.
    random_state : None, int, RandomState or Generator
    verbose : int, default=0
        1 prints the prior, and shows a progress bar on standard error from the second second on.

    Attributes
    ----------
    mixture_ : Mixture
        The point that stands for the posterior: the posterior means of the relabelled components, or, where components cannot be told
        apart, a draw.
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        Of that point.
    draws_ : Draws
        All draws, with their labels straight where the number of components is known.
    relabelling_ : Relabelling
        The draws that single components are summarised from (those of the most probable number of filled components, where that is
        unknown), with ``expectations()`` and ``interval(level)``; refused where too many draws cannot be labelled.
    diagnostics_ : Diagnostics
        R̂, effective sizes and more, of quantities that do not depend on labels; ``diagnostics_.verdict`` is a sentence.
    converged_ : bool
        Whether the verdict is good.
    log_posterior_, log_likelihood_ : (C, S) arrays
    sample_stats_ : dict of (C, S) arrays
    n_components_posterior_ : (K + 1,) array
        Probabilities of the number of components that hold rows; ``n_components_prior_`` are those before the rows were seen ("gibbs").
    prior_ : SemiConjugateComponents, NormalInverseWishart or IndependentPrior
        What was believed of means and covariances before the rows were seen, as ``prior`` takes it; by default the first of these.
    n_iter_ : int
        Draws of each chain, those of tuning included.
    record_ : DrawsFit
        All of this in one record.
    n_features_in_ : int
    feature_names_in_ : array of str
        Column names, where ``X`` had them.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-5, 1, (50, 1)), rng.normal(5, 1, (50, 1))])
    >>> sm = mx.SampledGaussianMixture(2, sampler="gibbs", random_state=0).fit(X)
    >>> sm.draws_.means.shape
    (4, 1000, 2, 1)
    >>> np.sort(sm.means_.ravel()).round().tolist()
    [-5.0, 5.0]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **EVERY,
        "n_components": [*POSITIVE_INTEGER, ComponentCountLaw, StrOptions({DIRICHLET_PROCESS})],
        "sampler": [StrOptions(set(SAMPLERS)), Nuts, Gibbs],
        "prior": [StrOptions({WEAKLY_INFORMATIVE}), NormalInverseWishart, SemiConjugateComponents, IndependentPrior],
        "weight_concentration_prior": POSITIVE_NUMBER,
        "n_draws": POSITIVE_INTEGER,
        "n_tune": [Interval(Integral, 0, None, closed="left")],
        "n_chains": POSITIVE_INTEGER,
        "relabelling": [StrOptions(set(METHODS))],
    }

    def __init__(
        self,
        n_components: int | ComponentCountLaw | str = 1,
        *,
        covariance_type: str = "full",
        sampler: str | Nuts | Gibbs = "nuts",
        prior: str | NormalInverseWishart | SemiConjugateComponents | IndependentPrior = WEAKLY_INFORMATIVE,
        weight_concentration_prior: float | None = None,
        init_params: str | ArrayLike = "kmeans",
        n_init: int = 4,
        n_draws: int = 1000,
        n_tune: int = 500,
        n_chains: int = 4,
        relabelling: str = "ecr",
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.sampler = sampler
        self.prior = prior
        self.weight_concentration_prior = weight_concentration_prior
        self.init_params = init_params
        self.n_init = n_init
        self.n_draws = n_draws
        self.n_tune = n_tune
        self.n_chains = n_chains
        self.relabelling = relabelling
        self.random_state = random_state
        self.verbose = verbose

    draws_ = view("chains.draws")
    relabelling_ = view("chains.relabelling")
    diagnostics_ = view("chains.diagnostics")
    log_posterior_ = view("chains.log_posterior")
    log_likelihood_ = view("chains.log_likelihood")
    sample_stats_ = view("chains.statistics")
    n_components_posterior_ = view("chains.n_components_posterior")
    n_components_prior_ = view("chains.n_components_prior")
    converged_ = view("converged")
    n_iter_ = view("n_iter")
    prior_ = view("prior")

    # ---- sampling --------------------------------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Draw from the posterior.

        Parameters
        ----------
        X : (N, D) array-like, or what ``mixtura.scan`` takes or returns
            Draws are the same in whatever the rows come. Up to 65,536 rows are held in memory; more are gone over where they are, and
            Gibbs sampling then tries moves about 8192 of them (docs/draws.md).
        y : ignored
        sample_weight : (N,) array-like, optional
            For NUTS alone: Gibbs sampling gives each row to one component.

        Raises
        ------
        MissingExtraError
            By NUTS, without the extra ``mcmc``.

        Warns
        -----
        ConvergenceWarning
            With the verdict, where chains cannot be trusted yet.
        """
        self._validate_params()
        with replaced_fit(self):
            known = self.n_components if isinstance(self.n_components, int | np.integer) else 1
            source, kept, n_rows = entered(self, X, sample_weight, known, reset=True, least=2)
            check_enough(source.n_rows, self._n_to_begin(n_rows))
            sampler: Sampler = SAMPLERS[self.sampler] if isinstance(self.sampler, str) else self.sampler
            drawn = sampler.draw(self._sampling(source, kept, n_rows))
            record = DrawsFit(drawn.chains, drawn.prior, drawn.log_prior, self.n_tune + self.n_draws)
            self._take(record, source.dtype)
        if not self.converged_:
            warnings.warn(self.diagnostics_.verdict, ConvergenceWarning, stacklevel=2)
        return self

    def _n_to_begin(self, n_rows: int) -> int:
        """How many components chains begin with."""
        if isinstance(self.n_components, ComponentCountLaw | str):
            most = self.n_components.most if isinstance(self.n_components, ComponentCountLaw) else TO_BEGIN
            return min(most, TO_BEGIN, n_rows)
        return self.n_components

    def _sampling(self, source: Source, kept: Array | None, n_rows: int) -> Sampling:
        structure, rng = covariance_structure(self.covariance_type, source.n_features), as_generator(self.random_state)
        assert isinstance(structure, SharedBlocks)
        n_begun = self._n_to_begin(n_rows)
        sample = seeding_sample(source, n_begun)
        beginning = (
            Beginning(self.init_params)
            if isinstance(self.init_params, str)
            else Beginning(partition=as_partition(self.init_params, kept, n_rows, n_begun))
        )
        with waiting("Looking for modes") if self.verbose else nullcontext():
            found = modes(source, sample, structure, n_begun, rng, n_init=self.n_init, beginning=beginning)
        names = getattr(self, "feature_names_in_", None)
        return Sampling(
            source=source,
            structure=structure,
            n_components=self.n_components,
            prior=self.prior,
            concentration=self.weight_concentration_prior,
            resolution=np.sqrt(variance_floor("auto", source, sample).variances),
            names=None if names is None else list(names),
            modes=found,
            n_draws=self.n_draws,
            n_tune=self.n_tune,
            n_chains=self.n_chains,
            relabelling=self.relabelling,
            rng=rng,
            verbose=bool(self.verbose),
        )

    # ---- what draws say --------------------------------------------------------------------------------------------------------

    def coclustering(self, X: ArrayLike) -> Array:
        """Posterior probability that two rows belong together.

        Parameters
        ----------
        X : (N, D) array-like

        Returns
        -------
        (n, n) array
            Of all rows, or of 2000 evenly spaced ones where there are more.
        """
        check_is_fitted(self, "weights_")
        source = self._source(X)
        rows, _ = source.take(evenly_spaced(source.n_rows, MOST_COCLUSTERED))
        return coclustering(self.record_.chains.draws, rows)

    def estimate_partition(self, X: ArrayLike, loss: str = "variation_of_information") -> Partition:
        """The one partition of the rows of ``coclustering`` that says best what all draws say together.

        Parameters
        ----------
        X : (N, D) array-like
        loss : {"variation_of_information", "binder"}, default="variation_of_information"
            What it costs to be wrong (Wade and Ghahramani 2018, "Bayesian cluster analysis"; Binder 1978).

        Returns
        -------
        Partition
            With ``labels``, ``n_clusters`` and the expected loss.
        """
        return estimate_partition(self.coclustering(X), loss)

    def to_arviz(self, X: ArrayLike, *, rows: ArrayLike | None = None, log_likelihood: bool = True) -> Any:
        """The draws as the installed ArviZ reads them.

        With posterior, prior (where the number of components is known), posterior_predictive, sample_stats, log_likelihood and
        observed_data: an ``arviz.InferenceData`` where the package ``arviz`` is installed and before 1.0, and else an
        ``xarray.DataTree``.

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
        check_is_fitted(self, "weights_")
        from mixtura.assess.draws.arviz import for_installed, to_arviz

        settings = {**self._draws_settings(), "rows": rows, "log_likelihood": log_likelihood}
        return for_installed(to_arviz(self.draws_, self._source(X), **settings))

    def save_draws(self, path: str | os.PathLike[str], X: ArrayLike) -> None:
        """Write the draws to a file, whole or not at all; ``mx.load_draws`` reads it.

        Parameters
        ----------
        path : path-like
            Ends in ``.nc``, for NetCDF with all that ``to_arviz`` has, which needs the extra ``mcmc``, or in ``.npz``, for the draws
            alone.
        X : (N, D) array-like
            The rows of the fit.

        Raises
        ------
        InvalidParameterError
            If the name ends in something else.
        MissingExtraError
            For NetCDF, without ArviZ or h5netcdf.
        """
        check_is_fitted(self, "weights_")
        save_draws(path, self.draws_, self._source(X), **self._draws_settings())

    def draws_content(self, suffix: str, X: ArrayLike, feature_names: Sequence[str] | None = None) -> bytes:
        """What ``save_draws`` writes, for whoever writes several files together.

        Parameters
        ----------
        suffix : {".nc", ".npz"}
        X : (N, D) array-like
            The rows of the fit.
        feature_names : sequence of str, optional
            In place of those of the fit.
        """
        check_is_fitted(self, "weights_")
        settings = self._draws_settings()
        if feature_names is not None:
            settings["feature_names"] = list(feature_names)
        return draws_content(suffix, self.draws_, self._source(X), **settings)

    def _draws_settings(self) -> dict[str, Any]:
        """What ArviZ and files want to know beside draws and rows."""
        record, names = self.record_, getattr(self, "feature_names_in_", None)
        return {
            "statistics": record.chains.statistics,
            "components": record.components,
            "prior": record.log_prior,
            "feature_names": None if names is None else list(names),
        }

    def loo(self, X: ArrayLike, *, rows: ArrayLike | None = None) -> Any:
        """Expected log predictive density of rows left out one by one (PSIS-LOO), by ArviZ.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        rows : (M,) integer array-like, optional
            Leave out these alone.
        """
        check_is_fitted(self, "weights_")
        from mixtura.assess.draws.arviz import loo

        return loo(self.record_.chains.draws, self._source(X), rows)

    def log_evidence(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        method: str = "bridge",
        random_state: RandomState = None,
    ) -> LogEvidence:
        """Log of the marginal likelihood of the rows, with its standard error: what models are compared by.

        By bridge sampling between the draws and a law learnt from half of them (Meng and Wong 1996), or by importance sampling about the
        modes nearest to the best draw of each chain. Both count all orders of the components, so labels do not matter.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        sample_weight : (N,) array-like, optional
            Their weights.
        method : {"bridge", "modes"}, default="bridge"
        random_state : None, int, RandomState or Generator

        Returns
        -------
        LogEvidence
            ``value``, ``standard_error`` and ``pareto_k``.

        Raises
        ------
        InvalidParameterError
            If the number of components is open, or larger than 12.
        UnknownEvidenceError
            If no estimate can be trusted; the message says why, and what to try.
        """
        check_is_fitted(self)
        record = self.record_
        if record.log_prior is None:
            raise InvalidParameterError(
                "log_evidence is that of a known number of components under a prior that is one density; give n_components a number."
            )
        if method not in ("bridge", "modes"):
            raise InvalidParameterError(f"method must be 'bridge' or 'modes'; got {method!r}.")
        source = self._source(X, sample_weight)
        rng, draws = as_generator(random_state), record.chains.draws
        if method == "bridge":
            return bridge_sampling(draws, source, record.log_prior, rng)
        best = record.chains.log_posterior.argmax(axis=1)
        return mode_sampling([draws.mixture(c, int(s)) for c, s in enumerate(best)], source, record.log_prior, rng)
