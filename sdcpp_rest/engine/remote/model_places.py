"""Names model files so that another machine finds its own copy, and tells whether that is the same file.

A path in a message of the protocol becomes a place: the root folder's word, the way below it, and the file's size. The
other machine has a root folder of the same word. Knows files, and paths in messages; must not know an engine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

_MARK = "sdcpp-rest-file:"
_ENDINGS = frozenset({".gguf", ".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".sft"})


class PlaceError(Exception):
    """A model file that this machine lacks, or has with other content; a sentence for people."""


class ModelPlaces:
    """Turns paths below this machine's root folders into places, and places into paths.

    Args:
        roots: the folders by their words, which are the same on all machines.
        sum_of: the SHA-256 of a file, where it is known already; ``None`` where it is not.
    """

    def __init__(self, roots: Mapping[str, Path], sum_of: Callable[[str], str | None] = lambda path: None) -> None:
        self._roots = {word: Path(os.path.abspath(folder)) for word, folder in roots.items()}
        self._sum_of = sum_of

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
        try:
            size = os.path.getsize(path)
        except OSError:
            size = None
        return _MARK + json.dumps({"root": word, "name": below, "size": size, "sha256": self._sum_of(path)})

    def target_of(self, place: str) -> tuple[Path, int | None]:
        """Where the file at ``place`` belongs here, whether it is there or not, and its size. Raises PlaceError."""
        fields = json.loads(place[len(_MARK) :])
        root, name = self._roots.get(fields["root"]), PurePosixPath(fields["name"])
        if root is None or name.is_absolute() or ".." in name.parts:
            raise PlaceError(f"{name}: this machine has no folder called {fields['root']}")
        return root / name, fields["size"]

    def path_at(self, place: str) -> str:
        """The path of the file at ``place`` here. A path stays as it is. Raises PlaceError."""
        if not place.startswith(_MARK):
            return place
        fields = json.loads(place[len(_MARK) :])
        path, _ = self.target_of(place)
        name = fields["name"]
        try:
            size = os.path.getsize(path)
        except OSError:
            raise PlaceError(f"{name} is not on this machine ({fields['root']})") from None
        known = self._sum_of(str(path))
        if fields["size"] not in (None, size):
            other = f"{name} on this machine is another file than the server's"
            raise PlaceError(f"{other}: {size} bytes, not {fields['size']}")
        if None not in (known, fields["sha256"]) and known != fields["sha256"]:
            raise PlaceError(f"{name} on this machine is another file than the server's: its SHA-256 is {known}")
        return str(path)


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
