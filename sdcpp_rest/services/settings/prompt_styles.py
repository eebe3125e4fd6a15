"""Keeps named additions to prompts in a CSV file (``name,prompt,negative_prompt``) that users may also edit by hand.

The file is read again when it has changed, and changed row by row. It must not know who asks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sdcpp_rest.core.prompt_style import PromptStyle, merge
from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.services.settings.style_file import MAX_STYLES, StyleTable, change_file, read_table, stamp_of
from sdcpp_rest.services.settings.titles import check_title, nearest_titles

log = logging.getLogger(__name__)

RESERVED_NAMES = frozenset({"export"})
"""Names that another address has already."""


class StylesTaken(NamedTuple):
    """What became of styles that were taken over: names that are new, that had another text before, and that were there
    already and stayed as they were."""

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]


class PromptStyles:
    """Keeps named prompt styles in a CSV file and adds them to prompts.

    Thread-safe; a file that is not there, or cannot be read, holds no styles.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._styles: Mapping[str, PromptStyle] = {}

    def all(self) -> list[PromptStyle]:
        """Every style, in the file's order."""
        return [*self._current().values()]

    def get(self, name: str) -> PromptStyle:
        """The style of that name. Raises NotFound naming the nearest."""
        styles = self._current()
        if name not in styles:
            raise NotFound(
                f"There is no style called {name[:200]!r}", field="name", nearest=nearest_titles(name, styles)
            )
        return styles[name]

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

    def apply_known(self, prompt: str, negative_prompt: str, names: Iterable[str]) -> tuple[str, str]:
        """The same where every name has to be that of a style. Raises InvalidRequest naming the nearest."""
        prompt, negative_prompt, unknown = self.apply(prompt, negative_prompt, names)
        if unknown:
            near = nearest_titles(unknown[0], self._current())
            hint = f"; did you mean {near[0]!r}?" if near else ""
            shown = unknown[0][:200]
            raise InvalidRequest(
                f"styles: there is no style called {shown!r}{hint}", field="styles", value=shown, nearest=near
            )
        return prompt, negative_prompt

    def put(self, style: PromptStyle) -> bool:
        """Keep a style under its name; true if it is a new one. Raises InvalidRequest, Conflict, StylesNotStored."""
        return bool(self.take_over([style], overwrite=True).added)

    def take_over(self, styles: Iterable[PromptStyle], *, overwrite: bool) -> StylesTaken:
        """Keep many styles with one change of the file. Raises InvalidRequest for a name that cannot be one and for one
        style too many, Conflict, StylesNotStored."""
        wanted = {check_style_name(style.name): style for style in styles}
        taken = StylesTaken((), (), ())

        def change(table: StyleTable) -> None:
            nonlocal taken
            there = table.styles()
            added = [name for name in wanted if name not in there]
            known = [name for name in wanted if name in there]
            if len(there) + len(added) > MAX_STYLES:
                raise InvalidRequest(f"There are {len(there)} styles; at most {MAX_STYLES} are kept", field="name")
            table.put(wanted[name] for name in wanted if overwrite or name not in there)
            taken = StylesTaken(tuple(added), tuple(known if overwrite else ()), tuple(() if overwrite else known))

        if wanted:
            with self._writing:
                change_file(self._path, change)
        return taken

    def delete(self, name: str) -> None:
        """Forget a style. Raises NotFound naming the nearest, Conflict, StylesNotStored."""
        self.get(name)
        with self._writing:
            change_file(self._path, lambda table: table.remove(name))

    def export(self) -> str:
        """Every style as the text of a CSV file that other programs read."""
        table = StyleTable("")
        table.put(self.all())
        return table.text()

    def _current(self) -> Mapping[str, PromptStyle]:
        seen = stamp_of(self._path)
        with self._lock:
            if seen != self._seen:
                self._styles, self._seen = self._read(), seen
            return self._styles

    def _read(self) -> Mapping[str, PromptStyle]:
        try:
            return read_table(self._path).styles()
        except ValueError as error:
            log.warning("%s holds no styles: %s", self._path.name, error)
            return {}


def check_style_name(name: str) -> str:
    """``name``, where a style can have it. Raises InvalidRequest."""
    if name in RESERVED_NAMES:
        raise InvalidRequest(f"name: {name!r} is an address of its own; take another name", field="name", value=name)
    return check_title("name", name)
