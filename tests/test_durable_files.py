"""Files that a power cut leaves whole: bytes before names, and disks that cannot sync."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sdcpp_rest import durable_files
from sdcpp_rest.durable_files import IN_PLACE, make_folder, remove_left, replace_file, settle, sync_contents


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced and renamed, by its name, in order."""
    steps: list[str] = []
    sync, replace = durable_files._sync, os.replace

    def note_sync(path: Path, flags: int) -> None:
        steps.append(f"sync {path.name}")
        sync(path, flags)

    def note_replace(source: Path, target: Path) -> None:
        steps.append(f"name {target.name}")
        replace(source, target)

    monkeypatch.setattr(durable_files, "_sync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    return steps


def test_file_gets_its_name_when_its_bytes_are_on_the_disk(tmp_path: Path, done: list[str]) -> None:
    (tmp_path / "part").write_bytes(b"new")
    settle(tmp_path / "part", tmp_path / "whole")
    assert done == ["sync part", "name whole", f"sync {tmp_path.name}"]
    replace_file(tmp_path / "whole", b"newer")
    assert (tmp_path / "whole").read_bytes() == b"newer"
    assert IN_PLACE.fullmatch(done[3].removeprefix("sync "))
    assert done[4:] == ["name whole", f"sync {tmp_path.name}"]
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_folders_are_named_in_synced_ones(tmp_path: Path, done: list[str]) -> None:
    make_folder(tmp_path / "a" / "b")
    assert done == [f"sync {tmp_path.name}", "sync a"]
    make_folder(tmp_path / "a" / "b")
    assert len(done) == 2, "what is there is not waited for"
    (tmp_path / "a" / "b" / "file").write_bytes(b"")
    (tmp_path / "a" / "b" / "folder").mkdir()
    sync_contents(tmp_path / "a" / "b")
    assert done[2:] == ["sync file", "sync b"]


def test_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whole").write_bytes(b"old")

    def fail(number: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="broken"):
        replace_file(tmp_path / "whole", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
    assert (tmp_path / "whole").read_bytes() == b"old"


def test_disk_that_cannot_sync_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        raise OSError(errno.EINVAL, "no such call")

    monkeypatch.setattr(os, "fsync", refuse)
    replace_file(tmp_path / "whole", b"new")
    assert (tmp_path / "whole").read_bytes() == b"new"


def test_what_a_killed_write_has_left_goes_when_it_is_old(tmp_path: Path) -> None:
    left, young, other = (tmp_path / name for name in (f".{'a' * 32}.part", f".{'b' * 32}.part", ".mine.part"))
    for path in (left, young, other):
        path.write_bytes(b"half")
    for path in (left, other):
        os.utime(path, (1e9, 1e9))
    for path in (left, young, other):
        remove_left(str(tmp_path), path.name)
    assert [path.exists() for path in (left, young, other)] == [False, True, True]
