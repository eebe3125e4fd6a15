"""Reads the last lines of a log as they are, from its end: no more than is needed, however large the file is.

Knows no log's meaning, and hides nothing: that is done where it is shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAX_BYTES = 4 << 20
"""Of a log that is read; older lines are left out."""
LINE_CHARACTERS = 4_000
"""Of a line that are shown."""

_BLOCK_BYTES = 64 << 10


class RawLog(NamedTuple):
    """The last lines of a log, the newest last. ``truncated``: there are older ones. ``folders``: of another machine,
    which are nobody's business."""

    lines: tuple[bytes, ...]
    truncated: bool
    folders: tuple[str, ...] = ()


def read_log(path: Path, count: int, most_bytes: int = MAX_BYTES) -> RawLog:
    """The last ``count`` lines of a log, and of the one before it where it has just begun anew; none where there is no
    log."""
    lines: list[bytes] = []
    # One more than is wanted, to know whether there is one.
    for line in _lines_from_end(path, most_bytes):
        if line is None or len(lines) == count:
            return RawLog(tuple(reversed(lines)), True)
        lines.append(line)
    return RawLog(tuple(reversed(lines)), False)


def _lines_from_end(path: Path, most_bytes: int) -> Iterator[bytes | None]:
    """The lines of a log and of the one before it, the last first; ``None`` where ``most_bytes`` were read and there
    are more."""
    left = most_bytes
    seen: set[tuple[int, int]] = set()
    for one in (path, Path(f"{path}.1")):
        try:
            with one.open("rb") as file:
                status = os.fstat(file.fileno())
                # It was full between the two looks: what was read is the older one by now.
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                at, rest = status.st_size, b""
                while at > 0 and left > 0:
                    size = min(_BLOCK_BYTES, at, left)
                    at, left = at - size, left - size
                    file.seek(at)
                    first, *lines = (file.read(size) + rest).split(b"\n")
                    # What comes before a line's beginning was not read yet; a line may not grow without end.
                    rest = first[: 8 * LINE_CHARACTERS]
                    yield from (line for line in reversed(lines) if line)
                if at > 0:
                    yield None
                elif rest:
                    yield rest
        except OSError:
            continue
