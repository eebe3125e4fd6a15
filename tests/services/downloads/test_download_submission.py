"""What becomes of a request: two jobs or none, and what they hold."""

from __future__ import annotations

import stat
from collections.abc import Callable

import pytest

from sdcpp_rest.core.download_source import DownloadParams, HashParams
from sdcpp_rest.errors import Conflict, EngineUnavailable, InvalidRequest, QueueFull
from sdcpp_rest.services.downloads.download_submission import ADDRESS_FILE, DownloadRequest
from tests.servers.fault_server import FaultServer
from tests.services.conftest import House
from tests.services.downloads.conftest import MODEL


@pytest.fixture
def paused(make_house: Callable[..., House], server: FaultServer) -> House:
    """A house that begins nothing."""
    house = make_house('downloads.allow_private_hosts=["127.0.0.1"]', "limits.pending_jobs=3").start()
    house.runtime.jobs.queue.pause()
    server.add("/x.safetensors", MODEL)
    return house


def asked(server: FaultServer, path: str = "/x.safetensors", **more: object) -> DownloadRequest:
    return DownloadRequest.model_validate({"model_type": "lora", "url": f"{server.url}{path}", **more})


def test_two_jobs_know_each_other(paused: House, server: FaultServer) -> None:
    told = paused.runtime.downloads.submission.submit(
        asked(server, subfolder="a\\b", title="mine"), origin="test", owner="me"
    )
    download, check = told.job, paused.runtime.jobs.queue.get(told.hash_job_id)
    params, check_params = DownloadParams.model_validate(download.params), HashParams.model_validate(check.params)
    assert (download.kind, check.kind) == ("model_download", "model_hash")
    assert told.position == 1
    assert params.hash_job_id == check.id
    assert check_params.download_job_id == download.id
    assert params.model_name == check_params.model_name == "a/b/x.safetensors"
    assert (download.title, download.origin, download.owner) == ("mine", "test", "me")


def test_the_last_place_in_the_queue_is_not_enough_for_two(paused: House, server: FaultServer) -> None:
    paused.submit()
    paused.submit()
    with pytest.raises(QueueFull):
        paused.runtime.downloads.submission.submit(asked(server))
    statuses = [job.status for job in paused.runtime.jobs.queue.list(kind="model_download")]
    assert statuses == ["cancelled"]
    assert paused.runtime.jobs.queue.counts()["pending"] == 2


def test_an_address_with_secrets_is_kept_apart_for_this_user_only(paused: House, server: FaultServer) -> None:
    told = paused.runtime.downloads.submission.submit(asked(server, "/x.safetensors?token=s3cret"))
    kept = paused.runtime.jobs.outputs.inputs_of(told.job.id) / ADDRESS_FILE
    assert kept.read_text() == f"{server.url}/x.safetensors?token=s3cret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "s3cret" not in str(paused.runtime.jobs.queue.get(told.job.id))
    paused.runtime.jobs.queue.cancel(told.job.id)
    assert not kept.exists()


def test_the_name_is_checked_before_anybody_is_asked(paused: House, server: FaultServer) -> None:
    with pytest.raises(InvalidRequest):
        paused.runtime.downloads.submission.submit(asked(server, name="x.exe"))
    assert server.asked == []


def test_a_name_that_is_being_downloaded_is_taken(paused: House, server: FaultServer) -> None:
    server.add("/y/X.safetensors", MODEL)
    first = paused.runtime.downloads.submission.submit(asked(server))
    with pytest.raises(Conflict, match="is being downloaded already") as caught:
        paused.runtime.downloads.submission.submit(asked(server, "/y/X.safetensors"))
    assert caught.value.detail["job_id"] == first.job.id


def test_a_stopping_server_takes_no_downloads(paused: House, server: FaultServer) -> None:
    paused.runtime.begin_stop()
    with pytest.raises(EngineUnavailable):
        paused.runtime.downloads.submission.submit(asked(server))
