"""Blocked Gibbs sampling of a mixture with conjugate, or partly conjugate, priors.

The sweep draws the component of every row given the parameters and adds up the moments of each component's rows; the parameters are then
drawn given those. What is known of the number of components, and of means and covariances, are two choices that know nothing of each
other: a ``PartitionPrior`` and a ``ComponentPrior``. Components without rows are dropped and drawn afresh, so the same loop serves a known
and an unknown number of components. All chains share each read of the data.

Labels stay where the rows are, and are forgotten: what is known of them here are moments and a recipe by which they are drawn again. Moves
look at rows over and over, so a few rows are in memory, all of them if there are few (``HELD``); others are gone over by passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.data.array import ArraySource
from mixtura.data.source import Source
from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.ground.random import child_streams
from mixtura.ground.threads import single_threaded_blas
from mixtura.inference.sampling.all_rows import AllRows
from mixtura.inference.sampling.finite_mixtures import FiniteMixtures
from mixtura.inference.sampling.posterior_sample import PosteriorSample, Progress
from mixtura.inference.sampling.split_merge import SplitMerge
from mixtura.inference.sampling.split_sites import Allocation
from mixtura.inference.sampling.weights import PartitionPrior, Weights
from mixtura.model.draws import Draws
from mixtura.model.laws.components import ComponentPrior, Components
from mixtura.model.mixture import Mixture
from mixtura.model.moments import Moments
from mixtura.model.rows import evenly_spaced
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sampled, Swept
from mixtura.sweep.labelled import Drawing, LabelledSweep, Labels, Recipe, Renamed
from mixtura.sweep.whole_rows import WholeRows

MOST_LABELS = 2**27
"""Labels that a run keeps, of all chains, draws and rows together: with more, those of a subsample of the rows are kept."""
HELD, LOOKED_AT = 2**16, 2**13
"""Rows up to which all are in memory, wherever they come from, and how many of more rows are, drawn at random."""
EVERY, OF_SHARED = 4, 10
"""Sweeps for one with moves where the number of components is known, for there is less to find, and what part of the moves there is where
all share a block, for each is ten times as dear."""


@dataclass(frozen=True, eq=False)
class Gibbs:
    """The choices that make a sampler.

    Attributes
    ----------
    components : ComponentPrior
        Of means and covariances.
    partition : PartitionPrior
        Of the weights, and of how many there are.
    n_splits : int, default=16
        Moves that split a component or merge two, tried after a sweep at most: fewer where many succeed, or where there are many rows; a
        tenth where components share a covariance. Where their number is known they are tried after every fourth sweep.
    """

    components: ComponentPrior
    partition: PartitionPrior
    n_splits: int = 16

    @property
    def every(self) -> int:
        """Sweeps for each after which moves are tried."""
        return EVERY if isinstance(self.partition, FiniteMixtures) and not self.partition.law.is_open else 1

    def moves(self, rows: Array, all_rows: AllRows | None) -> SplitMerge | None:
        """Those that there are, ready for rows that are looked at, and for passes over all where these are more."""
        if not self.n_splits:
            return None
        structure = self.components.structure
        n_splits = -(-self.n_splits // (OF_SHARED if structure.shared else 1))
        return SplitMerge(WholeRows(rows, structure.diagonal), self.components, self.partition, n_splits, all_rows)


@dataclass(frozen=True, eq=False)
class GibbsRun(PosteriorSample):
    """What Gibbs sampling brings back.

    ``draws`` have components with rows first, then those without. ``log_posterior`` is the log density of the partition and of the
    parameters of its components given the data, up to a constant: labels' names and weights do not enter. ``statistics`` hold it as ``lp``.

    Attributes
    ----------
    n_components : (C, S) integer array
        Of each draw; meaningless for a Dirichlet process, whose components have no end.
    n_filled : (C, S) integer array
        Components with rows.
    labels : (C, S, M) integer array
        Components drawn for the rows ``label_rows``, numbered as in ``draws``, in the smallest type that holds them.
    label_rows : (M,) integer array
    accepted : (C,) array
        Share of split–merge proposals that were accepted; zero where none were made.
    """

    n_components: NDArray[np.int64]
    n_filled: NDArray[np.int64]
    labels: NDArray[np.signedinteger]
    label_rows: NDArray[np.int64]
    accepted: Array


@dataclass(eq=False)
class _Record:
    """What is kept of one draw."""

    components: Components
    log_weights: Array
    log_likelihood: float
    log_posterior: float
    n_filled: int
    labels: NDArray[np.signedinteger]


@dataclass(eq=False)
class _Chain:
    """One chain between sweeps."""

    sampler: Gibbs
    rng: np.random.Generator
    components: Components
    weights: Weights
    seed: np.uint64
    allocation: Allocation | None = None
    n_sweeps: int = 0
    n_tried: int = 0
    n_accepted: int = 0
    records: list[_Record] = field(default_factory=list)

    @property
    def scorer(self) -> Scorer:
        """The current mixture in the form that travels to the data."""
        plain = self.components.scorer
        return Scorer(plain.constants + self.weights.logs, plain.centres, plain.whitening)

    def assignment(self) -> Sampled:
        """Labels are drawn with random numbers that this chain and this sweep alone have."""
        self.n_sweeps += 1
        n_open = None if self.weights.slice is None else self.weights.slice.n_open
        return Sampled(np.array([self.seed, self.n_sweeps], np.uint64), n_open=n_open)

    def take(
        self, swept: Swept, labels: Labels, recipe: Recipe | None, label_rows: NDArray[np.intp] | None
    ) -> Allocation:
        """The labels that a sweep has drawn, or those before; a record is kept if rows are named whose labels to keep."""
        filled = np.flatnonzero(swept.moments.count)
        if self._accepts(filled):
            allocation = self._allocation(swept.moments, labels, recipe, filled)
        else:
            assert self.allocation is not None
            filled = np.arange(len(self.allocation.moments.count))
            allocation = self.allocation._replace(components=self.components[filled])
        if label_rows is not None:
            self.records.append(self._record(swept.log_normaliser, allocation, filled, label_rows))
        return allocation

    def _accepts(self, filled: NDArray[np.intp]) -> bool:
        """Whether labels that fill these components take the place of those before."""
        if self.weights.slice is None:
            return True
        return -self.rng.standard_exponential() < self.weights.slice.log_acceptance(self.weights.logs[filled])

    def draw(self, allocation: Allocation) -> None:
        """Draw the parameters given labels."""
        self.allocation, sampler = allocation, self.sampler
        drawn = sampler.components.update(allocation.moments, allocation.components, self.rng)
        self.weights = sampler.partition.draw_weights(allocation.moments.count, self.rng)
        self.components = sampler.components.extend(drawn, len(self.weights.logs) - len(drawn.means), self.rng)

    def _allocation(
        self, moments: Moments, labels: Labels, recipe: Recipe | None, filled: NDArray[np.intp]
    ) -> Allocation:
        """The labels with the components without rows struck off the list."""
        if len(filled) == len(moments.count):
            return Allocation(labels, moments, self.components, recipe)
        names = np.zeros(len(moments.count), np.int32)
        names[filled] = np.arange(len(filled))
        recipe = recipe and recipe.then(Renamed(names))
        return Allocation(names[labels], moments[filled], self.components[filled], recipe)

    def _record(
        self, log_likelihood: float, allocation: Allocation, places: NDArray[np.intp], label_rows: NDArray[np.intp]
    ) -> _Record:
        """The parameters, and labels given them; components with rows, which had these places, come first."""
        moments, filled = allocation.moments, allocation.components
        log_posterior = (
            filled.scorer.expected(moments)
            + float(self.sampler.partition.log_probability(moments.count))
            + self.sampler.components.log_density(filled)
        )
        order = np.concatenate([places, np.delete(np.arange(len(self.weights.logs)), places)])
        components, log_weights = self.components[order], self.weights.logs[order]
        labels = allocation.labels[label_rows].astype(np.min_scalar_type(-len(order)))
        return _Record(components, log_weights, log_likelihood, log_posterior, len(places), labels)


def sample(
    source: Source,
    starts: Sequence[Mixture],
    sampler: Gibbs,
    rng: np.random.Generator,
    *,
    n_draws: int,
    n_warmup: int,
    thin: int = 1,
    keep_labels: bool = True,
    progress: Progress | None = None,
) -> GibbsRun:
    """Run a chain from each start.

    Parameters
    ----------
    source : Source
        Without weights. If it has more rows than are held in memory, moves look at some of them and go over all others.
    starts : sequence of Mixture
        Of the structure of the prior; where the number of components is known, of that many.
    sampler : Gibbs
    rng : numpy Generator
    n_draws : int
        Kept of each chain.
    n_warmup : int
        Sweeps before the first of them.
    thin : int, default=1
        Sweeps for each draw that is kept.
    keep_labels : bool, default=True
        Whether labels of the rows in memory are kept of the draws, a byte or two for each row and draw: ``False`` leaves ``label_rows``
        empty.
    progress : Progress, optional

    Returns
    -------
    GibbsRun
        When the user interrupts, what was drawn so far.

    Raises
    ------
    DataError
        If rows have weights: a row that counts as two has no one component.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.sampling.gibbs import Gibbs, sample
    >>> from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
    >>> from mixtura.model.laws.components import ConjugateComponents
    >>> x = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> start = mx.Mixture([0.5, 0.5], [[0.5], [11.0]], [1.0, 1.0], "spherical")
    >>> prior = mx.NormalInverseWishart(mean=[6.0], mean_precision=0.1, scale=[[4.0]], degrees_of_freedom=4)
    >>> sampler = Gibbs(ConjugateComponents(start.structure, prior), FiniteMixtures(ComponentCountLaw.exactly(2), 1.0))
    >>> run = sample(ArraySource(x), [start], sampler, np.random.default_rng(0), n_draws=1000, n_warmup=100)
    >>> together = run.labels[0, :, 0] == run.labels[0, :, 1]
    >>> bool(together.mean() > 0.95), run.draws.means.shape
    (True, (1, 1000, 2, 1))
    """
    _check(starts, sampler, n_draws, n_warmup, thin)
    *streams, moves = child_streams(rng, len(starts) + 1)
    places = _looked_at(source.n_rows, moves)
    rows, row_weights = source.take(places)
    if row_weights is not None:
        raise DataError(
            "sample_weight cannot be used with Gibbs sampling, which gives each row to one component; repeat rows instead."
        )
    are_all = len(places) == source.n_rows
    most = max(1, MOST_LABELS // (len(starts) * n_draws)) if keep_labels else 0
    label_rows = evenly_spaced(len(places), most)
    chains = [_chain(sampler, start, stream) for start, stream in zip(starts, streams, strict=True)]
    n_sweeps, interrupted = n_warmup + n_draws * thin, False
    # Products of the moves are many and small: threads of BLAS would wait for each other in every one of them.
    with single_threaded_blas(), LabelledSweep(ArraySource(rows) if are_all else source) as sweep:
        split_merge, every = sampler.moves(rows, None if are_all else AllRows(sweep, places)), sampler.every
        try:
            for n in range(1, n_sweeps + 1):
                if n == n_warmup + 1 and split_merge is not None:
                    split_merge.tally.settle()
                kept = label_rows if n > n_warmup and (n - n_warmup) % thin == 0 else None
                allocations = _swept(sweep, chains, places, kept)
                if split_merge is not None and n % every == 0:
                    allocations, tried, accepted = split_merge(allocations, moves)
                    for chain, n_tried, n_accepted in zip(chains, tried.tolist(), accepted.tolist(), strict=True):
                        chain.n_tried, chain.n_accepted = chain.n_tried + n_tried, chain.n_accepted + n_accepted
                for chain, allocation in zip(chains, allocations, strict=True):
                    chain.draw(allocation)
                if progress is not None:
                    progress(n, n_sweeps)
        except KeyboardInterrupt:
            interrupted = True
    n_kept = min(len(chain.records) for chain in chains)
    if not n_kept:
        raise KeyboardInterrupt
    return _run([chain.records[:n_kept] for chain in chains], chains, places[label_rows], interrupted)


def _check(starts: Sequence[Mixture], sampler: Gibbs, n_draws: int, n_warmup: int, thin: int) -> None:
    for name, value, least in (("n_draws", n_draws, 1), ("n_warmup", n_warmup, 0), ("thin", thin, 1)):
        if value < least:
            raise InvalidParameterError(f"{name} must be at least {least}; got {value!r}.")
    structure = sampler.components.structure
    for start in starts:
        if start.structure is not structure:
            raise InvalidParameterError(
                f"a start has covariance type {start.covariance_type!r}, the prior {structure.name!r}; they must be the same."
            )


def _looked_at(n_rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Places of all rows, or of some of many."""
    return np.arange(n_rows) if n_rows <= HELD else np.sort(rng.choice(n_rows, LOOKED_AT, replace=False))


