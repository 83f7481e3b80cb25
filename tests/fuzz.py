"""Fits drawn at random: any data, any settings, sensible or not, each from one seed; and the law that all of them keep.

A fit ends in a result or in a ``ValueError`` or ``TypeError`` whose sentence names a parameter or the data. No other exception, no warning
but those that are meant for users, no NaN or infinity in what was fitted or predicted, probabilities that sum to one, the same answers
after pickling, and no fit that takes longer than it may. ``python -m bench.fuzz`` draws them by the thousand; the suite has a short form.
"""

import io
import pickle
import re
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx
from mixtura.inference.climb.solvers import SOLVERS
from mixtura.inference.starts.seedings import SEEDINGS
from mixtura.model.covariance import STRUCTURES

MOST_SECONDS = 20.0
"""Of a processor, that a fit may take: a machine that is busy with other things counts for nothing."""
MOST_WAIT = 3 * MOST_SECONDS
"""Seconds of a processor after which a case is stopped and counts as hanging; some cases are of several fits."""
MEANT_FOR_USERS = (ConvergenceWarning, mx.CollapseWarning)
WORDS = {"data", "x", "column", "columns", "row", "rows", "sample", "samples", "n_samples", "feature", "features"}
"""Any of these, or the name of a parameter, makes a sentence that says what it is about."""
PARTS = ("weights", "means", "covariances", "responsibilities")
"""What a sentence must not begin with: these are parameters of ``Mixture``, and no user of an estimator has set them."""
NAMES = [name for structure in STRUCTURES for name in (structure.name, structure.code)]
SOURCES = Path(mx.__file__).parent

Settings = dict[str, Any]
Rng = np.random.Generator


