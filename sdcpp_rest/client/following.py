"""Follows events over the WebSocket, across interruptions, and by looking again and again where there is none."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from sdcpp_rest.client.errors import (
    ApiError,
    ConnectionFailed,
    JobFailed,
    JobWasCancelled,
    NoEventStream,
    ResultTimeout,
)
from sdcpp_rest.client.event_reading import Message, read_message
from sdcpp_rest.client.job_looks import look_at
from sdcpp_rest.client.steps import Doing, OpenSocket, Pause, Receive, Steps, Tell, Telling
from sdcpp_rest.client.watches import JobWatch, Watch
from sdcpp_rest.client.wire.jobs import JobShown
from sdcpp_rest.core.events import Event, Resync

SILENCE_SECONDS = 60.0
"""The server says something every few seconds (``events.heartbeat_seconds``): after so long it is taken for gone."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
LOOK_SECONDS = 0.5
PASSING = frozenset({502, 503, 504})

T = TypeVar("T")


@dataclass
class Patience:
    """How long to wait: for an end (``deadline``), and for a server that does not answer (``reconnect_seconds``)."""

    reconnect_seconds: float
    timeout: float | None = None
    clock: Callable[[], float] = monotonic

    def __post_init__(self) -> None:
        self._deadline = None if self.timeout is None else self.clock() + self.timeout
        self._gone_since: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS

    def time_left(self, most: float) -> float:
        """How long may be waited now. Raises ResultTimeout when the time is over."""
        if self._deadline is None:
            return most
        left = self._deadline - self.clock()
        if left <= 0:
            raise ResultTimeout(f"It has not ended within {self.timeout:g} seconds")
        return min(left, most)

    def forget_faults(self) -> None:
        """The server answers."""
        self._gone_since, self._pause = None, _FIRST_PAUSE_SECONDS

    def bear(self, fault: ConnectionFailed | ApiError) -> Doing[None]:
        """Pause before the next try, longer each time. Raises the fault when the server is gone for too long, and
        refusals at once: only what servers and proxies say of a server that starts or stops will pass."""
        if isinstance(fault, ApiError) and fault.status not in PASSING:
            raise fault
        now = self.clock()
        self._gone_since = now if self._gone_since is None else self._gone_since
        if now - self._gone_since >= self.reconnect_seconds:
            raise fault
        yield Pause(self.time_left(self._pause))
        self._pause = min(_LONGEST_PAUSE_SECONDS, 2 * self._pause)


@dataclass
class Place:
    """How far the stream was heard: number and epoch of the last event; ``None`` where a server does not count."""

    last: tuple[int, str] | None = None

    def goes_on_at(self, greeting: Message) -> bool:
        """Whether the server tells by itself what was missed: its stream begins where ours broke off."""
        return self.last is not None and greeting.number == self.last

    def advance(self, message: Message) -> bool:
        """Take note of a message; says whether it is new."""
        if message.number is None or self.last is None:
            return True
        if message.number[1] == self.last[1] and message.number[0] <= self.last[0]:
            return isinstance(message.event, Resync)
        self.last = message.number
        return True


def follow_events(watch: Watch, patience: Patience) -> Telling[Event]:
    """Tell what the watch takes for news, until it is over.

    Raises ConnectionFailed when no server answers for `Patience.reconnect_seconds`, NoEventStream where none can be had
    and the watch cannot do without, ResultTimeout.
    """
    place = Place()
    while not watch.is_over:
        try:
            yield OpenSocket(place.last)
            yield from _listen(watch, patience, place)
        except NoEventStream:
            if not isinstance(watch, JobWatch):
                raise
            yield from _look_again(watch, patience)
        except (ConnectionFailed, ApiError) as fault:
            yield from patience.bear(fault)


def wait_for_end(job_id: str, patience: Patience) -> Generator[Any, Any, JobShown]:
    """Return the job when it is completed. Raises JobFailed, and what `follow_events` raises."""
    yield from follow_events(JobWatch(job_id), patience)
    job = yield from _endure(lambda: look_at(job_id), patience)
    if job["status"] != "completed":
        raise (JobWasCancelled if job["status"] == "cancelled" else JobFailed)(job)
    return job


def _listen(watch: Watch, patience: Patience, place: Place) -> Telling[Event]:
    # The first message says that the server listens to itself for us: what happens from now on is heard.
    message = yield from _hear(patience)
    missed: list[Event] = []
    if not place.goes_on_at(message):
        # Forgotten until the look has succeeded: what was missed before it is not told a second time.
        place.last = None
        missed = yield from watch.catch_up()
    patience.forget_faults()
    for event in missed:
        yield Tell(event)
    place.last, is_news = message.number, True
    while not watch.is_over:
        if is_news and message.event is not None and watch.hear(message.event, message.at):
            yield Tell(message.event)
        if not watch.is_over:
            message = yield from _hear(patience)
            is_news = place.advance(message)


def _hear(patience: Patience) -> Doing[Message]:
    try:
        text: str = yield Receive(patience.time_left(SILENCE_SECONDS))
    except TimeoutError:
        patience.time_left(0)
        raise ConnectionFailed(f"The server has said nothing for {SILENCE_SECONDS:g} seconds") from None
    return read_message(text)


def _look_again(watch: JobWatch, patience: Patience) -> Telling[Event]:
    while True:
        for event in (yield from _endure(watch.look_again, patience)):
            yield Tell(event)
        if watch.is_over:
            return
        yield Pause(patience.time_left(LOOK_SECONDS))


def _endure(ask: Callable[[], Steps[T]], patience: Patience) -> Doing[T]:
    """Ask until the server answers."""
    while True:
        try:
            answer = yield from ask()
        except (ConnectionFailed, ApiError) as fault:
            yield from patience.bear(fault)
        else:
            patience.forget_faults()
            return answer
