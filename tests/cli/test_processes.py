"""The command as a process: streams, signals, exit codes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kills import SIGNALS, Stage

Cli = Callable[..., object]
START = [sys.executable, "-m", "mixtura.cli"]


def test_a_first_round(process: Cli, folder: Path, faithful_csv: Path) -> None:
    pytest.importorskip("matplotlib")
    done = process("fit", "-", "--components", "1:2", "--restarts", 1, stdin=faithful_csv.read_bytes())
    assert (done.code, done.err) == (0, "")
    assert "<- chosen by BIC" in done.out
    assert sorted(path.name for path in folder.iterdir()) == ["stdin.mixture.json", "stdin.mixture.png"]
    labels = process("predict", "stdin.mixture.json", "-", stdin=faithful_csv.read_bytes())
    assert (labels.code, labels.err) == (0, "")
    assert labels.out.splitlines()[:3] == ["label", "0", "1"]


def test_bad_input_is_one_line(process: Cli, folder: Path) -> None:
    assert "there is no file" in process("fit", "missing.csv").complaint
    assert "standard input is empty" in process("fit", "-").complaint
    assert "No such command" in process("bogus").complaint
    assert not list(folder.iterdir())


def test_help_loads_no_numbers(process: Cli) -> None:
    code = (
        "import sys\nfrom mixtura.cli import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        "assert not {'numpy', 'scipy', 'sklearn', 'matplotlib', 'pyarrow'} & set(sys.modules)"
    )
    for arguments in (["--help"], ["fit", "--help"]):
        done = process(*arguments, code=code)
        assert (done.code, done.err) == (0, "")


def test_letters_beyond_ascii_are_written_as_they_are_read(folder: Path, model: Path) -> None:
    text = model.read_text().replace("eruptions", "Ausbrüche")
    (folder / "m.json").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for command in (["describe", "m.json"], ["sample", "m.json", "2"]):
        done = subprocess.run([*START, *command], capture_output=True, env=environment, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert "Ausbrüche" in done.stdout.decode()


@pytest.mark.skipif(os.name != "posix", reason="pipes that close are signalled differently")
def test_a_reader_that_goes_away(folder: Path, model: Path) -> None:
    with subprocess.Popen(
        [*START, "sample", str(model), "200000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"eruptions,waiting\n"
        child.stdout.close()
        assert child.wait(timeout=120) == 141
        assert child.stderr.read() == b""


MOMENTS = {
    "while reading": ("mixtura.cli.tables", "read_table", "time.sleep(60)"),
    "while climbing": ("mixtura.estimators.search", "finish", ""),
    "while writing": ("pathlib.Path", "write_bytes", "time.sleep(60)"),
}
"""A function, and what it does first after it has given a sign."""
ENDS = [("while writing", "SIGTERM"), ("while reading", "SIGTERM"), ("while writing", "SIGHUP")]
SAYS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "the terminal has gone"}

PATCHED = """
import time, pathlib, signal, mixtura.cli.tables, mixtura.estimators.search
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background may have both ignored
signal.signal(signal.SIGHUP, signal.SIG_DFL)
real = {owner}.{name}
def signalling(*arguments, **options):
    pathlib.Path("sign").touch()
    {first}
    return real(*arguments, **options)
{owner}.{name} = signalling
mixtura.cli.main()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("moment", "name"), [*((moment, "SIGINT") for moment in MOMENTS), *ENDS])
def test_ended_by_a_signal(moment: str, name: str, folder: Path) -> None:
    """Ctrl-C and its like: one line, 128 and the signal's number, and nothing half-written."""
    number = getattr(signal, name)
    owner, function, first = MOMENTS[moment]
    rows = np.random.default_rng(0).normal(size=(20_000 if moment == "while climbing" else 100, 4))
    np.savetxt("data.csv", rows, delimiter=",", header="a,b,c,d", comments="")
    (folder / "old.json").write_text("old")
    size = "40" if moment == "while climbing" else "1"
    command = [sys.executable, "-c", PATCHED.format(owner=owner, name=function, first=first)]
    command += ["fit", "data.csv", "--components", size, "--restarts", size, "--out", "old.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 120
        while not (folder / "sign").exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        child.send_signal(number)
        out, err = child.communicate(timeout=120)
    assert (child.returncode, out, err) == (128 + number, b"", f"mixtura: {SAYS[name]}\n".encode())
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "old.json", "sign"]
    assert (folder / "old.json").read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_while_writing(tmp_path: Path) -> None:
    """A few of the hundred kills of ``python -m bench.kills``."""
    pytest.importorskip("matplotlib")
    stage = Stage(tmp_path)
    assert [killed for i, name in enumerate(SIGNALS) if (killed := stage.kill(name, i)).broken] == []
