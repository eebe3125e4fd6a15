from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.kept_call import CallPart, KeptCall
from sdcpp_rest.store.call_store import CallStore
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.migrations import MIGRATIONS


@pytest.fixture
def calls(db: Database) -> CallStore:
    return CallStore(db)


def call(call_id: str, *job_ids: str) -> KeptCall:
    parts = tuple(CallPart(job_id=job_id, about={"nodes": [job_id]}) for job_id in job_ids)
    return KeptCall(id=call_id, client="c", texts={"prompt": "{}"}, sent={"x": [1]}, parts=parts)


def test_call_is_found_by_its_id_and_by_each_of_its_jobs(calls: CallStore) -> None:
    number = calls.add(call("a", "job-2", "job-1"), most=10)
    kept = call("a", "job-2", "job-1").model_copy(update={"number": number})
    assert calls.find("a") == kept
    assert calls.find_by_job("job-1") == kept
    assert calls.find("b") is None
    assert calls.find_by_job("another") is None


def test_an_id_that_is_taken_is_not_stored_again(calls: CallStore) -> None:
    assert calls.add(call("a", "job-1"), most=10) is not None
    assert calls.add(call("a", "job-2"), most=10) is None
    assert calls.find_by_job("job-2") is None


def test_newest_calls_come_first_and_the_oldest_are_forgotten(calls: CallStore, store: JobStore) -> None:
    for name in "abc":
        store.insert(Job(id=f"job-{name}", kind="txt2img"), max_pending=10)
        calls.add(call(name, f"job-{name}"), most=2)
        store.claim_next(["txt2img"])
        store.transition(f"job-{name}", "completed", {"processing"})
    assert [one.id for one in calls.newest_ended(10)] == ["c", "b"]
    assert [one.parts[0].job_id for one in calls.newest_ended(1, offset=1)] == ["job-b"]
    assert calls.find_by_job("job-a") is None


def test_calls_have_ended_when_something_was_begun_and_nothing_is_left_to_do(calls: CallStore, store: JobStore) -> None:
    for job_id in ("done", "stopped", "dropped", "waiting"):
        store.insert(Job(id=job_id, kind="txt2img"), max_pending=10)
    calls.add(call("mixed", "done", "dropped"), most=10)
    calls.add(call("dropped", "stopped"), most=10)
    calls.add(call("busy", "waiting"), most=10)
    store.claim_next(["txt2img"])
    store.transition("done", "completed", {"processing"})
    store.transition("dropped", "cancelled", {"pending"})
    store.transition("stopped", "cancelled", {"pending"})
    assert [one.id for one in calls.newest_ended(10)] == ["mixed"]
    assert calls.newest_ended(10, offset=1) == []
    assert calls.forget(["busy", "dropped"]) == 1
    assert calls.forget(None) == 1
    assert calls.find("busy") is not None


def test_what_is_forgotten_takes_the_rows_of_its_jobs_along(calls: CallStore) -> None:
    calls.add(call("a", "job-1"), most=10)
    assert calls.forget(["a", "b"]) == 1
    assert calls.find_by_job("job-1") is None


def test_a_file_from_before_kept_calls_gets_their_tables(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path, migrations=MIGRATIONS[:8]).close()
    db = Database(path)
    assert CallStore(db).add(call("a", "job-1"), most=10) == 1
    db.close()
