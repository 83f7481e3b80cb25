"""What a fit leaves: one frozen record, replaced whole by the next, of which fitted attributes are views.

There is a kind of record for each kind of answer: a point, a variational posterior, what a stream has taught so far, draws. Whoever wants
to know how a model was found asks for its record and looks at the type of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.assess.draws.chains import Chains
from mixtura.ground.linalg import Array
from mixtura.inference.rules.collapse import Collapse
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stop
from mixtura.inference.rules.variational import CoordinateAscent
from mixtura.inference.starts.restarts import Optimum, Restarts
from mixtura.model.draws import Draws
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.model.laws.log_densities import LogPrior
from mixtura.model.laws.posterior import Posterior
from mixtura.model.mixture import Mixture


class Belief(Protocol):
    """What is believed of a mixture, as far as rows are concerned: a point, a posterior, draws."""

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable label of each row, ``(N,)``."""

    def responsibilities(self, X: ArrayLike) -> Array:
        """Posterior probabilities of the labels, ``(N, K)``."""

    def log_pdf(self, X: ArrayLike) -> Array:
        """Log density of each row, ``(N,)``."""


class Record(Protocol):
    """What all records have."""

    @property
    def belief(self) -> Belief:
        """What labels and scores rows."""

    @property
    def mixture(self) -> Mixture:
        """The point that stands for it."""


@dataclass(frozen=True, eq=False)
class Climbed:
    """Where climbs have ended.

    Attributes
    ----------
    algorithm : Algorithm
    restarts : Restarts
    """

    algorithm: Any
    restarts: Restarts

    @property
    def stop(self) -> Stop:
        """Why the best of them ended."""
        return self.restarts.best.stop

    @property
    def converged(self) -> bool:
        return self.stop.converged

    @property
    def bounds(self) -> tuple[float, ...]:
        """Of that climb and of those that it went on from, over all rows."""
        return (*self.restarts.best.history, *self.restarts.best.bounds)


@dataclass(frozen=True, eq=False)
class PointFit(Climbed):
    """A mixture at which a climb ended.

    Attributes
    ----------
    total_weight : float
        Of the rows, by which bounds are divided.
    """

    algorithm: ExpectationMaximization
    total_weight: float

    @property
    def mixture(self) -> Mixture:
        mixture: Mixture = self.restarts.best.mixture
        return mixture

    @property
    def belief(self) -> Mixture:
        return self.mixture

    @property
    def n_iter(self) -> int:
        return self.restarts.best.n_iter

    @property
    def n_passes(self) -> int:
        return self.restarts.n_passes

    @property
    def lower_bounds(self) -> list[float]:
        return [bound / self.total_weight for bound in self.restarts.best.bounds[1:]]

    @property
    def lower_bound(self) -> float:
        return self.restarts.best.bounds[-1] / self.total_weight

    @property
    def dropped(self) -> float:
        """Estimate of what the bound lacks, per row, because components were left out of the E-step."""
        return self.restarts.best.dropped

    @property
    def optima(self) -> tuple[Optimum, ...]:
        return self.restarts.optima

    @property
    def n_collapsed(self) -> int:
        return self.restarts.n_collapsed

    @property
    def collapses(self) -> tuple[Collapse, ...]:
        return self.restarts.best.collapses

    @property
    def prior(self) -> NormalInverseWishart | None:
        return self.algorithm.prior

    @property
    def floor(self) -> Array:
        """In each column."""
        return floor_of(self.algorithm, self.mixture)


@dataclass(frozen=True, eq=False)
class VariationalFit(Climbed):
    """A variational posterior at which a climb ended."""

    algorithm: CoordinateAscent

    @property
    def posterior(self) -> Posterior:
        """What is believed."""
        posterior: Posterior = self.restarts.best.mixture
        return posterior

    @property
    def belief(self) -> Posterior:
        return self.posterior

    @property
    def mixture(self) -> Mixture:
        return self.posterior.mixture

    @property
    def n_iter(self) -> int:
        return max(self.restarts.best.n_iter, 1)

    @property
    def lower_bounds(self) -> list[float]:
        bounds = self.restarts.best.bounds
        return list(bounds[1:] or bounds)

    @property
    def lower_bound(self) -> float:
        return self.restarts.best.bounds[-1]

    @property
    def losses(self) -> list[float] | None:
        """Of each batch, where it was learnt by batches."""
        return list(self.restarts.best.losses) or None


