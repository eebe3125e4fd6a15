"""An engine is gone with its machine: its job is tried again, unless that happens again and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.events import JobStatusChanged, ModelLoaded
from sdcpp_rest.engine.launchers import Launcher
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.runtime import DEMO_ROOT
from tests.engine.remote.thread_link import RemoteLauncher, ThreadLink
from tests.services.conftest import Gate, House, config_below


class RemoteHouse(House):
    """Its engine works "on another machine", which can be cut off."""

    def make_launcher(self) -> Launcher:
        self.links: list[ThreadLink] = []
        inside = super().make_launcher()
        assert inside is not None
        places = ModelPlaces({"demo": DEMO_ROOT})
        folder = self.config.paths.data_dir / "there"

        def open_link() -> ThreadLink:
            self.links.append(ThreadLink(inside, places, folder))
            return self.links[-1]

        return RemoteLauncher(open_link, places)

    def lose_machine(self) -> None:
        self.links[-1].cut()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[RemoteHouse]:
    house = RemoteHouse(config_below(tmp_path, "queue.max_requeues=1"), "inline")
    house.start()
    yield house
    house.stop()


def statuses_of(house: House, job_id: str) -> list[str]:
    told = [event for event in house.mailbox.drain() if isinstance(event, JobStatusChanged)]
    return [event.status for event in told if event.job_id == job_id]


def test_pictures_of_an_engine_elsewhere_are_those_of_one_here(house: RemoteHouse, tmp_path: Path) -> None:
    here = House(config_below(tmp_path / "here"), "inline").start()
    try:
        drawn = [one.output(one.draw(seed=7, batch_count=2), 1).read_bytes() for one in (house, here)]
    finally:
        here.stop()
    assert drawn[0] == drawn[1]


def test_a_job_whose_machine_is_gone_is_drawn_once_by_the_next_engine(house: RemoteHouse) -> None:
    gate = Gate()
    house.at_step = gate
    job_id = house.submit()
    gate.wait()
    house.at_step = lambda command, step: None
    house.lose_machine()
    gate.open()
    job = house.finished(job_id)
    assert (job.status, job.attempts, len(house.links)) == ("completed", 2, 2)
    assert house.visible() == [job_id]
    house.draw()  # by then all events of the first have been told
    assert statuses_of(house, job_id) == ["processing", "pending", "processing", "completed"]


def test_a_job_whose_results_were_on_their_way_is_drawn_again(house: RemoteHouse) -> None:
    house.draw()
    put = house.links[-1].carrier.put

    def lose(piece: bytes, beside_bytes: int = 0) -> object:
        if piece.startswith(b"\x89PNG"):
            house.lose_machine()
        return put(piece)

    house.links[-1].carrier.put = lose  # type: ignore[method-assign, assignment]
    job = house.draw()
    assert (job.status, job.attempts) == ("completed", 2)
    assert len(house.visible()) == 2


def test_a_job_that_loses_machine_after_machine_fails(house: RemoteHouse) -> None:
    gates = {1: Gate(), 2: Gate()}
    house.at_step = lambda command, step: gates[command.run]() if command.run in gates else None
    job_id = house.submit()
    for gate in gates.values():
        gate.wait()
        house.lose_machine()
        gate.open()
    job = house.finished(job_id)
    assert (job.status, job.error_code, job.attempts) == ("failed", "engine_lost", 2)
    assert "machine two does not answer" in (job.error or "")
    assert house.draw().status == "completed", "the queue goes on"


def test_a_cancelled_job_whose_machine_is_gone_is_cancelled(house: RemoteHouse) -> None:
    gate = Gate()
    house.at_step = gate
    job_id = house.submit()
    gate.wait()
    house.runtime.jobs.queue.cancel(job_id)
    house.at_step = lambda command, step: None
    house.lose_machine()
    gate.open()
    assert house.finished(job_id).status == "cancelled"


def test_losing_machines_is_no_strike_against_a_model(house: RemoteHouse) -> None:
    for _ in range(5):
        house.mailbox.drain()
        house.lose_machine()
        house.until(ModelLoaded)
    assert house.draw().status == "completed"
