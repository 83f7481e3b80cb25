"""The samplers of ``SampledGaussianMixture``, as settings that know how to draw."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np

from mixtura.assess.draws.chains import Chains, judge
from mixtura.data.source import Source
from mixtura.estimators.progress import progress_bar
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.settings import Settings, check_integer
from mixtura.inference.sampling import gibbs, nuts
from mixtura.inference.sampling.dirichlet_process import DirichletProcess
from mixtura.inference.sampling.dispersed_starts import dispersed_starts
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.sampling.weights import PartitionPrior
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.laws.components import ComponentPrior, ConjugateComponents
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.independent import IndependentPrior
from mixtura.model.laws.log_densities import ConjugatePrior, LogPrior, SemiConjugatePrior, SmoothPrior
from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
from mixtura.model.mixture import Mixture

OF_KNOWN, OF_OPEN = 4, 3
"""Sweeps for each draw of a known number of components, of which every fourth has moves, and of an open one, where all have."""
WEAKLY_INFORMATIVE = "weakly-informative"
DIRICHLET_PROCESS = "dirichlet-process"


@dataclass(frozen=True, eq=False)
class Sampling:
    """What is to be sampled, and how much of it.

    Attributes
    ----------
    source : Source
    structure : SharedBlocks
    n_components : int, ComponentCountLaw or str
    prior : object
        As the user gave it.
    concentration : float or None
    resolution : (D,) array
        Of the columns, as standard deviations.
    names : list of str or None
        Of the columns.
    modes : list of Mixture
        About which chains begin, the best first.
    n_draws, n_tune, n_chains : int
    relabelling : str
    rng : Generator
    verbose : bool
    """

    source: Source
    structure: SharedBlocks
    n_components: int | ComponentCountLaw | str
    prior: Any
    concentration: float | None
    resolution: Any
    names: list[str] | None
    modes: list[Mixture]
    n_draws: int
    n_tune: int
    n_chains: int
    relabelling: str
    rng: np.random.Generator
    verbose: bool

    def weakly_informative(self) -> SemiConjugateComponents:
        """Richardson and Green's prior over the range of the data."""
        lowest, highest = self.source.facts.lowest, self.source.facts.highest
        return SemiConjugateComponents.of_ranges(self.structure, lowest, highest, self.resolution)

    def progress(self) -> Any:
        """A bar, where anything is to be seen."""
        return progress_bar("Sampling") if self.verbose else nullcontext()


@dataclass(frozen=True, eq=False)
class Outcome:
    """Judged chains, what was believed of means and covariances, as users say it, and the whole prior as one density, where it is one."""

    chains: Chains
    prior: Any
    log_prior: LogPrior | None


class Sampler(Protocol):
    """Settings that know how to draw."""

    def draw(self, what: Sampling) -> Outcome:
        """The chains."""


@dataclass(frozen=True)
class Nuts(Settings):
    """The No-U-Turn sampler, labels summed out; it needs the extra ``mcmc``.

    Parameters
    ----------
    target_accept : float, default=0.9
        Mean acceptance rate that step sizes are adapted to. Nearer to one, steps are shorter and fewer trajectories diverge.
    gradients_per_draw : int, optional
        A chain that takes more of them, over all of its draws, or is going to, is given up, and why it is stands first in the verdict. By
        default from 40 for large data to 400 for small, which take some ten seconds.

    Examples
    --------
    >>> import mixtura as mx
    >>> mx.SampledGaussianMixture(2, sampler=mx.Nuts(target_accept=0.95)).sampler
    Nuts(target_accept=0.95, gradients_per_draw=None)
    """

    target_accept: float = 0.9
    gradients_per_draw: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.target_accept, Real) or not 0 < self.target_accept < 1:
            raise InvalidParameterError(f"target_accept must lie between 0 and 1; got {self.target_accept!r}.")
        if self.gradients_per_draw is not None:
            check_integer(self.gradients_per_draw, "gradients_per_draw", 1)

    def draw(self, what: Sampling) -> Outcome:
        """Draw by NUTS."""
        if not isinstance(what.n_components, int | np.integer):
            raise InvalidParameterError(
                f"sampler='nuts' knows the number of components; got n_components={what.n_components!r}. Use sampler='gibbs'."
            )
        prior = self._prior(what)
        if what.verbose:
            print(f"Prior: {prior}")
        with what.progress() as progress:
            run = nuts.sample(
                what.source,
                what.modes,
                prior,
                rng=what.rng,
                n_draws=what.n_draws,
                n_tune=what.n_tune,
                n_chains=what.n_chains,
                target_accept=self.target_accept,
                gradients_per_draw=self.gradients_per_draw,
                names=what.names,
                progress=progress,
            )
        chains = judge(run, what.source, method=what.relabelling)
        believed = prior.components if isinstance(prior, SemiConjugatePrior) else prior
        # With a common factor of all spreads, the density of the parameters alone has no formula.
        return Outcome(chains, believed, None if prior.common_log_spread else prior)

    def _prior(self, what: Sampling) -> SmoothPrior:
        if isinstance(what.prior, IndependentPrior):
            if what.concentration is not None:
                raise InvalidParameterError(
                    "weight_concentration_prior stands in the IndependentPrior already (concentration); leave it at None."
                )
            return what.prior
        concentration = 1.0 if what.concentration is None else what.concentration
        if isinstance(what.prior, SemiConjugateComponents) and what.prior.structure is what.structure:
            return SemiConjugatePrior(what.prior, concentration)
        if what.prior != WEAKLY_INFORMATIVE:
            raise InvalidParameterError(
                "sampler='nuts' takes prior='weakly-informative', an IndependentPrior, or SemiConjugateComponents of "
                f"covariance_type={what.structure.name!r}; got {what.prior!r}."
            )
        return SemiConjugatePrior(what.weakly_informative(), concentration)


