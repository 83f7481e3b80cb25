"""``python -m bench.convergence``: the climb of every solver from one start on a hard problem, drawn into docs/pictures."""

from __future__ import annotations

import warnings

from bench.examples import overlapping
from bench.report import PAGE

PICTURE = PAGE.parent / "pictures" / "convergence.png"
N_ROWS, N_FEATURES, N_COMPONENTS, OVERLAP = 4000, 3, 3, 1.2


def main() -> None:
    """Fit with every solver from the same mixture; draw reads of the data against the distance to the best."""
    import mixtura as mx
    from mixtura.inference.climb.solvers import SOLVERS

    warnings.simplefilter("ignore")
    rows = overlapping(N_ROWS, N_FEATURES, N_COMPONENTS, 5, OVERLAP)
    begin = mx.GaussianMixture(N_COMPONENTS, max_iter=0, random_state=0).fit(rows).mixture_
    given = {"weights_init": begin.weights, "means_init": begin.means, "precisions_init": begin.precisions}
    settings = {"tol": 1e-6, "max_iter": 30_000, **given}
    fits = {solver: mx.GaussianMixture(N_COMPONENTS, solver=solver, **settings).fit(rows) for solver in SOLVERS}
    axes = mx.plot.convergence(fits)
    axes.set_title(f"{N_COMPONENTS} overlapping components, {N_ROWS:,} × {N_FEATURES}", fontsize="medium")
    PICTURE.parent.mkdir(exist_ok=True)
    axes.figure.savefig(PICTURE, dpi=130)
    for solver, fitted in fits.items():
        print(f"{solver:9} {fitted.n_passes_:6d} reads, log-likelihood a row {fitted.lower_bound_:.9f}")
    print(f"Wrote {PICTURE.name}.")


if __name__ == "__main__":
    main()
