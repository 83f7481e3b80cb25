"""Command lines drawn at random, most of them valid, each from one seed, in a folder with files of every kind.

The law that they keep is in ``tests/commands.py``. ``python -m bench.command_lines`` runs a thousand; the suite has a short form.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from commands import Finding, Ran, broken, run_here, state_of, working_in
from mixtura.model.mixture import Mixture

Rng = np.random.Generator

INVALID = 0.035
"""How probable it is that a single argument is a bad one."""
READABLE = ["data.csv", "data.tsv", "data.npy", "more.csv", "-"]
UNREADABLE = [
    "missing.csv",
    "empty.csv",
    "header.csv",
    "text.csv",
    "ragged.csv",
    "binary.csv",
    "folder",
    "model.json",
    "bad.npy",
    "",
]
MODELS = ["model.json", "diag.json", "link.json", "hostile.json"]
NO_MODELS = ["missing.json", "data.csv", "folder", "cut.json", "newer.json", "", "binary.csv"]
NUMBERS = ["0", "-1", "nan", "inf", "1e3", "99999999999999999999", "9" * 5000, "", "x", "1.5", "--", "\u0663"]
OUT = ["out.json", "new.out", "folder/out", "old.json", "link.json", "\udce9.json", "=x.csv", "a b", "n" * 255]
NO_OUT = [
    "nowhere/out",
    "folder",
    "read-only.json",
    "/dev/null",
    "/dev/full",
    "n" * 256,
    "data.csv",
    "circle",
    "folder/",
]
PICTURES = ["out.png", "out.svg", "out.pdf", "folder/out.PNG", "old.png"]
NO_PICTURES = ["out.xyz", "out", "nowhere/out.png", ".png", "n" * 252 + ".png"]


def furnish(folder: Path) -> None:
    """The files that command lines speak of."""
    rng = np.random.default_rng(0)
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0], [6.0, 4.0]], [1.0, 1.0], "spherical", feature_names=["height", "weight"])
    X, labels = mixture.sample(60, rng)
    lines = [f"{a},{b},{'xy'[k]}" for (a, b), k in zip(X.tolist(), labels, strict=True)]
    table = "\n".join(["height,weight,kind", *lines]) + "\n"
    (folder / "data.csv").write_text(table)
    (folder / "data.tsv").write_text(table.replace(",", "\t"))
    (folder / "more.csv").write_text("id,weight,height\n1,2.5,3\n2,0.5,-1\n3,7,7\n4,1,2\n")
    np.save(folder / "data.npy", X)
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("height,weight\n")
    (folder / "text.csv").write_text("height,weight\nx,y\nz,\x1b[31m\n")
    (folder / "ragged.csv").write_text("height,weight\n1,2\n3\n")
    (folder / "binary.csv").write_bytes(rng.bytes(2000))
    (folder / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00" + rng.bytes(100))
    (folder / "folder").mkdir()
    made = ["fit", "data.csv", "--components", "1:2", "--restarts", "2", "--out", "model.json", "--plot", "old.png"]
    with working_in(folder):
        assert run_here(made).code == 0
    Mixture([1.0], [[0.0, 0.0]], [[1.0, 2.0]], "diag").save(folder / "diag.json")
    hostile = ["\x1b]0;title\x07", '=cmd|"/C calc"!A0\n']
    mixture.with_feature_names(hostile).save(folder / "hostile.json")
    text = (folder / "model.json").read_text()
    (folder / "cut.json").write_text(text[: len(text) // 2])
    (folder / "newer.json").write_text(text.replace('"version": 1', '"version": 2'))
    (folder / "old.json").write_text(text)
    (folder / "old.json").chmod(0o600)
    (folder / "read-only.json").write_text(text)
    (folder / "read-only.json").chmod(0o444)
    (folder / "link.json").symlink_to("old.json")
    (folder / "circle").symlink_to("circle")


# ---- drawing -----------------------------------------------------------------------------------------------------------------------


def draw(seed: int) -> list[str]:
    """One command line, as after the program's name."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.04:
        return [["--help"], ["--version"], ["bogus"], [], ["fit", "--help"], ["--bogus"], [""], ["-h", "\x1b[31m"]][
            rng.integers(8)
        ]
    command = str(
        rng.choice(["fit", "predict", "score", "sample", "describe", "plot"], p=[0.35, 0.15, 0.15, 0.15, 0.1, 0.1])
    )
    arguments = [command, *DRAWN[command](rng)]
    if rng.random() < INVALID:
        arguments.insert(
            int(rng.integers(1, len(arguments) + 1)), str(rng.choice(["--bogus", "more", "\x1b[31m", "--", "\udcff"]))
        )
    if rng.random() < INVALID and len(arguments) > 2:
        del arguments[rng.integers(1, len(arguments))]
    return arguments


def _one(rng: Rng, good: list[str], bad: list[str]) -> str:
    chosen = bad if rng.random() < INVALID else good
    return chosen[rng.integers(len(chosen))]


