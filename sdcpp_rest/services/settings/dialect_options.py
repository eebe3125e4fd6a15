"""Keeps what a dialect's clients have set, across restarts: JSON values by name, one set per dialect.

Which names there are and what they mean is the dialect's business.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sdcpp_rest.errors import PayloadTooLarge
from sdcpp_rest.store.settings_store import SettingsStore

MAX_BYTES = 262_144


class DialectOptions:
    """Keeps the options that a dialect's clients set, across restarts.

    Thread-safe.
    """

    def __init__(self, store: SettingsStore, dialect: str) -> None:
        self._store = store
        self._key = f"dialects.{dialect}"
        self._lock = threading.Lock()

    def get(self) -> dict[str, Any]:
        """The options that were set, by name; no defaults."""
        stored = self._store.get(self._key)
        return stored if isinstance(stored, dict) else {}

    def get_or_put(self, name: str, make: Callable[[], str]) -> str:
        """The text that is kept under ``name``; where there is none, what ``make`` makes, which is kept from now on."""
        with self._lock:
            known = self.get().get(name)
            if not isinstance(known, str):
                known = make()
                self._store.put(self._key, {**self.get(), name: known})
            return known

    def put(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Set some, leave the others; returns all. Raises PayloadTooLarge beyond `MAX_BYTES` as JSON."""
        with self._lock:
            whole = {**self.get(), **changed}
            if changed:
                size = len(json.dumps(whole))
                if size > MAX_BYTES:
                    raise PayloadTooLarge(f"The options would be {size} bytes as JSON; at most {MAX_BYTES} are kept")
                self._store.put(self._key, whole)
            return whole
