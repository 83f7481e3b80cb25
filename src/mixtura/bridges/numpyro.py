"""The mixture as a NumPyro model, and NumPyro's stochastic variational inference on it. The one file that imports NumPyro.

The model has a site each for weights, means, scales and correlations; labels are summed out, and the log-likelihood enters as one factor
whose value and gradient cost one sweep (see ``bridges/jax.py``). Everything that NumPyro does with a model can be done with it.

``fit_guide`` runs in coordinates in which the complete-data information at a posterior mode is about the identity: every site, made
unconstrained by NumPyro's own transform, is shifted by its value at the mode and divided by the standard deviation that it would have were
the labels known. So one step size suits all parameters, whatever the units and the number of rows. The bound does not change
with coordinates. Sources: Kucukelbir, Tran, Ranganath, Gelman and Blei (2017), "Automatic differentiation variational inference", for
guides in unconstrained coordinates; Lange (1995), "A quasi-Newton acceleration of the EM algorithm", for that information as metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixtura.bridges.jax import LogLikelihood, as_source, log_likelihood, smooth_structure
from mixtura.data.array import ArraySource
from mixtura.ground.errors import DataError, InvalidParameterError, missing_extra
from mixtura.ground.linalg import Array
from mixtura.ground.random import RandomState, as_generator
from mixtura.ground.settings import check_integer
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.plan import fit_one, point_case
from mixtura.inference.starts.sample import seeding_sample
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.draws import Draws
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.mixture import Mixture
from mixtura.sweep import moments_of_all

try:
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro.distributions import biject_to
    from numpyro.distributions.transforms import AffineTransform, ComposeTransform
    from numpyro.infer import SVI, Trace_ELBO, autoguide, init_to_value
    from numpyro.infer.reparam import ExplicitReparam
except ImportError as error:
    raise missing_extra("NumPyro models", "numpyro") from error

__all__ = ["GUIDES", "GuideFit", "as_draws", "fit_guide", "log_likelihood", "model"]

Priors = Mapping[str, Any]
Model = Callable[[], None]

UNIT = {"init_scale": 1.0}
GUIDES: dict[str, tuple[Any, dict[str, float]]] = {
    "auto_delta": (autoguide.AutoDelta, {}),
    "auto_normal": (autoguide.AutoNormal, UNIT),
    "auto_multivariate_normal": (autoguide.AutoMultivariateNormal, UNIT),
    "auto_low_rank_multivariate_normal": (autoguide.AutoLowRankMultivariateNormal, UNIT),
    "auto_iaf_normal": (autoguide.AutoIAFNormal, {}),
}
"""NumPyro's guides by name, with the scale at which they begin in whitened coordinates."""


# ---- the model -----------------------------------------------------------------------------------------------------------------


