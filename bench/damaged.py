"""Damaged files, held to one law: ``python -m bench.damaged [--files N] [--models N] [--seed S] [--only KIND]``.

What is drawn, and the law, are in ``tests/damage.py`` and ``tests/damaged_models.py``; the suite has a short form of the same. File ``i``
of a kind has the seed ``S + i``. Each kind is read in a process of its own, whose peak of memory is stated. The exit status is 1 where the
law was broken.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its files import each other by their bare names

from damage import FILES, Judged, judge
from damaged_models import judge_model

KINDS = (*FILES, "model")


class Report(NamedTuple):
    """What became of the files of a kind."""

    judged: list[Judged]
    before: float
    peak: float


def read_all(kind: str, seeds: range) -> Report:
    """Damage and read the files of a kind; peaks of memory before and after in megabytes.

    Parameters
    ----------
    kind : str
    seeds : range
    """
    with tempfile.TemporaryDirectory() as folder:
        one = (
            partial(judge_model, folder=Path(folder)) if kind == "model" else partial(judge, kind, folder=Path(folder))
        )
        one(seeds.start)  # what is imported counts for nothing
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        judged = [one(seed) for seed in seeds]
    return Report(judged, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def summary(kind: str, seeds: range, report: Report, sentences: bool) -> str:
    """Counts, findings, and where asked for the sentences by kind.

    Parameters
    ----------
    kind : str
    seeds : range
    report : Report
    sentences : bool
    """
    n_read = sum(judged.was_read for judged in report.judged)
    broken = {seed: judged.broken for seed, judged in zip(seeds, report.judged, strict=True) if judged.broken}
    lines = [
        f"{kind:8} {len(seeds):5,} files: {n_read} read, {len(seeds) - n_read} refused, {len(broken)} broke the law; "
        f"at most {report.peak - report.before:.0f} MB of memory beyond {report.before:.0f}"
    ]
    lines += [f"  seed {seed}: {what}" for seed, what in list(broken.items())[:10]]
    if sentences:
        kinds = Counter(
            re.sub(r"\d+", "#", re.sub(r"'[^']*'", "'…'", judged.sentence.strip()))[:120] for judged in report.judged
        )
        lines += [f"  {times:5}  {said}" for said, times in kinds.most_common() if said]
    return "\n".join(lines)


def main() -> int:
    """Read as many damaged files as were asked for; 1 if the law was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.damaged", description="Hold damaged files to one law.")
    parser.add_argument("--files", type=int, default=400, help="how many of each kind but models")
    parser.add_argument("--models", type=int, default=5000, help="how many models")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others count on from it")
    parser.add_argument("--only", choices=sorted(KINDS), help="one kind of file")
    parser.add_argument("--sentences", action="store_true", help="also list the sentences that refused files")
    chosen = parser.parse_args()
    broken = False
    for kind in [chosen.only] if chosen.only else KINDS:
        seeds = range(chosen.seed, chosen.seed + (chosen.models if kind == "model" else chosen.files))
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # one that crashes breaks the pool
            report = pool.submit(read_all, kind, seeds).result()
        print(summary(kind, seeds, report, chosen.sentences), flush=True)
        broken |= any(judged.broken for judged in report.judged)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
