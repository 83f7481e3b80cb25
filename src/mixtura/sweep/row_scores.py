"""Derivatives of the log density of each row in a mixture's coordinates, its *score*, and what is added up of them.

A row's score is the mean, by its responsibilities, of those that it would have were its label known. The latter are, up to what is the same
for all components, one in the component's log weight, ``z = L_k⁻¹(x − μ_k)`` in its mean and what the structure makes of ``z zᵀ − I`` in
its covariance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Arrays, Block, Source
from mixtura.ground.linalg import Array, outer
from mixtura.model.coordinates import Coordinates
from mixtura.model.scorer import normalise


def missing_information(about: Coordinates, source: Source) -> Array:
    """``Σ_n w_n Cov(complete-data score | x_n)`` over the labels that row ``n`` may have, ``(p, p)``.

    Parameters
    ----------
    about : Coordinates
    source : Source
    """
    scores = RowScores(about)
    n_components, size = about.reference.n_components, len(scores.places) // about.reference.n_components
    within, between = source.reduce(MissingInformation(scores), source.strip_rows).parts
    missing = -between.reshape(n_components, size, n_components, size)
    for k in range(n_components):
        missing[k, :, k] += within[k]
    total = np.zeros((about.size, about.size))
    np.add.at(total, (scores.places[:, None], scores.places), missing.reshape(len(scores.places), -1))
    return total / outer(about.unit)


def spread_of_scores(about: Coordinates, source: Source) -> Array:
    """``Σ_n w_n² s_n s_nᵀ``, ``(p, p)``."""
    return source.reduce(SpreadOfScores(RowScores(about)), source.strip_rows).parts[0]


def weighted_scores(about: Coordinates, source: Source, row_weights: Array) -> Array:
    """``Σ_n v_n s_n`` for each of several sets of row weights ``(R, N)``, those of the source apart: ``(R, p)``."""
    return source.reduce(WeightedScores(RowScores(about), row_weights), source.strip_rows).parts[0]


class OfLabels(NamedTuple):
    """Some rows: where they stand, their weights, responsibilities ``(K, B)``, and scores for each label ``(K, B, ·)``."""

    position: slice
    weights: Array | None
    shares: Array
    by_label: Array


@dataclass(frozen=True, eq=False)
class RowScores:
    """Scores of rows in coordinates about a mixture."""

    about: Coordinates

    def of_labels(self, strip: Block) -> Iterator[OfLabels]:
        """Block by block, not yet in units of the coordinates."""
        mixture, structure = self.about.reference, self.about.structure
        scorer, (on_second, on_count) = mixture.scorer, self._on_blocks
        size = max(16, 2**20 // (self.about.size + 3 * mixture.n_components * len(on_second)))
        for position, rows, weights in strip.cut(size):
            whitened = scorer.whitened(scorer.residuals(rows))
            shares = scorer.log_joint(whitened)
            normalise(shares)
            second = np.square(whitened) if structure.diagonal else outer(whitened)
            blocks = second.reshape(*shares.shape, -1) @ on_second + on_count
            by_label = np.concatenate([np.ones((*shares.shape, 1)), whitened, blocks], axis=2)
            yield OfLabels(position, weights, shares, by_label)

    def of_rows(self, strip: Block) -> Iterator[tuple[slice, Array | None, Array]]:
        """Where some rows stand, their weights, and their scores ``(B, p)``."""
        for position, weights, shares, by_label in self.of_labels(strip):
            score = np.zeros((shares.shape[1], self.about.size))
            for columns, share, alone in zip(self.places.reshape(len(shares), -1), shares, by_label, strict=True):
                score[:, columns] += share[:, None] * alone
            score[:, : len(shares)] -= self.about.reference.weights
            yield position, weights, score / self.about.unit

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Which coordinates are those of each component in turn: of its weight, its mean and its covariance, which may be that of all."""
        n_components, n_features = self.about.reference.n_components, self.about.reference.n_features
        n_coordinates = len(self.about.structure.block_information(n_features))
        components = np.arange(n_components)[:, None]
        blocks = 0 if self.about.structure.shared else components
        on_means = n_components + components * n_features + np.arange(n_features)
        on_blocks = n_components * (1 + n_features) + blocks * n_coordinates + np.arange(n_coordinates)
        return np.concatenate(
            [components, on_means, np.broadcast_to(on_blocks, (n_components, n_coordinates))], axis=1
        ).ravel()

    @cached_property
    def _on_blocks(self) -> tuple[Array, Array]:
        """The gradient in a block's coordinates at the mixture is linear in whitened second moments and in the count: both matrices."""
        structure, n_features = self.about.structure, self.about.reference.n_features
        n_coordinates = len(structure.block_information(n_features))
        relative = structure.relative_roots(np.zeros((1, n_coordinates)), n_features)
        identity = structure.factor_from_roots(relative)
        units = np.eye(n_features)
        several = (
            [units] if structure.diagonal else [outer(np.broadcast_to(unit, units.shape), units) for unit in units]
        )
        on_second = [structure.pull_back(second, np.zeros(n_features), identity, relative) for second in several]
        nothing = np.zeros_like(several[0][:1])
        return np.concatenate(on_second), structure.pull_back(nothing, np.ones(1), identity, relative)


@dataclass(frozen=True, eq=False)
class MissingInformation:
    """The task of adding up squares of the scores for each label, and of their means by row."""

    scores: RowScores

    def __call__(self, strip: Block) -> Arrays:
        places, n_components = self.scores.places, self.scores.about.reference.n_components
        size = len(places) // n_components
        within, between = np.zeros((n_components, size, size)), np.zeros((len(places), len(places)))
        with np.errstate(under="ignore"):
            for _, weights, shares, by_label in self.scores.of_labels(strip):
                roots = np.sqrt(shares if weights is None else shares * weights)[:, :, None]
                weighted = by_label * roots
                within += weighted.swapaxes(1, 2) @ weighted
                weighted *= np.sqrt(shares)[:, :, None]
                by_row = weighted.swapaxes(0, 1).reshape(-1, len(places))
                between += by_row.T @ by_row
        return Arrays([within, between])


@dataclass(frozen=True, eq=False)
class SpreadOfScores:
    """The task of adding up squares of weighted scores."""

    scores: RowScores

    def __call__(self, strip: Block) -> Arrays:
        total = np.zeros((self.scores.about.size, self.scores.about.size))
        for _, weights, score in self.scores.of_rows(strip):
            weighted = score if weights is None else score * weights[:, None]
            total += weighted.T @ weighted
        return Arrays([total])


@dataclass(frozen=True, eq=False)
class WeightedScores:
    """The task of adding up scores by several sets of row weights."""

    scores: RowScores
    row_weights: Array

    def __call__(self, strip: Block) -> Arrays:
        total = np.zeros((len(self.row_weights), self.scores.about.size))
        for position, _, score in self.scores.of_rows(strip):
            total += self.row_weights[:, position] @ score
        return Arrays([total])
