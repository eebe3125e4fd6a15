"""One served house for the tests that only look, or only draw."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.routes.conftest import House, ServedHouse, make_config


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    house = House(make_config(tmp_path_factory.mktemp("agents")))
    served = ServedHouse(house).start()
    yield served
    served.stop()
    house.close()
