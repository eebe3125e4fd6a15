"""Moves, links and removes files and folders for `outputs`: by names, whatever is in them."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def place(source: Path, target: Path) -> None:
    """Have the file ``source`` also as ``target``, if it is there: the same bytes on the disk where that can be."""
    with contextlib.suppress(FileNotFoundError):
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:
            # Another disk, or one without links.
            shutil.copyfile(source, target)


def move(source: Path, target: Path) -> bool:
    """Rename; says whether there was anything. Raises OSError for all other reasons not to."""
    try:
        os.rename(source, target)
    except FileNotFoundError:
        if os.path.lexists(source):
            raise
        return False
    return True


def erase(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it. Never raises."""
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
