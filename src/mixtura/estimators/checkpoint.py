"""Fits that are broken off and go on: what a checkpoint is of, and whether a fit goes on from it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from mixtura.data.logbook import Logbook, LoggedSource
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError, ModelFileError
from mixtura.ground.files import StrPath
from mixtura.ground.random import as_generator

CHECKPOINT = [str, os.PathLike, None]
WITHOUT_EFFECT = {"checkpoint", "verbose", "verbose_interval"}
"""Parameters that do not change what a fit comes to."""
LONGEST = 200
"""Letters of a parameter from which it is known by its digest."""


class Resumable:
    """An estimator with the parameter ``checkpoint``."""

    _fit: Any

    def resume(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Go on with a fit that was broken off, from its ``checkpoint``, to the same bits; where there is no such file yet, begin.

        Parameters
        ----------
        X : (N, D) array-like, or what ``mixtura.scan`` takes or returns
            The rows of that fit.
        y : ignored
        sample_weight : (N,) array-like, optional
            Their weights.

        Returns
        -------
        self

        Raises
        ------
        ModelFileError
            If the checkpoint is of another fit.
        """
        return self._fit(X, sample_weight, resumes=True)


@contextmanager
def logged(estimator: BaseEstimator, source: Source, resumes: bool) -> Iterator[tuple[Source, np.random.Generator]]:
    """The rows of a fit, and its random stream: with a checkpoint, rows whose answers are written down, or were.

    Parameters
    ----------
    estimator : BaseEstimator
        With the parameters ``checkpoint`` and ``random_state``.
    source : Source
    resumes : bool
        Whether the fit goes on from the checkpoint, if there is one.

    Raises
    ------
    ModelFileError
        If the checkpoint is of another fit; or is of one that has not come to its end, and is not to be gone on from.
    """
    path, random_state = estimator.checkpoint, estimator.random_state
    if path is None:
        if resumes:
            raise InvalidParameterError("resume goes on from a checkpoint; name its file: checkpoint='fit.checkpoint'.")
        yield source, as_generator(random_state)
        return
    if isinstance(random_state, np.random.Generator | np.random.RandomState):
        raise InvalidParameterError(
            f"with a checkpoint random_state must be an integer or None; a {type(random_state).__name__} moves on from fit to fit."
        )
    if getattr(estimator, "warm_start", False):
        raise InvalidParameterError(
            "warm_start=True begins with an earlier fit, which a checkpoint does not hold. Leave one of them out."
        )
    if getattr(estimator, "max_responsibilities", None) is not None:
        raise InvalidParameterError(
            "max_responsibilities remembers the candidates of each row in this process, and a checkpoint does not hold them. Leave one of "
            "them out."
        )
    header = _header(estimator, source)
    logbook = _resumed(path, header) if resumes else _begun(path, header)
    try:
        yield LoggedSource(source, logbook), as_generator(int(logbook.header["seed"]))
        logbook.end()
    finally:
        logbook.close()


def _begun(path: StrPath, header: dict[str, Any]) -> Logbook:
    if Path(path).exists():
        logbook = Logbook(path)
        has_ended = logbook.has_ended
        logbook.close()
        if not has_ended:
            raise ModelFileError(
                f"{os.fspath(path)} is of a fit that was broken off. Go on with it by resume, or remove the file to begin anew."
            )
    return Logbook.begin(path, header)


def _resumed(path: StrPath, header: dict[str, Any]) -> Logbook:
    if not Path(path).exists():
        return Logbook.begin(path, header)
    logbook = Logbook(path)
    if header["given_seed"] is None:
        header["seed"] = logbook.header.get("seed")
    if logbook.header != header:
        logbook.close()
        raise ModelFileError(
            f"{os.fspath(path)} is the checkpoint of another fit: {_difference(logbook.header, header)}. Fit what it was begun with, or "
            "name another file."
        )
    return logbook


def _header(estimator: BaseEstimator, source: Source) -> dict[str, Any]:
    parameters = estimator.get_params(deep=False)
    given = parameters.pop("random_state")
    seed = secrets.randbits(128) if given is None else int(given)
    facts = source.facts
    digest = hashlib.sha256(
        b"".join(part.tobytes() for part in (facts.mean, facts.squares, facts.lowest, facts.highest))
    )
    return {
        "mixtura": version("mixtura"),
        "estimator": type(estimator).__name__,
        **{name: _told(value) for name, value in sorted(parameters.items()) if name not in WITHOUT_EFFECT},
        "given_seed": None if given is None else str(int(given)),
        "seed": str(seed),
        "rows": facts.n_rows,
        "columns": source.n_features,
        "data": digest.hexdigest(),
    }


def _told(value: Any) -> str:
    """What a parameter is, the same in every process."""
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}, {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return text if len(text) <= LONGEST else hashlib.sha256(text.encode()).hexdigest()


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The first thing in which two headers differ, in words."""
    for name in (*ours, *theirs):
        if ours.get(name) != theirs.get(name):
            shown = "other values" if name == "data" else f"{theirs.get(name)!s} there, and {ours.get(name)!s} here"
            return f"{name.replace('given_seed', 'random_state')}: {shown}"
    raise AssertionError("headers that are equal")
