"""The compiled engine: which instruction sets there are, and that the one in use is the one asked for."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mixtura.sweep.compiled import description

FLAGS = {
    "x86-64-v2": {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"},
    "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
"""What each generation adds, as Linux calls it, which leaves out what it has not switched on."""

UNWANTED = {
    "NumPy: MIXTURA_ENGINE=numpy",
    "NumPy: built with MIXTURA_PURE=1",
    "NumPy: built without Python's header files",
}
"""Why there may be no engine all the same."""


@pytest.fixture
def engine() -> Iterator[ModuleType]:
    """The module, whatever MIXTURA_ENGINE says; afterwards the instruction set is what it was."""
    module = pytest.importorskip("mixtura.sweep.compiled._engine")
    before = module.instruction_set()
    yield module
    module.use(before)


@pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")
def test_there_is_an_engine_where_there_is_a_compiler() -> None:
    assert description.startswith("compiled, ") or description in UNWANTED


def test_any_of_its_instruction_sets_can_be_used(engine: ModuleType) -> None:
    for name in engine.instruction_sets():
        engine.use(name)
        assert engine.instruction_set() == name


@pytest.mark.parametrize("name", ["", "x86-64-v1", "x86-64-v5", "X86-64-V2", "numpy", "v2"])
def test_no_other_can(engine: ModuleType, name: str) -> None:
    before = engine.instruction_set()
    with pytest.raises(ValueError, match=f"this processor does not run '{name}'"):
        engine.use(name)
    with pytest.raises(TypeError):
        engine.use(None)
    assert engine.instruction_set() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_processor_runs_what_linux_says_it_does(engine: ModuleType) -> None:
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    flags = {flag for key, _, values in lines if key.strip() == "flags" for flag in values.split()}
    if not flags:
        assert engine.instruction_sets() == ("baseline",)
        return
    expected, needed = [], set()
    for name, added in FLAGS.items():
        needed |= added
        if needed <= flags:
            expected.append(name)
    assert engine.instruction_sets() == tuple(expected)
