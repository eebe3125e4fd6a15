"""Lets people log in with a key: a sealed token that is good for a while, and a limit on guesses.

Only what was ended is stored. A token outlives a restart, and ends with its key. Knows no cookie and no page.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sdcpp_rest.config import Config
from sdcpp_rest.config.auth_section import ApiKey
from sdcpp_rest.core.api_keys import find_key
from sdcpp_rest.errors import TooManyAttempts, WrongKey
from sdcpp_rest.services.guess_limit import GuessLimit, block_of
from sdcpp_rest.services.session_seal import SessionSeal
from sdcpp_rest.store.settings_store import SettingsStore

LIFETIME_SECONDS = 24 * 3600
BROWSER_LIFETIME_SECONDS = 30 * 24 * 3600

_ENDED = "ended_logins"
_MOST_ADDRESSES = 10_000
_FAILURES = 10
_WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class LoginSession:
    """A caller who has shown a key. ``username`` is what they called themselves; nothing depends on it."""

    token: str
    username: str
    lifetime_seconds: int = LIFETIME_SECONDS


@dataclass(frozen=True)
class _Content:
    """What a token says."""

    id: str
    ends: int
    key_mark: str


class LoginSessions:
    """Begins, knows and ends the sessions of those who logged in. Thread-safe.

    Args:
        now: seconds since 1970.
        seal: makes the tokens; without one, they end with the process.
        store: keeps which of them were ended before their time.
        guesses: counts wrong keys, of all that is asked of the server.
    """

    def __init__(
        self,
        config: Config,
        now: Callable[[], float] = time.time,
        *,
        seal: SessionSeal | None = None,
        store: SettingsStore | None = None,
        guesses: GuessLimit | None = None,
    ) -> None:
        self.guesses = guesses or GuessLimit()
        self._config = config
        self._now = now
        self._seal = seal or SessionSeal()
        self._store = store
        self._lock = threading.Lock()
        self._ended: dict[str, int] = _read_ended(store)
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def begin(self, username: str, key: str, address: str, lifetime_seconds: int = LIFETIME_SECONDS) -> LoginSession:
        """Log in with one of ``auth.api_keys``; an empty ``username`` where the key needs none.

        Raises WrongKey, and TooManyAttempts after some of them from one address.
        """
        block = block_of(address)
        self._refuse_guessing(block)
        offers = [(f"{username}:{key}", True)] if username else [(key, False)]
        found = find_key(self._config, offers)
        if found is None:
            self._note_failure(block)
            self.guesses.note_wrong(address, [key])
            raise WrongKey("user or key is not right")
        ends = int(self._now()) + lifetime_seconds
        token = self._seal.seal([secrets.token_hex(8), ends, self._seal.mark(found.secret)])
        return LoginSession(token, username, lifetime_seconds)

    def knows(self, token: str) -> bool:
        """Whether this is the token of somebody who is logged in."""
        return self.key_of(token) is not None

    def key_of(self, token: str) -> ApiKey | None:
        """The key with which the owner of this token has logged in; ``None`` for what is no such token."""
        content = self._read(token)
        return self._keys_by_mark()[content.key_mark] if content is not None else None

    def end(self, token: str) -> None:
        """Log out, for good. Nothing happens where nobody is logged in with it."""
        content = self._read(token)
        if content is None:
            return
        with self._lock:
            now = self._now()
            self._ended = {one: ends for one, ends in self._ended.items() if ends > now} | {content.id: content.ends}
            if self._store is not None:
                self._store.put(_ENDED, self._ended)

    def _read(self, token: str) -> _Content | None:
        match self._seal.open(token) if self._config.auth.is_on and "." in token else None:
            case [str(id_), int(ends), str(key_mark)]:
                content = _Content(id_, ends, key_mark)
            case _:
                return None
        is_over = self._now() >= content.ends or content.id in self._ended
        return None if is_over or content.key_mark not in self._keys_by_mark() else content

    def _keys_by_mark(self) -> dict[str, ApiKey]:
        return {self._seal.mark(key.secret): key for key in self._config.auth.all_keys}

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
        now = self._now()
        # Not of the future: the machine's clock may have been set back since.
        return [moment for moment in self._failures.get(address, ()) if now - _WINDOW_SECONDS < moment <= now]


def _read_ended(store: SettingsStore | None) -> dict[str, int]:
    stored = store.get(_ENDED, {}) if store is not None else {}
    return {str(one): int(ends) for one, ends in stored.items()}
