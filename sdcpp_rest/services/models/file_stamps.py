"""Tells a file from another one of the same name by its size, time of change, and which file of the disk it is.

Asks the file system only; opens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from sdcpp_rest.core.load_spec import FileRef, LoadSpec


class FileStamp(NamedTuple):
    """The identity of a file's contents, as far as the file system knows it."""

    size_bytes: int
    mtime_ns: int
    inode: int


Stamps = dict[str, FileStamp]
"""By path; files that are not there have none."""


def stamps_of(paths: Iterable[str]) -> Stamps:
    """The stamps of the files at ``paths`` as they are now."""
    found: Stamps = {}
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        found[path] = FileStamp(status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def spec_files(spec: LoadSpec) -> list[FileRef]:
    """All files that a load of ``spec`` reads."""
    return [spec.model, *spec.components.values(), *spec.embeddings]


def spec_paths(spec: LoadSpec) -> list[str]:
    """The paths of all files that a load of ``spec`` reads."""
    return [file.path for file in spec_files(spec)]


def are_replaced(before: Stamps) -> bool:
    """Whether any of these files is another one by now. One that is gone is not: what was read of it is still good."""
    now = stamps_of(before)
    return any(now.get(path, stamp) != stamp for path, stamp in before.items())
