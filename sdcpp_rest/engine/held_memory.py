"""Measures the memory that a load takes: before, after, and what lies between.

Knows devices and this process; knows nothing of the library.
"""

from __future__ import annotations

from collections.abc import Sequence

from sdcpp_rest.engine.process_memory import resident_bytes
from sdcpp_rest.engine.protocol import Device


def used_memory(devices: Sequence[Device]) -> int | None:
    """Bytes in use where models lie: on the GPUs among ``devices``, by whomever, or, where there is none, in this
    process. ``None`` where a GPU does not tell."""
    gpus = [device for device in devices if device.is_gpu]
    if not gpus:
        return resident_bytes()
    # Drivers were seen to tell less than nothing of free memory: that reads as all of it, or more than there is.
    if any(device.free_bytes >= device.total_bytes for device in gpus):
        return None
    return sum(device.total_bytes - device.free_bytes for device in gpus)


def grown_by(before: int | None, after: int | None) -> int:
    """By how much `used_memory` has grown; 0 where that is not known, or where others gave more back than was taken."""
    return 0 if before is None or after is None else max(0, after - before)
