"""The data sets of the repository, and seeded ones beside them."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "examples"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))


@cache
def rows_of(name: str) -> np.ndarray:
    """The numbers of a data set, without its classes."""
    with open(FOLDER / f"{name}.csv", newline="") as file:
        header, *lines = csv.reader(file)
    columns = [i for i, column in enumerate(header) if column != "class"]
    return np.array([[float(line[i]) for i in columns] for line in lines])


@cache
def overlapping(n_rows: int, n_features: int, n_components: int, seed: int, spread: float = 1.5) -> np.ndarray:
    """Rows of a mixture with means ``N(0, spread²)`` and Wishart covariances near one: clusters that overlap, so that starts matter."""
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((n_components, n_features, 3 * n_features)) / np.sqrt(3 * n_features)
    means = rng.normal(0, spread, (n_components, n_features))
    labels = rng.integers(n_components, size=n_rows)
    noise = rng.standard_normal((n_rows, 3 * n_features))
    rows = means[labels]
    for component, root in enumerate(roots):
        own = labels == component
        rows[own] += noise[own] @ root.T
    return rows
