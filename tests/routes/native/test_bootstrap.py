"""The first answer of a user interface: what the single views tell, and where in the stream of events it stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.core.events import QueuePaused
from sdcpp_rest.routes.native import bootstrap
from tests.routes.conftest import House, ServedHouse, preview_before_second_step


def test_it_tells_what_the_single_views_tell(shared_client: FlaskClient) -> None:
    def ask(path: str) -> dict[str, Any]:
        return dict(shared_client.get(path).get_json())

    shown = ask("/ui/bootstrap")
    assert shown["options"] == ask("/options/generation")
    assert shown["preferences"] == ask("/settings/preferences")
    assert shown["preview"] == ask("/preview/settings")
    assert shown["session"] == ask("/session")
    assert shown["health"].keys() == ask("/health").keys()
    architectures = ask("/architectures")
    assert shown["current_preset"] == architectures["current_preset"]
    assert shown["current_architecture"] == architectures["current_architecture"]
    listed = ask("/models")
    assert shown["models"] == {name: [file["name"] for file in listed[name]] for name in shown["models"]}
    assert shown["upscalers"] == shown["models"]["esrgan"]
    assert shown["queue"].items() <= ask("/queue").items()
    assert shown["limits"]["steps"] == 10_000
    assert shown["versions"]["server"] == shown["health"]["version"]
    assert (shown["running"], shown["models_left_out"]) == ([], {})


def test_it_is_small(shared_client: FlaskClient) -> None:
    assert len(shared_client.get("/ui/bootstrap").data) < 60_000


def test_the_job_at_work_is_told_with_its_preview(house: House) -> None:
    with preview_before_second_step(house):
        house.gate.clear()
        job_id = house.submit()
        assert house.running.wait(20)
        shown = house.client.get("/ui/bootstrap").get_json()
        assert [job["job_id"] for job in shown["running"]] == [job_id]
        assert shown["queue"]["processing_count"] == 1
        house.gate.set()
        house.finished(job_id)
    assert house.client.get("/ui/bootstrap").get_json()["running"] == []


def test_who_listens_from_its_number_misses_nothing(served: ServedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something happens while the answer is made: it is told again rather than left out."""
    usual = bootstrap.generation_options

    def pause_meanwhile() -> dict[str, Any]:
        served.runtime.jobs.bus.publish(QueuePaused())
        return usual()

    monkeypatch.setattr(bootstrap, "generation_options", pause_meanwhile)
    shown = served.get("/ui/bootstrap").json()
    with served.listen(f"/ws?since={shown['seq']}&epoch={shown['epoch']}") as connection:
        heard = [json.loads(connection.recv(timeout=20)) for _ in range(2)]
    assert [message["event"] for message in heard] == ["server_status", "queue_paused"]


def test_names_are_bounded_and_the_rest_is_counted(
    make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "MOST_NAMES", 2)
    house = make_house()
    folder = Path(house.config.paths.models_dir) / "loras"
    folder.mkdir(parents=True)
    for name in "abcde":
        (folder / f"{name}.safetensors").write_bytes(b"x")
    shown = house.client.get("/ui/bootstrap").get_json()
    total = len(house.client.get("/models").get_json()["loras"])
    assert len(shown["models"]["loras"]) == 2
    assert shown["models_left_out"]["loras"] == total - 2


def test_it_is_not_open_without_a_key(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["key"]})
    answer = served.get("/ui/bootstrap")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    shown = served.get("/ui/bootstrap", headers={"Authorization": "Bearer key"}).json()
    assert shown["session"] == {"auth_required": True, "signed_in": True}
