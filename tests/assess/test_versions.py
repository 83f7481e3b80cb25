"""What runs here, for a report."""

import platform
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

import mixtura as mx
from mixtura.assess.versions import installed
from mixtura.sweep.compiled import description


def test_versions_are_those_of_what_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mx.show_versions()
    lines = capsys.readouterr().out.splitlines()
    rows = [tuple(re.split(" {2,}", line)) for line in lines]
    assert len({line.index(text) for line, (_, text) in zip(lines, rows, strict=True)}) == 1
    shown = dict(rows)
    assert shown["mixtura"] == version("mixtura")
    assert shown["engine"] == description
    assert shown["Python"].startswith(platform.python_version())
    assert shown["platform"] == platform.platform()
    blas = [library["version"] for library in threadpool_info() if library["user_api"] == "blas"]
    assert [text for name, text in rows if name == "BLAS" and not any(str(found) in text for found in blas)] == []

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    optional = [r for name in ("plot", "data", "dask", "mcmc", "numpyro") for r in extras[name]]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in [*project["dependencies"], *optional]}
    of_libraries = names | {"mixtura"}
    assert {name: shown.get(name) for name in of_libraries} == {name: installed(name) for name in of_libraries}


def test_what_is_not_installed_has_no_version() -> None:
    assert installed("mixtura-of-nothing") is None
