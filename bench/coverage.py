"""How often intervals cover the truth: ``python -m bench.coverage [--quick]``.

Data sets are drawn from a known mixture, fitted from the truth, and given intervals by each kind of standard error. Of all intervals of one
kind of parameter the share that covers the truth should be the nominal one, within what large-sample theory allows for this size.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

import mixtura as mx
from bench.report import Row, Table
from mixtura.assess.uncertainty.standard_errors import METHODS, Parameters, standard_errors

TRUTH = mx.Mixture([0.4, 0.6], [[0.0, 0.0], [3.0, 2.0]], [[[1.0, 0.5], [0.5, 1.5]], [[1.2, -0.4], [-0.4, 0.8]]], "full")
N_ROWS = (400, 1000)
N_DATA_SETS = 1000
LEVEL = 0.95
RANGE = (0.93, 0.97)

ABOUT = (
    "For each number of rows {n_data_sets} data sets, drawn from two components in two dimensions, of which labels by the truth "
    "get 4 % wrong, fitted from the truth with no floor. Measured: the share of nominal 95 % intervals that cover the truth. "
    "Beside it the lowest and the highest share of a single parameter, each with a Monte Carlo error of {error:.1%}. "
    "The bootstrap has 200 replicates."
)


def tables(quick: bool) -> list[Table]:
    """The one table."""
    n_data_sets = 20 if quick else N_DATA_SETS
    error = (LEVEL * (1 - LEVEL) / n_data_sets) ** 0.5
    return [Table("Coverage of intervals", ABOUT.format(n_data_sets=n_data_sets, error=error), rows(n_data_sets))]


def rows(n_data_sets: int = N_DATA_SETS, seed: int = 0) -> list[Row]:
    """A row for each size, method and kind of parameter.

    Parameters
    ----------
    n_data_sets : int
    seed : int
    """
    return [
        {"rows": str(n_rows), "method": method, "parameters": kind, **_judged(covered)}
        for n_rows in N_ROWS
        for method, kinds in coverage(n_rows, n_data_sets, seed).items()
        for kind, covered in kinds.items()
    ]


def coverage(n_rows: int, n_data_sets: int, seed: int = 0) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Whether each interval covers, ``(data sets, parameters)``, by method and kind of parameter.

    Of a covariance matrix one triangle counts, of two weights the first.

    Parameters
    ----------
    n_rows, n_data_sets : int
    seed : int
    """
    covered: dict[str, list[NDArray[np.bool_]]] = {method: [] for method in METHODS}
    for stream in np.random.default_rng(seed).spawn(n_data_sets):
        X, _ = TRUTH.sample(n_rows, stream)
        estimator = mx.GaussianMixture(
            2,
            weights_init=TRUTH.weights,
            means_init=TRUTH.means,
            precisions_init=TRUTH.precisions,
            reg_covar=0,
            tol=1e-5,
            max_iter=10_000,
        )
        fit = estimator.fit(X).mixture_
        for method, several in covered.items():
            lower, upper = standard_errors(fit, X, method=method, random_state=stream).interval(LEVEL)
            several.append((_free(lower) <= _free(TRUTH)) & (_free(TRUTH) <= _free(upper)))
    kinds = {"weights": slice(0, 1), "means": slice(1, 5), "variances": slice(5, 9), "covariances": slice(9, 11)}
    kinds["all"] = slice(0, 11)
    return {
        method: {kind: np.array(several)[:, part] for kind, part in kinds.items()}
        for method, several in covered.items()
    }


def _free(parameters: Parameters | mx.Mixture) -> NDArray[np.floating]:
    """A weight, four means, four variances, two covariances."""
    matrices = parameters.covariances
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    return np.concatenate([parameters.weights[:1], parameters.means.ravel(), variances.ravel(), matrices[:, 1, 0]])


def _judged(covered: NDArray[np.bool_]) -> Row:
    each, share = covered.mean(axis=0), covered.mean()
    low, high = RANGE
    return {
        "single parameters": f"{each.min():.1%} to {each.max():.1%}",
        "measured": f"{share:.1%}",
        "target": f"{low:.0%} to {high:.0%}",
        "verdict": "met" if low <= share <= high else "missed",
    }


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.coverage", description="Simulate how often intervals cover.")
    parser.add_argument("--quick", action="store_true", help="20 data sets, to see that all of it works")
    print(*tables(parser.parse_args().quick), sep="\n\n")


if __name__ == "__main__":
    main()
