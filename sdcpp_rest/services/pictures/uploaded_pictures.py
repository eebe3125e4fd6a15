"""Keeps pictures that clients upload under a name and use later, in a folder of their own, the newest of them.

Names stay inside the folder; nothing but whole pictures is kept. Knows no job.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sdcpp_rest.durable_files import make_folder, replace_file
from sdcpp_rest.errors import InvalidRequest, NotFound, SdcppRestError

log = logging.getLogger(__name__)

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
_LONGEST_NAME = 200
_MOST_FOLDERS = 8
_MOST_NUMBERS = 10_000
_SECONDS_A_DAY = 86_400


class UploadNotStored(SdcppRestError):
    """The data folder takes no picture: it is full, or cannot be written."""

    code = "upload_not_stored"


class UploadedPictures:
    """Stores, finds and lists uploaded pictures, and lets go of old ones.

    Thread-safe.

    Args:
        folder: where they lie; need not exist.
        most_bytes: of all together; the oldest go first.
        most_days: how long they are kept, 0 for as long as there is room.
    """

    def __init__(self, folder: Path, *, most_bytes: int, most_days: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._most_days = most_days
        self._lock = threading.Lock()

    def save(self, subfolder: str, name: str, picture_file: bytes, *, overwrite: bool = False) -> str:
        """Store a picture's file; returns the name it has now: where the name is another picture's and may not be
        taken, it gets a number.

        Raises InvalidRequest for what is no picture or no name, UploadNotStored.
        """
        # Here, because it brings Pillow along.
        from sdcpp_rest.services.pictures.input_images import load_picture

        target = self._path("image", subfolder, name)
        load_picture("image", picture_file)
        if len(picture_file) > self._most_bytes:
            raise InvalidRequest(f"image: larger than all uploads may be ({self._most_bytes} bytes)", field="image")
        with self._lock:
            try:
                target = target if overwrite else _free_name(target, picture_file)
                make_folder(target.parent)
                replace_file(target, picture_file)
                self._tidy(kept=target)
            except OSError as error:
                raise UploadNotStored(f"The picture could not be stored: {error.strerror or error}") from error
        return target.name

    def path_of(self, relative: str) -> Path:
        """The file of an uploaded picture. Raises InvalidRequest for what is no name, NotFound."""
        subfolder, _, name = relative.replace("\\", "/").rpartition("/")
        path = self._path("image", subfolder, name)
        if not path.is_file() or self._folder.resolve() not in path.resolve().parents:
            raise NotFound(f"There is no uploaded picture {relative[:100]!r}")
        return path

    def names(self) -> list[str]:
        """Every uploaded picture, by its path below the folder."""
        found = (path.relative_to(self._folder).as_posix() for path in self._files())
        return sorted(name for name in found if not name.startswith("."))

    def _path(self, field: str, subfolder: str, name: str) -> Path:
        parts = [part for part in subfolder.replace("\\", "/").split("/") if part]
        is_plain = all(_is_plain(part) for part in (*parts, name)) and len(parts) <= _MOST_FOLDERS
        if not is_plain or subfolder.startswith(("/", "\\")):
            raise InvalidRequest(
                f"{field}: {f'{subfolder}/{name}'[:100]!r} is no name for a picture; it must stay inside the folder",
                field=field,
            )
        if Path(name).suffix.lower() not in ENDINGS:
            raise InvalidRequest(
                f"{field}: {name[:100]!r} must end with one of {', '.join(sorted(ENDINGS))}", field=field
            )
        return self._folder.joinpath(*parts, name)

    def _files(self) -> Iterator[Path]:
        for path in self._folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.suffix.lower() in ENDINGS:
                yield path

    def _tidy(self, kept: Path) -> None:
        """Remove what is too old, and the oldest of what is too much."""
        oldest = time.time() - self._most_days * _SECONDS_A_DAY if self._most_days else 0.0
        found = sorted(((path.stat(), path) for path in self._files()), key=lambda one: -one[0].st_mtime)
        room = self._most_bytes
        for status, path in found:
            room -= status.st_size
            if path != kept and (room < 0 or status.st_mtime < oldest):
                with contextlib.suppress(OSError):
                    path.unlink()


def _is_plain(part: str) -> bool:
    return bool(part) and len(part) <= _LONGEST_NAME and not part.startswith(".") and not set(part) & set("\0/\\:")


def _free_name(target: Path, picture_file: bytes) -> Path:
    """``target``, or with a number what is nobody's; one that holds the same picture already is taken as well."""
    wanted = hashlib.sha256(picture_file).digest()
    for number in range(_MOST_NUMBERS):
        path = target if not number else target.with_name(f"{target.stem} ({number}){target.suffix}")
        if not path.exists() or hashlib.sha256(path.read_bytes()).digest() == wanted:
            return path
    raise InvalidRequest(f"image: too many pictures are called {target.name[:100]!r}", field="image")
