"""A hundred commands killed around the writing of their files: ``python -m bench.kills [--kills N] [--seed S]``.

How they are killed, and the law, are in ``tests/kills.py``. Kill ``i`` has the seed ``S + i``. The exit status is 1 where the law was
broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its files import each other by their bare names

from kills import SIGNALS, Killed, Stage


def main() -> int:
    """Kill as many commands as were asked for; 1 if the law was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description="Hold killed commands to one law.")
    parser.add_argument("--kills", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others count on from it")
    chosen = parser.parse_args()
    killed: list[Killed] = []
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        for i in range(chosen.kills):
            killed.append(stage.kill(list(SIGNALS)[i % len(SIGNALS)], chosen.seed + i))
            if killed[-1].broken:
                print(f"{chosen.seed + i}: {killed[-1].broken}", flush=True)
    for name in SIGNALS:
        these = [one for one in killed if one.signal == name]
        left = Counter(one.left for one in these)
        print(
            f"{name}: {len(these)} kills left "
            f"{left['old']} old sets, {left['new']} new ones and {left['both']} that the next command finished; "
            f"{sum(one.temporaries for one in these)} times temporaries; {sum(bool(one.broken) for one in these)} broke the law."
        )
    return 1 if any(one.broken for one in killed) else 0


if __name__ == "__main__":
    sys.exit(main())
