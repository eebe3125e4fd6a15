"""A listener that comes back gets what it has missed, once and in order, or is told that it cannot."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from sdcpp_rest.core.events import (
    Event,
    JobAdded,
    JobCancelled,
    JobPreview,
    JobProgress,
    JobStatusChanged,
    ModelLoaded,
    ModelLoading,
    ServerStatus,
)
from sdcpp_rest.services.jobs import event_history
from sdcpp_rest.services.jobs.event_bus import EventBus, Subscription
from sdcpp_rest.services.jobs.event_history import EventHistory, Published, StreamPlace
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=timezone.utc)


def progress(step: int, job_id: str = "a") -> JobProgress:
    return JobProgress(job_id=job_id, step=step, total_steps=9)


def preview(step: int, job_id: str = "a", size: int = 3) -> JobPreview:
    return JobPreview(job_id=job_id, step=step, frame_count=1, width=8, height=8, is_noisy=False, jpeg=b"x" * size)


def changed(status: str, job_id: str = "a") -> JobStatusChanged:
    return JobStatusChanged.model_validate({"job_id": job_id, "status": status, "previous_status": "pending"})


def publish(bus: EventBus, *events: Event) -> None:
    for event in events:
        bus.publish(event)


def missed(bus: EventBus, seq: int) -> list[Event]:
    with bus.subscribe(since=StreamPlace(seq, bus.epoch)) as mailbox:
        assert mailbox.beginning.gap is None
        assert mailbox.beginning.seq == seq
        return [published.event for published in mailbox.beginning.missed]


def test_numbers_are_the_same_for_all_listeners_and_grow_by_one() -> None:
    bus = EventBus()
    with bus.subscribe() as one, bus.subscribe() as two:
        publish(bus, changed("processing"), progress(1), changed("completed"))
        told = [[mailbox.take(0) for _ in range(3)] for mailbox in (one, two)]
    assert told[0] == told[1]
    assert [published.seq for published in told[0] if published] == [1, 2, 3]
    assert bus.seq == 3
    assert EventBus().epoch != bus.epoch


def test_what_was_missed_keeps_its_number_and_its_moment() -> None:
    bus = EventBus()
    with bus.subscribe() as mailbox:
        publish(bus, changed("processing"), changed("completed"))
        heard = [mailbox.take(0), mailbox.take(0)]
    with bus.subscribe(since=StreamPlace(0)) as again:
        assert list(again.beginning.missed) == heard


def test_of_droppable_events_the_newest_of_each_job_is_kept() -> None:
    bus = EventBus()
    publish(bus, progress(1), preview(1), progress(1, "b"), progress(2), preview(2))
    assert missed(bus, 0) == [progress(1, "b"), progress(2), preview(2)]
    assert missed(bus, 4) == [preview(2)]


def test_progress_of_a_job_goes_with_its_end_and_does_not_come_after_it() -> None:
    bus = EventBus()
    for ended in (changed("failed"), changed("completed"), JobCancelled(job_id="a")):
        publish(bus, changed("processing"), progress(1), preview(1), ended, progress(2))
    assert [event.name for event in missed(bus, 0)] == [*["job_status_changed"] * 5, "job_cancelled"]
    publish(bus, changed("processing"), progress(3))
    assert missed(bus, bus.seq - 1) == [progress(3)], "it is at work again"


def test_progress_of_a_load_goes_with_the_load_and_heartbeats_are_not_kept() -> None:
    bus = EventBus()
    publish(bus, ModelLoading(model_name="m", progress=0.1), ModelLoading(model_name="m", progress=0.2))
    assert missed(bus, 0) == [ModelLoading(model_name="m", progress=0.2)]
    publish(bus, ModelLoaded(model_name="m", model_type="diffusion"), ServerStatus(status={}))
    assert [event.name for event in missed(bus, 0)] == ["model_loaded"]


def test_a_name_that_is_no_unicode_is_kept() -> None:
    bus = EventBus()
    loaded = ModelLoaded(model_name="half \ud83d", model_type="diffusion")
    publish(bus, loaded)
    assert missed(bus, 0) == [loaded]


def test_a_place_that_is_not_known_is_told() -> None:
    bus = EventBus()
    publish(bus, changed("processing"))
    for place, gap in (
        (StreamPlace(2, bus.epoch), "from_the_future"),
        (StreamPlace(1, "another"), "other_epoch"),
        (StreamPlace(1, bus.epoch), None),
        (StreamPlace(1), None),
    ):
        with bus.subscribe(since=place) as mailbox:
            assert (mailbox.beginning.gap, mailbox.beginning.seq, mailbox.beginning.missed) == (gap, 1, ())


def test_a_thousand_events_are_kept_and_a_place_before_them_is_too_old() -> None:
    bus = EventBus()
    publish(bus, *(changed("pending", str(number)) for number in range(event_history.MOST_EVENTS + 5)))
    assert len(missed(bus, 5)) == event_history.MOST_EVENTS
    with bus.subscribe(since=StreamPlace(4)) as mailbox:
        assert mailbox.beginning.gap == "too_old"
        assert mailbox.beginning.missed == ()


def test_progress_that_was_let_go_is_no_gap() -> None:
    history = EventHistory(most_events=2)
    for seq, event in enumerate([progress(1), changed("pending", "b"), changed("pending", "c")], start=1):
        history.keep(Published(seq, AT, event))
    assert [published.seq for published in history.since(0) or ()] == [2, 3]
    history.keep(Published(4, AT, progress(2)))
    assert history.since(1) is None
    assert [published.seq for published in history.since(2) or ()] == [3, 4]


def test_bytes_are_bounded() -> None:
    history = EventHistory(most_bytes=10_000)
    for seq in range(1, 200):
        history.keep(Published(seq, AT, preview(seq, str(seq), size=1000)))
    assert [published.seq for published in history.since(0) or ()] == list(range(190, 200))
    history.keep(Published(200, AT, preview(1, "large", size=20_000)))
    assert history.since(0) == ()
    assert (history._bytes, history._newest) == (0, {})
    long = JobStatusChanged(job_id="a", status="failed", previous_status="processing", error="x" * 20_000)
    history.keep(Published(201, AT, long))
    assert (history.since(200), history.since(201)) == (None, ())


EVENTS = st.builds(
    lambda kind, job_id, step: (
        (progress if kind == "progress" else preview)(step, job_id)
        if kind in ("progress", "preview")
        else JobAdded(job_id=job_id, type="txt2img", position=step)
        if kind == "added"
        else changed(kind, job_id)
    ),
    st.sampled_from(["progress", "preview", "added", "processing", "completed", "failed"]),
    st.sampled_from("abc"),
    st.integers(1, 9),
)
STEPS = st.lists(st.one_of(EVENTS, st.just("cut"), st.just("read")), max_size=60)


@settings(max_examples=examples(200), deadline=None)
@given(STEPS)
def test_whatever_is_cut_each_event_that_must_arrive_comes_once_and_in_order(steps: list[Event | str]) -> None:
    bus, listener = EventBus(), _Listener()
    listener.connect(bus)
    published: list[tuple[int, Event]] = []
    for step in steps:
        if step == "cut":
            listener.connect(bus)
        elif step == "read":
            listener.read_one()
        elif isinstance(step, Event):
            bus.publish(step)
            published.append((bus.seq, step))
    listener.connect(bus)
    listener.read_all()
    assert [one for one in listener.heard if not one[1].droppable] == [one for one in published if not one[1].droppable]
    assert [seq for seq, _ in listener.heard] == sorted({seq for seq, _ in listener.heard})
    assert set(listener.heard) <= set(published)


class _Listener:
    """Counts as a client does, and loses what it has not read when it is cut off."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Event]] = []
        self.place: StreamPlace | None = None
        self.mailbox: Subscription | None = None
        self.waiting: list[Published] = []

    def connect(self, bus: EventBus) -> None:
        if self.mailbox is not None:
            self.mailbox.close()
        self.mailbox = bus.subscribe(since=self.place)
        assert self.mailbox.beginning.gap is None
        self.waiting = list(self.mailbox.beginning.missed)
        self.place = StreamPlace(self.mailbox.beginning.seq, bus.epoch)

    def read_one(self) -> bool:
        assert self.mailbox is not None
        assert self.place is not None
        published = self.waiting.pop(0) if self.waiting else self.mailbox.take(0)
        if published is None:
            return False
        self.heard.append((published.seq, published.event))
        self.place = StreamPlace(published.seq, self.place.epoch)
        return True

    def read_all(self) -> None:
        while self.read_one():
            pass


def test_nothing_is_lost_or_told_twice_while_others_publish() -> None:
    bus, listener = EventBus(), _Listener()
    listener.connect(bus)

    def publish_many(name: str) -> None:
        publish(bus, *(changed("processing", f"{name}{number}") for number in range(200)))

    publishers = [threading.Thread(target=publish_many, args=(name,)) for name in "abc"]
    for publisher in publishers:
        publisher.start()
    while any(publisher.is_alive() for publisher in publishers):
        listener.read_one()
        listener.connect(bus)
    listener.read_all()
    assert [seq for seq, _ in listener.heard] == list(range(1, 601))
