"""Events: one order for everybody, and a slow listener's loss is nobody else's."""

from __future__ import annotations

import sys
import threading

import pytest

from sdcpp_rest.core.events import Event, JobCancelled, JobProgress
from sdcpp_rest.services.jobs.event_bus import EventBus, Subscription

PATIENCE_SECONDS = 20


def progress(step: int) -> JobProgress:
    return JobProgress(job_id="a", step=step, total_steps=9)


def end(name: str) -> JobCancelled:
    return JobCancelled(job_id=name)


def test_events_come_in_order() -> None:
    bus = EventBus()
    events = [progress(1), end("a"), progress(2)]
    with bus.subscribe() as mailbox:
        for event in events:
            bus.publish(event)
        assert mailbox.get(0) == events[0]
        assert mailbox.drain() == events[1:]
        assert mailbox.get(0) is None


def test_all_listeners_see_the_same_order_from_many_publishers() -> None:
    bus = EventBus()
    with bus.subscribe() as one, bus.subscribe() as two:
        barrier = threading.Barrier(4)

        def publish(name: str) -> None:
            barrier.wait()
            for _ in range(100):
                bus.publish(end(name))

        publishers = [threading.Thread(target=publish, args=(name,)) for name in "abcd"]
        for publisher in publishers:
            publisher.start()
        for publisher in publishers:
            publisher.join(PATIENCE_SECONDS)
        seen = one.drain()
        assert len(seen) == 400
        assert seen == two.drain()


def test_slow_listener_loses_droppable_events_only() -> None:
    bus = EventBus()
    with bus.subscribe(maxsize=3) as slow, bus.subscribe() as quick:
        published: list[Event] = [progress(1), progress(2), end("a"), progress(3), end("b"), progress(4), end("c")]
        for event in published:
            bus.publish(event)
        assert slow.drain() == [end("a"), end("b"), end("c")]
        assert not slow.overflowed
        assert quick.drain() == published


def test_newest_droppable_event_is_the_one_that_does_not_fit() -> None:
    bus = EventBus()
    with bus.subscribe(maxsize=2) as mailbox:
        for step in (1, 2, 3):
            bus.publish(progress(step))
        assert mailbox.drain() == [progress(1), progress(2)]


def test_must_deliver_event_that_does_not_fit_marks_the_subscription() -> None:
    bus, told = EventBus(), []
    with bus.subscribe(maxsize=2) as mailbox:
        mailbox.on_ready(lambda: told.append(mailbox.overflowed))
        for name in "abc":
            bus.publish(end(name))
        assert mailbox.overflowed
        assert told == [False, False, True], "its owner is told, to hang up"


def test_close_wakes_who_waits() -> None:
    bus = EventBus()
    mailbox = bus.subscribe()
    got: list[Event | None] = []
    waiter = threading.Thread(target=lambda: got.append(mailbox.get()))
    waiter.start()
    mailbox.close()
    waiter.join(PATIENCE_SECONDS)
    assert got == [None]
    mailbox.close()
    bus.publish(end("a"))
    assert mailbox.get(0) is None
    assert bus.subscriber_count == 0


def test_get_gives_up_in_time() -> None:
    with EventBus().subscribe() as mailbox:
        assert mailbox.get(0.01) is None


def test_subscribing_while_others_publish() -> None:
    bus, stop = EventBus(), threading.Event()

    def publish() -> None:
        while not stop.is_set():
            bus.publish(progress(1))

    publisher = threading.Thread(target=publish)
    interval = sys.getswitchinterval()
    # The threads change places in the middle of everything, and not every five milliseconds.
    sys.setswitchinterval(1e-5)
    publisher.start()
    try:
        for _ in range(200):
            with bus.subscribe() as mailbox:
                assert mailbox.get(PATIENCE_SECONDS) is not None
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        publisher.join(PATIENCE_SECONDS)
    assert bus.subscriber_count == 0


def test_callback_that_raises_harms_nobody() -> None:
    bus = EventBus()

    def choke() -> None:
        raise RuntimeError("the event loop is closed")

    with bus.subscribe() as broken, bus.subscribe() as sound:
        broken.on_ready(choke)
        bus.publish(end("a"))
        assert sound.drain() == broken.drain() == [end("a")]


def test_callback_may_hang_up_or_subscribe() -> None:
    bus = EventBus()
    opened: list[Subscription] = []
    mailbox, other = bus.subscribe(maxsize=1), bus.subscribe()
    mailbox.on_ready(lambda: mailbox.close() if mailbox.overflowed else opened.append(bus.subscribe()))
    publisher = threading.Thread(target=lambda: [bus.publish(end(name)) for name in "ab"], daemon=True)
    publisher.start()
    publisher.join(5)
    assert not publisher.is_alive(), "the bus waits for itself"
    assert mailbox.closed
    assert other.drain() == [end("a"), end("b")]
    assert [subscription.drain() for subscription in opened] == [[end("b")]]


def test_events_cannot_be_changed_by_a_listener() -> None:
    with pytest.raises(ValueError, match="frozen"):
        progress(1).step = 2  # type: ignore[misc]
