"""Files of one name are told apart by what the file system knows."""

from __future__ import annotations

import os
from pathlib import Path

from sdcpp_rest.services.models.file_stamps import are_replaced, stamps_of


def test_a_file_that_is_written_anew_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"one")
    before = stamps_of([str(path)])
    assert not are_replaced(before)
    path.write_bytes(b"other")
    assert are_replaced(before)


def test_also_one_of_the_same_size_and_time(tmp_path: Path) -> None:
    path, new = tmp_path / "m.gguf", tmp_path / "new"
    path.write_bytes(b"one")
    before = stamps_of([str(path)])
    new.write_bytes(b"two")
    status = path.stat()
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(new, path)
    assert are_replaced(before)


def test_one_that_is_gone_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"one")
    before = stamps_of([str(path), str(tmp_path / "never")])
    path.unlink()
    assert not are_replaced(before)
