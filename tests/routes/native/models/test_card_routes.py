from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.core.events import ModelsChanged
from tests.cases import for_each_case
from tests.model_files import LORA, reversed_shapes, safetensors_bytes, write
from tests.routes.conftest import House
from tests.routes.swarmui.test_generation_views import data_url

CARD = "/models/lora/style/card"
PREVIEW = "/models/lora/style/preview"
SPEC = {
    "modelspec.title": "By header",
    "modelspec.description": "<p>In the <b>header</b></p>",
    "modelspec.license": "MIT",
    "modelspec.resolution": "1024x768",
    "modelspec.trigger_phrase": "in blue",
    "ss_tag_frequency": json.dumps({"folder": {"blue": 3, "sky": 2}}),
}
CIVITAI = {
    "id": 7,
    "modelId": 5,
    "name": "v7",
    "baseModel": "SDXL 1.0",
    "trainedWords": ["blue style", "sky, deep"],
    "description": "of the version",
    "model": {"name": "By CivitAI", "nsfw": False, "description": "<h1>Blue</h1><script>x</script>", "tags": ["style"]},
    "creator": {"username": "somebody"},
}


@pytest.fixture
def style(house: House) -> Path:
    """A LoRA of the user's own."""
    return write_style(house)


def write_style(house: House, metadata: dict[str, str] | None = None) -> Path:
    content = safetensors_bytes(reversed_shapes(LORA), metadata=metadata or {})
    return write(Path(house.config.paths.models_dir) / "loras/style.safetensors", content)


def card(client: FlaskClient) -> dict[str, Any]:
    answer = client.get(CARD)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


# --- what is said -----------------------------------------------------------------------------------------------------


def test_a_model_of_which_nobody_says_anything_has_its_name(client: FlaskClient, style: Path) -> None:
    shown = card(client)
    assert (shown["title"], shown["sources"]["title"]) == ("style", "file name")
    assert [shown[name] for name in ("preview", "source_url", "nsfw", "recommended", "tags")] == [
        None, None, None, {}, [],
    ]  # fmt: skip


def test_a_header_is_told(house: House) -> None:
    write_style(house, SPEC)
    shown = card(house.client)
    assert (shown["title"], shown["description"], shown["licence"]) == ("By header", "In the header", "MIT")
    assert shown["trigger_words"] == ["in blue"]
    assert shown["recommended"] == {"width": 1024, "height": 768}
    assert shown["sources"]["recommended.width"] == "header"


def test_tags_of_the_training_are_the_trigger_words_of_a_file_without_any(house: House) -> None:
    write_style(house, {"ss_tag_frequency": SPEC["ss_tag_frequency"], "ss_base_model_version": "sdxl_base_v1-0"})
    shown = card(house.client)
    assert (shown["trigger_words"], shown["base_model"]) == (["blue", "sky"], "sdxl_base_v1-0")


def test_who_is_nearer_to_the_user_goes_first(house: House) -> None:
    style, client = write_style(house, SPEC), house.client
    style.with_suffix(".txt").write_text("in a text")
    style.with_suffix(".civitai.info").write_text(json.dumps(CIVITAI))
    shown = card(client)
    assert (shown["title"], shown["author"], shown["version"]) == ("By CivitAI", "somebody", "v7")
    assert (shown["description"], shown["base_model"], shown["nsfw"]) == ("Blue", "SDXL 1.0", False)
    assert shown["source_url"] == "https://civitai.com/models/5?modelVersionId=7"
    assert shown["trigger_words"] == ["blue style", "sky", "deep"]
    style.with_suffix(".swarm.json").write_text(json.dumps({"modelspec.title": "By notes", "usage_hint": "gently"}))
    style.with_suffix(".json").write_text(
        json.dumps(
            {"activation text": "mine", "sd version": "SDXL", "preferred weight": 0.7, "description": "my <lora>"}
        )
    )
    shown = card(client)
    assert (shown["title"], shown["description"], shown["trigger_words"]) == ("By notes", "my <lora>", ["mine"])
    assert shown["recommended"] == {"lora_weight": 0.7, "hint": "gently", "width": 1024, "height": 768}
    told = {name: shown["sources"][name] for name in ("title", "description", "licence", "tags", "recommended.hint")}
    assert told == {
        "title": "style.swarm.json",
        "description": "style.json",
        "licence": "header",
        "tags": "style.civitai.info",
        "recommended.hint": "style.swarm.json",
    }


