"""Nothing is read as something that it is not: what looks like numbers is read, or the command stops and says how to read it."""

import gzip
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from damage import saved, zipped
from mixtura.cli.arguments import parse_columns
from mixtura.cli.reading import Reading
from mixtura.cli.tables import read_table
from mixtura.ground.errors import DataError
from mixtura.model.mixture import Mixture

Cli = Callable[..., object]
COMMA = Reading(decimal=",")
SPACE = Reading(" ")

READ: dict[str, tuple[str, Reading, dict[str, list[float]]]] = {
    "decimal commas": ("a;b\n5,1;3\n-,5;1,4e3\n", COMMA, {"a": [5.1, -0.5], "b": [3, 1400]}),
    "marks in names too": (
        "Laenge, cm;Breite, cm;Hoehe, cm\n5,1;3,5;1,4\n4,9;3,0;1,4\n",
        COMMA,
        {"Laenge, cm": [5.1, 4.9], "Breite, cm": [3.5, 3.0], "Hoehe, cm": [1.4, 1.4]},
    ),
    "one column": ("a\n5,1\n3,5\n", COMMA, {"a": [5.1, 3.5]}),
    "quoted decimal commas": ('a,b\n"5,1",3\n"4,9",2\n', Reading(",", ","), {"a": [5.1, 4.9], "b": [3, 2]}),
    "blanks": ("a b\n 1   2 \n3\t4\n", SPACE, {"a": [1, 3], "b": [2, 4]}),
    "as R writes tables": ('"a" "b"\n"1" 5.1 2\n"2" 4.9 3\n', SPACE, {"a": [5.1, 4.9], "b": [2, 3]}),
    "bars": ("a|b\n1|2\n3|4\n", Reading("|"), {"a": [1, 3], "b": [2, 4]}),
    "a separator beats sep=": ("sep=;\na|b\n1|2\n3|4\n", Reading("|"), {"a": [1, 3], "b": [2, 4]}),
}


@pytest.mark.parametrize("name", READ)
def test_read(name: str, tmp_path: Path) -> None:
    content, how, columns = READ[name]
    (tmp_path / "data.csv").write_text(content)
    table = read_table(str(tmp_path / "data.csv"), None, how)
    assert dict(zip(table.columns, table.rows.T.tolist(), strict=True)) == columns


