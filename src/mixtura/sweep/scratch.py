"""Working memory that a thread uses again from block to block and from pass to pass: fresh pages would cost as much as the work in them."""

from __future__ import annotations

import math

import numpy as np

from mixtura.ground.linalg import Array


class Scratch:
    """Named arrays whose contents do not matter between uses."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype], Array] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """An array of that shape with any content; it lives until the same name is asked for again."""
        size = math.prod(shape)
        buffer = self._buffers.get((name, dtype))
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name, dtype] = np.empty(size, dtype)
        return buffer[:size].reshape(shape)
