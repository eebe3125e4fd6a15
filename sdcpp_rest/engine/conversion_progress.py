"""Follows a conversion: the tensors that the library counts, then the file that grows. Knows a path and a report; must
not know the library."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator

from sdcpp_rest.engine.runner import Report

_LOOK_SECONDS = 0.25
# Converting in memory takes about four fifths of a conversion, writing the rest.
_CONVERTED_PERCENT = 80
# Of a disk with less room: what could not be written is told to have found none.
_FULL_BYTES = 1 << 20


@contextlib.contextmanager
def watch_written(path: str, expected_bytes: int, report: Report) -> Iterator[Callable[[int, int], None]]:
    """Report progress in percent while the block runs; yields what takes the library's count (tensors, of how many).
    Without an exception it ends at 100."""
    report.step(0, 100, 0, "converting")
    done = threading.Event()

    def report_tensors(tensors: int, total: int) -> None:
        report.step(_CONVERTED_PERCENT * tensors // max(1, total), 100, 0, "converting")

    def look() -> None:
        while not done.wait(_LOOK_SECONDS):
            try:
                written = os.stat(path).st_size
            except OSError:
                continue
            share = min(1.0, written / max(1, expected_bytes))
            report.step(_CONVERTED_PERCENT + int((99 - _CONVERTED_PERCENT) * share), 100, 0, "converting")

    watcher = threading.Thread(target=look, name="conversion-progress", daemon=True)
    watcher.start()
    try:
        yield report_tensors
    finally:
        done.set()
        watcher.join()
    report.step(100, 100, 0, "converting")


def why_unwritten(path: str) -> str | None:
    """Say why a file could not be written, as the library does not; a sentence where the file's folder tells."""
    folder = os.path.dirname(path)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return error.strerror
    if free < _FULL_BYTES:
        return os.strerror(errno.ENOSPC)
    return None if os.access(folder, os.W_OK) else os.strerror(errno.EACCES)
