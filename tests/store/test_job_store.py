"""Jobs as rows: nothing handed out twice, every move won exactly once, nothing lost, and quick at 10,000 rows."""

from __future__ import annotations

import copy
import pickle
import shutil
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError

from sdcpp_rest.core.job import Job, JobKind, JobStatus, Timings, utc_now
from sdcpp_rest.core.job_filter import JobFilter
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import Conflict, JobNotFound, QueueFull
from sdcpp_rest.store.bin_store import BinStore
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore

T = TypeVar("T")
KINDS: tuple[JobKind, ...] = ("txt2img", "img2img")


def spec(name: str = "demo.gguf") -> LoadSpec:
    model = FileRef(name=name, path=f"/models/{name}")
    return LoadSpec(model=model, kind="diffusion", components={"vae": model}, options=LoadOptions(flow_shift=3.0))


def a_job(prompt: str = "a red circle", **fields: Any) -> Job:
    fields = {"id": str(uuid.uuid4()), "kind": "txt2img", "load_spec": spec(), **fields}
    return Job(params=ImageParams(prompt=prompt).model_dump(mode="json"), **fields)


def submit(store: JobStore, **fields: Any) -> Job:
    job = a_job(**fields)
    store.insert(job, max_pending=100_000)
    return job


def finish(store: JobStore, job: Job, status: JobStatus = "completed") -> None:
    assert store.transition(job.id, status, ["pending", "processing"]) is not None


