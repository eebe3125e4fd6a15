"""Prompt styles over HTTP: one file for both dialects and for whoever edits it by hand."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient

from tests.cases import for_each_case
from tests.routes.native.jobs.test_video_routes import SMALL as SMALL_VIDEO
from tests.routes.native.jobs.test_video_routes import choose_wan
from tests.routes.test_root_pictures import png

SMALL = {"width": 8, "height": 8, "steps": 1, "seed": 1}


def test_what_is_kept_here_is_seen_by_a1111_at_once_and_by_hand(house: Any) -> None:
    client, file = house.client, house.config.paths.data_dir / "styles.csv"
    kept = client.put("/styles/Oil painting", json={"prompt": "oil painting of {prompt}"})
    assert (kept.status_code, kept.get_json()) == (
        201,
        {"name": "Oil painting", "prompt": "oil painting of {prompt}", "negative_prompt": "", "created": True},
    )
    of_a1111 = [{"name": "Oil painting", "prompt": "oil painting of {prompt}", "negative_prompt": ""}]
    assert client.get("/sdapi/v1/prompt-styles").get_json() == of_a1111
    with file.open("a", encoding="utf-8") as opened:
        opened.write("Ink,ink,photo\n")
    assert [one["name"] for one in client.get("/styles").get_json()["styles"]] == ["Oil painting", "Ink"]
    assert client.get("/styles/Ink").get_json() == {"name": "Ink", "prompt": "ink", "negative_prompt": "photo"}
    assert client.put("/styles/Ink", json={"prompt": "x"}).get_json()["created"] is False
    assert client.delete("/styles/Oil%20painting").get_json() == {"success": True, "name": "Oil painting"}
    assert file.read_text(encoding="utf-8") == "name,prompt,negative_prompt\nInk,x,\n"


def test_styles_of_a_request_are_added_before_tags_are_resolved(house: Any) -> None:
    house.client.put("/styles/Drawn", json={"prompt": "a {ink|ink} drawing of {prompt}", "negative_prompt": "photo"})
    sent = {**SMALL, "prompt": "a <random:cat>", "styles": ["Drawn"]}
    body = house.client.post("/txt2img", json={**sent, "expand_prompt": True}).get_json()
    assert body["resolved_prompt"] == "a ink drawing of a cat"
    assert body["resolved_negative_prompt"] == "photo"
    params = house.finished(body["job_id"])["params"]
    assert (params["prompt"], params["original_prompt"]) == ("a ink drawing of a cat", "a <random:cat>")
    assert (params["negative_prompt"], params["original_negative_prompt"]) == ("photo", "")
    body = house.client.post("/img2img", json={**sent, "init_image_base64": png(8)}).get_json()
    assert body["resolved_prompt"] == "a {ink|ink} drawing of a <random:cat>"


def test_a_video_has_styles_too(house: Any) -> None:
    choose_wan(house)
    house.client.put("/styles/slow", json={"prompt": "slowly"})
    sent = {**SMALL_VIDEO, "prompt": "a cat", "styles": ["slow"], "output_format": "frames"}
    assert house.client.post("/txt2vid", json=sent).get_json()["resolved_prompt"] == "a cat, slowly"


def test_an_unknown_style_is_refused_with_the_nearest(house: Any) -> None:
    house.client.put("/styles/Oil painting", json={"prompt": "x"})
    answer = house.client.post("/txt2img", json={**SMALL, "prompt": "x", "styles": ["oil paintin"]})
    assert (answer.status_code, answer.get_json()["nearest"]) == (400, ["Oil painting"])
    assert "did you mean 'Oil painting'?" in answer.get_json()["error"]
    answer = house.client.get("/styles/oil paint")
    assert (answer.status_code, answer.get_json()["nearest"]) == (404, ["Oil painting"])
    assert house.client.delete("/styles/nobody").status_code == 404


def test_a_file_is_imported_and_exported(house: Any) -> None:
    client = house.client
    client.put("/styles/Ink", json={"prompt": "old"})
    text = json.dumps([{"name": "Ink", "prompt": "new"}, {"name": "Oil", "prompt": "oil, {prompt}"}, {"name": "empty"}])
    first = client.post("/styles/import", json={"text": text}).get_json()
    assert (first["imported"], first["replaced"]) == (["Oil"], [])
    assert [one["name"] for one in first["skipped"]] == ["Ink", "empty"]
    second = client.post("/styles/import", json={"text": text, "overwrite": True}).get_json()
    assert second["replaced"] == ["Ink", "Oil"]
    export = client.get("/styles/export")
    assert export.mimetype == "text/csv"
    assert export.text == 'name,prompt,negative_prompt\nInk,new,\nOil,"oil, {prompt}",\n'


@for_each_case("name", ["..", "a/../b", "a//b", "a\x00b", "a\nb", " a", "a ", "x" * 201, "export", "a\\b", "\u2028"])
def test_names_that_cannot_be_one_are_refused(shared_client: FlaskClient, name: str) -> None:
    answer = shared_client.put(f"/styles/{quote(name, safe='')}", json={"prompt": "x"})
    assert answer.status_code in (308, 400, 404), answer.text
    assert shared_client.get("/styles").get_json()["total"] == 0


@for_each_case(
    ("body", "field"),
    [
        ({"prompt": "x" * 16_001}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"negative_prompt": ["x"]}, "negative_prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
    ],
)
def test_bodies_that_cannot_be_one_are_refused(shared_client: FlaskClient, body: Any, field: str) -> None:
    answer = shared_client.put("/styles/A", json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)


@for_each_case("styles", ["Ink", 3, [3], [["x"]], ["x"] * 51, ["\u0000"]])
def test_lists_of_styles_that_cannot_be_one_are_refused(shared_client: FlaskClient, styles: Any) -> None:
    assert shared_client.post("/txt2img", json={**SMALL, "prompt": "x", "styles": styles}).status_code == 400


@for_each_case("text", ["", "[]", "nothing", '{"a": 1}', "name,prompt\n" + "x," + "y" * 200_000])
def test_files_that_hold_no_styles_import_nothing(shared_client: FlaskClient, text: str) -> None:
    answer = shared_client.post("/styles/import", json={"text": text})
    assert answer.status_code == 400 or answer.get_json()["imported"] == []


def test_a_file_that_cannot_be_read_is_left_alone(house: Any) -> None:
    file = house.config.paths.data_dir / "styles.csv"
    file.write_bytes(b"\xff\xfe")
    answer = house.client.put("/styles/A", json={"prompt": "x"})
    assert (answer.status_code, file.read_bytes()) == (409, b"\xff\xfe")
    assert house.client.get("/styles").get_json() == {"total": 0, "styles": []}
