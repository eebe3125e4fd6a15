"""Receives model files that clients send: under a hidden name, looked into, and given their own name when whole.

Whatever goes wrong, no half file stays behind. Knows the catalogue and the disk; must not know how the bytes came.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sdcpp_rest.core.architectures import Contents
from sdcpp_rest.core.catalog import EXTENSIONS, ModelFile, ModelType, part_name
from sdcpp_rest.core.changes import note_change
from sdcpp_rest.durable_files import settle
from sdcpp_rest.errors import Conflict, EngineUnavailable, InvalidRequest, ModelNotFound, SdcppRestError
from sdcpp_rest.services.model_headers.inspection import Inspection, NotAModel, inspect_parts
from sdcpp_rest.services.models.model_folders import is_outside, model_type_named
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.model_names import check_name, check_part

log = logging.getLogger(__name__)

_PREFIX = ".upload-"
_SUFFIX = ".part"
_LEFT_BEHIND_SECONDS = 3_600
# The disk of the models is often that of everything else: an upload must not take the last of it.
_RESERVE_BYTES = 256 << 20
_MAX_DEPTH = 8

_HOMES: dict[Contents, tuple[ModelType, ...]] = {
    "LoRA": ("lora",),
    "upscaler": ("esrgan",),
    "VAE": ("vae",),
    "tiny autoencoder": ("taesd", "vae"),
    "ControlNet": ("controlnet",),
    "language model": ("llm", "clip"),
    "CLIP text encoder": ("clip",),
    "T5 text encoder": ("t5", "clip"),
    "embedding": ("embedding",),
    "picture model": ("checkpoint", "diffusion"),
}


class DiskFull(SdcppRestError):
    """There is no room for what was to be stored."""

    code = "disk_full"
    status = 507


@dataclass(frozen=True)
class UploadTarget:
    """Where a file is to go: a model type, a file name, a folder below the type's (``""``: the type's own)."""

    type: str
    name: str
    subfolder: str = ""
    overwrite: bool = False


@dataclass(frozen=True)
class Uploaded:
    """What became of an upload. ``is_listed``: whether the catalogue shows it; a part of a split model alone is not."""

    file: ModelFile
    is_listed: bool
    warnings: tuple[str, ...]


class ModelUploads:
    """Receives uploaded model files, checks them and gives them their place.

    Thread-safe; an `Upload` belongs to one thread.

    Args:
        on_added: called with every file that has got its place.
    """

    def __init__(
        self, library: ModelLibrary, models_dir: Path, on_added: Callable[[ModelFile], None] = lambda file: None
    ) -> None:
        self._library = library
        self._on_added = on_added
        self._models_dir = models_dir
        self._lock = threading.Lock()
        self._closed = False

    def begin(self, wish: UploadTarget | None = None, size_bytes: int | None = None) -> Upload:
        """A file to write into. What is known beforehand is checked beforehand, so that nobody sends gigabytes in
        vain: the place (``None``: told at the end) and the size in bytes, as far as the client announced it.

        Raises InvalidRequest, Conflict when the name is taken, DiskFull.
        """
        folder = self._models_dir
        if wish is not None:
            self.place(wish)
            folder = self._library.folders()[model_type_named("type", wish.type)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            check_room(folder, size_bytes or 0)
            self._sweep({self._models_dir, folder})
            path = folder / f"{_PREFIX}{uuid.uuid4().hex}{_SUFFIX}"
            return Upload(self, path, open(path, "xb", buffering=0))
        except OSError as error:
            raise disk_error(error, folder) from None

    def close(self) -> None:
        """The server stops: uploads that are still coming in are given up. Idempotent."""
        self._closed = True

    def check_open(self) -> None:
        """Raises EngineUnavailable when the server stops."""
        if self._closed:
            raise EngineUnavailable("The server is stopping")

    def take(self, temporary: Path, wish: UploadTarget) -> Uploaded:
        """Give the whole file at ``temporary`` its place. Raises as `begin`, NotAModel when it is no model."""
        kind, target = self.place(wish)
        inspected = _inspect(temporary, target.name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # A folder on the way may have become a link since it was looked at.
            self._check_inside(kind, target)
            if not _on_one_disk(temporary, target.parent):
                temporary = _move_beside(temporary, target)
            with self._lock:  # of two uploads of one name, the second finds the first's file
                _refuse_taken(target, wish)
                settle(temporary, target)
        except OSError as error:
            raise disk_error(error, target.parent) from None
        self._library.refresh()
        uploaded = self._record_upload(kind, wish, target, inspected)
        note_change("models.file", None, f"{uploaded.file.type}/{uploaded.file.name}")
        self._on_added(uploaded.file)
        return uploaded

    def place(self, wish: UploadTarget) -> tuple[ModelType, Path]:
        """The type and the path of the file that ``wish`` means. Raises InvalidRequest, Conflict when it is taken."""
        kind = model_type_named("type", wish.type)
        _check_file_name(wish.name)
        folder = self._library.folders()[kind]
        if wish.subfolder:
            parts = check_name(wish.subfolder, "subfolder").split("/")
            for part in parts:
                check_part("subfolder", part)
            if len(parts) > _MAX_DEPTH:
                raise InvalidRequest(f"subfolder: at most {_MAX_DEPTH} folders deep", field="subfolder")
            folder = folder.joinpath(*parts)
        target = folder / wish.name
        self._check_inside(kind, target)
        _refuse_taken(target, wish)
        return kind, target

    def _check_inside(self, kind: ModelType, target: Path) -> None:
        real = target.parent.resolve()
        if all(is_outside(real, root) for root in self._library.allowed_roots(kind)):
            raise InvalidRequest(
                "subfolder: that folder leads out of the model folders", field="subfolder", value=target.parent.name
            )

    def _record_upload(self, kind: ModelType, wish: UploadTarget, target: Path, inspected: Inspection) -> Uploaded:
        name = f"{wish.subfolder.strip().replace(chr(92), '/')}/{wish.name}" if wish.subfolder else wish.name
        warnings = list(inspected.warnings)
        homes = _HOMES.get(inspected.contents)
        if homes is not None and kind not in homes:
            warnings.append(
                f"{wish.name} is of the kind '{inspected.contents}'; such files belong to type '{homes[0]}'."
            )
        part = part_name(wish.name)
        try:
            # A part that is not the first is listed under the first one's name.
            return Uploaded(self._library.find(kind, part.base if part else name), True, tuple(warnings))
        except (ModelNotFound, InvalidRequest):
            if part is not None:
                warnings.append(f"{part.base} is listed when all of its {part.total} parts are there.")
            status = target.stat()
            file = ModelFile(
                name=name,
                type=kind,
                path=str(target),
                root=str(self._library.folders()[kind]),
                size_bytes=status.st_size,
                mtime_ns=status.st_mtime_ns,
                file_extension=target.suffix.lower(),
            )
            return Uploaded(file, False, tuple(warnings))

    def sweep(self) -> None:
        """At start: remove what a server that was killed has left. Never raises."""
        self._sweep({self._models_dir, *self._library.folders().values()})

    def _sweep(self, folders: Iterable[Path]) -> None:
        """Uploads that are still written to, by whichever server, are younger: the silence of a client has an end."""
        for path in [path for folder in folders for path in folder.glob(f"{_PREFIX}*{_SUFFIX}")]:
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                    path.unlink()


class Upload:
    """Receives one file; a context manager, at whose end nothing is left but what was finished."""

    def __init__(self, uploads: ModelUploads, path: Path, file: BinaryIO) -> None:
        self._uploads = uploads
        self._path = path
        self._file = file

    def write(self, part: bytes | memoryview) -> None:
        """Add bytes at the end. Raises DiskFull, EngineUnavailable when the server stops."""
        self._uploads.check_open()
        try:
            waiting = memoryview(part)
            while waiting:
                waiting = waiting[self._file.write(waiting) :]
        except OSError as error:
            raise disk_error(error, self._path.parent) from None

    def finish(self, wish: UploadTarget) -> Uploaded:
        """The file is whole: look into it and put it where it belongs. Raises as `ModelUploads.begin`, NotAModel."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise disk_error(error, self._path.parent) from None
        self._file.close()
        return self._uploads.take(self._path, wish)

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def check_room(folder: Path, size_bytes: int) -> None:
    """Raises DiskFull unless the disk of ``folder`` has room for ``size_bytes`` more and a reserve."""
    free = shutil.disk_usage(folder).free
    if size_bytes + _RESERVE_BYTES > free:
        raise DiskFull(
            f"The disk of the models has {free >> 20} MB free; the file takes {size_bytes >> 20} MB, and "
            f"{_RESERVE_BYTES >> 20} MB are kept free",
            free_bytes=free,
            needed_bytes=size_bytes + _RESERVE_BYTES,
        )


