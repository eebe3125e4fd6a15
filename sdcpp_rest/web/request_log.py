"""Writes requests to the server's log: refusals with the setting that allows them, and, where it is wanted, a line for
each request.

Nobody can flood the log: refusals have a number of lines, and what is asked again and again is summed up. Knows no
sockets; nothing that is a secret (a query, a signed link) is written down.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from sdcpp_rest.services.pictures import picture_links

log = logging.getLogger(__name__)

REFUSAL_WINDOW_SECONDS = 600.0
REFUSALS_PER_ADDRESS = 10
REFUSALS_IN_ALL = 200
"""Lines in one window."""

POLL_WINDOW_SECONDS = 60.0
MAX_POLLS = 1000
"""Requests that are remembered to be summed up."""

_POLLS = frozenset({"GET", "HEAD", "OPTIONS"})
_SHOWN_CHARACTERS = 200

Clock = Callable[[], float]


class RefusalLog:
    """Logs a WARNING for each reason for which an address is refused, once in a while."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._written: set[tuple[str, str]] = set()
        self._lines: Counter[str] = Counter()
        self._omitted = 0

    def note(self, method: str, path: str, address: str, reason: str) -> None:
        """``reason``: the sentence that the caller got, with the setting in it."""
        now = self._clock()
        if now >= self._until:
            if self._omitted:
                log.warning("%d more refusals were not written down", self._omitted)
            self._until, self._omitted = now + REFUSAL_WINDOW_SECONDS, 0
            self._written.clear()
            self._lines.clear()
        if (address, reason) in self._written:
            return
        if self._lines[address] >= REFUSALS_PER_ADDRESS or len(self._written) >= REFUSALS_IN_ALL:
            self._omitted += 1
            return
        self._written.add((address, reason))
        self._lines[address] += 1
        log.warning("refused %s %s of %s: %s", method, loggable_path(path), address or "?", printable(reason))


class AccessLog:
    """Logs a line for each request. GET requests that come again with the same answer within a minute are counted, and
    told with the next line."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._polls: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()

    def note(self, method: str, path: str, status: int, seconds: float, address: str) -> None:
        """``status``: 0 for a client that left before it was answered."""
        shown = (method, loggable_path(path), str(status) if status else "left", address or "?")
        more = 0
        if method in _POLLS:
            now = self._clock()
            until, more = self._polls.pop(shown, (0.0, 0))
            if now < until:
                self._polls[shown] = (until, more + 1)
                return
            self._polls[shown] = (now + POLL_WINDOW_SECONDS, 0)
            if len(self._polls) > MAX_POLLS:
                self._sum_up(*self._polls.popitem(last=False))
        log.info("%s %s %s %.0f ms %s%s", *shown[:3], seconds * 1000, shown[3], f" (+{more} alike)" if more else "")

    def close(self) -> None:
        """Tell what was counted and not told yet."""
        while self._polls:
            self._sum_up(*self._polls.popitem(last=False))

    def _sum_up(self, shown: tuple[str, ...], counted: tuple[float, int]) -> None:
        if counted[1]:
            log.info("%s %s %s %s (+%d alike)", *shown, counted[1])


def loggable_path(path: str) -> str:
    """A path as it may stand in a log: without the ticket of a signed link, on one line, not too long."""
    return printable(picture_links.hide_ticket(path))[:_SHOWN_CHARACTERS]


def printable(text: str) -> str:
    """``text`` with nothing in it that could end a line or speak to a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
