from __future__ import annotations

import json
from pathlib import Path

from tests.routes.conftest import House
from tests.routes.native.models.downloads.conftest import Houses, folder
from tests.servers.civitai_server import CivitaiServer
from tests.services.downloads.conftest import MODEL

REFRESH = "/models/lora/style/card/refresh"


def own_model(house: House) -> Path:
    path = folder(house) / "style.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MODEL)
    return path


def test_civitai_is_asked_by_the_sum_of_the_file(make_ready: Houses, civitai: CivitaiServer) -> None:
    civitai.add(5, 7, "theirs.safetensors", MODEL)
    civitai.models["5"] |= {
        "description": "<p>Paints <b>blue</b></p>",
        "tags": ["style"],
        "creator": {"username": "me"},
    }
    house = make_ready(civitai_cards=True)
    path = own_model(house)
    answer = house.client.post(REFRESH)
    assert answer.status_code == 200, answer.text
    shown = answer.get_json()
    assert (shown["title"], shown["version"], shown["author"]) == ("A style", "v7", "me")
    assert (shown["description"], shown["tags"], shown["trigger_words"]) == ("Paints blue", ["style"], ["blue"])
    assert shown["source_url"] == "https://civitai.com/models/5?modelVersionId=7"
    assert shown["sources"]["title"] == "style.civitai.info"
    kept = json.loads(path.with_suffix(".civitai.info").read_text())
    assert (kept["modelId"], kept["model"]["type"], "files" in kept) == (5, "LORA", False)
    assert house.client.get("/models/lora/style/card").get_json() == shown


def test_the_version_alone_will_do(make_ready: Houses, civitai: CivitaiServer) -> None:
    civitai.add(5, 7, "theirs.safetensors", MODEL)
    whole = civitai.api.pages[0]
    civitai.api.pages[0] = lambda asked: (500, {}, b"") if asked.path == "/api/v1/models/5" else whole(asked)
    house = make_ready(civitai_cards=True)
    own_model(house)
    assert house.client.post(REFRESH).get_json()["title"] == "A style"


def test_nobody_is_asked_where_the_settings_are_silent(make_ready: Houses, civitai: CivitaiServer) -> None:
    house = make_ready()
    own_model(house)
    answer = house.client.post(REFRESH)
    assert (answer.status_code, answer.get_json()["setting"]) == (403, "downloads.civitai_cards")
    assert civitai.api.asked == []


def test_a_file_that_nobody_knows_keeps_its_card(make_ready: Houses) -> None:
    house = make_ready(civitai_cards=True)
    path = own_model(house)
    answer = house.client.post(REFRESH)
    assert (answer.status_code, answer.get_json()["code"]) == (404, "source_not_found")
    assert not path.with_suffix(".civitai.info").exists()


def test_an_answer_of_another_shape_breaks_nothing(make_ready: Houses, civitai: CivitaiServer) -> None:
    house = make_ready(civitai_cards=True)
    own_model(house)
    for body, status in (
        (b"[]", 502),
        (b"<html>", 502),
        (b'{"model": 5, "modelId": "5", "creator": [], "trainedWords": {}}', 200),
        (b'{"name": {"a": 1}, "modelId": true, "description": "' + b"x" * 900_000 + b'"}', 200),
    ):
        civitai.api.pages[0] = lambda asked, body=body: (200, {"Content-Type": "application/json"}, body)
        answer = house.client.post(REFRESH)
        assert answer.status_code == status, answer.text
