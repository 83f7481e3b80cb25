"""Hints are given where a column is no measurement, and nowhere else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixtura.cli.hints import hints

Cli = Callable[..., object]
RNG = np.random.default_rng(0)
N = 200
HEIGHT = RNG.normal(170, 10, N).round(1)


def with_spike(value: float, times: int, base: np.ndarray = HEIGHT) -> np.ndarray:
    column = base.copy()
    column[:times] = value
    return column


NOTED: dict[str, tuple[np.ndarray, str]] = {
    "-999": (
        with_spike(-999, 5),
        "column 'x' holds -999 in 5 rows, far from all other values; if it stands for a missing",
    ),
    "9999": (with_spike(9999, 3), "--missing 9999"),
    "99 among ages": (with_spike(99, 9, RNG.integers(18, 80, N).astype(float)), "--missing 99"),
    "-1": (with_spike(-1, 8), "--missing -1"),
    "a row number": (
        np.arange(N) + 1.0,
        "column 'x' counts the rows; if it only names them, leave it out: --columns height",
    ),
    "shuffled": (RNG.permutation(N) + 5000.0, "column 'x' counts the rows"),
    "classes": (RNG.integers(0, 3, N).astype(float), "column 'x' holds only a few integers; if those are codes"),
    "sex": (RNG.integers(1, 3, N).astype(float), "column 'x' holds only a few integers"),
}

SILENT: dict[str, np.ndarray] = {
    "measurements": HEIGHT,
    "one outlier": with_spike(-999, 1),
    "many zeros": with_spike(0, 60, RNG.exponential(1.0, N)),
    "two groups": np.r_[RNG.normal(0, 1, 100), RNG.normal(50, 1, 100)],
    "percentages": with_spike(99, 5, RNG.integers(0, 99, N).astype(float)),
    "counts": RNG.poisson(20, N).astype(float),
    "years": RNG.integers(1990, 2020, N).astype(float),
    "zero and five": 5.0 * RNG.integers(0, 2, N),
}


@pytest.mark.parametrize("name", NOTED)
def test_noted(name: str) -> None:
    column, sentence = NOTED[name]
    (said,) = hints(np.c_[HEIGHT, column], ["height", "x"])
    assert sentence in said
    assert said.endswith(".")
    assert len(said) < 160


@pytest.mark.parametrize("name", SILENT)
def test_silent(name: str) -> None:
    assert hints(np.c_[HEIGHT, SILENT[name]], ["height", "x"]) == []


def test_columns_of_a_kind_share_a_line() -> None:
    rows = np.c_[HEIGHT, np.arange(N), RNG.integers(0, 4, N), RNG.integers(1, 6, N), HEIGHT]
    said = hints(rows, ["height", "Unnamed: 0", "class", "answer", "Unnamed: 7"])
    assert [line.partition(";")[0] for line in said] == [
        "columns 'Unnamed: 0', 'Unnamed: 7' count the rows",
        "columns 'class', 'answer' hold only a few integers",
    ]
    assert said[0].endswith("leave them out: --columns height,class,answer.")
    assert said[1].endswith("leave them out: --columns height.")


def test_nothing_is_said_where_nothing_would_be_left() -> None:
    answers = RNG.integers(1, 6, (N, 3)).astype(float)
    assert hints(answers, list("abc")) == []
    assert hints(np.arange(N, dtype=float)[:, None], ["x"]) == []


def test_data_sets_without_codes_are_not_remarked_upon(
    faithful: np.ndarray, galaxies: np.ndarray, acidity: np.ndarray, iris: np.ndarray, diabetes: np.ndarray
) -> None:
    for rows in (faithful, galaxies, acidity, iris, diabetes):
        assert hints(rows, [f"x{d}" for d in range(rows.shape[1])]) == []


def test_hints_do_not_depend_on_how_many_columns_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.column_stack([column for column, _ in NOTED.values()])
    names = list(NOTED)
    whole = hints(rows, names)
    monkeypatch.setattr("mixtura.cli.hints.CELLS", 1)
    assert hints(rows, names) == whole
    assert len(whole) == 6


def test_a_fit_gives_hints_and_goes_on(cli: Cli, folder: Path) -> None:
    frame = pd.DataFrame({"height": HEIGHT, "weight": with_spike(-999, 4)})
    frame.to_csv("data.csv")
    frame.to_csv("data.csv", index_label="Unnamed: 0")
    done = cli("fit", "data.csv", "--components", 1, "--restarts", 1)
    assert done.code == 0
    assert [line[:40] for line in done.err.splitlines()] == [
        "mixtura: note: column 'weight' holds -99",
        "mixtura: note: column 'Unnamed: 0' count",
    ]
    advised = cli(
        "fit", "data.csv", "--components", 1, "--restarts", 1, "--columns", "height,weight", "--missing", -999
    )
    assert advised.err == "mixtura: note: 4 of 200 rows of data.csv hold missing values and are left out.\n"
