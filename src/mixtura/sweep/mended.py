"""Features where they keep their digits, and whitened residuals for the rest: a few narrow components do not slow down all of the others.

About the pivot, a component's score is a sum of terms as large as ``(spread/σ)²``, which cancel (``kernels.py``). Where that would cost
digits, its terms are left out of the matrix products, and come from the centred rows among the features instead: single columns of
diagonal components, and whole components that have matrices.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.linalg import Array
from mixtura.model.moments import Moments
from mixtura.model.scorer import Scorer
from mixtura.sweep.kernels import FeatureKernel, Member, unwhitened, zero_totals
from mixtura.sweep.scratch import Scratch

LARGEST_SHARE = 0.5
"""Of what is to be mended: beyond it, whitened products alone cost no more."""
LARGEST_CANCELLATION = 1e10
"""Beyond it, rows about the pivot are known to too few digits beside a component's spread."""


def mended(member: Member, terms: Array, most: float) -> Member | None:
    """The mixture with what is to be mended of it, if that is worth while and keeps the digits.

    Parameters
    ----------
    member : Member
    terms : (K, D) array
        Its ``cancellation``.
    most : float
        How much of a score may cancel.
    """
    if not terms.max() <= LARGEST_CANCELLATION:
        return None
    lost = terms > most / terms.shape[1] if member.scorer.diagonal else terms.sum(axis=1) > most
    return member._replace(lost=lost) if lost.mean() <= LARGEST_SHARE else None


def mended_kernel(members: Sequence[Member], pivot: Array) -> MendedKernel:
    """The kernel for mixtures of one form."""
    return (MendedDiagonalKernel if members[0].scorer.diagonal else MendedMatrixKernel)(members, pivot)


class MendedKernel(FeatureKernel):
    """What both forms share.

    Parameters
    ----------
    members : sequence of Member
        With what of each is lost.
    pivot : (D,) array
    """

    def __init__(self, members: Sequence[Member], pivot: Array) -> None:
        super().__init__(members, pivot, np.dtype(np.float64))

    def through_features(self) -> Scorer:
        lost = np.concatenate([member.lost for member in self.members if member.lost is not None])
        self.mend(lost)
        apart = lost if self.diagonal else lost[:, None, None]
        return Scorer(self.scorer.constants, self.scorer.centres, np.where(apart, 0.0, self.scorer.whitening))

    @abstractmethod
    def mend(self, lost: NDArray[np.bool_]) -> None:
        """Take apart what is to be mended."""


class MendedDiagonalKernel(MendedKernel):
    """Columns of components, ``E`` of them, in which residuals stand for features."""

    def mend(self, lost: NDArray[np.bool_]) -> None:
        self.owners, self.columns = np.nonzero(lost)
        self.mended, self.first_of = np.unique(self.owners, return_index=True)
        self.offsets = (self.scorer.centres - self.pivot)[lost][:, None]
        self.scales = self.scorer.whitening[lost]

    def zeros(self) -> list[Array]:
        return [*super().zeros(), np.zeros(len(self.owners)), np.zeros(len(self.owners))]

    def residuals(self, phi: Array, scratch: Scratch) -> Array:
        whitened = scratch.array("mended", (len(self.columns), phi.shape[1]), self.dtype)
        np.subtract(
            phi[self.columns - len(self.pivot)], self.offsets, out=whitened
        )  # the centred rows are the last features
        whitened *= self.scales[:, None]
        return whitened

    def score(self, phi: Array, residuals: Array, components: slice, scores: Array) -> None:
        super().score(phi, residuals, components, scores)
        squares = np.add.reduceat(np.square(residuals), self.first_of)
        here = slice(*np.searchsorted(self.mended, (components.start, components.stop)))
        scores[self.mended[here]] -= 0.5 * squares[here]

    def add_apart(self, shares: Array, residuals: Array, totals: list[Array]) -> None:
        parts = shares[self.owners]
        parts *= residuals
        totals[2] += parts.sum(axis=1)
        totals[3] += np.einsum("eb,eb->e", parts, residuals)

    def moments(self, totals: list[Array]) -> Moments:
        found, at = super().moments(totals), (self.owners, self.columns)
        first, second, origin = found.first.copy(), found.second.copy(), found.origin.copy()
        first[at], second[at], origin[at] = totals[2] / self.scales, totals[3] / self.scales**2, self.scorer.centres[at]
        return Moments(found.count, first, second, origin)


class MendedMatrixKernel(MendedKernel):
    """Components, ``m`` of them, whose whitened residuals stand for features."""

    def mend(self, lost: NDArray[np.bool_]) -> None:
        self.mended = np.flatnonzero(lost)
        self.offsets = (self.scorer.centres - self.pivot)[lost][:, :, None]
        self.turned = np.ascontiguousarray(self.scorer.whitening[lost].swapaxes(1, 2))

    def zeros(self) -> list[Array]:
        _, *moments = zero_totals((len(self.mended), len(self.pivot)), diagonal=False)
        return [*super().zeros(), *moments]

    def residuals(self, phi: Array, scratch: Scratch) -> Array:
        n_features = len(self.pivot)
        shape = (len(self.mended), n_features, phi.shape[1])
        residuals, whitened = (scratch.array(name, shape, self.dtype) for name in ("apart", "mended"))
        np.subtract(phi[-n_features:], self.offsets, out=residuals)
        return np.matmul(self.turned, residuals, out=whitened)

    def score(self, phi: Array, residuals: Array, components: slice, scores: Array) -> None:
        super().score(phi, residuals, components, scores)
        here = slice(*np.searchsorted(self.mended, (components.start, components.stop)))
        squares = np.einsum("mdb,mdb->mb", residuals[here], residuals[here])
        scores[self.mended[here]] = self.bounded_constants[self.mended[here], None] - 0.5 * squares

    def add_apart(self, shares: Array, residuals: Array, totals: list[Array]) -> None:
        parts = shares[self.mended]
        totals[2] += np.matmul(residuals, parts[:, :, None])[:, :, 0]
        residuals *= np.sqrt(parts)[:, None, :]
        for total, rows in zip(totals[3], residuals, strict=True):
            total += rows @ rows.T  # of an array with itself: a symmetric update

    def moments(self, totals: list[Array]) -> Moments:
        found, at = super().moments(totals), self.mended
        centres, whitening = self.scorer.centres[at], self.scorer.whitening[at]
        apart = unwhitened(found.count[at], totals[2], totals[3], centres, whitening)
        first, second, origin = found.first.copy(), found.second.copy(), found.origin.copy()
        first[at], second[at], origin[at] = apart.first, apart.second, apart.origin
        return Moments(found.count, first, second, origin)