def test_the_bundled_model_is_described(client: FlaskClient) -> None:
    shown = client.get("/models/diffusion/demo_dit_q8_0.gguf/card").get_json()
    assert shown["base_model"] == "Ovis Image"
    assert shown["recommended"]["steps"] > 0
    assert shown["sources"]["recommended.steps"] == "demo_dit_q8_0.json"


HOSTILE = {
    "deep.json": b"[" * 500_000,
    "long number.json": b'{"description": ' + b"9" * 900_000 + b"}",
    "large.json": b"x" * (2 << 20),
    "no text.json": b"\xff\xfe\x00",
    "kinds.json": b'{"display_name": {"a": 1}, "tags": 5, "nsfw": "yes", "recommended": [1], "activation_text": [[]]}',
    "numbers.json": b'{"recommended": {"steps": 1e999, "cfg_scale": NaN, "width": "x", "sampler": []}}',
    "half a letter.json": b'{"author": "\\ud800", "preferred weight": "much"}',
    "script.json": b'{"source_url": "javascript:alert(1)", "generation_defaults": "x"}',
    "kinds.civitai.info": b'{"model": [], "creator": 5, "trainedWords": {"a": 1}, "id": true, "modelId": "5"}',
    "ids.civitai.info": b'{"model": {"name": ["x"], "tags": [[1]], "nsfw": 5},"id": -1, "modelId": 999999999999999999}',
    "kinds.swarm.json": b'{"modelspec.title": 5, "tags": [1, null], "resolution": "0x0", "lora_default_weight": "1e9"}',
    "no text.txt": b"\x00\xff" * 100_000,
}


@for_each_case("what", HOSTILE)
def test_hostile_files_beside_a_model_break_nothing(house: House, what: str) -> None:
    style = write_style(house)
    beside = style.with_suffix(f".{what.partition('.')[2]}")
    beside.write_bytes(HOSTILE[what])
    shown = card(house.client)
    assert (shown["title"], shown["source_url"], shown["nsfw"]) == ("style", None, None)
    assert house.client.get("/models?type=lora").status_code == 200
    assert len(shown["description"]) <= 20_000
    beside.unlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_beside_a_model_is_not_waited_for(client: FlaskClient, style: Path) -> None:
    for ending in (".json", ".swarm.json", ".civitai.info", ".txt"):
        os.mkfifo(style.with_suffix(ending))
    assert card(client)["title"] == "style"


@for_each_case("follows, title, has_preview", [(True, "elsewhere", True), (False, "style", False)])
def test_links_out_of_the_folders_are_followed_where_links_may_be(
    make_house: Callable[..., House], tmp_path: Path, follows: bool, title: str, has_preview: bool
) -> None:
    own = {f"{name}_dir": tmp_path / name for name in ("data", "models", "output", "log")}
    house = make_house(paths={**own, "follow_links": follows}).start()
    style, outside = write_style(house), tmp_path / "outside"
    outside.mkdir()
    (outside / "x.civitai.info").write_text('{"model": {"name": "elsewhere"}}')
    Image.new("RGB", (8, 8)).save(outside / "x.png")
    style.with_suffix(".civitai.info").symlink_to(outside / "x.civitai.info")
    style.with_suffix(".png").symlink_to(outside / "x.png")
    shown = card(house.client)
    assert (shown["title"], shown["preview"] is not None) == (title, has_preview)
    assert (house.client.get(PREVIEW).status_code == 200) is has_preview
    house.close()


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_card_is_written_into_the_sidecar_and_leaves_all_else_there(house: House, style: Path) -> None:
    sidecar = style.with_suffix(".json")
    kept = {"load_options": {"n_threads": 2}, "generation_defaults": {"steps": 5}, "notes": "theirs", "x": [1]}
    sidecar.write_text(json.dumps({**kept, "activation text": "old"}))
    body = {
        "title": "Mine",
        "description": "words & <b>bold</b>",
        "trigger_words": ["new", "a, b"],
        "tags": ["t"],
        "source_url": "https://example.org/x",
        "licence": "MIT",
        "nsfw": True,
        "author": "me",
        "version": "2",
        "base_model": "SDXL",
        "recommended": {"steps": 9, "lora_weight": 0.5},
    }
    with house.runtime.jobs.bus.subscribe() as mailbox:
        answer = house.client.put(CARD, json=body)
        event = mailbox.get(5)
    assert answer.status_code == 200, answer.text
    shown = answer.get_json()
    assert event == ModelsChanged(change="card", model_name="style.safetensors", model_type="lora")
    assert shown["trigger_words"] == ["new", "a", "b"]
    assert shown["recommended"] == {"steps": 9, "lora_weight": 0.5}
    assert {name: shown[name] for name in ("title", "tags", "source_url", "nsfw", "base_model")} == {
        name: body[name] for name in ("title", "tags", "source_url", "nsfw", "base_model")
    }
    written = json.loads(sidecar.read_text())
    assert {name: written[name] for name in kept} == kept
    assert (written["activation text"], written["display_name"]) == ("new, a, b", "Mine")
    assert "activation_text" not in written
    assert house.runtime.models.library.sidecar(str(style)).activation_text == "new, a, b"  # type: ignore[union-attr]


