"""Code imports downward only: every import of the library is read and held to the floors of ``docs/design.md``."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

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
    "threadpoolctl": ("sweep",),
    "scipy": tuple(FLOORS),
    "sklearn": ("estimators",),
    "matplotlib": ("plot",),
    "PIL": ("plot",),
    "click": ("cli", "estimators"),
    "pyarrow": ("cli", "data"),
    "nutpie": ("inference",),
    "arviz_base": ("assess",),
    "arviz_stats": ("assess",),
    "arviz": ("assess",),
    "numpyro": ("bridges",),
    "jax": ("bridges",),
}

ONE_FILE = ("matplotlib", "pyarrow", "nutpie", "arviz_base", "arviz_stats", "arviz", "numpyro")
"""Libraries that a single file of the house may import."""

GUESTS = {"arviz"}
"""Libraries that are served where a user has them, and needed by nothing."""

EXTRAS = ("plot", "data", "mcmc", "numpyro")

DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "PIL": "matplotlib",
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


def test_code_imports_downward_only(root: Path) -> None:
    src = root / "src"
    files = {path.relative_to(src).as_posix(): path.read_text() for path in (src / "mixtura").rglob("*.py")}
    assert files
    assert violations(files) == []


def test_the_check_catches_what_it_should() -> None:
    planted = {
        "mixtura/model/a.py": "from mixtura.data.array import ArraySource",
        "mixtura/data/b.py": "def f():\n    from mixtura.model import mixture",
        "mixtura/sweep/c.py": "import mixtura.inference.em",
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
        "mixtura/estimators/d.py": "from sklearn.base import BaseEstimator\nfrom mixtura.assess.search import search",
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
