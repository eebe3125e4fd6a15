"""Compares what a caller shows with the configured keys, in constant time, and says what a key may do. Knows no header
and no cookie."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from sdcpp_rest.config import Config
from sdcpp_rest.config.auth_section import SCOPES, ApiKey, Scope
from sdcpp_rest.errors import ScopeMissing


def find_key(config: Config, offers: Iterable[tuple[str, bool]]) -> ApiKey | None:
    """The configured key that one of ``offers`` meets, each with whether it is ``user:key`` (else a bare key); ``None``
    for none.

    All pairs are compared: neither a key's prefix nor its place in the list shows.
    """
    keys = config.auth.all_keys
    met = [key for offer, is_basic in offers for key in keys if _matches(offer, is_basic, key)]
    return met[0] if met else None


def _matches(offer: str, is_basic: bool, key: ApiKey) -> bool:
    """A configured ``user:key`` is met by exactly that in Basic, or by its key as a Bearer; a bare key by any user."""
    if key.is_sum:
        shown = offer.partition(":")[2] if is_basic else offer
        return _equal(hashlib.sha256(shown.encode("utf-8", "surrogateescape")).hexdigest(), key.secret)
    user, _, bare = key.secret.rpartition(":")
    if is_basic:
        return _equal(offer if user else offer.partition(":")[2], key.secret)
    return _equal(offer, bare) | _equal(offer, key.secret)


def _equal(offer: str, key: str) -> bool:
    return hmac.compare_digest(offer.encode("utf-8", "surrogateescape"), key.encode("utf-8", "surrogateescape"))


def check_scope(key: ApiKey, needed: Scope) -> None:
    """Raises ScopeMissing, which names the scope, where ``key`` may not do what needs it."""
    if needed not in key.scopes:
        has = ", ".join(scope for scope in SCOPES if scope in key.scopes)
        raise ScopeMissing(
            f"the key {key.shown_name} may not do this: it needs the scope {needed}, and has {has}",
            scope=needed,
            setting=f"auth.keys.{key.name}.scopes",
        )
