from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.cases import for_each_case
from tests.routes.conftest import House, ServedHouse


def test_a_restart_tells_of_the_new_engine(house: House) -> None:
    shown = house.client.post("/engine/restart").get_json()
    assert (shown["status"], shown["restarts"], shown["requeued"]) == ("ready", 1, [])
    assert shown["pid"] == house.client.get("/health").get_json()["engine"]["pid"]
    job_id = house.submit()
    assert house.finished(job_id)["status"] == "completed"


def test_a_restart_waits_for_no_job(house: House) -> None:
    house.gate.clear()
    job_id = house.submit()
    assert house.running.wait(20)
    answer = house.client.post("/engine/restart", json={"force": False})
    assert (answer.status_code, answer.get_json()["jobs"]) == (409, [job_id])
    assert house.client.post("/engine/restart", json={"force": "perhaps"}).status_code == 400
    house.gate.set()
    assert house.finished(job_id)["status"] == "completed"


def write_log(house: House, name: str, text: str) -> None:
    folder = Path(house.config.paths.log_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_logs_are_read_from_their_end(house: House) -> None:
    write_log(house, "engine.log", f"loads {house.config.paths.models_dir}/x.gguf\nlast\n")
    write_log(house, "server.log", "".join(f"{number}\n" for number in range(300)))
    assert house.client.get("/logs/engine").get_json() == {"lines": ["loads x.gguf", "last"], "truncated": False}
    shown = house.client.get("/logs/server?tail=2").get_json()
    assert shown == {"lines": ["298", "299"], "truncated": True}
    assert len(house.client.get("/logs/server").get_json()["lines"]) == 200
    text = house.client.get("/logs/server?tail=1", headers={"Accept": "text/plain"})
    assert (text.mimetype, text.text) == ("text/plain", "299\n")


def test_a_log_that_is_not_there_has_no_lines(shared_client: FlaskClient) -> None:
    assert shared_client.get("/logs/engine").get_json() == {"lines": [], "truncated": False}


def test_each_engine_has_a_log_of_its_own(make_house: Callable[..., House]) -> None:
    house = make_house(engines={"devices": ("cpu", "cpu")}).start()
    write_log(house, "engine.log", "home\n")
    write_log(house, "engine-2.log", "other\n")
    lines = {
        query: house.client.get(f"/logs/engine{query}").get_json()["lines"]
        for query in ("", "?engine=cpu:0", "?engine=cpu:1", "?engine=")
    }
    assert lines == {"": ["home"], "?engine=cpu:0": ["home"], "?engine=cpu:1": ["other"], "?engine=": ["home"]}
    for name in ("cuda:3", "2", "../engine", "x" * 41):
        answer = house.client.get("/logs/engine", query_string={"engine": name})
        assert answer.status_code == 400
        assert answer.get_json()["error"].startswith("engine must be ")
    refused = house.client.get("/logs/engine?engine=cuda:3").get_json()
    assert refused["error"] == "engine must be one of cpu:0, cpu:1, or empty, got 'cuda:3'"


def test_an_engine_that_does_not_start_again_is_named_and_the_others_are_restarted(
    make_house: Callable[..., House],
) -> None:
    house = make_house(engines={"devices": ("cpu", "cpu")}).start()
    home, other = house.runtime.engine.pool.lanes
    other.supervisor.move_to(other.supervisor._launcher, "cpu:1", lambda ready: "its device is gone")
    answer = house.client.post("/engine/restart", json={"force": True})
    shown = answer.get_json()
    assert (answer.status_code, shown["status"], shown["restarts"]) == (200, "ready", 1)
    assert shown["warnings"] == ["cpu:1 has not started again: its device is gone"]
    assert home.supervisor.is_alive
    refused = house.client.post("/engine/restart", json={"engine": "cpu:1"})
    assert (refused.status_code, refused.get_json()["error"]) == (503, "its device is gone")
    home.supervisor.move_to(home.supervisor._launcher, "cpu:0", lambda ready: "no engine at all")
    assert house.client.post("/engine/restart", json={"force": True}).status_code == 503


@for_each_case("tail", ["0", "-1", "5001", "x", "1.5", "9" * 30])
def test_odd_numbers_of_lines_are_refused(shared_client: FlaskClient, tail: str) -> None:
    answer = shared_client.get(f"/logs/engine?tail={tail}")
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("tail")


def test_keys_are_never_in_a_log_that_is_shown(make_house: Callable[..., House]) -> None:
    house = make_house(auth={"api_keys": ["me:a-secret-key"]}, downloads={"civitai_token": "their-token"})
    house.client.put("/ollama/settings", json={"api_key": "chosen-later"})
    write_log(house, "server.log", "a-secret-key their-token chosen-later\n")
    assert house.client.get("/logs/server").get_json()["lines"] == ["*** *** ***"]


@pytest.mark.slow
@for_each_case("path", ["/logs/engine", "/logs/server", "/system/doctor"])
def test_what_is_told_of_the_server_needs_a_key(make_served: Callable[..., ServedHouse], path: str) -> None:
    served = make_served(auth={"api_keys": ["a-secret-key"]})
    assert served.get(path).status_code == 401
    assert served.get(path, headers={"Authorization": "Bearer a-secret-key"}).status_code == 200
    served.stop()


def test_one_engine_is_restarted_by_its_name(make_house: Callable[..., House]) -> None:
    house = make_house(engines={"devices": ("cpu", "cpu")}).start()
    shown = house.client.post("/engine/restart", json={"engine": "cpu:1"}).get_json()
    assert (shown["status"], shown["success"]) == ("ready", True)
    home, other = house.client.get("/engines").get_json()["engines"]
    assert (home["restarts"], other["restarts"]) == (0, shown["restarts"])
    assert other["pid"] == shown["pid"]


def test_engine_that_is_not_there_is_not_restarted(make_house: Callable[..., House]) -> None:
    house = make_house(engines={"devices": ("cpu", "cpu")}).start()
    answer = house.client.post("/engine/restart", json={"engine": "cuda:3"})
    assert answer.status_code == 400
    assert answer.get_json()["error"] == "engine must be one of cpu:0, cpu:1, or empty, got 'cuda:3'"


def test_the_server_is_examined(make_house: Callable[..., House]) -> None:
    house = make_house(engine={"runner": "fake", "stop_timeout_seconds": 1}).start()
    shown = house.client.get("/system/doctor").get_json()
    assert shown["status"] == "ok"
    assert [check["name"] for check in shown["checks"][:3]] == ["engine", "library", "backend"]
    assert str(house.config.paths.data_dir.parent) not in str(shown)