def _check_file_name(name: str) -> None:
    check_part("name", name)
    extension = os.path.splitext(name)[1].lower()
    if extension not in EXTENSIONS:
        raise InvalidRequest(
            f"name: {name[:80]!r} has no ending of a model file; allowed: {', '.join(sorted(EXTENSIONS))}",
            field="name",
            value=name[:200],
            allowed=sorted(EXTENSIONS),
        )


def _refuse_taken(target: Path, wish: UploadTarget) -> None:
    if target.is_dir():
        raise Conflict(f"{target.name} exists already, as a folder", field="name")
    if not wish.overwrite and os.path.lexists(target):
        raise Conflict(f"{target.name} exists already; set overwrite to replace it", field="overwrite", value=False)


def _inspect(temporary: Path, name: str) -> Inspection:
    try:
        return inspect_parts([str(temporary)])
    except NotAModel as error:
        raise NotAModel(error.message.replace(temporary.name, name), field="file") from None


def _on_one_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _move_beside(temporary: Path, target: Path) -> Path:
    """The file on the disk of ``target``: what was received before the type was known may lie on another one."""
    check_room(target.parent, temporary.stat().st_size)
    beside = target.with_name(temporary.name)
    try:
        shutil.copyfile(temporary, beside)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    temporary.unlink()
    return beside


def disk_error(error: OSError, folder: Path) -> SdcppRestError:
    """What the system's fault means to whoever wanted to store a model in ``folder``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("The disk of the models is full", folder=folder.name)
    log.error("a model could not be stored in %s: %s", folder, error)
    return SdcppRestError(f"The file could not be stored: {error.strerror or error}", folder=folder.name)
