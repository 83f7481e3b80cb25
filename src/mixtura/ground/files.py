"""Files that appear whole, and together, or not at all.

Each is first written under a temporary name in its own folder and brought to the disk; a rename, which is one act, then puts it in its
place. Renaming several files is several acts, so before the first of them a *journal* is laid down in each of their folders, which names
all temporaries and where they belong. Once the last journal lies there, the set counts as written: what a kill then leaves undone, the
next writer in any of the folders finishes (``settle``). Temporaries without all of their journals are removed. If a rename fails while
the process lives, files already renamed are put back.

Each temporary and each journal is locked by the process that writes it. Locks go with the process, whatever ended it, so one that can be
had belongs to nobody any more. Where there are no such locks (Windows, some network file systems), what a kill has left stays.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

StrPath = str | os.PathLike[str]

OURS = re.compile(r"\.mixtura-([0-9a-f]{16})-(\d+|\d+-old|journal)")
"""Names of temporaries, of links to the files that they replace, and of journals."""


@contextlib.contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends well, and vanishes when it does not.

    Parameters
    ----------
    path : path-like
        A link stays a link: the file that it leads to is replaced.

    Raises
    ------
    OSError
        If the file cannot be written; what ``check_target`` can tell, before the block begins.
    """
    with _written({path: check_target(path)}) as (temporary,):
        try:
            yield temporary
        except OSError as error:
            if error.filename not in (None, str(temporary)):
                raise
            with named(path):
                raise


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files, all or none of them.

    Parameters
    ----------
    contents : mapping of Path to bytes

    Raises
    ------
    OSError
        If one of them cannot be written; all of them are then what they were.
    """
    with _written({path: check_target(path) for path in contents}) as temporaries:
        for (path, content), temporary in zip(contents.items(), temporaries, strict=True):
            with named(path):
                temporary.write_bytes(content)


def check_target(path: StrPath) -> Path:
    """The file that a path stands for, links followed, or the reason why it cannot be written.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    OSError
        Whose ``strerror`` is a sentence, and whose ``filename`` is ``path``.
    """
    shown = os.fspath(path)
    target = Path(os.path.realpath(path))
    folder = os.path.dirname(shown) or "."
    with named(path):
        try:
            found = os.stat(target)
        except FileNotFoundError:
            found = None
        if found is not None and not stat.S_ISREG(found.st_mode):
            kind = "folder" if stat.S_ISDIR(found.st_mode) else "device, not a file"
            raise OSError(errno.EISDIR, f"it is a {kind}")
        if not target.parent.is_dir() or shown.endswith(os.sep):
            raise OSError(errno.ENOENT, f"there is no folder {folder!r}. Make it first")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, f"the folder {folder!r} is not writable")
        if found is not None and not (found.st_mode & 0o222 and os.access(target, os.W_OK)):
            raise OSError(errno.EACCES, "it is read-only. Allow writing, or choose another name")
    return target


@contextlib.contextmanager
def named(path: StrPath) -> Iterator[None]:
    """Errors of the system in this block say which file they are about: ``path``, and never a temporary.

    Parameters
    ----------
    path : path-like
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a library's own words
            raise OSError(errno.EIO, str(error), os.fspath(path)) from error
        error.filename = os.fspath(path)
        del error.filename2
        raise


def lock(handle: int) -> bool:
    """Hold an open file for this process alone, as far as the system can; whether nobody else holds it."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a file system without locks
    return True


# ---- a set that is being written -----------------------------------------------------------------------------------------------


class _Writing:
    """Temporaries of one set, and what it takes to put them in their places or out of the way."""

    def __init__(self, targets: Mapping[StrPath, Path]) -> None:
        token = secrets.token_hex(8)
        self.given, self.targets = list(targets), list(targets.values())
        self.temporaries = [target.parent / f".mixtura-{token}-{i}" for i, target in enumerate(self.targets)]
        self.olds = [temporary.with_name(f"{temporary.name}-old") for temporary in self.temporaries]
        folders = dict.fromkeys(target.parent for target in self.targets) if len(self.targets) > 1 else {}
        self.journals = [folder / f".mixtura-{token}-journal" for folder in folders]
        self.written: list[os.stat_result] = []
        self.locks: list[int] = []
        self.is_pending = False

    def begin(self) -> None:
        """Empty temporaries, for nobody else's eyes where the old file is not for them."""
        for given, target, temporary in zip(self.given, self.targets, self.temporaries, strict=True):
            with named(given):
                _create(temporary, self.locks, 0o600 if target.exists() else 0o666)
                self.written.append(temporary.stat())

    def publish(self) -> None:
        """Put all temporaries in their places."""
        for given, target, temporary in zip(self.given, self.targets, self.temporaries, strict=True):
            with named(given):
                _take_after(target, temporary)
                _to_disk(temporary)
        if self.journals:
            for given, target, old in zip(self.given, self.targets, self.olds, strict=True):
                with named(given):
                    _keep(target, old)
            for journal in self.journals:
                with named(journal.parent):
                    _create(journal, self.locks, 0o600)
                    journal.write_bytes(_said(self.journals, self.temporaries, self.targets))
                    _to_disk(journal)
        self.is_pending = True
        self.rename()

    def rename(self) -> None:
        """Rename what is not renamed yet; if that fails, put back what was."""
        for i, (given, temporary, target) in enumerate(zip(self.given, self.temporaries, self.targets, strict=True)):
            if not self.is_in_place(i):
                try:
                    with named(given):
                        temporary.replace(target)
                except OSError:
                    self.undo()
                    raise
        self.is_pending = False

    def is_in_place(self, i: int) -> bool:
        """Whether a file has been renamed."""
        try:
            return os.path.samestat(self.written[i], self.targets[i].stat())
        except FileNotFoundError:
            return False

    def undo(self) -> None:
        """Take the new files away, and put the old ones back."""
        self.is_pending = False
        _remove(self.journals)
        for i, (target, old) in enumerate(zip(self.targets, self.olds, strict=True)):
            if self.is_in_place(i):
                old.replace(target) if old.exists() else target.unlink()

    def end(self) -> None:
        """Leave nothing but the files, old or new; an interrupt among the renames does not stop them half-way."""
        try:
            if self.is_pending:
                self.rename()
        finally:
            _remove([*self.journals, *self.temporaries, *self.olds])
            while self.locks:
                os.close(self.locks.pop())


