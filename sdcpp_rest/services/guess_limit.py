"""Slows down who guesses keys: an address that has shown many different wrong ones has no more of them looked at for a
while.

Different ones, because a program with an old key that asks again and again does not guess, and keeps nobody out. Keys
that have opened the server from an address go on opening it there: a stranger behind the same proxy cannot lock the
others out. Bounded in memory. Knows no request.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

WRONG_KEYS = 10
"""So many different ones within `WINDOW_SECONDS`."""
WINDOW_SECONDS = 60.0
MOST_ADDRESSES = 10_000

_IPV6_NETWORK = 64


class GuessLimit:
    """Counts wrong keys by address. Thread-safe. ``clock``: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, dict[bytes, float]] = OrderedDict()
        self._right: OrderedDict[str, set[str]] = OrderedDict()

    def seconds_left(self, address: str) -> int:
        """For how long no new key from ``address`` is looked at; 0 where it is."""
        if not self._wrong:
            return 0
        with self._lock:
            recent = self._recent(block_of(address))
            if len(recent) < WRONG_KEYS:
                return 0
            return max(1, round(min(recent.values()) + WINDOW_SECONDS - self._clock()))

    def note_wrong(self, address: str, offers: Iterable[str]) -> None:
        """``address`` has shown ``offers``, and none of them is a key."""
        with self._lock:
            block = block_of(address)
            recent = self._recent(block)
            for offer in offers:
                if len(recent) < WRONG_KEYS:
                    recent.setdefault(_digest(offer), self._clock())
            _keep(self._wrong, block, recent)

    def has_shown(self, address: str, offers: Iterable[str]) -> bool:
        """Whether all of ``offers`` are among the wrong ones that are remembered."""
        with self._lock:
            recent = self._recent(block_of(address))
            return all(_digest(offer) in recent for offer in offers)

    def note_right(self, address: str, secret: str) -> None:
        """``secret``, as the configuration has it, has opened the server from ``address``."""
        block = block_of(address)
        known = self._right.get(block)
        if known is not None and secret in known:
            return
        with self._lock:
            _keep(self._right, block, {*self._right.get(block, ()), secret})

    def was_right(self, address: str, secret: str) -> bool:
        """Whether that was noted."""
        return secret in self._right.get(block_of(address), ())

    def _recent(self, block: str) -> dict[bytes, float]:
        now = self._clock()
        return {digest: at for digest, at in self._wrong.get(block, {}).items() if now - WINDOW_SECONDS < at <= now}


@functools.lru_cache(maxsize=1024)
def block_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the 64 bits of an IPv6 address that a provider gives to one."""
    if ":" not in address:
        return address
    try:
        read = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(ipaddress.IPv6Network((read, _IPV6_NETWORK), strict=False))


def _digest(offer: str) -> bytes:
    # Not the text: wrong keys are often right ones of somewhere else.
    return hashlib.sha256(offer.encode("utf-8", "surrogateescape")).digest()


def _keep(places: OrderedDict[str, dict[bytes, float]] | OrderedDict[str, set[str]], block: str, value: object) -> None:
    places[block] = value  # type: ignore[assignment]
    places.move_to_end(block)
    while len(places) > MOST_ADDRESSES:
        places.popitem(last=False)
