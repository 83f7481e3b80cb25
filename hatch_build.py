"""How the engine of the sweeps gets into the package: compiled if a C++ compiler can be had, else a line that says why there is none.

A compiler on the PATH serves if it can do what is needed. Where none can, the build asks for ``ziglang``, a whole clang in a wheel. Without
either, or with ``MIXTURA_PURE=1``, the package is pure Python and NumPy does the same work, so an installation never fails for want of
a compiler that works.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

PACKAGE = "mixtura/sweep/compiled"
ENGINE = "_engine.abi3.so"
REASON = "missing.txt"
ZIG = "ziglang>=0.14"

FLAGS = ("-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast", "-fno-math-errno", "-pthread")
LINKING = ("-shared", "-pthread", *(("-undefined", "dynamic_lookup") if sys.platform == "darwin" else ()))

ON_X86_64 = platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32
OLDEST = ("-march=x86-64",) if ON_X86_64 else ("-DMIXTURA_SETS_BASELINE",)
"""What runs on any processor of the kind, whatever the compiler's own choice may be."""


class Unit(NamedTuple):
    """What is compiled into one object."""

    name: str
    source: str
    flags: tuple[str, ...]


def kernels(name: str, vector_bytes: int, registers: int, *flags: str) -> list[Unit]:
    """The kernels for an instruction set, which are told its registers, at both precisions."""
    told = (f"-DMIXTURA_SET={name}", f"-DMIXTURA_VECTOR_BYTES={vector_bytes}", f"-DMIXTURA_REGISTERS={registers}")
    return [
        Unit(f"{name}_{real}", "kernels.cpp", (*flags, *told, f"-DMIXTURA_REAL={real}", "-fno-exceptions"))
        for real in ("double", "float")
    ]


UNITS = [Unit("engine", "engine.cpp", OLDEST)]
if ON_X86_64:
    UNITS += kernels("v2", 16, 16, "-march=x86-64-v2")
    UNITS += kernels("v3", 32, 16, "-march=x86-64-v3")
    UNITS += kernels("v4", 64, 32, "-march=x86-64-v4", "-mprefer-vector-width=512")
else:
    UNITS += kernels("baseline", 16, 32)

TRIAL = """
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <thread>
void trial() { std::thread([] {}).join(); }
"""
"""Of which a compiler can make a module, if it knows C++17, the instruction sets, threads and Python's headers."""


class NotBuilt(Exception):
    """Why there is no engine, in words that end a sentence; a compiler's own words come as its cause."""


class Compiler(NamedTuple):
    """A command that compiles C++, and what is special about it.

    Attributes
    ----------
    command : tuple of str
    zig_cache : str
        Of zig, a folder for what it compiles of its own; other compilers have none. It spells architectures with underscores, and links a
        library of its own with all of its symbols.
    """

    command: tuple[str, ...]
    zig_cache: str = ""

    def compile(self, source: Path, output: Path, flags: Sequence[str]) -> None:
        """Make an object of a source."""
        include = f"-I{sysconfig.get_path('include')}"
        self._run(*FLAGS, *flags, include, "-c", str(source), "-o", str(output))

    def link(self, objects: Sequence[Path], output: Path) -> None:
        """Make a module of objects."""
        stripped = ("-s",) if self.zig_cache else ()
        self._run(*OLDEST, *LINKING, *stripped, *map(str, objects), "-o", str(output))

    def _run(self, *arguments: str) -> None:
        command = [*self.command, *map(self._spelled, arguments)]
        places = (
            dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), self.zig_cache) if self.zig_cache else {}
        )
        subprocess.run(
            command, env={**os.environ, **places}, check=True, capture_output=True, text=True, errors="replace"
        )

    def _spelled(self, argument: str) -> str:
        if self.zig_cache and argument.startswith("-march="):
            return "-march=" + argument.removeprefix("-march=").replace("-", "_")
        return argument


def obstacle() -> str | None:
    """Why no compiler is even looked for."""
    if os.environ.get("MIXTURA_PURE") == "1":
        return "built with MIXTURA_PURE=1"
    if sys.platform == "win32":
        return "built on Windows, where the engine has not been tried"
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "built for a Python without the stable interface"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "built without Python's header files"
    return None


@cache
def on_path() -> Compiler | None:
    """The first compiler on the PATH that can do what is needed."""
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        command = shlex.split(name)
        if command and shutil.which(command[0]) and can_compile(compiler := Compiler(tuple(command))):
            return compiler
    return None


def can_compile(compiler: Compiler) -> bool:
    """Whether the trial becomes a module."""
    with TemporaryDirectory() as folder:
        source, unit, module = (Path(folder, f"trial.{kind}") for kind in ("cpp", "o", "so"))
        source.write_text(TRIAL)
        try:
            compiler.compile(source, unit, UNITS[-1].flags)
            compiler.link([unit], module)
        except (OSError, subprocess.CalledProcessError):
            return False
    return True


def build(sources: Path, folder: Path) -> Path:
    """Compile the engine into a folder.

    Raises
    ------
    NotBuilt
    """
    if why := obstacle():
        raise NotBuilt(why)
    with TemporaryDirectory() as zig_cache:
        compiler = on_path()
        if compiler is None and find_spec("ziglang") is not None:
            compiler = Compiler((sys.executable, "-m", "ziglang", "c++"), zig_cache)
        if compiler is None:
            raise NotBuilt("built without a C++ compiler")
        try:
            return link_engine(compiler, sources, folder)
        except (OSError, subprocess.CalledProcessError) as failure:
            raise NotBuilt(f"built where {shlex.join(compiler.command)} failed") from failure


def link_engine(compiler: Compiler, sources: Path, folder: Path) -> Path:
    """Compile all units, as many at once as there are processors, and link them."""
    objects = [folder / f"{unit.name}.o" for unit in UNITS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        of_units = [
            pool.submit(compiler.compile, sources / unit.source, output, unit.flags)
            for unit, output in zip(UNITS, objects, strict=True)
        ]
    for compilation in of_units:
        compilation.result()
    compiler.link(objects, folder / ENGINE)
    return folder / ENGINE


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls. An editable installation has the engine beside its sources, and its objects in ``build/engine``."""

    def dependencies(self) -> list[str]:
        """Ask for a compiler where there is none."""
        return [ZIG] if obstacle() is None and on_path() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the engine, or why there is none, into the wheel or beside the sources."""
        sources = Path(self.root, "src", PACKAGE)
        if version == "editable":
            folder = Path(self.root, "build", "engine")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            built = self._built(sources, folder)
            for name in (ENGINE, REASON):
                (sources / name).unlink(missing_ok=True)
            built.rename(sources / built.name)
            return
        self._folder = TemporaryDirectory()
        built = self._built(sources, Path(self._folder.name))
        build_data["force_include"][str(built)] = f"{PACKAGE}/{built.name}"
        if built.name == ENGINE:
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform_tag()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Let go of what has been packed."""
        if version != "editable":
            self._folder.cleanup()

    def _built(self, sources: Path, folder: Path) -> Path:
        try:
            return build(sources, folder)
        except NotBuilt as reason:
            self.app.display_warning(f"mixtura comes without its compiled engine, {reason}; NumPy does its work.")
            if failure := reason.__cause__:
                self.app.display_warning(getattr(failure, "stderr", None) or str(failure))
            (folder / REASON).write_text(f"{reason}\n", encoding="utf-8")
            return folder / REASON


def platform_tag() -> str:
    """The tag of what is compiled and linked here, for machines like this one."""
    return next(tag for tag in platform_tags() if "linux" not in tag or tag.startswith("linux"))
