"""Moves single pictures into the recycle bin and back: files, each in a folder of its own below the bin's.

Knows no row and no job: which file is where is the gallery's business.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sdcpp_rest.errors import OutputNotFound
from sdcpp_rest.services.pictures.outputs import BIN_NAME, Outputs

_FOLDER = ".pictures"


class PictureBin:
    """Keeps single files of the output folder out of sight, by a key that no other has."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._root = outputs.output_dir / BIN_NAME / _FOLDER

    def put(self, relative: str, key: int) -> None:
        """Move a file into the bin. Raises as `Outputs.locate` does, and OSError; then it is where it was."""
        source = self._outputs.locate(relative)
        kept = self._root / str(key)
        kept.mkdir(parents=True, exist_ok=True)
        os.replace(source, kept / source.name)
        self._outputs.forget_thumbnails(source)

    def restore(self, relative: str, key: int) -> None:
        """Move a file back to where it was.

        Raises OutputNotFound when the bin does not hold it, FileExistsError when another one is there by now,
        FileNotFoundError when its folder is gone, and other OSErrors; then it is still in the bin.
        """
        target = self._outputs.output_dir / relative
        kept = self._root / str(key)
        source = kept / target.name
        if not os.path.lexists(source):
            raise OutputNotFound(f"Not found: {relative}")
        _rename_to_new(source, target)
        shutil.rmtree(kept, ignore_errors=True)

    def purge(self, key: int) -> None:
        """Remove a file from the bin for good, if it is there. Raises OSError."""
        kept = self._root / str(key)
        if kept.exists():
            shutil.rmtree(kept)


def _rename_to_new(source: Path, target: Path) -> None:
    """Rename, and replace nothing. Raises FileExistsError, and OSError."""
    try:
        # Unlike a rename, a link fails where something is already.
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        # A disk without links.
        if os.path.lexists(target):
            raise FileExistsError(f"{target.name} is there already") from None
        os.rename(source, target)
