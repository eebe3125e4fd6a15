from __future__ import annotations

import base64
import io
import json
import threading
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.services.pictures.picture_formats import texts_of
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, House
from tests.routes.swarmui.conftest import SwarmClient

INVALID = "Invalid value for parameter"
PICTURE = {"prompt": "a red circle", "steps": 2, "width": 64, "height": 64, "seed": 5}


def data_url(colour: str = "red", size: tuple[int, int] = (64, 64)) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def last_params(house: House) -> dict[str, Any]:
    return dict(house.runtime.jobs.queue.list(limit=1)[0].params)


def test_pictures_are_answered_as_paths(swarm: SwarmClient, house: House) -> None:
    shown = swarm.call("GenerateText2Image", images=2, **PICTURE)
    assert len(shown["images"]) == 2
    assert all(path.startswith("View/local/raw/20") and path.endswith(".png") for path in shown["images"])
    assert "-a red circle-demo" in shown["images"][0]
    jobs = house.runtime.jobs.queue.list(limit=10, order="asc")
    assert [job.params["seed"] for job in jobs] == [5, 6]
    assert {job.origin for job in jobs} == {"swarmui"}


def test_picture_holds_its_parameters(swarm: SwarmClient, house: House) -> None:
    swarm.call("GenerateText2Image", images="1", **PICTURE, negativeprompt="blue", personal_note="mine", cfgscale="3.5")
    job = house.runtime.jobs.queue.list(limit=1)[0]
    with Image.open(house.runtime.jobs.outputs.path_of(job.outputs[0])) as picture:
        text = json.loads(picture.info["parameters"])
    params = text["sui_image_params"]
    assert (params["prompt"], params["negativeprompt"], params["personalnote"]) == ("a red circle", "blue", "mine")
    assert (params["seed"], params["steps"], params["cfgscale"], params["width"]) == (5, 2, 3.5, 64)
    assert params["swarm_version"] == house.runtime.version
    assert params["model"] == job.model_name
    assert "date" in text["sui_extra_data"]


def test_picture_that_is_not_kept_comes_as_data(swarm: SwarmClient, house: House) -> None:
    (image,) = swarm.call("GenerateText2Image", images=1, donotsave=True, **PICTURE)["images"]
    head, _, data = image.partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (64, 64)
    assert house.runtime.jobs.queue.list(limit=10) == []


@for_each_case(
    ("arguments", "words"),
    [
        ({}, "Missing required parameter 'images'"),
        ({"images": "many"}, "Invalid value 'many' for parameter 'images', must be type 'Int32'"),
        ({"images": 2000}, "Images x Batch Size is 2000; one request may ask for 1 to 1000 (swarm.images)"),
        (
            {"images": 0},
            f"{INVALID} Images: Invalid integer value for param Images - '0' - must be between 1 and 10000",
        ),
        (
            {"images": 1, "width": 8},
            f"{INVALID} Width: Invalid integer value for param Width - '8' - must be between 64 and 16384",
        ),
        (
            {"images": 1, "model": "x"},
            f"{INVALID} Model: Invalid model value for param Model - 'x' - are you sure that model name is correct?",
        ),
        ({"images": 1, "extra_metadata": []}, None),
        ({"images": 1, "extra_metadata": 5}, "extra_metadata must be an object"),
        ({"images": 1, "presets": "x"}, "presets must be a list of titles"),
    ],
)
def test_what_a_handler_refuses_is_an_error_with_200(
    shared_swarm: SwarmClient, arguments: dict[str, Any], words: str | None
) -> None:
    shown = shared_swarm.call(
        "GenerateText2Image", **{"prompt": "x", "steps": 1, "width": 64, "height": 64, **arguments}
    )
    assert shown.get("error") == words


def test_ids_are_spelled_as_clients_like(swarm: SwarmClient, house: House) -> None:
    swarm.call(
        "GenerateText2Image", images=1, prompt="x", Steps="3", CFG_Scale=2, Width="64.0", height=64, junk={"a": 1}
    )
    params = last_params(house)
    assert (params["steps"], params["cfg_scale"], params["width"]) == (3, 2.0, 64)