# ---- a case ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """What one call of ``fit`` is given.

    Attributes
    ----------
    values : (N, D) array
    container : str
        A key of ``CONTAINERS``, in which ``fit`` is handed the values.
    sample_weight : array or None
    """

    values: Any
    container: str = "array"
    sample_weight: Any = None

    @property
    def handed(self) -> Any:
        """The rows as ``fit`` sees them."""
        return CONTAINERS[self.container](self.values)


@dataclass(frozen=True)
class Case:
    """An estimator and the rows it is fitted to, one fit after another; before each fit but the first, settings may change.

    Attributes
    ----------
    kind : str
        The name of an estimator.
    settings : dict
    rows : Rows
    refits : list of (settings, Rows)
    """

    kind: str
    settings: Settings
    rows: Rows
    refits: list[tuple[Settings, Rows]] = field(default_factory=list)

    def __str__(self) -> str:
        fits = [f".fit({_shown(self.rows)})"]
        fits += [f".set_params({_listed(changes)}).fit({_shown(rows)})" for changes, rows in self.refits]
        return f"{self.kind}({_listed(self.settings)})" + "".join(fits)


class Finding(NamedTuple):
    """Where the law was broken.

    Attributes
    ----------
    what : str
        "exception", "nameless", "warning", "not finite", …
    place : str
        The line of mixtura that raised or warned, or the attribute or method that returned it.
    said : str
    """

    what: str
    place: str
    said: str


class Outcome(NamedTuple):
    """How a case ended: what was wrong, which sentence refused it if one did, and the longest fit in seconds."""

    findings: list[Finding]
    refusal: str | None
    seconds: float


def _listed(settings: Settings) -> str:
    with np.printoptions(threshold=30, precision=6):
        return ", ".join(f"{name}={_number(value)}" for name, value in settings.items())


def _shown(rows: Rows) -> str:
    with np.printoptions(threshold=60, precision=17):
        weights = "" if rows.sample_weight is None else f", sample_weight={_number(rows.sample_weight)}"
        return f"{rows.container} {np.shape(rows.values)} {_number(rows.values)}{weights}"


def _number(value: Any) -> str:
    return re.sub(r"\s+", " ", repr(value))


def draw(seed: int) -> Case:
    """The case of a seed."""
    rng = np.random.default_rng([seed, 20251125])
    rows = draw_rows(rng)
    kind = rng.choice(list(KINDS), p=[0.55, 0.12, 0.31, 0.02])
    settings = KINDS[kind](rng, rows)
    refits = []
    if rng.random() < 0.12:
        settings["warm_start"] = bool(rng.random() < 0.8)
        if kind in ("GaussianMixtureSearch", "SampledGaussianMixture"):
            del settings["warm_start"]
        for _ in range(rng.integers(1, 3)):
            again = (
                rows if rng.random() < 0.3 else draw_rows(rng, n_features=_width(rows) if rng.random() < 0.8 else None)
            )
            drawn = KINDS[kind](rng, again)
            changed = [name for name in drawn if name in settings and rng.random() < 0.5 and name != "warm_start"]
            if rng.random() < 0.5:
                changed = []
            changes = {name: drawn[name] for name in changed}
            refits.append((changes, again))
    return Case(str(kind), settings, rows, refits)


# ---- data --------------------------------------------------------------------------------------------------------------------------


def draw_rows(rng: Rng, n_features: int | None = None) -> Rows:
    """Data of any kind, possibly with weights."""
    if n_features is None:
        n_features = int(rng.choice([1, 2, 3, rng.integers(4, 13)], p=[0.3, 0.3, 0.2, 0.2]))
    few, some, many = rng.integers(2, 11), rng.integers(11, 61), rng.integers(61, 301)
    n_rows = int(rng.choice([few, some, many, 2000], p=[0.3, 0.45, 0.23, 0.02]))
    values = SHAPES[rng.choice(list(SHAPES))](rng, n_rows, n_features)
    for change in CHANGES:
        if rng.random() < 0.12:
            values = change(rng, values)
    if rng.random() < 0.01:
        values = NONSENSE[rng.integers(len(NONSENSE))](rng, values)
    container = str(rng.choice(list(CONTAINERS), p=[0.5] + [0.5 / (len(CONTAINERS) - 1)] * (len(CONTAINERS) - 1)))
    return Rows(values, container, draw_weights(rng, n_rows))


def _width(rows: Rows) -> int:
    return max(int(np.shape(rows.values)[1]), 1) if np.ndim(rows.values) == 2 else 1


def _clusters(rng: Rng, n_rows: int, n_features: int) -> np.ndarray:
    centres = rng.normal(0, 10 ** rng.uniform(0, 2), (rng.integers(1, 6), n_features))
    spreads = 10 ** rng.uniform(-2, 1, (len(centres), n_features))
    label = rng.integers(len(centres), size=n_rows)
    return centres[label] + spreads[label] * rng.normal(size=(n_rows, n_features))


def _subspace(rng: Rng, n_rows: int, n_features: int) -> np.ndarray:
    rank = rng.integers(1, n_features + 1)
    return rng.normal(size=(n_rows, rank)) @ rng.normal(size=(rank, n_features))


SHAPES: dict[str, Callable[[Rng, int, int], np.ndarray]] = {
    "normal": lambda rng, n, d: rng.normal(size=(n, d)),
    "clusters": _clusters,
    "heavy tails": lambda rng, n, d: rng.standard_t(rng.choice([0.5, 1.0, 2.0]), size=(n, d)),
    "a lattice": lambda rng, n, d: rng.integers(0, rng.integers(2, 8), size=(n, d)).astype(float),
    "zeros and ones": lambda rng, n, d: (rng.random((n, d)) < rng.uniform(0.05, 0.95, d)).astype(float),
    "counts": lambda rng, n, d: rng.poisson(10 ** rng.uniform(-1, 2, d), size=(n, d)).astype(float),
    "uniform": lambda rng, n, d: rng.random((n, d)),
    "log-normal": lambda rng, n, d: np.exp(rng.normal(0, rng.uniform(0.5, 4), size=(n, d))),
    "a subspace": _subspace,
    "one-hot": lambda rng, n, d: np.eye(d)[rng.integers(d, size=n)],
}


def _a_constant_column(rng: Rng, values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[:, rng.integers(values.shape[1])] = rng.choice([0.0, 1.0, 7.3, 1e9])
    return values


def _a_binary_column(rng: Rng, values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[:, rng.integers(values.shape[1])] = rng.random(len(values)) < rng.uniform(0.02, 0.98)
    return values


def _zeros(rng: Rng, values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[rng.random(len(values)) < rng.uniform(0.1, 0.9), rng.integers(values.shape[1])] = 0.0
    return values


def _repeated_rows(rng: Rng, values: np.ndarray) -> np.ndarray:
    return values[rng.integers(rng.integers(1, len(values) + 1), size=len(values))]


def _a_collinear_column(rng: Rng, values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[:, -1] = values @ rng.integers(-2, 3, values.shape[1])
    return values


def _rounded(rng: Rng, values: np.ndarray) -> np.ndarray:
    return np.round(values, int(rng.integers(0, 3)))


def _an_outlier(rng: Rng, values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[rng.integers(len(values))] = rng.choice([-1, 1], values.shape[1]) * 10 ** rng.uniform(2, 15)
    return values


def _an_offset(rng: Rng, values: np.ndarray) -> np.ndarray:
    return values + rng.choice([-1, 1], values.shape[1]) * 10 ** rng.uniform(0, 10, values.shape[1])


def _mixed_units(rng: Rng, values: np.ndarray) -> np.ndarray:
    return values * 10 ** rng.uniform(-12, 12, values.shape[1])


def _another_unit(rng: Rng, values: np.ndarray) -> np.ndarray:
    return values * 10 ** rng.uniform(-12, 12)


CHANGES = (
    _a_binary_column,
    _zeros,
    _rounded,
    _repeated_rows,
    _a_collinear_column,
    _a_constant_column,
    _an_outlier,
    _an_offset,
    _another_unit,
    _mixed_units,
)


def _with_one(value: float) -> Callable[[Rng, np.ndarray], np.ndarray]:
    def changed(rng: Rng, values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[rng.integers(len(values)), rng.integers(values.shape[1])] = value
        return values

    return changed


NONSENSE: tuple[Callable[[Rng, np.ndarray], Any], ...] = (
    _with_one(np.nan),
    _with_one(np.inf),
    _with_one(1e300),
    lambda rng, values: values * 1e200,
    lambda rng, values: values * 1e-200,
    lambda rng, values: values * 0.0,
    lambda rng, values: values[:1],
    lambda rng, values: values[:0],
    lambda rng, values: values[:, :0],
    lambda rng, values: values[:, 0],
    lambda rng, values: values[None],
    lambda rng, values: values.astype(str),
    lambda rng, values: values + 1j,
    lambda rng, values: np.where(values > values.mean(), None, values.astype(object)),
)


def _strided(values: Any) -> Any:
    return np.repeat(values, 2, axis=0)[::2]


def _single(values: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float32) if np.asarray(values).dtype.kind == "f" else values


CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "array": lambda values: values,
    "float32 array": _single,
    "Fortran array": np.asfortranarray,
    "strided array": _strided,
    "read-only array": lambda values: np.broadcast_to(values, np.shape(values)),
    "list": lambda values: np.asarray(values).tolist(),
    "data frame": lambda values: pd.DataFrame(values) if np.ndim(values) <= 2 else values,
    "named data frame": lambda values: (
        pd.DataFrame(values, columns=[f"feature {d}" for d in range(np.shape(values)[1])])
        if np.ndim(values) == 2
        else values
    ),
}


def draw_weights(rng: Rng, n_rows: int) -> Any:
    """None in most cases; else weights of any size, zeros among them, or nonsense."""
    if rng.random() < 0.65:
        return None
    drawn = rng.choice(len(WEIGHTS), p=[0.17] * 5 + [0.15 / (len(WEIGHTS) - 5)] * (len(WEIGHTS) - 5))
    return WEIGHTS[drawn](rng, n_rows)


WEIGHTS: tuple[Callable[[Rng, int], Any], ...] = (
    lambda rng, n: rng.random(n),
    lambda rng, n: rng.integers(0, 4, n),
    lambda rng, n: rng.random(n) * (rng.random(n) < 0.6),
    lambda rng, n: np.full(n, 10 ** rng.uniform(-12, 12)),
    lambda rng, n: 10 ** rng.uniform(-12, 6, n),
    lambda rng, n: np.full(n, 1e-300),
    lambda rng, n: np.full(n, 1e300),
    lambda rng, n: np.zeros(n),
    lambda rng, n: rng.normal(size=n),
    lambda rng, n: np.ones(n + 1),
    lambda rng, n: np.full(n, np.nan),
    lambda rng, n: 2.0,
)


# ---- settings ----------------------------------------------------------------------------------------------------------------------


def _sometimes(rng: Rng, settings: Settings, share: float) -> Settings:
    """Each setting with that probability; the rest stay at their defaults."""
    return {name: make() for name, make in settings.items() if rng.random() < share}


def _n_components(rng: Rng, rows: Rows) -> int:
    n_rows = max(len(np.atleast_1d(rows.values)), 1)
    drawn = rng.choice([rng.integers(1, 6), rng.integers(1, 31), n_rows, n_rows + 1], p=[0.85, 0.1, 0.04, 0.01])
    return int(drawn if drawn == n_rows + 1 else min(drawn, n_rows, 60))


def _reg_covar(rng: Rng, estimator: type) -> Any:
    choices = [0.0, 1e-300, 1e-12, 1e-6, 1e-3, 1.0, 1e6, 10 ** rng.uniform(-15, 3)]
    default = signature(estimator).parameters["reg_covar"].default
    return choices[rng.integers(len(choices))] if rng.random() < 0.8 else default


def _init_params(rng: Rng, n_rows: int, n_components: int) -> Any:
    if rng.random() < 0.6:
        return str(rng.choice(list(SEEDINGS)))
    shares = rng.dirichlet(np.full(n_components, 10 ** rng.uniform(-2, 1)), size=n_rows)
    return [
        rng.integers(n_components, size=n_rows),
        np.zeros(n_rows, dtype=int),
        np.arange(n_rows) % n_components,
        shares,
        _without_the_first(shares),
        np.eye(n_components)[rng.integers(n_components, size=n_rows)],
        np.full((n_rows, n_components), 1 / n_components),
        rng.integers(n_components + 1, size=n_rows),
        rng.random(n_rows),
        rng.random((n_rows, n_components + 1)),
        "random from data",
        [["a", 1]],
    ][rng.choice(12, p=[0.12] * 7 + [0.032] * 5)]


def _without_the_first(shares: np.ndarray) -> np.ndarray:
    """Responsibilities that leave the first component without rows, if there is another."""
    left = shares * (np.arange(shares.shape[1]) > 0)
    return np.divide(
        left, left.sum(axis=1, keepdims=True), out=shares.copy(), where=left.sum(axis=1, keepdims=True) > 0
    )


def _weights_init(rng: Rng, n_components: int) -> Any:
    valid = rng.dirichlet(np.ones(n_components))
    only = np.eye(n_components)[rng.integers(n_components)]
    sparse = valid * (rng.random(n_components) < 0.5)
    sparse = sparse / sparse.sum() if sparse.sum() else only
    tiny = np.where(only > 0, 1.0, 1e-300)
    wrong = [2 * valid, valid[:, None], np.full(n_components, np.nan), {}, ["a"] * n_components, -valid, []]
    return [valid, np.full(n_components, 1 / n_components), only, sparse, tiny, wrong[rng.integers(len(wrong))]][
        rng.choice(6, p=[0.3, 0.1, 0.2, 0.2, 0.1, 0.1])
    ]


def _means_init(rng: Rng, rows: Rows, n_components: int) -> Any:
    values = (
        rows.values if np.ndim(rows.values) == 2 and np.asarray(rows.values).dtype.kind == "f" else np.zeros((2, 1))
    )
    values = values if values.size else np.zeros((2, 1))
    chosen = values[rng.integers(len(values), size=n_components)]
    wrong = [
        chosen[:, :-1],
        chosen[:-1],
        np.full_like(chosen, np.nan),
        [1, "a"],
        {},
        [[1e308] * values.shape[1]] * n_components,
    ]
    return [
        chosen,
        chosen + rng.normal(size=chosen.shape),
        np.repeat(values[:1], n_components, axis=0),
        chosen + 10 ** rng.uniform(1, 9) * rng.normal(size=chosen.shape),
        wrong[rng.integers(len(wrong))],
    ][rng.choice(5, p=[0.3, 0.2, 0.2, 0.2, 0.1])]


def _precisions_init(rng: Rng, rows: Rows, n_components: int, structure: str) -> Any:
    d = _width(rows)
    scale = 10 ** (rng.uniform(-3, 3) if rng.random() < 0.7 else rng.uniform(-24, 24))
    factors = rng.normal(size=(n_components, d, d + 2))
    matrices = scale * factors @ np.swapaxes(factors, 1, 2)
    matrices = 0.5 * (matrices + np.swapaxes(matrices, 1, 2))
    diagonals = np.diagonal(matrices, axis1=1, axis2=2)
    of = {
        "full": matrices,
        "tied": matrices[0],
        "diag": diagonals,
        "tied_diag": diagonals[0],
        "spherical": diagonals[:, 0],
        "tied_spherical": diagonals[0, 0],
    }
    right = of[next((s.name for s in STRUCTURES if structure in (s.name, s.code)), "full")]
    wrong = [-right, 0 * right, of["full"][:, :, :-1], right * np.nan, {}, "a", 3.0]
    return right if rng.random() < 0.88 else wrong[rng.integers(len(wrong))]


class Ridge:
    """A penalty that draws means to the origin."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __repr__(self) -> str:
        return f"Ridge({self.strength:.3g})"

    def value(self, mixture: mx.Mixture) -> float:
        return -0.5 * self.strength * float(np.square(mixture.means).sum())

    def gradient(self, mixture: mx.Mixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.zeros_like(mixture.weights), -self.strength * mixture.means, np.zeros_like(mixture.covariances)


def _covariance_prior(rng: Rng, rows: Rows) -> Any:
    if rng.random() < 0.6:
        return "empirical"
    d = _width(rows) + int(rng.random() < 0.1)
    scale = np.eye(d) * 10 ** (rng.uniform(-3, 3) if rng.random() < 0.7 else rng.uniform(-20, 20))
    return mx.NormalInverseWishart(np.zeros(d), 10 ** rng.uniform(-3, 3), scale, d - 1 + 10 ** rng.uniform(-4, 3))


SHORT_CHAINS: Settings = {"n_draws": 20, "n_tune": 10, "n_chains": 2}
NONSENSICAL: Settings = {
    "n_components": [0, -1, 1.5, "2", None, True, 10**30],
    "covariance_type": ["fulll", "", None, 3, "E", "V", "VEV"],
    "tol": [-1, "a", None, float("nan"), float("inf")],
    "reg_covar": [-1e-6, "a", None, float("nan"), float("inf"), 1e300],
    "max_iter": [-1, 2.5, None, "a"],
    "n_init": [0, 1.5, None],
    "init_params": ["kmean", None, 3, [], [[]]],
    "random_state": [-1, "a", 1.5],
    "covariance_prior": ["empiric", 3, np.eye(2)],
    "solver": ["auto ", None, "bfgs"],
    "assignment": ["harder", None],
    "weight_concentration_prior": [0.0, -1.0, "a", float("nan"), float("inf")],
    "mean_precision_prior": [0.0, -1.0, float("nan"), float("inf")],
    "degrees_of_freedom_prior": [0.0, -3.0, float("nan"), float("inf")],
    "mean_prior": [{}, ["a"], [float("nan")]],
    "prior": ["weak", None, 3],
    "criterion": ["bicc", None],
    "penalty": [3, "l2"],
}


def _spoilt(rng: Rng, estimator: type, settings: Settings) -> Settings:
    """In one case of twenty, one setting that makes no sense."""
    if rng.random() < 0.05:
        known = [name for name in signature(estimator).parameters if NONSENSICAL.get(name)]
        name = known[rng.integers(len(known))]
        settings[name] = NONSENSICAL[name][rng.integers(len(NONSENSICAL[name]))]
    return settings


def _tol(rng: Rng) -> float:
    return [0, 0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 1.0][rng.integers(8)]


def _max_iter(rng: Rng, least: int) -> int:
    return max([0, 1, 2, 5, 20, 100, 300][rng.integers(7)], least)


def _gaussian_mixture(rng: Rng, rows: Rows) -> Settings:
    k, n_rows = _n_components(rng, rows), np.shape(rows.values)[0]
    structure = str(rng.choice(NAMES))
    settings: Settings = {"n_components": k, "covariance_type": structure, "random_state": int(rng.integers(1000))}
    settings |= _sometimes(
        rng,
        {
            "tol": lambda: _tol(rng),
            "max_iter": lambda: _max_iter(rng, 0),
            "n_init": lambda: int(rng.integers(1, 6)),
            "init_params": lambda: _init_params(rng, n_rows, k),
        },
        0.35,
    )
    settings |= _sometimes(rng, {"reg_covar": lambda: _reg_covar(rng, mx.GaussianMixture)}, 0.3)
    settings |= _sometimes(
        rng,
        {
            "weights_init": lambda: _weights_init(rng, k),
            "means_init": lambda: _means_init(rng, rows, k),
            "precisions_init": lambda: _precisions_init(rng, rows, k, structure),
            "covariance_prior": lambda: _covariance_prior(rng, rows),
            "pilot": lambda: False,
        },
        0.12,
    )
    settings |= _sometimes(
        rng, {"assignment": lambda: "hard", "equal_weights": lambda: True, "verbose": lambda: 1}, 0.06
    )
    settings |= _sometimes(rng, {"solver": lambda: str(rng.choice(list(SOLVERS)))}, 0.4)
    settings |= _sometimes(rng, {"penalty": lambda: Ridge(10 ** rng.uniform(-6, 2))}, 0.04)
    if rng.random() < 0.7 and settings.get("solver", "auto") not in ("auto", "em"):
        # Most settings that such a solver refuses are left out, so that most such fits run.
        settings = {
            name: v for name, v in settings.items() if name not in ("assignment", "equal_weights", "covariance_prior")
        }
    return _spoilt(rng, mx.GaussianMixture, settings)


def _search(rng: Rng, rows: Rows) -> Settings:
    sizes = sorted({_n_components(rng, rows) for _ in range(rng.integers(1, 4))})
    structures = [str(name) for name in rng.choice(NAMES, size=rng.integers(1, 4))]
    settings: Settings = {
        "n_components": sizes if rng.random() < 0.9 else sizes[0],
        "covariance_type": "all" if rng.random() < 0.2 else structures,
        "random_state": int(rng.integers(1000)),
    }
    settings |= {"n_init": int(rng.integers(1, 6))} if rng.random() < 0.7 else {}
    settings |= _sometimes(
        rng,
        {
            "criterion": lambda: str(rng.choice(["bic", "aic", "icl"])),
            "tol": lambda: _tol(rng),
            "max_iter": lambda: _max_iter(rng, 0),
            "reg_covar": lambda: _reg_covar(rng, mx.GaussianMixtureSearch),
        },
        0.3,
    )
    return _spoilt(rng, mx.GaussianMixtureSearch, settings)


def _bayesian(rng: Rng, rows: Rows) -> Settings:
    k, n_rows, d = _n_components(rng, rows), np.shape(rows.values)[0], _width(rows)
    structure = str(rng.choice(NAMES))
    solver = str(rng.choice(["cavi", "svi"], p=[0.8, 0.2]))
    settings: Settings = {
        "n_components": k,
        "covariance_type": structure,
        "solver": solver,
        "random_state": int(rng.integers(1000)),
    }
    extreme = rng.random() < 0.2
    settings |= _sometimes(
        rng,
        {
            "tol": lambda: _tol(rng),
            "max_iter": lambda: _max_iter(rng, 1),
            "n_init": lambda: int(rng.integers(1, 6)),
            "init_params": lambda: _init_params(rng, n_rows, k),
            "weight_concentration_prior_type": lambda: "dirichlet_distribution",
            "weight_concentration_prior": lambda: 10 ** (rng.uniform(-300, 300) if extreme else rng.uniform(-6, 6)),
        },
        0.3,
    )
    settings |= _sometimes(
        rng,
        {
            "reg_covar": lambda: _reg_covar(rng, mx.BayesianGaussianMixture),
            "mean_precision_prior": lambda: 10 ** (rng.uniform(-100, 100) if extreme else rng.uniform(-6, 6)),
            "mean_prior": lambda: 10 ** rng.uniform(-6, 6) * rng.normal(size=d + int(rng.random() < 0.05)),
            "degrees_of_freedom_prior": lambda: d - 1 + 10 ** (rng.uniform(-12, 12) if extreme else rng.uniform(-2, 2)),
            "covariance_prior": lambda: _precisions_init(rng, rows, 1, _of_one(structure)),
            "prior": lambda: "weakly-informative",
            "verbose": lambda: 1,
        },
        0.12,
    )
    if rng.random() < 0.2:
        size = int(rng.integers(1, n_rows + 10))
        settings["solver"] = mx.Svi(size) if solver == "svi" else mx.Cavi(size, moves=bool(rng.random() < 0.5))
    return _spoilt(rng, mx.BayesianGaussianMixture, settings)


def _sampled(rng: Rng, rows: Rows) -> Settings:
    k, n_rows = _n_components(rng, rows), np.shape(rows.values)[0]
    known = isinstance(k, int | np.integer) and k > 0
    numbers = [k, "dirichlet-process", mx.ComponentCountLaw.uniform(min(int(k), 30)) if known else k]
    settings: Settings = {
        "n_components": numbers[rng.integers(3)],
        "covariance_type": str(rng.choice(NAMES)),
        "sampler": "gibbs",
        "random_state": int(rng.integers(1000)),
        **SHORT_CHAINS,
    }
    settings |= _sometimes(
        rng,
        {
            "init_params": lambda: _init_params(rng, n_rows, k),
            "weight_concentration_prior": lambda: 10 ** rng.uniform(-6, 6),
            "n_init": lambda: int(rng.integers(1, 6)),
            "relabelling": lambda: str(rng.choice(["ecr", "stephens", "pivot"])),
        },
        0.3,
    )
    return _spoilt(rng, mx.SampledGaussianMixture, settings)


def _of_one(structure: str) -> str:
    """The structure of one component's block, which is what a prior scale has the shape of."""
    name = next(s.name for s in STRUCTURES if structure in (s.name, s.code))
    return {"full": "tied", "diag": "tied_diag", "spherical": "tied_spherical"}.get(name, name)


KINDS: dict[str, Callable[[Rng, Rows], Settings]] = {
    "GaussianMixture": _gaussian_mixture,
    "GaussianMixtureSearch": _search,
    "BayesianGaussianMixture": _bayesian,
    "SampledGaussianMixture": _sampled,
}


# ---- the law -----------------------------------------------------------------------------------------------------------------------


def judge(case: Case, seed: int = 0) -> Outcome:
    """Fit a case, use what was fitted, and say where the law was broken.

    Parameters
    ----------
    case : Case
    seed : int
        Of what is asked of the fitted estimator.
    """
    findings: list[Finding] = []
    refusal, seconds = None, 0.0
    with warnings.catch_warnings(record=True) as heard, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("always")
        try:
            estimator = getattr(mx, case.kind)(**case.settings)
            for changes, rows in [({}, case.rows), *case.refits]:
                estimator.set_params(**changes)
                begun = time.process_time()
                try:
                    estimator.fit(rows.handed, sample_weight=rows.sample_weight)
                finally:  # a search is as many fits as it has candidates
                    n_fits = len(vars(estimator).get("results_", {}).get("rank", "1"))
                    seconds = max(seconds, (time.process_time() - begun) / n_fits)
                findings += used(estimator, rows, seed)
        except (ValueError, TypeError) as error:
            refusal = f"{type(error).__name__}: {error}"
            findings += refused(error, case)
        except Exception as error:
            findings.append(Finding("exception", place(error), f"{type(error).__name__}: {error}"))
    findings += [
        Finding("warning", _within(Path(w.filename), w.lineno), f"{w.category.__name__}: {w.message}")
        for w in heard
        if not issubclass(w.category, MEANT_FOR_USERS)
    ]
    if seconds > MOST_SECONDS:
        findings.append(Finding("slow", case.kind, f"{seconds:.0f} s"))
    first = {finding[:2]: finding for finding in reversed(findings)}
    return Outcome(list(first.values())[::-1], refusal, seconds)


class Hanging(BaseException):
    """A case that does not end; no ``except Exception`` of the library stops it."""


def _ring(_number: int, _frame: FrameType | None) -> None:
    raise Hanging


def judge_in_time(case: Case, seed: int, wait: float = MOST_WAIT) -> Outcome:
    """The outcome of a case that is stopped after so many seconds of a processor, or ten times as many of the clock; main thread only.

    Parameters
    ----------
    case : Case
    seed : int
    wait : float
    """
    clocks = ((signal.SIGPROF, signal.ITIMER_PROF, wait), (signal.SIGALRM, signal.ITIMER_REAL, 10 * wait))
    before = [signal.signal(number, _ring) for number, _, _ in clocks]
    for _, clock, seconds in clocks:
        signal.setitimer(clock, seconds)
    try:
        return judge(case, seed)
    except Hanging as hanging:
        ours = _ours(hanging)
        where = " > ".join(_within(Path(frame.filename), frame.lineno or 0) for frame in ours)
        return Outcome(
            [Finding("hanging", case.settings.get("solver", case.kind), f"{wait:.0f} s, in {where}")], None, wait
        )
    finally:
        for _, clock, _ in clocks:
            signal.setitimer(clock, 0)
        for (number, _, _), handler in zip(clocks, before, strict=True):
            signal.signal(number, handler)


def refused(error: Exception, case: Case) -> Iterator[Finding]:
    """What is wrong with the sentence of an error that is allowed."""
    sentence = f"{type(error).__name__}: {error}"
    words = set(re.findall(r"\w+", str(error).lower()))
    names = set(signature(getattr(mx, case.kind)).parameters) | {"sample_weight"}
    if isinstance(error, mx.MixturaError) and "\n" in str(error):
        yield Finding("more than a line", place(error), sentence)
    if not _meant(error):
        yield Finding("another's words", place(error), sentence)
    elif isinstance(error, mx.MixturaError) and not words & (WORDS | {name.lower() for name in names}):
        yield Finding("nameless", place(error), sentence)
    if str(error).partition(" ")[0] in PARTS:
        yield Finding("a name that the user did not give", place(error), sentence)
    if isinstance(error, mx.CollapseError) and _cannot_collapse(case):
        yield Finding("collapse", place(error), sentence)
    if isinstance(error, mx.CollapseError) and "covariance_prior" in str(error) and _has_a_prior(case):
        yield Finding("advice already taken", place(error), sentence)


def _meant(error: Exception) -> bool:
    """Whether somebody wrote that sentence for users: mixtura, or scikit-learn where it looks at parameters and data."""
    deepest = traceback.extract_tb(error.__traceback__)[-1]
    by_hand = (deepest.line or "").startswith("raise")
    return isinstance(error, mx.MixturaError) or "sklearn" in deepest.filename or by_hand


NEGLIGIBLE = 1e-8
"""A floor below this share of the largest variance may be too low to keep components from collapsing."""


def _cannot_collapse(case: Case) -> bool:
    """Whether priors, or floors that are relative or high enough, keep components from collapsing."""
    if case.kind in ("BayesianGaussianMixture", "SampledGaussianMixture"):
        return True
    default = signature(getattr(mx, case.kind)).parameters["reg_covar"].default
    spread = max((_largest_variance(rows) for rows in (case.rows, *(rows for _, rows in case.refits))), default=0.0)
    floors = [settings.get("reg_covar", default) for settings in _all_settings(case)]
    return all(isinstance(floor, str) or floor > NEGLIGIBLE * spread for floor in floors)


def _has_a_prior(case: Case) -> bool:
    return all(settings.get("covariance_prior") is not None for settings in _all_settings(case))


def _all_settings(case: Case) -> list[Settings]:
    settings = [case.settings]
    for changes, _ in case.refits:
        settings.append(settings[-1] | changes)
    return settings


def _largest_variance(rows: Rows) -> float:
    with np.errstate(all="ignore"):
        return float(np.asarray(rows.values, dtype=float).var(axis=0).max())


def place(error: BaseException) -> str:
    """The deepest line of mixtura that an error came through."""
    deepest = (_ours(error) or traceback.extract_tb(error.__traceback__))[-1]
    return _within(Path(deepest.filename), deepest.lineno or 0)


def _ours(error: BaseException) -> list[traceback.FrameSummary]:
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if Path(frame.filename).is_relative_to(SOURCES)]


