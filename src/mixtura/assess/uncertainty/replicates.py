"""One mixture fitted again to many reweightings of the same rows: a stack that reads each row once a round for all of them.

The weighted-likelihood bootstrap gives every row an exponential weight of its own, independently in each replicate, which with a fixed
total makes them Dirichlet. Source: Newton and Raftery (1994), "Approximate Bayesian inference with the weighted likelihood bootstrap".
Zeros and ones among the weights make a jackknife or a cross-validation of the same stack.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixtura.assess.uncertainty.information import information
from mixtura.data.array import ArraySource
from mixtura.data.source import Block
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.climb.steps import within
from mixtura.inference.rules.collapse import Collapsed
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import remaining_gain
from mixtura.model.alignment import align
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep, Weighted, soft
from mixtura.sweep.climbs import Departure, Family, Patience, climbs, rows_in_cache
from mixtura.sweep.row_scores import weighted_scores

GOAL = 1e-5
"""Gain still to come, in nats, at which a replicate has converged: within ``√(2·GOAL)``, half a hundredth, of a standard error."""
MOST_ROUNDS = 10_000
MOST_WEIGHTS = 2**24
"""Row weights kept at once; where rows times replicates are more, one stack follows another."""
MOST_NUMBERS = 2**22
"""Numbers in the working arrays of a stack."""


def bootstrap(mixture: Mixture, source: ArraySource, n_replicates: int, rng: np.random.Generator) -> list[Mixture]:
    """Replicates under exponential row weights, their components in the order of the mixture's.

    Parameters
    ----------
    mixture : Mixture
        The fit, from near which every replicate begins.
    source : ArraySource
        Row weights, if there are any, multiply those drawn.
    n_replicates : int
    rng : numpy Generator

    Returns
    -------
    list of Mixture
        Fewer than ``n_replicates`` if some collapsed, or did not converge in ``MOST_ROUNDS`` rounds.
    """
    predict = _Predictor(mixture, source)
    n_components, n_features = mixture.means.shape
    numbers = n_components * n_features * max(n_features, 64)
    size = max(1, min(MOST_WEIGHTS // source.n_rows, MOST_NUMBERS // numbers))
    replicates: list[Mixture] = []
    for start in range(0, n_replicates, size):
        drawn = rng.standard_exponential((min(size, n_replicates - start), source.n_rows))
        if source.weights is not None:
            drawn *= source.weights
        replicates += [align(fit, mixture) for fit in refit(predict(drawn), source, drawn) if fit is not None]
    return replicates


class _Predictor:
    """Where the maximum under other row weights should be: one step of Newton's method from the fit, ``J⁻¹ Σ_n w_n s_n``.

    The steps of EM that are saved are most of them where rows are many. Where the fit is no maximum, it is the start itself.
    """

    def __init__(self, mixture: Mixture, source: ArraySource) -> None:
        self._mixture, self._source = mixture, source
        try:
            found = information(mixture, source)
            root = found.inverse_root()
        except InvalidParameterError:
            self._about = None
        else:
            self._about, self._inverse = found.coordinates, root @ root.T

    def __call__(self, row_weights: Array) -> list[Mixture]:
        if self._about is None:
            return [self._mixture] * len(row_weights)
        gradients = weighted_scores(self._about, self._source, row_weights)
        gradients *= self._source.total_weight / row_weights.sum(axis=1, keepdims=True)
        steps = gradients @ self._inverse
        return [self._about.mixture(step) for step in within(self._about, steps)]


def refit(starts: Sequence[Mixture], source: ArraySource, row_weights: Array) -> list[Mixture | None]:
    """Climb to a maximum of each of several weighted likelihoods, side by side.

    Parameters
    ----------
    starts : sequence of Mixture
        Where each replicate begins, all with one structure.
    source : ArraySource
        Its own weights are not looked at.
    row_weights : (R, N) array
        Non-negative, for each replicate.

    Returns
    -------
    list of Mixture or None
        In the order of the weights; ``None`` where a component collapsed or ``MOST_ROUNDS`` were not enough.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.uncertainty.replicates import refit
    >>> from mixtura.data.array import ArraySource
    >>> x = np.array([[0.0], [1.0], [5.0]])
    >>> one = mx.Mixture([1.0], [[2.0]], [1.0], "spherical")
    >>> leave_one_out = 1 - np.eye(3)
    >>> [round(float(m.means[0, 0]), 6) for m in refit([one] * 3, ArraySource(x), leave_one_out)]
    [3.0, 2.5, 0.5]
    """
    algorithm = ExpectationMaximization(starts[0].structure)
    source = ArraySource(source.rows.astype(np.float64, copy=False))
    row_weights = row_weights * (source.n_rows / row_weights.sum(axis=1, keepdims=True))
    rows, structure = rows_in_cache(source), algorithm.structure
    if rows is not None and isinstance(structure, SharedBlocks):
        return _refit_in_calls(starts, rows, row_weights, algorithm, structure)
    return _refit_in_rounds(starts, source, row_weights, algorithm)


def _refit_in_calls(
    starts: Sequence[Mixture],
    rows: Block,
    row_weights: Array,
    algorithm: ExpectationMaximization,
    structure: SharedBlocks,
) -> list[Mixture | None]:
    """Of rows that fit a cache: each goes on by itself to where something is to be decided."""
    family, patience = Family(structure, False, None, None), Patience(GOAL, 0.0, 0, 0, 0, 0)
    fitted: list[Mixture | None] = [None] * len(starts)
    going, current = list(range(len(starts))), list(starts)
    bounds: list[list[float]] = [[] for _ in starts]
    while going:
        departures = [Departure(current[i], bounds[i], MOST_ROUNDS - len(bounds[i])) for i in going]
        legs = climbs(rows, departures, family, soft, patience, row_weights[going])
        left: list[int] = []
        for i, leg in zip(going, legs, strict=True):
            bounds[i] += leg.bounds
            if remaining_gain(bounds[i]) <= GOAL:
                fitted[i] = leg.mixture
                continue
            (updated,) = algorithm.maximise_stack([leg.moments])
            if len(bounds[i]) < MOST_ROUNDS and isinstance(updated, Mixture) and updated.weights.all():
                current[i] = updated
                left.append(i)
        going = left
    return fitted


def _refit_in_rounds(
    starts: Sequence[Mixture], source: ArraySource, row_weights: Array, algorithm: ExpectationMaximization
) -> list[Mixture | None]:
    """Of any rows: each round reads them once for all that are still climbing."""
    fitted: list[Mixture | None] = [None] * len(row_weights)
    places, current = list(range(len(row_weights))), list(starts)
    bounds: list[list[float]] = [[] for _ in places]
    with Sweep(source) as sweep:
        for _ in range(MOST_ROUNDS):
            swept = sweep([m.scorer for m in current], Weighted(row_weights))
            for bound, one in zip(bounds, swept, strict=True):
                bound.append(one.log_normaliser)
            climbing = [i for i, bound in enumerate(bounds) if remaining_gain(bound) > GOAL]
            for i in set(range(len(places))).difference(climbing):
                fitted[places[i]] = current[i]
            updated = algorithm.maximise_stack([swept[i].moments for i in climbing]) if climbing else []
            going = [
                (i, m)
                for i, m in zip(climbing, updated, strict=True)
                if not isinstance(m, Collapsed) and m.weights.all()
            ]
            if not going:
                break
            if len(going) < len(places):
                kept = [i for i, _ in going]
                row_weights = row_weights[kept]
                places, bounds = [places[i] for i in kept], [bounds[i] for i in kept]
            current = [m for _, m in going]
    return fitted
