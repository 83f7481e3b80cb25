"""The solvers by name."""

from __future__ import annotations

from mixtura.ground.errors import InvalidParameterError
from mixtura.inference.ascent import PLAIN_EM, Solver
from mixtura.inference.em import ExpectationMaximization
from mixtura.inference.gradient import GeneralisedEM, Gradient
from mixtura.inference.newton import Newton
from mixtura.inference.quasi_newton import QuasiNewton
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.sweep import soft

AUTO = QuasiNewton(steadiness=0.1)

SOLVERS: dict[str, Solver] = {
    "auto": AUTO,
    "em": PLAIN_EM,
    "gem": GeneralisedEM(),
    "gradient": Gradient(),
    "lbfgs": QuasiNewton(),
    "newton": Newton(),
}


def solver_for(name: str, algorithm: ExpectationMaximization) -> Solver:
    """The solver of that name, if the algorithm has the gradients that it needs; ``"auto"`` makes do with what there is.

    Parameters
    ----------
    name : str
        One of ``SOLVERS``.
    algorithm : ExpectationMaximization
    """
    if algorithm.penalty is not None and name == "em":
        raise InvalidParameterError(
            "solver='em' has no M-step for a penalty; use 'auto', 'gem', 'gradient', 'lbfgs' or 'newton'."
        )
    missing = _missing(algorithm)
    if missing is None:
        return QuasiNewton(least_passes=1) if name == "auto" and algorithm.penalty is not None else SOLVERS[name]
    if name in ("auto", "em") and algorithm.penalty is None:
        return PLAIN_EM
    raise InvalidParameterError(f"solver={name!r} needs gradients, which there are none for with {missing}.")


def _missing(algorithm: ExpectationMaximization) -> str | None:
    if not isinstance(algorithm.structure, SharedBlocks):
        return f"covariance_type={algorithm.structure.name!r}"
    if algorithm.assignment is not soft:
        return "hard assignment; use solver='em'"
    if algorithm.equal_weights:
        return "equal_weights; use solver='em'"
    if algorithm.prior is not None:
        return "covariance_prior; use solver='em'"
    return None
