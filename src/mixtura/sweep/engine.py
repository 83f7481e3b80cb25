"""What a pass asks of an engine: kernels for a stack of mixtures, which sweep strips of rows.

There are two. ``with_numpy`` makes do with NumPy and is everywhere; ``with_compiled`` has code of its own for each instruction set, and
leaves to the other what it has none for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mixtura.data.source import Source
from mixtura.ground.linalg import Array
from mixtura.model.scorer import Scorer
from mixtura.sweep.kernels import Kernel, Member


@dataclass(frozen=True, eq=False)
class Setting:
    """What an engine knows of rows before it reads them.

    Attributes
    ----------
    source : Source
    """

    source: Source

    @property
    def dtype(self) -> np.dtype:
        """Of the rows."""
        return self.source.dtype

    @cached_property
    def pivot(self) -> Array:
        """A point among the rows that their precision holds, ``(D,)``."""
        return self.source.facts.pivot.astype(self.dtype).astype(np.float64)

    @cached_property
    def variances(self) -> Array:
        """Mean squares of the columns about the pivot, ``(D,)``."""
        return self.source.facts.spread_about(self.pivot)

    @cached_property
    def mean_squares(self) -> Array:
        """The same about zero."""
        return self.source.facts.spread_about(np.zeros(self.source.n_features))


class Engine(Protocol):
    """Makes kernels. Each of them serves some of the members; together they serve all."""

    def sums(self, members: list[Member]) -> list[Kernel]:
        """For log-normalisers and moments."""

    def rates(self, members: list[Member], directions: Sequence[Scorer]) -> list[Kernel]:
        """For derivatives of the moments when each scorer moves in its direction, by the places of the members."""

    def certainties(self, members: list[Member]) -> list[Kernel]:
        """For log-normalisers, and ``Σ_n w_n log max_k r_nk`` for moments."""
