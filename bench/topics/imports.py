"""How long the import takes."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from bench.report import Row, Table, seconds, spread

IMPORTS = {
    "mixtura": "import mixtura; mixtura.GaussianMixture",
    "mixtura alone": "import mixtura",
    "scikit-learn": "from sklearn.mixture import GaussianMixture",
}
CODE = "import time; begun = time.perf_counter(); {}; print(time.perf_counter() - begun)"

ABOUT = "In turn, each time in a fresh interpreter that has imported nothing else; the interpreter's own start is not counted."


def tables(quick: bool) -> list[Table]:
    """The one table."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(3 if quick else 15):
        for name, statement in IMPORTS.items():
            found[name].append(_seconds(statement))
    peer = median(found["scikit-learn"])
    rows: list[Row] = [
        {
            "statement": f"`{statement}`",
            "median": seconds(median(found[name])),
            "rounds": spread((1000 * s for s in found[name]), "{:.0f}") + " ms",
            "of scikit-learn's": f"{median(found[name]) / peer:.2f}",
        }
        for name, statement in IMPORTS.items()
    ]
    return [Table("Import", ABOUT, rows)]


def _seconds(statement: str) -> float:
    done = subprocess.run([sys.executable, "-c", CODE.format(statement)], capture_output=True, text=True, check=True)
    return float(done.stdout)
