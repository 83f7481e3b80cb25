"""How ``BayesianGaussianMixture`` runs chains: where they begin, under which prior, and what labels and scores rows afterwards."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.assess.chains import Chains, judge
from mixtura.data.array import ArraySource
from mixtura.estimators.gaussian_mixture import GaussianMixture
from mixtura.estimators.progress import progress_bar
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference import gibbs, nuts
from mixtura.inference.dirichlet_process import DirichletProcess
from mixtura.inference.partitions import PartitionPrior
from mixtura.inference.split_merge import SplitMerge
from mixtura.inference.telescoping import ComponentCountLaw, FiniteMixtures
from mixtura.model.components import ComponentPrior, ConjugateComponents
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.draws import Draws
from mixtura.model.independent_prior import IndependentPrior
from mixtura.model.log_priors import ConjugatePrior, LogPrior, SemiConjugatePrior
from mixtura.model.mixture import Mixture
from mixtura.model.prior import NormalInverseWishart
from mixtura.model.semi_conjugate import SemiConjugateComponents
from mixtura.sweep import moments_of_all

LEAST_ROWS = 0.1
"""Rows of a component from which a chain can begin with its weight as it is."""
MODES = 4
"""Restarts of EM, at least, that look for the modes at which chains begin."""


@dataclass(frozen=True)
class ChainSettings:
    """How long, how many, how careful, and how labels are straightened."""

    n_draws: int
    n_tune: int
    n_chains: int
    target_accept: float
    relabelling: str
    verbose: bool


def modes(source: ArraySource, settings: dict[str, Any]) -> list[Mixture]:
    """Where EM ends under a weak prior, from several starts, the best first; each component with some weight to begin with."""
    estimator = GaussianMixture(covariance_prior="empirical", max_iter=500, **settings)
    estimator.n_init = max(MODES, estimator.n_init)
    estimator._fit(source.rows, source.weights)  # where chains begin need be neither converged nor free of the floor
    runs = [run for run in estimator.restarts_.runs if not run.failed]
    ranked = sorted(runs, key=lambda run: -run.bounds[-1])
    return [_with_weights(run.mixture, source.total_weight) for run in ranked]


def _with_weights(mode: Mixture, total_weight: float) -> Mixture:
    """A mode as it is, or with one row more for each component where one of them has next to none."""
    counts = mode.weights * total_weight
    if counts.min() > LEAST_ROWS:
        return mode
    return Mixture((counts + 1) / (counts + 1).sum(), mode.means, mode.covariances, mode.covariance_type)


def independent_prior(source: ArraySource, n_components: int, concentration: float | None) -> IndependentPrior:
    """The default prior of NUTS, with another concentration of the weights if one is given."""
    moments = moments_of_all(source, diagonal=True)
    prior = IndependentPrior.from_data_moments(
        moments.means()[0], moments.scatter()[0] / moments.count[0], n_components
    )
    return prior if concentration is None else replace(prior, concentration=concentration)


def by_nuts(
    source: ArraySource,
    starts: list[Mixture],
    prior: IndependentPrior,
    settings: ChainSettings,
    rng: np.random.Generator,
) -> Chains:
    """Draws by NUTS."""
    if settings.verbose:
        print(f"Prior: {prior}")
    with _progress("Sampling", settings) as progress:
        run = nuts.sample(
            source,
            starts,
            prior,
            rng=rng,
            n_draws=settings.n_draws,
            n_tune=settings.n_tune,
            n_chains=settings.n_chains,
            target_accept=settings.target_accept,
            progress=progress,
        )
    return judge(
        run.draws,
        source.rows,
        run.log_posterior,
        run.log_likelihood,
        run.statistics,
        method=settings.relabelling,
    )


def by_gibbs(
    source: ArraySource,
    starts: list[Mixture],
    components: ComponentPrior,
    partition: PartitionPrior,
    settings: ChainSettings,
    rng: np.random.Generator,
) -> Chains:
    """Draws by Gibbs sampling, with split–merge moves where the number of components is open and their prior conjugate."""
    known = _knows_n_components(partition)
    moves = SplitMerge(components) if not known and isinstance(components, ConjugateComponents) else None
    sampler = gibbs.Gibbs(components, partition, moves)
    begun = [starts[c % len(starts)] for c in range(settings.n_chains)]
    with _progress("Sampling", settings) as progress:
        run = gibbs.sample(
            source,
            begun,
            sampler,
            rng,
            n_draws=settings.n_draws,
            n_warmup=settings.n_tune,
            keep_labels=False,
            progress=progress,
        )
    return judge(
        run.draws,
        source.rows,
        run.log_posterior,
        run.log_likelihood,
        {"lp": run.log_posterior},
        method=settings.relabelling,
        n_filled=run.n_filled,
        n_is_known=known,
        n_components_prior=partition.n_filled_prior(source.n_rows),
    )


def _knows_n_components(partition: PartitionPrior) -> bool:
    return isinstance(partition, FiniteMixtures) and int(np.isfinite(partition.law.log_probabilities).sum()) == 1


def log_prior(components: ComponentPrior, partition: PartitionPrior) -> LogPrior | None:
    """The prior of weights, means and covariances as one density, where the number of components is known."""
    if not isinstance(partition, FiniteMixtures) or not _knows_n_components(partition):
        return None
    alpha = float(partition.concentrations[-1])
    if isinstance(components, SemiConjugateComponents):
        return SemiConjugatePrior(components, alpha)
    return ConjugatePrior(components, alpha) if isinstance(components, ConjugateComponents) else None


def component_prior(structure: SharedBlocks, prior: Any, conjugate: NormalInverseWishart) -> ComponentPrior:
    """What Gibbs sampling believes of means and covariances: what the user gave, or the conjugate prior."""
    if prior is None:
        return ConjugateComponents(structure, conjugate)
    if not isinstance(prior, SemiConjugateComponents) or prior.structure is not structure:
        raise InvalidParameterError(
            f"solver='gibbs' takes prior=None or SemiConjugateComponents of covariance_type={structure.name!r}; got {prior!r}."
        )
    return prior


def partition_prior(
    n_components: int, law: ComponentCountLaw | None, process: bool, concentration: float
) -> PartitionPrior:
    """What Gibbs sampling believes of weights, and of how many there are."""
    if law is not None:
        return FiniteMixtures(law, concentration)
    if process:
        return DirichletProcess(concentration)
    return FiniteMixtures(ComponentCountLaw.exactly(n_components), concentration)


@dataclass(frozen=True, eq=False)
class SampledBelief:
    """What labels and scores rows after sampling.

    Attributes
    ----------
    densities : Draws
        All draws.
    labels : Draws or Mixture
        The draws in which labels are straight, or else the one that stands for them.
    """

    densities: Draws
    labels: Draws | Mixture

    @classmethod
    def of(cls, chains: Chains) -> SampledBelief:
        """That of judged chains."""
        return cls(chains.draws, chains.relabelling.draws if chains.labels_are_straight else chains.point)

    def log_pdf(self, X: ArrayLike) -> Array:
        """Log of the posterior predictive density."""
        return self.densities.log_pdf(X)

    def responsibilities(self, X: ArrayLike) -> Array:
        """Posterior probabilities of the components."""
        return self.labels.responsibilities(X)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable label."""
        return self.responsibilities(X).argmax(axis=1).astype(np.int64)


def _progress(label: str, settings: ChainSettings) -> Any:
    return progress_bar(label) if settings.verbose else nullcontext()
