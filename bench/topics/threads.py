"""One thread against two, and whether the answer is the same to the last bit."""

from __future__ import annotations

from statistics import median

from bench.data import Problem
from bench.fresh import Failure, Task, alternate_all
from bench.machine import n_cores
from bench.peers import Mixtura
from bench.report import Row, Table, Target, judged, seconds, spread
from bench.timing import turn

CASES = (
    Problem(1_000_000, 10, 10),
    Problem(100_000, 32, 16),
    Problem(200_000, 64, 32),
    Problem(1_000_000, 2, 5),
    Problem(1_000_000, 10, 10, "diag"),
)
TARGET = Target(1.8)

ABOUT = (
    "One iteration, as above, with BLAS limited to one thread and to two, which decides how many a pass uses; in turn, each in a process "
    "of its own. *Same bits* compares weights, means and covariances after two iterations."
)


def tables(quick: bool) -> list[Table]:
    """The one table."""
    if n_cores() < 2:
        return [Table("Threads", "Left out: this process may use one core only.", [])]
    return [Table("Threads", ABOUT, [_row(problem.shrunk(50) if quick else problem, quick) for problem in CASES])]


def _row(problem: Problem, quick: bool) -> Row:
    budget = 0.2 if quick else 2.0
    tasks = {name: Task(turn, (Mixtura, problem, budget, t)) for name, t in (("one thread", 1), ("two threads", 2))}
    row = {"case": str(problem)}
    try:
        one, two = alternate_all(tasks, rounds=2 if quick else 5)
    except Failure as failure:
        return {**row, "note": f"failed: {failure}"}
    for name, turns in zip(tasks, (one, two), strict=True):
        row[name] = seconds(median(t.seconds for t in turns))
    row |= judged(median(t.seconds for t in one) / median(t.seconds for t in two), TARGET)
    row["rounds"] = spread(a.seconds / b.seconds for a, b in zip(one, two, strict=True))
    row["same bits"] = "yes" if one[0].digest == two[0].digest else "no"
    return row
