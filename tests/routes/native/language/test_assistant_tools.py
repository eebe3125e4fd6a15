"""What may be proposed, against a real house: names of files and jobs that there are, parameters that requests take."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.chat import Action, ToolCall
from sdcpp_rest.routes.native.language.assistant_tools import action_kinds
from sdcpp_rest.services.language.assistant_actions import ActionKind, check_actions
from tests.cases import for_each_case
from tests.routes.conftest import House, make_config

DEMO = "demo_dit_q8_0.gguf"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Any:
    house = House(make_config(tmp_path_factory.mktemp("tools"))).start()
    yield house
    house.close()


def kinds_of(house: House) -> list[ActionKind]:
    running = house.runtime
    return action_kinds(house.config.limits, running.status.options(), running.models.library, running.jobs.queue)


def propose(house: House, name: str, /, **arguments: Any) -> tuple[Action | None, str]:
    actions, notes = check_actions([ToolCall(name=name, arguments=arguments)], kinds_of(house))
    return actions[0] if actions else None, " ".join(notes)


def carried_out(house: House, name: str, /, **arguments: Any) -> Any:
    """Do what was proposed, as it stands."""
    action, notes = propose(house, name, **arguments)
    assert action is not None, notes
    assert action.request is not None
    return house.client.open(action.request.url, method=action.request.method, json=action.request.body)


def test_every_kind_is_described_with_fields_of_the_wire(house: House) -> None:
    kinds = {kind.name: kind for kind in kinds_of(house)}
    assert kinds.keys() >= {
        "load_model", "unload_model", "set_parameters", "generate", "img2img", "txt2vid", "load_upscaler",
        "unload_upscaler", "upscale", "convert", "download", "search_models", "cancel_job", "switch_view",
    }  # fmt: skip
    for kind in kinds.values():
        assert kind.schema["type"] == "object"
        assert kind.schema["required"] == [
            name for name in kind.schema["properties"] if name in kind.schema["required"]
        ]
        assert all("type" in field for field in kind.schema["properties"].values()), kind.name
    properties = kinds["generate"].schema["properties"]
    assert "euler" in properties["sampler"]["enum"]
    assert (properties["steps"]["minimum"], properties["steps"]["maximum"]) == (1, 10_000)
    assert kinds["generate"].schema["required"] == ["prompt"]


def test_the_tools_are_short_enough_for_small_models(house: House) -> None:
    import json

    from sdcpp_rest.services.language.assistant_actions import tools_of

    assert len(json.dumps(tools_of(kinds_of(house)))) < 12_000


@pytest.mark.parametrize("name", [DEMO, "demo_dit_q8_0", DEMO.upper()])
def test_a_model_is_loaded_by_any_of_its_names(house: House, name: str) -> None:
    action, notes = propose(house, "load_model", model_name=name, model_type="diffusion")
    assert action is not None, notes
    assert action.parameters["model_name"] == DEMO
    assert action.parameters["model_type"] == "diffusion"
    assert carried_out(house, "load_model", model_name=name).status_code == 200


@for_each_case(
    ("arguments", "words"),
    [
        ({"model_name": "demo_dit_q8"}, f"Model not found: demo_dit_q8 (there is {DEMO}"),
        ({"model_name": "sdxl"}, "Model not found: sdxl"),
        ({"model_name": "../secret"}, "model_name"),
        ({"model_name": DEMO, "vae": "nothing.safetensors"}, "nothing.safetensors"),
        ({"model_name": DEMO, "model_type": "lora"}, "model_type must be one of"),
        ({}, "model_name is required"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_not_proposed(house: House, arguments: Any, words: str) -> None:
    action, notes = propose(house, "load_model", **arguments)
    assert action is None
    assert words in notes


def test_a_picture_is_made_as_proposed(house: House) -> None:
    answer = carried_out(house, "generate", prompt="a red circle", steps="2", width=64.0, height=64, sampler="euler")
    assert answer.status_code == 202
    job = house.finished(answer.get_json()["job_id"])
    assert (job["status"], job["params"]["steps"]) == ("completed", 2)
    action, _ = propose(house, "upscale", job_id=job["job_id"])
    assert action is not None
    assert action.parameters == {"job_id": job["job_id"]}
    action, notes = propose(house, "upscale", job_id=job["job_id"], image_index=1)
    assert (action, "has 1 pictures" in notes) == (None, True)
    action, notes = propose(house, "cancel_job", job_id=job["job_id"])
    assert (action, "is completed" in notes) == (None, True)


@for_each_case(
    ("arguments", "words"),
    [
        ({}, "prompt is required"),
        ({"prompt": " "}, "prompt must not be blank"),
        ({"prompt": "x", "steps": 0}, "steps must be an integer between 1 and 10000"),
        ({"prompt": "x", "sampler": "magic"}, "sampler must be one of"),
        ({"prompt": "x", "width": 99_999}, "width must be"),
        ({"prompt": "a <lora:made_up:1>"}, "made_up"),
        ({"prompt": "x" * 20_000}, "prompt"),
        ({"prompt": "(x:nan)"}, None),
    ],
)
def test_a_picture_that_would_be_refused_is_not_proposed(house: House, arguments: Any, words: str | None) -> None:
    action, notes = propose(house, "generate", **arguments)
    if words is None:
        assert action is not None
    else:
        assert action is None
        assert words in notes


def test_a_form_is_filled_in_with_something(house: House) -> None:
    action, _ = propose(house, "set_parameters", steps=30, prompt="a cat")
    assert action is not None
    assert (dict(action.parameters), action.request) == ({"steps": 30, "prompt": "a cat"}, None)
    action, notes = propose(house, "set_parameters", mood="good")
    assert (action, "no parameter is set" in notes) == (None, True)


def test_a_picture_from_a_picture_leaves_the_picture_to_the_user_interface(house: House) -> None:
    action, notes = propose(house, "img2img", prompt="a cat", strength=0.5, init_image_base64="AAAA")
    assert action is not None
    assert dict(action.parameters) == {"prompt": "a cat", "strength": 0.5}
    assert action.request is None
    assert "init_image_base64" in notes


def test_a_waiting_job_is_cancelled(house: House) -> None:
    house.gate.clear()
    first, second = house.submit(), house.submit()
    assert carried_out(house, "cancel_job", job_id=second).status_code == 200
    house.gate.set()
    house.finished(first)
    action, notes = propose(house, "cancel_job", job_id="nobody/../x")
    assert (action, "Job not found" in notes) == (None, True)


def test_models_are_searched(house: House) -> None:
    found = carried_out(house, "search_models", search="demo & more", type="diffusion").get_json()
    assert found["applied_filters"] == {"type": "diffusion", "search": "demo & more"}
    action, notes = propose(house, "search_models", type="cars")
    assert (action, "cars" in notes) == (None, True)


def test_a_conversion_names_a_file_and_a_type_that_there_are(house: House) -> None:
    types = [entry["id"] for entry in house.runtime.status.options()["quantization_types"]]
    action, notes = propose(house, "convert", input_path="demo_dit_q8_0", output_type=types[0] if types else "q4_0")
    assert action is not None, notes
    assert action.parameters["input_path"] == DEMO
    action, notes = propose(house, "convert", input_path="demo_dit_q8_0", output_type="keep")
    assert action is not None, notes
    for arguments in ({"input_path": "nothing", "output_type": "q4_0"}, {"input_path": DEMO, "output_type": ""}):
        assert propose(house, "convert", **arguments)[0] is None


def test_a_download_names_one_source_and_replaces_nothing(house: House) -> None:
    action, notes = propose(
        house, "download", model_type="checkpoint", repo_id="stabilityai/sd-turbo", filename="sd_turbo.safetensors",
        url="", overwrite=True,
    )  # fmt: skip
    assert action is not None, notes
    assert dict(action.parameters) == {
        "model_type": "checkpoint", "repo_id": "stabilityai/sd-turbo", "filename": "sd_turbo.safetensors",
    }  # fmt: skip
    for arguments in (
        {"model_type": "checkpoint"},
        {"model_type": "car", "repo_id": "a/b"},
        {"model_type": "lora", "repo_id": "a/b", "url": "https://example.org/x"},
        {"repo_id": "a/b"},
        {"model_type": "lora", "url": "file:///etc/passwd"},
        {"model_type": "lora", "repo_id": "../x"},
    ):
        assert propose(house, "download", **arguments)[0] is None


def test_upscalers_and_views(house: House) -> None:
    assert propose(house, "load_upscaler", model_name="nothing")[0] is None
    assert carried_out(house, "unload_upscaler").status_code == 200
    action, _ = propose(house, "switch_view", view="queue")
    assert action is not None
    assert propose(house, "switch_view", view="kitchen")[0] is None
    assert carried_out(house, "unload_model").status_code == 200
