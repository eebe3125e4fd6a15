"""Lets callers in, one by one: who shows which key, whether that may do what is asked, and how often.

`access` has the rules; here is what has to be remembered between requests. For one event loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from sdcpp_rest.config import Config
from sdcpp_rest.config.auth_section import ApiKey, Scope
from sdcpp_rest.core.api_keys import check_scope
from sdcpp_rest.errors import TooManyRequests
from sdcpp_rest.services.login_sessions import LoginSessions
from sdcpp_rest.web.access import AccessRequest, check_key


class Doorkeeper:
    """Admits the requests of one server. ``clock``: seconds."""

    def __init__(self, config: Config, logins: LoginSessions, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._logins = logins
        self._rates = KeyRates(clock)

    def admit(self, asking: AccessRequest, needed: Scope, is_open_to_all: bool = False) -> ApiKey | None:
        """The caller's key; ``None`` for one without, who may see what is open to all.

        Raises NotAuthenticated, WrongKey, ScopeMissing, TooManyRequests, TooManyAttempts.
        """
        key = check_key(self._config, asking, self._logins.key_of, is_open_to_all, self._logins.guesses)
        if key is not None and not is_open_to_all:
            check_scope(key, needed)
            if key.requests_per_minute:
                self._rates.take(key)
        return key


class KeyRates:
    """Counts how often keys are used: each has a bucket for a minute's requests, which fills evenly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: ApiKey) -> None:
        """Count one request with ``key``. Raises TooManyRequests, which says when the next one may come."""
        most, now = float(key.requests_per_minute), self._clock()
        left, at = self._buckets.get(key.name, (most, now))
        left = min(most, left + (now - at) * most / 60)
        if left < 1:
            self._buckets[key.name] = (left, now)
            wait = math.ceil((1 - left) * 60 / most)
            raise TooManyRequests(
                f"the key {key.shown_name} may be used {key.requests_per_minute} times a minute; try again in {wait} "
                "seconds",
                retry_after=wait,
                setting=f"auth.keys.{key.name}.requests_per_minute",
            )
        self._buckets[key.name] = (left - 1, now)
