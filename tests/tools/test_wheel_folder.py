from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import wheel_folder


def test_three_wheels_are_built_and_none_is_kept_in_pips_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> None:
        commands.append(command)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(wheel_folder, "fetch_source", lambda: tmp_path / "source")
    wheel_folder.main([str(tmp_path / "wheels"), "-C", "cmake.define.SDCPP_REST_VULKAN=OFF", "-C", "build-dir=/kept"])
    root = wheel_folder.ROOT
    assert [command[-1] for command in commands] == [
        str(tmp_path / "source"),
        str(root / "native_package"),
        str(root),
    ]
    assert all("--no-cache-dir" in command for command in commands)
    assert "wheel.cmake=false" in commands[0]
    assert "build-dir=/kept" in commands[1]
    assert not any("build-dir=/kept" in command for command in (commands[0], commands[2]))
