"""``python -m bench [names] [--quick]``: run topics, print their tables, and after a whole run write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import time
import warnings

from bench.fresh import Failure
from bench.report import PAGE, Table, preamble, write_page
from bench.topics import TOPICS


def main() -> None:
    """Run the topics that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Time mixtura beside its peers.")
    parser.add_argument("topics", nargs="*", metavar="topic", help=f"any of {', '.join(TOPICS)}; all if none is named")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to see that all of it works; no page is written"
    )
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.topics if name not in TOPICS]:
        parser.error(f"no topic {unknown[0]!r}; there are {', '.join(TOPICS)}")
    warnings.simplefilter("ignore")
    print(preamble(), flush=True)
    if chosen.quick:
        print("\nA quick run: sizes are small, and verdicts mean nothing.", flush=True)
    tables: list[Table] = []
    for name in chosen.topics or TOPICS:
        begun = time.perf_counter()
        try:
            measured = TOPICS[name](chosen.quick)
        except Failure as failure:
            measured = [Table(name, f"Failed: {failure}.", [])]
        tables += measured
        print("", *measured, sep="\n\n", flush=True)
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    if not chosen.quick and not chosen.topics:
        write_page(tables)
        print(f"\nWrote {PAGE.parent.name}/{PAGE.name}.")


if __name__ == "__main__":
    main()
