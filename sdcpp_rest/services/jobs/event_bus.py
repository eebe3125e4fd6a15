"""Publishes events from the services to WebSockets and waiters, numbered and in memory only.

Publishing never blocks: a slow listener loses droppable events (progress, previews); if even an event that must arrive
does not fit any more, the subscription is marked overflowed and its owner has to hang up.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from types import TracebackType

from sdcpp_rest.core.events import Event
from sdcpp_rest.services.jobs.event_history import Beginning, EventHistory, Published, StreamPlace

log = logging.getLogger(__name__)


class Subscription:
    """Queues events for one listener, a bounded number of them. A context manager; leaving it unsubscribes.

    ``beginning``: what was before the first event that is queued.
    """

    def __init__(self, bus: EventBus, maxsize: int, beginning: Beginning) -> None:
        self._bus = bus
        self._maxsize = maxsize
        self.beginning = beginning
        self._events: deque[Published] = deque()
        self._arrived = threading.Condition()
        self._on_ready: Callable[[], None] = lambda: None
        self.overflowed = False
        self.closed = False

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Have ``callback()`` called from the publishing thread whenever something can be read or did not fit."""
        self._on_ready = callback

    def get(self, timeout_seconds: float | None = None) -> Event | None:
        """The next event, or ``None`` when none came in time or the subscription was closed."""
        published = self.take(timeout_seconds)
        return None if published is None else published.event

    def take(self, timeout_seconds: float | None = None) -> Published | None:
        """As `get`, with the event's number and moment."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._events or self.closed, timeout_seconds)
            return self._events.popleft() if self._events else None

    def drain(self) -> list[Event]:
        """Everything that waits, oldest first; does not block."""
        with self._arrived:
            events = [published.event for published in self._events]
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

    def _offer(self, published: Published) -> None:
        with self._arrived:
            if len(self._events) >= self._maxsize and not self._make_room(published.event):
                return
            self._events.append(published)
            self._arrived.notify_all()
        self._notice()

    def _make_room(self, event: Event) -> bool:
        """Give up an older droppable event for one that must arrive; whether ``event`` fits now."""
        if event.droppable:
            return False
        for waiting in self._events:
            if waiting.event.droppable:
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
    """Publishes to every subscription, in one order for all of them.

    ``epoch`` names this run of the server: numbers of another one mean nothing here.
    """

    def __init__(self) -> None:
        # Reentrant: a callback may hang up its own subscription, on the publishing thread.
        self._lock = threading.RLock()
        self._subscriptions: list[Subscription] = []
        self._history = EventHistory()
        self._seq = 0
        self._on_subscribe: Callable[[], None] = lambda: None
        self.epoch = secrets.token_hex(8)

    @property
    def subscriber_count(self) -> int:
        return len(self._subscriptions)

    @property
    def seq(self) -> int:
        """The number of the newest event; 0 before the first one."""
        return self._seq

    def call_on_subscribe(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called after each new subscription. For the start: not thread-safe."""
        self._on_subscribe = callback

    def subscribe(self, maxsize: int = 1000, since: StreamPlace | None = None) -> Subscription:
        """Queue what is published from now on. ``since``: what was published behind that place is the subscription's
        ``beginning``; nothing comes between the two, and nothing comes twice."""
        with self._lock:
            subscription = Subscription(self, maxsize, self._begin(since))
            self._subscriptions.append(subscription)
        self._on_subscribe()
        return subscription

    def publish(self, event: Event) -> None:
        # Held while offering, so that two publishers' events reach every listener in the same order.
        with self._lock:
            self._seq += 1
            published = Published(self._seq, datetime.now(timezone.utc), event)
            self._history.keep(published)
            for subscription in tuple(self._subscriptions):
                subscription._offer(published)

    def _begin(self, since: StreamPlace | None) -> Beginning:
        if since is None:
            return Beginning(self._seq)
        if since.epoch not in (None, self.epoch):
            return Beginning(self._seq, gap="other_epoch")
        if since.seq > self._seq:
            return Beginning(self._seq, gap="from_the_future")
        missed = self._history.since(since.seq)
        return Beginning(self._seq, gap="too_old") if missed is None else Beginning(since.seq, missed)

    def _forget(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
