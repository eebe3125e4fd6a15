"""How events are followed, without a server: steps are answered by a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sdcpp_rest.client.errors import ApiError, ConnectionFailed, NoEventStream, NotFound, ResultTimeout
from sdcpp_rest.client.event_reading import Message, read_message
from sdcpp_rest.client.following import Patience, follow_events
from sdcpp_rest.client.steps import OpenSocket, Pause, Receive, Request, Step, Steps, Tell, Walk
from sdcpp_rest.client.watches import JobWatch, QueueWatch
from sdcpp_rest.core.events import Event, JobProgress, JobStatusChanged, TransferProgress
from tests.cases import for_each_case

GREETING = {"event": "server_status", "timestamp": "2026-11-27T12:00:00.000Z", "data": {}}
FAULT = ConnectionFailed("gone")


def job(status: str, job_id: str = "1", **more: Any) -> dict[str, Any]:
    progress = {"step": 1, "total_steps": 2, "current_image": 0, "total_images": 1, "percentage": 50.0}
    return {"job_id": job_id, "status": status, "outputs": [], "progress": {**progress, "phase": "sampling"}, **more}


def changed(status: str, before: str, job_id: str = "1") -> dict[str, Any]:
    data = {"job_id": job_id, "status": status, "previous_status": before, "outputs": [], "error": None}
    return {"event": "job_status_changed", "timestamp": "2026-11-27T12:00:01.000Z", "data": data}


class Over(Exception):
    """The script has ended before the steps."""


def play(steps: Steps[None], *script: Any) -> tuple[list[Event], list[str]]:
    """Answer one step after the other: what is told, and the steps in words. Exceptions are thrown, ``None`` is for
    steps without an answer. Ends with the script, or with the steps."""
    taken, answers = list[str](), iter(script)

    def answer(step: Step) -> Any:
        taken.append(step.path if isinstance(step, Request) else type(step).__name__)
        return next(answers, Over())

    told = play_by(steps, answer)
    assert list(answers) == []
    return told, taken


def play_by(steps: Steps[None], answer: Callable[[Step], Any]) -> list[Event]:
    """What is told while ``answer`` says what comes of each step; `Over` is the end."""
    walk, told = Walk(steps), list[Event]()
    while not walk.is_over:
        step = walk.step
        if isinstance(step, Tell):
            told.append(step.told)
        said = answer(step) if isinstance(step, Step) else None
        if isinstance(said, Over):
            break
        with walk.carry_out() as outcome:
            if isinstance(said, Exception):
                raise said
            outcome.append(json.dumps(said) if isinstance(step, Receive) else said)
    return told


def follow_job(**patience: Any) -> Any:
    return follow_events(JobWatch("1"), Patience(60, **patience))


def statuses(told: list[Event]) -> list[tuple[str, str]]:
    return [(event.job_id, event.status) for event in told if isinstance(event, JobStatusChanged)]


def test_job_is_looked_at_once_the_stream_is_there() -> None:
    told, taken = play(follow_job(), None, GREETING, job("completed"))
    assert taken == ["OpenSocket", "Receive", "/queue/1"]
    assert statuses(told) == [("1", "completed")]


def test_what_is_heard_after_the_look_is_not_told_twice() -> None:
    heard = [changed("processing", "pending"), changed("completed", "processing", "2"), changed("completed", "x")]
    heard[2]["data"]["previous_status"] = "processing"
    told, _ = play(follow_job(), None, GREETING, job("processing"), *heard)
    assert statuses(told) == [("1", "processing"), ("1", "completed")]


def test_broken_stream_is_opened_again_after_growing_pauses() -> None:
    first = (None, GREETING, job("processing"), FAULT)
    told, taken = play(follow_job(), *first, None, FAULT, None, FAULT, None, None, GREETING, job("failed"))
    assert taken[4:10] == ["Pause", "OpenSocket", "Pause", "OpenSocket", "Pause", "OpenSocket"]
    assert statuses(told) == [("1", "processing"), ("1", "failed")]


def test_pauses_grow_and_end() -> None:
    now, pauses = [0.0], []

    def answer(step: Step) -> Any:
        if not isinstance(step, Pause):
            return FAULT
        pauses.append(step.seconds)
        now[0] += step.seconds
        return None

    with pytest.raises(ConnectionFailed, match="gone"):
        play_by(follow_events(QueueWatch(), Patience(60, clock=lambda: now[0])), answer)
    assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert 60 <= sum(pauses) <= 65


def test_time_is_over_also_while_the_server_is_away() -> None:
    now = [0.0]

    def answer(step: Step) -> Any:
        if not isinstance(step, Pause):
            return FAULT
        now[0] += 0.6
        return None

    with pytest.raises(ResultTimeout, match="within 1 seconds"):
        play_by(follow_job(timeout=1.0, clock=lambda: now[0]), answer)
    assert now == [1.2]


@for_each_case("status", [502, 503, 504])
def test_server_or_proxy_that_is_busy_is_borne(status: int) -> None:
    told, taken = play(
        follow_job(), None, GREETING, ApiError(status, "stopping"), None, None, GREETING, job("completed")
    )
    assert taken[3] == "Pause"
    assert statuses(told) == [("1", "completed")]


def test_other_refusals_are_not_borne() -> None:
    with pytest.raises(NotFound):
        play(follow_job(), None, GREETING, NotFound(404, "no such job"))


def test_job_is_looked_at_again_and_again_without_a_stream() -> None:
    looks = (job("pending"), None, job("processing"), None, FAULT, None, job("processing"), None, job("completed"))
    told, taken = play(follow_job(), NoEventStream("none"), *looks)
    assert taken == ["OpenSocket", *(["/queue/1", "Pause"] * 4), "/queue/1"]
    assert [type(event) for event in told] == [JobStatusChanged, JobProgress, JobStatusChanged]


def test_first_connection_of_the_queue_tells_nothing_that_was_before() -> None:
    listed = {"items": [job("pending"), job("completed", "0")]}
    again = (FAULT, None, None, GREETING, {"items": [job("pending")]}, {"items": [job("completed", "0")]})
    told, taken = play(follow_events(QueueWatch(), Patience(60)), None, GREETING, listed, *again)
    assert taken[2:] == ["/queue", "Receive", "Pause", "OpenSocket", "Receive", "/queue", "/queue", "Receive"]
    assert statuses(told) == []


def test_end_on_its_way_while_the_queue_is_listed_is_told() -> None:
    told, _ = play(
        follow_events(QueueWatch(), Patience(60)),
        *(None, GREETING, {"items": [job("completed", "a")]}, changed("completed", "processing", "a")),
    )
    assert statuses(told) == [("a", "completed")]


def test_look_that_breaks_off_is_made_again_and_forgets_nothing() -> None:
    first = (None, GREETING, {"items": [job("processing", "a")]}, FAULT, None)
    none: dict[str, Any] = {"items": []}
    broken = (None, GREETING, none, job("completed", "a"), FAULT, None)
    whole = (None, GREETING, none, job("completed", "a"), none)
    told, _ = play(follow_events(QueueWatch(), Patience(60)), *first, *broken, *whole)
    assert statuses(told) == [("a", "completed")]


def test_queue_tells_missed_ends_once_and_forgets_deleted_jobs() -> None:
    # While nobody listened a has ended, b was deleted, c came and ended, and e came and runs.
    lists = [{"items": [job("processing", "a"), job("pending", "b")]}, {"items": [job("processing", "e")]}]
    lists.append({"items": [job("failed", "c"), job("completed", "a")]})
    jobs = {"/queue/a": job("completed", "a"), "/queue/b": NotFound(404, "no such job")}
    late = changed("completed", "processing", "a")
    heard = iter([GREETING, FAULT, GREETING, late, changed("failed", "pending", "d")])
    queries: list[dict[str, str]] = []

    def answer(step: Step) -> Any:
        if isinstance(step, Receive):
            return next(heard, Over())
        if isinstance(step, Request) and step.path == "/queue":
            queries.append(dict(step.query_pairs))
            return lists.pop(0)
        return jobs[step.path] if isinstance(step, Request) else None

    told = play_by(follow_events(QueueWatch(), Patience(60)), answer)
    assert sorted(statuses(told)) == [("a", "completed"), ("c", "failed"), ("d", "failed"), ("e", "processing")]
    # A little before what was heard last: events may overtake each other.
    assert queries[-1]["after"] == "2026-11-27T11:59:50+00:00"


@for_each_case(
    "message",
    ["", "pong", "[]", '{"event": "job_added"}', '{"event": "new_thing", "data": {}}', "[" * 100_000,
     '{"event": "job_preview", "data": {"image": "x"}}', '{"event": "job_progress", "data": {"job_id": 7}}'],
)  # fmt: skip
def test_message_that_is_no_event_is_passed_over(message: str) -> None:
    assert read_message(message) == Message(None)


def test_fields_of_a_newer_server_are_passed_over() -> None:
    fields = {"job_id": "1", "step": 1, "total_steps": 2, "mood": "fine"}
    heard = read_message(json.dumps({"event": "job_progress", "timestamp": "t", "data": fields}))
    assert heard == Message(JobProgress(job_id="1", step=1, total_steps=2), "t")
    heard = read_message(json.dumps({"event": "job_progress", "data": {**fields, "downloaded_bytes": 3}}))
    assert isinstance(heard.event, TransferProgress)


def numbered(message: dict[str, Any], seq: Any, epoch: Any = "e") -> dict[str, Any]:
    return {**message, "seq": seq, "epoch": epoch}


def test_stream_that_goes_on_where_it_broke_off_is_not_looked_behind() -> None:
    opened: list[Any] = []
    heard = iter(
        [
            numbered(GREETING, 4),
            numbered(changed("processing", "pending"), 5),
            FAULT,
            numbered(GREETING, 5),
            numbered(changed("processing", "pending"), 5),
            numbered(changed("completed", "processing"), 6),
        ]
    )

    def answer(step: Step) -> Any:
        if isinstance(step, OpenSocket):
            opened.append(step.since)
        if isinstance(step, Receive):
            return next(heard)
        return job("pending") if isinstance(step, Request) and opened == [None] else None

    told = play_by(follow_job(), answer)
    assert opened == [None, (5, "e")]
    assert statuses(told) == [("1", "processing"), ("1", "completed")]


def test_stream_that_begins_elsewhere_is_told_and_looked_behind() -> None:
    resync = {"event": "resync", "timestamp": "t", "data": {"reason": "other_epoch"}}
    listed: dict[str, Any] = {"items": []}
    again = (numbered(GREETING, 1, "new"), listed, {"items": [job("failed", "a")]}, numbered(resync, 1, "new"))
    told, taken = play(
        follow_events(QueueWatch(), Patience(60)), None, numbered(GREETING, 9), listed, FAULT, None, None, *again
    )
    assert taken[6:9] == ["Receive", "/queue", "/queue"]
    assert [event.name for event in told] == ["server_status", "job_status_changed", "server_status", "resync"]


def test_look_that_breaks_off_is_made_again_from_the_beginning() -> None:
    opened: list[Any] = []
    answers = iter([numbered(GREETING, 4), FAULT, numbered(GREETING, 4), job("completed")])

    def answer(step: Step) -> Any:
        if isinstance(step, OpenSocket):
            opened.append(step.since)
        return next(answers) if isinstance(step, Receive | Request) else None

    assert statuses(play_by(follow_job(), answer)) == [("1", "completed")]
    assert opened == [None, None]


@for_each_case("number", [("1", "e"), (True, "e"), (1, None), (1.5, "e"), (None, None)])
def test_number_that_is_none_is_passed_over(number: tuple[Any, Any]) -> None:
    assert read_message(json.dumps(numbered(GREETING, *number))).number is None
