"""What Markov chain Monte Carlo has found, judged: draws with their labels straight, whether chains agree, how many components hold rows.

Where the number of components is known, all draws are relabelled. Where it is not, those that fill the most probable number of components
are, without their empty ones; everything that needs no labels comes from all draws. Where labels fail, the point is the mixture of the
partition of least expected loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.assess.draws.coclustering import coclustering, n_components_posterior
from mixtura.assess.draws.diagnostics import Diagnostics, diagnose
from mixtura.assess.draws.partition_mixture import partition_mixture
from mixtura.assess.draws.partitions import Partition, estimate_partition
from mixtura.assess.draws.relabelling import LARGEST_FAILURE_RATE, MOST_ROWS, Relabelling, relabel
from mixtura.data.source import Source
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.posterior_sample import PosteriorSample
from mixtura.model.draws import Draws
from mixtura.model.mixture import Mixture
from mixtura.model.rows import evenly_spaced

MOST_PARTITIONED = 500
"""Rows, evenly spaced, of which a partition is estimated."""


class Grouping(NamedTuple):
    """A partition of the rows (of ``MOST_PARTITIONED`` of them), and how far it is to be believed.

    Attributes
    ----------
    partition : Partition
        Of least expected variation of information.
    together : (G, G) array
        Mean probability that a row of one cluster and one of another, or two rows of the same, belong together.
    """

    partition: Partition
    together: Array


@dataclass(frozen=True, eq=False)
class Chains:
    """The chains of a sampler, and what can be said of them.

    Attributes
    ----------
    draws : Draws
        All of them; relabelled where the number of components is known.
    relabelling : Relabelling
        Of the draws that single components are summarised from.
    diagnostics : Diagnostics
    log_posterior, log_likelihood : (C, S) arrays
    statistics : dict of (C, S) arrays
        What the sampler says of each draw, by ArviZ's names.
    n_components_posterior : (K + 1,) array
        Probabilities of the number of components that hold rows.
    n_components_prior : array or None
        The same before the rows were seen.
    point : Mixture
        Posterior means of the components, or, where these mean nothing, the mixture of ``grouping``.
    grouping : Grouping or None
        One partition that says best what all draws say together, where labels fail.
    """

    draws: Draws
    relabelling: Relabelling
    diagnostics: Diagnostics
    log_posterior: Array
    log_likelihood: Array
    statistics: dict[str, NDArray[Any]]
    n_components_posterior: Array
    n_components_prior: Array | None
    point: Mixture
    grouping: Grouping | None

    @property
    def labels_are_straight(self) -> bool:
        """Whether single components can be summarised."""
        return self.grouping is None


def judge(
    sample: PosteriorSample,
    source: Source,
    *,
    method: str,
    n_filled: NDArray[np.int64] | None = None,
    n_is_known: bool = True,
    n_components_prior: Array | None = None,
    n_begun: Sequence[int] | None = None,
    accepted: Sequence[float] | None = None,
) -> Chains:
    """Relabel and judge what a sampler has drawn.

    Parameters
    ----------
    sample : PosteriorSample
    source : Source
    method : {"ecr", "stephens", "pivot"}
    n_filled : (C, S) integer array, optional
        As the sampler counted them.
    n_is_known : bool, default=True
        Whether all draws have the same number of components.
    n_components_prior : array, optional
    n_begun, accepted : sequences of C numbers, optional
        As for ``diagnose``; where the number of components is known they say nothing.
    """
    draws, log_posterior, given = sample.draws, sample.log_posterior, dict(sample.statistics)
    if n_filled is not None:
        given["n_filled"] = n_filled
    diagnostics = diagnose(
        draws, source, given, n_begun=None if n_is_known else n_begun, accepted=accepted, trouble=sample.trouble
    )
    shares = n_components_posterior(draws, source, n_filled, random_state=0)
    rows = source.take(evenly_spaced(source.n_rows, MOST_ROWS))[0]
    if n_is_known or n_filled is None:
        relabelling = relabel(draws, rows, method=method, log_posterior=log_posterior)
        draws = relabelling.draws
    else:
        likeliest = int(shares.argmax())
        chosen = n_filled == likeliest
        relabelling = relabel(
            filled_alone(draws, chosen, likeliest), rows, method=method, log_posterior=log_posterior[chosen][None]
        )
    if relabelling.failure_rate <= LARGEST_FAILURE_RATE:
        point, grouping = relabelling.expectations(), None
    else:
        point, grouping = _grouped(draws, rows[evenly_spaced(len(rows), MOST_PARTITIONED)])
    return Chains(
        draws,
        relabelling,
        diagnostics,
        log_posterior,
        sample.log_likelihood,
        given,
        shares,
        n_components_prior,
        point,
        grouping,
    )


def _grouped(draws: Draws, rows: Array) -> tuple[Mixture, Grouping]:
    """What can be said of components that have no identity: the partition of least expected loss, and its mixture."""
    similarity = coclustering(draws, rows)
    partition = estimate_partition(similarity)
    members = (partition.labels == np.arange(partition.n_clusters)[:, None]).astype(np.float64)
    members /= members.sum(axis=1, keepdims=True)
    return partition_mixture(draws, rows, partition.labels), Grouping(partition, members @ similarity @ members.T)


def filled_alone(draws: Draws, chosen: NDArray[np.bool_], n_filled: int) -> Draws:
    """The chosen draws, whose first ``n_filled`` components hold rows, without the others, as one chain."""
    structure, weights = draws.structure, draws.weights[chosen][:, :n_filled]
    order = np.arange(n_filled)
    covariances = np.stack([structure.reorder(own, order) for own in draws.covariances[chosen]])
    shares = weights / weights.sum(axis=1, keepdims=True)
    return Draws(structure, shares[None], draws.means[chosen][None, :, :n_filled], covariances[None])