def model(
    X: ArrayLike,
    n_components: int,
    covariance_type: str = "full",
    *,
    sample_weight: ArrayLike | None = None,
    priors: Priors | None = None,
) -> Model:
    r"""The mixture of these rows as a NumPyro model with its labels summed out.

    Its sample sites are

    - ``weights``, ``(K,)``, by default from the uniform Dirichlet law;
    - ``means``, ``(K, D)``, normal about the mean of the data with twice their standard deviation ``s``;
    - ``scales``, standard deviations: ``(K, D)`` for ``"full"`` and ``"diag"``, ``(D,)`` for ``"tied"`` and ``"tied_diag"``, ``(K,)``
      for ``"spherical"``, a scalar for ``"tied_spherical"``; log-normal about ``s / K^{1/D}`` with a log standard deviation of one;
    - ``correlations``, Cholesky factors of correlation matrices, ``(K, D, D)`` or ``(D, D)``, from the law of Lewandowski, Kurowicka and
      Joe with concentration 2; only for ``"full"`` and ``"tied"``, and ``D > 1``.

    Parameters
    ----------
    X : (N, D) array-like
    n_components : int
    covariance_type : {"full", "tied", "diag", "tied_diag", "spherical", "tied_spherical"} or code, default="full"
    sample_weight : (N,) array-like, optional
    priors : mapping, optional
        Other NumPyro distributions for some of the sites; each is expanded to the shape of its site.

    Returns
    -------
    function
        A NumPyro model without arguments, which adds a factor ``log_likelihood``.

    Examples
    --------
    >>> import jax
    >>> import numpyro.distributions as dist
    >>> from numpyro import handlers
    >>> from mixtura.bridges.numpyro import model
    >>> five = [[0.0], [1.0], [10.0], [11.0], [12.0]]
    >>> pair = model(five, 2, "tied_spherical", priors={"scales": dist.LogNormal(0.0, 2.0)})
    >>> sites = handlers.trace(handlers.seed(pair, jax.random.key(0))).get_trace()
    >>> {name: site["value"].shape for name, site in sites.items() if name != "log_likelihood"}
    {'weights': (2,), 'means': (2, 1), 'scales': ()}
    """
    structure = smooth_structure(covariance_type)
    source = as_source(X, sample_weight)
    likelihood = log_likelihood(source.rows, structure, source.weights)
    return _model(structure, _laws(source, n_components, structure, priors), likelihood)


def _model(structure: SharedBlocks, laws: Priors, likelihood: LogLikelihood | None) -> Model:
    def mixture() -> None:
        values = {name: numpyro.sample(name, law) for name, law in laws.items()}
        if likelihood is not None:
            value = likelihood(values["weights"], values["means"], _roots(structure, values))
            numpyro.factor("log_likelihood", value)

    return mixture


def _laws(source: ArraySource, n_components: int, structure: SharedBlocks, priors: Priors | None) -> dict[str, Any]:
    """The prior of each site in the shape of the site."""
    check_integer(n_components, "n_components", 1)
    shapes = _shapes(structure, n_components, source.n_features)
    given = dict(priors or {})
    if unknown := sorted(given.keys() - shapes.keys()):
        raise InvalidParameterError(f"priors must be of {', '.join(shapes)}; got one of {unknown[0]!r}.")
    laws = {**_default_priors(source, n_components, structure), **given}
    return {name: _shaped(name, laws[name], shape) for name, shape in shapes.items()}


def _shapes(structure: SharedBlocks, n_components: int, n_features: int) -> dict[str, tuple[int, ...]]:
    """Shape of each site."""
    natural = structure.shape(n_components, n_features)
    shapes = {
        "weights": (n_components,),
        "means": (n_components, n_features),
        "scales": natural if structure.diagonal else natural[:-1],
    }
    return shapes if structure.diagonal or n_features == 1 else {**shapes, "correlations": natural}


def _default_priors(source: ArraySource, n_components: int, structure: SharedBlocks) -> dict[str, Any]:
    mean, variances = _centre_and_variances(source)
    deviations = np.sqrt(variances)
    spread = deviations if structure.block_shape(source.n_features) else np.sqrt(variances.mean())
    return {
        "weights": dist.Dirichlet(np.ones(n_components)),
        "means": dist.Normal(mean, 2 * deviations),
        "scales": dist.LogNormal(np.log(spread / n_components ** (1 / source.n_features)), 1.0),
        "correlations": dist.LKJCholesky(max(source.n_features, 2), 2.0),
    }


def _centre_and_variances(source: ArraySource) -> tuple[Array, Array]:
    moments = moments_of_all(source, diagonal=True)
    variances = (moments.scatter() / moments.count[:, None])[0]
    if not (variances > 0).all():
        raise DataError(f"column {int(variances.argmin())} is constant. Leave it out.")
    return moments.means()[0], variances


