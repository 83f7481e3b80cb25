"""A thousand command lines drawn at random, held to one law: ``python -m bench.command_lines [--lines N] [--seed S]``.

What is drawn is in ``tests/command_lines.py``, the law in ``tests/commands.py``. Line ``i`` has the seed ``S + i``; each runs in this
process, in a folder with fresh files. The exit status is 1 where the law was broken.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its files import each other by their bare names

from command_lines import draw, furnish, judge


def main() -> int:
    """Run as many command lines as were asked for; 1 if the law was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.command_lines", description="Hold command lines to one law.")
    parser.add_argument("--lines", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others count on from it")
    chosen = parser.parse_args()
    codes: Counter[int | None] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    begun, longest = time.process_time(), (0.0, 0)
    with tempfile.TemporaryDirectory() as place:
        furnished = Path(place) / "furnished"
        furnished.mkdir()
        furnish(furnished)
        for seed in range(chosen.seed, chosen.seed + chosen.lines):
            folder = Path(place) / "here"
            shutil.copytree(furnished, folder, symlinks=True)
            before = time.process_time()
            code, findings = judge(draw(seed), folder)
            longest = max(longest, (time.process_time() - before, seed))
            shutil.rmtree(folder)
            codes[code] += 1
            for finding in findings:
                found[finding[:2]] += 1
                if found[finding[:2]] <= 3:
                    line = ascii(shlex.join(draw(seed)))[:300]
                    print(f"{seed}: {finding.what} at {finding.place}: {finding.said[:300]!r}\n    {line}", flush=True)
    print(
        f"{chosen.lines:,} command lines in {time.process_time() - begun:.0f} s of a processor, the longest {longest[0]:.1f} s "
        f"(seed {longest[1]}); exit codes {dict(codes)}; {sum(found.values())} findings."
    )
    for (what, where), times in found.most_common():
        print(f"{times:6d}  {what} at {where}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
