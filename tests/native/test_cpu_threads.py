"""The number of CPU threads changes between two graphs of one loaded model, and no pixel with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest

from sdcpp_rest.native.context import Context, ContextOptions
from sdcpp_rest.native.cpu_threads import CpuThreads
from sdcpp_rest.native.library import Library
from tests.native.drawing import Ended, digest, picture

pytestmark = pytest.mark.native


@pytest.fixture
def threads(library: Library) -> Iterator[CpuThreads]:
    chosen = CpuThreads(library)
    yield chosen
    chosen.choose(0)


def test_a_loaded_model_computes_with_the_threads_that_are_chosen(context: Context, threads: CpuThreads) -> None:
    assert threads.can_choose
    used = []
    for count in (0, 2, 3, 1):
        threads.choose(count)
        context.generate_image(picture(steps=1), 1)
        used.append(threads.used)
    assert used == [1, 2, 3, 1]


def test_pictures_do_not_depend_on_the_number_of_threads(context: Context, threads: CpuThreads) -> None:
    drawn = set()
    for count in (0, 1, 2, 3, 5):
        threads.choose(count)
        drawn.add(digest(context.generate_image(picture(), 1)))
    assert len(drawn) == 1


def test_nor_with_flash_attention(demo_options: ContextOptions, threads: CpuThreads) -> None:
    # It cuts the rows among the threads, and computes them in tiles.
    drawn = set()
    with Context.load(replace(demo_options, diffusion_flash_attn=True)) as context:
        for count in (1, 2, 3):
            threads.choose(count)
            drawn.add(digest(context.generate_image(picture(width=80, steps=2), 1)))
    assert len(drawn) == 1


def test_threads_change_between_two_steps_of_one_picture(
    context: Context, threads: CpuThreads, library: Library
) -> None:
    alone = digest(context.generate_image(picture(), 1))
    used: list[int] = []

    def change(step: int, steps: int, seconds: float) -> None:
        used.append(threads.used)
        threads.choose(1 + step % 3)

    library.set_progress(change)
    assert digest(context.generate_image(picture(), 2)) == alone
    assert set(used) == {1, 2, 3}


@pytest.mark.slow
@pytest.mark.skipif(not psutil.LINUX, reason="counts the threads of a process in /proc")
def test_the_process_really_has_that_many_threads(own_process: Callable[..., Ended]) -> None:
    ended = own_process(
        """
        import psutil
        from sdcpp_rest.native.context import Context
        from sdcpp_rest.native.cpu_threads import CpuThreads
        from sdcpp_rest.native.library import open_library

        threads = CpuThreads(open_library())
        with Context.load(options) as context:
            for count in (1, 4):
                threads.choose(count)
                context.generate_image(picture(steps=1), 1)
                report(psutil.Process().num_threads())
        """
    )
    alone, four = ended.reported
    assert four == alone + 3


def test_a_second_owner_takes_nothing_over_twice(library: Library, context: Context, threads: CpuThreads) -> None:
    again = CpuThreads(library)
    again.choose(2)
    context.generate_image(picture(steps=1), 1)
    assert again.can_choose
    assert threads.used == 2
