"""Stores in SQLite what language models were asked and answered: improved prompts, and one conversation.

Each history keeps its newest entries: adding one and forgetting the oldest is one transaction. Knows no language model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from sdcpp_rest.core.chat import Action, ConversationMessage, Enhancement
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_rows import stamp, storable

_ADD_ENHANCEMENT = text(
    "INSERT INTO enhancements (id, created_at, success, model_used, original_prompt, enhanced_prompt, error_message) "
    "VALUES (:id, :created_at, :success, :model_used, :original_prompt, :enhanced_prompt, :error_message)"
)
_ENHANCEMENT = (
    "SELECT id, original_prompt, enhanced_prompt, model_used, created_at, success, error_message FROM enhancements "
)
_PAGE = text(_ENHANCEMENT + "ORDER BY seq DESC LIMIT :limit OFFSET :offset")
_ONE = text(_ENHANCEMENT + "WHERE id = :id")
_COUNT_ENHANCEMENTS = text("SELECT count(*) FROM enhancements")
_DELETE_ONE = text("DELETE FROM enhancements WHERE id = :id")
_CLEAR_ENHANCEMENTS = text("DELETE FROM enhancements")
_TRIM_ENHANCEMENTS = text(
    "DELETE FROM enhancements WHERE seq NOT IN (SELECT seq FROM enhancements ORDER BY seq DESC LIMIT :keep)"
)
_ADD_MESSAGE = text(
    "INSERT INTO assistant_messages (role, created_at, content, actions) "
    "VALUES (:role, :created_at, :content, :actions)"
)
_NEWEST_MESSAGES = text(
    "SELECT role, created_at, content, actions FROM assistant_messages ORDER BY seq DESC LIMIT :limit"
)
_COUNT_MESSAGES = text("SELECT count(*) FROM assistant_messages")
_CLEAR_MESSAGES = text("DELETE FROM assistant_messages")
_TRIM_MESSAGES = text(
    "DELETE FROM assistant_messages WHERE seq NOT IN (SELECT seq FROM assistant_messages ORDER BY seq DESC LIMIT :keep)"
)


class EnhancementHistory:
    """Stores improved prompts, and attempts that failed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, entry: Enhancement, keep: int) -> None:
        """Remember an entry, and of all of them the newest ``keep``."""
        values = {
            "id": entry.id,
            "created_at": stamp(entry.created_at),
            "success": int(entry.success),
            "model_used": storable(entry.model_used),
            "original_prompt": storable(entry.original_prompt),
            "enhanced_prompt": storable(entry.enhanced_prompt),
            "error_message": storable(entry.error_message),
        }
        with self._db.write() as connection:
            connection.execute(_ADD_ENHANCEMENT, values)
            connection.execute(_TRIM_ENHANCEMENTS, {"keep": keep})

    def page(self, limit: int, offset: int) -> tuple[int, list[Enhancement]]:
        """How many there are, and those on one page, newest first; both of the same moment."""
        with self._db.read() as connection:
            rows = connection.execute(_PAGE, {"limit": limit, "offset": offset}).all()
            return _count(connection, _COUNT_ENHANCEMENTS), [_enhancement_of(row) for row in rows]

    def get(self, entry_id: str) -> Enhancement | None:
        with self._db.read() as connection:
            row = connection.execute(_ONE, {"id": storable(entry_id)}).one_or_none()
        return None if row is None else _enhancement_of(row)

    def count(self) -> int:
        with self._db.read() as connection:
            return _count(connection, _COUNT_ENHANCEMENTS)

    def delete(self, entry_id: str) -> bool:
        """Forget one; True if it was there."""
        with self._db.write() as connection:
            return connection.execute(_DELETE_ONE, {"id": storable(entry_id)}).rowcount > 0

    def clear(self) -> None:
        with self._db.write() as connection:
            connection.execute(_CLEAR_ENHANCEMENTS)

    def trim(self, keep: int) -> None:
        """Forget all but the newest ``keep``."""
        with self._db.write() as connection:
            connection.execute(_TRIM_ENHANCEMENTS, {"keep": keep})


class Conversation:
    """Stores what was said to the assistant, and its answers."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, messages: Sequence[ConversationMessage], keep: int) -> None:
        """Remember messages that belong together (no other's come between them), and of all the newest ``keep``."""
        rows = [
            {
                "role": message.role,
                "created_at": stamp(message.created_at),
                "content": storable(message.content),
                "actions": json.dumps([action.model_dump(mode="json") for action in message.actions]),
            }
            for message in messages
        ]
        with self._db.write() as connection:
            connection.execute(_ADD_MESSAGE, rows)
            connection.execute(_TRIM_MESSAGES, {"keep": keep})

    def newest(self, limit: int) -> list[ConversationMessage]:
        """The last ``limit`` messages, in the order in which they were said."""
        with self._db.read() as connection:
            rows = connection.execute(_NEWEST_MESSAGES, {"limit": limit}).all()
        return [_message_of(row) for row in reversed(rows)]

    def count(self) -> int:
        with self._db.read() as connection:
            return _count(connection, _COUNT_MESSAGES)

    def clear(self) -> None:
        with self._db.write() as connection:
            connection.execute(_CLEAR_MESSAGES)

    def trim(self, keep: int) -> None:
        """Forget all but the newest ``keep``."""
        with self._db.write() as connection:
            connection.execute(_TRIM_MESSAGES, {"keep": keep})


def _count(connection: Connection, statement: Any) -> int:
    found: int = connection.execute(statement).scalar_one()
    return found


def _enhancement_of(row: Any) -> Enhancement:
    return Enhancement(
        id=row[0],
        original_prompt=row[1],
        enhanced_prompt=row[2],
        model_used=row[3],
        created_at=datetime.fromisoformat(row[4]),
        success=bool(row[5]),
        error_message=row[6],
    )


def _message_of(row: Any) -> ConversationMessage:
    return ConversationMessage(
        role=row[0],
        created_at=datetime.fromisoformat(row[1]),
        content=row[2],
        actions=tuple(Action.model_validate(action) for action in json.loads(row[3])),
    )
