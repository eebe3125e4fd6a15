"""Engines never share a folder, whatever their machines share."""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.engine.remote.host import take_folder


def test_a_folder_that_is_in_use_is_nobody_elses(tmp_path: Path) -> None:
    first, lock = take_folder(tmp_path, 0, 0.0)
    second, _ = take_folder(tmp_path, 0, 0.0)
    other, _ = take_folder(tmp_path, 1, 0.0)
    assert [one.name for one in (first, second, other)] == ["engine-0", "engine-0.2", "engine-1"]
    lock.release()
    assert take_folder(tmp_path, 0, 0.0)[0] == first
