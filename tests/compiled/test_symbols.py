"""What the objects of the kernels define.

Of inline functions and templates that several objects define, the linker keeps one: that of AVX-512, maybe, for an older processor. What is
set up at namespace scope runs when the module is loaded. Both would happen before an instruction set is chosen, so neither may be there.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

OBJECTS = Path(__file__).parents[2] / "build" / "engine"
UNITS = sorted(OBJECTS.glob("*_*.o"))


PLANTED = """
#include <cstdlib>
template <class Real> Real doubled(Real x) { return x + x; }
extern "C" int square(int x) { return x * x; }
const int drawn = std::rand();
extern "C" int mixtura_v2_double() { return drawn; }
extern "C" auto of_v2_double = &doubled<double>;
"""


def symbols(unit: Path) -> dict[str, str]:
    """The kind of each symbol that an object defines, in ``nm``'s letters."""
    if not shutil.which("nm"):
        pytest.skip("there is no nm")
    command = ["nm", "--defined-only", "--format=posix", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name: kind for name, kind, *_ in map(str.split, done.stdout.splitlines())}


def leaks(unit: Path) -> set[str]:
    """What others see and should not: weak or shared symbols, and those that do not say of which unit they are."""
    named = re.compile(rf"(?<![a-z0-9]){unit.stem}(?![a-z0-9])")
    seen = {name: kind for name, kind in symbols(unit).items() if not kind.islower() or kind in "uvw"}
    assert seen
    return {name for name, kind in seen.items() if kind not in "TRDB" or not named.search(name)}


def set_up(unit: Path) -> set[str]:
    """What runs when the module is loaded."""
    return {name for name in symbols(unit) if "_GLOBAL__sub_I" in name or "__cxx_global_var_init" in name}


@pytest.mark.skipif(not UNITS, reason="the engine has not been built in place")
def test_each_instruction_set_has_a_unit_for_each_precision() -> None:
    sets = {unit.stem.partition("_")[0] for unit in UNITS}
    assert sets in ({"v2", "v3", "v4"}, {"baseline"})
    assert {unit.stem for unit in UNITS} == {f"{name}_{real}" for name in sets for real in ("double", "float")}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_defines_its_entries_and_runs_nothing_when_it_is_loaded(unit: Path) -> None:
    assert leaks(unit) == set()
    assert set_up(unit) == set()


@pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")
def test_the_check_catches_what_it_should(tmp_path: Path) -> None:
    source, unit = tmp_path / "planted.cpp", tmp_path / "v2_double.o"
    source.write_text(PLANTED)
    subprocess.run(["c++", "-std=c++17", "-c", str(source), "-o", str(unit)], check=True)
    assert leaks(unit) == {"square", "_Z7doubledIdET_S0_"}
    assert len(set_up(unit)) == 1
