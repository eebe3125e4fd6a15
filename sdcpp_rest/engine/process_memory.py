"""Tells how much memory this process has in use, and how much the machine has left. Knows no devices."""

from __future__ import annotations

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """What this process holds in memory now."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        # No Linux. There psutil would read the same file, and a megabyte and 10 ms to be imported.
        import psutil

        return int(psutil.Process().memory_info().rss)
    return pages * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int:
    """What a process could still get without swapping. Asked when something was refused: seldom."""
    import psutil

    return int(psutil.virtual_memory().available)
