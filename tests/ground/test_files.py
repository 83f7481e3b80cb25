"""Writing files whole and together, or not at all."""

import errno
import itertools
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mixtura.ground import files
from mixtura.ground.files import atomic_path, check_target, settle, write_together

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and locks are POSIX's")


def test_the_file_appears_when_the_block_ends_and_not_before(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [True, False], ids=["over an old file", "where no file was"])
def test_nothing_is_left_of_a_block_that_fails(tmp_path, problem, existing):
    target = tmp_path / "file.txt"
    if existing:
        target.write_text("old")
    with pytest.raises(problem), atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise problem
    assert os.listdir(tmp_path) == (["file.txt"] if existing else [])
    assert not existing or target.read_text() == "old"


@posix
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o000, 0o666)])
def test_permissions_are_those_of_any_new_file(tmp_path, umask, mode):
    """Not the 0600 of a temporary file."""
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "file") as temporary:
            temporary.write_text("x")
        assert os.umask(umask) == umask, "the process's own mask is left as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"), atomic_path(tmp_path / "missing" / "file.txt"):
        pass


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"), atomic_path(tmp_path / "folder"):
        pass
    assert os.listdir(tmp_path) == ["folder"]


def test_a_path_without_a_folder_is_in_the_present_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_path("file.txt") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "file.txt").read_text() == "x"


# ---- what may be written ---------------------------------------------------------------------------------------------------------


def refused(path: Path) -> OSError:
    """The error of a path that cannot be written, the same before the work and at its end."""
    with pytest.raises(OSError, match=re.escape(repr(str(path)))) as checked:
        check_target(path)
    with pytest.raises(OSError, match=re.escape(str(checked.value))), atomic_path(path):
        pass
    return checked.value


@posix
def test_a_file_that_was_made_read_only_stays(tmp_path):
    """Also for the superuser, whom the system would let."""
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o444)
    assert "read-only" in refused(path).strerror
    assert path.read_text() == "old"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755, 0o200])
def test_an_old_file_keeps_its_permissions_and_owner(tmp_path, mode):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    owner = (4321, 1234) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    with atomic_path(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600, "nobody looks into it meanwhile"
        temporary.write_text("new")
    found = path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, *owner)
    assert found.st_size == 3


@posix
@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link(tmp_path, relative, exists):
    there = tmp_path / "there"
    there.mkdir()
    if exists:
        (there / "file").write_text("old")
    link = tmp_path / "link"
    link.symlink_to("there/file" if relative else there / "file")
    write_together({link: b"new", tmp_path / "other": b"new"})
    assert link.is_symlink()
    assert (there / "file").read_text() == "new"
    assert os.listdir(there) == ["file"]


@posix
def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    assert "device" in refused(tmp_path / "pipe").strerror
    assert "symbolic links" in refused(tmp_path / "circle").strerror
    assert "device" in refused(Path("/dev/null")).strerror
    assert sorted(os.listdir(tmp_path)) == ["circle", "pipe"]


@posix
@pytest.mark.parametrize("length", [250, 255, 256, 300])
def test_a_name_is_as_long_as_the_system_allows(tmp_path, length):
    path = tmp_path / ("n" * (length - 4) + ".txt")
    if length > 255:
        assert refused(path).errno == errno.ENAMETOOLONG
        return
    for _ in range(2):
        write_together({path: b"new", tmp_path / "other": b"new"})
    assert path.read_text() == "new"


# ---- all or none -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["one folder", "two folders"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """An old file, and one that is not there yet."""
    second = tmp_path if request.param == "one folder" else tmp_path / "second"
    second.mkdir(exist_ok=True)
    (tmp_path / "a").write_text("old")
    return tmp_path / "a", second / "b"


def state(pair: tuple[Path, Path]) -> list[str | None]:
    return [path.read_text() if path.exists() else None for path in pair]


OLD, NEW = ["old", None], ["new", "new"]


def leftovers(pair: tuple[Path, Path]) -> list[str]:
    return [name for folder in {path.parent for path in pair} for name in os.listdir(folder) if name.startswith(".")]


REFUSABLE = [(os, "open"), (os, "link"), (os, "fsync"), (Path, "write_bytes"), (Path, "replace")]


def every_call(monkeypatch: pytest.MonkeyPatch, problem: Callable[[int], None], also: Sequence[Any] = ()) -> None:
    """Let ``problem(i)`` look at each call of the system, the i-th from the first on, that writing files makes."""
    calls = itertools.count()

    def watched(real):
        def call(*arguments, **options):
            problem(next(calls))
            return real(*arguments, **options)

        return call

    for owner, name in [*REFUSABLE, *also]:
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))


@posix
@pytest.mark.parametrize("place", range(40))
def test_an_interrupt_leaves_all_or_none(pair, monkeypatch, place):
    def strike(i):
        if i == place:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        every_call(patched, strike, [(os, "close"), (Path, "unlink")])
        with suppress(KeyboardInterrupt):
            write_together(dict.fromkeys(pair, b"new"))
    assert state(pair) in (OLD, NEW)
    assert leftovers(pair) == []


LINK = 8
"""Which of these calls is the first link."""


