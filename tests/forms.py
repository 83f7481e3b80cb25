"""Each form of a pass, for tests that hold for all of them."""

import numpy as np

from mixtura.sweep import passes

KERNELS = ["features", "mended", "whitened"]


def choose(monkeypatch, kernel):
    """Have every pass use this kernel; the one that is mended then mends every other component, or column of a diagonal one."""
    limit = np.inf if kernel == "features" else -1.0
    monkeypatch.setattr(passes, "LARGEST_CANCELLATION", dict.fromkeys(passes.LARGEST_CANCELLATION, limit))
    monkeypatch.setattr(passes, "mended", _every_other if kernel == "mended" else lambda *_: None)


def _every_other(member, terms, most):
    n_components, n_features = terms.shape
    shape = (n_components, n_features) if member.scorer.diagonal else (n_components,)
    return member._replace(lost=np.indices(shape).sum(axis=0) % 2 == 0)
