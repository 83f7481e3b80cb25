"""How much memory a fit takes beyond its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.data import Problem, drawn
from bench.fresh import Failure, Task, alone
from bench.peers import Contender, Mixtura, ScikitLearn
from bench.report import Row, Table, Target, judged

PROBLEM = Problem(2_000_000, 8, 20)
TARGET = Target(100, at_least=False, form="{:.0f} MB")
N_ITER = 2

ABOUT = (
    f"The highest resident size that the kernel saw during a fit of {N_ITER} iterations, less the size before it, in a fresh process after "
    "a small fit of the same kind (Linux only). Once with mixtura's own start, k-means and its short runs included, and from an explicit "
    "start for both libraries."
)


def tables(quick: bool) -> list[Table]:
    """The one table."""
    problem = PROBLEM.shrunk(50) if quick else PROBLEM
    ways: dict[str, tuple[Callable[[Problem], None], Target | None]] = {
        "mixtura, its own start": (fit_from_own_start, TARGET),
        "mixtura, explicit start": (fit_mixtura, TARGET),
        "scikit-learn, explicit start": (fit_scikit_learn, None),
    }
    rows = [_row(problem, name, fit, target) for name, (fit, target) in ways.items()]
    return [Table("Memory", ABOUT, rows)]


def _row(problem: Problem, name: str, fit: Callable[[Problem], None], target: Target | None) -> Row:
    row = {"case": str(problem), "fit": name}
    try:
        return {**row, **judged(alone(Task(megabytes, (fit, problem))), target, "{:.0f} MB")}
    except Failure as failure:
        return {**row, "note": f"failed: {failure}"}


def megabytes(fit: Callable[[Problem], None], problem: Problem) -> float:
    """Peak beyond what is resident before the fit."""
    fit(problem._replace(n_rows=10_000))
    drawn(problem)
    return peak_beyond(_status("VmRSS") / 1000, lambda: fit(problem))


def peak_beyond(before: float, work: Callable[[], None]) -> float:
    """Megabytes that are resident at most while something is done, beyond those before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    work()
    return _status("VmHWM") / 1000 - before


def _status(key: str) -> float:
    """Kilobytes (of 1000 bytes)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1.024
    raise OSError(f"the kernel does not tell {key}")


def fit_mixtura(problem: Problem) -> None:
    """From the explicit start."""
    _fit(Mixtura, problem)


def fit_scikit_learn(problem: Problem) -> None:
    """From the explicit start."""
    _fit(ScikitLearn, problem)


def _fit(kind: type[Contender], problem: Problem) -> None:
    kind(problem).fit(N_ITER)


def fit_from_own_start(problem: Problem) -> None:
    """From the default start."""
    from mixtura import GaussianMixture

    rows, _ = drawn(problem)
    GaussianMixture(problem.n_components, max_iter=N_ITER, tol=1, random_state=0).fit(rows)
