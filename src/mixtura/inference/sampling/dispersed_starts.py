"""Where the chains of a Gibbs sampler begin: apart on purpose, so that chains which agree have come to agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixtura.data.source import Source
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.finite_mixtures import FiniteMixtures
from mixtura.inference.sampling.weights import PartitionPrior
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.mixture import Mixture
from mixtura.sweep import moments_of_all

FEW, MANY = 3, 10
"""Components of chains that begin with few and with many."""


def dispersed_starts(
    source: Source,
    structure: SharedBlocks,
    modes: Sequence[Mixture],
    partition: PartitionPrior,
    n_chains: int,
    rng: np.random.Generator,
) -> list[Mixture]:
    """A mode, all rows in one component, few components about rows drawn at random, many of those, the next mode, and so on.

    Parameters
    ----------
    source : Source
    structure : SharedBlocks
    modes : sequence of Mixture
        Where EM has ended, the best first.
    partition : PartitionPrior
        Where it knows the number of components, all chains begin with that: one in which nearly all rows are in the first, and others
        about rows drawn at random.
    n_chains : int
    rng : numpy Generator

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.sampling.dirichlet_process import DirichletProcess
    >>> from mixtura.inference.sampling.dispersed_starts import dispersed_starts
    >>> mode = mx.Mixture([0.5, 0.5], [[0.5], [11.0]], [1.0, 1.0], "spherical")
    >>> source, rng = ArraySource(np.arange(20.0)[:, None]), np.random.default_rng(0)
    >>> [s.n_components for s in dispersed_starts(source, mode.structure, [mode], DirichletProcess(1.0), 4, rng)]
    [2, 1, 3, 10]
    """
    known = isinstance(partition, FiniteMixtures) and not partition.law.is_open
    most = min(source.n_rows, partition.law.most if isinstance(partition, FiniteMixtures) else source.n_rows)
    starts = list[Mixture]()
    for chain in range(n_chains):
        turn, kind = divmod(chain, 4)
        if kind == 0:
            starts.append(modes[turn % len(modes)])
        elif known:
            starts.append(_known(source, structure, modes[0].n_components, kind == 1, rng))
        else:
            starts.append(_about_rows(source, structure, min(most, (1, FEW, MANY)[kind - 1]), rng))
    return starts


def _known(
    source: Source, structure: SharedBlocks, n_components: int, in_one: bool, rng: np.random.Generator
) -> Mixture:
    start = _about_rows(source, structure, n_components, rng)
    if not in_one:
        return start
    counts = np.ones(n_components)
    counts[0] = source.n_rows
    whole = _covariances(source, structure, n_components, 1.0)
    return Mixture(counts / counts.sum(), start.means, whole, structure)


def _about_rows(source: Source, structure: SharedBlocks, n_components: int, rng: np.random.Generator) -> Mixture:
    """Components about rows drawn at random, or about the mean if there is one; together they fill the space that all rows fill."""
    rows = rng.choice(source.n_rows, n_components, replace=n_components > source.n_rows)
    means = source.facts.mean[None] if n_components == 1 else source.take(np.sort(rows))[0].astype(np.float64)
    share = n_components ** (-2 / source.n_features)
    covariances = _covariances(source, structure, n_components, share)
    return Mixture(np.full(n_components, 1 / n_components), means, covariances, structure)


def _covariances(source: Source, structure: SharedBlocks, n_components: int, share: float) -> Array:
    """Of each component, so much of the variances of all rows."""
    moments = moments_of_all(source, diagonal=True)
    variances = moments.scatter()[0] / moments.count[0]
    variances = share * np.where(variances > 0, variances, 1.0)
    matrices = np.repeat(np.diag(variances)[None], n_components, axis=0)
    return structure.from_matrices(matrices, np.ones(n_components))
