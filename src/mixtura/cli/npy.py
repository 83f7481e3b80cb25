"""NumPy's ``.npy`` files, read into memory: a mapped file that somebody cuts short ends the process."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from mixtura.cli.columns import Numbers, choose_columns
from mixtura.cli.opening import changed
from mixtura.ground.errors import DataError
from mixtura.ground.machine import physical_memory
from mixtura.model.rows import default_names

LARGE = 0.5
"""Of the machine's memory: files that take more are mapped, and must not change until the command ends."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Readers of headers by version; later ones are of arrays of records."""


def read_npy(handle: IO[bytes], source: str, columns: Sequence[str] | None, by_position: bool) -> Numbers:
    """The numbers in a ``.npy`` file.

    Parameters
    ----------
    handle : seekable binary file
    source : str
        What it is called, for people.
    columns : sequence of str or None
        Which, and in which order; ``None``: all.
    by_position : bool
        Whether ``columns`` may be given in order, if there are as many: such a file names none.
    """
    array = _read_array(handle, source)
    names = list(default_names(array.shape[1]))
    if columns is None:
        return Numbers(array, names)
    if not (by_position and len(columns) == len(names)):
        array = array[:, choose_columns(columns, names, source)]
    return Numbers(array, list(columns))


def _read_array(handle: IO[bytes], source: str) -> Any:
    shape, fortran_order, dtype = _read_header(handle, source)
    if dtype.kind not in "fiu" or len(shape) not in (1, 2) or not math.prod(shape):
        raise DataError(
            f"{source} must hold a two-dimensional array of numbers with rows and columns; "
            f"it has shape {_short(shape)} and dtype {dtype}."
        )
    here, size = handle.tell(), math.prod(shape) * dtype.itemsize
    if os.fstat(handle.fileno()).st_size < here + size:
        raise DataError(
            f"{source} is cut short: it holds less than an array of shape {_short(shape)} and dtype {dtype}."
        )
    memory = physical_memory()
    flat: Any
    if memory is not None and size > LARGE * memory:
        flat = np.memmap(handle, dtype, "r", here, (math.prod(shape),))
    else:
        flat = np.fromfile(handle, dtype, math.prod(shape))
    if len(flat) < math.prod(shape):
        raise changed(source)
    array = flat.reshape(shape, order="F" if fortran_order else "C")
    rows = array.reshape(-1, 1) if len(shape) == 1 else array
    with np.errstate(over="ignore"):  # what overflows is not finite, and refused as such
        return rows if rows.dtype in (np.float32, np.float64) and rows.dtype.isnative else rows.astype(np.float64)


def _read_header(handle: IO[bytes], source: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from Python's own parser
            shape, fortran_order, dtype = _HEADERS[npy.read_magic(handle)](handle)
    except Exception as error:  # the parsers of Python, to which NumPy hands it, have exceptions of their own
        raise DataError(f"{source} cannot be read as a NumPy array: its header is damaged.") from error
    if dtype.hasobject:
        raise DataError(
            f"{source} cannot be read as a NumPy array: it holds Python objects, which mixtura does not unpickle."
        )
    if any(length < 0 for length in shape):
        raise DataError(f"{source} cannot be read as a NumPy array: its shape is {_short(shape)}.")
    return shape, fortran_order, dtype


def _short(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) <= 80 else text[:77] + "..."
