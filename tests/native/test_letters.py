"""Letters beyond C's tables: the library's tokenizer asks of whole code points what C answers for bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.native.guard import Guard, guard_path
from tests.native.drawing import Ended
from tests.native.test_load_waits import build

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the library's calls are not replaced"),
]

_ASKING = """
#include <cctype>
extern "C" int ask(int letter) { return std::isspace(letter) != 0; }
"""


@pytest.mark.slow
def test_a_letter_beyond_the_table_is_no_white_space_and_is_looked_up_nowhere(tmp_path: Path) -> None:
    asking, guard = build(tmp_path, "asking", _ASKING), Guard(guard_path())
    before = [asking.ask(letter) for letter in range(-1, 256)]
    assert guard.bound_letters(asking.ask)
    assert [asking.ask(letter) for letter in range(-1, 256)] == before
    assert [asking.ask(letter) for letter in (256, 0x2003, 0x1F9D1, 0x10FFFF, 2**31 - 1, -(2**31))] == [0] * 6


@pytest.mark.slow
def test_a_library_that_asks_of_no_letter_is_left_alone(tmp_path: Path) -> None:
    assert not Guard(guard_path()).bound_letters(build(tmp_path, "silent", 'extern "C" int ask() { return 7; }').ask)


def test_prompts_of_letters_from_every_plane_are_drawn(own_process: Callable[..., Ended]) -> None:
    ended = own_process("""
        library = open_library()
        context = Context.load(options)
        drawn = []
        for plane in range(1, 17):
            letters = " ".join(chr(plane * 0x10000 + at) for at in range(7, 0xFFF0, 0x777))
            drawn.append(digest(context.generate_image(picture(prompt="a " + letters), plane)))
        report(len(drawn))
    """)
    assert ended.exit_code == 0, ended.stderr[-2000:]
    assert ended.reported == [16]
