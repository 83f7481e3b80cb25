"""A logbook of what passes have answered, from which a fit goes on to the same bits.

All that a fit learns of its rows, pass for pass, is the answer of ``Source.reduce``. So with these answers written down, in order, the fit
can be gone through again without its rows, whatever its algorithm, to the place where it was broken off, and then on with them. An answer
is a few numbers for each component, and going through it again costs an M-step.

Each record ends with a check sum. One that a kill has cut off is left out, and all before it are whole.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from mixtura.data.facts import Facts
from mixtura.data.source import Block, Mapped, S, Source, in_threads
from mixtura.ground.errors import ModelFileError
from mixtura.ground.files import StrPath, atomic_path, lock, named
from mixtura.ground.linalg import Array

MAGIC = b"mixtura checkpoint 1\n"
FRAME = struct.Struct("<QI")
"""Before each record: its length and its check sum."""
SYNC_SECONDS = 10.0
"""How much a loss of power may take away."""


class Logbook:
    """A file of records, to which more are added.

    Parameters
    ----------
    path : path-like
        Of a file that is there.

    Attributes
    ----------
    header : dict
        What the first record says.

    Raises
    ------
    ModelFileError
        If it is no logbook.
    """

    def __init__(self, path: StrPath) -> None:
        self._path, self._at_end, self._synced = path, False, time.monotonic()
        with named(path):
            self._file: IO[bytes] = open(path, "r+b")  # noqa: SIM115  it stays open
            if not lock(self._file.fileno()):
                self._file.close()
                raise ModelFileError(
                    f"{os.fspath(path)} is in use by another process. Wait for it, or name another file."
                )
        header = self._next() if self._file.read(len(MAGIC)) == MAGIC else None
        if header is None:
            self._file.close()
            raise ModelFileError(f"{os.fspath(path)} is not a checkpoint. Name another file.")
        self.header: dict[str, Any] = unpacked(header)

    @classmethod
    def begin(cls, path: StrPath, header: dict[str, Any]) -> Logbook:
        """One without answers, in place of any file of that name."""
        with atomic_path(path) as temporary:
            temporary.write_bytes(MAGIC + _framed(packed(header)))
        return cls(path)

    def close(self) -> None:
        """No more is added."""
        self._file.close()

    @property
    def has_ended(self) -> bool:
        """Whether the last record says that the fit came to its end."""
        position = self._file.tell()
        last = None
        while (record := self._next()) is not None:
            last = record
        self._file.seek(position)
        return last is not None and unpacked(last) == {"ended": True}

    def recall(self, asked: str) -> Any:
        """The next answer, or ``None`` after the last whole one: what follows it is cut off.

        Raises
        ------
        ModelFileError
            If it is the answer to another question.
        """
        if self._at_end:
            return None
        position, record = self._file.tell(), self._next()
        found = None if record is None else unpacked(record)
        if found is None or "ended" in found:
            self._at_end = True
            self._file.seek(position)
            self._file.truncate()
            return None
        if found["asked"] != asked:
            raise ModelFileError(
                f"{os.fspath(self._path)} does not fit: it goes on with {found['asked']}, and the fit with {asked}. Begin anew with "
                "another file."
            )
        return found["answer"]

    def add(self, asked: str, answer: Any) -> None:
        """Write an answer down."""
        self._write({"asked": asked, "answer": answer})

    def end(self) -> None:
        """Write down that there are no more."""
        self.recall("the end")
        self._write({"ended": True})

    def _write(self, content: dict[str, Any]) -> None:
        with named(self._path):
            self._file.write(_framed(packed(content)))
            self._file.flush()  # from here on a kill of the process takes nothing away
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def _next(self) -> bytes | None:
        """The next whole record."""
        frame = self._file.read(FRAME.size)
        if len(frame) < FRAME.size:
            return None
        length, check = FRAME.unpack(frame)
        # A damaged length may be anything; no more is read than there is.
        record = self._file.read(min(length, Path(self._path).stat().st_size))
        return record if len(record) == length and zlib.crc32(record) == check else None


def _framed(record: bytes) -> bytes:
    return FRAME.pack(len(record), zlib.crc32(record)) + record


class LoggedSource(Source):
    """A source whose answers are looked up in a logbook first, and written into it.

    Parameters
    ----------
    source : Source
    logbook : Logbook
    """

    def __init__(self, source: Source, logbook: Logbook) -> None:
        self._source, self._logbook, self.names = source, logbook, source.names

    @property
    def n_features(self) -> int:
        return self._source.n_features

    @property
    def dtype(self) -> np.dtype:
        return self._source.dtype

    @property
    def facts(self) -> Facts:
        """Those of the rows, which are there to be read."""
        return self._source.facts

    def blocks(self, size: int) -> Iterator[Block]:
        return self._source.blocks(size)

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array | None]]:
        return self._source.batches(size, rng)

    def reduce(self, task: Callable[[Block], S], size: int, mapped: Mapped = in_threads) -> S:
        asked = f"{getattr(task, '__qualname__', type(task).__qualname__)} of {size} rows"
        recalled: S | None = self._logbook.recall(asked)
        if recalled is not None:
            return recalled
        answer = self._source.reduce(task, size, mapped)
        self._logbook.add(asked, answer)
        return answer


# ---- records -------------------------------------------------------------------------------------------------------------------


def packed(content: Any) -> bytes:
    """What holds numbers, text, arrays, and data classes of this library, as bytes: what it is made of as JSON, and the arrays after it."""
    arrays = list[Array]()
    plan = json.dumps(_plan(content, arrays)).encode()
    return struct.pack("<I", len(plan)) + plan + b"".join(array.tobytes() for array in arrays)


def unpacked(record: bytes) -> Any:
    """What was packed."""
    (length,) = struct.unpack_from("<I", record)
    plan = json.loads(record[4 : 4 + length])
    content, _ = _built(plan, memoryview(record)[4 + length :])
    return content


def _plan(content: Any, arrays: list[Array]) -> Any:
    if isinstance(content, np.ndarray):
        arrays.append(content)
        return {"array": [content.dtype.str, list(content.shape)]}
    if isinstance(content, list):
        return [_plan(one, arrays) for one in content]
    if isinstance(content, dict):
        return {"dict": {name: _plan(one, arrays) for name, one in content.items()}}
    if dataclasses.is_dataclass(content):
        kind = type(content)
        fields = {one.name: _plan(getattr(content, one.name), arrays) for one in dataclasses.fields(content)}
        return {"class": [kind.__module__, kind.__qualname__], "fields": fields}
    return content.item() if isinstance(content, np.generic) else content


def _built(plan: Any, arrays: memoryview) -> tuple[Any, memoryview]:
    """What a plan stands for, and the arrays that are left."""
    if isinstance(plan, list):
        items = []
        for one in plan:
            item, arrays = _built(one, arrays)
            items.append(item)
        return items, arrays
    if not isinstance(plan, dict):
        return plan, arrays
    if "array" in plan:
        kind, shape = plan["array"]
        array = np.frombuffer(arrays, kind, math.prod(shape)).reshape(shape).copy()
        return array, arrays[array.nbytes :]
    parts: dict[str, Any] = {}
    for name, one in plan["fields" if "class" in plan else "dict"].items():
        parts[name], arrays = _built(one, arrays)
    return (_class_of(*plan["class"])(**parts) if "class" in plan else parts), arrays


def _class_of(module: str, name: str) -> Any:
    """A data class of this library, by its name; nothing else is looked up."""
    found = getattr(import_module(module), name, None) if module.startswith("mixtura.") else None
    if not dataclasses.is_dataclass(found):
        raise ModelFileError(f"a checkpoint names {module}.{name}, which this version does not have. Begin anew.")
    return found
