"""The compiled engine, where there is one, and in a few words which engine serves and why.

The variable ``MIXTURA_ENGINE`` of the environment chooses: ``numpy``, ``compiled``, or an instruction set by its name, such as
``x86-64-v3``. Without it the compiled engine serves, with the best instruction set of the processor, wherever it has been built
(``hatch_build.py``).
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from mixtura.ground.errors import ClusterError, InvalidParameterError

__all__ = ["description", "engine", "needed"]

REASON = Path(__file__).with_name("missing.txt")
"""What the build leaves in place of an engine: why there is none."""


def _built() -> ModuleType | str:
    """The engine as the build has left it, or why it cannot serve."""
    try:
        import mixtura.sweep.compiled._engine as built
    except ModuleNotFoundError:
        return REASON.read_text(encoding="utf-8").strip() if REASON.exists() else "not built"
    except ImportError as error:
        return f"the compiled engine cannot be loaded: {error}"
    return built if built.instruction_sets() else "this processor has none of the instruction sets"


def _chosen(choice: str) -> tuple[ModuleType | None, str]:
    """The engine that ``MIXTURA_ENGINE`` asks for, and its description."""
    if choice == "numpy":
        return None, "NumPy: MIXTURA_ENGINE=numpy"
    built = _built()
    if isinstance(built, str):
        if choice:
            raise InvalidParameterError(
                f"MIXTURA_ENGINE={choice} is no engine of this machine, which has numpy alone ({built})"
            )
        return None, f"NumPy: {built}"
    names = built.instruction_sets()
    if choice not in ("", "compiled", *names):
        has = ", ".join(("numpy", "compiled", *names))
        raise InvalidParameterError(f"MIXTURA_ENGINE={choice} is no engine of this machine, which has {has}")
    built.use(choice if choice in names else names[-1])
    return built, f"compiled, {built.instruction_set()}"


engine, description = _chosen(os.environ.get("MIXTURA_ENGINE", ""))


def needed() -> ModuleType:
    """The engine, for what has been made to run on it: maybe on another machine.

    Raises
    ------
    ClusterError
        If this one has none.
    """
    if engine is None:
        raise ClusterError(
            f"a worker has no compiled engine ({description}), and this machine has. Install mixtura alike on both, or set "
            "MIXTURA_ENGINE=numpy here."
        )
    return engine
