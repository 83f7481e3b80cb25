"""Which component makes a sampler's steps short: one far narrower than the data, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mixtura.data.facts import Facts
from mixtura.data.source import Source
from mixtura.ground.linalg import Array, outer
from mixtura.inference.sampling.log_posterior import FreeLogPosterior
from mixtura.sweep.nearest_value import nearest_value

NARROW = 1e-2
"""Of the spread of a column, in some direction: a trajectory needs hundreds of steps as short as that to cross the posterior."""
ALONG = 0.9
"""Share of a direction from which it is that of a column."""


class Narrow(NamedTuple):
    """A component that is narrow.

    Attributes
    ----------
    component : int
        Which of them, or of the covariances that components share.
    mean : (D,) array
    width : float
        Its standard deviation in the column.
    column : int
        Along which it is narrow, mostly.
    along : str
        How nearly so.
    """

    component: int
    mean: Array
    width: float
    column: int
    along: str

    def in_words(self, target: FreeLogPosterior, source: Source, names: Sequence[str] | None) -> tuple[str, str]:
        """What has happened, and what to do about it.

        Parameters
        ----------
        target : FreeLogPosterior
        source : Source
        names : sequence of D str or None
            Of the columns, which have numbers otherwise.
        """
        called = f"column {self.column}" if names is None else f"column {names[self.column]!r}"
        has_narrowed = f"has narrowed to a standard deviation of {self.width:.2g} {self.along} {called}"
        if target.about.structure.shared:
            said = f"the covariance {has_narrowed}"
        else:
            value, n_alike = nearest_value(source, self.column, float(self.mean[self.column]))
            said = f"component {self.component} {has_narrowed}, at its value {value:.6g}"
            said += f", which {n_alike} of {source.n_rows} rows share" if n_alike > 1 else ""
        if resolution := target.prior.resolution[self.column]:
            return (
                said,
                f"take fewer components, or say that the column is known less finely (resolution, now {resolution:.2g})",
            )
        return said, "say how finely the column is known (resolution), take fewer components, or log-normal spreads"


def narrowest(target: FreeLogPosterior, q: Array, facts: Facts) -> Narrow | None:
    """The narrowest component of all that stand at some vectors; nothing where none is narrow.

    Parameters
    ----------
    target : FreeLogPosterior
    q : (S, size) array
    facts : Facts
        Of the rows.
    """
    structure, spreads = target.about.structure, np.sqrt(facts.squares / facts.total_weight)
    place = target.about.place(target.split(q)[0])
    blocks = target.blocks(place)
    n_blocks = blocks.shape[1]
    matrices = structure.block_matrices(blocks.reshape(-1, *blocks.shape[2:]), len(spreads))
    if not spreads.all() or not np.isfinite(matrices).all():
        return None
    eigenvalues, directions = np.linalg.eigh(matrices / outer(spreads))
    draw, component = divmod(int(eigenvalues[:, 0].argmin()), n_blocks)
    least, direction = eigenvalues[draw * n_blocks + component, 0], directions[draw * n_blocks + component, :, 0]
    if not least < NARROW**2:
        return None
    column = int(np.abs(direction).argmax())
    along = "in" if abs(direction[column]) > ALONG else "in a direction that is mostly"
    width = float(np.sqrt(max(least, 0.0)) * spreads[column])
    return Narrow(component, place.means[draw, component], width, column, along)
