"""Folders and patterns of files: the same answers as from one file, in little memory, and sentences where that cannot be."""

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mixtura.cli.patterns import names_many, short_name, stem, would_hold

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

Cli = Callable[..., object]
N = 12_000
CUTS = [0, 1, 500, 7000, N]
QUICK = ("--components", "1:3", "--restarts", 2)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if matplotlib were not installed."""
    monkeypatch.setattr("mixtura.cli.fit.can_draw", lambda: False)


def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 2)) + 6 * rng.integers(0, 2, size=(N, 1))


def table(X: np.ndarray, kind: type = np.float64) -> object:
    return pa.table({" a ": X[:, 0].astype(kind), "name": ["x"] * len(X), "b": X[:, 1].astype(kind)})


def write(X: np.ndarray, kind: str, folder: Path) -> str:
    """One file of all rows, and a folder of several; the pattern of those."""
    (folder / "data").mkdir()
    parts = [("one", 0, N), *((f"data/{i}", *ends) for i, ends in enumerate(pairwise(CUTS)))]
    for name, start, stop in parts:
        if kind == "csv":
            lines = [",".join(["" if np.isnan(x) else repr(x) for x in row]) for row in X[start:stop].tolist()]
            (folder / f"{name}.csv").write_text("\n".join(["a,b", *lines]) + "\n")
        else:
            whole = table(X[start:stop], np.float32 if kind == "float32" else np.float64)
            pq.write_table(whole, folder / f"{name}.parquet", row_group_size=4000)
    return "csv" if kind == "csv" else "parquet"


def without_name(path: str) -> str:
    """A model file but for the line that names the data."""
    content = json.loads(Path(path).read_text())
    del content["fit"]["data"]
    return json.dumps(content)


@pytest.mark.parametrize("kind", ["csv", "float32", "float64"])
def test_a_fit_is_that_of_one_file_to_the_last_bit(kind: str, cli: Cli, folder: Path) -> None:
    end = write(rows(), kind, folder)
    for data, out in [(f"one.{end}", "one"), (f"data/*.{end}", "pattern"), ("data", "folder")]:
        done = cli("fit", data, *QUICK, "--covariance", "full,diag", "-o", f"{out}.json")
        assert (done.code, done.err) == (0, "")
    assert without_name("one.json") == without_name("pattern.json") == without_name("folder.json")
    content = json.loads(Path("pattern.json").read_text())
    assert content["feature_names"] == ["a", "b"]
    assert content["fit"]["data"] == f"data/*.{end}"
    assert content["fit"]["left_out"] == ([] if kind == "csv" else ["name (not numeric)"])


def test_a_large_parquet_file_is_gone_over(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(rows(), "float64", folder)
    (folder / "text.parquet").write_text("a,b\n1,2\n3,4\n5,7\n8,8\n")
    assert cli("fit", "one.parquet", *QUICK, "-o", "read.json").code == 0
    with monkeypatch.context() as patched:
        patched.setattr("mixtura.cli.parquet.LARGE", 0.0)
        patched.setattr("mixtura.cli.parquet.read_parquet", None)
        assert cli("fit", "one.parquet", *QUICK, "-o", "scanned.json").code == 0
        assert cli("predict", "scanned.json", "one.parquet", "--out", "scanned.csv").code == 0
        assert cli("fit", "text.parquet", "--components", 1).code == 0
    assert without_name("read.json") == without_name("scanned.json")
    assert cli("predict", "read.json", "one.parquet", "--out", "read.csv").code == 0
    assert Path("read.csv").read_text() == Path("scanned.csv").read_text()


@pytest.mark.parametrize("solver", ["cavi", "svi"])
def test_a_posterior(solver: str, cli: Cli, folder: Path) -> None:
    write(rows(), "float64", folder)
    for data, out in [("one.parquet", "one"), ("data/*", "pattern")]:
        options = ("--components", 2, "--restarts", 1, "--solver", solver)
        assert cli("fit", data, *options, "-o", f"{out}.json").code == 0
    if solver == "cavi":  # the other takes rows that are scanned in the order in which they come
        assert without_name("one.json") == without_name("pattern.json")
    content = json.loads(Path("pattern.json").read_text())
    assert content["fit"]["rows"] == N
    np.testing.assert_allclose(content["weights"], 0.5, atol=0.05)


@pytest.mark.parametrize("solver", ["gibbs", "nuts"])
def test_draws(solver: str, cli: Cli, folder: Path) -> None:
    if solver == "nuts":
        pytest.importorskip("nutpie")
    write(rows(), "float64", folder)
    how = ("--components", 2, "--restarts", 1, "--solver", solver, "--draws", 100, "--chains", 2)
    for data, out in [("one.parquet", "one"), ("data/*", "pattern")]:
        assert cli("fit", data, *how, "-o", f"{out}.json", "--draws-out", f"{out}.npz").code == 0
    assert without_name("one.json") == without_name("pattern.json")
    one, other = (np.load(f"{name}.npz") for name in ("one", "pattern"))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("kind", ["csv", "float64"])
def test_missing_values(kind: str, cli: Cli, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    X = rows()
    X[3, 0], X[9000, 1], X[9001, 1] = np.nan, -999, np.nan
    end = write(X, kind, folder)
    refused = cli("fit", f"data/*.{end}", *QUICK).complaint
    assert f"data/*.{end}, column 'a': the cell is empty or not finite (nan)" in refused
    assert "leave out such rows with --missing nan" in refused
    assert "column 'a': the cell is empty" in cli("fit", f"data/*.{end}", *QUICK, "--missing=-999").complaint
    said = "3 of 12000 rows of {} hold missing values and are left out."
    for data, out in [(f"one.{end}", "one"), (f"data/*.{end}", "pattern")]:
        done = cli("fit", data, *QUICK, "--missing=-999,", "-o", f"{out}.json")
        assert (done.code, done.err) == (0, f"mixtura: note: {said.format(data)}\n")
        for command, name in [
            (("predict", "--proba"), "labels"),
            (("score", "--rows"), "densities"),
            (("score",), "score"),
        ]:
            first, *options = command
            done = cli(first, "one.json", data, *options, "--missing=-999,", "-o", f"{out}-{name}.csv")
            assert (done.code, done.err) == (0, f"mixtura: note: {said.format(data)}\n")
            assert Path(f"{out}-{name}.csv").read_text() == Path(f"one-{name}.csv").read_text()
    assert without_name("one.json") == without_name("pattern.json")
    done = cli("plot", "one.json", f"data/*.{end}", "--missing=-999,", "-o", "p.png")
    assert (done.code, done.err) == (0, f"mixtura: note: {said.format(f'data/*.{end}')}\n")
    lines = Path("pattern-labels.csv").read_text().splitlines()
    assert [i - 1 for i, line in enumerate(lines) if line.startswith(",")] == [3, 9000, 9001]


def test_labels_as_parquet(cli: Cli, folder: Path) -> None:
    X = rows()
    X[3, 0] = np.nan
    write(X, "float64", folder)
    assert cli("fit", "data/*", *QUICK, "--missing", "nan", "--out", "model.json").code == 0
    how = ("--missing", "nan", "--proba")
    assert cli("predict", "model.json", "data/*", *how, "-o", "labels.csv").code == 0
    assert cli("predict", "model.json", "data/*", *how, "-o", "labels.parquet").code == 0
    found = pq.read_table("labels.parquet")
    assert [str(field.type) for field in found.schema] == ["int64", "double", "double"]
    header, *lines = csv.reader(Path("labels.csv").read_text().splitlines())
    assert found.column_names == header
    as_text = [["" if x is None else str(x) for x in row.values()] for row in found.to_pylist()]
    assert as_text == lines
    assert as_text[3] == [""] * 3
    for command in (["score", "model.json", "data/*", "--missing", "nan"], ["sample", "model.json", 5, "--labels"]):
        assert cli(*command, "-o", "t.csv").code == cli(*command, "-o", "t.parquet").code == 0
        header, *lines = csv.reader(Path("t.csv").read_text().splitlines())
        assert pq.read_table("t.parquet").column_names == header
        assert pq.read_table("t.parquet").num_rows == len(lines)


def test_integers_before_decimals(cli: Cli, folder: Path) -> None:
    """What the first lines of a text hold binds nobody: 3 and then 3.5."""
    (folder / "data").mkdir()
    (folder / "data" / "1.csv").write_text("a,b\n" + "".join(f"{i % 7},{i * i % 11}\n" for i in range(100)))
    (folder / "data" / "2.csv").write_text("a,b\n" + "".join(f"{i % 7 + 0.5},{i * i % 11}\n" for i in range(100)))
    assert cli("fit", "data", "--components", 1).code == 0
    assert json.loads(Path("data.mixture.json").read_text())["means"][0][0] == pytest.approx(3.2, abs=0.1)


def test_a_write_that_fails_leaves_no_file(cli: Cli, folder: Path) -> None:
    X = rows()
    write(X, "float64", folder)
    assert cli("fit", "data", *QUICK, "--out", "model.json").code == 0
    X[-1, 0] = np.inf
    pq.write_table(table(X[7000:]), folder / "data" / "3.parquet")
    before = sorted(path.name for path in folder.iterdir())
    for name in ("labels.csv", "labels.parquet"):
        assert (
            "column 'a': the cell is empty or not finite (inf)"
            in cli("predict", "model.json", "data", "-o", name).complaint
        )
    (folder / "data" / "3.parquet").write_bytes(b"PAR1" + b"\0" * 100)
    for name in ("labels.csv", "labels.parquet"):
        assert "Are all files complete?" in cli("predict", "model.json", "data", "-o", name).complaint
    assert sorted(path.name for path in folder.iterdir()) == before


def test_no_answer_takes_the_place_of_what_is_read(cli: Cli, folder: Path) -> None:
    write(rows(), "float64", folder)
    assert cli("fit", "data", *QUICK, "--out", "model.json").code == 0
    for data in ("data", "data/*.parquet", str(folder / "data" / "?.parquet"), "**/*.parquet"):
        for out in ("data/0.parquet", "data/9.parquet"):
            complaint = cli("predict", "model.json", data, "-o", out).complaint
            assert f"'{out}' would be among the files that are read, {data}. Give another --out." in complaint
    assert cli("predict", "model.json", "data/*.parquet", "-o", "data/labels.csv").code == 0


def test_hints_and_pictures_are_of_a_sample(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("mixtura.cli.fit.can_draw", lambda: True)
    X = rows()
    X[::7, 1] = -999
    write(X, "float64", folder)
    done = cli("fit", "data", *QUICK, "--plot", "p.svg")
    assert done.code == 0
    assert done.err.startswith("mixtura: note: of a sample of 10,000 rows: column 'b' holds -999 in ")
    assert "5,000 of 12,000 points shown" in (folder / "p.svg").read_text()
    assert cli("plot", "data.mixture.json", "data/*", "-o", "q.svg").code == 0
    assert "5,000 of 12,000 points shown" in (folder / "q.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere/*.parquet"], "no file matches 'nowhere/*.parquet'"),
        (["empty"], "the folder 'empty' holds no files to scan; known are .parquet"),
        (["mixed"], "names files of no kind that can be scanned, or of several"),
        (["bare"], "the first lines of bare look like data, not like column names ('1', '2')"),
        (["text"], "text: column 'a' holds numbers as text ('1,5')"),
        (["none"], "none has columns ('a', 'b') but no rows"),
        (["lacking", "--missing", "nan"], "lacking: every row holds a missing value (nan) in a column that is used"),
        (["data", "--columns", "c"], "data has no column 'c'; its columns are 'a', 'name', 'b'"),
        (["data", "--columns", "name"], "data: column 'name' does not hold numbers"),
        (["data", "--separator", ";"], "--separator and --decimal are for a single file"),
        (["data", "--decimal", ","], "--separator and --decimal are for a single file"),
        (["data", "--missing", "gone"], "--missing names 'gone'"),
        (["data", "--components", 20_000], "data has 12000 rows, too few for 20000 components"),
        (["one.parquet", "data/0.parquet"], 'by a pattern in quotes, such as "data/*.parquet"'),
    ],
)
def test_what_cannot_be(arguments: list[str], sentence: str, cli: Cli, folder: Path) -> None:
    write(rows(), "float64", folder)
    for name, files in {
        "empty": {},
        "mixed": {"1.csv": "a\n1\n", "2.feather": ""},
        "bare": {"1.csv": "1,2\n3,4\n"},
        "text": {"1.csv": 'a,b\n"1,5",2\n"2,5",3\n'},
        "none": {},
        "lacking": {"1.csv": "a,b\n1,\n,2\n"},
    }.items():
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_text(content)
    pq.write_table(pa.table({"a": np.empty(0), "b": np.empty(0)}), folder / "none" / "1.parquet")
    before = sorted(folder.rglob("*"))
    assert sentence in cli("fit", *arguments).complaint
    assert sorted(folder.rglob("*")) == before


def test_names(folder: Path) -> None:
    (folder / "data.d").mkdir()
    (folder / "a[1].csv").touch()
    (folder / "data.d" / "a.parquet").touch()
    assert [data for data in ("a.csv", "a[1].csv", "-", "", "x?.csv", "data.d", ".") if names_many(data)] == [
        "x?.csv",
        "data.d",
        ".",
    ]
    expected = {
        "data.d": "data.d",
        ".": "here",
        "*.csv": "here",
        "data.d/*": "data.d",
        "data.d/a_*": "a",
        "x/**/*.csv": "x",
        "a.b.csv": "a.b",
    }
    assert {data: stem(data) for data in expected} == expected
    assert [short_name(data) for data in ("x/y/*.csv", "x/y.csv", "data.d/", ".")] == [
        "y/*.csv",
        "y.csv",
        "data.d",
        "here",
    ]
    inside, below = folder / "data.d" / "b.parquet", folder / "data.d" / "c" / "b.parquet"
    assert would_hold("data.d/*", inside)
    assert not would_hold("data.d/*", below)
    assert would_hold("data.d/**/*.parquet", below)
    assert not would_hold("data.d", folder / "b.parquet")
