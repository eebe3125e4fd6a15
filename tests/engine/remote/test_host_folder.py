"""Engines never share a folder, whatever their machines share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.launchers import InlineLauncher
from sdcpp_rest.engine.remote.host import EngineHost, take_folder
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from tests.engine.remote.thread_link import PieceStore


def test_a_folder_that_is_in_use_is_nobody_elses(tmp_path: Path) -> None:
    first, lock = take_folder(tmp_path, 0, 0.0)
    second, _ = take_folder(tmp_path, 0, 0.0)
    other, _ = take_folder(tmp_path, 1, 0.0)
    assert [one.name for one in (first, second, other)] == ["engine-0", "engine-0.2", "engine-1"]
    lock.release()
    assert take_folder(tmp_path, 0, 0.0)[0] == first


@pytest.mark.parametrize("removable", [True, False])
def test_what_an_earlier_engine_left_is_in_nobodys_way(
    removable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file on a network folder that somebody has open, or an engine that still writes while it ends."""
    left = tmp_path / "jobs" / "host-old" / "1" / "image_0.png"
    left.parent.mkdir(parents=True)
    left.touch()
    if not removable:
        monkeypatch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
    launcher = InlineLauncher(lambda: FakeRunner(inline=True))
    host = EngineHost(launcher, ModelPlaces({}), PieceStore(), tmp_path / "jobs")
    host.kill()
    assert left.exists() is not removable
    (own,) = (path for path in (tmp_path / "jobs").iterdir() if path.name != "host-old")
    assert list(own.iterdir()) == []
