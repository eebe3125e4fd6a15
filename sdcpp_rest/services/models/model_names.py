"""Resolves the names under which a model is asked for, from the whole relative path down to its bare stem.

Knows nothing of folders: it is given the files of one type, and answers which of them a name means.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable
from itertools import islice

from sdcpp_rest.core.catalog import ModelFile, part_name
from sdcpp_rest.errors import InvalidRequest

_MAX_NAME_BYTES = 200
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{k}" for name in ("com", "lpt") for k in range(1, 10))})
_NEAREST_POOL = 2_000
"""How many names are compared with one that is not there."""


class FileIndex:
    """Finds files of one type by name; sorted by name, with an index of their names that is built when it is first
    needed."""

    def __init__(self, files: Iterable[ModelFile]) -> None:
        self.files: list[ModelFile] = sorted(files, key=lambda file: (file.name.casefold(), file.name))
        self._indexes: dict[int, dict[str, list[ModelFile]]] = {}

    def find_exactly(self, name: str) -> ModelFile | None:
        """The file whose whole name is ``name``, letter by letter."""
        found = self._index(0, _whole, is_folded=False).get(name)
        return found[0] if found else None

    def find(self, wanted: str) -> list[ModelFile]:
        """The files that ``wanted`` means: the strictest reading that fits any decides. Empty when none does."""
        folded = wanted.casefold()
        for number, reading in enumerate(_READINGS):
            found = self._index(number, reading, is_folded=False).get(wanted)
            if found:
                return found
        for number, reading in enumerate(_READINGS):
            found = self._index(~number, reading, is_folded=True).get(folded)
            if found:
                return found
        return []

    def _index(self, key: int, reading: Callable[[str], str], is_folded: bool) -> dict[str, list[ModelFile]]:
        index = self._indexes.get(key)
        if index is None:
            index = {}
            for file in self.files:
                name = reading(file.name)
                index.setdefault(name.casefold() if is_folded else name, []).append(file)
            self._indexes[key] = index
        return index


def _whole(name: str) -> str:
    return name


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _of_parts(name: str) -> str:
    """A split model is also called by the name of the whole: ``x.gguf`` for ``x-00001-of-00002.gguf``."""
    part = part_name(name)
    return part.base if part else name


_READINGS: tuple[Callable[[str], str], ...] = (
    _whole,
    _last,
    _stem,
    lambda name: _stem(_last(name)),
    _of_parts,
    lambda name: _last(_of_parts(name)),
    lambda name: _stem(_of_parts(name)),
    lambda name: _stem(_last(_of_parts(name))),
)


def check_name(name: str, field: str = "model_name") -> str:
    """``name`` with ``/`` between its parts. Raises InvalidRequest, blaming ``field``, for what is no name and for what
    leads out of the model folders."""
    wanted = name.strip().replace("\\", "/")
    parts = wanted.split("/")
    if not wanted or "\0" in wanted or len(wanted) > 1_000:
        raise InvalidRequest(f"{field}: {name[:80]!r} is not a model's name", field=field, value=name[:200])
    if ".." in parts or "." in parts or "" in parts or ":" in parts[0]:
        raise InvalidRequest(
            f"{field}: {name[:80]!r} leads out of the model folders; give a name as GET /models shows it",
            field=field,
            value=name[:200],
        )
    return wanted


def check_part(field: str, name: str) -> None:
    """Refuse one name of a path that is not good on every system. Raises InvalidRequest, blaming ``field``."""
    why = None
    if not name or name != name.strip() or name.startswith(".") or name.endswith("."):
        why = "begins or ends with a dot or a space, or is empty"
    elif any(character in '/\\:*?"<>|' or not character.isprintable() for character in name):
        why = "holds a character that file names cannot have everywhere"
    elif len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        why = f"is longer than {_MAX_NAME_BYTES} bytes"
    elif name.split(".")[0].rstrip().lower() in _DEVICES:
        why = "is a device's name on some systems"
    if why:
        raise InvalidRequest(f"{field}: {name[:80]!r} {why}", field=field, value=name[:200])


def nearest_names(wanted: str, names: Iterable[str]) -> list[str]:
    """Up to three names that look like ``wanted``, the likeliest first."""
    by_folded: dict[str, str] = {}
    for name in islice(names, _NEAREST_POOL):
        by_folded.setdefault(name.casefold(), name)
        by_folded.setdefault(os.path.splitext(name.rsplit("/", 1)[-1])[0].casefold(), name)
    close = difflib.get_close_matches(wanted.casefold()[:200], by_folded, n=6, cutoff=0.5)
    return list(dict.fromkeys(by_folded[key] for key in close))[:3]