def _within(path: Path, line: int) -> str:
    short = path.relative_to(SOURCES) if path.is_relative_to(SOURCES) else Path(*path.parts[-3:])
    return f"{short}:{line}"


PREDICTED = ("predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl")


def used(estimator: Any, rows: Rows, seed: int) -> Iterator[Finding]:
    """Ask all that a fitted estimator answers."""
    yield from not_finite({name: value for name, value in vars(estimator).items() if name.endswith("_")})
    if hasattr(estimator, "results_"):
        fitted = estimator.results_["error"] == ""
        yield from not_finite({f"results_[{name}]": column[fitted] for name, column in estimator.results_.items()})
        yield from not_finite(
            {f"best_estimator_.{n}": v for n, v in vars(estimator.best_estimator_).items() if n.endswith("_")}
        )
    X = rows.handed
    answers = {name: getattr(estimator, name)(X) for name in PREDICTED}
    yield from not_finite(answers)
    yield from not_one(answers["predict_proba"])
    values = np.asarray(rows.values, dtype=float)
    away = 10 * np.random.default_rng(seed).normal(size=(1, values.shape[1])) * np.ptp(values, axis=0)
    elsewhere = replace(rows, values=values[:5] + away).handed
    far = {f"{name}, other rows": getattr(estimator, name)(elsewhere) for name in ("predict_proba", "score_samples")}
    yield from not_finite(far)
    yield from not_one(far["predict_proba, other rows"])
    drawn, labels = estimator.sample(7, random_state=seed)
    yield from not_finite({"sample": drawn, "labels of sample": labels})
    loaded = pickle.loads(pickle.dumps(estimator))
    for name in ("predict_proba", "score_samples"):
        if not np.array_equal(getattr(loaded, name)(X), answers[name]):
            yield Finding("another answer after pickling", name, "")


