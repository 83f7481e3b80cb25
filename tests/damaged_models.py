"""Model files damaged at random, each from one seed, and what commands may make of them: one sentence, or a right answer.

``python -m bench.damaged`` runs thousands; the suite has a short form.
"""

import json
import math
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from commands import Finding, broken, run_here, working_in
from damage import Judged
from mixtura.assess.describe import fit_facts, posterior_facts
from mixtura.data.array import ArraySource
from mixtura.estimators.bayesian import BayesianGaussianMixture
from mixtura.estimators.search import GaussianMixtureSearch
from mixtura.ground.errors import ModelFileError
from mixtura.model.document import Document, from_json, to_json
from mixtura.model.mixture import Mixture

Rng = np.random.Generator

STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 3, 1e-320, 1e308, -1e308, 5e-324, 1e16, 10**400, math.nan, math.inf, -math.inf, "", "a", "nan",
    "\x1b]0;title\x07", "\ud800", "\u202e", "x" * 5000, "=1+1", [], [[]], [None], {}, {"a": 1}, [1e308, 1e308], [[1, 2], [3]], "9" * 400,
]  # fmt: skip
"""What a value is changed to."""
COMMANDS = ("describe", "predict", "score", "sample", "plot")


@cache
def sound_models() -> tuple[str, ...]:
    """Model files of every kind: searches, posteriors, draws, bare mixtures; with and without names."""
    X, _ = Mixture([0.4, 0.6], [[0.0, 0.0], [5.0, 3.0]], [1.0, 2.0], "spherical").sample(60, random_state=0)
    texts = []
    for structure in ("full", "tied", "diag", "tied_spherical"):
        found = GaussianMixtureSearch([1, 2], covariance_type=structure, n_init=2, random_state=0).fit(X)
        facts = fit_facts(found.search_, len(X), data="data.csv", left_out=["id"], seed=0, certificate="a maximum")
        texts.append(to_json(Document(found.mixture_.with_feature_names(["a", "b"]), facts)))
    fitted = BayesianGaussianMixture(2, random_state=0).fit(X)
    facts = posterior_facts(
        "Gibbs sampling",
        fitted.mixture_,
        ArraySource(X),
        [end.weights for end in fitted.posterior_.interval()],
        asked=2,
        bound=fitted.lower_bound_,
        verdict="2 chains agree.",
        table="quantity  R-hat\nweight     1.00",
        n_components={1: 0.25, 2: 0.75},
        stopped="converged",
        iterations=12,
    )
    texts.append(to_json(Document(fitted.mixture_, facts)))
    texts.append(to_json(Document(Mixture([1.0], [[1.0, 2.0]], [1.0], "spherical"))))
    return tuple(texts)


def damaged_model(seed: int) -> bytes:
    """A model file that was cut, that has flipped bytes, or changed values."""
    rng = np.random.default_rng(seed)
    text = sound_models()[rng.integers(len(sound_models()))]
    kind = rng.choice(["cut", "flipped", "doubled", "changed"], p=[0.1, 0.25, 0.05, 0.6])
    if kind == "changed":
        content = json.loads(text)
        for _ in range(rng.integers(1, 4)):
            part = rng.choice(["weights", "means", "covariances", "fit", "all"], p=[0.1, 0.2, 0.2, 0.4, 0.1])
            inside = content.get(part)
            _change(inside if isinstance(inside, dict | list) else content, rng, harsh=part in ("all", "fit"))
        return json.dumps(content, indent=1).encode()
    raw = bytearray(text.encode())
    where = np.sort(rng.integers(len(raw), size=2))
    if kind == "cut":
        return bytes(raw[: where[0]] if rng.random() < 0.5 else raw[: where[0]] + raw[where[1] :])
    if kind == "doubled":
        return bytes(raw[: where[1]] + raw[where[0] :])
    for _ in range(rng.integers(1, 5)):
        i = rng.integers(len(raw))
        raw[i] = rng.integers(256) if rng.random() < 0.5 else raw[i] ^ (1 << rng.integers(8))
    return bytes(raw)


