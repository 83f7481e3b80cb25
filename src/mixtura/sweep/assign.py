"""How a block of rows is shared among the components of a mixture.

An assignment turns the log joint ``(..., K, B)`` of one mixture, or of several of one size, into responsibilities, in place, and
returns the log-normaliser ``(..., B)``: what the bound of the algorithm sums over rows. Those that have something of each row, random
numbers or weights, are told where the rows at hand begin (``at``), and which of the mixtures (``of``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.scorer import normalise

LEAST_TOTAL = 1e-30
"""Below this a sum of exponentials may have lost digits to underflow, in float32 too."""

LEAST_FLOAT32 = np.float32(-80.0)
"""Lower exponents would give subnormal numbers in float32, on which arithmetic is many times slower; ``exp(−80)`` is nothing beside one."""


class Assignment(Protocol):
    """What a sweep asks of an assignment."""

    def __call__(self, log_joint: Array) -> Array:
        """Turn log joints into responsibilities, in place; return the log-normalisers."""

    def share_bounded(self, log_joint: Array) -> Array | None:
        """The same where no log joint is far above zero, or ``None``, with ``log_joint`` spoilt, if that cannot be done exactly."""

    def among(self, components: NDArray[np.intp]) -> Assignment:
        """The same where only these of a mixture's components are there to share among."""

    def of(self, places: Sequence[int]) -> Assignment:
        """The same for some of the mixtures that a sweep was given, by their places."""

    def at(self, start: int) -> Assignment:
        """The same for rows that begin at this position."""

    def over(self, n_rows: int) -> Assignment:
        """The same for one climb over so many rows, with a memory of them where it has one."""


class Anywhere:
    """Of an assignment to which all mixtures and all rows are alike."""

    def among(self, components: NDArray[np.intp]) -> Self:
        return self

    def of(self, places: Sequence[int]) -> Self:
        return self

    def at(self, start: int) -> Self:
        return self

    def over(self, n_rows: int) -> Self:
        return self


class Soft(Anywhere):
    """Posterior probabilities; the bound is the log-likelihood."""

    def __reduce__(self) -> str:
        return "soft"  # there is one: a copy, or what is read from a file, is that one

    def __call__(self, log_joint: Array) -> Array:
        return normalise(log_joint)

    def share_bounded(self, log_joint: Array) -> Array | None:
        if log_joint.dtype == np.float32:
            np.maximum(log_joint, LEAST_FLOAT32, out=log_joint)
        np.exp(log_joint, out=log_joint)
        total: Array = log_joint.sum(axis=-2)
        if not total.min() > LEAST_TOTAL:
            return None
        log_joint *= (1 / total)[..., None, :]
        return np.log(total, out=total)


class Hard(Anywhere):
    """All of a row to its most probable component (exact ties are shared evenly); the bound is the complete log-likelihood."""

    def __reduce__(self) -> str:
        return "hard"

    def __call__(self, log_joint: Array) -> Array:
        peak: Array = log_joint.max(axis=-2, keepdims=True)
        np.equal(log_joint, peak, out=log_joint)
        log_joint /= log_joint.sum(axis=-2, keepdims=True)
        return peak[..., 0, :]

    def share_bounded(self, log_joint: Array) -> Array | None:
        return self(log_joint)