def _swept(
    sweep: LabelledSweep, chains: list[_Chain], places: NDArray[np.intp], label_rows: NDArray[np.intp] | None
) -> list[Allocation]:
    """The labels that one pass over all rows draws for each chain."""
    drawing = Drawing([chain.scorer for chain in chains], [chain.assignment() for chain in chains])
    are_all = len(places) == sweep.source.n_rows
    each = zip(chains, *sweep.drawn(drawing, places), strict=True)
    return [
        chain.take(swept, labels, None if are_all else Recipe(drawing, i), label_rows)
        for i, (chain, swept, labels) in enumerate(each)
    ]


def _chain(sampler: Gibbs, start: Mixture, rng: np.random.Generator) -> _Chain:
    with np.errstate(divide="ignore"):
        weights = Weights(np.log(start.weights))
    return _Chain(sampler, rng, sampler.components.begin(start), weights, rng.integers(2**64, dtype=np.uint64))


def _run(
    records: list[list[_Record]], chains: list[_Chain], label_rows: NDArray[np.intp], interrupted: bool
) -> GibbsRun:
    def gathered(name: str) -> NDArray[Any]:
        return np.array([[getattr(record, name) for record in chain] for chain in records])

    log_posterior = gathered("log_posterior")
    return GibbsRun(
        draws=_draws(records),
        log_posterior=log_posterior,
        log_likelihood=gathered("log_likelihood"),
        statistics={"lp": log_posterior},
        interrupted=interrupted,
        trouble=None,
        n_components=np.array([[len(record.log_weights) for record in chain] for chain in records]),
        n_filled=gathered("n_filled"),
        labels=gathered("labels"),
        label_rows=label_rows,
        accepted=np.array([chain.n_accepted / max(chain.n_tried, 1) for chain in chains]),
    )


def _draws(records: list[list[_Record]]) -> Draws:
    """All draws with as many components as the largest; those that a draw does not have repeat its last, with no weight."""
    structure, n_features = records[0][0].components.structure, records[0][0].components.means.shape[1]
    outer = (len(records), len(records[0]))
    most = max(len(record.log_weights) for chain in records for record in chain)
    weights = np.zeros((*outer, most))
    means = np.empty((*outer, most, n_features))
    covariances = np.empty((*outer, *structure.shape(most, n_features)))
    for c, chain in enumerate(records):
        for s, record in enumerate(chain):
            n_components = len(record.log_weights)
            places = np.minimum(np.arange(most), n_components - 1)
            weights[c, s, :n_components] = np.exp(record.log_weights)
            padded = record.components[places]
            means[c, s], covariances[c, s] = padded.means, padded.covariances
    return Draws(structure, weights, means, covariances)
