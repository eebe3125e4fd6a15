"""Lists what lies beside model files: their previews, and notes that programs wrote about them; and writes such notes.

Reads folders, and remembers a folder for as long as it does not change. It must not know what the notes mean.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.durable_files import replace_file

PREVIEW_ENDINGS = (
    ".swarmpreview.jpg",
    ".preview.png",
    ".preview.jpg",
    ".preview.jpeg",
    ".preview.webp",
    ".jpg",
    ".png",
    ".jpeg",
    ".webp",
)
"""Of the pictures that programs put beside ``<model>.safetensors``, first choice first."""

NOTES_ENDING = ".swarm.json"
"""Of the notes that a program keeps where it does not rewrite the model's own header."""

SIDECAR_ENDING = ".json"

CIVITAI_ENDING = ".civitai.info"
"""Of CivitAI's answer about the model, as the helpers of several programs keep it."""

TEXT_ENDING = ".txt"
"""Of a description in plain words."""

_BESIDE_ENDINGS = (
    *(SIDECAR_ENDING, NOTES_ENDING, CIVITAI_ENDING, TEXT_ENDING, ".description.txt", ".yaml", ".metadata.json"),
    *(".cm-info.json", *PREVIEW_ENDINGS),
)

_SETTLED_SECONDS = 2.0
_MOST_FOLDERS = 10_000
MAX_NOTES_BYTES = 1 << 20


@dataclass(frozen=True)
class BesideFile:
    """A file beside a model, as its folder showed it."""

    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class FolderContents:
    """The files beside the models of one folder, by the model's name without its ending."""

    previews: dict[str, BesideFile] = field(default_factory=dict)
    sidecars: dict[str, BesideFile] = field(default_factory=dict)
    notes: dict[str, BesideFile] = field(default_factory=dict)


_NOTHING = FolderContents()


class FilesBeside:
    """Lists the files beside models, folder by folder.

    Thread-safe. A file that is rewritten in place is noticed after `refresh`: its folder does not change with it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, tuple[int, FolderContents]] = OrderedDict()

    def look(self, folder: str) -> FolderContents:
        """What lies in ``folder`` now; nothing where it cannot be read."""
        try:
            mtime_ns = os.stat(folder).st_mtime_ns
        except (OSError, ValueError):
            return _NOTHING
        with self._lock:
            known = self._seen.get(folder)
        if known is not None and known[0] == mtime_ns:
            return known[1]
        found = _read_folder(folder)
        # A second change within the clock's grain would leave the folder's time as it is.
        if time.time() - mtime_ns / 1e9 > _SETTLED_SECONDS:
            with self._lock:
                self._seen[folder] = mtime_ns, found
                while len(self._seen) > _MOST_FOLDERS:
                    self._seen.popitem(last=False)
        return found

    def refresh(self, folder: str | None = None) -> None:
        """Forget what was seen, in one folder or in all."""
        with self._lock:
            if folder is None:
                self._seen.clear()
            else:
                self._seen.pop(folder, None)


def read_notes(path: str) -> dict[str, object]:
    """The notes in a file beside a model; empty where there are none that can be understood."""
    try:
        content = read_beside(path)
        found = json.loads(content) if content is not None else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_beside(path: str) -> bytes | None:
    """The bytes of a file beside a model; ``None`` where there is none, and for what is larger than `MAX_NOTES_BYTES`
    or no file: a pipe would be waited for, for ever."""
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                return None
            content = opened.read(MAX_NOTES_BYTES + 1)
    except (OSError, ValueError):
        return None
    return content if len(content) <= MAX_NOTES_BYTES else None


def stem_path(file: ModelFile) -> str:
    """The model's path without its ending: what the names of all files beside it begin with."""
    name = file.name.rsplit("/", 1)[-1]
    if name.lower().endswith(file.file_extension):
        name = name[: -len(file.file_extension)]
    return os.path.join(os.path.dirname(file.path), name)


def path_beside(file: ModelFile, ending: str) -> str:
    """Where the file with that ending lies beside a model, or would lie."""
    return stem_path(file) + ending


def list_beside(file: ModelFile, endings: tuple[str, ...] = _BESIDE_ENDINGS) -> list[tuple[str, str]]:
    """The path and the ending, as it is written, of each file that lies beside a model now; sorted. Raises OSError."""
    folder, stem = os.path.split(stem_path(file))
    names = [name for name in os.listdir(folder) if name.startswith(stem) and name[len(stem) :].lower() in endings]
    return [(os.path.join(folder, name), name[len(stem) :]) for name in sorted(names)]


def notes_path(file: ModelFile) -> str:
    """Where the notes about a model lie, or would lie."""
    return path_beside(file, NOTES_ENDING)


def write_notes(file: ModelFile, text: str) -> None:
    """Write notes beside a model, whole or not at all; a file of that name is replaced. Raises OSError."""
    write_beside(file, NOTES_ENDING, text.encode("utf-8"))


def write_preview(file: ModelFile, jpeg: bytes) -> None:
    """Write the preview that is looked at first beside a model, whole or not at all. Raises OSError."""
    write_beside(file, PREVIEW_ENDINGS[0], jpeg)


def write_beside(file: ModelFile, ending: str, content: bytes) -> None:
    """Write a file beside a model, whole or not at all; one of that name is replaced, of a link the link. Raises
    OSError."""
    replace_file(Path(path_beside(file, ending)), content)


def _read_folder(folder: str) -> FolderContents:
    found, ranks = FolderContents(), dict[str, int]()
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return found
    for entry in entries:
        name = entry.name
        lowered = name.lower()
        try:
            if lowered.endswith(NOTES_ENDING):
                found.notes[name[: -len(NOTES_ENDING)]] = _beside(entry)
            elif lowered.endswith(SIDECAR_ENDING):
                found.sidecars[name[: -len(SIDECAR_ENDING)]] = _beside(entry)
            else:
                for rank, ending in enumerate(PREVIEW_ENDINGS):
                    stem = name[: -len(ending)]
                    if lowered.endswith(ending) and rank < ranks.get(stem, len(PREVIEW_ENDINGS)) and entry.is_file():
                        found.previews[stem], ranks[stem] = _beside(entry), rank
        except OSError:
            continue
    return found


def _beside(entry: os.DirEntry[str]) -> BesideFile:
    status = entry.stat()
    return BesideFile(entry.path, status.st_size, status.st_mtime_ns)
