"""Damaged files, each from one seed, and the law for whoever reads one: a right answer, or one sentence.

No exception but our own, no warning, nothing that is not finite, no half answer. ``python -m bench.damaged`` draws them by the hundred;
the suite has a short form.
"""

import io
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import mixtura as mx
from mixtura.cli import run
from mixtura.cli.tables import read_table
from mixtura.ground.errors import MixturaError

MOST_SECONDS = 20.0
"""Of a processor, that reading a damaged file of a few kilobytes may take."""
NAMES = ("length", "width")
Rng = np.random.Generator


# ---- whole files -------------------------------------------------------------------------------------------------------------------


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, inside in members.items():
            archive.writestr(name, inside)
    return content.getvalue()


def saved(array: np.ndarray) -> bytes:
    """A ``.npy`` file."""
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _frame(rng: Rng) -> pd.DataFrame:
    n = int(rng.integers(1, 200))
    rows = rng.normal(size=(n, 2)) * 10.0 ** rng.integers(-3, 6)
    frame = pd.DataFrame(rows.round(int(rng.integers(0, 6))), columns=list(NAMES))
    if rng.random() < 0.5:
        frame.insert(int(rng.integers(3)), "place", rng.choice(["Rome", "Bonn, Rhein", 'the "Hague"'], n))
    return frame


def csv_file(rng: Rng) -> bytes:
    """A text file in one of its dialects."""
    separator, decimal = ((",", "."), (";", "."), ("\t", "."), (";", ","))[rng.integers(4)]
    text = _frame(rng).to_csv(index=bool(rng.random() < 0.3), sep=separator, decimal=decimal)
    above = ("", "# of 2019\n", "\ufeff", f"sep={separator}\n", "\n")[rng.integers(5)]
    return (above + text).replace("\n", ("\n", "\r\n")[rng.integers(2)]).encode()


def npy_file(rng: Rng) -> bytes:
    """An array of any type and order."""
    array = _frame(rng)[list(NAMES)].to_numpy()
    with np.errstate(all="ignore"):
        array = np.asarray(array, dtype=rng.choice(["f8", "f4", ">f8", "f2", "i4", "u1"]))
    return saved(np.asfortranarray(array) if rng.random() < 0.3 else array)


def parquet_file(rng: Rng) -> bytes:
    """A data frame as pandas writes it."""
    frame, content = _frame(rng), io.BytesIO()
    if rng.random() < 0.5:
        frame = frame[rng.random(len(frame)) < 0.7]
    frame.to_parquet(content, compression=rng.choice(["snappy", "gzip", "zstd", "none"]))
    return content.getvalue()


FILES: dict[str, Callable[[Rng], bytes]] = {"csv": csv_file, "npy": npy_file, "parquet": parquet_file}


# ---- damage ------------------------------------------------------------------------------------------------------------------------


def damaged(content: bytes, rng: Rng) -> bytes:
    """The content cut, with some bits flipped, with other values, with a piece missing, doubled or zeroed: one or two of these.

    Half of the places are among the first and last 300 bytes, where files say what they are.
    """
    for _ in range(int(rng.integers(1, 3))):
        content = _HOW[rng.integers(len(_HOW))](content, rng)
    return content


def _place(content: bytes, rng: Rng) -> int:
    edge = min(len(content), 300)
    anywhere, start, end = rng.integers(max(len(content), 1)), rng.integers(max(edge, 1)), rng.integers(max(edge, 1))
    return int((anywhere, anywhere, start, max(len(content) - 1, 0) - end)[rng.integers(4)])


def _cut(content: bytes, rng: Rng) -> bytes:
    return content[: _place(content, rng)]


def _flipped(content: bytes, rng: Rng) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4)) if content else 0):
        changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _other_values(content: bytes, rng: Rng) -> bytes:
    """A few bytes become others that mean something: digits, marks, extreme integers and floats."""
    values = [
        b"9" * 40,
        b"-",
        b",",
        b'"',
        b"\n",
        b"\0",
        b"nan",
        b"1e999",
        b"\xff" * 8,
        b"\x7f" + b"\xff" * 7,
        b"\x80" * 8,
    ]
    values += [
        np.float64(np.inf).tobytes(),
        np.int64(2**62).tobytes(),
        np.int32(-1).tobytes(),
        b"((((",
        b"True",
        "é".encode(),
    ]
    at, value = _place(content, rng), values[rng.integers(len(values))]
    return content[:at] + value + content[at + len(value) * int(rng.integers(2)) :]


def _piece(content: bytes, rng: Rng) -> bytes:
    first, last = sorted((_place(content, rng), _place(content, rng)))
    instead = (b"", 2 * content[first:last], bytes(last - first), rng.bytes(last - first))[rng.integers(4)]
    return content[:first] + instead + content[last:]


_HOW = (_cut, _flipped, _other_values, _piece)


# ---- the law -----------------------------------------------------------------------------------------------------------------------


class Judged(NamedTuple):
    """What became of a file: whether it was read, the sentence that refused it, and what broke the law."""

    was_read: bool
    sentence: str
    broken: str


def judge(kind: str, seed: int, folder: Path) -> Judged:
    """Damage a whole file and read it.

    Parameters
    ----------
    kind : str
        A key of ``FILES``.
    seed : int
    folder : Path
        Where the file is put, under the name ``damaged.`` and its kind.
    """
    rng = np.random.default_rng([seed, *kind.encode()])
    path, model = folder / f"damaged.{kind}", folder / "model.json"
    path.write_bytes(damaged(FILES[kind](rng), rng))
    mixture = mx.Mixture([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [1.0, 4.0], "spherical")
    mixture.with_feature_names(NAMES).save(model)
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            judged = _read(path, model)
    except Exception as error:
        return Judged(False, "", "".join(traceback.format_exception(error)[-3:]))
    took = time.process_time() - began
    return judged._replace(broken=f"took {took:.0f} s") if took > MOST_SECONDS and not judged.broken else judged


def _read(path: Path, model: Path) -> Judged:
    try:
        table = read_table(str(path))
    except MixturaError as error:
        sentence, broken = str(error), ""
        if "\n" in sentence or not sentence.endswith((".", "?", '"')):
            broken = f"not a sentence: {sentence!r}"
    else:
        sentence, broken = "", _is_wrong(path, table.rows, table.columns)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["score", str(model), str(path)])
    one_line = err.getvalue().startswith("mixtura: error: ") and err.getvalue().count("\n") == 1
    if (
        code not in (0, 2)
        or (code == 2 and (out.getvalue() or not one_line))
        or (code == 0 and "nan" in out.getvalue())
    ):
        broken = broken or f"score: {code}, {out.getvalue()!r}, {err.getvalue()!r}"
    return Judged(code == 0, sentence or err.getvalue(), broken)


def _is_wrong(path: Path, rows: np.ndarray, columns: tuple[str, ...]) -> str:
    """What is wrong with an answer, beside NumPy's own where there is one."""
    if rows.shape[1] != len(columns) or not len(rows) or not np.isfinite(rows).all() or len({*columns}) < len(columns):
        return f"no table: {rows.shape}, {columns}"
    if path.suffix == ".npy" and not np.array_equal(rows, np.load(path).reshape(len(rows), -1)):
        return "not what NumPy reads"
    return ""
