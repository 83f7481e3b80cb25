"""What is shipped: the wheel holds the library, its types and its schema, and nothing else."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest

ENGINE = "mixtura/sweep/compiled/_engine.abi3.so"
REASON = "mixtura/sweep/compiled/missing.txt"
"""One of them is in each wheel."""


def built(root: Path, folder: Path, **environment: str) -> Path:
    """The wheel, built from the working tree; a compiler that is not there is not asked for."""
    options = ["--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", str(folder)]
    command = [sys.executable, "-m", "build", *options, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel without an engine."""
    with zipfile.ZipFile(built(root, tmp_path_factory.mktemp("wheel"), MIXTURA_PURE="1")) as archive:
        yield archive


def described(wheel: zipfile.ZipFile, name: str) -> str:
    """A text of the wheel's own description."""
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def library(root: Path) -> set[str]:
    """What a wheel should hold besides an engine: all files but those that it is compiled from, and what has been built in place."""
    src = root / "src"
    files = {
        path.relative_to(src).as_posix()
        for path in (src / "mixtura").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".cpp", ".hpp")
    }
    assert {"mixtura/py.typed", "mixtura/model/mixture.schema.json"} <= files
    return files - {ENGINE, REASON}


def contents(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def test_wheel_holds_the_library_whole(wheel: zipfile.ZipFile, root: Path) -> None:
    assert contents(wheel) == library(root) | {REASON}
    assert wheel.filename.endswith("-py3-none-any.whl")
    assert wheel.read(REASON) == b"built with MIXTURA_PURE=1\n"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")
def test_wheel_has_an_engine_for_all_versions_of_python(root: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built(root, tmp_path, MIXTURA_PURE="")) as wheel:
        assert contents(wheel) == library(root) | {ENGINE}
        assert "-cp311-abi3-" in wheel.filename
        assert sum(file.file_size for file in wheel.infolist()) < 5_000_000


def test_wheel_brings_the_command(wheel: zipfile.ZipFile) -> None:
    entry_points = configparser.ConfigParser()
    entry_points.read_string(described(wheel, "entry_points.txt"))
    assert dict(entry_points["console_scripts"]) == {"mixtura": "mixtura.cli:main"}


def test_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    metadata = message_from_string(described(wheel, "METADATA"))
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(needed) == ["click>=8.1.7", "numpy>=2.0", "scikit-learn>=1.6", "scipy>=1.13", "threadpoolctl>=3.5"]
    assert described(wheel, "licenses/LICENSE").startswith("BSD 3-Clause")
