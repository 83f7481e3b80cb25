"""Random command lines keep one law; ``python -m bench.command_lines`` holds a thousand to it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_lines import draw, furnish, judge
from commands import Ran

pytest.importorskip("matplotlib")
N_LINES = 20


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of every kind."""
    folder = tmp_path_factory.mktemp("furnished")
    furnish(folder)
    return folder


@pytest.fixture
def fresh(furnished: Path, tmp_path: Path) -> Path:
    """A copy of it to write in."""
    return shutil.copytree(furnished, tmp_path / "here", symlinks=True)


@pytest.mark.parametrize("seed", range(0, 40, N_LINES))
def test_lines_in_this_process(seed: int, fresh: Path) -> None:
    """Lines ``seed`` to ``seed + 19``, one after another in one folder."""
    judged = {tuple(draw(i)): judge(draw(i), fresh) for i in range(seed, seed + N_LINES)}
    assert {line: findings for line, (_, findings) in judged.items() if findings} == {}
    assert sum(code == 0 for code, _ in judged.values()) >= N_LINES / 2


def run_there(arguments: list[str], stdin: bytes = b"") -> Ran:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "mixtura.cli", *map(os.fsencode, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=300, check=False)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode(), ())


@pytest.mark.parametrize("seed", [1002, 1010])
def test_lines_in_processes_of_their_own(seed: int, fresh: Path) -> None:
    assert judge(draw(seed), fresh, run_there)[1] == []
