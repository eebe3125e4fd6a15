"""Keeps the preview settings that users chose, across restarts, and tells the engines at once.

Knows nothing of how a preview is made or sent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import ValidationError

from sdcpp_rest.config import PreviewConfig
from sdcpp_rest.engine.protocol import PreviewSettings
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

_KEY = "preview"


class Engines(Protocol):
    """What makes previews."""

    def set_preview(self, settings: PreviewSettings) -> None: ...


class PreviewChoice:
    """Keeps the preview settings in force. Thread-safe; the engines get them when this is built and whenever they
    change.

    Args:
        initial: the configuration's values, in force until somebody chooses others.
    """

    def __init__(self, settings: SettingsStore, engines: Engines, initial: PreviewConfig) -> None:
        self._settings = settings
        self._engines = engines
        self._lock = threading.Lock()
        self._current = self._read_stored(PreviewSettings(**initial.model_dump()))
        engines.set_preview(self._current)

    def get(self) -> dict[str, Any]:
        """``enabled``, ``mode``, ``interval`` (steps), ``max_size`` (pixels), ``quality`` (1..100)."""
        return self._current.model_dump()

    def change(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Change the fields that are in ``sent``, whose values were checked already; returns all of them."""
        # Two callers that change one field each must both have their way.
        with self._lock:
            changed = PreviewSettings(**{**self._current.model_dump(), **sent})
            self._settings.put(_KEY, changed.model_dump())
            self._current = changed
            self._engines.set_preview(changed)
        return changed.model_dump()

    def _read_stored(self, initial: PreviewSettings) -> PreviewSettings:
        stored = self._settings.get(_KEY)
        if stored is None:
            return initial
        try:
            return PreviewSettings.model_validate(stored)
        except ValidationError:
            log.warning("the stored preview settings cannot be read any more; those of the configuration are used")
            return initial
