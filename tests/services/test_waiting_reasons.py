from __future__ import annotations

from collections.abc import Callable

from sdcpp_rest.services.engines_status import NO_ENGINE
from tests.cases import for_each_case
from tests.services.conftest import House
from tests.services.test_engines_status import CARD, put_engines


def make_working(house: House) -> None:
    """Two engines of a house that is not started, both with a job."""
    put_engines(house, (CARD,), (CARD,))
    for lane in house.runtime.engine.pool.lanes:
        lane.job_id = "another"


@for_each_case(
    "device, position, expected",
    [
        (None, 1, "All engines work on other jobs"),
        (None, 2, "1 job is before it"),
        (None, 4, "3 jobs are before it"),
        ("cuda:1", 1, "Engine cuda:1, which it asked for, works on another job"),
        ("cuda:7", 1, "Engine cuda:7, which it asked for, is not there"),
    ],
)
def test_job_waits_for_engines_that_work(
    make_house: Callable[..., House], device: str | None, position: int, expected: str
) -> None:
    house = make_house("engines.devices=cuda:0,cuda:1", folder=f"{device}-{position}")
    make_working(house)
    assert house.runtime.waiting_reasons.find("txt2img", device, position) == expected


def test_job_waits_for_the_engine_it_asked_for_that_cannot_be_had(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cuda:0,cuda:1")
    make_working(house)
    lane = house.runtime.engine.pool.lanes[1]
    lane.trouble, lane.supervisor.state = "its card is gone", "dead"
    reasons = house.runtime.waiting_reasons
    assert reasons.find("txt2img", "cuda:1", 1) == (
        "Engine cuda:1, which it asked for, is not available: its card is gone"
    )


def test_free_engine_is_about_to_begin(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cuda:0,cuda:1")
    make_working(house)
    house.runtime.engine.pool.lanes[1].job_id = None
    reasons = house.runtime.waiting_reasons
    assert reasons.find("txt2img", None, 1) == reasons.find("txt2img", "cuda:1", 1) == "It is about to begin"
    assert reasons.find("txt2img", "cuda:1", 3) == "2 jobs are before it"


def test_without_any_engine_every_job_waits_for_one(make_house: Callable[..., House]) -> None:
    reasons = make_house("engines.devices=cuda:0,cuda:1").runtime.waiting_reasons
    assert reasons.find("txt2img", None, 2) == "No engine is available: It waits for its engine to start"
    none = make_house("engines.devices=none", folder="none").runtime.waiting_reasons
    assert none.find("txt2img", None, 1) == NO_ENGINE


def test_pause_comes_before_everything_and_downloads_need_no_engine(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=none")
    assert (
        house.runtime.waiting_reasons.find("model_download", None, 5) == "Other files are being fetched or read first"
    )
    house.runtime.jobs.queue.pause()
    for kind in ("txt2img", "model_hash"):
        assert house.runtime.waiting_reasons.find(kind, "cuda:3", 1) == "The queue is paused"  # type: ignore[arg-type]
