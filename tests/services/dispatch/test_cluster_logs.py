"""The log of an engine on another machine is read over the API, and nobody waits for a machine that is silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.engine.remote.shipping import LinkLost
from tests.quick_runtime import quick_app
from tests.services.dispatch.cluster_house import ClusterHouse

pytestmark = pytest.mark.slow


@pytest.fixture
def house(make_cluster: Callable[..., ClusterHouse]) -> ClusterHouse:
    """With one node, which has drawn."""
    house = make_cluster()
    house.join("one")
    house.draw()
    return house


@pytest.fixture
def client(house: ClusterHouse) -> FlaskClient:
    return quick_app(house.runtime).test_client()


def write_log(house: ClusterHouse, text: str, name: str = "engine.log") -> None:
    (house.cluster / "one.jobs" / name).write_text(text)


def test_log_of_an_engine_on_a_node_is_read_there(house: ClusterHouse, client: FlaskClient) -> None:
    write_log(house, "".join(f"line {number} \u00fc\n" for number in range(5)))
    write_log(house, "before\n", "engine.log.1")
    shown = client.get("/logs/engine?engine=one:0&tail=2").get_json()
    assert shown == {"lines": ["line 3 \u00fc", "line 4 \u00fc"], "truncated": True}
    shown = client.get("/logs/engine?engine=one:0").get_json()
    assert (shown["lines"][0], len(shown["lines"]), shown["truncated"]) == ("before", 6, False)
    write_log(house, "")
    write_log(house, "", "engine.log.1")
    assert client.get("/logs/engine?engine=one:0").get_json() == {"lines": [], "truncated": False}
    assert client.get("/logs/engine").get_json() == {"lines": [], "truncated": False}, "the home engine's, of none"


def test_nodes_folders_and_keys_are_not_told(house: ClusterHouse, client: FlaskClient) -> None:
    folder, own = house.cluster / "one.models", house.config.paths.models_dir
    write_log(house, f"reads {folder}/x.gguf and {own}/y.gguf with token=abc\n")
    assert client.get("/logs/engine?engine=one:0").get_json()["lines"] == ["reads x.gguf and y.gguf with token=***"]


def test_a_long_log_is_cut_at_its_machine(house: ClusterHouse, client: FlaskClient) -> None:
    write_log(house, ("x" * 1000 + "\n") * 3000)
    lane = house.runtime.engine.pool.find("one:0")
    assert lane is not None
    assert lane.supervisor.read_log is not None
    log = lane.supervisor.read_log(5000)
    assert log.truncated
    assert 1000 < len(log.lines) < 1100


def test_unknown_engine_is_refused_with_those_there_are(client: FlaskClient) -> None:
    answer = client.get("/logs/engine?engine=two:0")
    assert answer.status_code == 400
    assert answer.get_json()["error"] == "engine must be one of one:0, or empty, got 'two:0'"


def test_a_node_that_does_not_answer_is_named(house: ClusterHouse, client: FlaskClient) -> None:
    (house.cluster / "one.silent").touch()
    answer = client.get("/logs/engine?engine=one:0")
    assert (answer.status_code, answer.get_json()["error"]) == (
        503,
        "The log of one:0 cannot be read: its machine has not answered within 5 s",
    )
    (house.cluster / "one.silent").unlink()
    assert client.get("/logs/engine?engine=one:0").status_code == 200


def test_nobody_waits_for_a_machine_that_is_silent(house: ClusterHouse) -> None:
    """Neither its own engine's commands nor who asks, for long."""
    (house.cluster / "one.hangs").touch()
    gateway = house.services.gateway
    for _ in range(3):
        with pytest.raises(LinkLost, match="has not answered within"):
            gateway.read_log("one", 0, 10, timeout_seconds=0.05)
    assert house.draw().engine == "one:0"
    assert not gateway._asked


def test_the_log_of_an_engine_that_does_not_start_is_read(
    make_cluster: Callable[..., ClusterHouse], tmp_path: Path
) -> None:
    house = make_cluster("engine.backoff_initial_seconds=0.01")
    (house.cluster / "one.broken").touch()
    (house.cluster / "one.jobs").mkdir()
    write_log(house, "no such device\n")
    house.join("one")
    pool = house.runtime.engine.pool
    assert house.wait_for(lambda: pool.names() == ("one:0",))
    client = quick_app(house.runtime).test_client()
    assert client.get("/logs/engine?engine=one:0").get_json()["lines"] == ["no such device"]


def test_asking_ends_with_the_way_to_the_cluster(house: ClusterHouse) -> None:
    (house.cluster / "one.hangs").touch()
    gateway = house.services.gateway
    send = gateway.send

    def send_and_end(header: dict[str, object], body: bytes = b"") -> bool:
        was_sent = send(header, body)
        (house.cluster / "gone").touch()
        return was_sent

    gateway.send = send_and_end  # type: ignore[method-assign]
    with pytest.raises(LinkLost, match="the way to the cluster broke off"):
        gateway.read_log("one", 0, 10, timeout_seconds=60)
    gateway.send = send  # type: ignore[method-assign]
    (house.cluster / "closed").touch()
    assert house.wait_for(lambda: gateway.trouble == "the cluster is closed")
    with pytest.raises(LinkLost, match="the cluster is closed"):
        gateway.read_log("one", 0, 10)
