"""Code imports downward only, and never in a circle: every import of the library is read and held to the floors of ``docs/design.md``."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

FLOORS = {
    "ground": 0,
    "model": 1,
    "data": 1,
    "sweep": 2,
    "inference": 3,
    "assess": 4,
    "bridges": 4,
    "estimators": 5,
    "plot": 6,
    "cli": 6,
}

SAME_FLOOR = {("cli", "plot")}
"""The command line draws pictures, and nothing in ``plot`` knows of it: the one place where a folder sees its neighbour."""

FRONT_DOOR = "front door"
"""The package ``mixtura`` itself: a table of names that sees every floor; only the command line may come in by it."""

THIRD_PARTY = {
    "numpy": tuple(FLOORS),
    "threadpoolctl": ("ground",),
    "scipy": tuple(FLOORS),
    "sklearn": ("estimators",),
    "matplotlib": ("plot",),
    "PIL": ("plot",),
    "click": ("cli", "estimators"),
    "pyarrow": ("data",),
    "dask": ("data",),
    "distributed": ("data",),
    "nutpie": ("inference",),
    "arviz_base": ("assess",),
    "arviz_stats": ("assess",),
    "arviz": ("assess",),
    "numpyro": ("bridges",),
    "jax": ("bridges",),
}

ONE_FILE = ("matplotlib", "pyarrow", "dask", "distributed", "nutpie", "arviz_base", "arviz_stats", "arviz", "numpyro")
"""Libraries that a single file of the house may import."""

GUESTS = {"arviz"}
"""Libraries that are served where a user has them, and needed by nothing."""

EXTRAS = ("plot", "data", "dask", "mcmc", "numpyro")

DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "PIL": "matplotlib",
    "distributed": "dask",
    "arviz_base": "arviz-base",
    "arviz_stats": "arviz-stats",
}
"""What brings a library, where that has another name; matplotlib writes its own images with PIL."""


def imported_modules(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a module imports, wherever in the file; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, *filter(None, [base])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def folder_of(name: str) -> str:
    """The folder of the house that a module's name lies in."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else FRONT_DOOR


def may_see(folder: str, other: str) -> bool:
    """Whether code in one folder may import from another."""
    if other == FRONT_DOOR:
        return folder in (FRONT_DOOR, "cli")
    if folder in (FRONT_DOOR, other) or (folder, other) in SAME_FLOOR:
        return True
    return FLOORS[other] < FLOORS[folder]


def violations(files: Mapping[str, str]) -> list[str]:
    """What breaks the floors in these sources, by path below ``src``; one sentence each."""
    found = []
    importers: dict[str, set[str]] = {library: set() for library in ONE_FILE}
    for path, source in files.items():
        is_package = path.endswith("/__init__.py")
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        folder = folder_of(module)
        if folder == FRONT_DOOR and module != "mixtura":
            found.append(f"{path}: stands on no floor")
            continue
        for line, name in imported_modules(source, module, is_package):
            library = name.partition(".")[0]
            if library == "mixtura":
                if not may_see(folder, folder_of(name)):
                    found.append(f"{path}:{line}: {folder} may not import {name}")
            elif library not in sys.stdlib_module_names:
                importers.get(library, set()).add(path)
                if folder not in THIRD_PARTY.get(library, ()):
                    found.append(f"{path}:{line}: {folder} may not import {library}")
    found += [f"{library} is imported in {sorted(where)}" for library, where in importers.items() if len(where) > 1]
    return found


def circles(files: Mapping[str, str]) -> list[list[str]]:
    """Modules that need each other, wherever in them the imports stand: groups in which a way leads from each to all others."""
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in files}
    needs: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = [name for _, name in imported_modules(files[path], module, path.endswith("/__init__.py"))]
        # The last part of ``from a.b import c`` may be a module or something in one.
        found = {name if name in modules else name.rpartition(".")[0] for name in names}
        needs[module] = (found & set(modules)) - {module}
    reached = {module: reachable(module, needs) for module in modules}
    groups = {frozenset(other for other in reached[module] if module in reached[other]) for module in modules}
    return sorted(sorted(group) for group in groups if group)


def reachable(module: str, needs: Mapping[str, set[str]]) -> set[str]:
    """All modules that a module needs, by way of others too; itself only where a way leads back."""
    found: set[str] = set()
    ahead = list(needs[module])
    while ahead:
        if (following := ahead.pop()) not in found:
            found.add(following)
            ahead += needs[following]
    return found


