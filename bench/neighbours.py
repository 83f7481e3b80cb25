"""Many fits beside each other, held to ``tests/neighbours.py``: ``python -m bench.neighbours [--rounds N] [--interruptions N] [--seed S]``.

Each of them has the bits that it has alone, and threads of BLAS, warning filters, error states, signal handlers and global generators are
afterwards what they were. The first that is not ends this with an ``AssertionError``.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable

from tests.neighbours import MODELS, WHOLE, WORKERS, in_threads, in_workers, interrupted_by_signals


def main() -> None:
    """Make the rounds, and say how many fits there were."""
    parser = argparse.ArgumentParser(prog="python -m bench.neighbours", description="Fits beside each other.")
    parser.add_argument("--rounds", type=int, default=20, help="of a fit of each kind, in threads and in workers")
    parser.add_argument("--interruptions", type=int, default=300, help="attempts for each kind")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # short chains are not to be trusted, and say so, in workers too
    os.environ["PYTHONWARNINGS"] = "ignore"
    _timed(f"eight threads, {len(MODELS)} kinds", lambda: in_threads(8, chosen.rounds, chosen.seed))
    for kind in WORKERS:
        _timed(f"two workers, {kind}", lambda kind=kind: in_workers(kind, chosen.rounds))
    for name in WHOLE:
        _timed(
            f"interrupted, {name}", lambda name=name: interrupted_by_signals(name, chosen.interruptions, chosen.seed)
        )


def _timed(what: str, fits: Callable[[], int]) -> None:
    begun = time.perf_counter()
    print(f"{what}: {fits():,} fits in {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