@posix
@pytest.mark.parametrize("place", range(20))
def test_a_full_disk_leaves_none_and_is_named(pair, monkeypatch, place):
    """Whichever call the system refuses."""

    def strike(i):
        if i == place:
            raise OSError(errno.ENOSPC, "No space left on device")

    error = None
    with monkeypatch.context() as patched:
        every_call(patched, strike)
        try:
            write_together(dict.fromkeys(pair, b"new"))
        except OSError as raised:
            error = raised
    assert state(pair) == (NEW if error is None else OLD)
    assert error is None or error.filename in {*map(str, pair), *(str(path.parent) for path in pair)}
    assert error is not None or place >= 16 or place == LINK, "where a link is refused, a copy is made"
    assert leftovers(pair) == []


@posix
@pytest.mark.parametrize("which", [0, 1])
def test_a_rename_that_fails_takes_the_others_back(pair, monkeypatch, which):
    real = Path.replace

    def refusing(self, to):
        if to == pair[which] and not self.name.endswith("-old"):
            raise PermissionError(errno.EPERM, "Operation not permitted", str(self), None, str(to))
        return real(self, to)

    monkeypatch.setattr(Path, "replace", refusing)
    with pytest.raises(PermissionError) as found:
        write_together(dict.fromkeys(pair, b"new"))
    assert str(found.value).endswith(f"{str(pair[which])!r}")
    assert state(pair) == OLD
    assert leftovers(pair) == []


def test_a_full_disk_is_named_where_a_block_writes(tmp_path):
    with pytest.raises(OSError, match=r"No space.*file\.txt") as found, atomic_path(tmp_path / "file.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert found.value.filename == str(tmp_path / "file.txt")


# ---- killed ----------------------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from mixtura.ground.files import write_together
place, *paths = sys.argv[1:]
calls = iter(range(1000))
def watched(real):
    def call(*arguments, **options):
        if next(calls) == int(place):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
os.link, os.fsync = watched(os.link), watched(os.fsync)
for name in ("replace", "unlink", "write_bytes"):
    setattr(Path, name, watched(getattr(Path, name)))
write_together({Path(path): b"new" for path in paths})
"""


@posix
def test_the_next_writer_finishes_or_clears_what_a_killed_one_left(pair):
    """Killed before each call in turn: a set once it is settled is old or new, and after the last rename there is nothing to settle."""
    seen = []
    for place in itertools.count():
        pair[0].write_text("old")
        pair[1].unlink(missing_ok=True)
        done = subprocess.run([sys.executable, "-c", KILLED, str(place), *map(str, pair)], check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        seen.append((state(pair), bool(leftovers(pair))))
        settle(path.parent for path in pair)
        assert state(pair) in (OLD, NEW)
        assert leftovers(pair) == []
    assert len(seen) > 10
    assert (["new", None], True) in seen, "it was killed among the renames"


@posix
def test_what_is_being_written_is_left_alone(pair):
    """Another writer, in the same folders and of the same files, at any moment."""
    seen, real = [], files._Writing.rename

    def renaming(self):
        settle(path.parent for path in pair)
        seen.append(len(leftovers(pair)))
        real(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files._Writing, "rename", renaming)
        write_together(dict.fromkeys(pair, b"new"))
    folders = len({path.parent for path in pair})
    assert seen[0] == 2 + 1 + folders, "two temporaries, the old file, the journals"
    assert state(pair) == NEW
    with atomic_path(pair[0]) as temporary:
        temporary.write_text("newer")
        write_together(dict.fromkeys(pair, b"by another"))
        assert state(pair) == ["by another"] * 2
    assert state(pair) == ["newer", "by another"]
    assert leftovers(pair) == []


@posix
@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{" * 10_000,
        '{"journals": 1, "renames": []}',
        '{"journals": ["HERE"], "renames": [["TEMPORARY", "../victim"]]}',
        '{"journals": ["HERE"], "renames": [["OUTSIDE/.mixtura-0123456789abcdef-0", "victim"]]}',
        '{"journals": ["HERE", "OUTSIDE/.mixtura-0123456789abcdef-journal"], "renames": [["TEMPORARY", "victim"]]}',
        '{"journals": ["HERE"], "renames": [["OUTSIDE/victim", "moved"]]}',
    ],
)
def test_a_journal_that_is_not_ours_moves_nothing(tmp_path, content):
    """Such as one that came in an archive, and names files elsewhere."""
    here, outside = tmp_path / "here", tmp_path / "outside"
    here.mkdir()
    outside.mkdir()
    (outside / "victim").write_text("old")
    (tmp_path / "victim").write_text("old")
    (here / ".mixtura-0123456789abcdef-0").write_text("evil")
    journal = here / ".mixtura-0123456789abcdef-journal"
    content = content.replace("HERE", str(journal)).replace("OUTSIDE", str(outside))
    journal.write_text(content.replace("TEMPORARY", str(here / ".mixtura-0123456789abcdef-0")))
    with atomic_path(here / "file") as temporary:
        temporary.write_text("new")
    assert os.listdir(here) == ["file"]
    assert os.listdir(outside) == ["victim"]
    assert (outside / "victim").read_text() == (tmp_path / "victim").read_text() == "old"


def test_files_of_others_are_left_alone(tmp_path):
    names = [".mixtura-notes", ".mixtura-0123-0", ".file-abc.json", ".mixtura-0123456789abcdef-0.txt", "mixtura"]
    for name in names:
        (tmp_path / name).write_text(json.dumps(name))
    settle([tmp_path, tmp_path / "missing"])
    assert sorted(os.listdir(tmp_path)) == sorted(names)