REFUSED: dict[str, tuple[str | bytes, list[str], list[str]]] = {
    "marks in names too": (
        "Laenge, cm;Breite, cm;Hoehe, cm\n5,1;3,5;1,4\n4,9;3,0;1,4\n",
        [],
        ["columns 'Laenge, cm', 'Breite, cm', 'Hoehe, cm' look like numbers", "'5,1' in line 2", "--decimal ,"],
    ),
    "an integer beside decimal commas": (
        "n;a;b\n1;5,1;3,5\n2;4,9;3,0\n",
        [],
        ["columns 'a', 'b' look like numbers", "Give --decimal , if commas are decimal", "--columns n"],
    ),
    "decimal commas among integers": ("a;n\n5;1\n5,1;2\n", [], ["line 3, column 'a': '5,1' is not a", "--decimal ,"]),
    "decimal commas asked for": ("n;a\n1;5,1\n2;3,5\n", ["--columns", "a"], ["'5,1' is not a number", "--decimal ,"]),
    "one column": ("a\n5,1\n3,5\n", [], ["column 'a' looks like numbers", "--decimal ,"]),
    "points where commas are decimal": (
        "a;b\n1.234;2\n2,5;3\n",
        ["--decimal", ","],
        ["line 2, column 'a': '1.234' is not a number", "--decimal ."],
    ),
    "per cent": ("n,a\n1,12.5%\n2,13%\n", [], ["column 'a' looks like numbers", "'12.5%'", "--columns n"]),
    "thousands": ("n,a\n1,1 234\n2,2 345\n", [], ["column 'a' looks like numbers", "'1 234'", "plain numbers"]),
    "thousands, commas": ('n,a\n1,"1,234.5"\n2,"2,345.5"\n', [], ["'1,234.5'", "plain numbers"]),
    "thousands alone": ("my weight\n1 234\n2 345\n", [], ["one column ('my weight'), unless a space", "space"]),
    "money": ("n,a\n1,$5.10\n2,€7\n", [], ["column 'a' looks like numbers", "'$5.10'"]),
    "limits": ("n,a\n1,<0.5\n2,>7\n", [], ["column 'a' looks like numbers", "'<0.5'"]),
    "a minus that is none": ("n,a\n1,−5\n2,−7\n", [], ["column 'a' looks like numbers", "'−5'"]),
    "half of a column": ("n,a\n1,5%\n2,n/a\n3,7%\n4,x\n", [], ["column 'a' looks like numbers"]),
    "underscores": ("n,a\n1,2_0\n2,5\n", [], ["column 'a': '2_0' is not a number"]),
    "no name": ("a,\n1,2\n3,4\n", [], ["column 2 holds numbers but has no name", "--columns a"]),
    "blanks": ("a b c\n1 2 3\n4 5 6\n", [], ["one column ('a b c'), unless a space", "--separator space"]),
    "as R writes tables": ('"a" "b"\n"1" 5.1 2\n"2" 4.9 3\n', [], ["--separator space"]),
    "bars": ("a|b\n1|2\n3|4\n", [], ["one column ('a|b')", "--separator bar"]),
    "cells beyond the names": ("name,n,note\nx,5,so, so\ny,6,a, b\n", [], ["line 2: 4 values", "names 3 columns"]),
    "comments below": ("a,b\n1,2\n# late\n3,4\n", [], ["line 3: 1 value"]),
    "no more than comments": ("# a\n# b\n", [], ["no more than comments"]),
    "twice": ("a,b,b\n1,2,3\n4,5,6\n", [], ["names column 'b' more than once"]),
    "twice, asked for": ("a,b,b\n1,2,3\n4,5,6\n", ["--columns", "b"], ["names column 'b' more than once"]),
    "an empty cell": ("a,b\n1,2\n,4\n", [], ["line 3, column 'a': the cell is empty", "--missing ''"]),
    "a word for none": ("a,b\n1,2\nNA,4\n", [], ["line 3, column 'a': 'NA' is not a number", "--missing NA"]),
    "nothing but missing": ("a,b\n1,NA\nNA,4\n", ["--missing", "NA"], ["every row holds a missing value (NA)"]),
    "several files": (zipped({"a.csv": b"a", "b.csv": b"b"}), [], ["an archive of 2 files: 'a.csv', 'b.csv'"]),
    "an empty archive": (zipped({}), [], ["is not text"]),
    "a workbook": (zipped({"[Content_Types].xml": b"", "x.xml": b""}), [], ["an Excel workbook", "as CSV"]),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), [], ["an Excel workbook"]),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), [], ["an HDF5 file; mixtura reads"]),
    "a web page": (b"<!DOCTYPE html><html>", [], ["is a web page"]),
    "half a gzip file": (gzip.compress(np.random.default_rng(0).bytes(999))[:500], [], ["cannot be unpacked: "]),
    "half an archive": (zipped({"a.csv": b"a,b\n1,2\n"})[:60], [], ["cannot be unpacked: File is not a zip file"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, cli: Cli, folder: Path) -> None:
    content, options, sentences = REFUSED[name]
    (folder / "data").write_bytes(content.encode() if isinstance(content, str) else content)
    complaint = cli("fit", "data", "--components", 1, *options).complaint
    for sentence in sentences:
        assert sentence in complaint
    assert [path.name for path in folder.iterdir()] == ["data"]


def test_what_a_refusal_says_can_be_given(cli: Cli, folder: Path) -> None:
    """Its options are quoted as a shell takes them, and read what was refused."""
    (folder / "data").write_text("""size, cm;x"y;d\n1;3;1,5\n2;5;1,7\n4;4;1,8\n""")
    complaint = cli("fit", "data", "--components", 1).complaint
    chosen = shlex.split(complaint.partition("the columns to use: ")[2].rstrip("."))
    assert parse_columns(chosen[1]) == ["size, cm", 'x"y']
    assert read_table("data", parse_columns(chosen[1])).rows.tolist() == [[1, 3], [2, 5], [4, 4]]
    assert read_table("data", None, COMMA).columns == ("size, cm", 'x"y', "d")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--separator", "word"], "'word' is neither one character nor any of comma, tab"),
        (["--separator", ""], "neither one character"),
        (["--separator", "5"], "neither one character"),
        (["--separator", '"'], "neither one character"),
        (["--separator", "-"], "'-' is part of numbers"),
        (["--separator", "."], "'.' is part of numbers"),
        (["--decimal", ";"], "';' is not one of"),
        (["--missing", '"a'], "--missing"),
    ],
)
def test_options(options: list[str], sentence: str, cli: Cli, faithful_csv: Path) -> None:
    assert sentence in cli("fit", faithful_csv, *options).complaint


