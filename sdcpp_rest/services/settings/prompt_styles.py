"""Reads named additions to prompts from a CSV file (``name,prompt,negative_prompt``) that users write themselves.

The file is read again when it has changed. It must not know who asks.
"""

from __future__ import annotations

import csv
import io
import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from sdcpp_rest.core.frozen import Frozen

log = logging.getLogger(__name__)

PLACE = "{prompt}"
_MAX_BYTES = 4 << 20
_MAX_STYLES = 5_000


class PromptStyle(Frozen):
    """One style. Text with ``{prompt}`` in it is written around a prompt, other text behind it."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


class PromptStyles:
    """Reads named prompt styles from a CSV file and adds them to prompts.

    Thread-safe; a file that is not there, or cannot be read, holds no styles.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._styles: dict[str, PromptStyle] = {}

    def all(self) -> list[PromptStyle]:
        """Every style, in the file's order."""
        return [*self._current().values()]

    def apply(self, prompt: str, negative_prompt: str, names: Iterable[str]) -> tuple[str, str, list[str]]:
        """Both prompts with the styles added one after the other, and the names that no style has."""
        styles, unknown = self._current(), []
        for name in names:
            style = styles.get(name)
            if style is None:
                unknown.append(name)
                continue
            prompt = merge(style.prompt, prompt)
            negative_prompt = merge(style.negative_prompt, negative_prompt)
        return prompt, negative_prompt, unknown

    def _current(self) -> dict[str, PromptStyle]:
        try:
            status = self._path.stat()
        except OSError:
            return {}
        seen = (status.st_mtime_ns, status.st_size)
        with self._lock:
            if seen != self._seen:
                self._styles, self._seen = self._read(status.st_size), seen
            return self._styles

    def _read(self, size_bytes: int) -> dict[str, PromptStyle]:
        if size_bytes > _MAX_BYTES:
            log.warning("%s is too large (%d bytes); no styles are read from it", self._path.name, size_bytes)
            return {}
        try:
            text = self._path.read_text(encoding="utf-8-sig")
            rows = list(csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            log.warning("%s cannot be read: %s", self._path.name, error)
            return {}
        found = {}
        for row in rows[:_MAX_STYLES]:
            name = row.get("name")
            if name:
                # Files of old have a column "text" instead.
                prompt = row.get("prompt") or row.get("text") or ""
                found[name] = PromptStyle(name=name, prompt=prompt, negative_prompt=row.get("negative_prompt") or "")
        return found


def merge(style: str, prompt: str) -> str:
    """``prompt`` with one style's text around it or behind it."""
    if PLACE in style:
        return style.replace(PLACE, prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)
