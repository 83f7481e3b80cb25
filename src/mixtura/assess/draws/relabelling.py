"""Which component is which: draws of a mixture with their labels straight.

The posterior does not know in which order components are listed, so a chain may list them in any, and change it on the way. Three ways
to undo that, each of which gives every draw the order that fits best to a common reference:

- ``ecr``: the reference is one partition of the rows, and the order is that in which the expected number of rows is greatest whose label
  is the same as there. Papastamoulis and Iliopoulos (2010), "An artificial allocations based solution to the label switching problem"; the
  partition is estimated again from the relabelled draws until nothing changes, as in Papastamoulis (2016), "label.switching".
- ``stephens``: the reference are probabilities ``q_nl`` of the labels, and the order is that of the least divergence
  ``Σ_nl p_nl log(p_nl / q_nl)`` from them, ``q`` being the mean of the relabelled draws. Stephens (2000), "Dealing with label switching".
- ``pivot``: the reference is one draw, and the order that of the least sum of Bhattacharyya distances from its components.

The first two are one algorithm: ``Σ_n p_nk t_nl`` is what giving label ``l`` to component ``k`` gains, with ``t`` the indicators of the
partition, or the logarithms of ``q`` (what is left out is the same for all orders). Probabilities are computed again in every round, on at
most ``MOST_ROWS`` rows, so draws × rows × components are never in memory. Either may end in a local optimum. So some draws and rows are
ordered from many references first, one draw each; where that of the highest posterior density, from which all methods start, is not among
the best of those, all draws are ordered from both. Labels are those of the draw of the highest posterior density.

Where labelling fails, components have no identity of their own and summaries of single ones mean nothing. Two rates tell: that of draws
whose order by another method is another; and that of draws whose components, clustered together with those of all draws, do not fall into
``K`` different clusters: Frühwirth-Schnatter (2011), "Dealing with label switching under model uncertainty".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from mixtura.ground.errors import InvalidParameterError, MixturaError
from mixtura.ground.linalg import Array
from mixtura.model.alignment import component_distances
from mixtura.model.draws import Draws
from mixtura.model.mixture import Mixture
from mixtura.model.parameters import Interval, Parameters, central
from mixtura.model.rows import evenly_spaced
from mixtura.model.scorer import normalise

MOST_ROWS = 2000
"""Rows that tell components apart, evenly spaced; more would not change an order that means something."""
LARGEST_FAILURE_RATE = 0.1
MOST_ROUNDS = 20
TRIED_STARTS, TRIED_DRAWS, TRIED_ROWS = 20, 100, 200
"""How many draws are tried as a reference, how many are ordered by each of them, and by how many rows."""
SAME_WORTH = 1e-9
"""Difference up to which orders are worth the same."""
LEAST_PROBABILITY = 1e-10
"""Stephens' divergence knows no smaller one, so that a single row cannot forbid an order."""
NUMBERS = 2**22
"""Numbers in the matrices of a block of distances."""

Orders = NDArray[np.intp]


class LabelSwitchingError(MixturaError, ValueError):
    """Components of posterior draws have no identity, so that summaries of single components mean nothing."""


