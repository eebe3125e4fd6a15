from __future__ import annotations

import json
from pathlib import Path

from tests.cases import for_each_case
from tests.model_files import FLUX, safetensors_bytes, write
from tests.routes.conftest import House
from tests.routes.swarmui.conftest import SwarmClient
from tests.routes.swarmui.test_generation_views import data_url

DEMO = "demo_dit_q8_0.gguf"


def own_model(house: House) -> Path:
    path = write(Path(house.config.paths.models_dir) / "diffusion_models" / "mine.safetensors", safetensors_bytes(FLUX))
    house.runtime.models.library.refresh()
    return path


def test_notes_are_written_beside_the_file_and_shown(swarm: SwarmClient, house: House) -> None:
    path = own_model(house)
    before = path.read_bytes()
    fields = {"title": "Mine", "author": "me", "standard_width": 768, "standard_height": 512, "tags": "a, b"}
    saved = swarm.call("EditModelMetadata", model="mine", preview_image=data_url(), **fields)
    assert saved == {"success": True}
    shown = swarm.call("DescribeModel", modelName="mine")["model"]
    assert (shown["title"], shown["author"], shown["resolution"]) == ("Mine", "me", "768x512")
    assert shown["tags"] == ["a", "b"]
    assert shown["preview_image"].startswith("/ViewSpecial/")
    assert path.read_bytes() == before
    assert path.with_name("mine.swarmpreview.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_what_a_call_leaves_out_stays_and_what_it_empties_goes(swarm: SwarmClient, house: House) -> None:
    notes = own_model(house).with_name("mine.swarm.json")
    notes.write_text(json.dumps({"other": 1, "modelspec.author": "somebody"}))
    swarm.call("EditModelMetadata", model="mine", title="Mine")
    swarm.call("EditModelMetadata", model="mine", author="")
    assert json.loads(notes.read_text()) == {"other": 1, "modelspec.title": "Mine"}


def test_notes_that_cannot_be_understood_are_left_alone(swarm: SwarmClient, house: House) -> None:
    notes = own_model(house).with_name("mine.swarm.json")
    notes.write_text('{"broken": ')
    assert "left as they are" in swarm.refusal("EditModelMetadata", model="mine", title="x")
    assert notes.read_text() == '{"broken": '


@for_each_case(
    "fields, words",
    [
        ({"model": "nobody"}, "Model not found."),
        ({"model": DEMO, "title": "x"}, "That model lies in a folder that is only read."),
        ({"model": "mine", "title": "x" * 20_001}, "title has 20001 characters; at most 20000 are kept"),
        ({"model": "mine", "standard_width": "wide", "standard_height": 1}, "Invalid value 'wide' for parameter"),
        ({"model": "mine", "preview_image": "data:image/png;base64,AAAA"}, "preview_image"),
    ],
)
def test_what_cannot_be_noted_is_refused(
    swarm: SwarmClient, house: House, fields: dict[str, object], words: str
) -> None:
    path = own_model(house)
    assert swarm.refusal("EditModelMetadata", **fields).startswith(words)
    assert not path.with_name("mine.swarm.json").exists()


def test_a_model_is_renamed_and_deleted(swarm: SwarmClient, house: House) -> None:
    path = own_model(house)
    assert swarm.call("RenameModel", oldName="mine", newName="folder/yours") == {"success": True}
    assert not path.exists()
    assert swarm.call("DescribeModel", modelName="folder/yours")["model"]["name"] == "folder/yours.safetensors"
    assert swarm.call("DeleteModel", modelName="folder/yours") == {"success": True}
    assert swarm.refusal("DescribeModel", modelName="folder/yours") == "Model not found."


def test_what_is_in_use_or_not_ours_stays(swarm: SwarmClient, house: House) -> None:
    path = own_model(house)
    assert swarm.refusal("DeleteModel", modelName=DEMO).startswith("That model is loaded")
    swarm.call("FreeBackendMemory")
    assert swarm.refusal("DeleteModel", modelName=DEMO) == "That model lies in a folder that is only read."
    house.runtime.jobs.queue.pause()
    house.submit()
    assert swarm.refusal("DeleteModel", modelName="mine").startswith("Jobs wait or run")
    assert path.exists()
