"""Two hundred mixtures of a few rows whose evidence is known by enumeration, most of them with several optima on purpose.

Shared by the tests, which take a few, and by ``python -m bench.evidence``, which takes all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import NamedTuple

import numpy as np
from scipy.special import betaln

import mixtura as mx
from enumeration import Exact, LogPrior, finite_urn
from mixtura.assess.evidence.bridge_sampling import bridge_sampling
from mixtura.assess.evidence.estimate import LogEvidence
from mixtura.assess.evidence.importance import importance_sampling
from mixtura.assess.evidence.mode_sampling import mode_sampling
from mixtura.data.array import ArraySource
from mixtura.ground.errors import UnknownEvidenceError
from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
from mixtura.inference.sampling.gibbs import Gibbs, sample
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.laws.components import ConjugateComponents
from mixtura.model.laws.log_densities import ConjugatePrior
from mixtura.model.laws.posterior import Posterior

N_CASES = 200
SHAPES = ("two groups", "three groups", "pairs", "a line", "one cloud", "a straggler")
CONCENTRATIONS = (0.3, 1.0, 3.0)


@dataclass(frozen=True, eq=False)
class Case:
    """Rows, and the mixture that they are given to.

    Attributes
    ----------
    seed : int
        Of the rows.
    shape : str
        How they lie.
    rows : (N, D) array
    n_components : int
    structure : str
    prior : NormalInverseWishart
    concentration : float
        Of Dirichlet weights, or of sticks.
    """

    seed: int
    shape: str
    rows: np.ndarray
    n_components: int
    structure: str
    prior: mx.NormalInverseWishart
    concentration: float

    @classmethod
    def of(cls, seed: int) -> Case:
        """The case of a number: shapes in turn, and all else by its random numbers.

        Priors of narrow components make an optimum of every way to cut the rows.
        """
        rng = np.random.default_rng(seed)
        n_features, n_components = int(rng.integers(1, 3)), int(rng.integers(2, 4))
        structure, shape = STRUCTURES[rng.integers(len(STRUCTURES))].name, SHAPES[seed % len(SHAPES)]
        rows = _rows(shape, n_features, rng)
        scale, degrees = rng.choice([0.05, 0.5, 3.0]), n_features + rng.choice([1.5, 3.0, 8.0])
        prior = mx.NormalInverseWishart(
            rows.mean(axis=0), rng.choice([0.02, 0.2]), degrees * scale * np.eye(n_features), degrees
        )
        return cls(seed, shape, rows, n_components, structure, prior, rng.choice(CONCENTRATIONS))

    @cached_property
    def with_dirichlet(self) -> float:
        """Log evidence under symmetric Dirichlet weights."""
        return self._exact(finite_urn(self.n_components, self.concentration))

    @cached_property
    def with_sticks(self) -> float:
        """Log evidence under weights of a truncated stick-breaking process, whatever the components are called."""
        return self._exact(sticks(self.n_components, self.concentration))

    def _exact(self, log_prior: LogPrior) -> float:
        models = {self.n_components: (1.0, log_prior)}
        return Exact.of(self.rows, self.structure, self.prior, models).log_evidence


class Judged(NamedTuple):
    """An estimate, or why there is none, beside the exact value."""

    method: str
    exact: float
    found: LogEvidence | None
    reason: str = ""

    @property
    def errors(self) -> float:
        """How many standard errors it is off; rounding counts as one of 1e-10."""
        assert self.found is not None
        return (self.found.value - self.exact) / (self.found.standard_error + 1e-10)


METHODS = ("importance, Dirichlet", "importance, sticks", "bridge", "modes")


def judged(case: Case, method: str, shift: int = 0) -> Judged:
    """One estimate of a case; a shift gives it other seeds."""
    exact = case.with_sticks if method == "importance, sticks" else case.with_dirichlet
    try:
        return Judged(method, exact, estimated(case, method, shift))
    except UnknownEvidenceError as error:
        return Judged(method, exact, None, str(error))


def estimated(case: Case, method: str, shift: int) -> LogEvidence:
    """By one method, from one fit with defaults or short chains from where it ends."""
    rng, source = np.random.default_rng([case.seed, shift, METHODS.index(method)]), ArraySource(case.rows)
    belief = fitted(case, "dirichlet_process" if method == "importance, sticks" else "dirichlet_distribution")
    if method.startswith("importance"):
        return importance_sampling([belief], source, rng)
    prior = ConjugatePrior(ConjugateComponents(belief.structure, case.prior), case.concentration)
    partition = FiniteMixtures(ComponentCountLaw.exactly(case.n_components), case.concentration)
    start = [belief.mixture] * 4
    run = sample(source, start, Gibbs(prior.components, partition), rng, n_draws=200, n_warmup=50, keep_labels=False)
    if method == "bridge":
        return bridge_sampling(run.draws, source, prior, rng)
    best = run.log_posterior.argmax(axis=1)
    return mode_sampling([run.draws.mixture(c, int(s)) for c, s in enumerate(best)], source, prior, rng)


def fitted(case: Case, weights: str) -> Posterior:
    """The variational posterior of one restart."""
    block = covariance_structure(case.structure).prior_block(case.prior.scale)[0]
    estimator = mx.BayesianGaussianMixture(
        case.n_components,
        covariance_type=case.structure,
        weight_concentration_prior_type=weights,
        weight_concentration_prior=case.concentration,
        mean_prior=case.prior.mean,
        mean_precision_prior=case.prior.mean_precision,
        covariance_prior=float(block) if block.ndim == 0 else block,
        degrees_of_freedom_prior=case.prior.degrees_of_freedom,
        random_state=0,
    )
    return estimator.fit(case.rows).posterior_


def _rows(shape: str, n_features: int, rng: np.random.Generator) -> np.ndarray:
    n_rows = int(rng.integers(5, 8))
    places = {
        "two groups": np.arange(n_rows) % 2 * 6.0,
        "three groups": np.arange(n_rows) % 3 * 5.0,
        "pairs": np.arange(n_rows) // 2 * 3.0,
        "a line": np.arange(n_rows) * 1.5,
        "one cloud": np.zeros(n_rows),
        "a straggler": 5.0 * (np.arange(n_rows) == 0),
    }[shape]
    spread = 0.02 if shape == "a line" else rng.choice([0.1, 0.5, 1.0])
    return places[:, None] * np.array([1.0, 0.4])[:n_features] + spread * rng.normal(size=(n_rows, n_features))


def sticks(n_components: int, concentration: float) -> LogPrior:
    """Log prior probability of a partition under truncated sticks whose order says nothing: an average over all places of its sets."""

    def log_prior(labels) -> float:
        sizes = np.bincount(labels)
        if len(sizes) > n_components:
            return -np.inf
        terms = []
        for places in permutations(range(n_components), len(sizes)):
            counts = np.zeros(n_components)
            counts[list(places)] = sizes
            beyond = counts[::-1].cumsum()[::-1] - counts
            each = betaln(1 + counts, concentration + beyond) - betaln(1, concentration)
            terms.append(each[:-1].sum())
        return float(np.logaddexp.reduce(terms))

    return log_prior
