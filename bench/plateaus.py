"""``python -m bench.plateaus [--large]``: what is said to be still to come, beside what a long climb from there gains.

Fits of more components than there are groups, where EM creeps. A fit whose long climb is held at the floor is left out: the likelihood has
no end there. ``--large`` adds fits of 200 000 rows.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from tests.conftest import ROOT, read_columns

DATA_SETS = [
    ("faithful", 4, "full"),
    ("faithful", 5, "diag"),
    ("galaxies", 7, "spherical"),
    ("galaxies", 5, "tied_spherical"),
    ("acidity", 5, "spherical"),
    ("acidity", 4, "tied_spherical"),
    ("iris", 5, "diag"),
    ("iris", 4, "full"),
    ("diabetes", 5, "tied"),
    ("diabetes", 4, "full"),
]
N_SEEDS, N_SIMULATED, N_LARGE = 5, 20, 200_000


class Case(NamedTuple):
    """Rows, and what is fitted to them."""

    name: str
    rows: np.ndarray
    n_components: int
    covariance_type: str
    seed: int


def small_cases() -> Iterator[Case]:
    """Real data with several seeds, and one or two clouds."""
    for name, n_components, covariance_type in DATA_SETS:
        rows = read_columns(ROOT / "examples" / f"{name}.csv")
        for seed in range(N_SEEDS):
            yield Case(name, rows, n_components, covariance_type, seed)
    for seed in range(N_SIMULATED):
        rows = np.random.default_rng(seed).normal(size=(500, 2))
        rows[: 200 * (seed % 2 == 0)] += 3.0
        yield Case("simulated", rows, 4 if seed % 3 else 3, "full", seed)


def large_cases() -> Iterator[Case]:
    """Two or three clouds of which most rows belong to several."""
    for seed in range(3):
        for n_components in (2, 3, 4):
            rows = np.random.default_rng(seed).normal(size=(N_LARGE, 2))
            if n_components < 4:
                rows[: N_LARGE // 3] += [1.5, 1.0]
            else:
                rows[: N_LARGE // 3, 0] += 2.5
                rows[N_LARGE // 3 : N_LARGE // 2, 1] += 3.0
            yield Case("large", rows, n_components, "full", seed)


def judge(case: Case, init_params: str, further: dict[str, Any]) -> tuple[float, float, int] | None:
    """What a fit says is still to come, what a long climb gains from there, and how many reads the fit took."""
    import mixtura as mx

    shape = {"n_components": case.n_components, "covariance_type": case.covariance_type}
    fitted = mx.GaussianMixture(**shape, init_params=init_params, max_iter=5000, random_state=case.seed).fit(case.rows)
    m = fitted.mixture_
    begun = {"weights_init": m.weights, "means_init": m.means, "precisions_init": m.precisions}
    longer = mx.GaussianMixture(**shape, tol=1e-9, **further, **begun).fit(case.rows)
    if not fitted.converged_ or longer.collapses_:
        return None
    gained = (longer.lower_bound_ - fitted.lower_bound_) * len(case.rows)
    return fitted.stop_.remaining, gained, fitted.n_passes_


def main() -> None:
    """Fit all cases, and say how often the gain was more than was said, or more than ten times that."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--large", action="store_true", help="add fits of 200 000 rows")
    warnings.simplefilter("ignore")
    em, newton = {"solver": "em", "max_iter": 20_000}, {"solver": "newton", "max_iter": 600}
    sets = [("random_from_data", list(small_cases()), em), ("kmeans", list(small_cases()), em)]
    if parser.parse_args().large:
        sets.append(("kmeans", list(large_cases()), newton))
    for init_params, cases, further in sets:
        found = [judged for case in cases if (judged := judge(case, init_params, further)) is not None]
        claims, gains, reads = (np.array(column) for column in zip(*found, strict=True))
        ratios = gains / np.maximum(claims, 1e-6)
        print(
            f"{len(found)} of {len(cases)} {cases[-1].name} and other fits from {init_params}: {int(reads.sum())} reads; "
            f"{int((ratios > 1).sum())} gained more than was said, {int((ratios > 10).sum())} more than ten times that; "
            f"the largest gain {gains.max():.2g} nats, the largest ratio {ratios.max():.1f}"
        )


if __name__ == "__main__":
    main()