def test_interrupted_call_says_so(swarm: SwarmClient, house: House) -> None:
    house.gate.clear()
    answers: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: answers.append(swarm.call("GenerateText2Image", images=2, **PICTURE)))
    caller.start()
    assert house.running.wait(PATIENCE_SECONDS)
    shown = swarm.call("GetCurrentStatus")["status"]
    assert (shown["waiting_gens"], shown["live_gens"]) == (2, 1)
    assert SwarmClient(house.client).call("InterruptAll") == {"success": True}, "another session's is left alone"
    assert swarm.call("GetCurrentStatus")["status"]["waiting_gens"] == 2
    assert swarm.call("InterruptAll") == {"success": True}
    house.gate.set()
    caller.join(PATIENCE_SECONDS)
    assert answers == [{"error": "Generation session interrupted."}]


def test_init_image_and_mask_are_used(swarm: SwarmClient, house: House) -> None:
    images = {"initimage": data_url(), "maskimage": data_url("white"), "maskgrow": 3}
    swarm.call("GenerateText2Image", images=1, **PICTURE, **images, initimagecreativity=0.4)
    job = house.runtime.jobs.queue.list(limit=1)[0]
    assert job.kind == "img2img"
    assert job.params["strength"] == 0.4
    assert {"init_image", "mask_image"} <= {*job.inputs}


def test_second_pass_is_a_hires_fix(swarm: SwarmClient, house: House) -> None:
    swarm.call("GenerateText2Image", images=1, **PICTURE, refinerupscale=2, refinercontrolpercentage=0.3)
    params = last_params(house)
    assert (params["hires"], params["hires_scale"], params["hires_denoising_strength"]) == (True, 2.0, 0.3)
    assert params["hires_upscaler"] == "Lanczos"


def test_picture_of_the_history_can_be_the_next_ones_beginning(swarm: SwarmClient, house: House) -> None:
    (first,) = swarm.call("GenerateText2Image", images=1, **PICTURE)["images"]
    path = first.removeprefix("View/local/")
    assert len(swarm.call("GenerateText2Image", images=1, **PICTURE, initimage=path)["images"]) == 1
    refused = swarm.refusal("GenerateText2Image", images=1, **PICTURE, initimage="raw/../../x.png")
    assert refused == "There is no picture 'raw/../../x.png' in the history"


@pytest.mark.parametrize(
    ("asked", "form", "ending"),
    [("JPG", "JPEG", "jpg"), ("webp", "WEBP", "webp"), ("WEBP_LOSSLESS", "WEBP", "webp"), ("PNG", "PNG", "png")],
)
def test_format_that_is_asked_for_is_that_of_the_link(
    swarm: SwarmClient, house: House, asked: str, form: str, ending: str
) -> None:
    (link,) = swarm.call("GenerateText2Image", images=1, imageformat=asked, **PICTURE)["images"]
    assert link.endswith(f".{ending}")
    with house.client.get(f"/{link}") as shown, Image.open(io.BytesIO(shown.data)) as picture:
        assert (picture.format, shown.mimetype) == (form, f"image/{form.lower()}")
        assert "sui_image_params" in texts_of(picture)["parameters"]
    with house.client.get(f"/{link}", headers={"Range": "bytes=0-3"}) as part:
        assert (part.status_code, len(part.data)) == (206, 4)
    (data,) = swarm.call("GenerateText2Image", images=1, imageformat=asked, donotsave=True, **PICTURE)["images"]
    assert data.startswith(f"data:image/{form.lower()};base64,")


def test_what_means_nothing_alone_is_told(swarm: SwarmClient, house: House) -> None:
    lonely = {"maskimage": data_url("white"), "controlnetimageinput": data_url(), "vaetileoverlap": 64}
    swarm.call("GenerateText2Image", images=1, **PICTURE, **lonely)
    warnings = house.runtime.jobs.queue.list(limit=1)[0].warnings
    assert "maskimage has no effect without initimage." in warnings
    assert "controlnetimageinput has no effect without controlnetmodel." in warnings
    assert "vaetileoverlap has no effect without vaetilesize." in warnings
