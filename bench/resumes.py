"""Fifty fits killed at random moments and gone on with: ``python -m bench.resumes [--kills N] [--seed S]``.

Half of the kills are of fits on files, half of fits on a cluster of two workers. What is killed, and the law, are in
``tests/broken_off.py``. The exit status is 1 where the law was broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its files import each other by their bare names

from broken_off import kill_and_resume, write_rows
from clusters import processes


def main() -> int:
    """Kill as many fits as were asked for; 1 if the law was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.resumes", description="Hold resumed fits to one law.")
    parser.add_argument("--kills", type=int, default=25, help="how many on files, and how many on a cluster")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    chosen = parser.parse_args()
    sound = True
    for where, cluster in (("files", nullcontext(("", None, None))), ("a cluster", processes())):
        with tempfile.TemporaryDirectory() as folder, cluster as (address, _, _):
            rows = Path(folder, "rows")
            rows.mkdir()
            tally = kill_and_resume(write_rows(rows), Path(folder), chosen.kills, chosen.seed, address)
        print(
            f"On {where}: {tally.n_kills} kills; {tally.n_equal} of {tally.n_ends} fits ended with the bits of the one that nobody killed; "
            f"{len(tally.broken)} failed.",
            *tally.broken,
            sep="\n",
            flush=True,
        )
        sound &= tally.n_equal == tally.n_ends and not tally.broken
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