@contextlib.contextmanager
def _written(targets: Mapping[StrPath, Path]) -> Iterator[list[Path]]:
    settle(target.parent for target in targets.values())
    writing = _Writing(targets)
    try:
        writing.begin()
        yield writing.temporaries
        writing.publish()
    finally:
        try:
            writing.end()
        finally:
            writing.end()  # again, because a signal may have cut the first short


def _create(path: Path, locks: list[int], mode: int) -> None:
    """A new and empty file, and its lock among the others."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        if fcntl is None:
            os.close(handle)
            return
        lock(handle)
        if os.fstat(handle).st_nlink:
            locks.append(handle)
            return
        os.close(handle)  # somebody took it for left behind, in the moment before the lock


def _take_after(target: Path, temporary: Path) -> None:
    """Give the new file the owner, permissions and attributes of the old one, as far as the system allows."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return
    for owner in (found.st_uid, -1):
        with contextlib.suppress(OSError, AttributeError):  # Windows has no owners
            os.chown(temporary, owner, found.st_gid)
            break
    with contextlib.suppress(OSError):
        shutil.copystat(target, temporary)
    os.utime(temporary)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep(target: Path, old: Path) -> None:
    """Another name for the old file, if there is one; a copy where files have but one name."""
    try:
        os.link(target, old)
    except FileNotFoundError:
        return
    except OSError:
        shutil.copy2(target, old)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


# ---- what a killed process has left ------------------------------------------------------------------------------------------


def settle(folders: Iterable[Path]) -> None:
    """Finish or undo what killed writers have left in these folders: what no process holds any more, and this user's alone.

    Parameters
    ----------
    folders : iterable of Path
    """
    for folder in dict.fromkeys(folders):
        left = _left_in(folder)
        for journal in [path for path in left if path.name.endswith("-journal")]:
            _remove_abandoned(journal, first=_finish)
        for temporary in [path for path in left if path.name[-1].isdigit()]:
            _remove_abandoned(temporary)
        held = {_token(path) for path in _left_in(folder) if not path.name.endswith("-old")}
        with contextlib.suppress(OSError):
            _remove(path for path in left if path.name.endswith("-old") and _token(path) not in held)


def _token(path: Path) -> str:
    found = OURS.fullmatch(path.name)
    assert found
    return found[1]


def _left_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if OURS.fullmatch(entry.name) and _is_own(entry)]
    except OSError:
        return []


def _is_own(entry: os.DirEntry[str]) -> bool:
    """Whether a file is this user's: nobody else says what is renamed here."""
    found = entry.stat(follow_symlinks=False)
    return stat.S_ISREG(found.st_mode) and (not hasattr(os, "geteuid") or found.st_uid == os.geteuid())


def _remove_abandoned(path: Path, first: Callable[[Path], None] | None = None) -> None:
    """Remove a file that nobody holds; do something before."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if first is not None:
                first(path)
            path.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _said(journals: Iterable[Path], temporaries: Iterable[Path], targets: Iterable[Path]) -> bytes:
    """What a journal says."""
    renames = [[str(temporary), target.name] for temporary, target in zip(temporaries, targets, strict=True)]
    return json.dumps({"journals": list(map(str, journals)), "renames": renames}).encode()


def _finish(journal: Path) -> None:
    """Do the renames of a set, if it has all of its journals.

    A journal moves temporaries of its own set alone, within folders in which the same journal lies: one that came in an archive can do
    no more than the archive could.
    """
    try:
        content = journal.read_bytes()
        said = json.loads(content)
        journals = [Path(name) for name in said["journals"]]
        renames = [(Path(temporary), str(name)) for temporary, name in said["renames"]]
        alike = all(other.name == journal.name and other.read_bytes() == content for other in journals)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return  # before the last journal is there, nothing is renamed
    folders = {other.parent for other in journals}
    if alike and journal.parent in folders:
        for temporary, name in renames:
            inside = temporary.parent in folders and Path(name).name == name
            if inside and OURS.fullmatch(temporary.name) and _token(temporary) == _token(journal):
                with contextlib.suppress(FileNotFoundError):  # renamed already
                    temporary.replace(temporary.parent / name)
        _remove(journals)
