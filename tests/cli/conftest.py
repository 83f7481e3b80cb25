"""Running the command line, in this process or in one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixtura.assess.describe import fit_facts
from mixtura.cli import run
from mixtura.cli.tables import read_table
from mixtura.estimators.search import GaussianMixtureSearch
from mixtura.model.document import write_document

QUICK = ("--components", "1:2", "--restarts", "2")


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error of a command that refused its input."""
        assert self.code == 2, (self.code, self.err)
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("mixtura: error: "), self.err
        return self.err.removeprefix("mixtura: error: ").rstrip("\n")


Cli = Callable[..., Outcome]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    inside = tmp_path / "here"
    inside.mkdir()
    monkeypatch.chdir(inside)
    return inside


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process, in an empty folder."""

    def invoke(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return invoke


@pytest.fixture
def process(folder: Path) -> Cli:
    """Run a command as a process of its own, in an empty folder."""

    def invoke(*arguments: object, stdin: bytes = b"", code: str | None = None) -> Outcome:
        start = ["-m", "mixtura.cli"] if code is None else ["-c", code]
        done = subprocess.run(
            [sys.executable, *start, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            timeout=300,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    return invoke


@pytest.fixture(scope="session")
def faithful_csv(examples: Path) -> Path:
    """Old Faithful as a file."""
    return examples / "faithful.csv"


@pytest.fixture(scope="session")
def model(faithful_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of Old Faithful with two components, the larger first."""
    table = read_table(str(faithful_csv))
    found = GaussianMixtureSearch([1, 2], n_init=2, random_state=0).fit(table.rows).search_
    assert found.best.mixture is not None
    order = (-found.best.mixture.weights).argsort()
    path = tmp_path_factory.mktemp("model") / "faithful.mixture.json"
    mixture = found.best.mixture.reorder(order).with_feature_names(table.columns)
    write_document(path, mixture, fit_facts(found, len(table.rows), data="faithful.csv", seed=0))
    return path