@dataclass(frozen=True, eq=False)
class StreamFit:
    """What was learnt from the batches of a stream so far.

    Attributes
    ----------
    algorithm : Algorithm
    belief : Mixture or Posterior
    losses : list of float
        Of each batch, per row, before it was learnt from. The records of a stream share both lists, which grow: what a batch adds is one
        number, however many came before.
    lower_bounds : list of float
        Per row for a mixture, of all rows so far for a posterior.
    """

    algorithm: Any
    belief: Any
    losses: list[float]
    lower_bounds: list[float]

    converged = False
    collapses: tuple[Collapse, ...] = ()
    bounds: tuple[float, ...] = ()

    def note(self, loss: float, weight: float) -> None:
        """Note the loss of the last batch, after which so much weight has passed by."""
        self.losses.append(loss)
        self.lower_bounds.append(-loss * weight if isinstance(self.belief, Posterior) else -loss)

    @property
    def mixture(self) -> Mixture:
        mixture: Mixture = self.belief.mixture if isinstance(self.belief, Posterior) else self.belief
        return mixture

    @property
    def posterior(self) -> Posterior:
        """What is believed, where that is a posterior."""
        assert isinstance(self.belief, Posterior)
        return self.belief

    @property
    def n_iter(self) -> int:
        return len(self.losses)

    @property
    def lower_bound(self) -> float:
        return self.lower_bounds[-1]

    @property
    def stop(self) -> Stop:
        """A stream has no end of its own."""
        return Stop("batches", False, math.inf, f"learnt from {self.n_iter} batches")

    @property
    def prior(self) -> NormalInverseWishart | None:
        prior: NormalInverseWishart | None = self.algorithm.prior
        return prior

    @property
    def floor(self) -> Array:
        """In each column."""
        return floor_of(self.algorithm, self.mixture)


@dataclass(frozen=True, eq=False)
class DrawsFit:
    """Draws from a posterior, judged.

    Attributes
    ----------
    chains : Chains
    prior : object
        That was sampled under.
    log_prior : LogPrior or None
        The same as one density of weights, means and covariances, where it is one.
    n_iter : int
        Draws of each chain, those of tuning included.
    """

    chains: Chains
    prior: Any
    log_prior: LogPrior | None
    n_iter: int

    @property
    def mixture(self) -> Mixture:
        return self.chains.point

    @property
    def converged(self) -> bool:
        return self.chains.diagnostics.sound

    @property
    def components(self) -> Draws | None:
        """Draws that single components are summarised from, where those are not all of them and labels are straight."""
        chains = self.chains
        return (
            None
            if chains.relabelling.draws is chains.draws or not chains.labels_are_straight
            else chains.relabelling.draws
        )

    @cached_property
    def belief(self) -> SampledBelief:
        chains = self.chains
        return SampledBelief(chains.draws, chains.relabelling.draws if chains.labels_are_straight else chains.point)


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

    def log_pdf(self, X: ArrayLike) -> Array:
        """Log of the posterior predictive density."""
        return self.densities.log_pdf(X)

    def responsibilities(self, X: ArrayLike) -> Array:
        """Posterior probabilities of the components."""
        return self.labels.responsibilities(X)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable label."""
        return self.responsibilities(X).argmax(axis=1).astype(np.int64)


class view:
    """A fitted attribute that lies at a dotted path from the record; there is none before there is a record that has it.

    What an instance has under that name goes before it: what somebody sets by hand.

    Parameters
    ----------
    path : str
    absent : object, optional
        What stands there where there is no such attribute.
    """

    def __init__(self, path: str, absent: Any = ...) -> None:
        self._first, *self._others = path.split(".")
        self._absent = absent

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = vars(instance).get("record_")
        if hasattr(type(value), self._first) or self._first in getattr(value, "__dataclass_fields__", ()):
            for name in (self._first, *self._others):
                value = getattr(value, name)
            if value is not self._absent:
                return value
        raise AttributeError(f"{type(instance).__name__!r} object has no attribute {self._name!r}")


def floor_of(algorithm: ExpectationMaximization, mixture: Mixture) -> Array:
    """The smallest variance allowed in each column."""
    return np.broadcast_to(algorithm.floor, mixture.n_features).astype(float)