# ---- names -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_one_rule_for_blanks_in_names(kind: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({" height": [1.0, 2.0], "weight  kg": [3.0, 5.0], "a\tb\nc": [0.0, 1.0]})
    path = str(tmp_path / "data")
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    assert read_table(path).columns == ("height", "weight kg", "a b c")
    for asked in ("weight kg, height", "weight  kg,height "):
        table = read_table(path, parse_columns(asked))
        assert (table.columns, table.rows.tolist()) == (("weight kg", "height"), [[3, 1], [5, 2]])
    assert read_table(path, ["weight  kg"]).columns == ("weight kg",)  # as a model may name it
    with pytest.raises(DataError, match=r"no column 'weight' \(did you mean 'height'\?\)"):
        read_table(path, ["weight"])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_only_names_that_are_used_must_differ(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    if kind == "csv":
        path.write_text("a,t,b,b,t\n1,x,2,3,y\n4,z,5,6,w\n")
    else:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        columns = [[1, 4], ["x", "z"], [2, 5], [3, 6], ["y", "w"]]
        pq.write_table(pa.Table.from_arrays([pa.array(c) for c in columns], list("atbbt")), path)
    assert read_table(str(path), ["a"]).rows.tolist() == [[1], [4]]
    for asked in (None, ["b"], ["a", "b"]):
        with pytest.raises(DataError, match="names column 'b' more than once"):
            read_table(str(path), asked)


def test_the_index_of_a_data_frame_is_left_out(cli: Cli, folder: Path, faithful: np.ndarray) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    for index, name in ((None, "__index_level_0__"), ("day", "day")):
        some = frame[frame.waiting != 54].rename_axis(index=index)
        some.to_parquet("data.parquet")
        table = read_table("data.parquet")
        assert table.columns == ("eruptions", "waiting")
        assert table.left_out == (f"{name} (index of the data frame)",)
        assert np.array_equal(table.rows, some.to_numpy())
        assert read_table("data.parquet", [name]).rows[:, 0].tolist() == some.index.tolist()
    assert "day (index of the data frame)" in cli("fit", "data.parquet", "--components", 1).out


def test_an_index_that_lost_its_note_is_left_out(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": [1.5, 2], "__index_level_0__": [7, 9]}), tmp_path / "data")
    assert read_table(str(tmp_path / "data")).columns == ("a",)


def test_numbers_as_text_in_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "data"
    for texts, refused in ((["5,1", "4,9"], True), (["5", None], True), (["x", "y"], False), (["2019_03", "1"], True)):
        pd.DataFrame({"a": [1, 2], "t": texts}).to_parquet(path)
        if refused:
            with pytest.raises(DataError, match=r"column 't' holds numbers as text .* --columns a"):
                read_table(str(path))
        assert read_table(str(path), ["a"] if refused else None).columns == ("a",)


@pytest.mark.parametrize("kind", ["decimal", "float16", "int64", "uint8"])
def test_numbers_of_any_type_in_parquet(kind: str, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    kinds = {"decimal": pa.decimal128(9, 2), "float16": pa.float16(), "int64": pa.int64(), "uint8": pa.uint8()}
    values = np.array([1, 2], dtype=np.float16) if kind == "float16" else [1, 2]
    pq.write_table(pa.table({"a": pa.array(values, kinds[kind]), "b": pa.array([None, 1.5])}), tmp_path / "data")
    assert read_table(str(tmp_path / "data"), ["a"]).rows.tolist() == [[1], [2]]
    assert read_table(str(tmp_path / "data"), ["a", "b"], Reading(missing=("",))).rows.tolist() == [[2, 1.5]]


# ---- missing values ----------------------------------------------------------------------------------------------------------------


def written(rows: np.ndarray, kind: str, path: Path) -> str:
    """A table of ``a`` and ``b`` in a file of some kind."""
    frame = pd.DataFrame(rows, columns=["a", "b"])
    if kind == "csv":
        frame.to_csv(path, index=False, na_rep="")
    elif kind == "npy":
        path.write_bytes(saved(rows))
    else:
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "npy", "parquet"])
def test_missing(kind: str, tmp_path: Path) -> None:
    """Rows with a missing value are left out, and only those; what was not named as one is refused."""
    rows = np.array([[1, 2], [-999, 3], [4, np.nan], [5, 6], [7, -999.0]])
    path = written(rows, kind, tmp_path / "data")
    names = ["x0", "x1"] if kind == "npy" else ["a", "b"]
    table = read_table(path, None, Reading(missing=("-999", "")))
    assert table.rows.tolist() == [[1, 2], [5, 6]]
    assert table.kept.tolist() == [True, False, False, True, False]
    assert table.left_out[-1] == "3 of 5 rows (missing values)"
    answers = list(table.in_place([["p", 1], ["q", 2]], 2))
    assert answers == [["p", 1], ["", ""], ["", ""], ["q", 2], ["", ""]]
    assert read_table(path, names[:1], Reading(missing=("-999",))).rows[:, 0].tolist() == [1, 4, 5, 7]
    with pytest.raises(DataError, match=rf"(line 4|row 3), column '{names[1]}': the cell is empty"):
        read_table(path, None, Reading(missing=("-999",)))


def test_missing_in_single_precision(tmp_path: Path) -> None:
    (tmp_path / "data.npy").write_bytes(saved(np.array([[1, 2], [-99.9, 3]], np.float32)))
    table = read_table(str(tmp_path / "data.npy"), None, Reading(missing=("-99.9", "1e300")))
    assert (table.rows.dtype, table.rows.tolist()) == (np.float32, [[1, 2]])


def test_a_column_of_missing_values_and_numbers_is_numeric(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n" + "1,NA\n" * 1500 + "2,5\n")
    with pytest.raises(DataError, match="column 'b': 'NA'"):
        read_table(str(tmp_path / "data.csv"), ["b"])
    table = read_table(str(tmp_path / "data.csv"), None, Reading(missing=("NA",)))
    assert (table.columns, table.rows.tolist()) == (("a", "b"), [[2, 5]])


def test_every_command_reads_alike(cli: Cli, folder: Path, model: Path, faithful: np.ndarray) -> None:
    mixture = Mixture.load(model)
    lines = [f"{a:g};{b:g}".replace(".", ",") for a, b in faithful]
    lines[3] = "-999;" + lines[3].partition(";")[2]
    (folder / "data.csv").write_text("\n".join(["eruptions;waiting", *lines]))
    how = ("--decimal", ",", "--separator", "semicolon", "--missing", -999)
    noted = "mixtura: note: 1 of 272 rows of data.csv hold missing values and are left out.\n"
    labels = cli("predict", model, "data.csv", *how)
    assert (labels.code, labels.err) == (0, noted)
    found = labels.out.splitlines()
    assert (len(found), found[4]) == (273, '""')
    assert [int(label) for label in found[1:4] + found[5:]] == mixture.predict(np.delete(faithful, 3, 0)).tolist()
    assert cli("predict", model, "data.csv", *how, "--proba").out.splitlines()[4] == ",,"
    densities = cli("score", model, "data.csv", *how, "--rows").out.splitlines()
    assert (len(densities), densities[4]) == (273, '""')
    assert "rows,271" in cli("score", model, "data.csv", *how).out
    done = cli("fit", "data.csv", *how, "--components", 1, "--restarts", 1)
    assert (done.code, done.err) == (0, noted)
    assert "1 of 272 rows (missing values)" in done.out
    np.testing.assert_allclose(Mixture.load("data.mixture.json").means[0], np.delete(faithful, 3, 0).mean(axis=0))
    pytest.importorskip("matplotlib")
    assert cli("plot", model, "data.csv", *how).err == noted
