"""Follows a conversion: the tensors that the library counts, then the file that grows.

Knows a path and whom to tell; must not know the library.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator

_LOOK_SECONDS = 0.25
# Converting in memory takes about four fifths of a conversion, writing the rest.
_CONVERTED_PERCENT = 80
# Of a disk with less room: what could not be written is told to have found none.
_FULL_BYTES = 1 << 20


@contextlib.contextmanager
def watch_written(path: str, expected_bytes: int, tell: Callable[[int], None]) -> Iterator[Callable[[int, int], None]]:
    """Tell the percentage while the block runs; yields what takes the library's count (tensors, of how many)."""
    done = threading.Event()

    def report_tensors(tensors: int, total: int) -> None:
        tell(_CONVERTED_PERCENT * tensors // max(1, total))

    def look() -> None:
        while not done.wait(_LOOK_SECONDS):
            try:
                written = os.stat(path).st_size
            except OSError:
                continue
            share = min(1.0, written / max(1, expected_bytes))
            tell(_CONVERTED_PERCENT + int((99 - _CONVERTED_PERCENT) * share))

    watcher = threading.Thread(target=look, name="conversion-progress", daemon=True)
    watcher.start()
    try:
        yield report_tensors
    finally:
        done.set()
        watcher.join()


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
