"""Removes the folders' names from messages that go to clients: the server's disk is not their business.

Knows the folders; knows nothing of what a message says.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


class PathRedaction:
    """Shortens every path below one of ``folders`` to the part that users know, when it is called."""

    def __init__(self, folders: Iterable[Path]) -> None:
        # The deepest first: the output folder may lie in the data folder.
        self._folders = sorted({str(folder) for folder in folders if folder.parts[1:]}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for folder in self._folders:
            if folder in text:
                text = text.replace(folder + "/", "").replace(folder, "the server's folder")
        return text

    def in_values(self, value: Any) -> Any:
        """The same for every string in a JSON-ready value."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {name: self.in_values(inner) for name, inner in value.items()}
        return [self.in_values(inner) for inner in value] if isinstance(value, (list, tuple)) else value
