"""``--checkpoint`` and ``--resume``: the model of a fit that nobody interrupted, and sentences where files do not belong together."""

from pathlib import Path

import pytest

from commands import run_here
from mixtura.data.logbook import FRAME, MAGIC

SOLVERS = {
    "em": ["--components", "1:3", "--restarts", "2"],
    "cavi": ["--solver", "cavi", "--components", "4", "--restarts", "1"],
}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if matplotlib were not installed."""
    monkeypatch.setattr("mixtura.cli.fit.can_draw", lambda: False)


def ran(*arguments: object) -> str:
    found = run_here([str(one) for one in arguments])
    assert (found.code, found.err, found.error) == (0, "", None), found
    return found.out


def said(*arguments: object) -> str:
    found = run_here([str(one) for one in arguments])
    assert (found.code in (1, 2), found.error, found.err.count("\n")) == (True, None, 1), found
    return found.err


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_goes_on_to_the_model_of_one_that_nobody_interrupted(solver: str, root: Path, tmp_path: Path) -> None:
    data, path = root / "examples" / "faithful.csv", tmp_path / "fit.checkpoint"
    whole, resumed = tmp_path / "whole.json", tmp_path / "resumed.json"
    fit = ["fit", data, *SOLVERS[solver]]
    plain = ran(*fit, "--out", whole)
    assert ran(*fit, "--checkpoint", path, "--out", resumed).replace("resumed", "whole") == plain
    content = path.read_bytes()
    header = len(MAGIC) + FRAME.size + FRAME.unpack_from(content, len(MAGIC))[0]
    for end in (header, header + 100, len(content) // 2, len(content) - 1, len(content)):
        path.write_bytes(content[:end])
        resumed.unlink()
        assert ran(*fit, "--checkpoint", path, "--resume", "--out", resumed).replace("resumed", "whole") == plain
        assert resumed.read_bytes() == whole.read_bytes()
        assert path.read_bytes() == content
    path.unlink()
    ran(*fit, "--checkpoint", path, "--resume", "--out", resumed)
    assert path.read_bytes() == content


def test_what_cannot_be_gone_on_with_is_said(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, path = root / "examples" / "faithful.csv", tmp_path / "fit.checkpoint"
    fit = ["fit", data, "--components", "2", "--checkpoint", path]
    ran(*fit)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    model = (tmp_path / "faithful.mixture.json").read_bytes()
    for arguments, words in [
        (fit, "is of a fit that was broken off"),
        ([*fit, "--resume", "--seed", "1"], "random_state: 0 there, and 1 here"),
        ([*fit, "--resume", "--restarts", "3"], "n_init: 10 there, and 3 here"),
        ([*fit, "--resume", "--columns", "waiting"], "columns: 2 there, and 1 here"),
        (["fit", data, "--resume"], "Name its file: --checkpoint"),
        (["fit", data, "--checkpoint", data], "would replace the file that is read. Give another --checkpoint"),
        (["fit", data, "--checkpoint", tmp_path / "faithful.mixture.json"], "--out and --checkpoint are the same file"),
        (["fit", data, "--checkpoint", tmp_path / "none" / "x"], "there is no folder"),
        (["fit", data, "--solver", "svi", "--checkpoint", path], "nothing that --solver svi knows"),
        (["fit", data, "--checkpoint", root / "README.md", "--resume"], "is not a checkpoint"),
    ]:
        assert words in said(*arguments)
        assert path.read_bytes() == content[:-10]
        assert (tmp_path / "faithful.mixture.json").read_bytes() == model
