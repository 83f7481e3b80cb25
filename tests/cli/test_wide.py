"""Wide tables take time and memory in proportion to their size; what cannot be fitted to them is said before the work."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mixtura.cli.tables import read_table
from mixtura.model.mixture import Mixture

Cli = Callable[..., object]


def write(path: str, rows: np.ndarray) -> None:
    names = ",".join(f"c{d}" for d in range(rows.shape[1]))
    np.savetxt(path, rows, "%.3f", delimiter=",", header=names, comments="")


@pytest.fixture
def no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins to fit fails."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("mixtura.cli.fit._likeliest", fail)
    monkeypatch.setattr("mixtura.cli.fit.fit_posterior", fail)


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize(
    ("shape", "options", "sentence"),
    [
        (
            (60, 500),
            [],
            "60 rows and 500 columns, and a covariance matrix (full) needs more rows than columns. Try --cov",
        ),
        (
            (20, 20),
            ["--covariance", "tied"],
            "a covariance matrix (tied) needs more rows than columns. Try --covariance diag",
        ),
        (
            (12, 30),
            ["--covariance", "all"],
            "(full, tied) needs more rows than columns. Try --covariance diag,tied_diag,sph",
        ),
        (
            (2, 50_000),
            ["--components", "1:2"],
            "50,000 columns, and to fit 3 covariance matrices of so many (full) takes",
        ),
        (
            (2, 50_000),
            ["--components", "2", "--solver", "cavi"],
            "to fit 2 covariance matrices of so many (full) takes",
        ),
    ],
)
def test_said_before_the_work(
    shape: tuple[int, int], options: list[str], sentence: str, cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixtura.cli.wide.physical_memory", lambda: 16 * 10**9)
    np.save("data.npy", np.random.default_rng(0).normal(size=shape))
    assert sentence in cli("fit", "data.npy", *options).complaint
    assert [path.name for path in folder.iterdir()] == ["data.npy"]


def test_a_posterior_of_more_columns_than_rows_is_remarked_upon(cli: Cli, folder: Path) -> None:
    np.save("data.npy", np.random.default_rng(0).normal(size=(10, 12)))
    done = cli("fit", "data.npy", "--components", 1, "--solver", "cavi", "--restarts", 1)
    assert done.code == 0
    assert "needs more rows than columns, or it says more of the prior than of the data" in done.err
    assert cli("fit", "data.npy", "--components", 1, "--covariance", "diag", "--restarts", 1).err == ""


def test_reading_takes_time_in_proportion_to_the_columns(folder: Path) -> None:
    """Four times as many columns: about four times as long, and sixteen times where each is compared to each."""
    seconds = []
    for n_columns in (20_000, 80_000):
        write("data.csv", np.zeros((3, n_columns)))
        names = [f"c{d}" for d in range(n_columns)]
        seconds.append(min(reading(names) for _ in range(3)))
    assert seconds[1] < 10 * seconds[0]


def reading(names: list[str]) -> float:
    """Processor seconds of reading all columns twice; what other tests have left is not collected meanwhile."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        for columns in (None, names):
            assert read_table("data.csv", columns).rows.shape == (3, len(names))
        return time.process_time() - began
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_wide_diagonal_fit_forms_no_matrix(folder: Path) -> None:
    """From the file to the picture, in less memory than one matrix of that many columns takes."""
    n_columns = 16_000
    write("data.csv", np.random.default_rng(0).normal(size=(4, n_columns)))
    code = (
        "import re, sys; from mixtura.cli import run\n"
        "assert run('fit data.csv --components 2 --covariance diag --restarts 1'.split()) == 0\n"
        "assert run('score data.mixture.json data.csv'.split()) == 0\n"
        # Not what getrusage says: that is never less than what the process had that started this one.
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())\n"
        "print(int(peak[1]) / 1024, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stderr.splitlines()[-1]) < 8 * n_columns**2 / 2**20 / 4
    assert Mixture.load("data.mixture.json").n_features == n_columns
