"""What Markov chain Monte Carlo has found, judged: draws with their labels straight, whether chains agree, how many components hold rows.

Where the number of components is known, all draws are relabelled. Where it is not, those that fill the most probable number of components
are, without their empty ones; everything that needs no labels comes from all draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.assess.coclustering import n_components_posterior
from mixtura.assess.diagnostics import Diagnostics, diagnose
from mixtura.assess.relabelling import LARGEST_FAILURE_RATE, Relabelling, relabel
from mixtura.ground.linalg import Array
from mixtura.model.draws import Draws
from mixtura.model.mixture import Mixture


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
    """

    draws: Draws
    relabelling: Relabelling
    diagnostics: Diagnostics
    log_posterior: Array
    log_likelihood: Array
    statistics: dict[str, NDArray[Any]]
    n_components_posterior: Array
    n_components_prior: Array | None

    @property
    def labels_are_straight(self) -> bool:
        """Whether single components can be summarised."""
        return self.relabelling.failure_rate <= LARGEST_FAILURE_RATE

    @cached_property
    def point(self) -> Mixture:
        """Posterior means of the components, or, where these mean nothing, the draw of the highest posterior density."""
        if self.labels_are_straight:
            return self.relabelling.expectations()
        best = int(self.log_posterior.argmax())
        return self.draws.mixture(*divmod(best, self.draws.n_draws))


def judge(
    draws: Draws,
    rows: Array,
    log_posterior: Array,
    log_likelihood: Array,
    statistics: Mapping[str, Array],
    *,
    method: str,
    n_filled: NDArray[np.int64] | None = None,
    n_is_known: bool = True,
    n_components_prior: Array | None = None,
) -> Chains:
    """Relabel and judge what a sampler has drawn.

    Parameters
    ----------
    draws : Draws
    rows : (N, D) array
    log_posterior, log_likelihood : (C, S) arrays
    statistics : mapping of str to (C, S) array
    method : {"ecr", "stephens", "pivot"}
    n_filled : (C, S) integer array, optional
        As the sampler counted them.
    n_is_known : bool, default=True
        Whether all draws have the same number of components.
    n_components_prior : array, optional
    """
    given: dict[str, NDArray[Any]] = dict(statistics)
    if n_filled is not None:
        given["n_filled"] = n_filled
    diagnostics = diagnose(draws, rows, given)
    shares = n_components_posterior(draws, rows, n_filled, random_state=0)
    if n_is_known or n_filled is None:
        relabelling = relabel(draws, rows, method=method, log_posterior=log_posterior)
        draws = relabelling.draws
    else:
        likeliest = int(shares.argmax())
        chosen = n_filled == likeliest
        relabelling = relabel(
            filled_alone(draws, chosen, likeliest), rows, method=method, log_posterior=log_posterior[chosen][None]
        )
    return Chains(draws, relabelling, diagnostics, log_posterior, log_likelihood, given, shares, n_components_prior)


def filled_alone(draws: Draws, chosen: NDArray[np.bool_], n_filled: int) -> Draws:
    """The chosen draws, whose first ``n_filled`` components hold rows, without the others, as one chain."""
    structure, weights = draws.structure, draws.weights[chosen][:, :n_filled]
    order = np.arange(n_filled)
    covariances = np.stack([structure.reorder(own, order) for own in draws.covariances[chosen]])
    shares = weights / weights.sum(axis=1, keepdims=True)
    return Draws(structure, shares[None], draws.means[chosen][None, :, :n_filled], covariances[None])
