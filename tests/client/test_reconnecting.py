"""Streams and waiting survive a server that stops and starts again, and miss no end of a job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from sdcpp_rest.client import Client, ConnectionFailed, NotAuthenticated, following
from sdcpp_rest.core.events import Event, JobCancelled, JobStatusChanged
from sdcpp_rest.web import native_stream
from tests.client.conftest import MakeClient
from tests.routes.conftest import House, ServedHouse

Restart = Callable[[ServedHouse], ServedHouse]
SMALL = {"prompt": "a red circle", "steps": 2, "width": 64, "height": 64}


@pytest.fixture
def restart() -> Iterator[Restart]:
    """Serve again what was stopped: the same folders, at the same address."""
    started: list[ServedHouse] = []

    def start_again(stopped: ServedHouse) -> ServedHouse:
        started.append(ServedHouse(House(stopped.house.config), port=stopped.port))
        return started[-1].start()

    yield start_again
    for served in started:
        served.stop()
        served.house.close()


def stop(served: ServedHouse) -> None:
    served.stop()
    served.house.close()


def ends(events: Iterator[Event]) -> Iterator[JobStatusChanged]:
    return (event for event in events if isinstance(event, JobStatusChanged) and event.status == "completed")


@pytest.mark.slow
def test_result_waits_across_a_restart(make_served: Callable[..., ServedHouse], restart: Restart) -> None:
    served = make_served(engine={"stop_timeout_seconds": 0.05})
    served.house.gate.clear()
    results: list[object] = []
    with Client(served.url) as client:
        job = client.txt2img(**SMALL)  # type: ignore[arg-type]
        waiting = threading.Thread(target=lambda: results.append(job.result(timeout=30)))
        waiting.start()
        assert served.house.running.wait(20)
        stop(served)
        restart(served)
        waiting.join(30)
        assert len(results) == 1
        assert client.show_job(job.id)["status"] == "completed"


@pytest.mark.slow
def test_ends_that_come_while_the_server_restarts_are_told(
    make_served: Callable[..., ServedHouse], restart: Restart, make_client: MakeClient
) -> None:
    served = make_served()
    client = make_client(served.url)
    client.pause_queue()
    known = client.txt2img(**SMALL).id  # type: ignore[arg-type]
    events = client.events()
    next(events)
    stop(served)
    again = restart(served)
    with Client(again.url) as other:
        other.resume_queue()
        quick = other.txt2img(**SMALL).result().id  # type: ignore[arg-type]
    # Nobody has listened meanwhile: both have ended.
    told = ends(events)
    assert [next(told).job_id, next(told).job_id] == [known, quick]
    # From now on they are heard, and nothing is told twice.
    later = client.txt2img(**SMALL).id  # type: ignore[arg-type]
    assert next(told).job_id == later


@pytest.mark.slow
def test_server_that_stays_away_is_told(served: ServedHouse, make_client: MakeClient) -> None:
    client = make_client(served.url, reconnect_seconds=0.05)
    served.house.gate.clear()
    events, job = client.events(), client.txt2img(**SMALL)  # type: ignore[arg-type]
    next(events)
    stop(served)
    with pytest.raises(ConnectionFailed, match=r"does not answer: nothing listens there"):
        list(events)
    with pytest.raises(ConnectionFailed, match=r"does not answer: nothing listens there"):
        job.result()


def test_stream_asks_for_a_key_as_everything_does(
    make_served: Callable[..., ServedHouse], make_client: MakeClient
) -> None:
    served = make_served(auth={"api_keys": ["anna:a key & more"]})
    with pytest.raises(NotAuthenticated, match="the API key is not valid"):
        next(make_client(served.url, "wrong").events())
    client = make_client(served.url, "anna:a key & more")
    assert next(client.events()).name == "server_status"
    assert client.txt2img(**SMALL).result().outputs  # type: ignore[arg-type]


@pytest.mark.slow
def test_silent_stream_is_opened_again(served: ServedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other machine has lost its power, say: nobody closes the connection."""
    monkeypatch.setattr(following, "SILENCE_SECONDS", 0.05)
    with Client(served.url) as client:
        names = [event.name for event, _ in zip(client.events(), range(2), strict=False)]
    # The heartbeat comes every five seconds: the second one is the greeting of another connection.
    assert names == ["server_status", "server_status"]


@pytest.mark.slow
def test_each_event_is_told_once_by_a_server_that_always_hangs_up(
    served: ServedHouse, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event fits into the listener's mailbox: all are heard after the next connection."""
    monkeypatch.setattr(native_stream, "_MAILBOX_EVENTS", 0)
    events, bus = make_client(served.url).events(), served.runtime.jobs.bus
    assert next(events).name == "server_status"
    jobs = [JobCancelled(job_id=str(number)) for number in range(6)]
    for one, other in zip(jobs[::2], jobs[1::2], strict=True):
        bus.publish(one)
        bus.publish(other)
        told = (event for event in events if isinstance(event, JobCancelled))
        assert [next(told), next(told)] == [one, other]