def in_threads(count: int, work: Callable[[int], T]) -> list[T]:
    """What ``work(0..count-1)`` returned, all started at the same moment."""
    start = threading.Barrier(count, timeout=30)
    results: list[T] = []

    def run(number: int) -> None:
        start.wait()
        results.append(work(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == count
    return results


# --- rows and jobs ----------------------------------------------------------------------------------------------------


def test_a_job_that_is_read_is_one_that_pydantic_made(store: JobStore) -> None:
    """It is built past pydantic's own way, which takes several times as long."""
    job = store.get(submit(store, title="t").id)
    made = Job.model_construct(**{name: getattr(job, name) for name in Job.model_fields})
    assert job == made
    assert repr(job) == repr(made)
    assert job.model_fields_set == made.model_fields_set
    assert job.model_dump_json() == made.model_dump_json()
    assert copy.deepcopy(job) == pickle.loads(pickle.dumps(job)) == made
    assert job.model_copy(update={"title": "u"}).title == "u"
    assert (job.model_extra, job.__pydantic_private__) == (None, None)
    with pytest.raises(ValidationError, match="frozen"):
        job.title = "v"  # type: ignore[misc]


def test_a_job_comes_back_as_it_was_submitted(store: JobStore) -> None:
    job = a_job(
        inputs={"init_image": "init_image.png"},
        warnings=("size rounded",),
        title="my title",
        origin="a1111",
        owner="session-1",
        caption="as it was drawn",
        note='{"format": "jpeg"}',
        timings=Timings(load_seconds=1.5),
    )
    store.insert(job, max_pending=10)
    assert store.get(job.id) == job


def test_a_job_without_a_model_comes_back(store: JobStore) -> None:
    job = submit(store, kind="model_download", load_spec=None)
    assert store.get(job.id) == job


def test_times_in_another_zone_are_stored_in_utc(store: JobStore, db: Database) -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
    job = submit(store, created_at=moment)
    assert store.get(job.id).created_at == moment
    with db.read() as connection:
        stored = connection.exec_driver_sql("SELECT created_at FROM jobs").scalar_one()
    assert stored == "2024-01-02T01:04:05.000006+00:00"


def test_half_a_surrogate_pair_in_a_prompt_does_no_harm(store: JobStore) -> None:
    job = submit(store, prompt="a \ud83d cat", title="\ud83d", owner="\ud83d", note="\ud83d")
    assert store.get(job.id).params["prompt"] == "a \ud83d cat"
    assert [found.id for found in store.list(search="CAT \ud83d")] == [job.id]
    with pytest.raises(JobNotFound):
        store.get("\ud83d")


def test_infinite_numbers_survive(store: JobStore) -> None:
    job = Job(id="a", kind="txt2img", params={"eta": float("inf")}, load_spec=spec())
    store.insert(job, max_pending=1)
    assert store.get("a") == job


def test_an_unknown_job_is_not_found(store: JobStore) -> None:
    with pytest.raises(JobNotFound, match=r"^Job not found$"):
        store.get("nope")


def test_a_stored_spec_that_cannot_be_read_any_more_does_not_hide_the_job(store: JobStore, db: Database) -> None:
    job, other = submit(store), submit(store)
    with db.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET load_spec = '{\"gone\": 1}' WHERE id = ?", (job.id,))
    assert [found.id for found in store.list()] == [job.id, other.id]
    assert store.get(job.id).load_spec is None
    assert "cannot be read" in store.get(job.id).warnings[0]


# --- submission -------------------------------------------------------------------------------------------------------


def test_insert_returns_the_place_among_the_pending(store: JobStore) -> None:
    jobs = [a_job() for _ in range(3)]
    assert [store.insert(job, max_pending=10) for job in jobs] == [1, 2, 3]
    assert store.claim_next(KINDS) is not None
    assert store.insert(a_job(), max_pending=10) == 3
    assert [store.position(job.id) for job in jobs] == [None, 1, 2]
    assert store.position("nope") is None


def test_a_full_queue_refuses_by_naming_the_limit_and_keeps_nothing(store: JobStore) -> None:
    for _ in range(2):
        store.insert(a_job(), max_pending=2)
    with pytest.raises(QueueFull, match=r"limits\.pending_jobs is 2") as caught:
        store.insert(a_job(), max_pending=2)
    assert caught.value.status == 429
    assert caught.value.detail["limit"] == 2
    assert store.counts()["total"] == 2
    store.claim_next(KINDS)
    assert store.insert(a_job(), max_pending=2) == 2


def test_the_limit_holds_when_many_submit_at_once(store: JobStore) -> None:
    def submit_five(_number: int) -> list[int]:
        places = []
        for _ in range(5):
            try:
                places.append(store.insert(a_job(), max_pending=20))
            except QueueFull:
                places.append(0)
        return places

    places = sorted(place for result in in_threads(8, submit_five) for place in result)
    assert places == [0] * 20 + list(range(1, 21))
    assert store.counts()["pending"] == 20


def test_a_second_job_with_the_same_id_is_a_conflict(store: JobStore) -> None:
    submit(store, id="same", prompt="first")
    with pytest.raises(Conflict):
        submit(store, id="same", prompt="second")
    assert store.get("same").params["prompt"] == "first"


def test_only_pending_jobs_are_submitted(store: JobStore) -> None:
    with pytest.raises(ValueError, match="completed"):
        submit(store, status="completed")


def test_an_acknowledged_job_is_in_the_files_that_a_killed_server_leaves(tmp_path: Path, store: JobStore) -> None:
    job = submit(store)
    (tmp_path / "after").mkdir()
    for name in ("rest.db", "rest.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / "after" / name)
    after = Database(tmp_path / "after" / "rest.db")
    assert JobStore(after).get(job.id) == job
    after.close()


def test_submission_is_the_durable_kind_of_write(
    store: JobStore, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "write", None)  # any other write would fail
    submit(store)


# --- claims -----------------------------------------------------------------------------------------------------------


def test_jobs_are_claimed_in_the_order_of_submission(store: JobStore) -> None:
    jobs = [submit(store) for _ in range(3)]
    claimed = [store.claim_next(KINDS) for _ in range(4)]
    assert [job and job.id for job in claimed] == [*(job.id for job in jobs), None]


def test_a_claim_starts_the_clock_and_counts_the_attempt(store: JobStore) -> None:
    submit(store)
    claimed = store.claim_next(KINDS)
    assert claimed is not None
    assert (claimed.status, claimed.attempts) == ("processing", 1)
    assert claimed.started_at is not None
    assert claimed.started_at >= claimed.created_at
    assert store.get(claimed.id) == claimed


def test_a_claim_takes_only_the_kinds_of_its_lane(store: JobStore) -> None:
    submit(store, kind="model_download", load_spec=None)
    picture = submit(store)
    claimed = store.claim_next(KINDS)
    assert claimed is not None
    assert claimed.id == picture.id
    assert store.claim_next(KINDS) is None
    assert store.claim_next([]) is None
    assert store.claim_next(["model_hash", "model_download"]) is not None


def test_a_job_moved_to_the_front_is_claimed_first(store: JobStore) -> None:
    first, second, third = submit(store), submit(store), submit(store)
    moved = store.to_front(second.id)
    assert moved == second
    store.to_front(third.id)
    assert store.positions() == {third.id: 1, second.id: 2, first.id: 3}
    assert [store.position(job.id) for job in (first, second, third)] == [3, 2, 1]
    claimed = [store.claim_next(KINDS) for _ in range(3)]
    assert [job and job.id for job in claimed] == [third.id, second.id, first.id]


def test_only_a_pending_job_is_moved_to_the_front(store: JobStore) -> None:
    submit(store, id="a")
    store.claim_next(KINDS)
    assert store.to_front("a") is None
    assert store.to_front("nope") is None
    assert store.to_front("\ud83d") is None


def test_a_new_job_comes_after_those_that_were_moved(store: JobStore) -> None:
    first, second = submit(store), submit(store)
    store.to_front(second.id)
    assert store.insert(a_job(id="third"), max_pending=10) == 3
    assert store.positions() == {second.id: 1, first.id: 2, "third": 3}


def test_an_interrupted_job_goes_first_again_also_before_those_that_were_moved(store: JobStore) -> None:
    running, moved = submit(store), submit(store)
    store.claim_next(KINDS)
    store.to_front(moved.id)
    store.transition(running.id, "pending", ["processing"])
    assert store.positions() == {running.id: 1, moved.id: 2}


def test_eight_claiming_threads_never_get_the_same_job(store: JobStore) -> None:
    submitted = {submit(store).id for _ in range(80)}

    def claim_all(_number: int) -> list[str]:
        claimed = []
        while (job := store.claim_next(KINDS)) is not None:
            claimed.append(job.id)
        return claimed

    claimed = [job_id for result in in_threads(8, claim_all) for job_id in result]
    assert len(claimed) == 80
    assert set(claimed) == submitted


# --- transitions ------------------------------------------------------------------------------------------------------


def test_a_transition_writes_its_fields_and_the_time(store: JobStore) -> None:
    job = submit(store)
    store.claim_next(KINDS)
    timings = Timings(queued_seconds=0.5, native_seconds=2.0)
    done = store.transition(
        job.id, "completed", ["processing"], outputs=["x/image_0.png"], timings=timings, warnings=["w"]
    )
    assert done is not None
    assert done == store.get(job.id)
    assert (done.status, done.outputs, done.timings, done.warnings) == (
        "completed",
        ("x/image_0.png",),
        timings,
        ("w",),
    )
    assert done.completed_at is not None
    assert done.started_at is not None
    assert done.completed_at >= done.started_at


def test_a_failed_job_keeps_its_error(store: JobStore) -> None:
    job = submit(store)
    moment = datetime(2024, 1, 1, tzinfo=timezone.utc)
    failed = store.transition(
        job.id, "failed", ["pending"], error="it broke", error_code="engine_crashed", completed_at=moment
    )
    assert failed is not None
    assert (failed.error, failed.error_code, failed.completed_at) == ("it broke", "engine_crashed", moment)


def test_a_transition_from_another_status_changes_nothing(store: JobStore) -> None:
    job = submit(store)
    assert store.transition(job.id, "completed", ["processing"], outputs=["x"]) is None
    assert store.transition("nope", "completed", ["processing"]) is None
    assert store.transition(job.id, "completed", []) is None
    assert store.get(job.id) == job


@pytest.mark.slow
def test_of_eight_threads_exactly_one_wins_a_transition(store: JobStore) -> None:
    targets: list[JobStatus] = ["completed", "cancelled", "failed", "cancelled"] * 2
    for _ in range(20):
        job = submit(store)
        results = in_threads(8, lambda n, job=job: store.transition(job.id, targets[n], ["pending"], error=str(n)))  # type: ignore[misc]
        winners = [result for result in results if result is not None]
        assert len(winners) == 1
        assert store.get(job.id) == winners[0]


def test_a_cancel_and_a_claim_of_the_same_job_have_one_winner(store: JobStore) -> None:
    for _ in range(30):
        job = submit(store)
        claimed_or_cancelled = in_threads(
            2,
            lambda n, job=job: (  # type: ignore[misc]
                store.claim_next(KINDS) if n else store.transition(job.id, "cancelled", ["pending"])
            ),
        )
        assert sum(result is not None for result in claimed_or_cancelled) == 1
        store.transition(job.id, "failed", ["processing"])


def test_going_back_to_pending_forgets_the_run_and_keeps_the_place(store: JobStore) -> None:
    first, second = submit(store), submit(store)
    store.claim_next(KINDS)
    back = store.transition(first.id, "pending", ["processing"])
    assert back is not None
    assert (back.status, back.started_at, back.completed_at, back.attempts) == ("pending", None, None, 1)
    assert (store.position(first.id), store.position(second.id)) == (1, 2)
    again = store.claim_next(KINDS)
    assert again is not None
    assert (again.id, again.attempts) == (first.id, 2)


def test_a_failed_job_that_is_queued_again_has_no_error(store: JobStore) -> None:
    job = submit(store)
    store.transition(job.id, "failed", ["pending"], error="x", error_code="y")
    back = store.transition(job.id, "pending", ["failed"])
    assert back == job


def test_a_refunded_attempt_is_given_back_but_never_below_zero(store: JobStore) -> None:
    job = submit(store)
    store.claim_next(KINDS)
    back = store.transition(job.id, "pending", ["processing"], refund_attempt=True)
    assert back is not None
    assert back.attempts == 0
    still = store.transition(job.id, "pending", ["pending"], refund_attempt=True)
    assert still is not None
    assert still.attempts == 0


def test_interrupted_jobs_are_the_processing_ones(store: JobStore) -> None:
    jobs = [submit(store) for _ in range(3)]
    store.claim_next(KINDS)
    store.claim_next(KINDS)
    assert [job.id for job in store.list_interrupted()] == [jobs[0].id, jobs[1].id]


# --- looking, renaming, deleting --------------------------------------------------------------------------------------


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


@pytest.fixture
def six(store: JobStore) -> list[str]:
    """In order of submission: completed, failed, processing, cancelled, pending, pending."""
    jobs = [submit(store, id=f"j{i}", prompt=f"picture {i}", kind="img2img" if i % 2 else "txt2img") for i in range(6)]
    store.transition("j0", "completed", ["pending"])
    store.transition("j1", "failed", ["pending"])
    store.claim_next(KINDS)
    store.transition("j3", "cancelled", ["pending"])
    return ids(jobs)


def test_counts_name_every_status(store: JobStore, six: list[str]) -> None:
    assert store.counts() == {
        "cancelled": 1, "completed": 1, "failed": 1, "pending": 2, "processing": 1, "total": 6,
    }  # fmt: skip
    assert store.counts(JobFilter(kind="img2img"))["total"] == 3


def test_pending_jobs_of_a_model_are_counted(store: JobStore) -> None:
    for name in ("a.gguf", "a.gguf", "b.gguf"):
        submit(store, load_spec=spec(name))
    assert store.pending_bound_to(spec("a.gguf").key) == 2
    store.claim_next(KINDS)
    assert store.pending_bound_to(spec("a.gguf").key) == 1
    assert store.pending_bound_to("nope") == 0


def test_finished_jobs_are_deleted_and_active_ones_are_not(store: JobStore, six: list[str]) -> None:
    assert [store.delete(job_id) for job_id in [*six, "nope"]] == [True, True, False, True, False, False, False]
    assert ids(store.list()) == ["j2", "j4", "j5"]
    assert store.delete("j4", allowed_from=["pending"]) is True


def test_the_order_survives_the_deletion_of_the_newest(store: JobStore) -> None:
    first, newest = submit(store), submit(store)
    store.transition(newest.id, "cancelled", ["pending"])
    store.delete(newest.id)
    later = submit(store)
    assert ids(store.list()) == [first.id, later.id]


def test_a_new_title_is_what_searches_find(store: JobStore) -> None:
    job = submit(store, prompt="a cat", title="old")
    renamed = store.retitle(job.id, "New \ud83d")
    assert renamed == store.get(job.id)
    assert renamed.title == "New ?"
    assert ids(store.list(search="new cat")) == [job.id]
    assert ids(store.list(search="old")) == []
    assert store.retitle(job.id, None).title is None
    with pytest.raises(JobNotFound):
        store.retitle("nope", "x")


def test_moves_give_the_lowest_priorities_that_keep_the_order(store: JobStore) -> None:
    for name in "abcd":
        submit(store, id=name)
    order = [("d", "a", "dabc"), ("a", None, "dbca"), ("d", None, "bcad"), ("b", "d", "cabd"), ("c", "c", "cabd")]
    for moved, before, expected in order:
        job = store.move(moved, before)
        assert job is not None
        assert job.id == moved
        assert [*store.positions()] == [*expected], (moved, before)
        assert [store.position(name) for name in expected] == [1, 2, 3, 4]
    assert store.insert(a_job(id="e"), max_pending=10) == 5
    assert [*store.positions()] == [*"cabde"]
    store.claim_next(KINDS)
    assert store.move("c", None) is None, "it runs"
    assert store.move("a", "c") is None
    assert store.move("a", "nope") is None
    assert store.move("nope", "a") is None


def test_known_ids_are_those_in_the_queue_and_in_the_bin(db: Database, store: JobStore) -> None:
    for job_id in ("waits", "done", "binned"):
        store.insert(Job(id=job_id, kind="txt2img", params={}), 10)
    for job_id in ("done", "binned"):
        store.transition(job_id, "cancelled", {"pending"})
    assert BinStore(db).put("binned", utc_now())
    assert store.find_known([]) == set()
    many = [f"other-{number}" for number in range(1200)]
    assert store.find_known(["waits", "done", "binned", *many]) == {"waits", "done", "binned"}