@dataclass(frozen=True, eq=False)
class Relabelling:
    """Draws with their labels straight, and how far that can be trusted.

    Attributes
    ----------
    draws : Draws
        The components of each in the common order.
    orders : (C, S, K) integer array
        Component ``orders[c, s, k]`` of the original draw became its component ``k``.
    method : {"ecr", "stephens", "pivot"}
    disagreement_rate : float
        Share of draws whose order another method (``pivot``; ``ecr`` for that one) finds otherwise.
    non_permutation_rate : float
        Share of draws whose components do not fall into ``K`` different clusters; one that leaves a slot unused counts among them.
    """

    draws: Draws
    orders: Orders
    method: str
    disagreement_rate: float
    non_permutation_rate: float

    @property
    def failure_rate(self) -> float:
        """The larger of both rates."""
        return max(self.disagreement_rate, self.non_permutation_rate)

    def check(self) -> None:
        """Raise unless the components can be told apart in all but a tenth of the draws.

        Raises
        ------
        LabelSwitchingError
            If the failure rate is above ``LARGEST_FAILURE_RATE``.
        """
        if self.failure_rate > LARGEST_FAILURE_RATE:
            raise LabelSwitchingError(
                f"components cannot be told apart: in {self.disagreement_rate:.0%} of the draws two methods order them differently, in "
                f"{self.non_permutation_rate:.0%} they do not fall into {self.draws.n_components} clusters (at most "
                f"{LARGEST_FAILURE_RATE:.0%} each). Look at what needs no labels (predictive density, co-clustering, partition, "
                "number of components), fit fewer components, or keep the draws that use one number of them (draws.using)."
            )

    def expectations(self) -> Mixture:
        """Posterior means of weights, means and covariances, as a mixture; refused where ``check`` is."""
        self.check()
        draws = self.draws
        weights, means, covariances = (
            values.mean(axis=(0, 1)) for values in (draws.weights, draws.means, draws.covariances)
        )
        return Mixture(weights, means, covariances, draws.structure)

    def interval(self, level: float = 0.95) -> Interval:
        """Both ends of the central interval of each parameter that has so much posterior probability; refused where ``check`` is.

        Parameters
        ----------
        level : float
            Between 0 and 1.
        """
        ends = central(level)
        self.check()
        draws = self.draws
        each = (np.quantile(values, ends, axis=(0, 1)) for values in (draws.weights, draws.means, draws.covariances))
        lower, upper = zip(*each, strict=True)
        return Interval(Parameters(*lower), Parameters(*upper))


def relabel(draws: Draws, X: ArrayLike, *, method: str = "ecr", log_posterior: ArrayLike | None = None) -> Relabelling:
    """Bring the components of all draws into one order.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like
        The rows that they were inferred from.
    method : {"ecr", "stephens", "pivot"}
    log_posterior : (C, S) array-like, optional
        Of each draw, up to a constant. The draw where it is highest is the first reference; without it, that of the highest likelihood.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.draws.relabelling import relabel
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> rng = np.random.default_rng(0)
    >>> means = np.array([1.0, 5.0])[:, None] + 0.1 * rng.normal(size=(2, 50, 2, 1))
    >>> means[:, ::2] = means[:, ::2, ::-1]  # every other draw lists them the other way round
    >>> draws = Draws(covariance_structure("spherical"), np.full((2, 50, 2), 0.5), means, np.ones((2, 50, 2)))
    >>> found = relabel(draws, [[1.0], [1.5], [4.5], [5.0]])
    >>> found.failure_rate
    0.0
    >>> sorted(found.expectations().means.ravel().round().tolist())
    [1.0, 5.0]
    """
    if method not in METHODS:
        raise InvalidParameterError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    rows = draws.as_rows(X)
    rows = rows[evenly_spaced(len(rows), MOST_ROWS)]
    pivot = _highest(draws, rows, log_posterior)
    orders = METHODS[method](draws, rows, pivot)
    other = METHODS["ecr" if method == "pivot" else "pivot"](draws, rows, pivot)
    relabelled = draws.permuted(orders.reshape(draws.weights.shape))
    return Relabelling(
        relabelled,
        orders.reshape(draws.weights.shape),
        method,
        _disagreement(orders, other, draws.weights.reshape(orders.shape) > 0),
        _non_permutation(relabelled),
    )


def _highest(draws: Draws, rows: Array, log_posterior: ArrayLike | None) -> int:
    """Place of the draw of the highest posterior density (or likelihood), chain after chain."""
    if log_posterior is None:
        likelihoods = [normalise(scores).sum(axis=1) for _, scores in draws.log_joints(rows)]
        return int(np.concatenate(likelihoods).argmax())
    heights = np.asarray(log_posterior, dtype=np.float64)
    if heights.shape != (draws.n_chains, draws.n_draws) or np.isnan(heights).any():
        raise InvalidParameterError(
            f"log_posterior must hold a number for each of {draws.n_chains} × {draws.n_draws} draws; got shape {heights.shape}"
            f"{', some of them NaN' if np.isnan(heights).any() else ''}."
        )
    return int(heights.argmax())


