"""The C++ program that stands for Armadillo: compiled once a run, where there are a compiler and Armadillo's headers."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("armadillo_gmm.cpp")
PROGRAM = SOURCE.parent / ".build" / "armadillo_gmm"
FLAGS = ("-O3", "-march=native", "-fopenmp", "-DARMA_NO_DEBUG")


@cache
def version() -> str | None:
    """Compile the program and ask it for Armadillo's version; ``None`` if that cannot be done."""
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    PROGRAM.parent.mkdir(exist_ok=True)
    command = [compiler, *FLAGS, str(SOURCE), "-o", str(PROGRAM), "-larmadillo"]
    if subprocess.run(command, capture_output=True).returncode:
        return None
    done = subprocess.run([str(PROGRAM)], capture_output=True, text=True)
    return done.stdout.strip() or None if done.returncode == 0 else None
