"""Stores presets of parameters in SQLite, each with a small picture if it has one.

Knows no parameter by name.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from sdcpp_rest.core.parameter_preset import ParameterPreset
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_rows import storable

_COLUMNS = "SELECT title, description, is_starred, parameters, settings, edited_ms, has_preview FROM parameter_presets "
_ALL = text(_COLUMNS + "ORDER BY seq")
_ONE = text(_COLUMNS + "WHERE key = :key")
_PREVIEW = text("SELECT preview FROM parameter_presets WHERE key = :key")
_COUNT = text("SELECT count(*) FROM parameter_presets")
_ADD = text(
    "INSERT INTO parameter_presets "
    "(key, title, description, is_starred, parameters, settings, edited_ms, has_preview, preview) "
    "VALUES (:key, :title, :description, :is_starred, :parameters, :settings, :edited_ms, :has_preview, :preview)"
)
_REPLACE = text(
    "UPDATE parameter_presets SET key = :key, title = :title, description = :description, is_starred = :is_starred, "
    "parameters = :parameters, settings = :settings, edited_ms = :edited_ms, has_preview = :has_preview, "
    "preview = :preview WHERE key = :old"
)
_DELETE = text("DELETE FROM parameter_presets WHERE key = :key")


class PresetStore:
    """Stores presets by their titles, whatever the titles' case."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> list[ParameterPreset]:
        """Every preset, in the order in which they were added."""
        with self._db.read() as connection:
            return [_preset_of(row) for row in connection.execute(_ALL)]

    def get(self, title: str) -> ParameterPreset | None:
        with self._db.read() as connection:
            row = connection.execute(_ONE, {"key": _key(title)}).one_or_none()
        return None if row is None else _preset_of(row)

    def preview(self, title: str) -> bytes | None:
        """The picture of a preset, as it was stored."""
        with self._db.read() as connection:
            found = connection.execute(_PREVIEW, {"key": _key(title)}).scalar_one_or_none()
        return None if found is None else bytes(found)

    def add(self, preset: ParameterPreset, preview: bytes | None, at_most: int) -> bool:
        """Store a new preset; false where ``at_most`` are there already. Raises IntegrityError for a title that is
        taken: ask first, under a lock."""
        with self._db.write() as connection:
            if _count(connection) >= at_most:
                return False
            connection.execute(_ADD, _values(preset, preview))
        return True

    def replace(self, title: str, preset: ParameterPreset, preview: bytes | None) -> None:
        """Store ``preset`` in the place of the one called ``title``; another one that has its new title goes."""
        with self._db.write() as connection:
            if _key(title) != _key(preset.title):
                connection.execute(_DELETE, {"key": _key(preset.title)})
            connection.execute(_REPLACE, {**_values(preset, preview), "old": _key(title)})

    def delete(self, title: str) -> bool:
        """Forget a preset; true if there was one."""
        with self._db.write() as connection:
            return connection.execute(_DELETE, {"key": _key(title)}).rowcount > 0


def _key(title: str) -> str:
    return storable(title).casefold()


def _count(connection: Connection) -> int:
    count: int = connection.execute(_COUNT).scalar_one()
    return count


def _values(preset: ParameterPreset, preview: bytes | None) -> dict[str, Any]:
    return {
        "key": _key(preset.title),
        "title": storable(preset.title),
        "description": storable(preset.description),
        "is_starred": int(preset.is_starred),
        "parameters": json.dumps(dict(preset.parameters)),
        "settings": json.dumps(dict(preset.settings)),
        "edited_ms": preset.edited_ms,
        "has_preview": int(preview is not None),
        "preview": preview,
    }


def _preset_of(row: Any) -> ParameterPreset:
    return ParameterPreset(
        title=row.title,
        description=row.description,
        is_starred=bool(row.is_starred),
        parameters=json.loads(row.parameters),
        settings=json.loads(row.settings),
        edited_ms=row.edited_ms,
        has_preview=bool(row.has_preview),
    )
