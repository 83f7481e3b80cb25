"""A command that is killed at a random moment around the writing of its files, and the law: a whole set of files, the old or the new one.

No temporaries are left, but by SIGKILL; those are cleared by the next command that writes in the folder, which also finishes a set whose
renames had begun. ``python -m bench.kills`` kills a hundred; the suite has a short form.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from commands import run_here, working_in

SIGNALS = {"SIGKILL": {-9}, "SIGTERM": {143, -15, 0}, "SIGINT": {130, -2, 0}}
"""And the exit codes of commands that one of them has ended: while they worked, while Python went down, or hardly."""
NAMES = ("model.json", "picture.png")
TARDY = 1.2
"""The longest that a kill waits, in times that the writing took at most of two: it takes longer when the machine is busy."""

ANNOUNCING = """
import os, sys
import mixtura.cli
import mixtura.cli.fit as module
real, sign = module.write_together, int(sys.argv.pop(1))
def announcing(contents):
    os.write(sign, b"!")
    real(contents)
    os.write(sign, b".")
module.write_together = announcing
mixtura.cli.main()
"""

Set = tuple[bytes | None, ...]


class Killed(NamedTuple):
    """What a kill left: ``"old"``, ``"new"``, ``"both"`` among the renames, or what broke the law; and whether temporaries lay there."""

    signal: str
    left: str
    temporaries: bool
    code: int
    broken: str


class Stage:
    """A folder with a set of files, and commands that replace them by the other of two sets.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.sets, self.seconds = folder, [], []
        for i in range(2):
            rows = np.random.default_rng(i).normal(size=(20, 2)).round(3)
            np.savetxt(folder / f"{i}.csv", rows, delimiter=",", header="a,b", comments="")
            code, took = self._run(i, None, 0.0)
            assert code == 0
            self.sets.append(self._set())
            self.seconds.append(took)

    def _set(self) -> Set:
        return tuple((self.folder / n).read_bytes() if (self.folder / n).exists() else None for n in NAMES)

    def _temporaries(self) -> list[str]:
        return [name for name in os.listdir(self.folder) if name.startswith(".mixtura-")]

    def _run(self, i: int, number: signal.Signals | None, wait: float) -> tuple[int, float]:
        """Fit one of the tables; the exit code, and how long the writing took or how long it was until the kill."""
        reading, writing = os.pipe()
        options = ["--components", "1", "--restarts", "1", "--out", NAMES[0], "--plot", NAMES[1]]
        command = [sys.executable, "-c", ANNOUNCING, str(writing), "fit", f"{i}.csv", *options]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, cwd=self.folder, pass_fds=[writing], **quiet) as child:
            os.close(writing)
            os.read(reading, 1)
            begun = time.perf_counter()
            if number is None:
                os.read(reading, 1)
            else:
                while time.perf_counter() - begun < wait:  # finer than sleep
                    pass
                child.send_signal(number)
            took = time.perf_counter() - begun
            code = child.wait(timeout=300)
        os.close(reading)
        return code, took

    def kill(self, name: str, seed: int) -> Killed:
        """Replace the set, with a kill in between."""
        before = self.sets.index(self._set())
        old, new = self.sets[before], self.sets[1 - before]
        wait = np.random.default_rng(seed).uniform(0, TARDY * max(self.seconds))
        code, _ = self._run(1 - before, getattr(signal, name), wait)
        found, temporaries = self._set(), self._temporaries()
        left = "old" if found == old else "new" if found == new else "both"
        broken = []
        if code not in SIGNALS[name]:
            broken.append(f"exit code {code}")
        if name != "SIGKILL" and (left == "both" or temporaries):
            broken.append(f"{left} and {temporaries} left by {name}")
        if left == "both" and not all(one in pair for one, *pair in zip(found, old, new, strict=True)):
            broken.append("a file is neither")
        if name == "SIGKILL":
            with working_in(self.folder):
                following = run_here(["sample", NAMES[0], "3", "--out", "rows.csv"])
            if following.code != 0 or self._temporaries() or self._set() not in self.sets:
                broken.append(f"the next command left {self._temporaries()}; {following.err}")
        return Killed(name, left, bool(temporaries), code, "; ".join(broken))
