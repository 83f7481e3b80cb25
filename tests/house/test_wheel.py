"""What is shipped: the wheel holds the library, its types and its schema, and nothing else."""

import configparser
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def described(wheel: zipfile.ZipFile, name: str) -> str:
    """A text of the wheel's own description."""
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_wheel_holds_the_library_whole(wheel: zipfile.ZipFile, root: Path) -> None:
    src = root / "src"
    library = {
        path.relative_to(src).as_posix()
        for path in (src / "mixtura").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"mixtura/py.typed", "mixtura/model/mixture.schema.json"} <= library
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == library


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
