"""What every test shares: the environment, the data sets, the reference results."""

import json
import os
from pathlib import Path
from typing import Any

# Read when scipy and matplotlib are first imported, so set before any test can do that. Without SCIPY_ARRAY_API scikit-learn
# skips its estimator checks on array API input; Agg draws without a display.
os.environ["SCIPY_ARRAY_API"] = "1"
os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import pytest
from hypothesis import settings

# No deadline: a test that waits for its turn on a busy machine is not wrong. Derandomised where CI is set, so that a change is judged
# by the same examples every time; elsewhere new examples keep coming.
settings.register_profile("mixtura", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("mixtura")

TESTS = Path(__file__).parent
ROOT = TESTS.parent
NUMERICAL = [TESTS / folder for folder in ("compiled", "known", "laws", "sweep", "twins")]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed-shift",
        type=int,
        default=0,
        metavar="N",
        help="run stochastic tests with the N-th set of seeds (default: 0)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever takes the seed is stochastic, and five folders are about numbers: ``-m "stochastic or numerical"`` runs those alone."""
    for item in items:
        if item.path.parent in NUMERICAL:
            item.add_marker(pytest.mark.numerical)
        parametrised = getattr(getattr(item, "callspec", None), "params", {})
        if "seed" in getattr(item, "fixturenames", ()) and "seed" not in parametrised:
            item.add_marker(pytest.mark.stochastic)


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """From which every stochastic test begins: ``seed``, ``seed + 1`` and so on; ``--seed-shift N`` moves all of them to others.

    Such a test is right or fails with a probability of at most 1e-6: see ``chance.py``.
    """
    return 1000 * int(pytestconfig.getoption("seed_shift"))


def read_columns(path: Path) -> np.ndarray:
    """The numeric columns of a data set; a last column ``class`` is left out."""
    names = path.read_text().partition("\n")[0].split(",")
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, usecols=range(len(names) - ("class" in names)))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of data sets."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def faithful(examples: Path) -> np.ndarray:
    """Old Faithful: eruptions and waiting, (272, 2)."""
    return read_columns(examples / "faithful.csv")


@pytest.fixture(scope="session")
def galaxies(examples: Path) -> np.ndarray:
    """Velocities of 82 galaxies, (82, 1)."""
    return read_columns(examples / "galaxies.csv")


@pytest.fixture(scope="session")
def acidity(examples: Path) -> np.ndarray:
    """Log acidity of 155 lakes, (155, 1)."""
    return read_columns(examples / "acidity.csv")


@pytest.fixture(scope="session")
def iris(examples: Path) -> np.ndarray:
    """Iris without the species, (150, 4)."""
    return read_columns(examples / "iris.csv")


@pytest.fixture(scope="session")
def diabetes(examples: Path) -> np.ndarray:
    """Diabetes without the class, (145, 3)."""
    return read_columns(examples / "diabetes.csv")


@pytest.fixture(scope="session")
def wreath() -> np.ndarray:
    """A wreath of 14 simulated clusters, (1000, 2)."""
    return read_columns(TESTS / "reference" / "data" / "wreath.csv")


class Reference:
    """The stored results of another implementation, by file name: see ``tests/reference/README.md``."""

    def __init__(self) -> None:
        self._read: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = json.loads((TESTS / "reference" / f"{name}.json").read_text())
        return self._read[name]

    def fits(self, name: str) -> list[dict[str, Any]]:
        """The table ``fits`` as one dictionary a row."""
        table = self[name]["fits"]
        return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


@pytest.fixture(scope="session")
def reference() -> Reference:
    """``reference["faithful"]`` is a result file; ``reference.fits("faithful")`` its table of fits."""
    return Reference()
