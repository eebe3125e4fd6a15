"""Stores what users change while the server runs in SQLite, as JSON values by key.

Knows no setting by name and gives no defaults.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from sqlalchemy import text

from sdcpp_rest.core.changes import is_noting, note_change
from sdcpp_rest.store.database import Database

_GET = text("SELECT value FROM settings WHERE key = :key")
_ALL = text("SELECT key, value FROM settings ORDER BY key")
_PUT = text(
    "INSERT INTO settings (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_DELETE = text("DELETE FROM settings WHERE key = :key")
_MOST_KEPT = 100
"""Keys: there are some twenty."""


class SettingsStore:
    """Stores settings by key. A ``put`` is one statement: of two at the same time, the later one stands whole."""

    def __init__(self, db: Database) -> None:
        """``db`` has no other store of settings: what is read is kept here until it is put anew."""
        self._db = db
        self._lock = threading.Lock()
        self._kept: dict[str, str | None] = {}
        self._changes = 0

    def get(self, key: str, default: Any = None) -> Any:
        """The stored value, or ``default`` where nothing was stored. A stored null is a value."""
        with self._lock:
            is_kept, stored, changes = key in self._kept, self._kept.get(key), self._changes
        if not is_kept:
            # Every job asks for what was chosen for it, and it is hardly ever changed.
            with self._db.read() as connection:
                stored = connection.execute(_GET, {"key": key}).scalar_one_or_none()
            with self._lock:
                # What was put meanwhile may be newer than what was read.
                if changes == self._changes and len(self._kept) < _MOST_KEPT:
                    self._kept[key] = stored
        return default if stored is None else json.loads(stored)

    def put(self, key: str, value: Any) -> None:
        """Store a JSON value. Raises TypeError or ValueError for anything that JSON cannot hold."""
        stored = json.dumps(value, allow_nan=False)
        before = self.get(key) if is_noting() else None
        with self._db.write() as connection:
            connection.execute(_PUT, {"key": key, "value": stored})
        self._forget(key)
        note_change(key, before, value)

    def delete(self, key: str) -> bool:
        """Forget a key; True if there was one."""
        before = self.get(key) if is_noting() else None
        with self._db.write() as connection:
            was_there = connection.execute(_DELETE, {"key": key}).rowcount > 0
        self._forget(key)
        note_change(key, before, None)
        return was_there

    def all(self) -> dict[str, Any]:
        with self._db.read() as connection:
            return {key: json.loads(value) for key, value in connection.execute(_ALL)}

    def _forget(self, key: str) -> None:
        """Read ``key`` anew. After the commit: who reads before it, and keeps that, keeps it until here."""
        with self._lock:
            self._changes += 1
            self._kept.pop(key, None)
