"""Parameters that several estimators have, and what they may be, said once."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from mixtura.inference.climb.solvers import SOLVERS
from mixtura.inference.starts.seedings import SEEDINGS
from mixtura.model.covariance import COVARIANCE_TYPES
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.sweep import Assignment, hard, soft

ASSIGNMENTS: dict[str, Assignment] = {"soft": soft, "hard": hard}

POSITIVE_INTEGER = [Interval(Integral, 1, None, closed="left")]
POSITIVE_NUMBER = [Interval(Real, 0.0, None, closed="neither"), None]

EVERY = {
    "n_components": POSITIVE_INTEGER,
    "covariance_type": [StrOptions(set(COVARIANCE_TYPES))],
    "n_init": POSITIVE_INTEGER,
    "init_params": [StrOptions(set(SEEDINGS)), "array-like"],
    "random_state": ["random_state", np.random.Generator],
    "verbose": ["verbose"],
}
"""Of all estimators of a mixture."""

CLIMBS: dict[str, list[Any]] = {
    "tol": [Interval(Real, 0.0, None, closed="left")],
    "reg_covar": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
    "max_iter": [Interval(Integral, 0, None, closed="left")],
}
"""Of those that climb."""

REPORTS: dict[str, list[Any]] = {"warm_start": ["boolean"], "verbose_interval": POSITIVE_INTEGER}
"""Of single climbs."""

LIKELIHOOD: dict[str, list[Any]] = {
    "covariance_prior": [StrOptions({"empirical"}), NormalInverseWishart, None],
    "assignment": [StrOptions(set(ASSIGNMENTS))],
    "equal_weights": ["boolean"],
    "solver": [StrOptions(set(SOLVERS))],
    "penalty": [HasMethods(["value", "gradient"]), None],
    "pilot": ["boolean"],
    "max_responsibilities": [*POSITIVE_INTEGER, None],
}
"""Of those that climb a likelihood."""
