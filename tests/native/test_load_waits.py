"""How long the library waits for its loader threads: no longer than they need, where the guard can see to that."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.native.guard import Guard, guard_path
from tests.native.drawing import Ended

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the library's calls are not replaced"),
]

_SLEEPER = """
#include <time.h>
extern "C" int doze() { timespec wanted{0, 1}; return nanosleep(&wanted, nullptr); }
extern "C" int wake() { return 7; }
"""


def build(folder: Path, name: str, code: str, *flags: str) -> ctypes.CDLL:
    """A library of ``code``."""
    source, built = folder / f"{name}.cpp", folder / f"lib{name}.so"
    source.write_text(code)
    subprocess.run(["c++", "-shared", "-fPIC", *flags, "-o", str(built), str(source)], check=True)
    return ctypes.CDLL(str(built))


def test_loads_and_loras_sleep_no_longer_than_they_must(own_process: Callable[..., Ended]) -> None:
    ended = own_process("""
        library = open_library()
        seen = []
        library.set_progress(lambda step, steps, seconds: seen.append([step, steps]))
        context = Context.load(options)
        report(seen)
        report(library.guard.short_sleeps)
        drawn = digest(context.generate_image(picture(), 1))
        lora = LoraFile(options.taesd_path.replace("taesd/demo_tae", "loras/demo_lora"))
        before = library.guard.short_sleeps
        context.generate_image(picture(loras=(lora,)), 2)
        report(library.guard.short_sleeps - before)
        report(digest(context.generate_image(picture(), 3)) == drawn)
    """)
    assert ended.exit_code == 0, ended.stderr
    progress, loading, with_lora, is_same = ended.reported
    assert loading > 0, "three files, each waited for"
    assert with_lora > 0
    assert is_same
    steps, total = [step for step, _ in progress], progress[-1][1]
    assert steps == sorted(steps)
    assert steps[0] < steps[-1] == total, "it begins and ends where it always did"


@pytest.mark.slow
@pytest.mark.parametrize("binding", ["lazy", "now"])
def test_calls_are_replaced_however_a_library_was_linked(tmp_path: Path, binding: str) -> None:
    sleeper = build(tmp_path, f"sleeper_{binding}", _SLEEPER, f"-Wl,-z,{binding},-z,relro")
    guard = Guard(guard_path())
    assert sleeper.doze() == 0
    assert guard.shorten_sleeps(sleeper.wake)
    assert sleeper.doze() == 0, "outside of a load it sleeps as ever"
    assert guard.shorten_sleeps(sleeper.wake), "twice is once"
    assert sleeper.doze() == 0


@pytest.mark.slow
def test_a_library_that_does_not_sleep_is_left_alone(tmp_path: Path) -> None:
    awake = build(tmp_path, "awake", 'extern "C" int wake() { return 7; }')
    assert not Guard(guard_path()).shorten_sleeps(awake.wake)
    assert awake.wake() == 7
