"""Puts files on the disk so that a power cut leaves them whole: bytes first, then the name, then what builds on it.

A name that was moved into place before its bytes were on the disk may point at half a file, or at zeros, after a cut.
Syncing a file does not sync the folder that lists it, either. Disks that cannot sync are taken as they are.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
import uuid
from pathlib import Path

# What a disk without the call says: network and FUSE file systems, mostly of folders.
_NOT_POSSIBLE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EISDIR}

IN_PLACE = re.compile(r"\.[0-9a-f]{32}\.part")
"""The names that `replace_file` writes under."""
_LEFT_AFTER_SECONDS = 600.0


def sync_file(path: Path) -> None:
    """Wait until the bytes of a file are on the disk. Raises OSError."""
    # Windows flushes only what may be written.
    _sync(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, as they are now. Raises OSError."""
    if os.name == "posix":
        with contextlib.suppress(PermissionError):  # one that may be written and not read
            _sync(path, os.O_RDONLY)


def sync_contents(folder: Path) -> None:
    """Wait until all files right in a folder are on the disk, and their names. Raises OSError."""
    with os.scandir(folder) as found:
        files = [entry.path for entry in found if entry.is_file(follow_symlinks=False)]
    for path in files:
        sync_file(Path(path))
    sync_folder(folder)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they are not there, for good. Raises OSError."""
    missing = []
    for place in (folder, *folder.parents):
        if place.is_dir():
            break
        missing.append(place)
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_folder(made.parent)


def settle(temporary: Path, target: Path) -> None:
    """Give a file that is written and closed the name ``target``, in place of what has it; both lie on one disk.

    When it returns, the file and its name survive a power cut. Raises OSError; then ``target`` is what it was.
    """
    sync_file(temporary)
    os.replace(temporary, target)
    sync_folder(target.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``: readers see the old file or the new one, also after a power cut. Raises OSError."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")  # IN_PLACE
    try:
        temporary.write_bytes(content)
        settle(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def remove_left(path: str, name: str) -> None:
    """Remove the file ``name`` in the folder ``path`` if a `replace_file` has left it that was killed. Never raises."""
    if IN_PLACE.fullmatch(name):
        with contextlib.suppress(OSError):
            found = os.path.join(path, name)
            # Another program of ours may be writing one at this moment.
            if abs(time.time() - os.stat(found).st_mtime) > _LEFT_AFTER_SECONDS:
                os.unlink(found)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        if sys.platform == "darwin":
            import fcntl

            # A plain fsync leaves the bytes in the drive's cache there.
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_POSSIBLE:
            raise
    finally:
        os.close(descriptor)
