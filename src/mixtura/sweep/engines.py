"""Which engine sweeps."""

from __future__ import annotations

from mixtura.sweep import compiled
from mixtura.sweep.engine import Engine, Setting
from mixtura.sweep.with_compiled import CompiledEngine
from mixtura.sweep.with_numpy import NumPyEngine


def engine(setting: Setting) -> Engine:
    """The compiled one, where there is one."""
    return NumPyEngine(setting) if compiled.engine is None else CompiledEngine(setting)
