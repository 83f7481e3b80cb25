"""The walk for a reader in CONTRIBUTING.md is the way that a fit takes: it is followed while one runs."""

import re
import sys
from itertools import pairwise
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import mixtura as mx
from mixtura.sweep import compiled

HOUSE = str(Path(mx.__file__).parent) + "/"


def calls_of_a_fit() -> set[tuple[str, str]]:
    """Pairs of files of which one calls the other, in fits to few rows and to many in which a solver takes over from EM."""
    few = np.random.default_rng(0).normal(size=(600, 2))
    few[:200] += [1.5, 1.0]
    many = np.random.default_rng(1).normal(size=(70_000, 2))
    seen: set[tuple[str, str]] = set()

    def remember(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_back is not None:
            seen.add((frame.f_back.f_code.co_filename, frame.f_code.co_filename))

    before = sys.getprofile()
    sys.setprofile(remember)
    try:
        for X in (few, many):
            mx.GaussianMixture(2, random_state=0, max_iter=1000).fit(X)
    finally:
        sys.setprofile(before)
    return {
        (caller.removeprefix(HOUSE), called.removeprefix(HOUSE))
        for caller, called in seen
        if caller.startswith(HOUSE) and called.startswith(HOUSE)
    }


@pytest.mark.skipif(compiled.engine is None, reason=compiled.description)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_step_of_the_walk_is_taken(root: Path) -> None:
    page = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk = page.partition("## A walk for a reader")[2].partition("\n## ")[0]
    ways = [re.findall(r"`([^`]+\.py)`", way) for way in re.findall(r"(?:`[^`]+\.py` → )+`[^`]+\.py`", walk)]
    assert len(ways) >= 8
    steps = {step for way in ways for step in pairwise(way)}
    assert steps - calls_of_a_fit() == set()
    assert ways[0][0] == "estimators/gaussian_mixture.py"
    assert {"inference/starts/plan.py", "inference/climb/loop.py", "sweep/passes.py", "model/moments.py"} < {
        b for _, b in steps
    }
