"""Fits by the workers of a cluster of real processes: the same model file to the last bit, or one sentence."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from clusters import free_port, processes

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("distributed")

Cli = Callable[..., object]
N = 30_000
QUICK = ("--components", "1:3", "--restarts", 2)
START = [sys.executable, "-m", "mixtura.cli"]


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if matplotlib were not installed."""
    monkeypatch.setattr("mixtura.cli.fit.can_draw", lambda: False)


@pytest.fixture
def data(folder: Path) -> Path:
    """One file of several row groups, the same rows in several, and as text; the folder that they are in."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 2)) + 6 * rng.integers(0, 2, size=(N, 1))
    X[5, 0] = np.nan
    whole = pa.table({"a": X[:, 0], "b": X[:, 1]})
    (folder / "data").mkdir()
    pq.write_table(whole, "one.parquet", row_group_size=7000)
    for i, start in enumerate(range(0, N, 11_000)):
        pq.write_table(whole.slice(start, 11_000), f"data/{i}.parquet")
    np.savetxt("one.csv", X, delimiter=",", header="a,b", comments="", fmt="%.17g")
    return folder


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with two workers."""
    with processes() as (address, *_):
        yield address


def test_a_model_file_is_the_same_wherever_rows_are_gone_over(cli: Cli, data: Path, scheduler: str) -> None:
    for name in ("one.parquet", "data/*.parquet", "one.csv"):
        found = {}
        for where in ((), ("--workers", 2), ("--dask", scheduler)):
            done = cli("fit", name, *QUICK, "--missing", "nan", *where, "-o", "out.json")
            said = f"mixtura: note: 1 of {N} rows of {name} hold missing values and are left out.\n"
            assert (done.code, done.err) == (0, said)
            found[where] = ((data / "out.json").read_bytes(), done.out)
        assert len(set(found.values())) == 1, name


@pytest.mark.parametrize("solver", ["cavi", "svi", "gibbs"])
def test_a_posterior(solver: str, cli: Cli, data: Path, scheduler: str) -> None:
    how: tuple[object, ...] = ("--solver", solver, "--components", 2, "--restarts", 1, "--missing", "nan")
    how += ("--draws", 100, "--chains", 2) if solver == "gibbs" else ()
    for where, name in [((), "here.json"), (("--dask", scheduler), "there.json")]:
        assert cli("fit", "data", *how, *where, "-o", name).code == 0
    assert Path("here.json").read_bytes() == Path("there.json").read_bytes()


def test_what_is_wrong_with_rows_is_said_as_it_is_here(cli: Cli, data: Path, scheduler: str) -> None:
    said = [cli("fit", "data", *QUICK, *where).complaint for where in ((), ("--dask", scheduler))]
    assert said[0] == said[1]
    assert "column 'a': the cell is empty or not finite (nan)" in said[0]
    pq.write_table(pa.table({"a": np.arange(30.0), "b": np.ones(30)}), "few.parquet")
    for options, sentence in [
        (("--components", 40), "few.parquet has 30 rows, too few for 40"),
        ((), "column 'b' is constant, 1 in every row"),
    ]:
        assert sentence in cli("fit", "few.parquet", *options, "--dask", scheduler).complaint


