"""Writes what users say of a model beside its file: a card into its sidecar, a preview, and what CivitAI answered.

Only in the user's own folders; the model's file itself stays as it is, and so does all in the sidecar that is not of
the card. Must not know who asks.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.changes import note_change
from sdcpp_rest.core.events import ModelsChanged
from sdcpp_rest.errors import Conflict, InvalidRequest, NotFound, SdcppRestError
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.models.files_beside import (
    CIVITAI_ENDING,
    MAX_NOTES_BYTES,
    PREVIEW_ENDINGS,
    SIDECAR_ENDING,
    list_beside,
    path_beside,
    read_notes,
    write_beside,
    write_preview,
)
from sdcpp_rest.services.models.model_cards import ModelCards
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.model_removal import check_own

_KEYS = {
    "title": ("display_name",),
    "base_model": ("base_model", "sd version"),
    "trigger_words": ("activation_text", "activation text"),
    "recommended": ("recommended",),
}
"""Where a field of a card stands in a sidecar: the first that is there, else the first. Others have their name."""


class CardNotStored(SdcppRestError):
    """The model's folder takes no file: the disk is full, or it cannot be written."""

    code = "card_not_stored"


class CardEditing:
    """Writes cards and previews, one at a time. Thread-safe."""

    def __init__(self, library: ModelLibrary, cards: ModelCards, bus: EventBus) -> None:
        self._library = library
        self._cards = cards
        self._bus = bus
        self._lock = threading.Lock()

    def write_card(self, file: ModelFile, fields: Mapping[str, Any]) -> None:
        """Write the fields of a card into the model's sidecar; one that is empty is taken out, and what is not named
        stays. Raises FolderOnlyRead, Conflict for a sidecar that cannot be understood, CardNotStored."""
        self.check_writable(file)
        with self._lock:
            content = self._read_sidecar(file)
            for name, value in fields.items():
                _set(content, name, value)
            text = json.dumps(content, indent=2, ensure_ascii=False)
            if len(text.encode("utf-8")) > MAX_NOTES_BYTES:
                raise InvalidRequest(f"The sidecar would have more than {MAX_NOTES_BYTES} bytes", field="description")
            self._store(file, lambda: write_beside(file, SIDECAR_ENDING, f"{text}\n".encode()))
        self._tell(file, "card")

    def write_preview(self, file: ModelFile, jpeg: bytes) -> None:
        """Make ``jpeg`` the preview of a model. Raises FolderOnlyRead, CardNotStored."""
        self.check_writable(file)
        with self._lock:
            self._store(file, lambda: write_preview(file, jpeg))
        self._tell(file, "preview")

    def delete_previews(self, file: ModelFile) -> int:
        """Delete all previews beside a model, so that no other one shows instead; returns how many there were.
        Raises FolderOnlyRead, NotFound, CardNotStored."""
        self.check_writable(file)
        with self._lock:
            found = [path for path, _ in list_beside(file, PREVIEW_ENDINGS)]
            if not found:
                raise NotFound(f"{file.name} has no preview")
            self._store(file, lambda: _unlink_all(found))
        self._tell(file, "preview")
        return len(found)

    def keep_civitai(self, file: ModelFile, answered: Mapping[str, Any]) -> None:
        """Keep what CivitAI says of a model beside it, as other programs do. Raises FolderOnlyRead, CardNotStored."""
        self.check_writable(file)
        text = json.dumps(answered, indent=2, ensure_ascii=False).encode("utf-8", "replace")
        with self._lock:
            self._store(file, lambda: write_beside(file, CIVITAI_ENDING, text))
        self._tell(file, "card")

    def check_writable(self, file: ModelFile) -> None:
        """Raise FolderOnlyRead for a model that does not lie in the user's own folders."""
        check_own(file, self._library.folders()[file.type])

    def _read_sidecar(self, file: ModelFile) -> dict[str, Any]:
        path = path_beside(file, SIDECAR_ENDING)
        content = read_notes(path) if self._cards.may_read(file, path) else {}
        if not content and os.path.lexists(path) and os.lstat(path).st_size > len("{}\n"):
            raise Conflict(f"{os.path.basename(path)} cannot be understood, and is left as it is")
        return content

    def _store(self, file: ModelFile, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise CardNotStored(f"That could not be stored beside {file.name}: {error.strerror or error}") from error

    def _tell(self, file: ModelFile, change: Any) -> None:
        self._cards.refresh()
        note_change("models.card", None, f"{file.type}/{file.name}: {change}")
        self._bus.publish(ModelsChanged(change=change, model_name=file.name, model_type=file.type))


def _unlink_all(paths: list[str]) -> None:
    for path in paths:
        os.unlink(path)


def _set(content: dict[str, Any], name: str, value: Any) -> None:
    keys = _KEYS.get(name, (name,))
    key = next((one for one in keys if one in content), keys[0])
    if value in ("", [], {}):
        for one in keys:
            content.pop(one, None)
    else:
        content[key] = ", ".join(value) if name == "trigger_words" else value
