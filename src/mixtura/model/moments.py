"""Weighted moments about a stated origin: everything that a mixture needs to know of its data.

Moments form a vector space: those of two halves add up to those of the whole, old blocks subtract, and forgetting is scaling. The
origin is stated because digits depend on it: second moments about a point far from the data lose ``log₁₀(distance²/variance)`` of them.
A sweep uses the components' current means, where the correction ``first·firstᵀ/count`` vanishes as the algorithm converges.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.errors import InvalidParameterError, ModelFileError
from mixtura.ground.files import StrPath, atomic_path, named
from mixtura.ground.linalg import EPS, Array, outer

CANCELLED = 8 * EPS
"""Of second moments about the origin: what rounding leaves of those about the mean."""
PARTS = ("count", "first", "second", "origin")


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Moments of ``K`` components: all that a mixture learns from rows. They are added, subtracted and scaled, and kept in a file.

    ``mixtura.expected_moments`` makes them of rows, ``Mixture.from_moments`` a mixture of them. Sums are about the first one's origin.

    Parameters
    ----------
    count : (K,) array
        ``n_k = Σ_n w_n r_nk``.
    first : (K, D) array
        ``Σ_n w_n r_nk (x_n − o_k)``.
    second : (K, D, D) array or (K, D) array
        ``Σ_n w_n r_nk (x_n − o_k)(x_n − o_k)ᵀ``, or its diagonal alone where the structure needs no more.
    origin : (K, D) array
        ``o_k``.

    Examples
    --------
    Without a batch that should not have been there, and no row read again but its own:

    >>> import numpy as np
    >>> import mixtura as mx
    >>> X, batch = np.array([[0.0], [1.0], [2.0]]), np.array([[50.0]])
    >>> one = mx.Mixture([1.0], [[0.0]], [[[1.0]]])
    >>> everything = mx.expected_moments(one, np.concatenate([X, batch]))
    >>> mx.Mixture.from_moments(everything - mx.expected_moments(one, batch)).means.tolist()
    [[1.0]]
    """

    count: Array
    first: Array
    second: Array
    origin: Array

    @classmethod
    def stacked(cls, moments: Sequence[Moments]) -> Moments:
        """The components of several mixtures one after another."""
        if len(moments) == 1:
            return moments[0]
        return cls(
            np.concatenate([m.count for m in moments]),
            np.concatenate([m.first for m in moments]),
            np.concatenate([m.second for m in moments]),
            np.concatenate([m.origin for m in moments]),
        )

    @property
    def diagonal(self) -> bool:
        """Whether only the diagonal of the second moments is kept."""
        return self.second.ndim == 2

    def diagonals(self) -> Moments:
        """The same with the diagonals of the second moments alone."""
        second = self.second if self.diagonal else np.diagonal(self.second, axis1=-2, axis2=-1)
        return Moments(self.count, self.first, second, self.origin)

    def about(self, origin: Array) -> Moments:
        """The same moments about another origin."""
        shift = self.origin - origin
        moved = self.count[:, None] * shift
        if self.diagonal:
            second = self.second + 2 * self.first * shift + moved * shift
        else:
            cross = outer(self.first, shift)
            second = self.second + cross + cross.swapaxes(-1, -2) + outer(moved, shift)
        everywhere = origin if origin.shape == shift.shape else np.broadcast_to(origin, shift.shape)
        return Moments(self.count, self.first + moved, second, everywhere)

    def __add__(self, other: Moments) -> Moments:
        if other.second.shape != self.second.shape:
            raise InvalidParameterError(
                f"moments of {_described(self)} and of {_described(other)} do not add up. Take those under one mixture."
            )
        if other.origin is not self.origin:
            other = other.about(self.origin)
        return Moments(self.count + other.count, self.first + other.first, self.second + other.second, self.origin)

    def __mul__(self, factor: float) -> Moments:
        return Moments(self.count * factor, self.first * factor, self.second * factor, self.origin)

    __rmul__ = __mul__

    def __sub__(self, other: Moments) -> Moments:
        return self + other * -1.0

    def __getitem__(self, components: slice | NDArray[np.integer]) -> Moments:
        return Moments(self.count[components], self.first[components], self.second[components], self.origin[components])

    def save(self, path: StrPath) -> None:
        """Write them to a file, a NumPy archive (``.npz``), which is replaced whole or not at all.

        Parameters
        ----------
        path : path-like
        """
        content = io.BytesIO()
        np.savez(content, **{name: getattr(self, name) for name in PARTS})
        with atomic_path(path) as temporary:
            temporary.write_bytes(content.getvalue())

    @classmethod
    def load(cls, path: StrPath) -> Moments:
        """Read them from such a file.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        ModelFileError
            If it holds no moments.
        """
        with named(path):
            content = Path(path).read_bytes()
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                count, first, second, origin = (np.asarray(archive[name], dtype=np.float64) for name in PARTS)
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, OSError, zlib.error) as error:
            raise ModelFileError(
                f"{os.fspath(path)} holds no moments. Name a file that Moments.save has written."
            ) from error
        shape = (len(count), *first.shape[1:]) if count.ndim == 1 else None
        if first.shape != shape or origin.shape != shape or second.shape not in (shape, (*shape, shape[-1])):
            raise ModelFileError(f"{os.fspath(path)} holds arrays that do not belong together: no moments.")
        return cls(count, first, second, origin)

    def means(self) -> Array:
        """``(K, D)`` weighted means; the origin of a component without rows."""
        return self.origin + self.first / self._divisors[:, None]

    def scatter(self) -> Array:
        """``Σ w r (x − x̄)(x − x̄)ᵀ`` about each component's own mean, shaped like ``second``.

        Variances are no smaller than the digits that are left of them: a mean that has moved far from the origin leaves few (of moments
        that were moved themselves even the sign may be lost), and moments about the new place will have them all.
        """
        root = self.first / np.sqrt(self._divisors)[:, None]
        if self.diagonal:
            return np.maximum(self.second - root * root, CANCELLED * np.abs(self.second))
        scatter = self.second - outer(root)
        # A view of the diagonals, which are to be written to.
        own = np.einsum("kdd->kd", scatter)
        np.maximum(own, CANCELLED * np.abs(np.einsum("kdd->kd", self.second)), out=own)
        return scatter

    def flat(self) -> NDArray[np.bool_]:
        """Of which columns of a component rounding has left no variance, ``(K, D)``."""
        own = self.diagonals()
        return own.scatter() <= 2 * CANCELLED * np.abs(own.second)

    @property
    def _divisors(self) -> Array:
        """The counts, one for a component without rows."""
        return self.count if self.count.all() else np.where(self.count > 0, self.count, 1.0)


def rounding_variances(means: Array) -> Array:
    """Variances ``(K, D)`` that cannot be told from zero: the squared spacing of numbers as large as the mean."""
    return (8 * EPS * means) ** 2


def _described(moments: Moments) -> str:
    n_components, n_features = moments.first.shape
    kept = "variances" if moments.diagonal else "matrices"
    return f"{n_components} components in {n_features} columns with {kept}"
