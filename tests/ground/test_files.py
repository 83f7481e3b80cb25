"""Writing a file whole or not at all."""

import os
import stat

import pytest

from mixtura.ground.files import atomic_path

posix = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


def test_the_file_appears_when_the_block_ends_and_not_before(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".txt"
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
