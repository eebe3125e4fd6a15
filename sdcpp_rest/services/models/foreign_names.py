"""Finds the model files that other programs' names and hashes mean here.

By the hash first, where its sum is known already; no file is read for it. Then by the name: with its folder, without
it, and without its ending, in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdcpp_rest.core.catalog import EXTENSIONS, ModelFile, ModelType
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import KnownSums, ModelLibrary

_SHORTEST_HASH = 10
"""Of a SHA-256's beginnings that programs write. Shorter ones are sums of another kind."""


@dataclass(frozen=True)
class ForeignMatch:
    """The file that was meant, by its name here, and what it was found by."""

    name: str
    how: Literal["hash", "name"]


class ForeignNames:
    """Finds files as one moment knows them: made for one request."""

    def __init__(self, library: ModelLibrary, hashes: ModelHashes) -> None:
        self._library = library
        self._hashes = hashes
        self._sums: KnownSums | None = None

    def find(self, kinds: tuple[ModelType, ...], name: str, hash: str = "") -> ForeignMatch | None:
        """The one file of ``kinds`` that is meant; ``None`` for none, and where a name means several."""
        by_hash = self._with_hash(kinds, hash) if len(hash) >= _SHORTEST_HASH else None
        if by_hash is not None:
            return ForeignMatch(by_hash.name, "hash")
        for wanted in _readings(name):
            for kind in kinds:
                found = self._library.candidates(kind, wanted)
                if len(found) == 1:
                    return ForeignMatch(found[0].name, "name")
        return None

    def _with_hash(self, kinds: tuple[ModelType, ...], hash: str) -> ModelFile | None:
        if self._sums is None:
            self._sums = self._hashes.known_sums()
        for kind in kinds:
            for file in self._library.files(kind):
                sha256 = self._sums.get(file.path, file.size_bytes, file.mtime_ns)
                if sha256 is not None and sha256.startswith(hash):
                    return file
        return None


def _readings(name: str) -> list[str]:
    """``name`` as it is, without its folder, and without an ending of another format than ours."""
    whole = name.strip().replace("\\", "/")
    last = whole.rsplit("/", 1)[-1]
    stem, dot, ending = last.rpartition(".")
    plain = stem if dot and f".{ending.lower()}" in EXTENSIONS else last
    return [one for one in dict.fromkeys((whole, last, plain)) if one]