# ---- by the labels of rows -----------------------------------------------------------------------------------------------------


Blocks = Callable[[], Iterable[tuple[slice, Array]]]
"""Some draws after others, and the probabilities of the labels ``(T, K, B)`` in them."""


def _by_labels(target: Callable[[Array], Array]) -> Callable[[Draws, Array, int], Orders]:
    """A method that alternates between orders and probabilities ``q``, ``(K, B)``, of which ``target`` makes the reference."""

    def orders_of(draws: Draws, rows: Array, pivot: int) -> Orders:
        def blocks() -> Iterator[tuple[slice, Array]]:
            for part, shares in draws.log_joints(rows):
                normalise(shares)
                yield part, shares

        starts = dict.fromkeys((pivot, _promising(draws, rows, pivot, target)))
        references = (draws.mixture(*divmod(start, draws.n_draws)).responsibilities(rows).T for start in starts)
        ends = [_settled(blocks, len(draws), q, target) for q in references]
        orders = ends[_first_of_the_best([worth for worth, _ in ends])][1]
        return np.take(orders, orders[pivot].argsort(), axis=1)

    return orders_of


def _promising(draws: Draws, rows: Array, pivot: int, target: Callable[[Array], Array]) -> int:
    """The draw to start from: on some draws and rows, none leads further. The pivot, if it is as good as any."""
    chosen = np.unique(np.append(evenly_spaced(len(draws), TRIED_DRAWS), pivot))
    some_rows = rows[evenly_spaced(len(rows), TRIED_ROWS)]
    shares = np.array([draws.mixture(*divmod(int(i), draws.n_draws)).responsibilities(some_rows).T for i in chosen])
    starts = [int(np.searchsorted(chosen, pivot)), *evenly_spaced(len(chosen), TRIED_STARTS).tolist()]
    worths = [_settled(lambda: [(slice(None), shares)], len(chosen), shares[i], target)[0] for i in starts]
    return int(chosen[starts[_first_of_the_best(worths)]])


def _settled(blocks: Blocks, n_draws: int, q: Array, target: Callable[[Array], Array]) -> tuple[float, Orders]:
    """Orders and reference in turn until neither changes: what the orders are worth, a row, and the orders."""
    reference = target(q).T
    orders = np.zeros((n_draws, len(q)), np.intp)
    for _ in range(MOST_ROUNDS):
        previous, last = orders.copy(), reference
        total = np.zeros_like(q)
        for part, shares in blocks():
            orders[part] = _best_orders((shares @ reference).swapaxes(1, 2))
            total += np.take_along_axis(shares, orders[part][:, :, None], axis=1).sum(axis=0)
        q = total / n_draws
        reference = target(q).T
        if (orders == previous).all() or (reference == last).all():
            break
    return float((reference.T * q).sum() / q.shape[1]), orders


def _first_of_the_best(worths: Sequence[float]) -> int:
    """Place of the first that is worth most, but for rounding."""
    highest = max(worths)
    return next(i for i, worth in enumerate(worths) if worth >= highest - SAME_WORTH)


def _partition(q: Array) -> Array:
    """Indicators of the most probable label."""
    return (q.argmax(axis=0) == np.arange(len(q))[:, None]).astype(np.float64)


def _log_probabilities(q: Array) -> Array:
    return np.log(np.maximum(q, LEAST_PROBABILITY))


def _best_orders(gains: Array) -> Orders:
    """For each draw, which component to give each label, ``(T, K)``, so that the sum of gains ``(T, label, component)`` is greatest."""
    return np.array([linear_sum_assignment(each, maximize=True)[1] for each in gains])


# ---- by distances of components ------------------------------------------------------------------------------------------------


