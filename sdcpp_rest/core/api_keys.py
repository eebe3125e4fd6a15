"""Compares what a caller shows with the configured keys, in constant time. Knows no header and no cookie."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from sdcpp_rest.config import Config


def any_opens(config: Config, offers: Iterable[tuple[str, bool]]) -> bool:
    """Whether one of ``offers`` meets one of the configured keys; see `find_key`."""
    return find_key(config, offers) is not None


def find_key(config: Config, offers: Iterable[tuple[str, bool]]) -> str | None:
    """The configured key that one of ``offers`` meets, each with whether it is ``user:key`` (else a bare key); ``None``
    for none.

    All pairs are compared: neither a key's prefix nor its place in the list shows.
    """
    keys = [key.get_secret_value() for key in config.auth.api_keys]
    met = [key for offer, is_basic in offers for key in keys if _matches(offer, is_basic, key)]
    return met[0] if met else None


def _matches(offer: str, is_basic: bool, key: str) -> bool:
    """A configured ``user:key`` is met by exactly that in Basic, or by its key as a Bearer; a bare key by any user."""
    user, _, bare = key.rpartition(":")
    if is_basic:
        return _equal(offer if user else offer.partition(":")[2], key)
    return _equal(offer, bare) | _equal(offer, key)


def _equal(offer: str, key: str) -> bool:
    return hmac.compare_digest(offer.encode("utf-8", "surrogateescape"), key.encode("utf-8", "surrogateescape"))
