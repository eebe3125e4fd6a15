"""The recycle bin over a whole house: files move with their rows, and a crash in between loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from sdcpp_rest.core.job import Job, utc_now
from sdcpp_rest.errors import Conflict, JobNotFound
from sdcpp_rest.services.jobs.recycle_bin import RecycleBin
from sdcpp_rest.store.bin_store import BinStore
from sdcpp_rest.store.job_store import JobStore
from tests.services.conftest import House


class Clock:
    ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


class ServerKilled(BaseException):
    """Nothing catches it, as nothing catches the power going out."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recycle_bin(house: House, clock: Clock) -> RecycleBin:
    runtime = house.runtime
    database = runtime._database
    return RecycleBin(JobStore(database), BinStore(database), runtime.jobs.outputs, runtime.settings.user, now=clock)


def listed(house: House) -> list[str]:
    return [job.id for job in house.runtime.jobs.queue.list(order="asc")]


def keep_files_from(monkeypatch: pytest.MonkeyPatch, house: House, verb: str, error: BaseException) -> None:
    def refuse(job_id: str) -> bool:
        raise error

    monkeypatch.setattr(house.runtime.jobs.outputs, verb, refuse)


def test_a_deleted_job_is_out_of_sight_and_comes_back_whole(house: House, recycle_bin: RecycleBin) -> None:
    first, second = house.draw(), house.draw()
    picture = house.output(first).read_bytes()
    assert recycle_bin.delete([first.id]) == ([first.id], {})
    assert listed(house) == [second.id]
    assert house.runtime.jobs.queue.counts()["total"] == 1
    assert first.id not in house.visible()
    with pytest.raises(JobNotFound):
        house.runtime.jobs.queue.get(first.id)
    (item,) = recycle_bin.items(10)
    assert item.job == first
    assert item.expires_at - item.deleted_at == timedelta(days=7)
    assert recycle_bin.restore(first.id) == first
    assert listed(house) == [first.id, second.id]
    assert house.output(first).read_bytes() == picture
    assert recycle_bin.count() == 0


def test_with_the_bin_off_a_deleted_job_is_gone(house: House, recycle_bin: RecycleBin, png: str) -> None:
    job = house.draw(images={"init_image": png})
    house.runtime.settings.user.change_recycle_bin({"enabled": False})
    assert recycle_bin.delete([job.id]) == ([job.id], {})
    assert (recycle_bin.count(), listed(house), house.visible()) == (0, [], [])
    assert not house.runtime.jobs.outputs.inputs_of(job.id).exists()


@pytest.mark.parametrize("enabled", [True, False])
def test_what_waits_or_runs_or_is_not_there_is_refused_one_by_one(
    house: House, recycle_bin: RecycleBin, enabled: bool
) -> None:
    house.runtime.settings.user.change_recycle_bin({"enabled": enabled})
    done, running, waiting = house.draw().id, house.running(), house.submit()
    deleted, refused = recycle_bin.delete([running, done, "nobody", waiting, done])
    assert deleted == [done]
    assert refused == {
        running: "The job is processing: cancel it first",
        "nobody": "Job not found",
        waiting: "The job is pending: cancel it first",
    }
    assert listed(house) == [running, waiting]


def test_purged_jobs_leave_nothing(house: House, recycle_bin: RecycleBin, png: str) -> None:
    jobs = [house.draw(images={"init_image": png}) for _ in range(3)]
    recycle_bin.delete([job.id for job in jobs])
    recycle_bin.purge(jobs[0].id)
    with pytest.raises(JobNotFound, match="recycle bin"):
        recycle_bin.purge(jobs[0].id)
    with pytest.raises(JobNotFound, match="recycle bin"):
        recycle_bin.restore(jobs[0].id)
    assert recycle_bin.empty() == 2
    assert recycle_bin.empty() == 0
    left = [path for path in house.config.paths.output_dir.rglob("*") if path.is_file()]
    assert left == []
    assert list((house.config.paths.data_dir / "inputs").iterdir()) == []


def test_only_what_is_in_the_bin_is_purged_or_restored(house: House, recycle_bin: RecycleBin) -> None:
    job = house.draw()
    for verb in (recycle_bin.purge, recycle_bin.restore):
        with pytest.raises(JobNotFound):
            verb(job.id)
    assert house.output(job).is_file()