def test_what_is_empty_is_taken_out_and_what_is_not_named_stays(house: House) -> None:
    style, client = write_style(house, SPEC), house.client
    client.put(CARD, json={"title": "Mine", "author": "me", "recommended": {"steps": 3}})
    shown = client.put(CARD, json={"title": "", "recommended": {}, "tags": []}).get_json()
    assert (shown["title"], shown["author"], shown["recommended"]) == (
        "By header",
        "me",
        {"width": 1024, "height": 768},
    )
    assert json.loads(style.with_suffix(".json").read_text()) == {"author": "me"}


def test_a_card_is_seen_by_the_other_dialect(house: House, style: Path) -> None:
    house.client.put(CARD, json={"title": "Mine", "trigger_words": ["blue"]})
    session = house.client.post("/API/GetNewSession", json={}).get_json()["session_id"]
    asked = {"session_id": session, "modelName": "style", "subtype": "LoRA"}
    assert house.client.post("/API/DescribeModel", json=asked).get_json()["model"]["title"] == "Mine"


@for_each_case(
    "body, words",
    [
        ({"title": 5}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"description": "x" * 20_001}, "description"),
        ({"tags": "a"}, "tags"),
        ({"tags": ["x" * 201]}, "tags[0] must have 1 to 200 characters"),
        ({"trigger_words": ["a", " "]}, "trigger_words[1] must have 1 to 200 characters"),
        ({"source_url": "javascript:alert(1)"}, "source_url: "),
        ({"source_url": "https://me:secret@x.org"}, "source_url: an address must not hold a user or a password"),
        ({"nsfw": "perhaps"}, "nsfw"),
        ({"recommended": {"steps": 0}}, "recommended.steps"),
        ({"recommended": {"lora_weight": 11}}, "recommended.lora_weight"),
        ({"recommended": 5}, "recommended"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(client: FlaskClient, style: Path, body: Any, words: str) -> None:
    answer = client.put(CARD, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["error"].startswith(words)
    assert not style.with_suffix(".json").exists()


def test_a_sidecar_that_cannot_be_understood_is_left_alone(client: FlaskClient, style: Path) -> None:
    style.with_suffix(".json").write_text('{"broken": ')
    answer = client.put(CARD, json={"title": "x"})
    assert (answer.status_code, answer.get_json()["error"]) == (
        409,
        "style.json cannot be understood, and is left as it is",
    )
    assert style.with_suffix(".json").read_text() == '{"broken": '


@for_each_case("method, what", [("PUT", "card"), ("PUT", "preview"), ("DELETE", "preview"), ("POST", "card/refresh")])
def test_what_is_said_of_bundled_models_stays(make_house: Callable[..., House], method: str, what: str) -> None:
    house = make_house(downloads={"civitai_cards": True}).start()
    body = {"image": data_url()} if what == "preview" else {"title": "x"}
    answer = house.client.open(f"/models/lora/demo_lora/{what}", method=method, json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (403, "folder_only_read")
    house.close()


@for_each_case("method, what", [("GET", "card"), ("PUT", "card"), ("GET", "preview"), ("PUT", "preview"),
                                ("DELETE", "preview"), ("POST", "card/refresh")])  # fmt: skip
def test_cards_of_unknown_models_are_not_there(shared_client: FlaskClient, method: str, what: str) -> None:
    assert shared_client.open(f"/models/lora/nothing/{what}", method=method, json={}).status_code == 404
    assert shared_client.open(f"/models/picture/nothing/{what}", method=method, json={}).status_code == 400


# --- previews ---------------------------------------------------------------------------------------------------------


def test_an_output_becomes_the_preview(house: House, style: Path) -> None:
    job_id = house.submit()
    (output,) = house.finished(job_id)["outputs"]
    with house.runtime.jobs.bus.subscribe() as mailbox:
        shown = house.client.put(PREVIEW, json={"output": output}).get_json()
        event = mailbox.get(5)
    assert event == ModelsChanged(change="preview", model_name="style.safetensors", model_type="lora")
    assert style.with_name("style.swarmpreview.jpg").read_bytes()[:2] == b"\xff\xd8"
    answer = house.client.get(shown["preview"])
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    again = house.client.get(PREVIEW, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.headers["Cache-Control"], again.data) == (304, "private, no-cache", b"")


def test_a_picture_that_is_sent_is_made_small(client: FlaskClient, style: Path) -> None:
    large = Image.effect_noise((900, 600), 90).convert("RGB")
    path = style.parent.parent / "large.png"
    large.save(path)
    first = client.put(PREVIEW, json={"image": base64.b64encode(path.read_bytes()).decode()}).get_json()["preview"]
    with Image.open(style.with_name("style.swarmpreview.jpg")) as small:
        assert (small.format, small.size) == ("JPEG", (512, 341))
    second = client.put(PREVIEW, json={"image": data_url()}).get_json()["preview"]
    assert first != second
    assert client.get(first).headers["Cache-Control"] == "private, no-cache"


def test_all_previews_are_deleted_together(client: FlaskClient, style: Path) -> None:
    for ending in (".preview.png", ".png", ".JPG"):
        Image.new("RGB", (8, 8)).save(style.with_suffix(ending))
    assert card(client)["preview"].startswith("/models/lora/style.safetensors/preview?v=")
    answer = client.delete(PREVIEW)
    assert answer.get_json()["message"] == "3 picture(s) beside style.safetensors are deleted"
    assert [path.name for path in style.parent.iterdir()] == ["style.safetensors"]
    assert client.delete(PREVIEW).status_code == 404
    assert client.get(PREVIEW).status_code == 404


@for_each_case(
    "body, status, words",
    [
        ({}, 400, "Give output or image, one of the two"),
        ({"output": "x/y.png", "image": "x"}, 400, "Give output or image"),
        ({"output": "../data/sdcpp_rest.db"}, 400, "Invalid path"),
        ({"output": "nothing/image_0.png"}, 404, "Not found: nothing/image_0.png"),
        ({"output": "."}, 400, "Not a picture or a video"),
        ({"output": ""}, 400, "output"),
        ({"image": "AAAA"}, 400, "image is not a picture in one of the formats"),
        ({"image": "%%%"}, 400, "image is not valid base64"),
        ({"image": 5}, 400, "image"),
    ],
)
def test_what_is_no_picture_is_no_preview(
    client: FlaskClient, style: Path, body: dict[str, Any], status: int, words: str
) -> None:
    answer = client.put(PREVIEW, json=body)
    assert answer.status_code == status, answer.text
    assert answer.get_json()["error"].startswith(words)
    assert not style.with_name("style.swarmpreview.jpg").exists()


def test_a_preview_that_cannot_be_drawn_is_not_there(client: FlaskClient, style: Path) -> None:
    style.with_suffix(".png").write_bytes(b"<svg onload=alert(1)>")
    answer = client.get(PREVIEW)
    assert (answer.status_code, answer.mimetype) == (404, "application/json")
