"""Publishes events from the services to WebSockets and waiters, in memory only.

Publishing never blocks: a slow listener loses droppable events (progress, previews); if even an event that must arrive
does not fit any more, the subscription is marked overflowed and its owner has to hang up.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType

from sdcpp_rest.core.events import Event

log = logging.getLogger(__name__)


class Subscription:
    """Queues events for one listener, a bounded number of them. A context manager; leaving it unsubscribes."""

    def __init__(self, bus: EventBus, maxsize: int) -> None:
        self._bus = bus
        self._maxsize = maxsize
        self._events: deque[Event] = deque()
        self._arrived = threading.Condition()
        self._on_ready: Callable[[], None] = lambda: None
        self.overflowed = False
        self.closed = False

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Have ``callback()`` called from the publishing thread whenever something can be read or did not fit."""
        self._on_ready = callback

    def get(self, timeout_seconds: float | None = None) -> Event | None:
        """The next event, or ``None`` when none came in time or the subscription was closed."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._events or self.closed, timeout_seconds)
            return self._events.popleft() if self._events else None

    def drain(self) -> list[Event]:
        """Everything that waits, oldest first; does not block."""
        with self._arrived:
            events = list(self._events)
            self._events.clear()
            return events

    def close(self) -> None:
        """Unsubscribe; whoever waits in `get` returns. Idempotent."""
        self._bus._forget(self)
        with self._arrived:
            self.closed = True
            self._arrived.notify_all()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _offer(self, event: Event) -> None:
        with self._arrived:
            if len(self._events) >= self._maxsize and not self._make_room(event):
                return
            self._events.append(event)
            self._arrived.notify_all()
        self._notice()

    def _make_room(self, event: Event) -> bool:
        """Give up an older droppable event for one that must arrive; whether ``event`` fits now."""
        if event.droppable:
            return False
        for waiting in self._events:
            if waiting.droppable:
                self._events.remove(waiting)
                return True
        self.overflowed = True
        self._notice()
        return False

    def _notice(self) -> None:
        try:
            self._on_ready()
        except Exception:  # a listener's trouble (its event loop is closed) is not the publisher's
            log.exception("a listener could not be told of an event")


class EventBus:
    """Publishes to every subscription, in one order for all of them."""

    def __init__(self) -> None:
        # Reentrant: a callback may hang up its own subscription, on the publishing thread.
        self._lock = threading.RLock()
        self._subscriptions: list[Subscription] = []

    @property
    def subscriber_count(self) -> int:
        return len(self._subscriptions)

    def subscribe(self, maxsize: int = 1000) -> Subscription:
        subscription = Subscription(self, maxsize)
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def publish(self, event: Event) -> None:
        # Held while offering, so that two publishers' events reach every listener in the same order.
        with self._lock:
            for subscription in tuple(self._subscriptions):
                subscription._offer(event)

    def _forget(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