def _shaped(name: str, law: Any, shape: tuple[int, ...]) -> Any:
    """A distribution expanded to the shape of its site, all of it one event."""
    batch = shape[: len(shape) - law.event_dim]
    try:
        law = law.expand(batch).to_event(len(batch))
    except ValueError as error:
        raise InvalidParameterError(f"the prior of {name} cannot have shape {shape}: {error}.") from error
    if law.shape() != shape:
        raise InvalidParameterError(f"the prior of {name} must have shape {shape}; got {law.shape()}.")
    return law


def _roots(structure: SharedBlocks, values: Mapping[str, Any]) -> Any:
    """Roots of the covariances, natural array, from values at the sites."""
    scales = values["scales"]
    if structure.diagonal:
        return scales
    return scales[..., None] * (values["correlations"] if scales.shape[-1] > 1 else 1.0)


# ---- its draws -----------------------------------------------------------------------------------------------------------------


def as_draws(samples: Mapping[str, Any], covariance_type: str | CovarianceStructure = "full") -> Draws:
    """Draws of mixtures from NumPyro's samples of the sites of ``model``.

    Parameters
    ----------
    samples : mapping
        Such as ``mcmc.get_samples(group_by_chain=True)``, ``(C, S, ...)``, or without chains, ``(S, ...)``.
    covariance_type : str or CovarianceStructure, default="full"
        As in ``model``.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.bridges.numpyro import as_draws
    >>> samples = {"weights": np.ones((3, 1)), "means": np.zeros((3, 1, 2)), "scales": np.full((3, 1, 2), 2.0)}
    >>> as_draws(samples, "diag").mixture(0, 2).covariances.tolist()
    [[4.0, 4.0]]
    """
    structure = smooth_structure(covariance_type)
    values = {name: np.asarray(samples[name], dtype=np.float64) for name in _shapes(structure, 1, 2) if name in samples}
    if values["weights"].ndim == 2:
        values = {name: value[None] for name, value in values.items()}
    weights, roots = values["weights"], _roots(structure, values)
    covariances = roots**2 if structure.diagonal else roots @ roots.swapaxes(-1, -2)
    return Draws(structure, weights / weights.sum(axis=-1, keepdims=True), values["means"], covariances)


# ---- stochastic variational inference ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class GuideFit:
    """What stochastic variational inference with a guide brings back.

    Attributes
    ----------
    losses : (T,) array
        Minus a one-draw estimate of the evidence lower bound at each step (for ``"auto_delta"`` minus the log density itself).
    lower_bound : float
        Minus the mean loss over the last tenth of the steps. Of one labelling: where the posterior has ``K!`` copies of a well separated
        mode, add ``ln K!``.
    draws : Draws
        One chain from the guide.
    mixture : Mixture
        At the guide's median; at the mean of the draws where a guide (a flow) has no median.
    """

    losses: Array
    lower_bound: float
    draws: Draws
    mixture: Mixture


