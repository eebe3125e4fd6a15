"""Sessions to call SwarmUI's API with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from websockets.sync.client import ClientConnection

from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse, make_config


class SwarmClient:
    """Calls routes as a client of SwarmUI's does: with a session of its own."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.session = str(self.call("GetNewSession", session_id=None)["session_id"])

    def call(self, route: str, status: int = 200, **arguments: Any) -> dict[str, Any]:
        session = {} if "session_id" in arguments else {"session_id": self.session}
        shown = self.client.post(f"/API/{route}", json={**session, **arguments})
        assert shown.status_code == status, shown.text
        return dict(shown.get_json())

    def refusal(self, route: str, **arguments: Any) -> str:
        """The words of a handler's refusal."""
        return str(self.call(route, **arguments)["error"])


@pytest.fixture
def swarm(house: House) -> SwarmClient:
    return SwarmClient(house.client)


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for the tests of a module that leave nothing behind."""
    house = House(make_config(tmp_path_factory.mktemp("swarm")))
    try:
        yield house.start()
    finally:
        house.close()


@pytest.fixture(scope="module")
def shared_swarm(shared_house: House) -> SwarmClient:
    return SwarmClient(shared_house.client)


@pytest.fixture
def swarm_socket(make_served: Callable[..., ServedHouse]) -> Iterator[Callable[[str], ClientConnection]]:
    """Open sockets of one served house by route."""
    served = make_served()
    with contextlib.ExitStack() as opened:
        yield lambda route: opened.enter_context(served.listen(f"/API/{route}"))


def next_message(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(socket.recv(timeout=PATIENCE_SECONDS)))
