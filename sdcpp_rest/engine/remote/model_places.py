"""Names model files so that another machine finds its own copy, and tells whether that is the same file.

A path in a message of the protocol becomes a place: the root folder's word, the way below it, the file's size and a
digest of samples of its content. The other machine has a root folder of the same word. Knows files, and paths in
messages; must not know an engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

_MARK = "sdcpp-rest-file:"
_SAMPLE_BYTES = 1024 * 1024
_ENDINGS = frozenset({".gguf", ".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".sft"})


class PlaceError(Exception):
    """A model file that this machine lacks, or has with other content; a sentence for people."""


class ModelPlaces:
    """Turns paths below this machine's root folders into places, and places into paths.

    Args:
        roots: the folders by their words, which are the same on all machines.
    """

    def __init__(self, roots: Mapping[str, Path]) -> None:
        self._roots = {word: Path(os.path.abspath(folder)) for word, folder in roots.items()}

    def list_files(self) -> dict[str, int]:
        """The model files of this machine, as `name_of` calls them, with their sizes."""
        found = {}
        for word, root in self._roots.items():
            for folder, _, names in os.walk(root):
                for path in (Path(folder) / name for name in names if Path(name).suffix.lower() in _ENDINGS):
                    try:
                        found[f"{word}/{path.relative_to(root).as_posix()}"] = path.stat().st_size
                    except OSError:
                        continue  # removed meanwhile, or a link to nowhere
        return found

    def name_of(self, path: str) -> str | None:
        """A file's name on all machines: the root's word, and the way below it. ``None`` for one outside of them."""
        for word, root in self._roots.items():
            if root in Path(path).parents:
                return f"{word}/{Path(path).relative_to(root).as_posix()}"
        return None

    def send(self, message: Any) -> Any:
        """``message`` with a place for each model file in it. Raises PlaceError for one outside of the roots."""
        return _replace(message, self.place_of)

    def receive(self, message: Any) -> Any:
        """``message`` with a path for each place in it. Raises PlaceError for a file that is not here, or another."""
        return _replace(message, self.path_at)

    def place_of(self, path: str) -> str:
        """The place of a file. Raises PlaceError for one outside of the roots."""
        name = self.name_of(path)
        if name is None:
            raise PlaceError(f"{Path(path).name} lies in none of the folders that other machines have too")
        word, _, below = name.partition("/")
        size = sample = None
        with contextlib.suppress(OSError):
            size, sample = os.path.getsize(path), sample_of(path)
        return _MARK + json.dumps({"root": word, "name": below, "size": size, "sample": sample})

    def target_of(self, place: str) -> tuple[Path, int | None]:
        """Where the file at ``place`` belongs here, whether it is there or not, and its size. Raises PlaceError."""
        fields = json.loads(place[len(_MARK) :])
        root, name = self._roots.get(fields["root"]), PurePosixPath(fields["name"])
        if root is None or name.is_absolute() or ".." in name.parts:
            raise PlaceError(f"{name}: this machine has no folder called {fields['root']}")
        return root / name, fields["size"]

    def path_at(self, place: str) -> str:
        """The path of the file at ``place`` here. Raises PlaceError, also for what is no place."""
        if not place.startswith(_MARK):
            raise PlaceError(f"{Path(place).name} lies in none of the folders that other machines have too")
        fields = json.loads(place[len(_MARK) :])
        path, _ = self.target_of(place)
        name = fields["name"]
        try:
            size, sample = os.path.getsize(path), sample_of(str(path))
        except OSError:
            raise PlaceError(f"{name} is not on this machine ({fields['root']})") from None
        other = f"{name} on this machine is another file than the server's"
        if fields["size"] not in (None, size):
            raise PlaceError(f"{other}: {size} bytes, not {fields['size']}")
        if fields["sample"] not in (None, sample):
            raise PlaceError(f"{other}: as many bytes, and other ones")
        return str(path)


def sample_of(path: str) -> str:
    """A digest of the beginning, the middle and the end of a file: enough to tell two models of one size apart, and
    read in a moment where the whole would take minutes. Raises OSError."""
    status = os.stat(path)
    return _sample(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=1024)
def _sample(path: str, size: int, *_: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        for offset in (0, max(0, (size - _SAMPLE_BYTES) // 2), max(0, size - _SAMPLE_BYTES)):
            file.seek(offset)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def places_in(message: Any) -> list[str]:
    """The places that a message names, each once."""
    found: dict[str, None] = {}

    def note(value: str) -> str:
        if value.startswith(_MARK):
            found[value] = None
        return value

    _replace(message, note)
    return list(found)


def _replace(message: Any, change: Callable[[str], str]) -> Any:
    if isinstance(message, dict):
        return {
            name: change(inner) if name == "path" and isinstance(inner, str) and inner else _replace(inner, change)
            for name, inner in message.items()
        }
    return [_replace(inner, change) for inner in message] if isinstance(message, list) else message
