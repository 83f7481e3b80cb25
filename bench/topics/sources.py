"""Rows in files larger than memory ought to be, on a cluster of processes, and beside Spark."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.data import Problem, drawn
from bench.fresh import Failure, Task, alone
from bench.report import Row, Table, Target, judged, seconds
from bench.topics.memory import peak_beyond

FILES = Problem(40_000_000, 16, 20, "diag", "float32")
N_FILES, N_GROUPS = 20, 4
MEMORY = Target(1000, at_least=False, form="{:.0f} MB")
PASS = Target(1.5, at_least=False)
MAX_ITER = 10
CLUSTER = Problem(2_000_000, 16, 10)
N_PASSES = 7
SPARK = Problem(500_000, 10, 10)
FEW, MANY = 2, 7

ABOUT_FILES = (
    f"{FILES}, in {N_FILES} Parquet files of {N_GROUPS} row groups each, 2.5 GB without compression; the files are in the system's cache. "
    f"A whole fit from its own start, of at most {MAX_ITER} iterations, in a fresh process: *memory* is the highest resident size that the "
    "kernel saw, all libraries included. *Reading* is going over all rows as arrays, *computing* a pass over a part of them in memory, "
    "scaled to all; *measured* of a pass is its time over the longer of the two."
)
ABOUT_CLUSTER = (
    f"{CLUSTER}: the median of {N_PASSES} passes in one process with all cores, and on a Dask cluster of as many processes of this machine "
    "with one thread each, which hold the rows. *Round trip* is a pass that does nothing with them; *sent* is a mixture as it goes out, "
    "*answered* what a part answers. *Measured* is the cluster's time over that of one process."
)
ABOUT_SPARK = (
    f"{SPARK}: seconds of one iteration, what a fit of {MANY} takes beyond one of {FEW}, divided by {MANY - FEW}. Spark MLlib's "
    "`GaussianMixture` in local mode on all cores, its rows cached as vectors; mixtura from an array. *Measured* is Spark's time over "
    "mixtura's."
)


def tables(quick: bool) -> list[Table]:
    """Files, a cluster, and Spark where it is installed."""
    found = [Table("Rows in files", ABOUT_FILES, _files(FILES.shrunk(100) if quick else FILES))]
    found.append(Table("A cluster of processes", ABOUT_CLUSTER, _cluster(CLUSTER.shrunk(20) if quick else CLUSTER)))
    if find_spec("pyspark") and shutil.which("java"):
        found.append(Table("Beside Spark", ABOUT_SPARK, _beside_spark(SPARK.shrunk(20) if quick else SPARK)))
    return found


# ---- files ---------------------------------------------------------------------------------------------------------------------


def _files(problem: Problem) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        write(problem, Path(folder))
        try:
            megabytes = alone(Task(fit_files, (folder, problem)))
            reading, computing, one_pass = alone(Task(time_files, (folder, problem)))
        except Failure as failure:
            return [{"case": str(problem), "note": f"failed: {failure}"}]
    times = {"reading": seconds(reading), "computing": seconds(computing), "pass": seconds(one_pass)}
    return [
        {"case": "memory of a fit", **judged(megabytes, MEMORY)},
        {"case": "a pass", **times, **judged(one_pass / max(reading, computing), PASS)},
    ]


def write(problem: Problem, folder: Path) -> None:
    """Files of rows from normals of their own, some at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, n_rows = np.random.default_rng(0), problem.n_rows // (N_FILES * N_GROUPS)
    means = rng.normal(0, 3, (problem.n_components, problem.n_features)).astype(np.float32)
    schema = pa.schema([(f"x{j}", pa.float32()) for j in range(problem.n_features)])
    for i in range(N_FILES):
        with pq.ParquetWriter(folder / f"{i:02d}.parquet", schema, compression="none", use_dictionary=False) as file:
            for _ in range(N_GROUPS):
                X = rng.standard_normal((n_rows, problem.n_features), dtype=np.float32)
                X += means[rng.integers(0, problem.n_components, n_rows)]
                file.write_table(pa.table(list(X.T), schema=schema))


def fit_files(folder: str, problem: Problem) -> float:
    """Megabytes at most during a whole fit."""
    import mixtura as mx

    def fit() -> None:
        gm = mx.GaussianMixture(
            problem.n_components, covariance_type=problem.covariance_type, max_iter=MAX_ITER, random_state=0
        )
        gm.fit(folder)

    return peak_beyond(0.0, fit)


