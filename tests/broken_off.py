"""A fit that is killed at random moments, begun again each time with ``resume``, and the law: it ends with the bits of one that was not.

``python -m bench.resumes`` kills fifty; the suite has a short form.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixtura.data.logbook import Logbook

FIT = """
import sys
import warnings
import mixtura as mx

data, checkpoint, model, address = sys.argv[1:]
if address:
    from distributed import Client
    data = mx.on_dask(Client(address), data)
warnings.simplefilter("ignore")
gm = mx.GaussianMixture(6, n_init=2, solver="em", tol=1e-7, max_iter=100, pilot=False, random_state=0, checkpoint=checkpoint or None)
(gm.resume if checkpoint else gm.fit)(data)
gm.mixture_.save(model)
"""
LONGEST = 120.0
"""Seconds that one process may take."""


class Tally(NamedTuple):
    """How many kills there were, and of how many fits that came to their end the bits were those of the one that nobody killed."""

    n_kills: int
    n_ends: int
    n_equal: int
    broken: list[str]


def write_rows(folder: Path, n_rows: int = 400_000, n_files: int = 4) -> str:
    """Some Parquet files, and the pattern that names them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 4)) + 1.5 * rng.integers(0, 6, size=(n_rows, 1))
    for i, part in enumerate(np.array_split(X, n_files)):
        pq.write_table(pa.table({f"x{j}": part[:, j] for j in range(4)}), folder / f"{i}.parquet")
    return str(folder / "*.parquet")


def begun(data: str, checkpoint: str, model: Path, address: str) -> subprocess.Popen:
    """A process that fits, and leaves its mixture in a file."""
    return subprocess.Popen(
        [sys.executable, "-c", FIT, data, checkpoint, str(model), address], stderr=subprocess.PIPE, text=True
    )


def kill_and_resume(data: str, folder: Path, n_kills: int, seed: int, address: str = "") -> Tally:
    """Kill it so many times, one fit after another."""
    rng, expected = np.random.default_rng(seed), folder / "expected.json"
    start = time.monotonic()
    process = begun(data, "", expected, address)
    said = process.communicate(timeout=LONGEST)[1]
    if process.returncode:
        raise AssertionError(said)
    whole = time.monotonic() - start
    killed = ends = equal = 0
    broken = list[str]()
    checkpoint, model = folder / "fit.checkpoint", folder / "model.json"
    while killed < n_kills or checkpoint.exists():
        process = begun(data, str(checkpoint), model, address)
        try:
            # No kill where enough were: then the last fit ends.
            process.wait(rng.uniform(0.1, 0.9) * whole if killed < n_kills else LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        said = process.communicate()[1]
        if checkpoint.exists():
            Logbook(checkpoint).close()
        if process.returncode == 0:
            ends, equal = ends + 1, equal + (model.read_bytes() == expected.read_bytes())
            os.remove(checkpoint)
            os.remove(model)
        elif process.returncode != -9:
            broken.append(said)
            os.remove(checkpoint)
    return Tally(killed, ends, equal, broken)
