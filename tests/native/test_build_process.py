"""Compilers run into a file, are told of, and never outlive whoever waits for them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sdcpp_rest.native import build_process
from sdcpp_rest.native.build_process import BUSY_NAME, run_build


def test_silent_compiler_is_reported_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_process, "HEARTBEAT_SECONDS", 0.0)
    said: list[str] = []
    command = ["/bin/sh", "-c", "echo '[3/53] c++ -c a.cpp'; echo '[ 40%] Building'; exit 7"]
    assert run_build(command, {}, tmp_path / "build.log", said.append) == 7
    assert said[0].startswith("native library: 3/53, ")
    assert said[-1].startswith("native library: 40 %, ")
    assert "[3/53] c++ -c a.cpp" in (tmp_path / "build.log").read_text()


def test_build_that_is_broken_off_takes_its_compilers_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler holds a pipe open, which ends when it does."""
    monkeypatch.setattr(build_process, "HEARTBEAT_SECONDS", 0.0)
    reader, writer = os.pipe()
    command = ["/bin/sh", "-c", f"sleep 1000 >&{writer} & echo $! && echo '[1/2] c++' && wait"]
    popen = subprocess.Popen

    def pass_on(*arguments: object, **named: object) -> object:
        return popen(*arguments, **{**named, "pass_fds": (*named["pass_fds"], writer)})  # type: ignore[call-overload, misc]

    monkeypatch.setattr(subprocess, "Popen", pass_on)

    def interrupt(line: str) -> None:
        if "1/2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_build(command, {}, tmp_path / "build.log", interrupt)
    os.close(writer)
    assert os.read(reader, 1) == b"", "all who held the pipe have ended"
    os.close(reader)


def test_compilers_that_a_killed_build_left_are_ended_first(tmp_path: Path) -> None:
    with build_process._alone(tmp_path / BUSY_NAME, lambda line: None) as busy:
        left = subprocess.Popen(["/bin/sh", "-c", "sleep 1000"], start_new_session=True, pass_fds=busy)
        os.pwrite(busy[0], str(left.pid).encode(), 0)
    said: list[str] = []
    assert run_build(["/bin/sh", "-c", "exit 3"], {}, tmp_path / "build.log", said.append) == 3
    assert said == ["native library: ending the compilers of a build that was killed"]
    assert left.wait() < 0
    assert run_build(["/bin/sh", "-c", "exit 0"], {}, tmp_path / "build.log", said.append) == 0
    assert len(said) == 1
