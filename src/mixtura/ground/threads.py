"""How many threads a pass may use, and BLAS kept to one while others share its work.

A pass uses as many threads as BLAS would have: whoever limits BLAS (threadpoolctl, joblib's workers, environment variables) limits the
pass. Mostly that is one number for the whole process. So those who hold it to one are counted: the first to come notes the number, the
last to go puts it back, in whatever order and from whatever threads they come and go. In a process that was forked meanwhile only the
thread that forked lives on, and the others hold nothing. An OpenBLAS that runs on OpenMP has a number for each thread instead.
Asking and setting cost microseconds, because the libraries are looked up once for the process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from threading import RLock, get_ident
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = RLock()
_holders: dict[object, int] = {}
"""Who holds BLAS to one thread, and in which thread."""
_free: dict[Any, int] = {}
"""Threads that libraries had before, those with one number for the process."""


@cache
def _libraries() -> list[Any]:
    import scipy.linalg  # noqa: F401  brings a BLAS of its own, which has to be there to be found

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _is_per_thread(library: Any) -> bool:
    return library.internal_api == "openblas" and library.threading_layer == "openmp"


def _set(library: Any, n_threads: int) -> None:
    """Set the number of threads, whichever thread set it last: later versions of threadpoolctl leave that to one of them."""
    let_go = getattr(library, "clear_controlling_thread", None)
    if let_go is not None:
        let_go(force=True)
    library.set_num_threads(n_threads)
    if let_go is not None:
        let_go(force=True)


def n_threads() -> int:
    """Threads that BLAS may use at this moment, or might if it were not held to one."""
    with _lock:
        return max((_free.get(library, library.num_threads) for library in _libraries()), default=1)


def blas_libraries() -> list[str]:
    """The BLAS libraries in this process, each in a few words; NumPy's and SciPy's may be two."""
    return [
        " ".join(str(found[key]) for key in ("internal_api", "version", "architecture") if found.get(key))
        + f", threads: {found['num_threads']}"
        for found in (library.info() for library in _libraries())
    ]


def hold_own_blas() -> None:
    """Hold the BLAS that belongs to this thread alone, if there is one, to one thread for good."""
    for library in filter(_is_per_thread, _libraries()):
        library.set_num_threads(1)


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: results then do not depend on how many there are, nor do the threads of a pass fight over cores."""
    holder, own = object(), {library: library.num_threads for library in _libraries() if _is_per_thread(library)}
    try:
        _take(holder)
        hold_own_blas()
        yield
    finally:
        try:
            _let_go(holder, own)
        except BaseException:  # an interruption, which must not be the reason why BLAS stays at one
            _let_go(holder, own)
            raise


def _let_go(holder: object, own: dict[Any, int]) -> None:
    for library, number in own.items():
        library.set_num_threads(number)
    _leave(holder)


def _take(holder: object) -> None:
    with _lock:
        _holders[holder] = get_ident()
        for library in _libraries() if not _free else ():
            if not _is_per_thread(library):
                _free[library] = library.num_threads
                _set(library, 1)


def _leave(holder: object) -> None:
    with _lock:
        _holders.pop(holder, None)
        while not _holders and _free:
            library, number = next(iter(_free.items()))
            _set(library, number)
            del _free[library]


def _forked() -> None:
    """In a new process: forget the holders whose threads are not there."""
    for holder in [holder for holder, thread in _holders.items() if thread != get_ident()]:
        _leave(holder)
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_forked)
