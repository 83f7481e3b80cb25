"""The machine: what it is called, and its ceilings as NumPy reaches them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_info

PRODUCT_SIZES = (1024, 2048)
IN_CACHE = 4096
"""Numbers whose exponentials are taken at a time."""


class Ceilings(NamedTuple):
    """What bounds a pass.

    Attributes
    ----------
    flops : float
        Additions and multiplications per second in the best product of large square matrices, on all cores.
    exp_seconds : float
        Of one ``exp`` on one core, operands in cache.
    """

    flops: float
    exp_seconds: float


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def blas_name() -> str:
    """The library that multiplies NumPy's matrices."""
    np.ones((2, 2)) @ np.ones((2, 2))
    for library in threadpool_info():
        if library["user_api"] == "blas":
            return " ".join(str(library.get(key) or "") for key in ("internal_api", "version", "architecture")).strip()
    return "unknown"


def ceilings(dtype: str, trials: int) -> Ceilings:
    """Both ceilings at a precision, the best of some trials."""
    flops = 0.0
    for size in PRODUCT_SIZES:
        left, right, out = _operands(size, dtype)
        seconds = _best(lambda a=left, b=right, c=out: np.matmul(a, b, out=c), trials)
        flops = max(flops, 2 * size**3 / seconds)
    exponents = np.linspace(-20, 0, IN_CACHE).astype(dtype)
    out = np.empty_like(exponents)
    return Ceilings(
        flops, _best(lambda: [np.exp(exponents, out=out) for _ in range(100)], 5 * trials) / (100 * IN_CACHE)
    )


@cache
def _operands(size: int, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((size, size)).astype(dtype) for _ in range(2))
    return left, right, left @ right


def _best(work: Callable[[], object], trials: int) -> float:
    """Seconds of the fastest trial, after one that does not count."""
    work()
    seconds = []
    for _ in range(trials):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