@contextlib.contextmanager
def something_else(answer: bytes) -> Iterator[str]:
    """The address of what is no scheduler: it says something, or nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    kept.append(connection)
                    connection.sendall(answer)

        kept: list[socket.socket] = []
        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("host", "'host' is no address of a Dask scheduler, such as tcp://host:8786"),
        ("", "'' is no address of a Dask scheduler"),
        ("http://127.0.0.1:8786", "unknown address scheme"),
        ("tcp://127.0.0.1:x", "'tcp://127.0.0.1:x' is no address"),
        ("tcp://127.0.0.1:{free}", "no Dask scheduler answers at tcp://127.0.0.1:{free} within 5 seconds"),
    ],
)
def test_an_address_without_a_scheduler(address: str, sentence: str, cli: Cli, data: Path) -> None:
    free = free_port()
    before = sorted(data.rglob("*"))
    complaint = cli("fit", "data", *QUICK, "--dask", address.format(free=free)).complaint
    assert sentence.format(free=free) in complaint
    assert sorted(data.rglob("*")) == before


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_something_else_answers(answer: bytes, cli: Cli, data: Path) -> None:
    with something_else(answer) as address:
        assert f"no Dask scheduler answers at {address}" in cli("fit", "data", *QUICK, "--dask", address).complaint


def test_a_worker_is_no_scheduler(cli: Cli, data: Path, scheduler: str) -> None:
    from distributed import Client

    with Client(scheduler) as client:
        client.wait_for_workers(1)
        worker = next(iter(client.nthreads()))
    assert f"what answers at {worker} is a Worker" in cli("fit", "data", *QUICK, "--dask", worker).complaint


def test_a_scheduler_without_workers(cli: Cli, data: Path) -> None:
    with processes(0) as (address, *_):
        for _ in range(100):  # until it listens
            with contextlib.suppress(OSError), socket.create_connection(address.removeprefix("tcp://").split(":")):
                break
            time.sleep(0.1)
        complaint = cli("fit", "data", *QUICK, "--dask", address).complaint
    assert (
        f"the scheduler at {address} has no workers. Start some where mixtura is installed: dask worker {address}"
        in complaint
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--dask", "tcp://a:1", "--workers", "2"], "give one of them"),
        (["--workers", "0"], "0 is not in the range"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], sentence: str, cli: Cli, data: Path) -> None:
    assert sentence in cli("fit", "one.parquet", *QUICK, *options).complaint


@pytest.mark.parametrize("options", [("--workers", 2), ("--dask", "tcp://127.0.0.1:1")])
def test_without_dask(options: tuple[str, object], cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    complaint = cli("fit", "data", *QUICK, *options).complaint
    assert complaint == 'Clusters need an optional library: pip install "mixtura[dask]"'


PATCHED = """
import pathlib, sys, mixtura.inference.climb.loop as loop
real = loop._advance
def signalling(*given):
    pathlib.Path("sign").touch()
    return real(*given)
if __name__ == "__main__":
    loop._advance = signalling
    import mixtura.cli
    mixtura.cli.main()
"""
"""The command, which gives a sign once it climbs; as a file, since processes that it starts read it too."""


@contextlib.contextmanager
def climbing(folder: Path, *options: str) -> Iterator[subprocess.Popen]:
    """A process that is in the middle of a long fit, in a group of its own as on a terminal."""
    (folder / "patched.py").write_text(PATCHED)
    (folder / "old.json").write_text("old")
    long = ["fit", "data", "--missing", "nan", "--components", "6:9", "--restarts", "20", "--out", "old.json"]
    command = [sys.executable, "patched.py", *long, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as child:
        for _ in range(1200):
            if (folder / "sign").exists() or child.poll() is not None:
                break
            time.sleep(0.1)
        yield child
        child.kill()


NOTE = f"mixtura: note: 1 of {N} rows of data hold missing values and are left out.\n"


def test_a_scheduler_that_is_lost_in_a_fit(data: Path) -> None:
    with processes() as (address, scheduler, _), climbing(data, "--dask", address) as child:
        scheduler.kill()
        out, err = child.communicate(timeout=120)
    said = f"mixtura: error: the scheduler at {address} is gone, and what it had computed with it."
    assert (child.returncode, out) == (2, b""), err
    assert err.decode().startswith(NOTE + said)
    assert err.count(b"\n") == 2
    assert (data / "old.json").read_text() == "old"
    assert not [path.name for path in data.iterdir() if path.name.startswith(".mixtura")]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_ends_the_workers_too(data: Path) -> None:
    """Ctrl-C on a terminal goes to all processes of the group; one line is said."""
    with climbing(data, "--workers", "2") as child:
        os.killpg(child.pid, signal.SIGINT)
        out, err = child.communicate(timeout=120)
        assert (child.returncode, out, err.decode()) == (130, b"", NOTE + "mixtura: interrupted\n")
        for _ in range(100):
            try:
                os.killpg(child.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.1)
        else:
            pytest.fail("processes are left")
    assert (data / "old.json").read_text() == "old"


def test_a_process_says_no_more_than_it_does_here(data: Path) -> None:
    """Nothing of what Dask logs is on standard error."""
    how = [*map(str, QUICK), "--missing", "nan", "--workers", "2"]
    done = subprocess.run([*START, "fit", "data", *how], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, NOTE)
