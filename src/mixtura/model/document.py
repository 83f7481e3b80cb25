"""The model file: a JSON document with a versioned schema (``mixture.schema.json`` beside this file), never a pickle.

Python writes the shortest decimal that reads back as the same double, so the round trip is exact. The document knows what a mixture is made
of, not what it is: whoever reads one says what to build of its parts, so that a mixture can save itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from mixtura.ground.errors import InvalidParameterError, ModelFileError
from mixtura.ground.files import atomic_path
from mixtura.ground.linalg import Array

FORMAT = "mixtura.mixture"
VERSION = 1
LONGEST = 60
"""Letters of a value that a sentence shows."""


class Parts(Protocol):
    """What a document holds of a mixture."""

    @property
    def covariance_type(self) -> str: ...

    @property
    def weights(self) -> Array: ...

    @property
    def means(self) -> Array: ...

    @property
    def covariances(self) -> Array: ...

    @property
    def feature_names(self) -> tuple[str, ...] | None: ...


M = TypeVar("M", bound=Parts)


@dataclass(frozen=True)
class Document(Generic[M]):
    """A mixture, and what is worth remembering of the fit that it came from (plain JSON values)."""

    mixture: M
    fit: Mapping[str, Any] = field(default_factory=dict)


def to_json(document: Document[M]) -> str:
    """The text of a model file."""
    mixture = document.mixture
    content = {
        "format": FORMAT,
        "version": VERSION,
        "covariance_type": mixture.covariance_type,
        "weights": mixture.weights.tolist(),
        "means": mixture.means.tolist(),
        "covariances": mixture.covariances.tolist(),
        "feature_names": None if mixture.feature_names is None else list(mixture.feature_names),
        "fit": dict(document.fit),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def from_json(text: str, where: str, build: Callable[..., M]) -> Document[M]:
    """The mixture in a text, or one clear sentence on why there is none.

    Parameters
    ----------
    text : str
    where : str
        How an error calls the text.
    build : callable
        Such as ``Mixture``: it is given weights, means, covariances, their type, and ``feature_names``, all of them unchecked.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{where} is not a mixtura model: not valid JSON ({error}).") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelFileError(f'{where} is not a mixtura model: it does not say "format": "{FORMAT}".')
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelFileError(f"{where} is damaged: its version is {_shown(version)}, not a positive integer.")
    if version > VERSION:
        raise ModelFileError(
            f"{where} has version {_shown(version)}; this mixtura reads up to version {VERSION}. Upgrade mixtura."
        )
    missing = [key for key in ("covariance_type", "weights", "means", "covariances") if key not in content]
    if missing:
        raise ModelFileError(f"{where} is damaged: it lacks {', '.join(missing)}.")
    names, fit = content.get("feature_names"), content.get("fit", {})
    if not (names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names))):
        raise ModelFileError(f"{where} is damaged: feature_names is neither null nor a list of names.")
    if not isinstance(fit, dict):
        raise ModelFileError(f"{where} is damaged: fit is not an object.")
    for key in ("weights", "means", "covariances"):
        if not _is_numbers(content[key]):
            raise ModelFileError(f"{where} is damaged: {key} holds something that is not a number.")
    try:
        mixture = build(
            content["weights"],
            content["means"],
            content["covariances"],
            content["covariance_type"],
            feature_names=names,
        )
    except InvalidParameterError as error:
        raise ModelFileError(f"{where} is damaged: {error}") from error
    return Document(mixture, fit)


def _shown(value: object) -> str:
    """A value as Python writes it, cut where that is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a very large number"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _is_numbers(value: object) -> bool:
    """Whether JSON content is a number or nested lists of numbers."""
    if isinstance(value, list):
        return all(map(_is_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def write_document(path: str | os.PathLike[str], mixture: Parts, fit: Mapping[str, Any] | None = None) -> None:
    """Write a model file whole or not at all."""
    text = to_json(Document(mixture, fit or {}))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_document(path: str | os.PathLike[str], build: Callable[..., M]) -> Document[M]:
    """Read a model file, as ``from_json`` does."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path} is not a mixtura model: it is not text.") from error
    return from_json(text, str(path), build)
