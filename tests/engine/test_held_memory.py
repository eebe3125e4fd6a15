"""What a load has taken: on GPUs as on processors, and where nobody can tell."""

from __future__ import annotations

import os

import psutil

from sdcpp_rest.engine.held_memory import grown_by, used_memory
from sdcpp_rest.engine.protocol import Device
from tests.cases import for_each_case

CPU = Device(name="CPU", description="", backend="CPU", free_bytes=5, total_bytes=9)


def gpu(free_bytes: int, total_bytes: int = 100) -> Device:
    return Device(
        name="GPU", description="", backend="CUDA", free_bytes=free_bytes, total_bytes=total_bytes, is_gpu=True
    )


def test_on_a_processor_it_is_what_this_process_holds() -> None:
    before = used_memory([CPU])
    held = b"\1" * (64 << 20)
    assert grown_by(before, used_memory([CPU])) > len(held) // 2
    assert used_memory([]) == psutil.Process(os.getpid()).memory_info().rss


@for_each_case(
    ("before", "after", "expected"),
    [
        ([CPU, gpu(90)], [CPU, gpu(60)], 30),
        ([gpu(90), gpu(80)], [gpu(50), gpu(10)], 110),
        ([gpu(60)], [gpu(90)], 0),
        ([gpu(0)], [gpu(0)], 0),
        # One that does not tell, and one whose number has run below nothing.
        ([gpu(0, 0)], [gpu(0, 0)], 0),
        ([gpu(90), gpu(0, 0)], [gpu(60), gpu(0, 0)], 0),
        ([gpu(90)], [gpu(2**64 - 1)], 0),
    ],
)
def test_on_gpus_it_is_the_drop_of_their_free_memory(before: list[Device], after: list[Device], expected: int) -> None:
    assert grown_by(used_memory(before), used_memory(after)) == expected
