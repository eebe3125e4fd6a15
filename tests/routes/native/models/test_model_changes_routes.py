from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.core.events import ModelsChanged
from sdcpp_rest.runtime import DEMO_ROOT
from tests.cases import for_each_case
from tests.model_files import LORA, VAE, reversed_shapes, safetensors_bytes, write
from tests.routes.conftest import House

DEMO = "demo_dit_q8_0.gguf"
STYLE = safetensors_bytes(reversed_shapes(LORA))


@pytest.fixture
def loras(house: House) -> Path:
    """The folder of LoRAs, with one in a folder below, and files beside it."""
    folder = Path(house.config.paths.models_dir) / "loras"
    write(folder / "sub/style.safetensors", STYLE)
    write(folder / "sub/style.json", b'{"description": "mine"}')
    write(folder / "sub/style.preview.png", b"x")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_model_is_deleted_for_good_when_its_name_is_repeated(house: House, loras: Path) -> None:
    with house.runtime.jobs.bus.subscribe() as mailbox:
        answer = house.client.delete("/models/lora/sub/style.safetensors?confirm=style.safetensors")
        event = mailbox.get(5)
    assert (answer.status_code, answer.get_json()["model_name"]) == (200, "sub/style.safetensors")
    assert event == ModelsChanged(change="deleted", model_name="sub/style.safetensors", model_type="lora")
    assert files(loras) == []
    assert [one["name"] for one in house.client.get("/models").get_json()["loras"]] == ["demo_lora.safetensors"]
    assert house.client.delete("/models/lora/sub/style.safetensors?confirm=style.safetensors").status_code == 404


@for_each_case("query", ["", "?confirm=", "?confirm=true", "?confirm=style", "?confirm=sub/style.safetensors"])
def test_a_model_is_not_deleted_by_the_way(client: FlaskClient, loras: Path, query: str) -> None:
    before = files(loras)
    # A name that is not whole finds it, too, which is one more reason to ask.
    answer = client.delete(f"/models/lora/STYLE{query}")
    assert answer.status_code == 400
    assert answer.get_json()["error"] == "confirm must be the file's name, style.safetensors: it is deleted for good"
    assert files(loras) == before


@for_each_case(
    "body, place",
    [
        ({"name": "new"}, "sub/new"),
        ({"name": "new.safetensors"}, "sub/new"),
        ({"name": "v1.5"}, "sub/v1.5"),
        ({"folder": ""}, "style"),
        ({"folder": "a/b", "name": "new"}, "a/b/new"),
        ({"folder": "a\\b"}, "a/b/style"),
    ],
)
def test_a_model_takes_another_name_with_all_that_lies_beside_it(
    client: FlaskClient, loras: Path, body: dict[str, str], place: str
) -> None:
    before = sorted(files(loras.parent))
    answer = client.patch("/models/lora/style", json=body)
    assert answer.status_code == 200, answer.text
    shown = answer.get_json()
    assert (shown["model"]["name"], shown["previous_name"]) == (f"{place}.safetensors", "sub/style.safetensors")
    assert files(loras) == [f"{place}.json", f"{place}.preview.png", f"{place}.safetensors"]
    back = client.patch(f"/models/lora/{place}", json={"folder": "sub", "name": "style"})
    assert (back.status_code, sorted(files(loras.parent))) == (200, before)


def test_a_model_that_moves_to_another_type_keeps_its_sum(house: House, loras: Path) -> None:
    before = house.client.get("/models/hash/lora/style").get_json()["hash"]
    with house.runtime.jobs.bus.subscribe() as mailbox:
        shown = house.client.patch("/models/lora/style", json={"type": "loras", "name": "x"}).get_json()
        assert (shown["model"]["hash"], shown["model"]["type"]) == (before, "lora")
        shown = house.client.patch("/models/lora/x", json={"type": "vae"}).get_json()
        events = [mailbox.get(5), mailbox.get(5)]
    assert (shown["model"]["hash"], shown["model"]["type"]) == (before, "vae")
    assert files(loras.parent / "vae") == ["sub/x.json", "sub/x.preview.png", "sub/x.safetensors"]
    moved = {"change": "moved", "model_name": "sub/x.safetensors", "model_type": "vae"}
    before_it = {"previous_name": "sub/x.safetensors", "previous_type": "lora"}
    assert events[1] == ModelsChanged(**moved, **before_it)
    assert house.client.get("/models/hash/vae/x").get_json()["hash"] == before


