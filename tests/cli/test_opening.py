"""Pipes, devices and files that change: each in a process of its own, for what is wrong with them hangs or kills."""

import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from damage import saved
from mixtura.cli.npy import read_npy
from mixtura.cli.opening import opened
from mixtura.cli.tables import read_table
from mixtura.ground.errors import DataError

Cli = Callable[..., object]
ROWS = np.array([[1.5, 2.0], [3.0, -4e-5]])
READ = (
    "import sys; from mixtura.cli.tables import read_table; print([read_table(p).rows.tolist() for p in sys.argv[1:]])"
)


def files() -> dict[str, bytes]:
    """The same table in files of every kind."""
    text, parquet = b"a,b\n1.5,2\n3,-4e-5\n", io.BytesIO()
    kinds = {"csv": text, "gzip": gzip.compress(text), "npy": saved(ROWS), "npy.gz": gzip.compress(saved(ROWS))}
    try:
        pd.DataFrame(ROWS, columns=["a", "b"]).to_parquet(parquet)
    except ImportError:
        return kinds
    return {**kinds, "parquet": parquet.getvalue()}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_named_pipes_of_every_kind(folder: Path) -> None:
    kinds = files()
    for kind, content in kinds.items():
        os.mkfifo(kind)
        threading.Thread(target=Path(kind).write_bytes, args=(content,), daemon=True).start()
    done = subprocess.run(
        [sys.executable, "-c", READ, *kinds], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == (f"{[ROWS.tolist()] * len(kinds)}\n", "")


def test_standard_input_of_every_kind(folder: Path) -> None:
    """From a pipe, and from a file that has been read in part."""
    for content in files().values():
        done = subprocess.run([sys.executable, "-c", READ, "-"], input=content, capture_output=True, timeout=120)
        assert (done.stdout.decode(), done.stderr) == (f"{[ROWS.tolist()]}\n", b"")
    (folder / "two").write_bytes(b"head\n" + files()["csv"])
    with (folder / "two").open("rb", buffering=0) as handle:
        handle.seek(5)
        done = subprocess.run([sys.executable, "-c", READ, "-"], stdin=handle, capture_output=True, timeout=120)
    assert (done.stdout.decode(), done.stderr) == (f"{[ROWS.tolist()]}\n", b"")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/dev/zero", "is a device"),
        ("/dev/null", "is a device"),
        (".", "holds no files to scan"),
        ("a/b", "there is no file"),
    ],
)
def test_what_is_no_file(path: str, sentence: str, cli: Cli, folder: Path) -> None:
    (folder / "a").touch()
    if not path.startswith("/dev") or Path(path).exists():
        assert sentence in cli("fit", path).complaint


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DataError, match="standard input is closed"):
        read_table("-")


def test_an_array_that_is_cut_short_after_it_was_read(folder: Path) -> None:
    """A mapped file would end the process (SIGBUS) at the first row that is gone."""
    np.save("data.npy", np.ones((200_000, 2)))
    code = (
        "import os; from mixtura.cli.tables import read_table\n"
        "table = read_table('data.npy'); os.truncate('data.npy', 200); print(table.rows.sum())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "400000.0\n", "")


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_larger_than_memory_is_mapped(order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixtura.cli.npy.physical_memory", lambda: 8 * ROWS.size)
    array = np.asarray(np.arange(6.0).reshape(3, 2), order=order)
    np.save(tmp_path / "data.npy", array)
    with opened(str(tmp_path / "data.npy")) as (handle, source):
        rows = read_npy(handle, source, None, False).rows
    assert isinstance(rows, np.memmap)
    assert np.array_equal(rows, array)
    assert np.array_equal(read_table(str(tmp_path / "data.npy")).rows, array)


@pytest.mark.parametrize("now", ["a,b\n1,2\n3,4\n", "a,b\n1,2\n3\n"])
def test_a_file_that_is_mended_between_two_readings(now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mixtura.cli.delimited as delimited

    path, locate = tmp_path / "data.csv", delimited._locate
    path.write_text("a,b\n1,2\n3,oops\n")

    def mended(*arguments: object) -> None:
        path.write_text(now)
        locate(*arguments)

    monkeypatch.setattr(delimited, "_locate", mended)
    with pytest.raises(DataError, match=r"data.csv was changed while it was read\. Try again"):
        read_table(str(path))


@pytest.mark.parametrize("kind", files())
def test_a_file_that_grows_while_it_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(files()[kind])
    with pytest.raises(DataError, match="was changed while it was read"), opened(str(path)), path.open("ab") as more:
        more.write(b"1,2\n")
