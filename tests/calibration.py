"""Simulation-based calibration: parameters from the prior, rows from the parameters, draws from the posterior given the rows.

If the sampler is right, the rank of the truth among independent draws is uniform, whatever the prior, the model and the number of rows.
Ranks are those of quantities that do not depend on labels. Source: Talts, Betancourt, Simpson, Vehtari and Gelman (2018), "Validating
Bayesian inference algorithms with simulation-based calibration". ``python -m bench.calibration`` runs it at length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import mixtura as mx
from mixtura.assess.draws.convergence import bulk_size
from mixtura.data.array import ArraySource
from mixtura.ground.linalg import Array
from mixtura.inference.sampling import gibbs, nuts
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.starts.modes import modes
from mixtura.inference.starts.sample import seeding_sample
from mixtura.model.covariance import covariance_structure
from mixtura.model.draws import Draws
from mixtura.model.laws.components import ConjugateComponents
from mixtura.model.laws.independent import IndependentPrior

FULL = covariance_structure("full")


@dataclass(frozen=True)
class Length:
    """How long chains are."""

    n_chains: int
    n_tune: int
    n_draws: int


class Model(Protocol):
    """A prior and its sampler."""

    def truth(self, rng: np.random.Generator) -> mx.Mixture:
        """A mixture drawn from the prior."""

    def posterior(self, rows: Array, length: Length, rng: np.random.Generator) -> Draws:
        """Draws from the posterior."""


@dataclass(frozen=True, eq=False)
class ByGibbs:
    """Gibbs sampling, the components conjugate and their number known; the prior's draws are SciPy's."""

    prior: mx.NormalInverseWishart
    n_components: int
    concentration: float = 1.0
    moves: bool = False

    def truth(self, rng: np.random.Generator) -> mx.Mixture:
        prior, n_components, n_features = self.prior, self.n_components, len(self.prior.mean)
        law = stats.invwishart(prior.degrees_of_freedom, prior.scale)
        covariances = np.reshape(law.rvs(n_components, random_state=rng), (n_components, n_features, n_features))
        means = [rng.multivariate_normal(prior.mean, own / prior.mean_precision) for own in covariances]
        return mx.Mixture(rng.dirichlet(np.full(n_components, self.concentration)), means, covariances, "full")

    def posterior(self, rows: Array, length: Length, rng: np.random.Generator) -> Draws:
        components = ConjugateComponents(FULL, self.prior)
        partition = FiniteMixtures(ComponentCountLaw.exactly(self.n_components), self.concentration)
        sampler = gibbs.Gibbs(components, partition, n_splits=2 if self.moves else 0)
        starts = [self.truth(rng) for _ in range(length.n_chains)]
        run = gibbs.sample(ArraySource(rows), starts, sampler, rng, n_draws=length.n_draws, n_warmup=length.n_tune)
        return run.draws


@dataclass(frozen=True, eq=False)
class ByGibbsOfRounded:
    """Gibbs sampling of one feature under a prior whose scale is learnt, of rows that are rounded; the prior's draws are NumPy's."""

    prior: mx.SemiConjugateComponents
    n_components: int

    def truth(self, rng: np.random.Generator) -> mx.Mixture:
        prior, n_components = self.prior, self.n_components
        scale = rng.gamma(prior.scale_degrees_of_freedom / 2) / (prior.scale[0, 0] / 2)
        before = scale / 2 / rng.gamma(prior.degrees_of_freedom / 2, size=n_components)
        means = rng.normal(prior.mean[0], np.sqrt(prior.mean_covariance[0, 0]), n_components)
        covariances = (before + prior.resolution[0] ** 2)[:, None, None]
        return mx.Mixture(rng.dirichlet(np.ones(n_components)), means[:, None], covariances, "full")

    def posterior(self, rows: Array, length: Length, rng: np.random.Generator) -> Draws:
        partition = FiniteMixtures(ComponentCountLaw.exactly(self.n_components), 1.0)
        sampler = gibbs.Gibbs(self.prior, partition, n_splits=2)
        starts = [self.truth(rng) for _ in range(length.n_chains)]
        run = gibbs.sample(ArraySource(rows), starts, sampler, rng, n_draws=length.n_draws, n_warmup=length.n_tune)
        return run.draws


@dataclass(frozen=True, eq=False)
class ByNuts:
    """The No-U-Turn sampler from the modes that EM finds."""

    prior: IndependentPrior
    n_components: int

    def truth(self, rng: np.random.Generator) -> mx.Mixture:
        return self.prior.draw(self.n_components, FULL, rng)

    def posterior(self, rows: Array, length: Length, rng: np.random.Generator) -> Draws:
        source = ArraySource(rows)
        starts = modes(source, seeding_sample(source, self.n_components), FULL, self.n_components, rng)
        return nuts.sample(
            source,
            starts,
            self.prior,
            rng=rng,
            n_chains=length.n_chains,
            n_tune=length.n_tune,
            n_draws=length.n_draws,
        ).draws


def invariants(draws: Draws, rows: Array) -> dict[str, Array]:
    """What does not depend on labels, ``(C, S)`` each."""
    at_rows = draws.log_pdfs(rows)
    offsets = draws.means - (draws.weights[..., None] * draws.means).sum(axis=2, keepdims=True)
    scatter = draws.covariance_matrices + offsets[..., :, None] * offsets[..., None, :]
    total = (draws.weights[..., None, None] * scatter).sum(axis=2)
    within = (draws.weights[..., None, None] * draws.covariance_matrices).sum(axis=2)
    found = {
        "log-likelihood": at_rows.sum(axis=2),
        "log density at the origin": draws.log_pdfs(np.zeros((1, draws.n_features)))[:, :, 0],
        "largest weight": draws.weights.max(axis=2),
        "lowest mean": draws.means[..., 0].min(axis=2),
        "highest mean": draws.means[..., 0].max(axis=2),
        "log-determinant within components": np.linalg.slogdet(within)[1],
        "log-determinant of the whole": np.linalg.slogdet(total)[1],
    }
    if draws.n_features > 1:
        found["trace of the whole"] = np.trace(total, axis1=2, axis2=3)
    return found


@dataclass(frozen=True)
class Replication:
    """One truth: its rank among the thinned draws, and the effective size of all of them, by quantity."""

    ranks: dict[str, int]
    sizes: dict[str, float]


def replicate(
    model: Model, n_rows: int, length: Length, n_kept: int, rng: np.random.Generator, sampler: Model | None = None
) -> Replication:
    """Draw a truth and its rows, and rank the truth among ``n_kept`` draws of the sampler, the model's own by default."""
    truth = model.truth(rng)
    rows, _ = truth.sample(n_rows, rng)
    draws = (sampler or model).posterior(rows, length, rng)
    alone = Draws(FULL, truth.weights[None, None], truth.means[None, None], truth.covariances[None, None])
    places = np.linspace(0, len(draws) - 1, n_kept).astype(int)
    ranks, sizes = {}, {}
    true = invariants(alone, rows)
    for name, values in invariants(draws, rows).items():
        ranks[name] = int((values.reshape(-1)[places] < true[name][0, 0]).sum())
        sizes[name] = bulk_size(values)
    return Replication(ranks, sizes)


def uniformity(ranks: Sequence[int] | NDArray[np.integer], n_kept: int, n_bins: int) -> float:
    """The p-value of ranks ``0 … n_kept`` being uniform, by chi-square over bins of equally many of them."""
    width, left = divmod(n_kept + 1, n_bins)
    assert not left, f"{n_kept + 1} ranks cannot be put into {n_bins} equal bins"
    counts = np.bincount(np.asarray(ranks) // width, minlength=n_bins)
    return float(stats.chisquare(counts).pvalue)
