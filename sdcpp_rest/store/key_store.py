"""Stores under which keys requests came, and what was answered.

Knows no caller and no file: names are digests, and a body that is not in its row is the business of whoever keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from sdcpp_rest.core.job import utc_now
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_rows import stamp

_FIND = text("SELECT request, seed, status, headers, file_bytes, body FROM idempotency_keys WHERE name = :name")
_ADD = text(
    "INSERT OR IGNORE INTO idempotency_keys (name, request, seed, created_at) VALUES (:name, :request, :seed, :now)"
)
_ANSWER = text(
    "UPDATE idempotency_keys SET status = :status, headers = :headers, file_bytes = :file_bytes, body = :body "
    "WHERE name = :name"
)
_DROP = text("DELETE FROM idempotency_keys WHERE name = :name")
_IS_OLD = text("SELECT 1 FROM idempotency_keys WHERE created_at < :moment LIMIT 1")
_OLD = text("DELETE FROM idempotency_keys WHERE created_at < :moment RETURNING name")
_FILES = text("SELECT name, file_bytes FROM idempotency_keys WHERE file_bytes > 0 ORDER BY created_at")
_FORGET = text("UPDATE idempotency_keys SET status = NULL, headers = '[]', file_bytes = 0 WHERE name = :name")


class KeyRow(NamedTuple):
    """A request that came under a key. ``status`` of ``None``: there is no answer, or it is not kept. ``file_bytes``
    above 0: the body is a file of that size."""

    request: str
    seed: str
    status: int | None
    headers: list[tuple[str, str]]
    file_bytes: int
    body: bytes | None


class KeyStore:
    """Stores requests by the names that they came under, and their answers."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def open(self, name: str, request: str, seed: str) -> KeyRow:
        """What is stored under ``name``; if nothing is, from now on the request, without an answer. Durable: what the
        call does next can be found by its seed after a power cut."""
        with self._db.read() as connection:
            found = connection.execute(_FIND, {"name": name}).one_or_none()
        if found is None:
            with self._db.write_durable() as connection:
                connection.execute(_ADD, {"name": name, "request": request, "seed": seed, "now": stamp(utc_now())})
                found = connection.execute(_FIND, {"name": name}).one()
        row = KeyRow._make(found)
        return row._replace(headers=[(key, value) for key, value in json.loads(found.headers)])

    def answer(
        self, name: str, status: int, headers: Sequence[tuple[str, str]], body: bytes | None, file_bytes: int
    ) -> None:
        """Store the answer; ``body`` is ``None`` where it is a file of ``file_bytes``."""
        values = {"name": name, "status": status, "headers": json.dumps(list(headers)), "body": body}
        with self._db.write_durable() as connection:
            connection.execute(_ANSWER, {**values, "file_bytes": file_bytes})

    def drop(self, name: str) -> None:
        """Forget a name: the request may come again as if it never had."""
        with self._db.write() as connection:
            connection.execute(_DROP, {"name": name})

    def drop_older(self, moment: datetime) -> list[str]:
        """Forget all that came before ``moment``; their names."""
        with self._db.read() as connection:
            if connection.execute(_IS_OLD, {"moment": stamp(moment)}).first() is None:
                return []
        with self._db.write() as connection:
            return [row.name for row in connection.execute(_OLD, {"moment": stamp(moment)})]

    def files(self) -> list[tuple[str, int]]:
        """Name and size of every body that is a file; the oldest first."""
        with self._db.read() as connection:
            return [(row.name, row.file_bytes) for row in connection.execute(_FILES)]

    def forget_answer(self, name: str) -> None:
        """Forget an answer, but not that the request was there."""
        with self._db.write() as connection:
            connection.execute(_FORGET, {"name": name})
