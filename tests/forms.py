"""Each form of a pass, for tests that hold for all of them."""

import numpy as np
import pytest

from mixtura.sweep import compiled, with_numpy
from mixtura.sweep.kernels import LARGEST_CANCELLATION

KERNELS = ["compiled", "features", "mended", "whitened"]


def choose(monkeypatch, kernel):
    """Have every pass use this kernel; the one that is mended then mends every other component, or column of a diagonal one."""
    if kernel == "compiled":
        if compiled.engine is None:
            pytest.skip(compiled.description)
        return
    monkeypatch.setattr(compiled, "engine", None)
    for dtype in LARGEST_CANCELLATION:
        monkeypatch.setitem(LARGEST_CANCELLATION, dtype, np.inf if kernel == "features" else -1.0)
    monkeypatch.setattr(with_numpy, "mended", _every_other if kernel == "mended" else lambda *_: None)


def _every_other(member, terms, most):
    n_components, n_features = terms.shape
    shape = (n_components, n_features) if member.scorer.diagonal else (n_components,)
    return member._replace(lost=np.indices(shape).sum(axis=0) % 2 == 0)
