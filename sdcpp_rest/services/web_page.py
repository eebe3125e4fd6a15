"""Finds the files of the web page: a folder that was built elsewhere, or is not there at all.

Knows no request. Nothing outside of the folder is ever found, by whatever name or link.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sdcpp_rest.core.media_types import MEDIA_TYPES
from sdcpp_rest.errors import NotFound

INDEX = "index.html"
_LASTING_FOLDER = "assets"
_NEIGHBOURS = {"br": ".br", "gzip": ".gz"}
# What the page's start names beside itself: ``href="./icon.svg"``.
_LINK = re.compile(rb"""(\s(?:href|src)=["'])\./""")


@dataclass(frozen=True)
class PageFile:
    """A file of the page. ``is_lasting``: its name changes with its content. ``packed``: the same file compressed, by
    coding. ``is_start``: the page itself."""

    path: Path
    media_type: str
    is_lasting: bool
    packed: dict[str, Path]
    is_start: bool


class WebPage:
    """Finds files below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def is_built(self) -> bool:
        return self._existing([INDEX]) is not None

    def find(self, path: str) -> PageFile:
        """The file at ``path``; the page's start for a path without a file's ending, which the page knows what to do
        with. Raises NotFound."""
        parts = [part for part in path.rstrip("/").split("/") if part] if path else [INDEX]
        found = self._existing(parts) if all(_is_plain(part) for part in parts) else None
        if found is None and not any("." in part or "\\" in part for part in parts):
            parts = [INDEX]
            found = self._existing(parts)
        if found is None:
            raise NotFound("There is no such file of the web page")
        packed = {coding: self._existing([*parts[:-1], parts[-1] + ending]) for coding, ending in _NEIGHBOURS.items()}
        return PageFile(
            found,
            MEDIA_TYPES.get(found.suffix.lower(), "application/octet-stream"),
            is_lasting=parts[0] == _LASTING_FOLDER and len(parts) > 1,
            packed={coding: neighbour for coding, neighbour in packed.items() if neighbour is not None},
            is_start=parts == [INDEX],
        )

    def _existing(self, parts: Sequence[str]) -> Path | None:
        try:
            root = self._folder.resolve(strict=True)
            found = root.joinpath(*parts).resolve(strict=True)
            return found if found.is_relative_to(root) and found.is_file() else None
        except (OSError, ValueError, RuntimeError):
            # Not there, a name that no file can have, or links in a circle.
            return None


def link_from(start: bytes, folder: str) -> bytes:
    """The page's start for a place further down, from where ``folder`` leads to the files beside it (``../../ui/``).
    A browser resolves links by the address that it sees."""
    return _LINK.sub(rb"\1" + folder.encode(), start)


def _is_plain(part: str) -> bool:
    return not part.startswith(".") and not any(character in part for character in "\\:\0")