def not_finite(named: dict[str, Any]) -> Iterator[Finding]:
    """Arrays and numbers with NaN or infinity among them."""
    for name, value in named.items():
        if isinstance(value, (np.ndarray, float, np.floating, list, tuple)):
            try:
                array = np.asarray(value, dtype=float)
            except (TypeError, ValueError):  # names, records
                continue
            if not np.isfinite(array).all():
                yield Finding("not finite", name, f"{array[~np.isfinite(array)].ravel()[:3]}")


def not_one(probabilities: np.ndarray) -> Iterator[Finding]:
    """Rows of probabilities that do not sum to one."""
    off = np.abs(probabilities.sum(axis=1, dtype=float) - 1)
    if not (off < (1e-5 if probabilities.dtype == np.float32 else 1e-9)).all() or (probabilities < 0).any():
        yield Finding("probabilities do not sum to one", "predict_proba", f"off by {off.max():.3g}")


# ---- smaller -----------------------------------------------------------------------------------------------------------------------


def reduced(case: Case, finding: Finding, judged: Callable[[Case], Outcome], most: int = 400) -> Case:
    """A smaller case of the same finding: fewer settings, refits, weights, rows, columns, digits.

    Parameters
    ----------
    case : Case
    finding : Finding
        Of which the kind and the place are kept.
    judged : callable
        The outcome of a case.
    most : int
        Cases to try.
    """
    tried, going = 0, True
    while going and tried < most:
        going = False
        for smaller in simpler(case):
            tried += 1
            if any(found[:2] == finding[:2] for found in judged(smaller).findings):
                case, going = smaller, True
                break
            if tried >= most:
                break
    return case


