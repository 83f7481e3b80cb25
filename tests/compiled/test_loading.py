"""Which engine serves, and that it is said: each time in a process of its own, on the library as it is or as another machine has it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mixtura

HOUSE = Path(mixtura.__file__).parent
ENGINE = Path("sweep", "compiled", "_engine.abi3.so")
REASON = Path("sweep", "compiled", "missing.txt")


def described(house: Path = HOUSE, **environment: str) -> str:
    """What ``mixtura --version`` says in brackets."""
    done = version(house, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    head, _, said = done.stdout.rstrip("\n").partition(" (")
    assert head == f"mixtura {mixtura.__version__}"
    assert said.endswith(")")
    return said.removesuffix(")")


def complaint(house: Path = HOUSE, **environment: str) -> str:
    """The one line that it ends with instead."""
    done = version(house, **environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr.removeprefix("mixtura: error: ").rstrip("\n")


def version(house: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "MIXTURA_ENGINE"}
    return subprocess.run(
        [sys.executable, "-m", "mixtura.cli", "--version"],
        env={**kept, "PYTHONPATH": str(house.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the library, without an engine."""
    unwanted = shutil.ignore_patterns("__pycache__", ENGINE.name, REASON.name)
    return shutil.copytree(HOUSE, tmp_path / "mixtura", ignore=unwanted)


@pytest.fixture
def names() -> tuple[str, ...]:
    """The instruction sets of this processor."""
    return pytest.importorskip("mixtura.sweep.compiled._engine").instruction_sets()


def test_the_best_instruction_set_serves_unless_another_is_asked_for(names: tuple[str, ...]) -> None:
    best = f"compiled, {names[-1]}"
    assert described() == described(MIXTURA_ENGINE="") == described(MIXTURA_ENGINE="compiled") == best
    for name in names:
        assert described(MIXTURA_ENGINE=name) == f"compiled, {name}"


def test_numpy_serves_where_it_is_asked_for() -> None:
    assert described(MIXTURA_ENGINE="numpy") == "NumPy: MIXTURA_ENGINE=numpy"


def test_anything_else_is_refused_with_what_there_is(names: tuple[str, ...]) -> None:
    has = ", ".join(("numpy", "compiled", *names))
    for wrong in ("avx2", "NumPy", " "):
        said = f"MIXTURA_ENGINE={wrong} is no engine of this machine, which has {has}"
        assert complaint(MIXTURA_ENGINE=wrong).split() == said.split()


def test_without_an_engine_numpy_serves_and_says_why(house: Path) -> None:
    assert described(house) == "NumPy: not built"
    (house / REASON).write_text("built without a C++ compiler\n")
    assert described(house) == "NumPy: built without a C++ compiler"
    assert described(house, MIXTURA_ENGINE="numpy") == "NumPy: MIXTURA_ENGINE=numpy"
    for wanted in ("compiled", "x86-64-v3", "avx2"):
        refused = f"MIXTURA_ENGINE={wanted} is no engine of this machine, which has numpy alone"
        assert complaint(house, MIXTURA_ENGINE=wanted) == f"{refused} (built without a C++ compiler)"


def test_an_engine_that_cannot_be_loaded_is_none(house: Path) -> None:
    (house / ENGINE).write_bytes(b"\x7fELF of another machine")
    assert described(house).startswith("NumPy: the compiled engine cannot be loaded: ")
    assert "which has numpy alone (the compiled engine cannot be loaded: " in complaint(
        house, MIXTURA_ENGINE="compiled"
    )
