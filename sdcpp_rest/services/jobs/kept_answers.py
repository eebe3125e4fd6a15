"""Keeps answers for requests that named themselves with an ``Idempotency-Key``: sent again within a day, they get the
same one.

Only what went well is kept: of a failure the same request may make more the next time. Small bodies lie in the
database, large ones as files beside it, all of them together within a bound. Knows no socket and no dialect.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sdcpp_rest.core.job import utc_now
from sdcpp_rest.durable_files import make_folder, replace_file
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.store.database import DatabaseUnusable
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.key_store import KeyRow, KeyStore

log = logging.getLogger(__name__)

LIFETIME = timedelta(hours=24)

BYTES_IN_ROW = 64 * 1024


class KeyReused(SdcppRestError):
    """Another request came under the same key."""

    code = "idempotency_key_reused"
    status = 422


@dataclass(frozen=True)
class KeptAnswer:
    """An answer, whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


class KeptAnswers:
    """Keeps answers by the names of their requests. Thread-safe.

    Args:
        folder: for large bodies; made when there is one.
        most_bytes: of all of these together; the oldest go first. A larger one is not kept.
    """

    def __init__(self, store: KeyStore, jobs: JobStore, folder: Path, most_bytes: int) -> None:
        self._store = store
        self._jobs = jobs
        self._folder = folder
        self._lock = threading.Lock()
        self.most_bytes = most_bytes

    def open(self, name: str, request: str) -> KeptAnswer | str:
        """The answer that is kept under ``name``, or the seed of the call's job ids, of whose earlier try there may be
        jobs. ``request``: a digest of what is asked. Raises KeyReused."""
        self.drop_old()
        row = self._store.open(name, request, str(uuid.uuid4()))
        if row.request != request:
            raise reuse_of_key()
        return self._read(name, row) or row.seed

    def keep(self, name: str, answer: KeptAnswer) -> None:
        """Keep an answer. Where the disk does not take it, it is not kept, which the log says."""
        try:
            size = len(answer.body)
            if size <= BYTES_IN_ROW:
                self._store.answer(name, answer.status, answer.headers, answer.body, 0)
            elif size <= self.most_bytes:
                with self._lock:
                    self._make_room(size)
                    self._write(name, answer.body)
                    self._store.answer(name, answer.status, answer.headers, None, size)
        except (OSError, DatabaseUnusable) as error:
            log.warning("an answer could not be kept for a retry: %s", error)

    def let_go(self, name: str, job_ids: Collection[str]) -> None:
        """Forget a request that did not get a good answer, unless its jobs (``job_ids``) go on or are done without it:
        then a retry is to find them."""
        found = self._jobs.get_many([*job_ids]).values()
        if not found or any(job.status in ("failed", "cancelled") for job in found):
            self._store.drop(name)

    def drop_old(self) -> None:
        """Forget what is older than a day, with its files."""
        for name in self._store.drop_older(utc_now() - LIFETIME):
            with contextlib.suppress(OSError):
                self._file(name).unlink(missing_ok=True)

    def _read(self, name: str, row: KeyRow) -> KeptAnswer | None:
        if row.status is None:
            return None
        body = row.body
        if body is None:
            with contextlib.suppress(OSError):
                body = self._file(name).read_bytes()
            if body is None or len(body) != row.file_bytes:
                return None
        return KeptAnswer(row.status, tuple(row.headers), body)

    def _write(self, name: str, body: bytes) -> None:
        make_folder(self._folder)
        replace_file(self._file(name), body)

    def _make_room(self, size: int) -> None:
        kept = self._store.files()
        total = sum(bytes_of for _, bytes_of in kept)
        for name, bytes_of in kept:
            if total + size <= self.most_bytes:
                return
            self._store.forget_answer(name)
            self._file(name).unlink(missing_ok=True)
            total -= bytes_of

    def _file(self, name: str) -> Path:
        return self._folder / name


def reuse_of_key() -> KeyReused:
    return KeyReused(
        "Idempotency-Key was sent with another request before; a new request needs a new key", field="Idempotency-Key"
    )