def _change(content: Any, rng: Rng, harsh: bool) -> None:
    """Walk to some place in JSON content, and change, remove or add what is there; or else let numbers be numbers, though strange ones."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        if not isinstance(content[key], dict | list) or rng.random() < 0.1 * harsh:
            break
        content = content[key]
    act = rng.random() if harsh or rng.random() < 0.2 else 0.3
    if act < 0.12:
        del content[key]
    elif act < 0.2 and isinstance(content, list):
        content.append(content[key])
    elif act < 0.4 and isinstance(content[key], float):
        content[key] *= float(10.0 ** rng.integers(-300, 300)) if rng.random() < 0.7 else rng.normal()
    else:
        content[key] = deepcopy(STRANGE[rng.integers(len(STRANGE))])


def judge_model(seed: int, folder: Path) -> Judged:
    """Damage a model file and let every command read it; every tenth is drawn too.

    Parameters
    ----------
    seed : int
    folder : Path
        For the files.
    """
    content = damaged_model(seed)
    findings = list(findings_of(content, folder, COMMANDS if seed % 10 == 0 else COMMANDS[:-1]))
    return Judged(_mixture_in(content) is not None, "", "; ".join(map(str, findings)))


def findings_of(content: bytes, folder: Path, commands: tuple[str, ...] = COMMANDS) -> Iterator[Finding]:
    """How the commands that read a model file break the law: an answer must be that of the mixture that the file describes.

    Parameters
    ----------
    content : bytes
    folder : Path
        For the files.
    commands : tuple of str
    """
    (folder / "model.json").write_bytes(content)
    (folder / "data.csv").write_text("a,b\n0.5,1\n5,2.5\n-1,0\n")
    mixture = _mixture_in(content)
    arguments = {
        "describe": ["model.json"],
        "predict": ["model.json", "data.csv", "--proba"],
        "score": ["model.json", "data.csv"],
        "sample": ["model.json", "5"],
        "plot": ["model.json", "--out", "picture.png"],
    }
    for command in commands:
        with working_in(folder):
            ran = run_here([command, *arguments[command]])
        yield from broken(ran, is_table=command == "sample")
        if ran.code == 0:
            if mixture is None:
                yield Finding("an answer from a model that is none", command, ran.out[:200])
            elif command in ("predict", "score", "sample"):
                yield from _wrong(command, ran.out, mixture)
        elif mixture is not None and command in ("sample", "predict") and ran.error is None and _has_columns(mixture):
            yield Finding("no answer from a sound model", command, ran.err)


def _mixture_in(content: bytes) -> Mixture | None:
    try:
        return from_json(content.decode(), "it", Mixture).mixture
    except (ModelFileError, UnicodeDecodeError, OverflowError, RecursionError):
        return None


def _has_columns(mixture: Mixture) -> bool:
    return mixture.n_features == 2 and mixture.feature_names in (None, ("a", "b"), ("b", "a"))


def _wrong(command: str, out: str, mixture: Mixture) -> Iterator[Finding]:
    """Numbers that are not finite, labels and probabilities that are none."""
    lines = out.splitlines()[1:]
    try:
        numbers = np.array([line.split(",")[command == "score" :] for line in lines], dtype=float)
    except ValueError as error:
        yield Finding("not numbers", command, f"{error}: {out[:200]}")
        return
    if not np.isfinite(numbers).all():
        yield Finding("not finite", command, out[:300])
    elif command == "predict":
        shares = numbers[:, 1:]
        if shares.shape[1] != mixture.n_components or (numbers[:, 0] != shares.argmax(axis=1)).any():
            yield Finding("another label", command, out[:300])
        if np.abs(shares.sum(axis=1) - 1).max() > 1e-9:
            yield Finding("probabilities do not sum to one", command, out[:300])
