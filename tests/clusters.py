"""A scheduler and workers of Dask as real processes on this machine."""

import contextlib
import socket
import subprocess
import sys


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def processes(n_workers=2, seconds=60):
    """The address of a scheduler, its process, and those of its workers; all are gone afterwards."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [
        subprocess.Popen(
            [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", ":0"], **quiet
        )
    ]
    try:
        worker = [
            *dask,
            "worker",
            address,
            "--nthreads",
            "1",
            "--dashboard-address",
            ":0",
            "--death-timeout",
            str(seconds),
        ]
        started += [subprocess.Popen(worker, **quiet) for _ in range(n_workers)]
        yield address, started[0], started[1:]
    finally:
        ended(started)


def ended(started):
    """End a scheduler and its workers, in whatever state they are."""
    for one in started[::-1]:
        one.terminate()
    for one in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.wait(10)
        one.kill()
        one.wait()
