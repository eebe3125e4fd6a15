"""Stores what users change while the server runs in SQLite, as JSON values by key.

Knows no setting by name and gives no defaults.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from sdcpp_rest.store.database import Database

_GET = text("SELECT value FROM settings WHERE key = :key")
_ALL = text("SELECT key, value FROM settings ORDER BY key")
_PUT = text(
    "INSERT INTO settings (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_DELETE = text("DELETE FROM settings WHERE key = :key")


class SettingsStore:
    """Stores settings by key. A ``put`` is one statement: of two at the same time, the later one stands whole."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: str, default: Any = None) -> Any:
        """The stored value, or ``default`` where nothing was stored. A stored null is a value."""
        with self._db.read() as connection:
            stored = connection.execute(_GET, {"key": key}).scalar_one_or_none()
        return default if stored is None else json.loads(stored)

    def put(self, key: str, value: Any) -> None:
        """Store a JSON value. Raises TypeError or ValueError for anything that JSON cannot hold."""
        stored = json.dumps(value, allow_nan=False)
        with self._db.write() as connection:
            connection.execute(_PUT, {"key": key, "value": stored})

    def delete(self, key: str) -> bool:
        """Forget a key; True if there was one."""
        with self._db.write() as connection:
            return connection.execute(_DELETE, {"key": key}).rowcount > 0

    def all(self) -> dict[str, Any]:
        with self._db.read() as connection:
            return {key: json.loads(value) for key, value in connection.execute(_ALL)}