def _by_distance(draws: Draws, rows: Array, pivot: int) -> Orders:
    reference = draws.mixture(*divmod(pivot, draws.n_draws))
    orders = np.empty((len(draws), draws.n_components), np.intp)
    n_components, n_features = reference.means.shape
    size = max(1, NUMBERS // (n_components * n_features) ** 2)
    for start in range(0, len(draws), size):
        part = slice(start, min(start + size, len(draws)))
        components = _components(draws, part)
        distances = component_distances(reference, components)
        # A slot without weight has parameters that mean nothing: it goes to a label without weight, if there is one.
        unused, vacant = components.weights == 0, reference.weights[:, None] == 0
        far = (1 + distances.max()) * n_components
        distances = np.where(unused | vacant, np.where(unused & vacant, 0.0, far), distances)
        orders[part] = _best_orders(-distances.reshape(n_components, -1, n_components).swapaxes(0, 1))
    return orders


def _components(draws: Draws, part: slice) -> Mixture:
    """The components of some draws as a single mixture."""
    weights = draws.weights.reshape(-1, draws.n_components)[part]
    means = draws.means.reshape(-1, *draws.means.shape[2:])[part].reshape(-1, draws.n_features)
    diagonal = draws.structure.diagonal
    spread = draws.variances if diagonal else draws.covariance_matrices
    spread = spread.reshape(len(draws), draws.n_components, *spread.shape[3:])[part]
    return Mixture(
        weights.ravel() / weights.sum(), means, spread.reshape(-1, *spread.shape[2:]), "diag" if diagonal else "full"
    )


METHODS: dict[str, Callable[[Draws, Array, int], Orders]] = {
    "ecr": _by_labels(_partition),
    "stephens": _by_labels(_log_probabilities),
    "pivot": _by_distance,
}


# ---- how often labelling fails -------------------------------------------------------------------------------------------------


def _disagreement(orders: Orders, others: Orders, used: NDArray[np.bool_]) -> float:
    """Share of draws of which some component in use gets different labels, whatever the labels are called in all draws."""
    ours, theirs = orders.argsort(axis=1), others.argsort(axis=1)
    together = np.zeros((orders.shape[1], orders.shape[1]))
    np.add.at(together, (theirs[used], ours[used]), 1)
    names = linear_sum_assignment(together, maximize=True)[1]
    return float(((ours != names[theirs]) & used).any(axis=1).mean())


def _non_permutation(draws: Draws) -> float:
    """Share of draws whose components do not fall one into each cluster of the components of all draws.

    The clusters are those of k-means from the labels that there are, each coordinate in units of its spread within clusters. A component
    counts by its weight: one with hardly a row may be anywhere, and a few of those would have a cluster of their own.
    """
    points = _coordinates(draws)
    n_draws, n_components = points.shape[:2]
    weights = draws.weights.reshape(n_draws, n_components)
    labels = np.broadcast_to(np.arange(n_components), (n_draws, n_components))
    for _ in range(MOST_ROUNDS):
        members = [(points[labels == k], weights[labels == k]) for k in range(n_components)]
        if not all(own.any() for _, own in members):
            return 1.0
        centres = np.array([np.average(own, axis=0, weights=counts) for own, counts in members])
        within = sum(counts @ (own - centre) ** 2 for (own, counts), centre in zip(members, centres, strict=True))
        scale = np.sqrt(np.where(within > 0, within, 1.0) / n_draws)
        distances = [(((points - centre) / scale) ** 2).sum(axis=2) for centre in centres]
        previous, labels = labels, np.argmin(distances, axis=0)
        if (labels == previous).all():
            break
    one_each = (np.sort(labels, axis=1) == np.arange(n_components)).all(axis=1)
    unused = (weights == 0).any(axis=1)
    return float((~one_each | unused).mean())


def _coordinates(draws: Draws) -> Array:
    """Each component as a point: means, log standard deviations, and Fisher's ``artanh`` of correlations, ``(C·S, K, P)``."""
    deviations = np.sqrt(draws.variances)
    coordinates = [draws.means, np.log(deviations)]
    if not draws.structure.diagonal:
        rows, columns = np.tril_indices(draws.n_features, -1)
        covariances = draws.covariance_matrices[..., rows, columns]
        coordinates.append(np.arctanh(covariances / (deviations[..., rows] * deviations[..., columns])))
    return np.concatenate(coordinates, axis=-1).reshape(len(draws), draws.n_components, -1)