def time_files(folder: str, problem: Problem) -> tuple[float, float, float]:
    """Seconds of going over all rows, of a pass over a part in memory scaled to all, and of a pass."""
    import mixtura as mx
    from mixtura.data.array import ArraySource
    from mixtura.sweep import Sweep

    source = mx.scan(folder)
    some = np.concatenate([block.rows for _, block in zip(range(16), source.blocks(2**16), strict=False)])
    gm = mx.GaussianMixture(problem.n_components, covariance_type=problem.covariance_type, random_state=0, max_iter=5)
    scorer, part = gm.fit(some).mixture_.scorer, ArraySource(some)
    reading = _median(lambda: sum(1 for _ in source.blocks(2**16)))
    with Sweep(part) as sweep:
        computing = _median(lambda: sweep([scorer])) * source.n_rows / len(some)
    with Sweep(source) as sweep:
        return reading, computing, _median(lambda: sweep([scorer]))


def _median(work: object, times: int = 3) -> float:
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()  # type: ignore[operator]
        found.append(time.perf_counter() - begun)
    return median(found)


# ---- a cluster -----------------------------------------------------------------------------------------------------------------


class OnCluster(NamedTuple):
    """Seconds of a pass here and there and of an empty one, and bytes of a task and of an answer."""

    here: float
    there: float
    empty: float
    sent: int
    answered: int


class Nothing:
    """A task that does nothing with a strip."""

    def __call__(self, strip: object) -> object:
        from mixtura.data.source import Arrays

        return Arrays([np.zeros(1)])


def _cluster(problem: Problem) -> list[Row]:
    found = time_cluster(problem)  # not in a process of its own, which may have none itself
    return [
        {
            "case": str(problem),
            "one process": seconds(found.here),
            "cluster": seconds(found.there),
            "round trip": seconds(found.empty),
            "sent": f"{found.sent / 1000:.0f} kB",
            "answered": f"{found.answered / 1000:.0f} kB",
            **judged(found.there / found.here, None),
        }
    ]


def time_cluster(problem: Problem) -> OnCluster:
    """Passes over the same rows in this process and on a cluster of processes."""
    import mixtura as mx
    from mixtura.data.array import ArraySource
    from mixtura.data.dask import workers_here
    from mixtura.sweep import Sweep

    rows, start = drawn(problem)
    mixture = mx.Mixture(start.weights, start.means, start.covariances, problem.covariance_type)
    with Sweep(ArraySource(rows)) as sweep:
        sweep([mixture.scorer])
        here = _median(lambda: sweep([mixture.scorer]), N_PASSES)
    with workers_here(os.cpu_count() or 1) as client:
        source = mx.on_dask(client, rows)
        with Sweep(source) as sweep:
            (swept,) = sweep([mixture.scorer])
            there = _median(lambda: sweep([mixture.scorer]), N_PASSES)
        empty = _median(lambda: source.reduce(Nothing(), source.strip_rows), N_PASSES)
    return OnCluster(here, there, empty, len(pickle.dumps(mixture.scorer)), len(pickle.dumps(swept.moments)))


# ---- Spark ---------------------------------------------------------------------------------------------------------------------


def _beside_spark(problem: Problem) -> list[Row]:
    try:
        ours, theirs = alone(Task(time_mixtura, (problem,))), alone(Task(time_spark, (problem,)))
    except Failure as failure:
        return [{"case": str(problem), "note": f"failed: {failure}"}]
    return [{"case": str(problem), "mixtura": seconds(ours), "Spark": seconds(theirs), **judged(theirs / ours, None)}]


def time_mixtura(problem: Problem) -> float:
    """Seconds of an iteration."""
    from bench.peers import Mixtura
    from bench.timing import turn

    return turn(Mixtura, problem, 3.0).seconds


def time_spark(problem: Problem) -> float:
    """The same of Spark MLlib, from its own start."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    import pandas as pd
    from pyspark.ml.clustering import GaussianMixture
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[*]").config("spark.ui.enabled", False)
    session = session.config("spark.driver.memory", "4g").config("spark.log.level", "ERROR").getOrCreate()
    rows, _ = drawn(problem)
    names = [f"x{j}" for j in range(problem.n_features)]
    session.conf.set("spark.sql.execution.arrow.pyspark.enabled", True)
    frame = session.createDataFrame(pd.DataFrame(rows, columns=names))
    vectors = VectorAssembler(inputCols=names, outputCol="features").transform(frame).select("features").cache()
    vectors.count()

    def fit(n_iter: int) -> float:
        begun = time.perf_counter()
        GaussianMixture(k=problem.n_components, maxIter=n_iter, tol=0.0, seed=0).fit(vectors)
        return time.perf_counter() - begun

    fit(FEW)
    found = median(fit(MANY) - fit(FEW) for _ in range(2)) / (MANY - FEW)
    session.stop()
    return found
