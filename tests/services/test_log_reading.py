from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.config import Config
from sdcpp_rest.engine import log_tail
from sdcpp_rest.services.log_reading import LogReading, LogTail, secrets_of
from tests.cases import for_each_case

Read = Callable[..., LogTail]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a log, and the one before it, and read the end."""

    def look(content: bytes, count: int = 10, before: bytes | None = None) -> LogTail:
        (tmp_path / "x.log").write_bytes(content)
        if before is not None:
            (tmp_path / "x.log.1").write_bytes(before)
        reading = LogReading(tmp_path, lambda: ["a-key-of-ours", "", "x"], lambda text: text.replace("/secret", ""))
        return reading.read_tail("x.log", count)

    return look


@for_each_case(
    "content, count, lines, truncated",
    [
        (b"", 5, (), False),
        (b"a\nb\nc\n", 2, ("b", "c"), True),
        (b"a\nb\nc", 3, ("a", "b", "c"), False),
        (b"\n\n\na\n\n", 5, ("a",), False),
        (b"a\r\nb\r\n", 5, ("a", "b"), False),
        (b"| 1/3\r| 2/3\r| 3/3\n", 5, ("| 3/3",), False),
        (b"\x1b[31mred\x1b[0m\x00\x07\n", 5, ("red",), False),
        (b"\xff\xe9\n", 5, ("\ufffd\ufffd",), False),
    ],
)
def test_the_last_lines_are_read(
    read: Read, content: bytes, count: int, lines: tuple[str, ...], truncated: bool
) -> None:
    assert read(content, count) == LogTail(lines, truncated)


@for_each_case(
    "count, lines, truncated", [(2, ("3", "4"), True), (3, ("2", "3", "4"), True), (4, tuple("1234"), False)]
)
def test_a_log_that_has_just_begun_anew_goes_on_in_the_one_before(
    read: Read, count: int, lines: tuple[str, ...], truncated: bool
) -> None:
    assert read(b"3\n4\n", count, before=b"1\n2\n") == LogTail(lines, truncated)


def test_lines_are_whole_wherever_blocks_end(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "".join(f"line {number} ü\n" for number in range(100)).encode()
    for size in range(1, 40):
        monkeypatch.setattr(log_tail, "_BLOCK_BYTES", size)
        assert read(content, 100).lines == tuple(content.decode().splitlines())


def test_a_large_log_is_not_read_as_a_whole(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.process_time()
    with (tmp_path / "x.log").open("wb") as file:
        os.truncate(file.fileno(), 8 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    reading = LogReading(tmp_path, list, str)
    assert reading.read_tail("x.log", 1) == LogTail(("last",), True)
    # More lines than there are: a bounded part is looked through.
    assert reading.read_tail("x.log", 5_000).lines[-1] == "last"
    assert time.process_time() - started < 1


def test_a_line_has_an_end(read: Read) -> None:
    tail = read(b"x" * 1_000_000 + b"\nend\n")
    assert [len(line) for line in tail.lines] == [4_001, 3]


@for_each_case(
    "line, shown",
    [
        ("key a-key-of-ours was wrong", "key *** was wrong"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("authorization: 'Basic dXNlcjpwYXNz'", "authorization: 'Basic ***'"),
        ("sent Bearer abcdefgh12345", "sent Bearer ***"),
        ("GET /ws?token=abc&x=1", "GET /ws?token=***&x=1"),
        ('{"api_key": "abc", "x": 1}', '{"api_key": "***", "x": 1}'),
        ("X-Amz-Signature=abc password=hunter2;", "X-Amz-Signature=*** password=***;"),
        ("with hf_abcdefghijkl", "with ***"),
        ("Set-Cookie: session=abc", "Set-Cookie: ***"),
        ("reads /secret/x", "reads /x"),
        ("steps: 20, tokens: 77", "steps: 20, tokens: 77"),
    ],
)
def test_secrets_and_folders_are_not_told(read: Read, line: str, shown: str) -> None:
    assert read(line.encode() + b"\n").lines == (shown,)


def test_every_secret_of_the_settings_is_known() -> None:
    config = Config(
        auth={"api_keys": ["first-key", "me:second-key"]},
        downloads={"huggingface_token": "hub-token"},
        assistant={"api_key": "llm-key"},
    )
    assert {"first-key", "me:second-key", "second-key", "hub-token", "llm-key"} <= {*secrets_of(config)}


@for_each_case("one", [b"a", b"token", b"token=", b"bearer ", b"hf_", b"\r", b"\x1b["])
def test_hostile_lines_take_no_time(read: Read, one: bytes) -> None:
    started = time.process_time()
    read((one * 8_000 + b"\n") * 20, 20)
    assert time.process_time() - started < 1