def test_jobs_expire_when_their_time_is_over(house: House, recycle_bin: RecycleBin, clock: Clock) -> None:
    house.runtime.settings.user.change_recycle_bin({"retention_minutes": 60})
    old, young = house.draw(), house.draw()
    recycle_bin.delete([old.id])
    clock.ahead = timedelta(minutes=50)
    recycle_bin.delete([young.id])
    assert recycle_bin.purge_expired() == 0
    clock.ahead = timedelta(minutes=61)
    assert recycle_bin.purge_expired() == 1
    assert [item.job.id for item in recycle_bin.items(10)] == [young.id]
    house.runtime.settings.user.change_recycle_bin({"enabled": False, "retention_minutes": 5})
    assert recycle_bin.purge_expired() == 1, "what is in the bin follows the new rules"


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_moved_leave_the_job_where_it_was(
    house: House, recycle_bin: RecycleBin, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = house.draw()
    with monkeypatch.context() as patched:
        keep_files_from(patched, house, "bin", PermissionError(13, "Permission denied"))
        deleted, refused = recycle_bin.delete([job.id])
    assert deleted == []
    assert "Permission denied" in refused[job.id]
    assert listed(house) == [job.id]
    recycle_bin.delete([job.id])
    with monkeypatch.context() as patched:
        keep_files_from(patched, house, "restore", PermissionError(13, "Permission denied"))
        with pytest.raises(Conflict, match="Permission denied"):
            recycle_bin.restore(job.id)
    with monkeypatch.context() as patched:
        keep_files_from(patched, house, "purge", PermissionError(13, "Permission denied"))
        with pytest.raises(Conflict, match="Permission denied"):
            recycle_bin.purge(job.id)
        assert recycle_bin.empty() == 0
    assert recycle_bin.restore(job.id) == job
    assert house.output(job).is_file()


@pytest.mark.parametrize("verb", ["bin", "restore"])
def test_a_crash_between_row_and_files_is_settled_at_the_next_start(
    house: House, recycle_bin: RecycleBin, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """The row is in the bin, the files are in sight: nobody is promised a picture that is not there."""
    job = house.draw()
    with monkeypatch.context() as patched:
        if verb == "bin":
            keep_files_from(patched, house, "bin", ServerKilled())
            with pytest.raises(ServerKilled):
                recycle_bin.delete([job.id])
        else:
            recycle_bin.delete([job.id])
            patched.setattr(recycle_bin._store, "take", lambda job_id: (_ for _ in ()).throw(ServerKilled()))
            with pytest.raises(ServerKilled):
                recycle_bin.restore(job.id)
    assert listed(house) == []
    assert job.id in house.visible()
    recycle_bin.settle()
    assert job.id not in house.visible()
    assert recycle_bin.restore(job.id) == job
    assert house.output(job).is_file()


@pytest.mark.parametrize("end", ["restore", "purge"])
def test_what_a_crash_left_in_sight_can_also_be_restored_or_purged_at_once(
    house: House, recycle_bin: RecycleBin, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    job = house.draw()
    with monkeypatch.context() as patched:
        keep_files_from(patched, house, "bin", ServerKilled())
        with pytest.raises(ServerKilled):
            recycle_bin.delete([job.id])
    getattr(recycle_bin, end)(job.id)
    assert house.output(job).is_file() if end == "restore" else house.visible() == []


def test_a_crash_while_purging_leaves_a_row_that_can_be_purged_again(
    house: House, recycle_bin: RecycleBin, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = house.draw()
    recycle_bin.delete([job.id])
    with monkeypatch.context() as patched:
        patched.setattr(recycle_bin._store, "drop", lambda job_id: (_ for _ in ()).throw(ServerKilled()))
        with pytest.raises(ServerKilled):
            recycle_bin.purge(job.id)
    assert list(house.config.paths.output_dir.rglob("*.png")) == [], "the pictures went first"
    assert recycle_bin.empty() == 1


def test_the_bin_outlives_the_server(make_house: Callable[..., House]) -> None:
    house = make_house().start()
    job: Job = house.draw()
    house.runtime.jobs.recycle_bin.delete([job.id])
    house.stop()
    again = make_house().start()
    assert listed(again) == []
    assert again.runtime.jobs.recycle_bin.restore(job.id) == job
    assert again.output(job).is_file()