@dataclass(frozen=True)
class Gibbs(Settings):
    """Blocked Gibbs sampling, with moves that split and merge components.

    Parameters
    ----------
    thin : int, optional
        Sweeps for each draw that is kept: by default four, or three where the number of components is open and a sweep has more moves.
        ``n_tune`` counts sweeps.

    Examples
    --------
    >>> import mixtura as mx
    >>> mx.SampledGaussianMixture(2, sampler=mx.Gibbs(thin=5)).get_params()["sampler__thin"]
    5
    """

    thin: int | None = None

    def __post_init__(self) -> None:
        if self.thin is not None:
            check_integer(self.thin, "thin", 1)

    def draw(self, what: Sampling) -> Outcome:
        """Draw by Gibbs sampling."""
        components, partition = self._components(what), _partition(what)
        known = isinstance(what.n_components, int | np.integer)
        starts = dispersed_starts(what.source, what.structure, what.modes, partition, what.n_chains, what.rng)
        with what.progress() as progress:
            run = gibbs.sample(
                what.source,
                starts,
                gibbs.Gibbs(components, partition),
                what.rng,
                n_draws=what.n_draws,
                n_warmup=what.n_tune,
                thin=self.thin or (OF_KNOWN if known else OF_OPEN),
                keep_labels=False,
                progress=progress,
            )
        chains = judge(
            run,
            what.source,
            method=what.relabelling,
            n_filled=run.n_filled,
            n_is_known=known,
            n_components_prior=partition.n_filled_prior(what.source.n_rows),
            n_begun=[start.n_components for start in starts],
            accepted=run.accepted.tolist(),
        )
        prior = components.prior if isinstance(components, ConjugateComponents) else components
        return Outcome(chains, prior, _log_prior(components, partition) if known else None)

    def _components(self, what: Sampling) -> ComponentPrior:
        """What is believed of means and covariances."""
        if isinstance(what.prior, NormalInverseWishart):
            if len(what.prior.mean) != what.source.n_features:
                raise InvalidParameterError(
                    f"prior is for {len(what.prior.mean)} features; the data have {what.source.n_features}."
                )
            return ConjugateComponents(what.structure, what.prior)
        if isinstance(what.prior, SemiConjugateComponents) and what.prior.structure is what.structure:
            return what.prior
        if what.prior != WEAKLY_INFORMATIVE:
            raise InvalidParameterError(
                "sampler='gibbs' takes prior='weakly-informative', a NormalInverseWishart, or SemiConjugateComponents of "
                f"covariance_type={what.structure.name!r}; got {what.prior!r}."
            )
        return what.weakly_informative()


MOST_CONCENTRATION = 10
"""Of a Dirichlet process for each row: there it believes that 95 in 100 rows have a component of their own."""
SAMPLERS: dict[str, Sampler] = {"nuts": Nuts(), "gibbs": Gibbs()}
"""The samplers by name."""


def _partition(what: Sampling) -> PartitionPrior:
    """What is believed of weights, and of how many there are."""
    concentration = 1.0 if what.concentration is None else what.concentration
    if isinstance(what.n_components, str):
        most = MOST_CONCENTRATION * what.source.n_rows
        if concentration > most:
            raise InvalidParameterError(
                f"weight_concentration_prior={concentration:g} believes that nearly each of {what.source.n_rows} rows has a component of "
                f"its own, and a sweep needs thousands of empty ones. Take at most {most}; of about 1 few groups are expected."
            )
        return DirichletProcess(concentration)
    known = isinstance(what.n_components, int | np.integer)
    law = ComponentCountLaw.exactly(int(what.n_components)) if known else what.n_components  # type: ignore[arg-type]
    return FiniteMixtures(law, concentration)  # type: ignore[arg-type]


def _log_prior(components: ComponentPrior, partition: PartitionPrior) -> LogPrior | None:
    """The prior of weights, means and covariances as one density, where the number of components is known."""
    assert isinstance(partition, FiniteMixtures)
    alpha = float(partition.concentrations[-1])
    if isinstance(components, SemiConjugateComponents):
        return SemiConjugatePrior(components, alpha)
    return ConjugatePrior(components, alpha) if isinstance(components, ConjugateComponents) else None
