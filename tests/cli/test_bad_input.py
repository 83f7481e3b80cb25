"""Whatever is wrong with the input: exit code 2, one line that says what and where, and nothing written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mixtura.model.mixture import Mixture

Cli = Callable[..., object]

BAD_DATA: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "there is no file 'data.csv'"),
    "empty": (b"", "data.csv is empty"),
    "blank": (b"\n  \n", "data.csv is empty"),
    "header only": (b"a,b\n", "has column names ('a', 'b') but no rows"),
    "short row": (b"a,b\n1,2\n3\n", "line 3: 1 value, but the first line names 2 columns"),
    "long row": (b"a,b\n1,2\n3,4,5\n", "line 3: 3 values, but the first line names 2 columns"),
    "late short row": (b"a,b\n" + b"1,2\n" * 20_000 + b"3\n", "line 20002: 1 value"),
    "only text": (b"a,b\nx,y\nz,w\n", "has no numeric column; the first value is 'x' in column 'a'"),
    "decimal commas": (b"a;b\n1,5;2,5\n", "Give --decimal , if commas are decimal"),
    "no names": (b",\n1,2\n", "has no numeric column with a name"),
    "text in numbers": (b"a,b\n1,2\n3,oops\n", "line 3, column 'b': 'oops' is not a number"),
    "late text": (b"a,b\n" + b"1,2\n" * 20_000 + b"3,NA\n", "line 20002, column 'b': 'NA' is not a number"),
    "empty cell": (b"a,b\n1,2\n\n3,\n", "line 4, column 'b': the cell is empty"),
    "nan": (b"a,b\n1,2\n3,NaN\n", "line 3, column 'b': 'NaN' is not a finite number"),
    "infinity": (b"a,b\n1,-inf\n3,2\n", "line 2, column 'b': '-inf' is not a finite number"),
    "overflow": (b"a,b\n1,1e999\n3,2\n", "line 2, column 'b': '1e999' is not a finite number"),
    "huge": (b"a,b\n1,1e200\n3,2\n4,4\n", "1e+200"),
    "few rows": (b"a,b\n1,2\n", "has 1 row, too few for 2 components"),
    "constant": (b"a,b\n1,7\n2,7\n3,7\n", "column 'b' is constant, 7 in every row; leave it out with --columns a"),
    "all constant": (b"a\n7\n7\n7\n", "column 'a' is constant"),
    "twice": (b"a,b,a\n1,2,3\n", "names column 'a' more than once"),
    "no header": (b"1.5,2\n3,4\n", "looks like data"),
    "no header, text": (b"5.1,setosa\n4.9,setosa\n", "looks like data"),
    "binary": (bytes(range(256)) * 8, "is not text"),
    "latin-1": (b"caf\xe9,b\n1,2\n", "is not UTF-8 text (byte 0xe9)"),
    "late latin-1": (b"a,b\n" + b"1,2\n" * 20_000 + b"1,\xe9\n", "is not UTF-8 text (byte 0xe9)"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "is UTF-16 text"),
    "stray quote": (b'a,b\n1,"2\n3,4\n', "Is there a stray quote?"),
    "long field": (b'a,b\n1,"' + b"x" * 200_000 + b'"\n', "field larger than field limit"),
    "broken npy": (b"\x93NUMPY\x01\x00garbage", "cannot be read as a NumPy array"),
    "broken parquet": (b"PAR1 garbage PAR1", "cannot be read as Parquet"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_data(name: str, cli: Cli, folder: Path) -> None:
    content, sentence = BAD_DATA[name]
    if name == "broken parquet":
        pytest.importorskip("pyarrow")
    if content is not None:
        (folder / "data.csv").write_bytes(content)
    assert sentence in cli("fit", "data.csv", "--components", 2).complaint
    assert [path.name for path in folder.iterdir()] == ["data.csv"] * (content is not None)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "row 2, column 'x1'"),
        (np.zeros((0, 2)), "shape (0, 2)"),
        (np.zeros((2, 2, 2)), "shape (2, 2, 2)"),
        (np.array(["a"]), "dtype <U1"),
    ],
)
def test_npy(array: np.ndarray, sentence: str, cli: Cli, folder: Path) -> None:
    np.save(folder / "data.npy", array)
    assert sentence in cli("fit", "data.npy").complaint


HEADERS = {
    "1" + "0" * 30 + ", 2": "is cut short: it holds less than an array of shape (1000000000000000000000000000000, 2)",
    "9" * 4000 + ", " + "9" * 4000: "is cut short",
    "9" * 5000 + ", 2": "its header is damaged",
    "-" * 5000 + "1, 2": "its header is damaged",
    "(" * 300 + "1, 2": "its header is damaged",
    "1, 2": "is cut short",
    "-1, 2": "its shape is (-1, 2)",
    "0, 2": "it has shape (0, 2)",
    "2(3), 2": "its header is damaged",
}


@pytest.mark.parametrize("shape", HEADERS, ids=lambda shape: shape[:6])
def test_headers_of_npy(shape: str, cli: Cli, folder: Path) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}\n".encode()
    (folder / "data.npy").write_bytes(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header)
    assert HEADERS[shape] in cli("fit", "data.npy").complaint


def test_objects_in_npy_are_not_unpickled(cli: Cli, folder: Path) -> None:
    np.save(folder / "data.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "cannot be read as a NumPy array" in cli("fit", "data.npy").complaint


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--components", "0"], "a mixture has at least 1 component"),
        (["--components", "9:1"], "the lower end comes first, 1:9"),
        (["--components", "many"], "'many' is neither a number such as 3 nor a range such as 1:9"),
        (["--components", "1:"], "neither a number"),
        (["--components", "-2"], "neither a number"),
        (["--components", ""], "neither a number"),
        (["--components", "1:273"], "has 272 rows, too few for 273 components; try --components 1:136"),
        (["--covariance", "round"], "'round' is none of all, full (VVV)"),
        (["--covariance", "full,"], "'full,' is none of all"),
        (["--criterion", "dic"], "'dic' is not one of 'bic', 'aic', 'icl'"),
        (["--columns", "nope"], "has no column 'nope'; its columns are 'eruptions', 'waiting'"),
        (["--columns", "eruption"], "did you mean 'eruptions'?"),
        (["--columns", "waiting,waiting"], "more than once"),
        (["--columns", ","], "names separated by commas"),
        (["--restarts", "0"], "0 is not in the range"),
        (["--restarts", "99999999999999999999"], "is not in the range 1<=x<=1000"),
        (["--max-iter", "99999999999999999999"], "is not in the range 1<=x<=1000000"),
        (["--draws", "99999999999999999999", "--solver", "gibbs"], "is not in the range 100<=x<=1000000"),
        (["--chains", "99999999999999999999", "--solver", "gibbs"], "is not in the range 1<=x<=100"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--seed", "99999999999999999999999999"], "is not in the range 0<=x<=4294967295"),
        (["--seed", "9" * 5000], "is not a valid integer"),
        (["--reg-covar", "nan"], "nan is not a finite number"),
        (["--reg-covar", "inf"], "inf is not a finite number"),
        (["--reg-covar", "-1"], "-1.0 is not in the range"),
        (["--target-accept", "nan", "--solver", "nuts"], "nan is not a finite number"),
        (["--columns", "\udce9"], "is not UTF-8 text"),
        (["--out", "."], "it is a folder"),
        (["--out", "nowhere/model.json"], "there is no folder 'nowhere'"),
        (["--out", "nowhere/"], "there is no folder 'nowhere'"),
        (["--out", "m" * 256], "File name too long"),
        (["--out", "/dev/null"], "it is a device"),
        (["--plot", "nowhere/picture.png"], "there is no folder 'nowhere'"),
        (["--plot", "picture.xyz"], "use .png, .pdf"),
        (["--plot", "picture"], "use .png, .pdf"),
        (["--out", "a.png", "--plot", "a.png"], "the same file"),
        (["--bogus"], "see 'mixtura fit --help'"),
        (["more.csv"], "several files are named by their folder, or by a pattern in quotes"),
    ],
)
def test_options_of_fit(arguments: list[str], sentence: str, cli: Cli, folder: Path, faithful_csv: Path) -> None:
    assert sentence in cli("fit", faithful_csv, *arguments).complaint
    assert not list(folder.iterdir())


def test_outputs_are_checked_before_the_work(cli: Cli) -> None:
    assert "there is no folder" in cli("fit", "missing.csv", "--out", "nowhere/model.json").complaint


def test_an_input_is_not_overwritten(cli: Cli, folder: Path, model: Path, faithful_csv: Path) -> None:
    data = folder / "data.csv"
    data.write_bytes(faithful_csv.read_bytes())
    (folder / "link.csv").symlink_to(data)
    for arguments in (
        ["fit", "data.csv", "--out", "link.csv"],
        ["predict", model, "data.csv", "--out", "./data.csv"],
        ["score", model, "data.csv", "--rows", "--out", "data.csv"],
        ["sample", model, 3, "--out", model],
    ):
        assert "would replace the file that is read" in cli(*arguments).complaint
    assert data.read_bytes() == faithful_csv.read_bytes()


BAD_MODELS: dict[str, tuple[str | None, str]] = {
    "missing": (None, "there is no model file 'm.json'"),
    "foreign": ('{"a": 1}', 'it does not say "format"'),
    "data": ("a,b\n1,2\n", "not valid JSON"),
    "cut": ('{"format": "mixtura.mixture", "version": 1', "not valid JSON"),
    "deep": ("[" * 100_000, "m.json is not a mixtura model"),
    "newer": ('{"format": "mixtura.mixture", "version": 99}', "Upgrade mixtura"),
    "lacking": ('{"format": "mixtura.mixture", "version": 1}', "is damaged: it lacks"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
@pytest.mark.parametrize("command", ["describe", "predict", "score", "sample", "plot"])
def test_models(name: str, command: str, cli: Cli, folder: Path, faithful_csv: Path) -> None:
    content, sentence = BAD_MODELS[name]
    if command == "plot":
        pytest.importorskip("matplotlib")
    if content is not None:
        (folder / "m.json").write_text(content)
    more = {"predict": [faithful_csv], "score": [faithful_csv], "sample": [3]}.get(command, [])
    assert sentence in cli(command, "m.json", *more).complaint


@pytest.mark.parametrize(
    "fit",
    [
        {"optima": "abc"},
        {"candidates": [1, 2], "criterion": "bic"},
        {"rows": "many"},
        {"posterior": {"table": 7}},
        {"posterior": {"method": "", "asked": 2, "bound": "high", "weights": []}},
        {"draws": {"method": "", "chains": 4}},
        {"draws": [1]},
        {
            "draws": {
                "method": "",
                "chains": 4,
                "draws": 9,
                "verdict": 1,
                "extremes": "",
                "n_components": {},
                "overall": {},
            }
        },
    ],
)
def test_a_damaged_record_of_the_fit(fit: dict[str, object], cli: Cli, folder: Path, model: Path) -> None:
    (folder / "m.json").write_text(json.dumps({**json.loads(model.read_text()), "fit": fit}))
    assert "m.json is damaged: the record of the fit cannot be read" in cli("describe", "m.json").complaint
    assert cli("sample", "m.json", 2).code == 0


def test_columns_of_the_model_that_the_data_lack(cli: Cli, folder: Path, model: Path) -> None:
    (folder / "data.csv").write_text("waiting,other\n1,2\n")
    for command in ("predict", "score"):
        assert (
            "has no column 'eruptions'; its columns are 'waiting', 'other'" in cli(command, model, "data.csv").complaint
        )


def test_numbers_that_do_not_fit_in_memory(cli: Cli, model: Path) -> None:
    assert "not enough memory" in cli("sample", model, 10**13).complaint


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["fit"], ["predict"], ["sample", "m.json"], ["sample", "m.json", "x"]]
)
def test_usage(arguments: list[str], cli: Cli) -> None:
    assert "--help'." in cli(*arguments).complaint


@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_means_at_the_end_of_the_range(n_features: int, cli: Cli, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    Mixture([1.0], [[1e308] * n_features], [1.0], "spherical").save("m.json")
    assert "cannot be drawn" in cli("plot", "m.json").complaint
    (folder / "far.csv").write_text(",".join("abc"[:n_features]) + "\n" + ",".join(["-1e308"] * n_features) + "\n")
    assert (
        "far.csv are so far from the model that their log-likelihood is -inf"
        in cli("score", "m.json", "far.csv").complaint
    )
    assert (
        cli("describe", "m.json").code
        == cli("predict", "m.json", "far.csv").code
        == cli("sample", "m.json", 2).code
        == 0
    )
    assert [path.name for path in folder.glob("*.png")] == []


def test_a_name_that_is_not_text(cli: Cli, folder: Path, model: Path) -> None:
    (folder / "m.json").write_text(model.read_text().replace('"waiting"', r'"\udcff"'))
    for command in (["describe", "m.json"], ["sample", "m.json", 2]):
        assert r"'\udcff' is not: it cannot be written as UTF-8" in cli(*command).complaint
