"""Commands as processes of their own, with an engine that computes nothing: pipes, signals, what is said where."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.cli.plain_errors import READER_LEFT
from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = pytest.mark.e2e

COMMAND = (sys.executable, "-m", "sdcpp_rest")
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def alone(tmp_path: Path) -> tuple[str, ...]:
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("data", "models", "output")]
    return ("--set", "engine.runner=fake", *folders)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command in a process group of its own, as a shell does."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, cwd=tmp_path
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("arguments", [("routes",), ("openapi",), ("config", "--example")])
def test_who_reads_the_first_line_only_is_told_nothing(start: Start, arguments: tuple[str, ...]) -> None:
    process = start(*arguments)
    assert process.stdout is not None
    # Closed before anything is written: what fits into a pipe's buffer would be written without a reader.
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, said) == (READER_LEFT, b"")


def test_a_picture_goes_through_a_pipe_with_its_progress_beside_it(start: Start, alone: tuple[str, ...]) -> None:
    process = start("generate", "x", "--steps", "2", "-o", "-", *alone)
    picture, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, said
    assert picture.startswith(b"\x89PNG")
    assert picture.endswith(b"IEND\xaeB`\x82")
    assert b" 100 %\n" in said
    assert all(letter == 10 or letter >= 32 for letter in said)


def test_ctrl_c_in_a_terminal_is_told_by_one_word(start: Start, alone: tuple[str, ...]) -> None:
    process = start("generate", "fake:hold", *alone)
    assert process.stderr is not None
    first = process.stderr.readline()
    # Its engine has only just been started: Ctrl-C reaches both.
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=TIMEOUT)
    assert b"an engine of its own" in first
    assert (process.returncode, out, said.replace(b"cancelling the job\n", b"").strip()) == (1, b"", b"Aborted!")


def test_serve_says_where_everything_is_unless_it_is_to_be_quiet(
    make_server: Callable[..., ServerProcess],
) -> None:
    server = make_server("engine.runner=fake")
    server.wait_loaded()
    said = server.log.read_text()
    for line in (f"page    {server.url}/", f"docs    {server.url}/docs", f"output  {server.folder / 'output'}  ",
                 "model   demo_dit_q8_0.gguf"):  # fmt: skip
        assert f"\n  {line}" in said
    assert " INFO sdcpp_rest" in said
    quiet = make_server("engine.runner=fake", name="quiet", more=("-q",))
    quiet.wait_loaded()
    quiet.stop()
    assert quiet.log.read_text() == ""


def test_serve_cannot_be_verbose_and_quiet(start: Start, alone: tuple[str, ...]) -> None:
    process = start("serve", "-v", "-q", *alone)
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2
    assert b"Error: --verbose and --quiet contradict each other." in said
