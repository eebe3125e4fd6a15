from __future__ import annotations

import threading

import pytest

from sdcpp_rest.groups.late_group import LateGroup
from tests.routes.conftest import PATIENCE_SECONDS


class House:
    def __init__(self) -> None:
        self.built = 0
        self.may_build = threading.Event()
        self.may_build.set()
        self.builds = threading.Event()

    @LateGroup
    def kitchen(self) -> list[str]:
        """Where it is warm."""
        self.builds.set()
        assert self.may_build.wait(PATIENCE_SECONDS)
        self.built += 1
        return ["stove"]

    @LateGroup
    def cellar(self) -> list[str]:
        raise OSError("it is flooded")


def test_a_group_is_built_when_it_is_first_asked_for_and_once() -> None:
    house = House()
    assert House.kitchen.find(house) is None
    assert house.built == 0
    assert house.kitchen is house.kitchen
    assert House.kitchen.find(house) is house.kitchen
    assert house.built == 1
    assert House().kitchen is not house.kitchen


def test_all_who_ask_while_it_is_built_get_the_same_one() -> None:
    house = House()
    house.may_build.clear()
    got: list[list[str]] = []
    threads = [threading.Thread(target=lambda: got.append(house.kitchen)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert house.builds.wait(PATIENCE_SECONDS)
    house.may_build.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert house.built == 1
    assert len({id(one) for one in got}) == 1
    assert len(got) == 4


def test_a_group_that_could_not_be_built_is_tried_again() -> None:
    house = House()
    for _ in range(2):
        with pytest.raises(OSError, match="flooded"):
            _ = house.cellar
    assert House.cellar.find(house) is None
