from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.engine.protocol import PreviewSettings
from tests.cases import for_each_case

SETTINGS = {"enabled": True, "mode": "tae", "interval": 1, "max_size": 256, "quality": 75}


def test_settings_are_told_as_the_contract_has_it(client: FlaskClient) -> None:
    answer = client.get("/preview/settings")
    assert (answer.status_code, answer.get_json()) == (200, SETTINGS)
    assert list(answer.get_json()) == list(SETTINGS)


def test_what_is_left_out_stays_as_it_is(client: FlaskClient) -> None:
    answer = client.put("/preview/settings", json={"mode": "vae", "quality": None})
    assert (answer.status_code, answer.get_json()) == (200, {"success": True, "settings": {**SETTINGS, "mode": "vae"}})
    assert client.get("/preview/settings").get_json() == {**SETTINGS, "mode": "vae"}
    assert client.put("/preview/settings").get_json()["settings"]["mode"] == "vae"


def test_the_whole_body_of_the_contract_is_taken(client: FlaskClient) -> None:
    whole = {"enabled": False, "mode": "tae", "interval": 100, "max_size": 1024, "quality": 100}
    assert client.put("/preview/settings", json=whole).get_json()["settings"] == whole


def test_the_engine_is_told_at_once(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[PreviewSettings] = []
    monkeypatch.setattr(house.runtime.engine.supervisor.client, "set_preview", told.append)
    house.client.put("/preview/settings", json={"interval": 7})
    assert [settings.interval for settings in told] == [7]


def test_settings_survive_a_restart(make_house: Any) -> None:
    first = make_house().start()
    first.client.put("/preview/settings", json={"max_size": 64})
    first.close()
    folders = {name: getattr(first.config.paths, name) for name in ("data_dir", "models_dir", "output_dir", "log_dir")}
    again = make_house(paths=folders)
    assert again.client.get("/preview/settings").get_json()["max_size"] == 64


@for_each_case(
    ("field", "value"),
    [
        ("enabled", 1), ("enabled", "yes"), ("mode", "hologram"), ("mode", 1), ("mode", ""), ("interval", 0),
        ("interval", 101), ("interval", "1.5"), ("interval", 1.5), ("max_size", 63), ("max_size", 1025),
        ("max_size", []), ("quality", 0), ("quality", 101), ("quality", True), ("quality", 10**30),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name_and_changes_nothing(
    shared_client: FlaskClient, field: str, value: Any
) -> None:
    answer = shared_client.put("/preview/settings", json={"quality": 50, "interval": 5, field: value})
    assert answer.status_code == 400
    assert field in answer.get_json()["error"]
    assert shared_client.get("/preview/settings").get_json() == SETTINGS


def test_unknown_fields_are_warned_of(client: FlaskClient) -> None:
    body = client.put("/preview/settings", json={"intervall": 2}).get_json()
    assert body["warnings"] == ["unknown field 'intervall' ignored; did you mean 'interval'?"]
