"""Code of our own for each instruction set."""

from __future__ import annotations

from typing import Any

from mixtura.sweep.compiled import _engine

engine: Any = _engine
