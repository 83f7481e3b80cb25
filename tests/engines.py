"""The engine as other machines get it: ``python tests/engines.py [--only NAME …]``.

Each machine is a copy of the repository, where ``make demo`` sets up an environment of its own and then the engine's tests run. The PATH
decides whether there is a compiler, a constraint that nothing meets whether pip can get ziglang, and ``MIXTURA_ENGINE`` what the
processor can do.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from mixtura.sweep.compiled import engine

ROOT = Path(__file__).parents[1]
COMPILERS = ("c++", "g++", "clang++")
"""What the build looks for."""
OURS = (".git", ".venv*", ".*_cache", ".hypothesis", "build", "dist", "__pycache__", "_engine.abi3.so", "missing.txt")
"""What a copy has to make for itself."""
OUTER = ("CXX", "MIXTURA_ENGINE", "MIXTURA_PURE", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHONPATH")
"""What this process may have been told, and the machines are not."""


class Machine(NamedTuple):
    """What it has, and what ``mixtura --version`` should say there."""

    name: str
    about: str
    engine: str
    compiler: bool = False
    ziglang: bool = False
    choice: str = ""


MACHINES = (
    Machine("compiler", "a C++ compiler", "compiled, ", compiler=True),
    Machine("ziglang", "no compiler, and pip fetches one", "compiled, ", ziglang=True),
    Machine("neither", "no compiler, and pip can fetch none", "NumPy: built with MIXTURA_PURE=1"),
    Machine("avx2", "a compiler, and AVX2 at most", "compiled, x86-64-v3", compiler=True, choice="x86-64-v3"),
)


def impossible(machine: Machine) -> str:
    """Why this machine cannot be another, if so."""
    if machine.compiler and not any(map(shutil.which, COMPILERS)):
        return "there is no compiler"
    if machine.choice and (engine is None or machine.choice not in engine.instruction_sets()):
        return f"there is no engine for {machine.choice}"
    return ""


def without_compilers(folder: Path) -> Path:
    """A folder with all programs of the PATH but compilers."""
    folder.mkdir()
    for place in map(Path, os.get_exec_path()):
        for program in place.iterdir() if place.is_dir() else ():
            link = folder / program.name
            if program.name not in COMPILERS and not link.is_symlink():
                link.symlink_to(program)
    return folder


def environment(machine: Machine, folder: Path) -> dict[str, str]:
    """The variables of a machine."""
    found = {name: value for name, value in os.environ.items() if name not in OUTER}
    if not machine.compiler:
        found["PATH"] = str(without_compilers(folder / "bin"))
    if not machine.ziglang:
        constraint = folder / "constraint.txt"
        constraint.write_text("ziglang<0\n")
        found |= dict.fromkeys(("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"), str(constraint))
    return found | ({"MIXTURA_ENGINE": machine.choice} if machine.choice else {})


def passes(machine: Machine) -> bool:
    """Whether all goes well on a machine, from the first command on."""
    print(f"\n==== {machine.name}: {machine.about}", flush=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        variables = environment(machine, folder)
        copy = shutil.copytree(ROOT, folder / "mixtura", ignore=shutil.ignore_patterns(*OURS))
        programs = copy / ".venv" / "bin"

        def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
            return subprocess.run(command, cwd=copy, env=variables, stdout=subprocess.PIPE, text=True)

        done = run("make", "demo", f"PYTHON={os.path.realpath(sys.executable)}")
        print(done.stdout, flush=True)
        if done.returncode:
            return False
        said = run(programs / "mixtura", "--version").stdout
        if f" ({machine.engine}" not in said:
            print(f"{said.strip()}, and not {machine.engine}")
            return False
        tested = run(programs / "python", "-m", "pytest", "-q", "tests/compiled", "tests/sweep")
        print(tested.stdout, flush=True)
        return tested.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Set the engine up as other machines would, and run its tests there.")
    names = [machine.name for machine in MACHINES]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help="these alone")
    chosen = parser.parse_args().only or names
    verdicts = {}
    for machine in (machine for machine in MACHINES if machine.name in chosen):
        start = time.monotonic()
        verdict = f"not tried: {why}" if (why := impossible(machine)) else "passed" if passes(machine) else "FAILED"
        verdicts[machine.name] = f"{machine.about}: {verdict} in {time.monotonic() - start:.0f} s"
    print()
    for name, verdict in verdicts.items():
        print(f"  {name:10} {verdict}")
    return int(any("FAILED" in verdict for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