@pytest.fixture(scope="module")
def sources(root: Path) -> dict[str, str]:
    """All files of the library, by path below ``src``."""
    src = root / "src"
    files = {path.relative_to(src).as_posix(): path.read_text() for path in (src / "mixtura").rglob("*.py")}
    assert files
    return files


OF_ROWS = {"residuals", "whitened", "log_joint_of"}
"""What a scorer does with rows."""
MEANS_AS_ROWS = {"mixtura/assess/evidence/drawn.py"}
"""Where beliefs about means are scored, and no data."""


def test_nothing_above_the_sweeps_scores_rows(sources):
    """Data meet a mixture in sweeps, and in the methods of the mixture and its relatives themselves."""
    found = [
        f"{path}:{node.lineno}: {node.func.attr}"
        for path, text in sources.items()
        if path.split("/")[1] not in ("model", "sweep") and path not in MEANS_AS_ROWS
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in OF_ROWS
    ]
    assert found == []
    assert any("scorer.residuals(rows)" in text for path, text in sources.items() if "/sweep/" in path)


def test_code_imports_downward_only(sources: dict[str, str]) -> None:
    assert violations(sources) == []


def test_no_modules_need_each_other(sources: dict[str, str]) -> None:
    assert circles(sources) == []


def test_circles_are_found_wherever_the_imports_stand() -> None:
    planted = {
        "mixtura/model/__init__.py": "",
        "mixtura/model/a.py": "from mixtura.model.b import B",
        "mixtura/model/b.py": "def f():\n    from mixtura.model import c",
        "mixtura/model/c.py": "if TYPE_CHECKING:\n    from .a import A",
        "mixtura/model/d.py": "from mixtura.model.a import A\nimport mixtura.model.e",
        "mixtura/model/e.py": "import numpy\nfrom .f import f",
        "mixtura/model/f.py": "from mixtura.model import e",
        "mixtura/model/g.py": "from mixtura.model.d import D",
    }
    first, second = [f"mixtura.model.{name}" for name in "abc"], [f"mixtura.model.{name}" for name in "ef"]
    assert circles(planted) == [first, second]
    del planted["mixtura/model/c.py"]
    assert circles(planted) == [second]


def test_the_check_catches_what_it_should() -> None:
    planted = {
        "mixtura/model/a.py": "from mixtura.data.array import ArraySource",
        "mixtura/data/b.py": "def f():\n    from mixtura.model import mixture",
        "mixtura/sweep/c.py": "import mixtura.inference.rules.em",
        "mixtura/inference/d.py": "import sklearn.base",
        "mixtura/assess/e.py": "from ..estimators import gaussian_mixture",
        "mixtura/assess/__init__.py": "from ..plot import density",
        "mixtura/estimators/f.py": "import mixtura as mx",
        "mixtura/plot/g.py": "from mixtura.cli import main",
        "mixtura/cli/h.py": "import pandas",
        "mixtura/ground/i.py": "from mixtura import Mixture",
        "mixtura/loose.py": "",
    }
    caught = violations(planted)
    assert [sentence.partition(":")[0] for sentence in caught] == list(planted)


def test_the_check_allows_what_it_should() -> None:
    planted = {
        "mixtura/__init__.py": "from mixtura.model.mixture import Mixture",
        "mixtura/cli/a.py": "import click\nfrom mixtura import __version__\nfrom mixtura.plot import density",
        "mixtura/model/b.py": "from __future__ import annotations\nimport numpy as np\nfrom .moments import Moments",
        "mixtura/model/covariance/c.py": "from ..moments import Moments\nfrom mixtura.ground.errors import DataError",
        "mixtura/estimators/d.py": "from sklearn.base import BaseEstimator\nfrom mixtura.assess.choice.candidates import search",
    }
    assert violations(planted) == []


def test_an_optional_library_is_imported_in_one_file() -> None:
    planted = {"mixtura/data/a.py": "import pyarrow", "mixtura/data/b.py": "from pyarrow import parquet"}
    assert violations(planted) == ["pyarrow is imported in ['mixtura/data/a.py', 'mixtura/data/b.py']"]


def test_every_library_is_declared(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(r for name in EXTRAS for r in extras[name])]
    declared = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in requirements}
    assert declared == {DISTRIBUTIONS.get(library, library) for library in THIRD_PARTY} - GUESTS
