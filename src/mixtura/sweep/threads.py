"""How many threads a pass may use, and BLAS kept to one inside it.

A pass uses as many threads as BLAS would have: whoever limits BLAS (threadpoolctl, joblib's workers, environment variables) limits the
pass. Asking and setting cost microseconds, because the libraries are looked up once for the process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def n_threads() -> int:
    """Threads that BLAS may use at this moment."""
    return max((library.num_threads for library in _blas().lib_controllers), default=1)


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread."""
    with _blas().limit(limits=1):
        yield
