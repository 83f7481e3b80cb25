"""What a sampler brings back, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.draws import Draws


class Trouble(NamedTuple):
    """Why chains were given up before all draws were made, and what to try."""

    happened: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.happened}; {self.remedy}."


Progress = Callable[[int, int], None]
"""Called after each sweep with how many have been made, and how many there will be."""


@dataclass(frozen=True, eq=False)
class PosteriorSample:
    """Draws of ``C`` chains, ``S`` each, and what is known of each draw.

    Attributes
    ----------
    draws : Draws
    log_posterior : (C, S) array
        Log density of likelihood times prior; of which parameters, the sampler says.
    log_likelihood : (C, S) array
        Of each draw, labels summed out.
    statistics : dict of (C, S) arrays
        Of the sampler, by ArviZ's names.
    interrupted : bool
        Whether these are the draws made until an interrupt.
    trouble : Trouble or None
        Why chains were given up before all draws were made.
    """

    draws: Draws
    log_posterior: Array
    log_likelihood: Array
    statistics: dict[str, NDArray[Any]]
    interrupted: bool
    trouble: Trouble | None
