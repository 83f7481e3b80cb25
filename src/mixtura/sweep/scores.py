"""Log-likelihoods of many mixtures, without moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixtura.data.source import Arrays, Block, Source
from mixtura.ground.linalg import Array
from mixtura.model.scorer import Scorer, normalise

MOST_NUMBERS = 2**11
"""Means of the mixtures that are scored together."""


@dataclass(frozen=True, eq=False)
class LogLikelihoods:
    """Of mixtures of one size, whose components stand one after another."""

    scorer: Scorer
    n_components: int

    def __call__(self, strip: Block) -> Arrays:
        found = np.zeros(len(self.scorer.constants) // self.n_components)
        for _, rows, weights in strip.cut(self.scorer.block_rows()):
            joint = self.scorer.log_joint(self.scorer.whitened(self.scorer.residuals(rows)))
            log_pdf = normalise(joint.reshape(-1, self.n_components, joint.shape[1]))
            found += log_pdf.sum(axis=1) if weights is None else log_pdf @ weights
        return Arrays([found])


@dataclass(frozen=True, eq=False)
class LogDensities:
    """Weighted sum of what a function of rows says of each."""

    log_pdf: Callable[[Array], Array]

    def __call__(self, strip: Block) -> Arrays:
        found = np.asarray(self.log_pdf(strip.rows), dtype=np.float64)
        return Arrays([np.array([found.sum() if strip.weights is None else found @ strip.weights])])


def mean_log_density(source: Source, log_pdf: Callable[[Array], Array]) -> float:
    """Of all rows, by their weights."""
    return float(source.reduce(LogDensities(log_pdf), source.strip_rows).parts[0][0] / source.total_weight)


def log_likelihoods(source: Source, scorer: Scorer, n_components: int) -> Array:
    """Of all rows under each of ``S`` mixtures of that size, whose components stand one after another, ``(S,)``."""
    step = n_components * max(1, MOST_NUMBERS // (n_components * source.n_features))
    tasks = (
        LogLikelihoods(scorer[first : first + step], n_components) for first in range(0, len(scorer.constants), step)
    )
    return np.concatenate([source.reduce(task, source.strip_rows).parts[0] for task in tasks])
