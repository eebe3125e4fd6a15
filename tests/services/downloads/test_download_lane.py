"""The lane: what it takes, in which order, and what it does when something comes in between."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.download_source import HashParams
from sdcpp_rest.core.job import Job
from sdcpp_rest.services.downloads.download_submission import DownloadRequest, SubmittedDownload
from sdcpp_rest.store.database import DatabaseUnusable
from tests.servers.fault_server import FaultServer
from tests.services.conftest import PATIENCE_SECONDS, Gate, House
from tests.services.downloads.conftest import MODEL

SETTINGS = ('downloads.allow_private_hosts=["127.0.0.1"]', "downloads.retry_pause_seconds=0.001", "downloads.retries=2")
HALF = len(MODEL) // 2
MakeHouse = Callable[..., House]


@pytest.fixture
def ready(make_house: MakeHouse, server: FaultServer) -> House:
    server.add("/x.safetensors", MODEL)
    started: House = make_house(*SETTINGS).start()
    return started


def submit(house: House, server: FaultServer, path: str = "/x.safetensors", **more: Any) -> SubmittedDownload:
    return house.runtime.downloads.submission.submit(
        DownloadRequest.model_validate({"model_type": "lora", "url": f"{server.url}{path}", **more})
    )


def loras(house: House) -> list[str]:
    folder = house.config.paths.models_dir / "loras"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def ended(house: House, told: SubmittedDownload) -> tuple[Job, Job]:
    return house.finished(told.job.id), house.finished(told.hash_job_id)


def test_one_more_than_fit_waits_for_its_turn(make_house: MakeHouse, server: FaultServer) -> None:
    house = make_house(*SETTINGS, "downloads.concurrent=1").start()
    gates = [Gate(), Gate()]
    take = house.runtime.models.uploads.take
    taken: list[str] = []

    def held(temporary: Path, wish: Any) -> Any:
        taken.append(wish.name)
        gates[len(taken) - 1]()
        return take(temporary, wish)

    house.runtime.models.uploads.take = held  # type: ignore[method-assign]
    for name in ("a", "b"):
        server.add(f"/{name}.safetensors", MODEL)
    first, second = submit(house, server, "/a.safetensors"), submit(house, server, "/b.safetensors")
    gates[0].wait()
    assert house.runtime.jobs.queue.get(second.job.id).status == "pending"
    assert house.draw().status == "completed", "the engine does not wait for the lane"
    gates[0].open()
    gates[1].wait()
    gates[1].open()
    assert {job.status for told in (first, second) for job in ended(house, told)} == {"completed"}
    assert taken == ["a.safetensors", "b.safetensors"]


def test_a_cancel_when_the_file_has_its_place_takes_it_back(ready: House, server: FaultServer) -> None:
    """The bytes are whole, the row is not written yet: the cancel wins the row, and the file has to go."""
    gate, take = Gate(), ready.runtime.models.uploads.take

    def held(temporary: Path, wish: Any) -> Any:
        stored = take(temporary, wish)
        gate()
        return stored

    ready.runtime.models.uploads.take = held  # type: ignore[method-assign]
    told = submit(ready, server)
    gate.wait()
    assert ready.runtime.jobs.queue.cancel(told.job.id) == "cancelled"
    gate.open()
    assert [job.status for job in ended(ready, told)] == ["cancelled", "cancelled"]
    ready.runtime.downloads.lane.stop()
    assert loras(ready) == []


def test_a_name_that_was_taken_meanwhile_keeps_the_bytes_for_the_next_try(ready: House, server: FaultServer) -> None:
    gate, take = Gate(), ready.runtime.models.uploads.take

    def held(temporary: Path, wish: Any) -> Any:
        gate()
        return take(temporary, wish)

    ready.runtime.models.uploads.take = held  # type: ignore[method-assign]
    told = submit(ready, server)
    gate.wait()
    (ready.config.paths.models_dir / "loras" / "x.safetensors").write_bytes(b"somebody else's")
    gate.open()
    download, check = ended(ready, told)
    assert (download.status, download.error_code) == ("failed", "conflict")
    assert (check.status, check.error_code) == ("failed", "download_failed")
    asked = len(server.asked)
    again = submit(ready, server, overwrite=True)
    assert {job.status for job in ended(ready, again)} == {"completed"}
    assert len(server.asked) == asked + 1, "it was asked what it has, and nothing was fetched again"
    assert loras(ready) == ["x.safetensors"]


def test_a_check_whose_download_is_unknown_fails(ready: House) -> None:
    params = HashParams(model_type="lora", model_name="x.gguf", download_job_id=str(uuid.uuid4()))
    job, _ = ready.runtime.jobs.queue.submit("model_hash", params.model_dump())
    ended_job = ready.finished(job.id)
    assert (ended_job.status, ended_job.error_code) == ("failed", "download_failed")


def test_the_end_of_a_picture_has_nobody_look_for_files(ready: House, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = ready.runtime.downloads.lane
    woken: list[str] = []
    monkeypatch.setattr(lane, "wake", lambda: woken.append("wake"))
    lane.job_finished(ready.draw())
    assert woken == []
    lane.job_finished(Job(id=str(uuid.uuid4()), kind="model_hash", params={}, status="completed"))
    assert woken == ["wake"]


def test_a_check_of_its_own_reads_the_file(ready: House) -> None:
    folder = ready.config.paths.models_dir / "loras"
    folder.mkdir(parents=True)
    (folder / "x.safetensors").write_bytes(MODEL)
    right, wrong = hashlib.sha256(MODEL).hexdigest(), "0" * 64
    for name, sha256, code in (
        ("x.safetensors", right, None),
        ("x.safetensors", None, None),
        ("x.safetensors", wrong, "content_mismatch"),
        ("y.safetensors", None, "model_not_found"),
    ):
        params = HashParams(model_type="lora", model_name=name, sha256=sha256)
        job, _ = ready.runtime.jobs.queue.submit("model_hash", params.model_dump())
        assert ready.finished(job.id).error_code == code


def test_rows_of_another_version_end_and_hold_nobody_up(ready: House, server: FaultServer) -> None:
    download, _ = ready.runtime.jobs.queue.submit("model_download", {"colour": "red"})
    check, _ = ready.runtime.jobs.queue.submit("model_hash", {"colour": "red", "download_job_id": download.id})
    assert ready.finished(download.id).status == "failed"
    assert ready.finished(check.id).error_code == "download_failed"
    alone, _ = ready.runtime.jobs.queue.submit("model_hash", {"colour": "red"})
    assert ready.finished(alone.id).status == "failed"
    told = submit(ready, server)
    assert {job.status for job in ended(ready, told)} == {"completed"}


def test_a_check_can_be_cancelled(ready: House) -> None:
    folder = ready.config.paths.models_dir / "loras"
    folder.mkdir(parents=True)
    (folder / "x.safetensors").write_bytes(MODEL)
    gate, read = Gate(), ready.runtime.models.hashes._read

    def held(file: Any, watch: Callable[[int], None]) -> str:
        gate()
        return read(file, watch)

    ready.runtime.models.hashes._read = held  # type: ignore[method-assign]
    params = HashParams(model_type="lora", model_name="x.safetensors")
    job, _ = ready.runtime.jobs.queue.submit("model_hash", params.model_dump())
    gate.wait()
    assert ready.runtime.jobs.queue.cancel(job.id) == "cancelling"
    gate.open()
    assert ready.finished(job.id).status == "cancelled"


def test_parts_of_a_split_model_are_checked_although_they_are_not_listed(ready: House, server: FaultServer) -> None:
    server.add("/x-00002-of-00002.safetensors", MODEL)
    download, check = ended(ready, submit(ready, server, "/x-00002-of-00002.safetensors"))
    assert (download.status, check.status) == ("completed", "completed")
    assert any("parts" in warning for warning in download.warnings)


def test_a_disk_that_is_full_for_a_moment_loses_no_job(ready: House, server: FaultServer) -> None:
    """The claim cannot be written down: the lane tries again."""
    store = ready.runtime.jobs.queue._store
    claim, failures = store.claim_next, iter([True])

    def fails_once(kinds: Any, *terms: Any) -> Job | None:
        if "model_download" in kinds and next(failures, False):
            raise DatabaseUnusable("the disk is full")
        return claim(kinds, *terms)

    store.claim_next = fails_once  # type: ignore[method-assign]
    ready.runtime.downloads.lane.wake()
    told = submit(ready, server)
    assert {job.status for job in ended(ready, told)} == {"completed"}


def test_a_stopped_lane_puts_its_job_back_and_the_next_house_ends_it(
    make_house: MakeHouse, server: FaultServer
) -> None:
    file = server.add("/x.safetensors", MODEL)
    first = make_house(*SETTINGS).start()
    told = submit(first, server)
    ended(first, told)
    (first.config.paths.models_dir / "loras" / "x.safetensors").unlink()
    file.hold_after = HALF
    told = submit(first, server)
    assert file.held.wait(PATIENCE_SECONDS)
    first.stop()
    file.release.set()
    second = make_house(*SETTINGS).start()
    assert {job.status for job in ended(second, told)} == {"completed"}
    assert second.runtime.jobs.queue.get(told.job.id).attempts == 1, "a stop of the server is not the job's fault"


def test_a_check_that_waited_for_the_start_is_made(make_house: MakeHouse) -> None:
    """No job comes after it, which would have the lane look."""
    first = make_house(*SETTINGS)
    params = HashParams(model_type="lora", model_name="x.safetensors", sha256=None)
    job, _ = first.runtime.jobs.queue.submit("model_hash", params.model_dump())
    first.stop()
    assert make_house(*SETTINGS).start().finished(job.id).error_code == "model_not_found"


def test_a_waiting_download_that_is_cancelled_takes_its_bytes_along(make_house: MakeHouse, server: FaultServer) -> None:
    file = server.add("/x.safetensors", MODEL, etag='"one"')
    first = make_house(*SETTINGS).start()
    file.hold_after = HALF
    told = submit(first, server)
    with first.runtime.jobs.bus.subscribe(maxsize=10_000) as mailbox:
        while (active := first.runtime.jobs.active.get(told.job.id)) is None or active.transfer is None:
            mailbox.get(0.02)
    first.runtime.jobs.queue.pause()
    first.stop()
    file.release.set()
    second = make_house(*SETTINGS).start()
    assert len(loras(second)) == 2, "the partial file and its note"
    assert second.runtime.jobs.queue.cancel(told.job.id) == "cancelled"
    assert loras(second) == []


def test_downloads_do_not_count_as_what_the_engine_does(ready: House, server: FaultServer) -> None:
    gate, take = Gate(), ready.runtime.models.uploads.take

    def held(temporary: Path, wish: Any) -> Any:
        gate()
        return take(temporary, wish)

    ready.runtime.models.uploads.take = held  # type: ignore[method-assign]
    told = submit(ready, server)
    gate.wait()
    assert ready.runtime.jobs.queue.counts()["processing"] == 0
    assert not ready.runtime.jobs.queue.is_busy, "an idle model may rest while a file comes"
    running = ready.running()
    assert ready.runtime.jobs.queue.counts()["processing"] == 1
    assert ready.runtime.jobs.queue.is_busy
    ready.runtime.jobs.queue.cancel(running)
    gate.open()
    ended(ready, told)
