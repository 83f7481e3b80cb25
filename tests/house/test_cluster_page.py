"""The page on clusters stays true: all that it says to type is run, with real processes."""

import contextlib
import doctest
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clusters import ended, free_port

PROGRAMS = {"mixtura": [sys.executable, "-m", "mixtura.cli"], "dask": [sys.executable, "-m", "dask"]}


def run(line: str, folder: Path) -> None:
    """A command that ends, and well."""
    program, *arguments = shlex.split(line)
    command = [*PROGRAMS.get(program, [program]), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), (line, done.stderr)


def begin(line: str, folder: Path, port: int) -> subprocess.Popen:
    """One that goes on; a scheduler listens then."""
    program, *arguments = shlex.split(line)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen([*PROGRAMS[program], *arguments], cwd=folder, **quiet)
    for _ in range(600 if "scheduler" in arguments else 0):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.1)
    return child


def test_all_that_the_page_says_to_type(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    distributed = pytest.importorskip("distributed")
    page, port = (root / "docs" / "cluster.md").read_text(encoding="utf-8"), free_port()
    (tmp_path / "examples").mkdir()
    shutil.copy(root / "examples" / "faithful.csv", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    going: list[subprocess.Popen] = []
    with contextlib.ExitStack() as stack:
        stack.callback(ended, going)
        for kind, block in re.findall(r"```(sh|python)\n(.*?)```", page.replace("8786", str(port)), re.DOTALL):
            if kind == "python":
                example = doctest.DocTestParser().get_doctest(block, {}, "cluster.md", "cluster.md", 0)
                assert doctest.DocTestRunner().run(example) == (0, len(example.examples)) > (0, 1)
                continue
            for line in block.splitlines():
                if line.startswith("dask "):
                    going.append(begin(line, tmp_path, port))
                else:
                    run(line, tmp_path)
            if going:
                with distributed.Client(f"tcp://127.0.0.1:{port}") as client:
                    client.wait_for_workers(len(going) - 1)
    assert len(going) == 3
    assert {path.name for path in tmp_path.glob("*.json")} == {
        f"{name}.json" for name in ("faithful", "laptop", "two", "workers", "cluster", "long")
    }
