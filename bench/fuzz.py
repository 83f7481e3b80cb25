"""Thousands of fits drawn at random, held to one law: ``python -m bench.fuzz [--fits N] [--seed S] [--processes P]``.

What is drawn, and the law, are in ``tests/fuzz.py``; the suite has a short form of the same. Case ``i`` has the seed ``S + i``, so
``python -m bench.fuzz --seed S --fits 1`` runs one again, and with ``--reduce`` looks for a smaller case that fails at the same place;
``--refusals`` lists the sentences that refused cases. The exit status is 1 where the law was broken.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

from tests.fuzz import MOST_WAIT, Outcome, draw, judge_in_time, reduced
from threadpoolctl import threadpool_limits

CHUNK = 50
"""Cases that a process is handed at a time."""


class Report(NamedTuple):
    """What became of the case of a seed."""

    seed: int
    outcome: Outcome


def run(seed: int, wait: float = MOST_WAIT) -> Report:
    """Draw the case of a seed and judge it.

    Parameters
    ----------
    seed : int
    wait : float
        Seconds of a processor, after which it counts as hanging.
    """
    return Report(seed, judge_in_time(draw(seed), seed, wait))


def run_all(seeds: range, n_processes: int, wait: float) -> Iterator[Report]:
    """The reports of many seeds, in no particular order.

    Parameters
    ----------
    seeds : range
    n_processes : int
    wait : float
    """
    one = partial(run, wait=wait)
    if n_processes == 1:
        with threadpool_limits(1):
            yield from map(one, seeds)
        return
    with ProcessPoolExecutor(n_processes, get_context("spawn"), threadpool_limits, (1,)) as pool:
        yield from pool.map(one, seeds, chunksize=CHUNK)


def without_numbers(sentence: str) -> str:
    """A sentence as its kind: what it says of one case left out."""
    one_line = re.sub(r"\s+", " ", sentence)
    return re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", re.sub(r"(array\()?\[.*\]\)?", "[…]", one_line))[:150]


def summary(reports: list[Report]) -> str:
    """Findings by kind and place, the most frequent first.

    Parameters
    ----------
    reports : list of Report
    """
    seeds: dict[tuple[str, str], list[int]] = {}
    said: dict[tuple[str, str], str] = {}
    for seed, outcome in reports:
        for finding in outcome.findings:
            key = finding[:2]
            seeds.setdefault(key, []).append(seed)
            said.setdefault(key, finding.said)
    lines = []
    for key in sorted(seeds, key=lambda key: -len(set(seeds[key]))):
        which = sorted(set(seeds[key]))
        share = 1000 * len(which) / len(reports)
        shown = ", ".join(map(str, which[:6])) + (", …" if len(which) > 6 else "")
        sentence = re.sub(r"\s+", " ", said[key])[:300]
        lines.append(f"{share:7.2f} in 1,000  {key[0]} at {key[1]}: {sentence}\n{'':18}seeds {shown}")
    return "\n".join(lines) or "Nothing was found."


def refusals(reports: list[Report]) -> str:
    """Sentences that refused a case, by kind, for a reader to judge.

    Parameters
    ----------
    reports : list of Report
    """
    kinds: dict[str, list[int]] = {}
    for seed, outcome in reports:
        if outcome.refusal:
            kinds.setdefault(without_numbers(outcome.refusal), []).append(seed)
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    return "\n".join(f"{len(seeds):5d}  {kind}  (seed {seeds[0]})" for kind, seeds in ordered)


def main() -> int:
    """Run as many cases as were asked for; 1 if the law was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description="Hold random fits to one law.")
    parser.add_argument("--fits", type=int, default=10_000, help="how many cases")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others count on from it")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--wait", type=float, default=MOST_WAIT, help="seconds after which a case counts as hanging")
    parser.add_argument("--refusals", action="store_true", help="also list the sentences that refused cases")
    parser.add_argument("--reduce", action="store_true", help="find a small case for each kind of finding")
    chosen = parser.parse_args()
    begun, reports = time.perf_counter(), []
    for report in run_all(range(chosen.seed, chosen.seed + chosen.fits), chosen.processes, chosen.wait):
        reports.append(report)
        for finding in report.outcome.findings:
            print(
                f"{report.seed}: {finding.what} at {finding.place}: {finding.said[:200]!r}", file=sys.stderr, flush=True
            )
    refused = sum(report.outcome.refusal is not None for report in reports)
    broken = Counter(bool(report.outcome.findings) for report in reports)[True]
    longest = max(reports, key=lambda report: report.outcome.seconds)
    print(
        f"{len(reports):,} cases from seed {chosen.seed} in {time.perf_counter() - begun:.0f} s: {refused:,} refused by a sentence, "
        f"{broken:,} broke the law; the longest fit took {longest.outcome.seconds:.1f} s (seed {longest.seed})."
    )
    print(summary(reports))
    if chosen.refusals:
        print("\nRefused:", refusals(reports), sep="\n")
    if chosen.reduce:
        _reduce(reports, chosen.wait)
    return 1 if broken else 0


def _reduce(reports: list[Report], wait: float) -> None:
    """A small case of each kind of finding, from the first seed that has it."""
    seen = set()
    for seed, outcome in sorted(reports):
        for finding in outcome.findings:
            if finding[:2] not in seen:
                seen.add(finding[:2])
                patience = min(wait, 2 * outcome.seconds + 1) if finding.what not in ("hanging", "slow") else wait
                small = reduced(draw(seed), finding, partial(judge_in_time, seed=seed, wait=patience))
                print(f"\n{finding.what} at {finding.place} (seed {seed}):\n    {small}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