def fit_guide(
    X: ArrayLike,
    n_components: int,
    covariance_type: str = "full",
    *,
    guide: str | Callable[[Model], Any] = "auto_normal",
    sample_weight: ArrayLike | None = None,
    priors: Priors | None = None,
    start: Mixture | None = None,
    n_steps: int = 2000,
    learning_rate: float = 0.05,
    n_draws: int = 1000,
    random_state: RandomState = None,
) -> GuideFit:
    """Fit a guide, NumPyro's word for a family of posteriors, to the posterior of ``model`` by stochastic variational inference.

    Adam maximises the evidence lower bound, in float64, one sweep a step. The guide settles around one labelling of one mode, that of the
    start.

    Parameters
    ----------
    X : (N, D) array-like
    n_components : int
    covariance_type : {"full", "tied", "diag", "tied_diag", "spherical", "tied_spherical"} or code, default="full"
    guide : str or function of a model, default="auto_normal"
        A name in ``GUIDES``, or what makes a guide of a model, such as a class of ``numpyro.infer.autoguide``. ``"auto_delta"`` is the mode
        of the density of the sites as they are; all others work in whitened coordinates.
    sample_weight : (N,) array-like, optional
    priors : mapping, optional
        As in ``model``.
    start : Mixture, optional
        Of the same structure; a posterior mode by EM under a weak conjugate prior where none is given.
    n_steps : int, default=2000
    learning_rate : float, default=0.05
        Of the first step, in standard deviations of a posterior with known labels; it falls to a hundredth at the last step.
    n_draws : int, default=1000
    random_state : None, int, RandomState or Generator

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed, or the loss stops being a finite number.

    Examples
    --------
    >>> from mixtura.bridges.numpyro import fit_guide
    >>> five = [[0.0], [1.0], [10.0], [11.0], [12.0]]
    >>> fit = fit_guide(five, 2, "tied_spherical", guide="auto_delta", n_steps=200, n_draws=100, random_state=0)
    >>> fit.draws.means.shape
    (1, 100, 2, 1)
    >>> sorted(fit.mixture.means[:, 0].round().tolist())
    [1.0, 11.0]
    """
    structure, rng = smooth_structure(covariance_type), as_generator(random_state)
    make, options = _guide_maker(guide)
    check_integer(n_steps, "n_steps", 1)
    check_integer(n_draws, "n_draws", 1)
    source = as_source(X, sample_weight)
    likelihood = log_likelihood(source.rows, structure, source.weights)
    with jax.enable_x64(True):
        laws = _laws(source, n_components, structure, priors)
        start = _mode(source, n_components, structure, rng) if start is None else start
        _check_start(start, structure, laws["means"].shape())
        coordinates = _Coordinates(laws, start, source.total_weight, point=make is autoguide.AutoDelta)
        if options is not None:
            options = {**options, "init_loc_fn": init_to_value(values=coordinates.start)}
        # The guide needs the sites, not the data: made from the prior alone, it costs no sweep.
        fitted = make(coordinates.of(_model(structure, laws, None)), **(options or {}))
        svi = SVI(
            coordinates.of(_model(structure, laws, likelihood)),
            fitted,
            numpyro.optim.Adam(lambda step: learning_rate * 0.01 ** (step / n_steps)),
            Trace_ELBO(),
        )
        key, draws_key = jax.random.split(jax.random.key(int(rng.integers(2**31))))
        result = svi.run(key, n_steps, progress_bar=False)
        losses = np.asarray(result.losses) + coordinates.log_volume
        _check_finite(losses)
        sampled = fitted.sample_posterior(draws_key, result.params, sample_shape=(n_draws,))
        draws = as_draws(coordinates.back(sampled), structure)
        try:
            median = {name: value[None] for name, value in coordinates.back(fitted.median(result.params)).items()}
            mixture = as_draws(median, structure).mixture(0, 0)
        except NotImplementedError:
            mixture = _mean(draws)
    return GuideFit(losses, -float(losses[-max(n_steps // 10, 1) :].mean()), draws, mixture)


def _guide_maker(guide: str | Callable[[Model], Any]) -> tuple[Any, dict[str, Any] | None]:
    """What makes the guide of a model; options only where it is one of ours."""
    if isinstance(guide, str):
        if guide not in GUIDES:
            raise InvalidParameterError(f"guide must be one of {', '.join(GUIDES)}, or make a guide; got {guide!r}.")
        return GUIDES[guide]
    if not callable(guide):
        raise InvalidParameterError(f"guide must be a name or a function that makes a guide of a model; got {guide!r}.")
    return guide, None


def _check_start(start: Mixture, structure: SharedBlocks, shape: tuple[int, int]) -> None:
    if start.structure is not structure or start.means.shape != shape:
        raise InvalidParameterError(
            f"start must have {shape[0]} components in {shape[1]} dimensions and be {structure.name}; got {start!r}."
        )


def _check_finite(losses: Array) -> None:
    if not np.isfinite(losses).all():
        step = int(np.isfinite(losses).argmin())
        raise InvalidParameterError(
            f"the loss became {losses[step]} at step {step}. Lower learning_rate, or give priors that keep scales away from zero."
        )


def _mean(draws: Draws) -> Mixture:
    weights, means, covariances = (part[0].mean(axis=0) for part in (draws.weights, draws.means, draws.covariances))
    return Mixture(weights, means, covariances, draws.structure)


def _mode(source: ArraySource, n_components: int, structure: SharedBlocks, rng: np.random.Generator) -> Mixture:
    """A posterior mode under the weak conjugate prior of Fraley and Raftery, by EM from the best of several starts."""
    if source.n_rows < n_components:
        raise DataError(f"{n_components} components need as many rows; got {source.n_rows}. Ask for fewer components.")
    mean, variances = _centre_and_variances(source)
    prior = NormalInverseWishart.from_data_moments(mean, np.diag(variances), n_components)
    case = point_case(n_components, ExpectationMaximization(structure, prior=prior))
    sample = seeding_sample(source, n_components)
    return fit_one(source, sample, case, Stopping(1e-3, 200, source.total_weight), rng).best.mixture


class _Coordinates:
    """The sites in whitened coordinates about a start.

    With ``point`` only the means are, since an affine map alone leaves the mode of a density where it is.
    """

    def __init__(self, laws: Priors, start: Mixture, total_weight: float, *, point: bool) -> None:
        counts = total_weight * start.weights + 1.0
        values, widths = _site_values(start, counts), _site_widths(start, counts)
        self.start: dict[str, Any] = {}
        self._transforms: dict[str, Any] = {}
        for name, law in laws.items():
            if point and name != "means":
                self.start[name] = jnp.asarray(values[name])
                continue
            to_real = biject_to(law.support).inv
            centre = to_real(jnp.asarray(values[name]))
            whitened = AffineTransform(-centre / widths[name], 1 / widths[name])
            self._transforms[name] = ComposeTransform([to_real, whitened])
            self.start[f"{name}_base"] = jnp.zeros_like(centre)
        self.log_volume = float(np.log(widths["means"]).sum()) if point else 0.0

    def of(self, model: Model) -> Model:
        """The model with its sites in these coordinates."""
        config = {name: ExplicitReparam(transform) for name, transform in self._transforms.items()}
        return numpyro.handlers.reparam(model, config)

    def back(self, samples: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the sites themselves."""
        whitened = {name: transform.inv(samples[f"{name}_base"]) for name, transform in self._transforms.items()}
        return {**samples, **whitened}


def _site_values(start: Mixture, counts: Array) -> dict[str, Array]:
    """The sites at a mixture, no weight of it zero."""
    structure = start.structure
    assert isinstance(structure, SharedBlocks)
    roots = structure.as_natural(structure.block_roots(structure.as_blocks(start.covariances)))
    values = {"weights": counts / counts.sum(), "means": start.means}
    if structure.diagonal:
        return {**values, "scales": roots}
    scales = np.sqrt(np.square(roots).sum(axis=-1))
    return {**values, "scales": scales, "correlations": roots / scales[..., None]}


def _site_widths(start: Mixture, counts: Array) -> dict[str, Array]:
    """Standard deviations of the unconstrained sites if all labels were known: of sticks, means, log scales and Fisher's z."""
    structure, (n_components, n_features) = start.structure, start.means.shape
    assert isinstance(structure, SharedBlocks)
    masses = structure.as_natural(counts.sum(keepdims=True) if structure.shared else counts)
    left = counts[::-1].cumsum()[::-1][1:]
    deviations = np.sqrt(structure.variances(start.covariances, n_components, n_features))
    each = bool(structure.block_shape(n_features))
    return {
        "weights": np.sqrt(1 / counts[:-1] + 1 / left),
        "means": deviations / np.sqrt(counts)[:, None],
        "scales": 1 / np.sqrt(2 * masses[..., None] if each else 2 * n_features * masses),
        "correlations": 1 / np.sqrt(masses[..., None]),
    }
