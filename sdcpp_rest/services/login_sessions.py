"""Lets people log in with a key: a token that is good for a day, and a limit on guesses.

Kept in memory: a restart ends every session. Knows no cookie and no page.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sdcpp_rest.config import Config
from sdcpp_rest.core.api_keys import any_opens
from sdcpp_rest.errors import TooManyAttempts, WrongKey

LIFETIME_SECONDS = 24 * 3600

_MOST_SESSIONS = 1000
_MOST_ADDRESSES = 10_000
_FAILURES = 10
_WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class LoginSession:
    """A caller who has shown a key. ``username`` is what they called themselves; nothing depends on it."""

    token: str
    username: str
    lifetime_seconds: int = LIFETIME_SECONDS


class LoginSessions:
    """Begins, knows and ends the sessions of those who logged in. Thread-safe."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._now = now
        self._lock = threading.Lock()
        self._ends: OrderedDict[bytes, float] = OrderedDict()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def begin(self, username: str, key: str, address: str) -> LoginSession:
        """Log in with one of ``auth.api_keys``; an empty ``username`` where the key needs none.

        Raises WrongKey, and TooManyAttempts after some of them from one address.
        """
        self._refuse_guessing(address)
        offers = [(f"{username}:{key}", True)] if username else [(key, False)]
        if not any_opens(self._config, offers):
            self._note_failure(address)
            raise WrongKey("user or key is not right")
        session = LoginSession(secrets.token_urlsafe(32), username)
        with self._lock:
            self._ends[_digest(session.token)] = self._now() + LIFETIME_SECONDS
            while len(self._ends) > _MOST_SESSIONS:
                self._ends.popitem(last=False)
        return session

    def knows(self, token: str) -> bool:
        """Whether this is the token of somebody who is logged in."""
        with self._lock:
            end = self._ends.get(_digest(token))
            return end is not None and self._now() < end

    def end(self, token: str) -> None:
        """Log out. Nothing happens where nobody is logged in with it."""
        with self._lock:
            self._ends.pop(_digest(token), None)

    def _refuse_guessing(self, address: str) -> None:
        with self._lock:
            recent = self._recent(address)
            if len(recent) >= _FAILURES:
                wait = max(1, round(recent[0] + _WINDOW_SECONDS - self._now()))
                raise TooManyAttempts(
                    f"too many logins failed from this address; try again in {wait} seconds", retry_after=wait
                )

    def _note_failure(self, address: str) -> None:
        with self._lock:
            self._failures[address] = [*self._recent(address), self._now()]
            self._failures.move_to_end(address)
            while len(self._failures) > _MOST_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        begin = self._now() - _WINDOW_SECONDS
        return [moment for moment in self._failures.get(address, ()) if moment > begin]


def _digest(token: str) -> bytes:
    # Looked up by its digest: how long a look-up takes tells nothing of a token.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
