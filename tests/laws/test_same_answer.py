"""The same rows and seed give the same bits, in whatever the rows come and wherever they lie in memory."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mixtura as mx
from neighbours import MODELS, SMALL, answer, bits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

JITTERED = SMALL + np.random.default_rng(3).normal(0, 1e-3, SMALL.shape)
NAMES = ["a", "b"]


def at_offset(rows, n_bytes):
    """A copy that begins so many bytes behind an address of 64."""
    raw = np.empty(rows.nbytes + 128, np.uint8)
    first = -raw.ctypes.data % 64 + n_bytes
    copy = raw[first : first + rows.nbytes].view(rows.dtype).reshape(rows.shape)
    copy[...] = rows
    return copy


CONTAINERS = {
    "Fortran order": np.asfortranarray,
    "every other number": lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    "backwards": lambda rows: np.ascontiguousarray(rows[::-1])[::-1],
    "8 bytes on": lambda rows: at_offset(rows, 8),
    "1 byte on": lambda rows: at_offset(rows, 1),
    "other byte order": lambda rows: rows.astype(rows.dtype.newbyteorder()),
    "lists": lambda rows: rows.tolist(),
    "pandas": lambda rows: pd.DataFrame(rows, columns=NAMES),
    "pandas by column": lambda rows: pd.DataFrame(dict(zip(NAMES, rows.T, strict=True))),
    "polars": lambda rows: pl.DataFrame(rows, schema=NAMES),
    "arrow": lambda rows: pa.table(dict(zip(NAMES, rows.T, strict=True))),
}

FITS = {name: make for name, make in MODELS.items() if name not in ("large", "stream")}


@pytest.fixture(scope="module")
def plain():
    """The bits of each fit to a plain array."""
    found: dict[str, str] = {}

    def of(name):
        if name not in found:
            found[name] = bits(FITS[name]().fit(JITTERED))
        return found[name]

    return of


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize(
    ("name", "container"),
    # Draws by NUTS are dear, and see what all others see.
    [(n, c) for n in FITS for c in CONTAINERS if n != "nuts" or c in ("Fortran order", "pandas", "1 byte on")],
)
def test_containers(name, container, plain):
    assert bits(FITS[name]().fit(CONTAINERS[container](JITTERED))) == plain(name)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1].copy()[::-1]], ids=["Fortran", "backwards"])
def test_weights_and_starts(layout):
    weights = np.random.default_rng(0).uniform(0.5, 2, len(SMALL))
    shares = np.random.default_rng(1).dirichlet([1, 1, 1], len(SMALL))
    means = np.array([[2.0, 55.0], [4.0, 80.0]])
    for one, other in [
        (mx.BayesianGaussianMixture(2, random_state=0).fit(SMALL, sample_weight=w) for w in (weights, layout(weights))),
        (mx.GaussianMixture(3, init_params=s).fit(SMALL) for s in (shares, layout(shares))),
        (mx.GaussianMixture(2, means_init=m).fit(SMALL) for m in (means, layout(means))),
    ]:
        assert bits(one) == bits(other)


@pytest.mark.parametrize("name", MODELS)
def test_again_and_again(name):
    """Between the fits memory is taken and given back, so that nothing lies where it did."""
    rng, held = np.random.default_rng(0), []
    answers = set()
    for _ in range(3 if name == "nuts" else 6):
        answers.add(answer(name))
        held = [*held[::2], *(np.empty(int(size)) for size in rng.integers(1, 3000, 20))]
    assert len(answers) == 1


IN_A_PROCESS = """
import warnings
import numpy as np
import mixtura as mx
from neighbours import MODELS, answer
warnings.simplefilter("ignore")
for name in MODELS:
    print(name, answer(name))
wide = np.random.default_rng(0).normal(size=(700, 260)) + np.repeat([[0.0], [1.0]], 350, axis=0)
for kind in mx.GaussianMixture, mx.BayesianGaussianMixture:
    print("wide", kind(2, max_iter=3, random_state=0).fit(wide).covariances_.sum().hex())
"""
"""The wide matrices are those that LAPACK shares among threads."""


def test_numbers_of_threads_and_processes():
    def told(threads, hash_seed):
        fixed = {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": hash_seed}
        paths = os.pathsep.join(sys.path)
        command = [sys.executable, "-c", IN_A_PROCESS]
        return subprocess.run(
            command, env=os.environ | fixed | {"PYTHONPATH": paths}, capture_output=True, text=True, check=True
        ).stdout

    assert told("1", "1") == told("2", "2") == told("4", "3")
