"""The suite as other machines would run it: ``python tests/machines.py [--list] [--only NAME …] [pytest arguments]``.

NumPy and both OpenBLAS libraries (NumPy's and SciPy's) choose their code by the processor. Environment variables take features away that
this one has, so the code for older processors can be run here, not that for newer ones: what a machine cannot emulate is named. Our own
engine takes the instruction set of the same processor. The other emulations are a machine without that engine, a single thread and
another hash seed. NumPy reads its own list of features, which differs from version to version.
"""

import argparse
import os
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np

from mixtura.sweep.compiled import engine

try:
    from numpy._core import _multiarray_umath as core
except ImportError:
    from numpy.core import _multiarray_umath as core  # NumPy 1

LEVELS = {
    "X86_V2": 2, "SSE": 2, "SSE2": 2, "SSE3": 2, "SSSE3": 2, "SSE41": 2, "POPCNT": 2, "SSE42": 2,
    "AVX": 3, "F16C": 3, "FMA3": 3, "AVX2": 3, "X86_V3": 3,
}  # fmt: skip
"""Generations of x86-64 that NumPy's names stand for; whatever else it dispatches to is of the fourth, AVX-512."""


class Machine(NamedTuple):
    """What the environment says, or why it cannot."""

    name: str
    about: str
    environment: dict[str, str]
    impossible: str = ""


def without(generation: int) -> str:
    """The features above a generation that NumPy would use here: those it has code for, beyond its baseline, and the processor has.

    NumPy complains of any other name.
    """
    dispatched = [name for name in core.__cpu_dispatch__ if has(name) and name not in core.__cpu_baseline__]
    return ",".join(name for name in dispatched if LEVELS.get(name, 4) > generation)


def has(feature: str) -> bool:
    return bool(core.__cpu_features__.get(feature))


def machines() -> list[Machine]:
    """All emulations, those that this machine cannot do among them."""
    kinds = (
        ("haswell", "OpenBLAS for Haswell, NumPy up to AVX2", "Haswell", 3, "AVX2"),
        ("nehalem", "OpenBLAS for Nehalem, NumPy's baseline", "Nehalem", 2, "SSE42"),
        ("skylakex", "OpenBLAS for Skylake with AVX-512, NumPy's best", "SkylakeX", 4, "AVX512F"),
    )
    found = []
    for name, about, core_type, generation, needed in kinds:
        environment = {"OPENBLAS_CORETYPE": core_type}
        if disabled := without(generation):
            environment["NPY_DISABLE_CPU_FEATURES"] = disabled
        if engine is not None and f"x86-64-v{generation}" in engine.instruction_sets():
            environment["MIXTURA_ENGINE"] = f"x86-64-v{generation}"
        lacking = "" if has(needed) else f"the processor has no {needed}"
        found.append(Machine(name, about, environment, lacking))
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    found.append(Machine("numpy", "passes by NumPy alone", {"MIXTURA_ENGINE": "numpy"}))
    found.append(Machine("one-thread", "one thread of BLAS and of passes", dict.fromkeys(threads, "1")))
    found.append(Machine("hash-seed", "another order of sets", {"PYTHONHASHSEED": "20251125"}))
    beyond = [name for name in core.__cpu_dispatch__ if not has(name)]
    if beyond:
        found.append(Machine("newer", f"NumPy with {', '.join(beyond)}", {}, "the processor has none of that"))
    found.append(
        Machine("other-architectures", "Arm, Apple's Accelerate, Intel's MKL", {}, "other processors or builds")
    )
    return found


def run(machine: Machine, arguments: list[str]) -> int:
    print(f"\n==== {machine.name}: {machine.about}", flush=True)
    print("     " + " ".join(f"{name}={value}" for name, value in machine.environment.items()), flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], env=os.environ | machine.environment).returncode


def main() -> int:
    about = "Run the tests as other machines would; further arguments are pytest's."
    parser = argparse.ArgumentParser(description=about, allow_abbrev=False)
    parser.add_argument("--list", action="store_true", help="only say which machines there are")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these alone")
    chosen, arguments = parser.parse_known_args()
    known = machines()
    if wrong := set(chosen.only or ()) - {machine.name for machine in known}:
        parser.error(f"no machine is called {', '.join(sorted(wrong))}; there are {', '.join(m.name for m in known)}")
    asked = [machine for machine in known if not chosen.only or machine.name in chosen.only]
    possible = [machine for machine in asked if not machine.impossible]
    verdicts = {}
    for machine in [] if chosen.list else possible:
        start = time.monotonic()
        verdict = "FAILED" if run(machine, arguments) else "passed"
        verdicts[machine.name] = f"{verdict} in {time.monotonic() - start:.0f} s"
    print(
        f"\nNumPy {np.__version__}, baseline {' '.join(core.__cpu_baseline__)}, dispatch {' '.join(core.__cpu_dispatch__)}"
    )
    for machine in asked:
        verdict = (
            f"cannot be emulated here: {machine.impossible}" if machine.impossible else verdicts.get(machine.name, "")
        )
        print(f"  {machine.name:20} {machine.about}: {verdict}".rstrip(": "))
    return int(any("FAILED" in verdict for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