def simpler(case: Case) -> Iterator[Case]:
    """Cases with one thing less."""
    for i in range(len(case.refits)):
        yield replace(case, refits=case.refits[:i] + case.refits[i + 1 :])
    if case.refits:
        changes, rows = case.refits[0]
        yield Case(case.kind, case.settings | changes, rows, case.refits[1:])
    for i, (changes, rows) in enumerate(case.refits):
        before, after = case.refits[:i], case.refits[i + 1 :]
        for name in changes:
            fewer = {n: v for n, v in changes.items() if n != name}
            yield replace(case, refits=[*before, (fewer, rows), *after])
        for simple in _simpler_rows(rows):
            yield replace(case, refits=[*before, (changes, simple), *after])
    for name in case.settings:
        yield replace(case, settings={n: v for n, v in case.settings.items() if n != name})
    if isinstance(k := case.settings.get("n_components"), int) and k > 1:
        yield replace(case, settings=case.settings | {"n_components": k - 1})
    for simple in _simpler_rows(case.rows):
        yield replace(case, rows=simple)


def _simpler_rows(rows: Rows) -> Iterator[Rows]:
    """Plainer, unweighted, fewer."""
    if rows.container != "array":
        yield replace(rows, container="array")
    if rows.sample_weight is not None:
        yield replace(rows, sample_weight=None)
    if np.ndim(rows.values) == 2 and np.asarray(rows.values).dtype.kind == "f":
        for values, weights in _smaller_tables(rows):
            yield replace(rows, values=values, sample_weight=weights)


def _smaller_tables(rows: Rows) -> Iterator[tuple[np.ndarray, Any]]:
    values, weights = rows.values, rows.sample_weight
    n_rows, n_features = values.shape
    step = n_rows // 2
    while step:
        for begin in range(0, n_rows, step):
            kept = np.r_[0:begin, min(begin + step, n_rows) : n_rows]
            yield values[kept], weights if weights is None or np.shape(weights) != (n_rows,) else weights[kept]
        step = step // 4 if step > 3 else step - 1 if step > 1 and n_rows < 30 else 0
    for d in range(n_features if n_features > 1 else 0):
        yield np.delete(values, d, axis=1), weights
    for digits in (1, 2, 4):
        with np.errstate(all="ignore"):
            size = np.where(values == 0, 1.0, 10.0 ** np.floor(np.log10(np.abs(np.where(values == 0, 1.0, values)))))
            rounded = np.round(values / size, digits - 1) * size
        if not np.array_equal(rounded, values) and np.isfinite(rounded).all():
            yield rounded, weights
