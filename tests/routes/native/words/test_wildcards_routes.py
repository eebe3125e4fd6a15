"""Wildcards over HTTP: the same files that prompts draw from and SwarmUI's page edits."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from tests.cases import for_each_case

SMALL = {"width": 8, "height": 8, "steps": 1, "seed": 1}


def test_what_is_written_is_what_prompts_draw_from(house: Any) -> None:
    client, folder = house.client, house.config.paths.models_dir / "wildcards"
    kept = client.put("/wildcards/animals/wild", json={"text": "# wild ones\na wolf\n\n a <random:lynx> # rare\n"})
    assert kept.status_code == 201
    assert kept.get_json()["entries"] == ["a wolf", "a <random:lynx>"]
    assert (folder / "animals" / "wild.txt").read_text().startswith("# wild ones\n")
    assert client.put("/wildcards/one", json={"entries": ["a cat\nor two"]}).get_json()["text"] == "a cat\\nor two\n"
    assert client.get("/wildcards").get_json() == {
        "total": 2,
        "wildcards": [{"name": "animals/wild", "entries": 2}, {"name": "one", "entries": 1}],
    }
    assert client.get("/wildcards?counts=false").get_json()["wildcards"][0]["entries"] is None
    sent = {**SMALL, "prompt": "<wildcard:one>", "expand_prompt": True}
    assert client.post("/txt2img", json=sent).get_json()["resolved_prompt"] == "a cat\nor two"
    again = client.put("/wildcards/one", json={"entries": []})
    assert (again.status_code, again.get_json()["created"], again.get_json()["entries"]) == (200, False, [])
    assert client.delete("/wildcards/one").get_json() == {"success": True, "name": "one"}
    assert client.get("/wildcards/one").status_code == 404
    assert client.delete("/wildcards/one").status_code == 404


@for_each_case(
    "name",
    [
        "..",
        "../up",
        "a/../b",
        "a/./b",
        "a\x00b",
        "a:b",
        "a*",
        "a.txt",
        " a",
        "x" * 201,
        "/".join("x" * 17),
        "a\\b",
        "\n",
    ],
)
def test_names_that_cannot_be_one_are_refused(shared_client: FlaskClient, tmp_path: Path, name: str) -> None:
    answer = shared_client.put(f"/wildcards/{quote(name, safe='')}", json={"text": "x"})
    assert answer.status_code in (308, 400, 404), answer.text
    assert shared_client.get("/wildcards").get_json()["total"] == 0


@for_each_case(
    "body",
    [
        {},
        {"text": "a", "entries": ["a"]},
        {"text": 5},
        {"entries": "a"},
        {"entries": [""]},
        {"entries": ["a # b"]},
        {"entries": [" a"]},
        {"entries": ["a\\nb"]},
        {"entries": ["a\rb"]},
    ],
)
def test_bodies_that_cannot_be_one_are_refused(shared_client: FlaskClient, body: Any) -> None:
    answer = shared_client.put("/wildcards/a", json=body)
    assert answer.status_code == 400, answer.text
    assert shared_client.get("/wildcards").get_json()["total"] == 0


@pytest.mark.parametrize("text", ["\u00e4" * (3 << 20), "x" * ((4 << 20) + 1)], ids=["bytes", "characters"])
def test_a_text_that_is_too_large_is_refused(shared_client: FlaskClient, text: str) -> None:
    assert shared_client.put("/wildcards/a", json={"text": text}).status_code == 400


def test_a_file_that_is_too_large_is_listed_without_a_count(house: Any) -> None:
    folder = house.config.paths.models_dir / "wildcards"
    folder.mkdir(parents=True)
    (folder / "large.txt").write_bytes(b"x\n" * (3 << 20))
    assert house.client.get("/wildcards").get_json()["wildcards"] == [{"name": "large", "entries": None}]
    assert house.client.get("/wildcards/large").status_code == 400
    assert house.client.put("/wildcards/large", json={"entries": ["x"]}).status_code == 200


def test_nothing_is_written_through_a_link(house: Any, tmp_path: Path) -> None:
    folder = house.config.paths.models_dir / "wildcards"
    folder.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    assert house.client.put("/wildcards/link/a", json={"text": "x"}).status_code == 400
    assert list(outside.iterdir()) == []