@dataclass(frozen=True, eq=False)
class Sampled:
    """All of a row to one component, drawn by its posterior probability; the bound is the log-likelihood.

    Random numbers are keyed by the position of the row, so neither threads nor blocks change a draw.

    Attributes
    ----------
    key : (2,) uint64 array
        One for each pass of each chain.
    labels : integer array or None
        Where the components drawn are written, those of all rows or of the rows from ``first`` on.
    n_open : int or None
        Rows are given to the first so many components alone; those after them have a part in the log-likelihood only.
    start : int
        Position of the first of the rows at hand.
    components : (K,) integer array or None
        What the components are called in ``labels``; by default their places.
    first : int
        Position of the row whose label comes first.
    """

    key: NDArray[np.uint64]
    labels: NDArray[np.integer] | None = None
    n_open: int | None = None
    start: int = 0
    components: NDArray[np.intp] | None = None
    first: int = 0

    def at(self, start: int) -> Self:
        return replace(self, start=start)

    def of(self, places: Sequence[int]) -> Self:
        return self

    def over(self, n_rows: int) -> Self:
        return self

    def onto(self, labels: NDArray[np.integer], first: int) -> Self:
        """The same for a strip that begins there, whose components are written down."""
        return replace(self, labels=labels, first=first)

    def among(self, components: NDArray[np.intp]) -> Self:
        n_open = None if self.n_open is None else int(np.searchsorted(components, self.n_open))
        return replace(self, n_open=n_open, components=components)

    def __call__(self, log_joint: Array) -> Array:
        among = log_joint if self.n_open is None else log_joint[..., : self.n_open, :].copy()
        normalisers = normalise(log_joint)
        if self.n_open is not None:  # once more, as a row may be far from all of these
            normalise(among)
            log_joint[..., : self.n_open, :], log_joint[..., self.n_open :, :] = among, 0.0
        self._draw(log_joint, _accumulated(log_joint))
        return normalisers

    def share_bounded(self, log_joint: Array) -> Array | None:
        if log_joint.dtype == np.float32:
            np.maximum(log_joint, LEAST_FLOAT32, out=log_joint)
        np.exp(log_joint, out=log_joint)
        total = _accumulated(log_joint)
        of_open = total if self.n_open is None else log_joint[..., self.n_open - 1, :]
        if not of_open.min() > LEAST_TOTAL:
            return None
        self._draw(log_joint, of_open)
        return np.log(total, out=total)

    def _draw(self, cumulative: Array, total: Array) -> None:
        """Turn cumulative shares into ones and zeros, in place."""
        n_components, n_rows = cumulative.shape[-2:]
        rows = slice(self.start, self.start + n_rows)
        # In float64 whatever the shares are in: a threshold below the total is never rounded up to it.
        thresholds = uniforms(self.key, rows) * total
        shares = np.greater(cumulative, thresholds[..., None, :], out=cumulative)
        shares[..., 1:, :] -= shares[..., :-1, :].copy()
        if self.labels is not None:
            names = np.arange(n_components) if self.components is None else self.components
            self.labels[rows.start - self.first : rows.stop - self.first] = np.matmul(
                names.astype(shares.dtype), shares
            )


@dataclass(frozen=True, eq=False)
class Weighted:
    """Posterior probabilities times row weights that differ from mixture to mixture; the bound is the log-likelihood so weighted.

    Attributes
    ----------
    weights : (R, N) array
        Of the mixtures in the order of the sweep, each with the total ``N``.
    start : int
        Position of the first of the rows at hand.
    """

    weights: Array
    start: int = 0

    def at(self, start: int) -> Self:
        return replace(self, start=start)

    def of(self, places: Sequence[int]) -> Self:
        return self if list(places) == list(range(len(self.weights))) else replace(self, weights=self.weights[places])

    def among(self, components: NDArray[np.intp]) -> Self:
        return self

    def over(self, n_rows: int) -> Self:
        return self

    def __call__(self, log_joint: Array) -> Array:
        return self._weighted(log_joint, soft(log_joint))

    def share_bounded(self, log_joint: Array) -> Array | None:
        normalisers = soft.share_bounded(log_joint)
        return None if normalisers is None else self._weighted(log_joint, normalisers)

    def _weighted(self, shares: Array, normalisers: Array) -> Array:
        weights = self.weights[:, self.start : self.start + shares.shape[-1]]
        shares *= weights[:, None, :]
        normalisers *= weights
        return normalisers


def _accumulated(shares: Array) -> Array:
    """Replace shares ``(..., K, B)`` by their cumulative sums over components, and return the last of those, ``(..., B)``."""
    for k in range(1, shares.shape[-2]):
        shares[..., k, :] += shares[..., k - 1, :]
    total: Array = shares[..., -1, :].copy()
    return total


def uniforms(key: NDArray[np.uint64], rows: slice) -> Array:
    """Uniform random numbers of rows at these positions, the same whatever other rows are asked for.

    A counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") jumps to any position at no cost.
    """
    stream = np.random.Philox(key=key)
    stream.advance(rows.start // 4)  # four numbers to a count
    skipped = rows.start % 4
    return np.random.Generator(stream).random(rows.stop - rows.start + skipped)[skipped:]


soft = Soft()
hard = Hard()
