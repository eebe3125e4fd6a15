"""A machine that is full fails the job in a sentence, keeps nothing of it, and is well when it has room again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.engine import spool
from sdcpp_rest.engine.remote.shipping import Shipment, count_beside, pack
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.errors import GenerationFailed, MachineFull
from tests.engine.conftest import TIMEOUT
from tests.engine.remote.test_remote_engine import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    (tmp_path / "source.png").write_bytes(b"pixels")
    rig.client.load(rig.spec)
    yield rig
    assert [path.name for path in (rig.folder / "jobs").glob("host-*/*")] == [], "nothing is left there"
    rig.link.carrier.full_for = ""
    rig.before_step = lambda step: None
    run = rig.client.run(rig.job(inputs={"init_image": str(rig.folder / "source.png")}))
    assert run.finished.result(TIMEOUT).files == ("image_0.png",), "it is well"
    rig.client.stop(5)


def run_with_input(rig: Rig) -> RunFailed:
    run = rig.client.run(rig.job(inputs={"init_image": str(rig.folder / "source.png")}))
    with pytest.raises(RunFailed) as caught:
        run.finished.result(TIMEOUT)
    return caught.value


def test_inputs_for_which_the_servers_store_has_no_room_fail_the_job(rig: Rig) -> None:
    rig.link.carrier.full_for = "put"
    error = run_with_input(rig)
    assert (error.code, error.message) == (
        GenerationFailed.code,
        "The picture init_image of the job did not come to the engine's machine: the store is full",
    )


def test_inputs_for_which_the_engines_machine_has_no_room_fail_the_job(rig: Rig) -> None:
    rig.link.carrier.full_for = "get"
    error = run_with_input(rig)
    assert (error.code, error.message) == (
        MachineFull.code,
        "The engine's machine has no room for what the job needs there: the store is full",
    )


def fill_after_start(rig: Rig, who: str) -> None:
    def fill(step: int) -> None:
        rig.link.carrier.full_for = who

    rig.before_step = fill


def test_a_result_for_which_the_engines_store_has_no_room_fails_the_job(rig: Rig) -> None:
    fill_after_start(rig, "put")
    error = run_with_input(rig)
    assert (error.code, error.message.partition(": ")[2]) == (MachineFull.code, "the store is full")


def test_a_result_for_which_the_server_has_no_room_fails_the_job(rig: Rig) -> None:
    fill_after_start(rig, "get")
    error = run_with_input(rig)
    assert (error.code, error.message) == ("output_failed", "The result could not be written: the store is full")


@pytest.mark.parametrize("writer", ["write_pixels", "encode_pixels"])
def test_a_result_for_which_the_engines_disk_has_no_room_fails_the_job(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(spool, writer, refuse)
        error = run_with_input(rig)
    assert (error.code, error.message) == (
        MachineFull.code,
        "The engine's machine has no room for what the job needs there: No space left on device",
    )


def test_a_message_for_which_there_is_no_room_is_answered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    send = rig.link.send

    def send_small(shipment: Shipment) -> None:
        if len(shipment.message) > 100:
            raise OSError(errno.ENOSPC, "the store is full")
        send(shipment)

    with monkeypatch.context() as patched:
        patched.setattr(rig.link, "send", send_small)
        error = run_with_input(rig)
    assert error.message == "The engine's machine is not told what to do: the store is full"


class _SmallOnes:
    """Leaves pieces in their message up to 10 bytes together, as a carrier does."""

    def put(self, piece: bytes, beside_bytes: int = 0) -> Any:
        return piece if beside_bytes + len(piece) <= 10 else object()

    def get(self, piece: Any) -> bytes:
        raise NotImplementedError


def test_many_small_files_make_no_large_message(tmp_path: Path) -> None:
    files: dict[str, Any] = {}
    for name in "abcd":
        (tmp_path / name).write_bytes(b"1234")
        files[name] = pack(tmp_path / name, _SmallOnes(), count_beside(files))
    assert count_beside(files) == 8
    assert [type(parcel[0]) for parcel in files.values()] == [bytes, bytes, object, object]
