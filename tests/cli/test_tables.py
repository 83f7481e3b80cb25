"""Reading tables: separators, quotes, kinds of columns, other containers."""

import bz2
import gzip
import io
import lzma
from pathlib import Path

import numpy as np
import pytest

from damage import zipped
from mixtura.cli.delimited import BLOCK, LOOK_AT
from mixtura.cli.tables import read_table
from mixtura.ground.errors import DataError, MissingExtraError

ROWS = np.array([[1.5, 2.0], [3.0, -4e-5]])

TEXTS = {
    "commas": b"a,b\n1.5,2\n3,-4e-5\n",
    "tabs": b"a\tb\n1.5\t2\n3\t-4e-5\n",
    "semicolons": b"a;b\n1.5;2\n3;-4e-5\n",
    "blanks": b" a , b\n 1.5 , 2\n3,  -4e-5 \n",
    "carriage returns": b"a,b\r\n1.5,2\r\n3,-4e-5\r\n",
    "no last newline": b"a,b\n1.5,2\n3,-4e-5",
    "blank lines": b"\n a,b\n1.5,2\n\n3,-4e-5\n\n\n",
    "byte-order mark": b"\xef\xbb\xbfa,b\n1.5,2\n3,-4e-5\n",
    "quotes": b'"a","b"\n"1.5",2\n3,"-4e-5"\n',
    "quoted separator": b'a,"x, y",b\n1.5,"p, ""q""\nr",2\n3,,-4e-5\n',
    "text": b"name,a,b\nx,1.5,2\ny,3,-4e-5\n",
    "row names": b',a,b\n"1",1.5,2\n"2",3,-4e-5\n',
    "trailing separator": b"a,b,\n1.5,2,\n3,-4e-5,\n",
    "comments": b"# of 2019\n#\n# length, width\n\na,b\n1.5,2\n3,-4e-5\n",
    "names in a comment": b"# of 2019\n# a,b\n1.5,2\n3,-4e-5\n",
    "marks in text": b"name;a;b\np,q,r,s;1.5;2\nt,u,v,w;3;-4e-5\n",
    "marks in names": b"x, y;a;b;u, v\np, q;1.5;2;r\ns;3;-4e-5;t, u\n",
    "sep=": b"sep=;\r\na;b\r\n1.5;2\r\n3;-4e-5\r\n",
    "sep=, quoted": b'"sep=|"\na|b\n1.5|2\n3|-4e-5\n',
    "sep= a tab": b"sep=\t\na\tb\n1.5\t2\n3\t-4e-5\n",
    "quoted row names without a name": b'"a","b"\n"x",1.5,2\n"y",3,-4e-5\n',
    "counted row names without a name": b"a,b\n1,1.5,2\n2,3,-4e-5\n",
    "underscores are no digits": b"id,a,b\n2019_03,1.5,2\n2019_04,3,-4e-5\n",
    "dates are no numbers": b"day,time,a,b\n2019-03-01,12:30,1.5,2\n01.04.2019,12:45,3,-4e-5\n",
    "codes are no numbers": b"id,a,b\n12a,1.5,2\n13b,3,-4e-5\n",
    "guarded names": b"'=a,b\n1.5,2\n3,-4e-5\n",
    "gzip": gzip.compress(b"a,b\n1.5,2\n3,-4e-5\n"),
    "bzip2": bz2.compress(b"a,b\n1.5,2\n3,-4e-5\n"),
    "xz": lzma.compress(b"a,b\n1.5,2\n3,-4e-5\n"),
    "zip": zipped({"folder/": b"", "folder/data.csv": b"a,b\n1.5,2\n3,-4e-5\n", "__MACOSX/x": b"x"}),
    "gzip of tabs": gzip.compress(b"a\tb\n1.5\t2\n3\t-4e-5\n"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(TEXTS[name])
    table = read_table(str(path))
    assert table.columns == ("=a" if name == "guarded names" else "a", "b")
    assert np.array_equal(table.rows, ROWS)


def test_left_out_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("name,a,\nx,1,p\ny,2,q\n")
    assert read_table(str(path)).left_out == ("name (not numeric)", "column 3 (it has no name)")


def test_columns_in_the_order_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b,c\n1,2,x\n3,4,y\n")
    table = read_table(str(path), ["b", "a"])
    assert table.columns == ("b", "a")
    assert table.rows.tolist() == [[2, 1], [4, 3]]


def test_one_column(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n2\n")
    assert read_table(str(path)).rows.tolist() == [[1], [2]]


def test_a_column_is_numeric_if_an_early_value_is(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    for texts, numeric in ((LOOK_AT - 1, True), (LOOK_AT, False)):
        path.write_text("a,b\n" + "1,\n" * 10 + "1,x\n" * texts + "1,2\n")
        if numeric:
            with pytest.raises(DataError, match="line 2, column 'b': the cell is empty"):
                read_table(str(path))
        else:
            assert read_table(str(path)).left_out == ("b (not numeric)",)


def test_every_double_is_read_exactly(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(BLOCK // 3 + 7, 3)) * 10.0 ** np.arange(-200, 201, 200)
    path = tmp_path / "data.csv"
    path.write_text("a,b,c\n" + "\n".join(",".join(map(repr, row)) for row in rows.tolist()))
    assert np.array_equal(read_table(str(path)).rows, rows)


def test_twin_of_loadtxt(examples: Path) -> None:
    for name in ("faithful", "galaxies", "acidity"):
        path = examples / f"{name}.csv"
        assert np.array_equal(read_table(str(path)).rows, np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2))


class Pipe(io.BytesIO):
    """Bytes that can be read once."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise OSError("a pipe")


def test_standard_input_may_be_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Pipe(TEXTS["commas"])))
    table = read_table("-")
    assert table.source == "standard input"
    assert np.array_equal(table.rows, ROWS)


@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8", "f2", "i4", "u1"])
def test_npy(dtype: str, tmp_path: Path) -> None:
    array = np.array([[1, 2], [3, 4]], dtype=dtype)
    np.save(tmp_path / "data.npy", array)
    table = read_table(str(tmp_path / "data.npy"))
    assert table.columns == ("x0", "x1")
    assert table.rows.dtype == (np.float32 if dtype == "f4" else np.float64)
    assert np.array_equal(table.rows, array)
    assert read_table(str(tmp_path / "data.npy"), ["x1"]).rows.tolist() == [[2], [4]]


def test_npy_gives_columns_by_position_only_where_allowed(tmp_path: Path) -> None:
    path = str(tmp_path / "data.npy")
    np.save(path, ROWS)
    assert np.array_equal(read_table(path, ["height", "weight"], by_position=True).rows, ROWS)
    for columns, by_position in ((["height", "weight"], False), (["height"], True)):
        with pytest.raises(DataError, match="has no column"):
            read_table(path, columns, by_position=by_position)


def test_a_vector_is_one_column(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.arange(3.0))
    assert read_table(str(tmp_path / "data.npy")).rows.tolist() == [[0], [1], [2]]


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "data.parquet")
    pq.write_table(pa.table({"name": ["x", "y"], "a": ROWS[:, 0], "n": [1, 2]}), path)
    table = read_table(path)
    assert table.columns == ("a", "n")
    assert table.left_out == ("name (not numeric)",)
    assert table.rows.tolist() == [[1.5, 1], [3, 2]]
    assert read_table(path, ["n", "a"]).rows.tolist() == [[1, 1.5], [2, 3]]
    with pytest.raises(DataError, match="column 'name' does not hold numbers"):
        read_table(path, ["name"])
    with pytest.raises(DataError, match="has no column 'b'"):
        read_table(path, ["b"])
    pq.write_table(pa.table({"a": [1.0, None], "n": [1, 2]}), path)
    with pytest.raises(DataError, match="row 2, column 'a': the cell is empty"):
        read_table(path)
    pq.write_table(pa.table({"a": ["x"]}), path)
    with pytest.raises(DataError, match="has no numeric column; its columns are 'a'"):
        read_table(path)
    pq.write_table(pa.table({"a": pa.array([], pa.float64())}), path)
    with pytest.raises(DataError, match="but no rows"):
        read_table(path)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1 whatever PAR1")
    with pytest.raises(MissingExtraError, match=r"mixtura\[data\]"):
        read_table(str(path))