@for_each_case(
    "body, words",
    [
        ({}, "Nothing is to be changed: give name, folder or type"),
        ({"name": ""}, "name"),
        ({"name": "../x"}, "name: a file's name has no folders; give them as folder"),
        ({"name": ".."}, "name: 'sub/..' leads out of the model folders"),
        ({"name": "C:x"}, "name: 'C:x' holds a character that file names cannot have everywhere"),
        ({"name": ".hidden"}, "would be hidden"),
        ({"name": "a\0b"}, "name must not contain NUL characters"),
        ({"name": "NUL"}, "name: 'NUL' is a device's name on some systems"),
        ({"name": "x.gguf"}, "has another ending than the file"),
        ({"name": "x" * 300}, "is longer than 200 bytes"),
        ({"folder": "/etc"}, "folder: '/etc' leads out of the model folders"),
        ({"folder": "a/../.."}, "folder: 'a/../..' leads out"),
        ({"folder": "D:\\x"}, "folder: 'D:\\\\x' leads out"),
        ({"folder": ".bin"}, "folder: '.bin' begins or ends with a dot"),
        ({"folder": "link"}, "leads out of the folder of its type"),
        ({"type": "picture"}, "type: 'picture' is not a model type; allowed: checkpoint"),
        ({"name": 5}, "name"),
    ],
)
def test_names_that_lead_away_are_refused(client: FlaskClient, loras: Path, body: dict[str, Any], words: str) -> None:
    outside = loras.parents[2] / "outside"
    outside.mkdir(exist_ok=True)
    if not (loras / "link").exists():
        (loras / "link").symlink_to(outside)
    before = files(loras)
    answer = client.patch("/models/lora/sub/style.safetensors", json=body)
    assert answer.status_code == 400
    assert words in answer.get_json()["error"]
    assert (files(loras), files(outside)) == (before, [])


def test_a_name_that_is_taken_is_a_conflict(client: FlaskClient, loras: Path) -> None:
    write(loras / "sub/other.safetensors", STYLE)
    answer = client.patch("/models/lora/style", json={"name": "other"})
    assert (answer.status_code, answer.get_json()["error"]) == (409, "There is a file other.safetensors already")


@for_each_case("address", ["diffusion/demo_dit_q8_0.gguf", "llm/demo_llm_q4_0.gguf", "lora/demo_lora.safetensors"])
def test_the_bundled_models_are_only_read(client: FlaskClient, address: str) -> None:
    for answer in (
        client.delete(f"/models/{address}?confirm={address.rpartition('/')[2]}"),
        client.patch(f"/models/{address}", json={"name": "mine"}),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (403, "folder_only_read"), answer.text


def test_models_of_other_programs_are_only_read(make_house: Callable[..., House], tmp_path: Path) -> None:
    theirs = write(tmp_path / "webui/models/Lora/theirs.safetensors", STYLE)
    own = {f"{name}_dir": tmp_path / name for name in ("data", "models", "output", "log")}
    client = make_house(paths={**own, "extra_model_dirs": [str(tmp_path / "webui")]}).start().client
    assert client.delete("/models/lora/theirs?confirm=theirs.safetensors").status_code == 403
    assert client.patch("/models/lora/theirs", json={"name": "mine"}).status_code == 403
    assert theirs.exists()


def test_what_the_engine_holds_stays(house: House) -> None:
    folder = Path(house.config.paths.models_dir)
    own = [
        write(folder / "vae/own.safetensors", safetensors_bytes(reversed_shapes(VAE))),
        write(folder / "diffusion_models/own.gguf", (DEMO_ROOT / "diffusion_models" / DEMO).read_bytes()),
    ]
    client = house.client
    body = {"model_name": "own.gguf", "model_type": "diffusion", "vae": "own.safetensors", "llm": "demo_llm_q4_0.gguf"}
    loaded = client.post("/models/load", json=body)
    assert loaded.status_code == 200, loaded.text
    refused = client.delete("/models/diffusion/own.gguf?confirm=own.gguf")
    words = "own.gguf is loaded as the model; load another one or unload it first"
    assert (refused.status_code, refused.get_json()["error"]) == (409, words)
    refused = client.patch("/models/vae/own", json={"name": "new"})
    assert (refused.status_code, refused.get_json()["used_as"]) == (409, "loaded as a part of own.gguf")
    client.post("/models/unload")
    for path, kind in zip(own, ("vae", "diffusion"), strict=True):
        assert client.delete(f"/models/{kind}/{path.name}?confirm={path.name}").status_code == 200
    assert not any(path.exists() for path in own)


def test_what_a_job_needs_stays_until_that_is_done(house: House, loras: Path) -> None:
    house.runtime.jobs.queue.pause()
    job_id = house.submit(prompt="x <lora:style:1>")
    for answer in (
        house.client.delete("/models/lora/style?confirm=style.safetensors"),
        house.client.patch("/models/lora/style", json={"name": "new"}),
    ):
        assert answer.status_code == 409
        assert answer.get_json()["jobs"] == [job_id]
        words = f"1 job(s) that wait or run need sub/style.safetensors: {job_id}"
        assert answer.get_json()["error"] == words
    house.client.delete(f"/queue/{job_id}")
    assert house.client.patch("/models/lora/style", json={"name": "new"}).status_code == 200


def test_other_paths_below_models_are_not_there_whatever_the_method(shared_client: FlaskClient) -> None:
    for method in ("GET", "DELETE", "PATCH", "POST"):
        answer = shared_client.open("/models/picture/x", method=method, json={})
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found"), method
    assert shared_client.delete("/models/loras/nothing?confirm=nothing").get_json()["code"] == "model_not_found"
