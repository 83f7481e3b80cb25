"""What ``engine.cpp`` defines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array

def instruction_sets() -> tuple[str, ...]: ...
def use(name: str, /) -> None: ...
def instruction_set() -> str | None: ...
def headroom(n_features: int, precision: int, /) -> float: ...
def sweep(
    rows: Array,
    weights: Array | None,
    position: int,
    strip_rows: int,
    threads: int,
    constants: Array,
    centres: Array,
    whitening: Array,
    sizes: Sequence[int],
    members: Sequence[tuple[int, Array | None, Any, Any, Any, int, int]] | None,
    precision: int,
    moments: bool,
    totals: Array,
    /,
) -> None: ...
def climb(
    rows: Array,
    weights: Array | None,
    row_weights: Array | None,
    family: tuple[
        int,
        bool,
        bool,
        Array | None,
        tuple[Array, float, Array, float] | None,
        tuple[bool, float, Array, NDArray[np.int64], Array, Array] | None,
    ],
    sharing: int,
    patience: tuple[float, ...],
    sizes: Array,
    before: Array,
    threads: int,
    weights_of_components: Array,
    means: Array,
    blocks: Array,
    factors: Array,
    totals: Array,
    bounds: Array,
    passes: Array,
    /,
) -> None: ...
def k_means(
    rows: Array,
    weights: Array,
    uniforms: Array,
    n_candidates: int,
    most_rounds: int,
    least_gain: float,
    threads: int,
    centres: Array,
    labels: NDArray[np.int32],
    /,
) -> None: ...
def different(
    labels: NDArray[np.int32], weights: Array, n_clusters: int, most: float, kept: NDArray[np.int32], /
) -> int: ...
def of_partition(
    rows: Array, weights: Array | None, labels: NDArray[np.int32], count: Array, means: Array, second: Array, /
) -> None: ...
def unpacked(totals: Array, count: Array, first: Array, second: Array, /) -> None: ...

class LogPosterior:
    def __init__(
        self, rows: Array, weights: Array | None, reference: tuple[Any, ...], prior: tuple[Any, ...], /
    ) -> None: ...
    @property
    def n_asked(self) -> int: ...
    def __call__(self, q: Array, /) -> tuple[float, Array]: ...
    def of_each(self, q: Array, values: Array, gradients: Array, /) -> None: ...
    def close(self) -> None: ...
