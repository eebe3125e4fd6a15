"""What the system refuses, said in one sentence; and who stops reading is told nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click
import pytest

from sdcpp_rest.cli import main
from sdcpp_rest.cli.plain_errors import READER_LEFT, describe_os_error
from tests.cases import for_each_case
from tests.cli.conftest import Run


@for_each_case(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.png"), "a.png does not exist"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a"), "a is a folder, not a file"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a is not open to this user"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), "a does not fit: no space is left on the disk"),
        (OSError(errno.EIO, "Input/output error", "a"), "a cannot be used: Input/output error"),
        (OSError(errno.EIO, "Input/output error"), "The system says: cannot be used: Input/output error"),
        (OSError("a sentence"), "a sentence"),
    ],
)
def test_errors_of_the_system_name_the_file_and_no_number(error: OSError, words: str) -> None:
    assert describe_os_error(error) == words
    assert "Errno" not in words


@pytest.mark.slow
@for_each_case(
    ("arguments", "words"),
    [
        (("upscale", "{}/nowhere.png"), "{}/nowhere.png does not exist"),
        (("upscale", "{}"), "{} is a folder, not a file"),
        (("generate", "x", "--init-image", "{}/nowhere.png"), "{}/nowhere.png does not exist"),
        (("generate", "x", "-p", "ref_images=@{}/nowhere.png"), "{}/nowhere.png does not exist"),
        (("openapi", "-o", "{}/nowhere/api.json"), "{}/nowhere/api.json does not exist"),
        (("openapi", "-o", "{}"), "{} is a folder, not a file"),
    ],
)
def test_files_that_are_not_there_are_named(run: Run, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run(*(argument.format(tmp_path) for argument in arguments))
    assert (result.exit_code, result.stderr) == (1, f"Error: {words.format(tmp_path)}\n")


def test_a_reader_that_has_left_is_told_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(click, "echo", refuse)
    result = run("routes")
    assert (result.exit_code, result.output) == (READER_LEFT, "")


@for_each_case("path", [(name,) for name in main.commands] + [(), ("native", "build")], ids=" ".join)
def test_the_short_form_of_help_is_everywhere(run: Run, path: tuple[str, ...]) -> None:
    result = run(*path, "-h")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: {' '.join(('main', *path))} ")
