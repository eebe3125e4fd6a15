"""Seals what a browser keeps for us, so that nobody can make or change it. The secret lies in a file of its own, which
only the server's user may read, and is made when it is first needed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import threading
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from sdcpp_rest.durable_files import sync_folder

log = logging.getLogger(__name__)

SECRET_FILE = "session.secret"

_SECRET_CHARACTERS = 64
_LONGEST_TOKEN = 400
_MARK_CHARACTERS = 22


class SessionSeal:
    """Seals values into tokens and opens them again. Thread-safe.

    Args:
        path: the secret's file; ``None``: the secret ends with the process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._secret: str | None = None

    def seal(self, value: Any) -> str:
        """A token for a JSON value, of characters that cookies and URLs may have."""
        return str(self._serializer().dumps(value))

    def open(self, token: str) -> Any:
        """The value that was sealed; ``None`` for anything that was not sealed here."""
        if not token.isascii() or len(token) > _LONGEST_TOKEN:
            return None
        try:
            return self._serializer().loads(token)
        except BadData:
            return None

    def mark(self, text: str) -> str:
        """What stands for a secret text in a token: equal for equal texts, and it tells nothing of them."""
        return hashlib.sha256(f"mark\0{self._get_secret()}\0{text}".encode("utf-8", "surrogateescape")).hexdigest()[
            :_MARK_CHARACTERS
        ]

    def _serializer(self) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._get_secret(), salt="sdcpp-rest login", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def _get_secret(self) -> str:
        with self._lock:
            if self._secret is None:
                self._secret = self._read() or self._make()
            return self._secret

    def _read(self) -> str | None:
        if self._path is None:
            return None
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("the secret of logins cannot be read, a new one is made: %s", error)
            return None
        if len(text) < _SECRET_CHARACTERS:
            log.warning("the secret of logins is cut off, a new one is made")
            return None
        return text

    def _make(self) -> str:
        made = secrets.token_hex(_SECRET_CHARACTERS // 2)
        if self._path is not None:
            try:
                _write_private(self._path, made)
            except OSError as error:
                log.warning("the secret of logins cannot be kept, so they end with this run: %s", error)
        return made


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
