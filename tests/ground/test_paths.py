"""paths: relative paths mean the repository, and a file is replaced whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from d2m import files
from d2m.errors import OutputError, ParameterError


def disk_full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_relative_paths_mean_the_root_wherever_one_stands_and_others_stay(tmp_path, monkeypatch):
    assert (files.ROOT / "d2m" / "files.py").samefile(files.__file__)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.resolve("runs/one") == files.ROOT / "runs" / "one"
    assert files.resolve(Path("runs")) == files.ROOT / "runs"
    assert files.resolve(tmp_path / "song.mp3") == files.resolve("~/song.mp3") == tmp_path / "song.mp3"


@pytest.mark.parametrize("path", ["a" * 300, "a\0b", "\ud800", "~nobody at all/song.mp3"])
def test_what_no_file_can_be_called_is_refused(path):
    with pytest.raises(ParameterError, match=r"song is .* cannot be used \(.+\)"):
        files.resolve(path, "song")


def test_the_cache_is_made_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("D2M_CACHE", str(tmp_path / "elsewhere"))
    for _ in range(2):  # the second time it exists
        folder = files.cache_folder("songs")
        assert folder == tmp_path / "elsewhere" / "songs" and folder.is_dir()


def test_replacing_writes_a_new_file_and_its_folder(tmp_path):
    path = tmp_path / "new" / "text.json"
    for before, content in ((None, "first"), ("first", "second")):
        with files.replacing(path) as temporary:
            assert temporary.parent == path.parent  # on the same disk, so that the rename is one step
            assert temporary.suffix == ".json"  # libraries choose a format by it
            temporary.write_text(content)
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == content and list(path.parent.iterdir()) == [path]
        assert stat.S_IMODE(path.stat().st_mode) == 0o644  # others may read it


@pytest.fixture
def old(tmp_path) -> Path:
    (tmp_path / "text").write_text("old")
    return tmp_path / "text"


@pytest.mark.parametrize(("raised", "expected"), [(OSError("disk full"), OutputError), (KeyError("bug"), KeyError)])
def test_a_failure_inside_leaves_the_old_file_and_nothing_else(old, raised, expected):
    with pytest.raises(expected) as caught, files.replacing(old) as temporary:
        temporary.write_text("half")
        raise raised
    assert old.read_text() == "old" and list(old.parent.iterdir()) == [old]
    if expected is OutputError:
        assert str(old) in str(caught.value) and "disk full" in str(caught.value)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="taken"), files.replacing(tmp_path / "taken") as temporary:
        temporary.write_text("")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_what_a_killed_process_began_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    partial, foreign = tmp_path / f"{files.PARTIAL}abcd.json", tmp_path / ".hidden"
    partial.write_text("half")
    foreign.write_text("of another program")
    with files.replacing(tmp_path / "other") as temporary:
        assert not partial.exists()
        files._remove_abandoned.__wrapped__(tmp_path)  # as another process would, meanwhile
        temporary.write_text("whole")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        ".hidden": "of another program", "other": "whole",
    }  # fmt: skip


def test_a_disk_that_knows_no_locks_is_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "lock_descriptor", disk_full)
    (tmp_path / f"{files.PARTIAL}abcd").write_text("whose it is cannot be told")
    with files.replacing(tmp_path / "text") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "text").read_text() == "whole" and (tmp_path / f"{files.PARTIAL}abcd").exists()
