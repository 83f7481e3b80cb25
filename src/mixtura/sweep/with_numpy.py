"""The engine that is everywhere: matrix products over blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, compress

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.model.scorer import Scorer
from mixtura.sweep.certainty import CertaintyFeatureKernel, CertaintyWhitenedKernel
from mixtura.sweep.engine import Setting
from mixtura.sweep.kernels import (
    LARGEST_CANCELLATION,
    MOST_FEATURES,
    FeatureKernel,
    Kernel,
    Member,
    WhitenedKernel,
    cancellation,
)
from mixtura.sweep.mended import mended, mended_kernel
from mixtura.sweep.tangents import TangentFeatureKernel, TangentWhitenedKernel

DOUBLE = np.dtype(np.float64)


class NumPyEngine:
    """Features where they keep their digits, whitened residuals where not.

    Parameters
    ----------
    setting : Setting
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def sums(self, members: list[Member]) -> list[Kernel]:
        """Features in the precision of the rows, else in float64, else mended, else none."""
        kernels: list[Kernel] = []
        for diagonal in (False, True):
            left = [member for member in members if member.scorer.diagonal is diagonal]
            if not left:
                continue
            if not self._served(diagonal):
                kernels.append(WhitenedKernel(left))
                continue
            for dtype in dict.fromkeys((self.setting.dtype, DOUBLE)):
                kept, left, terms = self._by_digits(left, dtype)
                if kept:
                    kernels.append(FeatureKernel(kept, self.setting.pivot, dtype))
                if not left:
                    break
            pairs = [
                (mended(member, lost, LARGEST_CANCELLATION[DOUBLE]), member)
                for member, lost in zip(left, terms, strict=True)
            ]
            if chosen := [found for found, _ in pairs if found is not None]:
                kernels.append(mended_kernel(chosen, self.setting.pivot))
            if left := [member for found, member in pairs if found is None]:
                kernels.append(WhitenedKernel(left))
        return kernels

    def rates(self, members: list[Member], directions: Sequence[Scorer]) -> list[Kernel]:
        kernels: list[Kernel] = []
        for by_features, some in self._in_double(members):
            if by_features:
                kernels.append(TangentFeatureKernel(some, directions, self.setting.pivot))
            else:
                kernels.append(TangentWhitenedKernel(some, directions))
        return kernels

    def certainties(self, members: list[Member]) -> list[Kernel]:
        kernels: list[Kernel] = []
        for by_features, some in self._in_double(members):
            if by_features:
                kernels.append(CertaintyFeatureKernel(some, self.setting.pivot, DOUBLE))
            else:
                kernels.append(CertaintyWhitenedKernel(some))
        return kernels

    def _in_double(self, members: list[Member]) -> list[tuple[bool, list[Member]]]:
        """Members of one form together: whether features in float64 keep their digits, and those for whom that is so."""
        groups: list[tuple[bool, list[Member]]] = []
        for diagonal in (False, True):
            left = [member for member in members if member.scorer.diagonal is diagonal]
            kept = list[Member]()
            if left and self._served(diagonal):
                kept, left, _ = self._by_digits(left, DOUBLE)
            groups += [(by_features, some) for by_features, some in ((True, kept), (False, left)) if some]
        return groups

    def _served(self, diagonal: bool) -> bool:
        """Whether features are worth while."""
        return diagonal or self.setting.source.n_features <= MOST_FEATURES

    def _by_digits(self, members: list[Member], dtype: np.dtype) -> tuple[list[Member], list[Member], list[Array]]:
        """Members whose features keep their digits, the others, and by how much the scores of those would cancel, ``(K, D)`` each."""
        terms = self._cancelling(members, dtype)
        kept = [bool(lost.sum(axis=1).max() <= LARGEST_CANCELLATION[dtype]) for lost in terms]
        lost = [not keeps for keeps in kept]
        return list(compress(members, kept)), list(compress(members, lost)), list(compress(terms, lost))

    def _cancelling(self, members: list[Member], dtype: np.dtype) -> list[Array]:
        """How much of each mixture's scores would cancel in features, ``(K, D)``."""
        stack = Scorer.stacked([member.scorer for member in members])
        terms = cancellation(stack, self.setting.pivot, self.setting.variances, dtype)
        ends = list(accumulate(len(member.scorer.constants) for member in members[:-1]))
        return [terms[start:end] for start, end in zip([0, *ends], [*ends, len(terms)], strict=True)]
