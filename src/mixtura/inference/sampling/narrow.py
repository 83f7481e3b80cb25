"""Which component makes a sampler's steps short: one far narrower than the data, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixtura.ground.linalg import Array, outer
from mixtura.inference.sampling.log_posterior import FreeLogPosterior

NARROW = 1e-2
"""Of the spread of a column, in some direction: a trajectory needs hundreds of steps as short as that to cross the posterior."""
ALONG = 0.9
"""Share of a direction from which it is that of a column."""


def narrowest(
    target: FreeLogPosterior, q: Array, rows: Array, names: Sequence[str] | None = None
) -> tuple[str, str] | None:
    """The narrowest component of all that stand at some vectors, and what to do about it; nothing where none is narrow.

    Parameters
    ----------
    target : FreeLogPosterior
    q : (S, size) array
    rows : (N, D) array
    names : sequence of D str, optional
        Of the columns, which have numbers otherwise.
    """
    structure, spreads = target.about.structure, rows.std(axis=0)
    place = target.about.place(target.split(q)[0])
    blocks = target.blocks(place)
    n_blocks = blocks.shape[1]
    matrices = structure.block_matrices(blocks.reshape(-1, *blocks.shape[2:]), rows.shape[1])
    if not spreads.all() or not np.isfinite(matrices).all():
        return None
    eigenvalues, directions = np.linalg.eigh(matrices / outer(spreads))
    draw, component = divmod(int(eigenvalues[:, 0].argmin()), n_blocks)
    least, direction = eigenvalues[draw * n_blocks + component, 0], directions[draw * n_blocks + component, :, 0]
    if not least < NARROW**2:
        return None
    column = int(np.abs(direction).argmax())
    called = f"column {column}" if names is None else f"column {names[column]!r}"
    width = np.sqrt(max(least, 0.0)) * spreads[column]
    along = "in" if abs(direction[column]) > ALONG else "in a direction that is mostly"
    if structure.shared:
        said = f"the covariance has narrowed to a standard deviation of {width:.2g} {along} {called}"
    else:
        values = rows[:, column]
        at = values[np.abs(values - place.means[draw, component, column]).argmin()]
        n_alike = int((values == at).sum())
        said = f"component {component} has narrowed to a standard deviation of {width:.2g} {along} {called}, at its value {at:.6g}"
        said += f", which {n_alike} of {len(rows)} rows share" if n_alike > 1 else ""
    if resolution := target.prior.resolution[column]:
        return (
            said,
            f"take fewer components, or say that the column is known less finely (resolution, now {resolution:.2g})",
        )
    return said, "say how finely the column is known (resolution), take fewer components, or log-normal spreads"
