"""Deleted jobs: in the queue's table or in the bin, never in both or neither; back in their old place."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from sdcpp_rest.core.job import GridAxis, Job, JobGroup, JobStatus
from sdcpp_rest.errors import Conflict, JobNotFound
from sdcpp_rest.store.bin_store import BinStore
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore

GROUP = JobGroup(id="g", axes=(GridAxis(field="seed", values=(1, "2", True)),), cell=(1,))
NOW = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def jobs(db: Database) -> JobStore:
    return JobStore(db)


@pytest.fixture
def bin_store(db: Database) -> BinStore:
    return BinStore(db)


def finished(jobs: JobStore, job_id: str, status: JobStatus = "completed") -> Job:
    jobs.insert(
        Job(id=job_id, kind="txt2img", params={"prompt": "a cat"}, title="t", caption="c", note="n", group=GROUP),
        max_pending=100,
    )
    job = jobs.transition(job_id, status, ["pending"], outputs=[f"{job_id}/image_0.png"])
    assert job is not None
    return job


def test_a_deleted_job_leaves_lists_counts_and_searches_and_comes_back_as_it_was(
    jobs: JobStore, bin_store: BinStore
) -> None:
    before = [finished(jobs, name) for name in ("a", "b", "c")]
    assert bin_store.put("b", NOW)
    assert [job.id for job in jobs.list(order="asc")] == ["a", "c"]
    assert jobs.counts()["total"] == 2
    assert [job.id for job in jobs.list(search="cat", order="asc")] == ["a", "c"]
    with pytest.raises(JobNotFound):
        jobs.get("b")
    (item,) = bin_store.list(10)
    assert (item.job, item.deleted_at) == (before[1], NOW)
    assert bin_store.take("b") == before[1]
    assert jobs.list(order="asc") == before, "it is in its old place again"
    assert (bin_store.count(), bin_store.holds("b")) == (0, False)


@pytest.mark.parametrize("status", ["pending", "processing", "unknown"])
def test_only_finished_jobs_go_to_the_bin(jobs: JobStore, bin_store: BinStore, status: str) -> None:
    if status != "unknown":
        jobs.insert(Job(id="a", kind="txt2img"), max_pending=10)
    if status == "processing":
        jobs.claim_next(["txt2img"])
    assert not bin_store.put("a", NOW)
    assert bin_store.count() == 0
    assert jobs.counts()["total"] == (status != "unknown")


def test_what_is_not_in_the_bin_cannot_be_taken_out(jobs: JobStore, bin_store: BinStore) -> None:
    finished(jobs, "a")
    with pytest.raises(JobNotFound):
        bin_store.take("a")
    with pytest.raises(JobNotFound):
        bin_store.take("\ud83d")
    assert not bin_store.drop("a")
    assert jobs.get("a").status == "completed"


def test_a_job_whose_id_is_taken_stays_in_the_bin(jobs: JobStore, bin_store: BinStore) -> None:
    finished(jobs, "a")
    bin_store.put("a", NOW)
    finished(jobs, "a", "failed")
    with pytest.raises(Conflict):
        bin_store.take("a")
    assert bin_store.holds("a")
    assert jobs.get("a").status == "failed"


def test_last_deleted_comes_first_and_the_oldest_expire_first(jobs: JobStore, bin_store: BinStore) -> None:
    for minute, name in enumerate(("a", "b", "c")):
        finished(jobs, name)
        bin_store.put(name, NOW + timedelta(minutes=minute))
    assert [item.job.id for item in bin_store.list(10)] == ["c", "b", "a"]
    assert [item.job.id for item in bin_store.list(1, 1)] == ["b"]
    assert list(bin_store.ids()) == ["a", "b", "c"]
    assert list(bin_store.ids(deleted_before=NOW + timedelta(minutes=2))) == ["a", "b"]
    assert bin_store.drop("b")
    assert (bin_store.count(), list(bin_store.ids())) == (2, ["a", "c"])


def test_a_new_job_never_gets_the_place_of_a_deleted_one(jobs: JobStore, bin_store: BinStore) -> None:
    finished(jobs, "a")
    bin_store.put("a", NOW)
    finished(jobs, "b")
    bin_store.take("a")
    assert [job.id for job in jobs.list(order="asc")] == ["a", "b"]
