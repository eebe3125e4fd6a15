from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sdcpp_rest.engine.protocol import Device, Memory, Ready, ThreadsUsed
from tests.services.conftest import House

CARD = Device(name="CUDA0", description="a card", backend="CUDA", free_bytes=9 << 30, total_bytes=8 << 30, is_gpu=True)
CPU = Device(name="CPU", description="a processor", backend="CPU")


@dataclass
class Client:
    """An engine as far as its memory goes."""

    memory: Memory
    alive: bool = True
    pid: int = 7
    set_preview: Any = field(default=lambda settings: None)
    stop: Any = field(default=lambda seconds: None)


def put_engines(house: House, *devices: tuple[Device, ...]) -> None:
    """Have the lanes of a house that is not started seem to have engines with these devices."""
    for lane, ones in zip(house.runtime.engine.pool.lanes, devices, strict=True):
        lane.supervisor.ready = Ready(pid=7, library_version="1", devices=ones)
        lane.supervisor.client = Client(Memory(rss_bytes=1000, devices=ones))  # type: ignore[assignment]
        lane.supervisor.state = "idle"


def test_engine_that_cannot_be_had_says_why_without_the_servers_folders(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cpu,cuda:0")
    other = house.runtime.engine.pool.lanes[1]
    other.trouble = f"cuda:0: there is no such device any more ({house.config.paths.data_dir}/x)"
    other.supervisor.state = "dead"
    shown = house.runtime.status.engines.describe()["engines"][1]
    assert (shown["is_available"], shown["state"]) == (False, "dead")
    assert shown["why"].startswith("cuda:0: there is no such device any more")
    assert str(house.config.paths.data_dir) not in shown["why"]


def test_engine_that_has_ended_says_that_another_follows(make_house: Callable[..., House]) -> None:
    house = make_house()
    house.runtime.engine.supervisor.state = "dead"
    assert house.runtime.status.engines.describe()["engines"][0]["why"] == "Its engine has ended; another one follows"


def test_memory_of_engines_is_told_together_and_their_cards_by_the_engines_names(
    make_house: Callable[..., House],
) -> None:
    house = make_house("engines.devices=cuda:0,cuda:1,cuda:1,cpu")
    put_engines(house, (CARD, CPU), (CARD, CPU), (CARD, CPU), (CPU,))
    status = house.runtime.status
    memory = status.memory()
    assert memory["engine"]["rss_bytes"] == 4000
    assert status.home_memory()["engine"]["rss_bytes"] == 1000
    assert [device["name"] for device in memory["devices"]] == ["CUDA0", "CPU", "cuda:1"]
    assert memory["gpu"]["name"] == "a card"


def test_free_memory_is_never_more_than_there_is(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cuda:0")
    put_engines(house, (CARD,))
    status = house.runtime.status
    assert status.memory()["devices"][0]["free_bytes"] == 8 << 30
    (shown,) = status.engines.describe()["engines"]
    assert shown["memory"] == {"rss_bytes": 1000, "free_bytes": 8 << 30, "total_bytes": 8 << 30}
    assert (shown["device"], shown["why"]) == ("a card", "No job waits")


def test_threads_are_told_with_why_and_not_where_a_gpu_computes(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cpu,cuda:0")
    put_engines(house, (CPU,), (CARD,))
    told = {"chosen": 2, "most": 4, "why": "A step took 1 s with 2 and 2 s with 4"}
    client = house.runtime.engine.pool.lanes[0].supervisor.client
    assert client is not None
    client.memory = Memory(rss_bytes=1000, devices=(CPU,), threads=ThreadsUsed(**told))
    assert [shown["threads"] for shown in house.runtime.status.engines.describe()["engines"]] == [told, None]
