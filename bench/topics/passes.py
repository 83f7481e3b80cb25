"""One EM iteration against each peer, and against what the machine's arithmetic allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from bench.data import Problem
from bench.fresh import Failure, Task, alternate
from bench.machine import Ceilings, ceilings, n_cores
from bench.peers import PEERS, Mixtura
from bench.report import Row, Table, Target, judged, seconds, spread
from bench.timing import Turn, turn

SAME = 1e-6
"""Relative difference of log-likelihoods above which a row says so."""
MACHINE = "machine"

ABOUT = (
    "Seconds of one iteration, E-step and M-step: a fit of five iterations less a fit of one, over four, from the same explicit start, "
    "with nothing to stop or regularise either. That leaves out checks of the input, conversions and a last E-step on both sides. Every "
    "contender has a process of its own, warmed up; they take turns of equal length, A B A B. Medians over rounds; *measured* is how many "
    "times longer the peer takes, with its lowest and highest round beside it. *Likelihoods* is the relative difference of the final "
    f"log-likelihoods, each as its own library computes it; above {SAME:g} a note says so."
)
LIMIT = (
    "The least that the arithmetic of a pass takes on this machine: `4·N·K·F` operations, `F = D(D+1)/2 + D + 1` (diagonal: `2D + 1`), at "
    "the rate of the best product of large square matrices, and `N·K` exponentials, operands in cache, shared by all cores. Both ceilings "
    "are taken in turn with the contenders, best round; *measured* is this least over the median iteration."
)


@dataclass(frozen=True)
class Case:
    """A problem, what is wanted against each peer, and what share of the machine's limit."""

    problem: Problem
    targets: dict[str, float] = field(default_factory=dict)
    share: float | None = None


CASES = (
    Case(Problem(1_000_000, 10, 10), {"scikit-learn": 30, "Armadillo": 4}, 0.65),
    Case(Problem(100_000, 32, 16), {"scikit-learn": 12, "Armadillo": 2}, 0.70),
    Case(Problem(200_000, 64, 32), {"scikit-learn": 8}, 0.80),
    Case(Problem(1_000_000, 2, 5), {"scikit-learn": 40}, 0.65),
    Case(Problem(1_000_000, 10, 10, "diag"), {"scikit-learn": 10}, 0.50),
    Case(Problem(20_000, 10, 5, "diag"), {"scikit-learn": 15}, 0.50),
    Case(Problem(1_000_000, 10, 10, dtype="float32"), {"mixtura float64": 1.5}),
)


def tables(quick: bool) -> list[Table]:
    """Iterations beside the peers', beside the limit, and the ceilings themselves."""
    beside_peers: list[Row] = []
    beside_limit: list[Row] = []
    best: dict[str, Ceilings] = {}
    for case in CASES:
        problem = case.problem.shrunk(50) if quick else case.problem
        results = alternate(_tasks(problem, quick), rounds=2 if quick else 3)
        ours, machine = results.pop("mixtura"), results.pop(MACHINE)
        if isinstance(ours, Failure):
            beside_peers.append({"case": str(problem), "peer": "all", "note": f"mixtura failed: {ours}"})
            continue
        beside_peers += [_beside_peer(case, problem, ours, name, theirs) for name, theirs in results.items()]
        if isinstance(machine, Failure):
            beside_limit.append({"case": str(problem), "note": f"failed: {machine}"})
            continue
        found = _best(machine)
        best[problem.dtype] = _best([found, best.get(problem.dtype, found)])
        beside_limit.append(_beside_limit(case, problem, ours, found))
    return [
        Table("One iteration, beside peers", ABOUT, beside_peers),
        Table("One iteration, beside the machine's limit", LIMIT, beside_limit),
        Table("The machine's ceilings", "The best of all rounds above.", _ceiling_rows(best)),
    ]


def _tasks(problem: Problem, quick: bool) -> dict[str, Task]:
    budget = 0.2 if quick else 3.0
    tasks = {"mixtura": Task(turn, (Mixtura, problem, budget))}
    if problem.dtype == "float32":
        tasks["mixtura float64"] = Task(turn, (Mixtura, problem._replace(dtype="float64"), budget))
    for peer in PEERS:
        if problem.dtype in peer.dtypes and peer.version():
            tasks[peer.name] = Task(turn, (peer, problem, budget))
    tasks[MACHINE] = Task(ceilings, (problem.dtype, 2 if quick else 5))
    return tasks


def _beside_peer(case: Case, problem: Problem, ours: list[Turn], name: str, theirs: list[Turn] | Failure) -> Row:
    row = {"case": str(problem), "peer": name}
    if isinstance(theirs, Failure):
        return {**row, "note": f"failed: {theirs}"}
    mine, other = (median(t.seconds for t in turns) for turns in (ours, theirs))
    if min(mine, other) <= 0:
        return {**row, "note": "too short to be timed here"}
    row |= {"mixtura": seconds(mine), "the peer": seconds(other)}
    bound = case.targets.get(name)
    row |= judged(other / mine, None if bound is None else Target(bound))
    row["rounds"] = spread(b.seconds / a.seconds for a, b in zip(ours, theirs, strict=True))
    difference = abs(ours[0].log_likelihood / theirs[0].log_likelihood - 1)
    row["likelihoods"] = f"{difference:.0e}"
    return {**row, "note": f"likelihoods differ by more than {SAME:g}"} if difference > SAME else row


def _best(found: list[Ceilings]) -> Ceilings:
    return Ceilings(max(c.flops for c in found), min(c.exp_seconds for c in found))


def _beside_limit(case: Case, problem: Problem, ours: list[Turn], found: Ceilings) -> Row:
    n, d, k = problem[:3]
    n_terms = 2 * d + 1 if problem.covariance_type == "diag" else d * (d + 1) // 2 + d + 1
    products = 4 * n * k * n_terms / found.flops
    exponentials = n * k * found.exp_seconds / n_cores()
    taken = median(t.seconds for t in ours)
    target = None if case.share is None else Target(case.share, form="{:.0%}")
    return {
        "case": str(problem),
        "products": seconds(products),
        "exponentials": seconds(exponentials),
        "mixtura": seconds(taken),
        **judged((products + exponentials) / taken, target, "{:.0%}"),
    }


def _ceiling_rows(best: dict[str, Ceilings]) -> list[Row]:
    return [
        {
            "precision": dtype,
            "matrix product, all cores": f"{found.flops / 1e9:.0f} GFLOP/s",
            "exp, one core": f"{found.exp_seconds * 1e9:.2f} ns",
        }
        for dtype, found in best.items()
    ]