def _some(rng: Rng, options: dict[str, tuple[list[str], list[str]]], share: float = 0.35) -> Iterator[str]:
    """Options, each with some probability, and in any order."""
    for name in rng.permutation(list(options)):
        if rng.random() < share:
            yield str(name)
            yield _one(rng, *options[str(name)])


def _fit(rng: Rng) -> list[str]:
    solver = "em" if rng.random() < 0.7 else str(rng.choice(["cavi", "svi", "gibbs"]))
    options: dict[str, tuple[list[str], list[str]]] = {
        "--components": (["1", "2", "1:2", "2:3", " 1 : 2 "], ["0", "9:1", "1:61", "many", *NUMBERS]),
        "--covariance": (["full", "diag", "VVI", "tied"], ["round", "", "full,", "full,all", "\x1b[31m"]),
        "--columns": (["height", "height,weight", '"weight"'], ["nope", "", ",", "kind", "height,height", "\udce9"]),
        "--seed": (["0", "7", "4294967295"], [*NUMBERS[1:], "4294967296"]),
        "--restarts": (["1", "2"], [*NUMBERS, "1001"]),
        "--out": (OUT, NO_OUT),
        "--plot": (PICTURES, NO_PICTURES),
    }
    if solver == "em":
        options["--criterion"] = (["bic", "aic", "icl"], ["dic", ""])
        options["--covariance"][0].extend(["full,tied", "all"])
    if solver == "gibbs":
        options["--chains"] = (["1", "2"], [*NUMBERS, "101"])
    else:
        options["--max-iter"] = (["20", "300"], NUMBERS)
    options["--reg-covar"] = (["0.01", "1e-6", "1"], ["nan", "inf", "-1", "x", ""])
    fixed = ["--solver", solver] if solver != "em" or rng.random() < 0.1 else []
    if solver == "gibbs":
        fixed += ["--draws", "100"]
    chosen = list(_some(rng, options))
    if "--components" not in chosen:
        chosen += ["--components", "1:2"]
    if "--restarts" not in chosen:
        chosen += ["--restarts", "1"]
    return [_one(rng, READABLE, UNREADABLE), *fixed, *chosen]


def _predict(rng: Rng) -> list[str]:
    flags = ["--proba"] if rng.random() < 0.4 else []
    return [
        _one(rng, MODELS[:3], NO_MODELS),
        _one(rng, READABLE, UNREADABLE),
        *flags,
        *_some(rng, {"--out": (OUT, NO_OUT)}),
    ]


def _score(rng: Rng) -> list[str]:
    flags = ["--rows"] if rng.random() < 0.4 else []
    return [
        _one(rng, MODELS[:3], NO_MODELS),
        _one(rng, READABLE, UNREADABLE),
        *flags,
        *_some(rng, {"--out": (OUT, NO_OUT)}),
    ]


def _sample(rng: Rng) -> list[str]:
    flags = ["--labels"] if rng.random() < 0.4 else []
    options = {"--out": (OUT, NO_OUT), "--seed": (["0", "9"], NUMBERS[1:])}
    return [_one(rng, MODELS, NO_MODELS), _one(rng, ["1", "5", "100"], NUMBERS), *flags, *_some(rng, options)]


def _describe(rng: Rng) -> list[str]:
    return [_one(rng, MODELS, NO_MODELS)]


def _plot(rng: Rng) -> list[str]:
    model = _one(rng, MODELS, NO_MODELS)
    data = [_one(rng, READABLE, UNREADABLE)] if rng.random() < 0.5 and model != "hostile.json" else []
    return [model, *data, *_some(rng, {"--out": (PICTURES, NO_PICTURES)}, 0.8)]


DRAWN: dict[str, Callable[[Rng], list[str]]] = {
    "fit": _fit,
    "predict": _predict,
    "score": _score,
    "sample": _sample,
    "describe": _describe,
    "plot": _plot,
}


# ---- the law -----------------------------------------------------------------------------------------------------------------------


def judge(
    arguments: list[str], folder: Path, runner: Callable[..., Ran] = run_here
) -> tuple[int | None, list[Finding]]:
    """Run a command line in a furnished folder: its exit code, and how it broke the law.

    Parameters
    ----------
    arguments : list of str
    folder : Path
        What the command writes there stays.
    runner : callable
        In this process, or in one of its own.
    """
    before = state_of(folder)
    with working_in(folder):
        ran = runner(arguments, (folder / "data.csv").read_bytes())
    after = state_of(folder)
    findings = list(broken(ran, is_table=arguments[:1] == ["sample"]))
    if ran.code != 0 and after != before:
        findings.append(Finding("a file has changed", f"exit code {ran.code}", str(_differences(before, after))))
    left = [name for name in after if Path(name).name.startswith(".mixtura-")]
    if left:
        findings.append(Finding("temporaries are left", f"exit code {ran.code}", str(left)))
    return ran.code, findings


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
