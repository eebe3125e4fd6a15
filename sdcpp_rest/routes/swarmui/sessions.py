"""Issues sessions and recognises them again: 40 hexadecimal digits that carry their age and a seal.

Nothing is stored but the key of the seal, so that a client which opens a session for every call costs nothing, and
sessions outlive a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from sdcpp_rest.services.settings.dialect_options import DialectOptions

DAYS = 31
_SECONDS = DAYS * 24 * 3600
_KEY, _SERVER_ID = "session_key", "server_id"
_STAMP_DIGITS, _CHANCE_DIGITS, _SEAL_DIGITS = 8, 12, 20


class Sessions:
    """Issues and recognises sessions. Thread-safe.

    Args:
        options: keeps the key, and the server's own id.
        clock: seconds since 1970.
    """

    def __init__(self, options: DialectOptions, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._clock = clock

    def open(self) -> str:
        """A new session's id."""
        body = f"{int(self._clock()):0{_STAMP_DIGITS}X}{secrets.token_hex(_CHANCE_DIGITS // 2).upper()}"
        return body + self._seal(body)

    def is_known(self, session_id: str) -> bool:
        """Whether this server issued that id within the last `DAYS`."""
        body, seal = session_id[:-_SEAL_DIGITS], session_id[-_SEAL_DIGITS:]
        if len(session_id) != _STAMP_DIGITS + _CHANCE_DIGITS + _SEAL_DIGITS or not session_id.isascii():
            return False
        if not hmac.compare_digest(seal, self._seal(body)):
            return False
        return self._clock() - int(body[:_STAMP_DIGITS], 16) <= _SECONDS

    def server_id(self) -> str:
        """An id that no other server has, and that stays."""
        return self._read_or_make(_SERVER_ID)

    def _seal(self, body: str) -> str:
        key = bytes.fromhex(self._read_or_make(_KEY))
        return hmac.new(key, body.encode(), hashlib.sha256).hexdigest()[:_SEAL_DIGITS].upper()

    def _read_or_make(self, name: str) -> str:
        return self._options.get_or_put(name, lambda: secrets.token_hex(32))
