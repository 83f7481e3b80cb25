"""What stands on a terminal, and what happens where there is none, or not all of it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mixtura.model.mixture import Mixture

if os.name != "posix":
    pytest.skip("terminals and streams are POSIX's", allow_module_level=True)

from terminal import at_terminal

Cli = Callable[..., object]
MIXTURA = f"{shlex.quote(sys.executable)} -m mixtura.cli"
HOSTILE = ["\x1b]0;title\x07", "a\nModel  of another", "\x9b31m\u202e", "身長"]
COMMANDS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
"""What a terminal obeys, but for the end of a line."""


@pytest.fixture
def hostile(folder: Path) -> Path:
    """A model with names that a terminal would obey."""
    Mixture([0.5, 0.5], [[0.0] * 4, [9.0] * 4], [1.0, 2.0], "spherical", feature_names=HOSTILE).save("hostile.json")
    return folder


@pytest.mark.parametrize(
    "environment",
    [{}, {"NO_COLOR": "1", "TERM": "dumb"}, {"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}],
    ids=str,
)
def test_names_do_not_reach_a_terminal_as_commands(environment: dict[str, str], hostile: Path) -> None:
    commands = [["describe", "hostile.json"]]
    if not environment:
        commands += [["sample", "hostile.json", "2"], ["predict", "hostile.json", "\x1b[31m.csv"]]
    for command in commands:
        code, seen = at_terminal(command, hostile, environment=environment)
        assert code == (2 if "predict" in command else 0)
        assert not COMMANDS.search(seen), ascii(seen)
        assert not re.search("^Model +of another", seen, re.MULTILINE)
        assert r"\x1b" in seen


def test_a_table_stays_in_line_whatever_letters_are_as_wide_as_two(hostile: Path, cli: Cli) -> None:
    table = cli("describe", "hostile.json").out.partition("Weights and means\n")[2].splitlines()
    header, first = next(line for line in table if "身長" in line), table[1]
    assert header.endswith("  身長")
    assert len(header) + 2 == len(first), "two letters that take four places"


@pytest.mark.parametrize("columns", [60, 80])
def test_a_summary_is_as_wide_as_the_terminal(columns: int, folder: Path, model: Path) -> None:
    code, seen = at_terminal(["describe", str(model)], folder, columns=columns)
    widest = max(map(len, seen.splitlines()))
    assert code == 0
    assert columns - 20 < widest <= columns


@pytest.mark.parametrize("command", ["", "fit", "predict", "score", "sample", "describe", "plot"])
def test_help_fits_eighty_columns(command: str, cli: Cli) -> None:
    assert max(map(len, cli(*command.split(), "--help").out.splitlines())) <= 80


def test_whoever_waits_at_a_terminal_is_told_for_what(folder: Path, faithful_csv: Path) -> None:
    impatient = "import mixtura.cli, mixtura.estimators.progress as it; it.PATIENCE = 0.0; mixtura.cli.main()"
    fit = ["fit", str(faithful_csv), "--components", "1:2", "--restarts", "1"]
    code, seen = at_terminal(fit, folder, code=impatient)
    assert code == 0
    waited, _, summary = seen.partition("Candidates")
    for label in ("Reading", "Fitting", "Drawing"):
        assert label in waited
    assert waited.endswith("\r"), "the last line is empty again"
    assert "\r" not in summary


# ---- streams that are closed or full -------------------------------------------------------------------------------------------

SAYS = {
    "describe {model} >&-": (2, "standard output is closed, so there is nowhere to write to."),
    "predict {model} {data} >&-": (2, "standard output is closed, so there is nowhere to write to."),
    "fit {data} --components 1 --restarts 1 >&-": (0, ""),
    "fit - --components 1 --restarts 1 <&-": (2, "standard input is closed"),
    "--help >&-": (0, ""),
    "describe {model} >/dev/full": (2, "standard output: No space left on device"),
    "sample {model} 5000 >/dev/full": (2, "standard output: No space left on device"),
    "--help >/dev/full": (2, "standard output: No space left on device"),
    "describe {model} >/dev/null 2>&-": (0, ""),
    "bogus 2>/dev/full": (2, ""),
}


@pytest.mark.parametrize("line", SAYS)
@pytest.mark.usefixtures("folder")
def test_a_stream_that_is_closed_or_full(line: str, model: Path, faithful_csv: Path) -> None:
    command = f"{MIXTURA} {line.format(model=shlex.quote(str(model)), data=shlex.quote(str(faithful_csv)))}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=300, check=False)
    code, sentence = SAYS[line]
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"mixtura: error: {sentence}" if sentence else "")
    assert done.stderr.count("\n") == bool(sentence)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_names_of_files_in_bytes_that_are_no_text(process: Cli, folder: Path, faithful_csv: Path) -> None:
    data = os.fsdecode(b"caf\xe9.csv")
    (folder / data).write_bytes(faithful_csv.read_bytes())
    done = process("fit", data, "--components", 1, "--restarts", 1)
    assert (done.code, done.err) == (0, "")
    assert r"Model in caf\udce9.mixture.json" in done.out
    described = process("describe", os.fsdecode(b"caf\xe9.mixture.json"))
    assert (described.code, described.err) == (0, "")
    assert r"Data            caf\udce9.csv, 272 rows" in described.out
    assert r"there is no file 'no\udce9.csv'" in process("fit", os.fsdecode(b"no\xe9.csv")).complaint
    (folder / data).write_text("a\n")
    assert r"caf\udce9.csv" in process("fit", data).complaint


# ---- a full disk -----------------------------------------------------------------------------------------------------------------

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import matplotlib.font_manager, mixtura.cli, mixtura.plot  # what they write to caches is not meant
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))
mixtura.cli.main()
"""


@pytest.mark.parametrize("most", [100, 6000], ids=["not the model", "not the picture"])
def test_a_disk_that_is_full_keeps_the_old_set_and_says_what_was_found(
    most: int, process: Cli, folder: Path, faithful_csv: Path
) -> None:
    pytest.importorskip("matplotlib")
    for name in ("m.json", "p.png"):
        (folder / name).write_text("old")
    fit = ["fit", faithful_csv, "--components", 1, "--restarts", 1, "--out", "m.json", "--plot", "p.png"]
    done = process(*fit, code=LIMITED.format(most=most))
    assert done.code == 2
    assert re.fullmatch(r"mixtura: error: \S+/(m.json|p.png): File too large\n", done.err)
    assert "Weights and means" in done.out
    assert "Model in" not in done.out
    assert sorted(os.listdir(folder)) == ["m.json", "p.png"]
    assert {(folder / name).read_text() for name in ("m.json", "p.png")} == {"old"}
