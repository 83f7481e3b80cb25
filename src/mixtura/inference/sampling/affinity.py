"""How near components are to each other, by which moves of a Gibbs sampler choose what to merge.

The affinity of two components is

    g = FLOOR + exp(−½ Σ_d (μ_ad − μ_bd)²/(σ²_ad + σ²_bd)),

about one where one lies upon the other. A merger of those that are far apart would fail; that it is hardly ever tried makes room for
others. It is tried all the same, or splits that part distant groups could not succeed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.laws.components import Components

FLOOR = 1e-4
"""Of affinities."""


def affinities(means: Array, variances: Array, other_means: Array, other_variances: Array) -> Array:
    """Of components with those others, all ``(…, D)``."""
    distances = (np.square(means - other_means) / (variances + other_variances)).sum(axis=-1)
    return np.asarray(FLOOR + np.exp(-0.5 * distances))


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The components of several chains, one after another, and the affinities of those of a chain.

    Attributes
    ----------
    means, variances : (M, D) arrays
    chains : (M,) integer array
    """

    means: Array
    variances: Array
    chains: NDArray[np.intp]

    @classmethod
    def of(cls, components: Sequence[Components]) -> Neighbours:
        """Those of each chain."""
        chains = np.repeat(np.arange(len(components)), [len(own.means) for own in components])
        means, variances = ([getattr(own, name) for own in components] for name in ("means", "variances"))
        return cls(np.concatenate(means), np.concatenate(variances), chains)

    @cached_property
    def matrix(self) -> Array:
        """Affinities, ``(M, M)``: zero between chains, and of a component with itself."""
        every = affinities(self.means[:, None], self.variances[:, None], self.means, self.variances)
        every[self.chains[:, None] != self.chains] = 0.0
        np.fill_diagonal(every, 0.0)
        return every

    @cached_property
    def sums(self) -> Array:
        """Of each component with all others of its chain, ``(M,)``."""
        return np.asarray(self.matrix.sum(axis=1))

    @cached_property
    def totals(self) -> Array:
        """Over all pairs of each chain, ``(C,)``."""
        return 0.5 * np.bincount(self.chains, self.sums)

    def with_others(self, means: Array, variances: Array, chains: NDArray[np.intp]) -> Array:
        """Affinities of further components, ``(P, D)``, with all of their chains, ``(P, M)``."""
        every = affinities(means[:, None], variances[:, None], self.means, self.variances)
        return np.where(chains[:, None] == self.chains, every, 0.0)


def drawn(weights: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """A place for each row of weights, ``(P, M)``."""
    sums = weights.cumsum(axis=1)
    return np.argmax(sums > rng.random((len(weights), 1)) * sums[:, -1:], axis=1)
