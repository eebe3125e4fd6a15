from __future__ import annotations

from collections.abc import Callable

import pytest

from sdcpp_rest.errors import InvalidRequest
from tests.cases import for_each_case
from tests.services.conftest import House


@for_each_case(
    "asked, expected",
    [("", None), ("  ", None), ("cpu", "cpu:0"), (" CPU:01 ", "cpu:1"), ("cuda:0#2", "cuda:0#2"), ("CUDA", "cuda:0")],
)
def test_names_come_in_one_form(make_house: Callable[..., House], asked: str, expected: str | None) -> None:
    house = make_house("engines.devices=cpu,cpu,cuda,cuda", folder=f"house {asked}")
    assert house.runtime.submission.engine_choice.check(asked) == expected


@pytest.mark.parametrize("asked", ["cuda:7", "the big one", "cpu:0#2", "x" * 5000, "cpu:0\u0661", "cpu:-1"])
def test_name_that_no_engine_has_is_refused_with_those_that_are(make_house: Callable[..., House], asked: str) -> None:
    choice = make_house("engines.devices=cpu,cpu").runtime.submission.engine_choice
    with pytest.raises(InvalidRequest, match="one of cpu:0, cpu:1, or empty") as caught:
        choice.check(asked)
    assert caught.value.detail["field"] == "device"
    assert len(caught.value.message) < 300


def test_before_an_engine_has_a_name_every_well_formed_one_is_taken(make_house: Callable[..., House]) -> None:
    choice = make_house().runtime.submission.engine_choice
    assert choice.check("Vulkan:3") == "vulkan:3"
    with pytest.raises(InvalidRequest, match="the name of a device, such as cuda:1"):
        choice.check("3")


def test_engine_is_found_by_its_name(make_house: Callable[..., House]) -> None:
    runtime = make_house("engines.devices=cpu,cpu").runtime
    assert runtime.submission.engine_choice.find("cpu:1", "engine") is runtime.engine.pool.lanes[1]
    assert runtime.submission.engine_choice.find("", "engine") is None
    with pytest.raises(InvalidRequest, match="no engine has said its name yet"):
        make_house(folder="other").runtime.submission.engine_choice.find("cpu", "engine")
