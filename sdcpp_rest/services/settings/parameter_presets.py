"""Keeps presets: parameters that users save under a title, each with a small picture if it has one.

What the parameters mean is the business of whoever uses them. It must not know who asks.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping

from sdcpp_rest.core.parameter_preset import ParameterPreset
from sdcpp_rest.errors import Conflict, InvalidRequest, NotFound
from sdcpp_rest.store.preset_store import PresetStore

MAX_PRESETS = 1_000
MAX_TITLE_CHARACTERS = 200
MAX_DESCRIPTION_CHARACTERS = 10_000
MAX_PARAMETERS_BYTES = 262_144
"""Of one preset's parameters as JSON."""

MAX_PREVIEW_BYTES = 262_144


class ParameterPresets:
    """Keeps presets by their titles, whose case does not matter.

    Thread-safe.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, store: PresetStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()

    def all(self) -> list[ParameterPreset]:
        """Every preset, in the order in which they were added."""
        return self._store.all()

    def get(self, title: str) -> ParameterPreset | None:
        """The preset called ``title``, if there is one."""
        return self._store.get(title)

    def parameters(self, title: str) -> Mapping[str, str] | None:
        """The parameters of the preset called ``title``, by id."""
        found = self._store.get(title)
        return found.parameters if found is not None else None

    def preview(self, title: str) -> bytes | None:
        """The picture of a preset, as it was given."""
        return self._store.preview(title)

    def add(self, preset: ParameterPreset, preview: bytes | None = None) -> None:
        """Keep a new preset. Raises Conflict for a title that is taken, InvalidRequest for one too many or too
        large."""
        with self._lock:
            if self._store.get(preset.title) is not None:
                raise Conflict(f"There is a preset called {preset.title!r} already", field="title")
            self._add(preset, preview)

    def replace(self, title: str, preset: ParameterPreset, preview: bytes | None = None) -> None:
        """Keep ``preset`` in the place of the one called ``title``, or as a new one where there is none. One that has
        its new title already goes. Native settings that no parameter means stay. Raises InvalidRequest for one too many
        or too large."""
        with self._lock:
            before = self._store.get(title) or self._store.get(preset.title)
            if before is None:
                self._add(preset, preview)
            else:
                preset = preset.model_copy(update={"settings": before.settings})
                self._store.replace(before.title, self._check_size(preset, preview), preview)

    def keep(self, preset: ParameterPreset, *, overwrite: bool = True) -> bool:
        """Keep ``preset`` as it is under its title; true if there was none of that title. A picture stays. Raises
        InvalidRequest for one too many or too large, Conflict where there is one that is not to be replaced."""
        with self._lock:
            before = self._store.get(preset.title)
            if before is None:
                self._add(preset, None)
            elif not overwrite:
                raise Conflict("there is a preset of this name already", field="title")
            else:
                preview = self._store.preview(preset.title)
                self._store.replace(before.title, self._check_size(preset, preview), preview)
            return before is None

    def duplicate(self, title: str) -> ParameterPreset:
        """Keep a copy, called ``title (2)`` or the next number that is free. Raises NotFound, InvalidRequest."""
        with self._lock:
            original = self._store.get(title)
            if original is None:
                raise NotFound(f"There is no preset called {title[:MAX_TITLE_CHARACTERS]!r}", field="title")
            number = 2
            while self._store.get(f"{original.title} ({number})") is not None:
                number += 1
            copy = original.model_copy(update={"title": f"{original.title} ({number})"})
            self._add(copy, self._store.preview(title))
            return copy

    def delete(self, title: str) -> bool:
        """Forget a preset; true if there was one."""
        with self._lock:
            return self._store.delete(title)

    def _add(self, preset: ParameterPreset, preview: bytes | None) -> None:
        if not self._store.add(self._check_size(preset, preview), preview, MAX_PRESETS):
            raise InvalidRequest(f"There are {MAX_PRESETS} presets already; delete one first", field="title")

    def _check_size(self, preset: ParameterPreset, preview: bytes | None) -> ParameterPreset:
        size = len(json.dumps(dict(preset.parameters))) + len(json.dumps(dict(preset.settings)))
        for field, found, most in (
            ("title", len(preset.title), MAX_TITLE_CHARACTERS),
            ("description", len(preset.description), MAX_DESCRIPTION_CHARACTERS),
            ("parameters", size, MAX_PARAMETERS_BYTES),
            ("preview", len(preview or b""), MAX_PREVIEW_BYTES),
        ):
            if found > most:
                raise InvalidRequest(f"{field}: is {found} long; at most {most} are kept", field=field, value=found)
        return preset.model_copy(update={"edited_ms": int(self._clock() * 1000)})
