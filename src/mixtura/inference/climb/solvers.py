"""The solvers by name."""

from __future__ import annotations

from mixtura.ground.errors import InvalidParameterError
from mixtura.inference.climb.climber import PLAIN_EM, Solver
from mixtura.inference.climb.gradient import GeneralisedEM, Gradient
from mixtura.inference.climb.looking_again import LookingAgain
from mixtura.inference.climb.newton import Newton
from mixtura.inference.climb.quasi_newton import QuasiNewton
from mixtura.inference.climb.squarem import Squarem
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.model.covariance.structure import SharedBlocks
from mixtura.sweep import Truncated, soft

STEADINESS = 0.1

AUTO = QuasiNewton(steadiness=STEADINESS)

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
    if algorithm.penalty is not None and name in ("em", "newton"):
        lacking = "M-step" if name == "em" else "Hessian"
        raise InvalidParameterError(
            f"solver={name!r} has no {lacking} for a penalty; use 'auto', 'gem', 'gradient' or 'lbfgs'."
        )
    if name in ("auto", "em") and algorithm.penalty is None and isinstance(algorithm.assignment, Truncated):
        return LookingAgain()
    if name in ("auto", "em") and algorithm.penalty is None and obstacle_to_gradients(algorithm):
        extrapolates = name == "auto" and isinstance(algorithm.structure, SharedBlocks) and algorithm.assignment is soft
        return Squarem(STEADINESS) if extrapolates else PLAIN_EM
    check_has_gradients(algorithm, f"solver={name!r}")
    if algorithm.penalty is not None and name in ("auto", "lbfgs"):
        return QuasiNewton(least_passes=1)  # without an M-step there is no EM to begin with
    return SOLVERS[name]


def check_has_gradients(algorithm: ExpectationMaximization, what: str) -> None:
    """Raise if something that needs the gradient of the bound is asked of an algorithm that has none."""
    if obstacle := obstacle_to_gradients(algorithm):
        raise InvalidParameterError(f"{what} needs the gradient of the bound, which there is none of with {obstacle}.")


def obstacle_to_gradients(algorithm: ExpectationMaximization) -> str | None:
    """What leaves the bound without a gradient, if anything does."""
    if not isinstance(algorithm.structure, SharedBlocks):
        return f"covariance_type={algorithm.structure.name!r}"
    if isinstance(algorithm.assignment, Truncated):
        return "max_responsibilities"
    if algorithm.assignment is not soft:
        return "assignment='hard'"
    if algorithm.equal_weights:
        return "equal_weights"
    return None if algorithm.prior is None else "covariance_prior"
