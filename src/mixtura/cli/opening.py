"""Opening a file of data: pipes and packed files become plain ones, and one that changes while it is read is noticed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any, cast

from mixtura.ground.errors import DataError

READABLE = "mixtura reads CSV or TSV in UTF-8, .npy and Parquet"
PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
"""How files that begin so are unpacked."""
MOST_LAYERS = 4
DAMAGED = (
    struct.error,
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
)
FOREIGN = {
    b"\x89HDF": "an HDF5 file",
    b"ARROW1": "an Arrow file",
    b"ORC": "an ORC file",
    b"SQLite format 3": "an SQLite database",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"%PDF": "a PDF",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
"""What files are that begin so, and cannot be read."""


@contextmanager
def opened(path: str) -> Iterator[tuple[IO[bytes], str]]:
    """A file as bytes that can be read again, and what it is called.

    Pipes, standard input too, are copied into a temporary file; gzip, bzip2, xz and zip files with a single member are unpacked into one.

    Parameters
    ----------
    path : str
        ``"-"`` is standard input.

    Raises
    ------
    DataError
        If there is no such file, it is of a kind that holds no table, or it has changed before it was read to its end.
    """
    with ExitStack() as stack:
        handle, source = _open(path, stack)
        before = _state(handle)
        try:
            yield _unpacked(handle, source, stack), source
        except DataError:
            _refuse_changed(handle, before, source)
            raise
        _refuse_changed(handle, before, source)


def changed(source: str) -> DataError:
    """What is said of a file that is not what it was."""
    return DataError(f"{source} was changed while it was read. Try again when nothing writes to it, or on a copy.")


def _open(path: str, stack: ExitStack) -> tuple[IO[bytes], str]:
    if path == "-":
        if sys.stdin is None:
            raise DataError("standard input is closed.")
        return sys.stdin.buffer, "standard input"
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise DataError(f"there is no file {path!r}. Check the name, or give - to read standard input.") from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{path!r} is a folder; give a file in it.")
    handle = stack.enter_context(open(path, "rb"))  # noqa: SIM115 (the stack closes it)
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or handle.isatty()):
        raise DataError(f"{path!r} is a device, not a file.")
    return handle, path


def _state(handle: IO[bytes]) -> tuple[int, int] | None:
    """Size and time of the last change of a regular file."""
    if not handle.seekable():
        return None
    state = os.fstat(handle.fileno())
    return state.st_size, state.st_mtime_ns


def _refuse_changed(handle: IO[bytes], before: tuple[int, int] | None, source: str) -> None:
    if before is not None and _state(handle) != before:
        raise changed(source)


def _unpacked(handle: IO[bytes], source: str, stack: ExitStack) -> IO[bytes]:
    """The file itself, or what is packed in it."""
    for _ in range(MOST_LAYERS):
        if not handle.seekable():
            handle = _copied(handle, stack)
        place = handle.tell()
        start = handle.read(16)
        handle.seek(place)
        for magic, kind in FOREIGN.items():
            if start.startswith(magic):
                raise DataError(f"{source} is {kind}; {READABLE}. Save the table as one of those.")
        unpack = next((unpack for magic, unpack in PACKED.items() if start.startswith(magic)), None)
        if unpack is None and not start.startswith(b"PK\x03\x04"):
            return handle
        try:
            inside = unpack(handle) if unpack else _member(handle, source, stack)
            handle = _copied(inside, stack)
        except DataError:
            raise
        except DAMAGED as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of what is packed
                raise
            raise DataError(f"{source} cannot be unpacked: {str(error).rstrip('.')}. Is the file complete?") from error
    raise DataError(f"{source} is packed more than {MOST_LAYERS} times over.")


def _member(handle: IO[bytes], source: str, stack: ExitStack) -> IO[bytes]:
    """The only file in a zip archive."""
    archive = stack.enter_context(zipfile.ZipFile(handle))
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names:
        raise DataError(f"{source} is an Excel workbook or another office document; {READABLE}. Save its sheet as CSV.")
    if len(names) != 1:
        some = f": {', '.join(map(repr, names[:6]))}{', ...' * (len(names) > 6)}" if names else ""
        raise DataError(f"{source} is an archive of {len(names)} files{some}. Unpack it, and give one of them.")
    return archive.open(names[0])


def _copied(stream: IO[bytes], stack: ExitStack) -> IO[bytes]:
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return cast(IO[bytes], copy)
